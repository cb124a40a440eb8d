/*
 * Appendix C: an echo server with a bounded queue for each client.
 *
 * Shows: backpressure. Each client has a queue of received data. While the
 * queue is full, the server does not read from this client. So a client that
 * never reads fills the buffers of the kernel, not our memory.
 *
 * New since example 3: the queue. The server watches EPOLLIN while the queue
 * has room, and EPOLLOUT while it has data, so often both. It also writes a
 * log, and it listens on 127.0.0.1 only.
 *
 * Try it: make c_echo_queues && ./c_echo_queues, and in another terminal
 * make echo_client && ./echo_client.
 *
 * Limits: a client that never reads may stay forever. A server on the internet
 * also needs a time limit. If nobody reads the log, the server sleeps in write.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

/* Bytes requested per recv, as in the article, and so the longest chunk. */
#define READ_SIZE 1024

/* Chunks that one client may have in its queue: 16 KiB. */
#define QUEUE_SIZE 16

/* One epoll_wait returns at most this many events. The next call returns the
   others. */
#define MAX_EVENTS 64

/* Entries in the table of clients, half of example 3's, because an entry is
   twice as long. A process may usually have fewer descriptors: ulimit -n prints
   the limit. */
#define MAX_DESCRIPTORS 8192

/* Length of the accept queue. The article uses 1. SOMAXCONN comes from the C
   library: 4,096 in glibc, 128 in musl. If net.core.somaxconn is smaller, the
   kernel uses that value. */
#define BACKLOG SOMAXCONN

/* What one recv returned. TCP has no messages: one send of the client may
   arrive in several chunks, and several sends in one chunk. */
struct chunk {
    size_t length;
    char data[READ_SIZE];
};

/* State of one client, kept between events. */
struct connection {
    char name[sizeof "255.255.255.255:65535"];
    /* True after the client has ended its stream. */
    bool ended;
    /* Bytes of the oldest chunk that are sent. */
    size_t sent;
    /* The queue is a ring: queue[0] follows queue[QUEUE_SIZE - 1]. */
    size_t oldest;
    size_t count;
    struct chunk queue[QUEUE_SIZE];
};

/* One entry for each descriptor. The kernel provides only the pages that the
   program touches. */
static struct connection connections[MAX_DESCRIPTORS];

/* Set when descriptors, memory or table entries run out. Cleared after one
   second without an event. The program prints a message only when this becomes
   true, so at most one per second. */
static bool shortage;

/* For a failure after which the program can serve nobody: prints the call and
   the reason, and exits. */
static void die(const char *call)
{
    perror(call);
    exit(EXIT_FAILURE);
}

/* Returns the port given on the command line, or 10000. */
static in_port_t port_argument(int argc, char *argv[])
{
    if (argc < 2) return 10000;
    /* strtol alone would accept " 80", "+80" and "80x". */
    size_t digits = strspn(argv[1], "0123456789");
    long port = strtol(argv[1], NULL, 10);
    if (argc == 2 && argv[1][digits] == '\0' && port >= 1 && port <= 65535)
        return (in_port_t)port;
    fprintf(stderr, "usage: %s [port]: one port, 1 to 65535, not '%s'\n",
            argv[0], argv[argc - 1]);
    exit(2);
}

/* Returns a socket that listens on this port of 127.0.0.1. */
static int open_listener(in_port_t port)
{
    /* SOCK_CLOEXEC: if this program starts another one, the other one does not
       get the listener. With a copy of it there, the port would stay in use. */
    int type = SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC;
    int listener = socket(AF_INET, type, 0);
    if (listener == -1) die("socket");

    /* Connections of the previous run may stay in TIME_WAIT for 60 s. Without
       SO_REUSEADDR, bind would fail until then. */
    int on = 1;
    if (setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == -1)
        die("setsockopt");

    /* Accepted sockets inherit this. An urgent byte keeps its place among the
       others, and recv returns it there. */
    if (setsockopt(listener, SOL_SOCKET, SO_OOBINLINE, &on, sizeof on) == -1)
        die("setsockopt");

    struct sockaddr_in own = {.sin_family = AF_INET, .sin_port = htons(port)};
    own.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (bind(listener, (struct sockaddr *)&own, sizeof own) == -1) die("bind");
    if (listen(listener, BACKLOG) == -1) die("listen");
    return listener;
}

