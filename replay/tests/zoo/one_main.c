/* ex3, right: one main; epoll_create, fcntl, read, write; state from malloc,
   found through data.ptr. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

static const char answer[] =
    "HTTP/1.0 200 OK\r\nDate: Mon, 1 Jan 1996 01:01:01 GMT\r\n"
    "Content-Type: text/plain\r\nContent-Length: 13\r\n\r\nHello, world!";

struct client {
    int fd;
    size_t in, out;
    char text[8192];
};

int main(int argc, char **argv) {
    struct sockaddr_in a = {.sin_family = AF_INET};
    struct epoll_event ev = {.events = EPOLLIN}, evs[16];
    int s = socket(AF_INET, SOCK_STREAM, 0), one = 1, paused = 0;
    signal(SIGPIPE, SIG_IGN);
    a.sin_port = htons(argc > 1 ? atoi(argv[1]) : 8080);
    setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(s, (struct sockaddr *)&a, sizeof a) || listen(s, 10)) return 1;
    fcntl(s, F_SETFL, O_NONBLOCK);
    int e = epoll_create(10);
    epoll_ctl(e, EPOLL_CTL_ADD, s, &ev);
    for (;;) {
        int k = epoll_wait(e, evs, 16, paused ? 500 : -1);
        if (paused) {
            ev.events = EPOLLIN;
            ev.data.ptr = NULL;
            epoll_ctl(e, EPOLL_CTL_MOD, s, &ev);
            paused = 0;
        }
        for (int i = 0; i < k; i++) {
            struct client *c = evs[i].data.ptr;
            if (c == NULL) {
                int fd = accept(s, NULL, NULL);
                if (fd < 0 && errno == EAGAIN) continue;
                ev.events = fd < 0 ? 0 : EPOLLIN;
                ev.data.ptr = NULL;
                if (fd < 0) {
                    epoll_ctl(e, EPOLL_CTL_MOD, s, &ev);
                    paused = 1;
                    continue;
                }
                fcntl(fd, F_SETFL, O_NONBLOCK);
                c = malloc(sizeof *c);
                c->fd = fd;
                c->in = c->out = 0;
                ev.data.ptr = c;
                epoll_ctl(e, EPOLL_CTL_ADD, fd, &ev);
                continue;
            }
            int done = 0;
            if (evs[i].events & EPOLLIN) {
                ssize_t n = read(c->fd, c->text + c->in, sizeof c->text - c->in);
                if (n > 0) c->in += n;
                if (memmem(c->text, c->in, "\n\r\n", 3)) {
                    fwrite(c->text, 1, c->in, stdout);
                    fflush(stdout);
                    ev.events = EPOLLOUT;
                    ev.data.ptr = c;
                    epoll_ctl(e, EPOLL_CTL_MOD, c->fd, &ev);
                } else if (n == 0 || (n < 0 && errno != EAGAIN)) {
                    done = 1;
                }
            } else if (evs[i].events & EPOLLOUT) {
                ssize_t n = write(c->fd, answer + c->out,
                                  sizeof answer - 1 - c->out);
                if (n > 0) c->out += n;
                done = n < 0 || c->out == sizeof answer - 1;
                if (done) shutdown(c->fd, SHUT_RDWR);
            } else {
                done = 1;
            }
            if (done) {
                close(c->fd);
                free(c);
            }
        }
    }
}
