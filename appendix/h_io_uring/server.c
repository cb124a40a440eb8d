/*
 * Appendix H: example 3 over io_uring.
 *
 * Shows: a program that does not ask when it can call recv. It asks the kernel
 * to do the recv, and learns when it is done. One system call passes many such
 * operations to the kernel, and sleeps until some are complete.
 *
 * New since example 3: two queues in memory that the program and the kernel
 * share, one for operations, one for their results. The sockets block again,
 * because the kernel waits, and not the program.
 *
 * Try it: make h_io_uring && strace ./h_io_uring, and run curl -i
 * localhost:8080 in another terminal: strace shows no accept4, no recv, no
 * send and no close.
 *
 * Limits: it needs Linux 6.1, and many containers forbid io_uring. A program
 * that is killed (SIGKILL) may keep its port for some milliseconds. A silent
 * client may stay forever.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <linux/io_uring.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

/* A longer request is refused: without a limit, one client could fill the
   memory. Most requests are much shorter. */
#define MAX_REQUEST 8192

/* One recv reads at most this many bytes, as in the article. A long request
   needs several calls. */
#define READ_SIZE 1024

/* Length of the submission queue: operations passed to the kernel per call. It
   must be a power of two. */
#define MAX_SUBMISSIONS 256

/* Entries in the table of clients. The descriptor limit of a process is usually
   lower: ulimit -n prints it. The table takes 128 MiB of virtual memory. With a
   larger one, the program might not start where that is limited. */
#define MAX_DESCRIPTORS 16384

/* Length of the accept queue. The article uses 1. SOMAXCONN comes from the C
   library: 4,096 in glibc, 128 in musl. If net.core.somaxconn is smaller, the
   kernel uses that value. */
#define BACKLOG SOMAXCONN

static const char response[] =
    "HTTP/1.0 200 OK\r\nDate: Mon, 1 Jan 1996 01:01:01 GMT\r\n"
    "Content-Type: text/plain\r\nContent-Length: 13\r\n\r\nHello, world!";

/* State of one client, kept between events. Example 2 keeps it in local
   variables. */
struct connection {
    size_t received;
    const char *unsent; /* the rest of the response */
    char request[MAX_REQUEST];
};

/* One entry for each descriptor. The kernel provides only the pages that the
   program touches: usually one (4 KiB) per client. With transparent huge pages,
   a page is 2 MiB. */
static struct connection connections[MAX_DESCRIPTORS];

/* True from the moment when descriptors, memory or table entries run out, until
   a second has passed without a completion. So there is at most one message per
   second. */
static bool shortage;

/* True while an accept is in flight. */
static bool accepting;

/* True from the moment when accept fails, until something else has happened or
   a second has passed. Until then, another accept would fail as well. */
static bool refused;

static int listener = -1;
static int ring = -1;

/* The submission queue: the program writes at the tail, the kernel reads at the
   head. Both count from 0 and only grow. The place in the queue is the rest of
   a division by the length. */
static struct io_uring_sqe *submissions;
static _Atomic unsigned *submissions_head;
static _Atomic unsigned *submissions_tail;

/* The tail that the kernel will see after the next call of submit. */
static unsigned next_submission;

/* The completion queue: the kernel writes at the tail, the program reads at the
   head. */
static const struct io_uring_cqe *completions;
static _Atomic unsigned *completions_head;
static _Atomic unsigned *completions_tail;
static unsigned completions_length;

/* For a failure after which the program can serve nobody: prints the call and
   the reason, and exits. */
static void die(const char *call)
{
    perror(call);
    exit(EXIT_FAILURE);
}

/* Without a handler, the accept in flight would keep the listener open for some
   milliseconds after the end of the program. shutdown frees the port at once. A
   handler may call _exit, but not exit: see signal-safety(7). */
static void end(int signal_number)
{
    (void)signal_number;
    shutdown(listener, SHUT_RDWR);
    _exit(EXIT_SUCCESS);
}

