/*
 * Appendix E: many clients, four threads, one epoll instance.
 *
 * Shows: EPOLLONESHOT. All threads wait for all clients. The first event of a
 * descriptor disables it: epoll reports nothing more about it, not even a
 * reset, until a thread arms it again. So two threads never have the same
 * client. The descriptor is disabled, not removed: EPOLL_CTL_MOD arms it, and
 * EPOLL_CTL_ADD would fail with EEXIST.
 *
 * New since example 3: EPOLLONESHOT in every registration, and four threads,
 * the workers, that run the loop. read_request and send_response only return
 * what to wait for next, because a worker arms a descriptor last: after that,
 * another worker may have it.
 *
 * Try it: make e_oneshot && strace -f -e trace=recvfrom ./e_oneshot, and
 * curl -i localhost:8080 in another terminal: one thread calls recv. Then
 * delete " | EPOLLONESHOT" in watch: several threads call recv for this client.
 *
 * Limits: every event costs an epoll_ctl, and the workers print one at a time.
 * Threads pay where a response takes long to make. This one does not.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

/* A longer request is refused: without a limit, one client could fill the
   memory. Most requests are much shorter. */
#define MAX_REQUEST 8192

/* One recv reads at most this many bytes, as in the article. A long request
   needs several calls. */
#define READ_SIZE 1024

/* Threads: usually one for each processor. The tests also use a program with
   one. */
#ifndef WORKERS
#define WORKERS 4
#endif

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

/* Set when descriptors, memory or table entries run out. Cleared after one
   second without an event. The program prints a message only when this becomes
   true, so at most one per second. */
static bool shortage;

/* C promises that a thread sees what another one has written only if both use
   the same lock, and it knows nothing of epoll. So a worker holds this lock all
   the time, with two exceptions: while it waits, and while it serves a client,
   because EPOLLONESHOT promises that no other worker has this client. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

/* What a worker needs. */
struct server {
    int epoll;
    int listener;
};

/* For a failure after which the program can serve nobody: prints the call and
   the reason, and exits. */
