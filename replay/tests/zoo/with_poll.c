/* ex3, right: poll instead of epoll; ioctl, recvmsg, sendmsg; K&R braces. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

static const char answer[] =
    "HTTP/1.0 200 OK\r\nDate: Mon, 1 Jan 1996 01:01:01 GMT\r\n"
    "Content-Type: text/plain\r\nContent-Length: 13\r\n\r\nHello, world!";

#define MAX 64
static struct pollfd who[MAX];
static struct { char text[8192]; size_t in, out; } what[MAX];
static int many;

static void forget(int i) {
    close(who[i].fd);
    many--;
    who[i] = who[many];
    what[i] = what[many];
}

static void welcome(int *rest) {
    int fd = accept(who[0].fd, NULL, NULL), on = 1;
    if (fd < 0) {
        if (errno != EAGAIN) {
            who[0].events = 0;
            *rest = 1000;
        }
        return;
    }
    ioctl(fd, FIONBIO, &on);
    who[many].fd = fd;
    who[many].events = POLLIN;
    what[many].in = what[many].out = 0;
    many++;
}

/* Returns 1 when the client is no longer needed. */
static int serve(int i) {
    struct iovec piece;
    struct msghdr message = {.msg_iov = &piece, .msg_iovlen = 1};
    if (who[i].events & POLLIN) {
        piece.iov_base = what[i].text + what[i].in;
        piece.iov_len = sizeof what[i].text - what[i].in;
        ssize_t n = recvmsg(who[i].fd, &message, 0);
        if (n > 0) what[i].in += n;
        if (memmem(what[i].text, what[i].in, "\n\r\n", 3)) {
            fwrite(what[i].text, 1, what[i].in, stdout);
            fflush(stdout);
            who[i].events = POLLOUT;
            return 0;
        }
        return n == 0 || (n < 0 && errno != EAGAIN);
    }
    piece.iov_base = (char *)answer + what[i].out;
    piece.iov_len = sizeof answer - 1 - what[i].out;
    ssize_t n = sendmsg(who[i].fd, &message, MSG_NOSIGNAL);
    if (n > 0) what[i].out += n;
    return (n < 0 && errno != EAGAIN) || what[i].out == sizeof answer - 1;
}

int main(int argc, char **argv) {
    struct sockaddr_in a = {.sin_family = AF_INET};
    int on = 1, rest = -1;
    a.sin_port = htons(argc > 1 ? atoi(argv[1]) : 8080);
    who[0].fd = socket(AF_INET, SOCK_STREAM, 0);
    who[0].events = POLLIN;
    many = 1;
    setsockopt(who[0].fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    ioctl(who[0].fd, FIONBIO, &on);
    if (bind(who[0].fd, (struct sockaddr *)&a, sizeof a)) return 1;
    if (listen(who[0].fd, 10)) return 1;
    for (;;) {
        int n = poll(who, many, rest);
        who[0].events = POLLIN;
        rest = -1;
        if (n < 0) continue;
        for (int i = many - 1; i > 0; i--)
            if (who[i].revents && serve(i)) forget(i);
        if (who[0].revents) welcome(&rest);
    }
}