/* Ends the program on SIGINT and SIGTERM, whatever call it sleeps in. */
static void catch_signals(void)
{
    const struct sigaction action = {.sa_handler = end};
    if (sigaction(SIGINT, &action, NULL) == -1 ||
        sigaction(SIGTERM, &action, NULL) == -1)
        die("sigaction");
}

/* Returns the port given on the command line, or 8080. */
static in_port_t port_argument(int argc, char *argv[])
{
    if (argc < 2) return 8080;
    /* strtol alone would accept " 80", "+80" and "80x". */
    size_t digits = strspn(argv[1], "0123456789");
    long port = strtol(argv[1], NULL, 10);
    if (argc == 2 && argv[1][digits] == '\0' && port >= 1 && port <= 65535)
        return (in_port_t)port;
    fprintf(stderr, "usage: %s [port]: one port, 1 to 65535, not '%s'\n",
            argv[0], argv[argc - 1]);
    exit(2);
}

/* Makes listener listen on this port of every IPv4 address. */
static void open_listener(in_port_t port)
{
    /* Not SOCK_NONBLOCK: with it, an operation may sometimes fail with EAGAIN
       instead of waiting. SOCK_CLOEXEC: if this program starts another one, the
       other one does not get the listener. */
    listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (listener == -1) die("socket");

    /* Connections of the previous run may stay in TIME_WAIT for 60 s. Without
       SO_REUSEADDR, bind would fail until then. */
    int on = 1;
    if (setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == -1)
        die("setsockopt");

    struct sockaddr_in any = {.sin_family = AF_INET, .sin_port = htons(port)};
    any.sin_addr.s_addr = htonl(INADDR_ANY);
    if (bind(listener, (struct sockaddr *)&any, sizeof any) == -1) die("bind");
    if (listen(listener, BACKLOG) == -1) die("listen");
}

/* Returns the address of a part of the ring. The kernel has allocated it. */
static char *map(size_t length, off_t part)
{
    char *start = mmap(NULL, length, PROT_READ | PROT_WRITE,
                       MAP_SHARED | MAP_POPULATE, ring, part);
    if (start == MAP_FAILED) die("mmap");
    return start;
}

/* Creates the queues. SINGLE_ISSUER: only one thread submits. DEFER_TASKRUN:
   the kernel works in io_uring_enter, and does not interrupt the program. */
static void open_ring(void)
{
    struct io_uring_params params = {.flags = IORING_SETUP_SINGLE_ISSUER |
                                              IORING_SETUP_DEFER_TASKRUN};
    ring = (int)syscall(SYS_io_uring_setup, MAX_SUBMISSIONS, &params);
    if (ring == -1) die("io_uring_setup (needs Linux 6.1 and permission)");

    submissions = (struct io_uring_sqe *)map(
        MAX_SUBMISSIONS * sizeof *submissions, IORING_OFF_SQES);
    const struct io_sqring_offsets *sq = &params.sq_off;
    char *start =
        map(sq->array + MAX_SUBMISSIONS * sizeof(unsigned), IORING_OFF_SQ_RING);
    submissions_head = (_Atomic unsigned *)(start + sq->head);
    submissions_tail = (_Atomic unsigned *)(start + sq->tail);
    /* This array tells the kernel in which order to take the entries. */
    unsigned *order = (unsigned *)(start + sq->array);
    for (unsigned i = 0; i < MAX_SUBMISSIONS; i++) order[i] = i;

    const struct io_cqring_offsets *cq = &params.cq_off;
    completions_length = params.cq_entries;
    start = map(cq->cqes + completions_length * sizeof *completions,
                IORING_OFF_CQ_RING);
    completions_head = (_Atomic unsigned *)(start + cq->head);
    completions_tail = (_Atomic unsigned *)(start + cq->tail);
    completions = (const struct io_uring_cqe *)(start + cq->cqes);
}

