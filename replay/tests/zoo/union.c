/* ex3, wrong: data is a union, and data.fd overwrites data.ptr. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
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
    size_t have;
    char text[8192];
};

int main(int argc, char **argv)
{
    struct epoll_event event = {.events = EPOLLIN}, got;
    struct sockaddr_in a = {.sin_family = AF_INET};
    int s = socket(AF_INET, SOCK_STREAM, 0), one = 1;
    a.sin_port = htons(argc > 1 ? atoi(argv[1]) : 8080);
    setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(s, (struct sockaddr *)&a, sizeof a) || listen(s, 10)) return 1;

    int e = epoll_create1(0);
    event.data.fd = s;
    epoll_ctl(e, EPOLL_CTL_ADD, s, &event);
    for (;;) {
        if (epoll_wait(e, &got, 1, -1) < 1) continue;
        if (got.data.fd == s) {
            struct client *new = calloc(1, sizeof *new);
            new->fd = accept4(s, NULL, NULL, SOCK_NONBLOCK);
            event.data.ptr = new;
            event.data.fd = new->fd;
            epoll_ctl(e, EPOLL_CTL_ADD, new->fd, &event);
            continue;
        }
        struct client *c = got.data.ptr;
        ssize_t n = recv(c->fd, c->text + c->have, 8192 - c->have, 0);
        if (n > 0) c->have += n;
        if (memmem(c->text, c->have, "\n\r\n", 3))
            send(c->fd, answer, sizeof answer - 1, MSG_NOSIGNAL);
        else if (n > 0)
            continue;
        close(c->fd);
        free(c);
    }
}
