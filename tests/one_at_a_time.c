/*
 * A library to preload into a server that has threads.
 *
 * Says on stderr when a thread calls accept4, recv or send with a descriptor
 * while another thread is in such a call with the same one; and of each thread,
 * once, that it has called one of them. Each of these dawdles, and so do close,
 * afterwards, and fwrite, before, so that threads that may meet do meet.
 */
#include <stdatomic.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#define MAX_DESCRIPTORS 65536
#define DAWDLE 1000

static atomic_int inside[MAX_DESCRIPTORS];

static void enter(int fd)
{
    static _Thread_local int known;
    if (!known) fprintf(stderr, "thread %ld takes part\n", syscall(SYS_gettid));
    known = 1;
    if (atomic_fetch_add(&inside[fd], 1) != 0)
        fprintf(stderr, "two threads at once with descriptor %d\n", fd);
    usleep(DAWDLE);
}

static void leave(int fd)
{
    atomic_fetch_sub(&inside[fd], 1);
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

int close(int fd)
{
    int result = (int)syscall(SYS_close, fd);
    usleep(DAWDLE);
    return result;
}

size_t fwrite(const void *data, size_t size, size_t count, FILE *stream)
{
    usleep(DAWDLE);
    flockfile(stream);
    size_t n = fwrite_unlocked(data, size, count, stream);
    funlockfile(stream);
    return n;
}