/* A request ends with a blank line. recv may cut it anywhere. */
static bool is_complete(const char *request, size_t length)
{
    return memmem(request, length, "\n\n", 2) != NULL ||
           memmem(request, length, "\n\r\n", 3) != NULL;
}

/* fwrite, because a request may contain NUL bytes. fflush, so that output
   appears at once even through a pipe. Like the article, this omits the last
   two bytes of a complete request. Usually they belong to the blank line. */
static void print_request(const char *request, size_t length)
{
    puts("----------------------------------------");
    fwrite(request, 1, length - 2, stdout);
    putchar('\n');
    fflush(stdout);
}

/* Returns the head of the submission queue. acquire: the program writes to an
   entry only after the kernel has read it. */
static unsigned first_submission(void)
{
    return atomic_load_explicit(submissions_head, memory_order_acquire);
}

/* Passes the new submissions to the kernel. Sleeps until at least this many
   completions are in the queue; in a shortage, for a second at most. */
static void submit(unsigned wanted)
{
    const struct __kernel_timespec second = {.tv_sec = 1};
    const struct io_uring_getevents_arg limit = {
        .ts = shortage ? (uintptr_t)&second : 0};
    /* release: the kernel sees the entries before it sees the tail. */
    atomic_store_explicit(submissions_tail, next_submission,
                          memory_order_release);
    unsigned count = next_submission - first_submission();
    if (syscall(SYS_io_uring_enter, ring, count, wanted,
                IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG, &limit,
                sizeof limit) != -1)
        return;
    /* EAGAIN: no memory for submissions, so that nobody can be served. EINTR:
       the program was stopped (Ctrl-Z) and continued. ETIME: the second has
       passed. */
    if (errno == EAGAIN)
        sleep(1);
    else if (errno != EINTR && errno != ETIME)
        die("io_uring_enter");
}

/* Asks for an operation. Returns its entry, to which the caller adds what else
   the operation needs. */
static struct io_uring_sqe *ask_for(uint8_t operation, int fd)
{
    /* The queue is full: make room. */
    while (next_submission - first_submission() == MAX_SUBMISSIONS) submit(0);
    struct io_uring_sqe *entry =
        &submissions[next_submission++ % MAX_SUBMISSIONS];
    /* The completion will contain the same user_data: main sees what is
       complete. */
    *entry = (struct io_uring_sqe){
        .opcode = operation,
        .fd = fd,
        .user_data = (uint64_t)operation << 32 | (uint32_t)fd,
    };
    return entry;
}

/* Asks for accept. Multishot: every client gives a completion. One without
   IORING_CQE_F_MORE is the last: the program must ask again. */
static void accept_clients(void)
{
    struct io_uring_sqe *entry = ask_for(IORING_OP_ACCEPT, listener);
    entry->ioprio = IORING_ACCEPT_MULTISHOT;
    entry->accept_flags = SOCK_CLOEXEC;
    accepting = true;
}

/* Below, in example 3's order. */
static void receive_some(int fd);
static void send_some(int fd);

/* Asks for close. Nothing else of this client is in flight. SKIP_SUCCESS: no
   completion, because the next client may have the same descriptor by then. */
static void close_connection(int fd)
{
    ask_for(IORING_OP_CLOSE, fd)->flags = IOSQE_CQE_SKIP_SUCCESS;
}

/* For a failure that concerns one client: prints the call and the reason, and
   closes that client's connection. */
static void drop(int fd, const char *call, int error)
{
    errno = error;
    perror(call);
    close_connection(fd);
}