/* Registers fd (EPOLL_CTL_ADD), replaces its event mask (EPOLL_CTL_MOD) or ends
   its registration (EPOLL_CTL_DEL). The mask contains the events to wait for.
   epoll_wait returns data.fd with each event. */
static int watch(int epoll, int operation, int fd, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.fd = fd};
    return epoll_ctl(epoll, operation, fd, &event);
}

/* Says why in the log. close also ends the registration. */
static void close_connection(int fd, const char *why)
{
    fprintf(stderr, "closing %s: %s\n", connections[fd].name, why);
    close(fd);
}

/* Reads only while the queue has room, sends only while it has data. If neither
   is possible, the client has ended its stream and everything is sent. */
static void watch_queue(int epoll, int fd)
{
    const struct connection *c = &connections[fd];
    uint32_t events = 0;
    if (c->count < QUEUE_SIZE && !c->ended) events |= EPOLLIN;
    if (c->count > 0) events |= EPOLLOUT;
    if (events == 0)
        close_connection(fd, "end of stream");
    else if (watch(epoll, EPOLL_CTL_MOD, fd, events) == -1)
        close_connection(fd, strerror(errno));
}

/* Accepts one client. Returns true if more may be in the queue. Level-triggered
   epoll reports them again. */
static bool accept_connection(int epoll, int listener)
{
    struct sockaddr_in peer = {0};
    struct sockaddr *address = (struct sockaddr *)&peer;
    socklen_t size = sizeof peer;
    /* SOCK_CLOEXEC: another program that we start does not get this descriptor.
       If it had a copy, our close would not end the registration. */
    int fd = accept4(listener, address, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
    /* The queue is empty. If the listener were blocking, accept4 would sleep
       here, and all clients would wait. */
    if (fd == -1 && errno == EAGAIN) return false;
    /* A connection was aborted in the queue: take the next one. Rare on Linux:
       there, accept4 succeeds even if the client has reset the connection, and
       the later recv fails. */
    if (fd == -1 && (errno == ECONNABORTED || errno == EPROTO)) return true;
    /* The listener was shut down: accept4 cannot succeed any more. */
    if (fd == -1 && errno == EINVAL) die("accept4");
    if (fd == -1 || fd >= MAX_DESCRIPTORS) {
        /* Usually too many clients. Others are still in the queue, so epoll
           would report them again and again: stop watching the listener. A mask
           of 0 would not stop EPOLLHUP. main tries again later. */
        if (!shortage && fd == -1) perror("accept4");
        if (!shortage && fd >= 0) fputs("table full: client refused\n", stderr);
        if (fd >= 0) close(fd);
        shortage = true;
        if (watch(epoll, EPOLL_CTL_DEL, listener, 0) == -1) die("epoll_ctl");
        return false;
    }
    struct connection *c = &connections[fd];
    c->ended = false;
    c->sent = 0;
    c->oldest = 0;
    c->count = 0;
    /* Needed later: after a reset, the kernel no longer knows the address. */
    snprintf(c->name, sizeof c->name, "%s:%d", inet_ntoa(peer.sin_addr),
             ntohs(peer.sin_port));
    fprintf(stderr, "new connection from %s\n", c->name);
    if (watch(epoll, EPOLL_CTL_ADD, fd, EPOLLIN) == -1)
        close_connection(fd, strerror(errno));
    return true;
}

/* During a shortage, main calls this after each epoll_wait. A client may have
   left since the last try, or a second has passed (ready is 0). */
static void retry_accept(int epoll, int listener, int ready)
{
    int result = watch(epoll, EPOLL_CTL_ADD, listener, EPOLLIN);
    /* EEXIST: an earlier call has already registered the listener. After any
       other failure, the shortage goes on, and the next call tries again. */
    if (ready == 0 && (result == 0 || errno == EEXIST)) shortage = false;
}

/* Calls recv once. Returns its result. The queue has room: otherwise, the
   server would not watch EPOLLIN. */
static ssize_t receive_some(int fd)
{
    struct connection *c = &connections[fd];
    struct chunk *chunk = &c->queue[(c->oldest + c->count) % QUEUE_SIZE];
    ssize_t n = recv(fd, chunk->data, READ_SIZE, 0);
    if (n <= 0) return n;
    chunk->length = (size_t)n;
    c->count++;
    /* Not the bytes themselves: they could control the terminal. */
    fprintf(stderr, "received %zd bytes from %s\n", n, c->name);
    return n;
}

/* EPOLLIN: the client has sent something, or its stream has ended. */
static void read_chunk(int epoll, int fd)
{
    ssize_t n = receive_some(fd);
    if (n == 0) connections[fd].ended = true;
    if (n == -1 && errno != EAGAIN)
        close_connection(fd, strerror(errno));
    else
        watch_queue(epoll, fd);
}

/* Calls send once. Returns its result. */
static ssize_t send_some(int fd)
{
    struct connection *c = &connections[fd];
    const struct chunk *chunk = &c->queue[c->oldest];
    /* MSG_NOSIGNAL: get the error EPIPE instead of a fatal SIGPIPE if the
       client is gone. */
    ssize_t n =
        send(fd, chunk->data + c->sent, chunk->length - c->sent, MSG_NOSIGNAL);
    if (n == -1) return n;
    fprintf(stderr, "sending %zd bytes to %s\n", n, c->name);
    /* send may accept only part of the data. */
    c->sent += (size_t)n;
    if (c->sent < chunk->length) return n;
    c->sent = 0;
    c->oldest = (c->oldest + 1) % QUEUE_SIZE;
    c->count--;
    if (c->count == 0) fprintf(stderr, "queue empty for %s\n", c->name);
    return n;
}

/* EPOLLOUT: the kernel has room for data to send. */
static void send_chunk(int epoll, int fd)
{
    ssize_t n = send_some(fd);
    if (n == -1 && errno != EAGAIN)
        close_connection(fd, strerror(errno));
    else
        watch_queue(epoll, fd);
}

int main(int argc, char *argv[])
{
    in_port_t port = port_argument(argc, argv);
    int listener = open_listener(port);
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    if (epoll == -1) die("epoll_create1");
    if (watch(epoll, EPOLL_CTL_ADD, listener, EPOLLIN) == -1) die("epoll_ctl");
    fprintf(stderr, "listening: try ./echo_client %d\n", port);

    for (;;) {
        struct epoll_event events[MAX_EVENTS];
        /* During a shortage, try again after the next event or 1,000 ms. */
        int ready = epoll_wait(epoll, events, MAX_EVENTS, shortage ? 1000 : -1);
        /* EINTR: the program was stopped (Ctrl-Z) and continued. */
        if (ready == -1 && errno != EINTR) die("epoll_wait");
        if (shortage) retry_accept(epoll, listener, ready);
        for (int i = 0; i < ready; i++) {
            int fd = events[i].data.fd;
            if (fd == listener)
                accept_connection(epoll, listener);
            else if (events[i].events & EPOLLIN)
                read_chunk(epoll, fd);
            else if (events[i].events & EPOLLOUT)
                send_chunk(epoll, fd);
            else /* EPOLLHUP or EPOLLERR, reported whatever the mask is */
                close_connection(fd, "HUP");
        }
    }
}
