/*
 * A library to preload into a server that has threads.
 *
 * Says on stderr when a thread calls accept4, recv or send with a descriptor
 * while another thread is in such a call with the same descriptor. Also says,
 * once for each thread, that this thread has made such a call.
 *
 * Each of these calls takes a millisecond longer, so that threads meet. So do
 * fwrite, at its start, and close, at its end.
 */
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#define MAX_DESCRIPTORS 65536

/* In microseconds. */
#define DELAY 1000

/* How many threads are in a call with this descriptor. */
static atomic_int threads[MAX_DESCRIPTORS];

/* Which threads have made a call, by their ids: the kernel's limit is 2^22. Not
   _Thread_local, because musl would not load glibc's code for that. */
static atomic_bool seen[1 << 22];

static void enter(int fd)
{
    long thread = syscall(SYS_gettid);
    if (!atomic_exchange(&seen[thread], true))
        fprintf(stderr, "thread %ld takes part\n", thread);
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

int close(int fd)
{
    int result = (int)syscall(SYS_close, fd);
    usleep(DELAY);
    return result;
}

size_t fwrite(const void *data, size_t size, size_t count, FILE *stream)
{
    usleep(DELAY);
    flockfile(stream);
    size_t n = fwrite_unlocked(data, size, count, stream);
    funlockfile(stream);
    return n;
}
