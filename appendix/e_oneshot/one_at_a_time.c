/*
 * A library to preload into a server that has threads.
 *
 * Says on stderr when a thread calls accept4, recv or send with a descriptor
 * while another thread is in such a call with the same descriptor. Each of
 * these calls takes a millisecond longer, so that threads meet, and so does
 * fwrite.
 */
#include <stdatomic.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#define MAX_DESCRIPTORS 16384

/* In microseconds. */
#define DELAY 1000

/* How many threads are in a call with this descriptor. */
static atomic_int threads[MAX_DESCRIPTORS];

static void enter(int fd)
{
    if (atomic_fetch_add(&threads[fd], 1) != 0)
        fprintf(stderr, "two threads at once with descriptor %d\n", fd);
    usleep(DELAY);
}

static void leave(int fd)
{
    atomic_fetch_sub(&threads[fd], 1);
}

int accept4(int fd, struct sockaddr *address, socklen_t *length, int flags)
{
    enter(fd);
    int connection = (int)syscall(SYS_accept4, fd, address, length, flags);
    leave(fd);
    return connection;
}

ssize_t recv(int fd, void *data, size_t length, int flags)
{
    enter(fd);
    ssize_t n = syscall(SYS_recvfrom, fd, data, length, flags, NULL, NULL);
    leave(fd);
    return n;
}

ssize_t send(int fd, const void *data, size_t length, int flags)
{
    enter(fd);
    ssize_t n = syscall(SYS_sendto, fd, data, length, flags, NULL, 0);
    leave(fd);
    return n;
}

size_t fwrite(const void *data, size_t size, size_t count, FILE *stream)
{
    usleep(DELAY);
    flockfile(stream);
    size_t n = fwrite_unlocked(data, size, count, stream);
    funlockfile(stream);
    return n;
}
