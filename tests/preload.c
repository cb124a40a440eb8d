/*
 * A library to preload into a server: what strace cannot do.
 *
 * SIGNAL_BEFORE=accept (or recv, epoll_wait, select, or poll) in the
 * environment: the first such call is preceded by a SIGTERM, which thus lands
 * after the server has looked at its flag and before it blocks.
 *
 * Says on stderr of every connection that accept4 returns whether TCP_NODELAY
 * is on.
 */
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

static void signal_before(const char *call)
{
    static int done;
    const char *wanted = getenv("SIGNAL_BEFORE");
    if (wanted == NULL || strcmp(wanted, call) != 0 || done) return;
    done = 1;
    raise(SIGTERM);
}

int accept(int fd, struct sockaddr *address, socklen_t *length)
{
    signal_before("accept");
    return (int)syscall(SYS_accept4, fd, address, length, 0);
}

int accept4(int fd, struct sockaddr *address, socklen_t *length, int flags)
{
    int connection = (int)syscall(SYS_accept4, fd, address, length, flags);
    int on = 0;
    socklen_t size = sizeof on;
    if (connection != -1 &&
        getsockopt(connection, IPPROTO_TCP, TCP_NODELAY, &on, &size) == 0)
        fprintf(stderr, "accepted: TCP_NODELAY is %s\n", on ? "on" : "off");
    return connection;
}

ssize_t recv(int fd, void *data, size_t length, int flags)
{
    signal_before("recv");
    return syscall(SYS_recvfrom, fd, data, length, flags, NULL, NULL);
}

int epoll_wait(int epoll, struct epoll_event *events, int most, int timeout)
{
    signal_before("epoll_wait");
    return (int)syscall(SYS_epoll_pwait, epoll, events, most, timeout, NULL, 0);
}

/* select and poll without a time limit, as the servers call them. */
int select(int count, fd_set *to_read, fd_set *to_write, fd_set *other,
           struct timeval *limit)
{
    (void)limit;
    signal_before("select");
    return (int)syscall(SYS_pselect6, count, to_read, to_write, other, NULL,
                        NULL);
}

int poll(struct pollfd *fds, nfds_t count, int timeout)
{
    (void)timeout;
    signal_before("poll");
    return (int)syscall(SYS_ppoll, fds, count, NULL, NULL, 0);
}
