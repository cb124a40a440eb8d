/*
 * A library to preload into a server: says on stderr, for every connection that
 * accept4 returns, whether TCP_NODELAY is on. strace cannot see that, because a
 * connection inherits the option without a system call.
 */
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

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