static void die(const char *call)
{
    perror(call);
    exit(EXIT_FAILURE);
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

/* Returns a socket that listens on this port of every IPv4 address. */
static int open_listener(in_port_t port)
{
    /* SOCK_CLOEXEC: if this program starts another one, that one does not get
       the listener. With a copy of it, the port would stay in use after this
       program has ended. */
    int type = SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC;
    int listener = socket(AF_INET, type, 0);
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
    return listener;
}

/* A request ends with a blank line. recv may cut it anywhere. */
static bool is_complete(const char *request, size_t length)
{
    return memmem(request, length, "\n\n", 2) != NULL ||
           memmem(request, length, "\n\r\n", 3) != NULL;
}

/* fwrite, because a request may contain NUL bytes. fflush, so that output
   appears at once even through a pipe. As in the article, without the last two
   bytes: usually they are part of the blank line. The lock of stdout keeps the
   requests of two workers apart. */
static void print_request(const char *request, size_t length)
{
    flockfile(stdout);
    puts("----------------------------------------");
    fwrite(request, 1, length - 2, stdout);
    putchar('\n');
    fflush(stdout);
    funlockfile(stdout);
}

/* Registers fd (EPOLL_CTL_ADD) or replaces its event mask (EPOLL_CTL_MOD). The
   mask contains the events to wait for. epoll_wait returns data.fd with each
   event. Both arm fd for one event: after that, another worker may have it. */
static int watch(int epoll, int operation, int fd, uint32_t events)
{
    struct epoll_event event = {.events = events | EPOLLONESHOT, .data.fd = fd};
    return epoll_ctl(epoll, operation, fd, &event);
}

/* For a failure that concerns one client: prints the call and the reason, and
   closes that client's connection. close also ends the registration. */
static void drop(int fd, const char *call)
{
    perror(call);
    close(fd);
}

/* Accepts one client. Returns false in a shortage: then the listener stays
   disabled. */
static bool accept_connection(int epoll, int listener)
{
    /* SOCK_CLOEXEC: another program that we start does not get this descriptor.
       If it had a copy, our close would not end the registration. */
    int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    /* The queue is empty. If the listener were blocking, accept4 would sleep
       here, and all clients would wait. */
    if (fd == -1 && errno == EAGAIN) return true;
    /* A connection was aborted in the queue: take the next one. Rare on Linux:
       there, accept4 succeeds even if the client has reset the connection, and
       the later recv fails. */
    if (fd == -1 && (errno == ECONNABORTED || errno == EPROTO)) return true;
    /* The listener was shut down: accept4 cannot succeed any more. */
    if (fd == -1 && errno == EINVAL) die("accept4");
    if (fd == -1 || fd >= MAX_DESCRIPTORS) {
        /* Usually too many clients. Some are still in the queue, and epoll
           would report them again and again: do not arm the listener. A worker
           tries again later. */
        if (!shortage && fd == -1) perror("accept4");
        if (!shortage && fd >= 0) fputs("table full: client refused\n", stderr);
        if (fd >= 0) close(fd);
        shortage = true;
        return false;
    }
    connections[fd].received = 0;
    connections[fd].unsent = response;
    if (watch(epoll, EPOLL_CTL_ADD, fd, EPOLLIN) == -1) drop(fd, "epoll_ctl");
    return true;
}

/* In a shortage, a worker calls this after each event and each time-out: a
   client may have left, or a second has passed (ready is 0). */
static void retry_accept(int epoll, int listener, int ready)
{
    int result = watch(epoll, EPOLL_CTL_MOD, listener, EPOLLIN);
    if (ready == 0 && result == 0) shortage = false;
}

/* Calls recv once. Returns its result. */
static ssize_t receive_some(int fd)
{
    struct connection *c = &connections[fd];
    size_t room = MAX_REQUEST - c->received;
    if (room > READ_SIZE) room = READ_SIZE;
    ssize_t n = recv(fd, c->request + c->received, room, 0);
    if (n > 0) c->received += (size_t)n;
    return n;
}

/* EPOLLIN: the client has sent something, or has left. Returns the event to
   wait for next, or 0: nothing, close the connection. */
static uint32_t read_request(int fd)
{
    const struct connection *c = &connections[fd];
    ssize_t n = receive_some(fd);
    if (is_complete(c->request, c->received)) {
        print_request(c->request, c->received);
        return EPOLLOUT;
    }
    if (n == -1 && errno != EAGAIN) {
        perror("recv");
        return 0;
    }
    if (n == 0 || c->received == MAX_REQUEST) {
        fprintf(stderr, "no complete request in %zu bytes\n", c->received);
        return 0;
    }
    return EPOLLIN;
}

/* Calls send once. Returns its result. */
static ssize_t send_some(int fd)
{
    struct connection *c = &connections[fd];
    /* MSG_NOSIGNAL: get the error EPIPE instead of a fatal SIGPIPE if the
       client is gone. */
    ssize_t n = send(fd, c->unsent, strlen(c->unsent), MSG_NOSIGNAL);
    /* send may accept only part of the data. */
    if (n > 0) c->unsent += n;
    return n;
}

/* EPOLLOUT: the kernel has room for data to send. Returns the same. */
static uint32_t send_response(int fd)
{
    ssize_t n = send_some(fd);
    if (n == -1 && errno != EAGAIN) {
        perror("send");
        return 0;
    }
    if (*connections[fd].unsent != '\0') return EPOLLOUT;
    /* Shutting down both directions makes the kernel report EPOLLHUP
       immediately. If input is unread, close sends a reset: shutdown sends the
       end of the stream first. shutdown fails if the client has reset the
       connection. */
    return shutdown(fd, SHUT_RDWR) == -1 ? 0 : EPOLLHUP;
}

/* Does what an event asks for, without the lock. Then takes the lock, and arms
   the client or closes its connection. */
static void serve(int epoll, int fd, uint32_t events)
{
    uint32_t next = 0; /* EPOLLHUP or EPOLLERR: close */
    pthread_mutex_unlock(&lock);
    if (events & EPOLLIN)
        next = read_request(fd);
    else if (events & EPOLLOUT)
        next = send_response(fd);
    pthread_mutex_lock(&lock);
    if (next == 0)
        close(fd);
    else if (watch(epoll, EPOLL_CTL_MOD, fd, next) == -1)
        drop(fd, "epoll_ctl");
}

/* What each thread runs. */
static _Noreturn void *work(void *argument)
{
    const struct server *server = argument;
    int epoll = server->epoll;
    int listener = server->listener;
    pthread_mutex_lock(&lock);
    for (;;) {
        /* During a shortage, try again after the next event or 1,000 ms. */
        int timeout = shortage ? 1000 : -1;
        pthread_mutex_unlock(&lock);
        /* One event: with more, a client could wait for a busy worker while
           another worker sleeps. */
        struct epoll_event event;
        int ready = epoll_wait(epoll, &event, 1, timeout);
        /* EINTR: the program was stopped (Ctrl-Z) and continued. */
        if (ready == -1 && errno != EINTR) die("epoll_wait");
        pthread_mutex_lock(&lock);
        if (ready == 1 && event.data.fd == listener) {
            if (accept_connection(epoll, listener) &&
                watch(epoll, EPOLL_CTL_MOD, listener, EPOLLIN) == -1)
                die("epoll_ctl");
        } else {
            if (ready == 1) serve(epoll, event.data.fd, event.events);
            if (shortage) retry_accept(epoll, listener, ready);
        }
    }
}

int main(int argc, char *argv[])
{
    in_port_t port = port_argument(argc, argv);
    int listener = open_listener(port);
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    if (epoll == -1) die("epoll_create1");
    if (watch(epoll, EPOLL_CTL_ADD, listener, EPOLLIN) == -1) die("epoll_ctl");
    struct server server = {epoll, listener};
    for (int i = 1; i < WORKERS; i++) {
        pthread_t thread;
        errno = pthread_create(&thread, NULL, work, &server);
        if (errno != 0) die("pthread_create");
    }
    fprintf(stderr, "listening: try curl -i http://localhost:%d/\n", port);
    work(&server);
}
