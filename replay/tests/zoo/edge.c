/* ex4, right: one registration for each client, data.u64, IPv6, epoll_pwait. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

static const char answer[] =
    "HTTP/1.0 200 OK\r\nDate: Mon, 1 Jan 1996 01:01:01 GMT\r\n"
    "Content-Type: text/plain\r\nContent-Length: 13\r\n\r\nHello, world!";

static char text[1000][8192];
static size_t in[1000], out[1000];

static void goodbye(int fd)
{
    shutdown(fd, SHUT_RDWR);
    close(fd);
}

/* Reads and writes until the kernel has no more for us. */
static void pump(int fd)
{
    ssize_t n;
    while ((n = recvfrom(fd, text[fd] + in[fd], 8192 - in[fd], MSG_DONTWAIT,
                         NULL, NULL)) > 0)
        in[fd] += n;
    int gone = n == 0 || (n == -1 && errno != EAGAIN);
    if (!memmem(text[fd], in[fd], "\n\r\n", 3)) {
        if (gone) goodbye(fd);
        return;
    }
    if (out[fd] == 0) {
        fwrite(text[fd], 1, in[fd], stdout);
        fflush(stdout);
    }
    while ((n = send(fd, answer + out[fd], sizeof answer - 1 - out[fd],
                     MSG_NOSIGNAL | MSG_DONTWAIT)) > 0)
        out[fd] += n;
    if (out[fd] == sizeof answer - 1 || errno != EAGAIN) goodbye(fd);
}

int main(int argc, char **argv)
{
    struct sockaddr_in6 any = {.sin6_family = AF_INET6};
    struct epoll_event event = {.events = EPOLLIN | EPOLLET}, events[8];
    int door = socket(AF_INET6, SOCK_STREAM | SOCK_NONBLOCK, 0), yes = 1;
    any.sin6_port = htons(argc > 1 ? atoi(argv[1]) : 8080);
    setsockopt(door, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (bind(door, (struct sockaddr *)&any, sizeof any)) return 1;
    if (listen(door, SOMAXCONN)) return 1;
    int ep = epoll_create1(0), more = 0;
    event.data.u64 = UINT64_MAX;
    epoll_ctl(ep, EPOLL_CTL_ADD, door, &event);
    for (;;) {
        int n = epoll_pwait(ep, events, 8, more ? 1000 : -1, NULL);
        for (int i = 0; i < n; i++)
            if (events[i].data.u64 != UINT64_MAX)
                pump((int)(events[i].data.u64 >> 32));
        int fd;
        while ((fd = accept4(door, NULL, NULL, SOCK_NONBLOCK)) != -1) {
            in[fd] = out[fd] = 0;
            event.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;
            event.data.u64 = (uint64_t)fd << 32 | 12345;
            epoll_ctl(ep, EPOLL_CTL_ADD, fd, &event);
        }
        more = errno != EAGAIN;
    }
}