/* accept has given a client, or an error. */
static void accept_connection(int result, bool more)
{
    accepting = more;
    errno = result < 0 ? -result : 0;
    /* A connection was aborted in the queue: take the next one. */
    if (errno == ECONNABORTED || errno == EPROTO) return;
    /* The listener was shut down: accept cannot succeed any more. */
    if (errno == EINVAL) die("accept");
    if (result < 0) {
        /* Usually too many clients. Others are still in the queue, and another
           accept would fail at once. main tries again later. */
        if (!shortage) perror("accept");
        shortage = true;
        refused = true;
        return;
    }
    int fd = result;
    if (fd >= MAX_DESCRIPTORS) {
        if (!shortage) fputs("table full: client refused\n", stderr);
        shortage = true;
        close_connection(fd);
        return;
    }
    connections[fd].received = 0;
    connections[fd].unsent = response;
    receive_some(fd);
}

/* Asks for one recv. Until it is complete, the kernel may write to the buffer
   at any time. */
static void receive_some(int fd)
{
    struct connection *c = &connections[fd];
    size_t room = MAX_REQUEST - c->received;
    if (room > READ_SIZE) room = READ_SIZE;
    struct io_uring_sqe *entry = ask_for(IORING_OP_RECV, fd);
    entry->addr = (uintptr_t)(c->request + c->received);
    entry->len = (uint32_t)room;
}

/* recv is complete: the client has sent something, or has left. */
static void read_request(int fd, int result)
{
    struct connection *c = &connections[fd];
    if (result > 0) c->received += (size_t)result;
    if (is_complete(c->request, c->received)) {
        print_request(c->request, c->received);
        send_some(fd);
    } else if (result < 0) {
        drop(fd, "recv", -result);
    } else if (result == 0 || c->received == MAX_REQUEST) {
        fprintf(stderr, "no complete request in %zu bytes\n", c->received);
        close_connection(fd);
    } else {
        receive_some(fd);
    }
}

/* Asks for one send. */
static void send_some(int fd)
{
    const struct connection *c = &connections[fd];
    struct io_uring_sqe *entry = ask_for(IORING_OP_SEND, fd);
    entry->addr = (uintptr_t)c->unsent;
    entry->len = (uint32_t)strlen(c->unsent);
    /* MSG_NOSIGNAL: get the error EPIPE instead of a fatal SIGPIPE if the
       client is gone. */
    entry->msg_flags = MSG_NOSIGNAL;
}

/* send is complete. */
static void send_response(int fd, int result)
{
    struct connection *c = &connections[fd];
    /* send may accept only part of the data. */
    if (result > 0) c->unsent += result;
    if (result < 0) {
        drop(fd, "send", -result);
    } else if (*c->unsent != '\0') {
        send_some(fd);
    } else {
        /* If input is unread, close sends a reset: shutdown sends the end of
           the stream first. A system call is better here: for a shutdown in the
           queue, the kernel uses a second thread. It fails if the client has
           reset the connection. */
        shutdown(fd, SHUT_RDWR);
        close_connection(fd);
    }
}

int main(int argc, char *argv[])
{
    in_port_t port = port_argument(argc, argv);
    catch_signals();
    open_listener(port);
    open_ring();
    fprintf(stderr, "listening: try curl -i http://localhost:%d/\n", port);

    for (unsigned head = 0;;) {
        if (!accepting && !refused) accept_clients();
        submit(1);
        /* acquire: the program reads the entries after the tail. */
        unsigned tail =
            atomic_load_explicit(completions_tail, memory_order_acquire);
        /* A second has passed without a completion. */
        if (head == tail) shortage = refused = false;
        for (; head != tail; head++) {
            const struct io_uring_cqe *done =
                &completions[head % completions_length];
            uint64_t operation = done->user_data >> 32;
            int fd = (int)(uint32_t)done->user_data;
            if (fd == listener)
                accept_connection(done->res, done->flags & IORING_CQE_F_MORE);
            else if (operation == IORING_OP_RECV)
                read_request(fd, done->res);
            else if (operation == IORING_OP_SEND)
                send_response(fd, done->res);
            if (fd != listener) refused = false;
        }
        /* release: the kernel writes to these entries only now. */
        atomic_store_explicit(completions_head, head, memory_order_release);
    }
}
