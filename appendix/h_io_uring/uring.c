/*
 * A library to preload into a server with io_uring. For its operations, it does
 * what strace does for system calls. From the environment:
 *
 *   URING_TRACE    a file: for each operation that the program asks for, a line
 *                  "recv(6, 1024)"; for each completion, "recv(6) = 18"; and
 *                  the calls of shutdown
 *   URING_FAIL     the name of an operation that is not carried out
 *   URING_RESULT   its result instead, for example -104 (ECONNRESET)
 *   URING_WHEN     which of these operations: 1 is the first; 0: all
 *   URING_ONESHOT  if set, each accept gives one client only
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <linux/io_uring.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#define MAX_FAILURES 16

static FILE *trace;
static struct io_uring_sqe *submissions;
static struct io_uring_cqe *completions;
static _Atomic unsigned *submissions_tail, *completions_tail;
static unsigned submissions_length, submissions_seen;
static unsigned completions_length, completions_seen;

/* Operations that fail, until they are complete. */
static unsigned long long failing[MAX_FAILURES];
static int count_failing;

static const char *name_of(unsigned long long operation)
{
    return operation == IORING_OP_ACCEPT  ? "accept"
           : operation == IORING_OP_RECV  ? "recv"
           : operation == IORING_OP_SEND  ? "send"
           : operation == IORING_OP_CLOSE ? "close"
                                          : "another";
}

static long number(const char *name)
{
    const char *value = getenv(name);
    return value == NULL ? 0 : strtol(value, NULL, 10);
}

/* Maps the queues a second time: the same memory at another address. */
static char *map(int ring, size_t length, off_t part)
{
    void *start =
        mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_SHARED, ring, part);
    if (start == MAP_FAILED) abort();
    return start;
}

static void open_queues(int ring, const struct io_uring_params *params)
{
    const char *path = getenv("URING_TRACE");
    trace = fopen(path == NULL ? "/dev/null" : path, "ae");
    if (trace == NULL) abort();
    submissions_length = params->sq_entries;
    completions_length = params->cq_entries;
    submissions = (struct io_uring_sqe *)map(
        ring, submissions_length * sizeof *submissions, IORING_OFF_SQES);
    char *start = map(ring, params->sq_off.array, IORING_OFF_SQ_RING);
    submissions_tail = (_Atomic unsigned *)(start + params->sq_off.tail);
    start = map(ring,
                params->cq_off.cqes + completions_length * sizeof *completions,
                IORING_OFF_CQ_RING);
    completions_tail = (_Atomic unsigned *)(start + params->cq_off.tail);
    completions = (struct io_uring_cqe *)(start + params->cq_off.cqes);
}

/* An operation that fails becomes one that does nothing. Its completion gets
   another result. */
static void let_fail(struct io_uring_sqe *entry)
{
    static long count;
    const char *name = getenv("URING_FAIL");
    if (name == NULL || strcmp(name, name_of(entry->opcode)) != 0) return;
    count++;
    long when = number("URING_WHEN");
    if ((when != 0 && when != count) || count_failing == MAX_FAILURES) return;
    failing[count_failing++] = entry->user_data;
    *entry = (struct io_uring_sqe){.opcode = IORING_OP_NOP,
                                   .user_data = entry->user_data};
}

static void see_submissions(void)
{
    for (; submissions_seen != *submissions_tail; submissions_seen++) {
        struct io_uring_sqe *entry =
            &submissions[submissions_seen % submissions_length];
        fprintf(trace, "%s(%d, %u)\n", name_of(entry->opcode), entry->fd,
                entry->len);
        if (entry->opcode == IORING_OP_ACCEPT && getenv("URING_ONESHOT"))
            entry->ioprio = 0;
        let_fail(entry);
    }
    fflush(trace);
}

static void see_completions(void)
{
    for (; completions_seen != *completions_tail; completions_seen++) {
        struct io_uring_cqe *done =
            &completions[completions_seen % completions_length];
        for (int i = 0; i < count_failing; i++) {
            if (failing[i] != done->user_data) continue;
            done->res = (int)number("URING_RESULT");
            failing[i] = failing[--count_failing];
            fputs("INJECTED ", trace);
            break;
        }
        fprintf(trace, "%s(%d) = %d%s\n", name_of(done->user_data >> 32),
                (int)done->user_data, done->res,
                done->flags & IORING_CQE_F_MORE ? ", more" : "");
    }
    fflush(trace);
}

long syscall(long call, ...)
{
    static long (*real)(long, ...);
    if (real == NULL) *(void **)&real = dlsym(RTLD_NEXT, "syscall");
    long a[6];
    va_list list;
    va_start(list, call);
    for (int i = 0; i < 6; i++) a[i] = va_arg(list, long);
    va_end(list);

    if (call == SYS_io_uring_enter) see_submissions();
    long result = real(call, a[0], a[1], a[2], a[3], a[4], a[5]);
    int error = errno;
    if (call == SYS_io_uring_setup && result != -1)
        open_queues((int)result, (const struct io_uring_params *)a[1]);
    if (call == SYS_io_uring_enter) see_completions();
    errno = error;
    return result;
}

int shutdown(int fd, int how)
{
    static int (*real)(int, int);
    if (real == NULL) *(void **)&real = dlsym(RTLD_NEXT, "shutdown");
    if (trace != NULL) fprintf(trace, "shutdown(%d, %d)\n", fd, how);
    return real(fd, how);
}
