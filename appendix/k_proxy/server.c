/*
 * Appendix K: a proxy. It gives each client its own connection to another
 * server.
 *
 * Shows: two connections that belong together, the two halves of a pair. What
 * one side sends, the proxy passes to the other one: bytes, the end of the
 * stream, and a reset. If one side does not read, the proxy soon stops reading
 * from the other side.
 *
 * New since c_echo_queues: a queue is sent to the other half of the pair.
 * connect does not wait, so EPOLLOUT reports its result. One event may end both
 * connections: main closes them after it has handled all events.
 *
 * Try it: make ex4 k_proxy && ./ex4 9000, and ./k_proxy 8080 127.0.0.1:9000 in
 * another terminal. Then curl -i localhost:8080 in a third one.
 *
 * Limits: if the name of the other server has several addresses, the proxy uses
 * the first one. It asks for it once, at its start: getaddrinfo may sleep for
 * seconds, and then all clients would wait. As in c_echo_queues, a silent
 * client may stay forever, and so may a server that never answers. A proxy to
 * itself gives one client all descriptors.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

/* Bytes requested per recv, as in the article, and so the longest chunk. */
#define READ_SIZE 1024

/* Chunks that may be in each of the two queues of a pair: 16 KiB. */
#define QUEUE_SIZE 16

/* One epoll_wait returns at most this many events. The next call returns the
   others. */
#define MAX_EVENTS 64

/* Entries in the table, two for each client. Half of example 3's, because an
   entry is twice as long. A process may usually have fewer descriptors:
   ulimit -n prints the limit. */
#define MAX_DESCRIPTORS 8192

/* Length of the accept queue. The article uses 1. SOMAXCONN comes from the C
   library: 4,096 in glibc, 128 in musl. If net.core.somaxconn is smaller, the
   kernel uses that value. */
#define BACKLOG SOMAXCONN

/* What one recv returned. TCP has no messages: one send of the other side may
   arrive in several chunks, and several sends in one chunk. */
struct chunk {
    size_t length;
    char data[READ_SIZE];
};

/* State of one connection, kept between events. */
struct connection {
    /* Of the client, in both entries of a pair. */
    char name[sizeof "255.255.255.255:65535"];
    /* "client" or "server". */
    const char *side;
    /* The descriptor of the other half of the pair. */
    int peer;
    /* The events that epoll reports. */
    uint32_t watched;
    /* True until connect has succeeded. */
    bool connecting;
    /* True after this side has ended its stream: recv has returned 0. */
    bool ended;
    /* True after the proxy has passed the end of the peer's stream on to this
       side. */
    bool finished;
    /* True if main will close the pair after the events of this round. */
    bool closing;
    /* Bytes of the oldest chunk that are sent. */
    size_t sent;
    /* What came from this side, and goes to the peer. The queue is a ring:
       queue[0] follows queue[QUEUE_SIZE - 1]. */
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

/* The socket for the next client's connection to the server, or -1. */
static int spare = -1;

/* One descriptor of each pair to close. An event ends one pair at most. */
static int to_close[MAX_EVENTS];
static int closing_pairs;

/* For a failure after which the program can serve nobody: prints the call and
   the reason, and exits. */
static void die(const char *call)
{
    perror(call);
    exit(EXIT_FAILURE);
}

/* Prints how to start the program, and the word that is wrong. */
static void usage(const char *program, const char *wrong)
{
    fprintf(stderr, "usage: %s port server:port, not '%s'\n", program, wrong);
    exit(2);
}

/* Returns the port that the text contains, 1 to 65535, or 0. */
static in_port_t port_of(const char *text)
{
    /* strtol alone would accept " 80", "+80" and "80x". */
    size_t digits = strspn(text, "0123456789");
    long port = strtol(text, NULL, 10);
    if (text[digits] != '\0' || port < 1 || port > 65535) return 0;
    return (in_port_t)port;
}

/* Returns the port given on the command line. */
static in_port_t port_argument(int argc, char *argv[])
{
    if (argc != 3) usage(argv[0], argc < 3 ? "" : argv[3]);
    if (port_of(argv[1]) == 0) usage(argv[0], argv[1]);
    return port_of(argv[1]);
}

/* Returns the address of the other server, given as server:port. */
static const struct addrinfo *server_argument(char *argv[])
{
    char *colon = strrchr(argv[2], ':');
    if (colon == NULL || port_of(colon + 1) == 0) usage(argv[0], argv[2]);
    *colon = '\0';
    struct addrinfo *addresses, hints = {.ai_family = AF_INET};
    hints.ai_socktype = SOCK_STREAM;
    int error = getaddrinfo(argv[2], colon + 1, &hints, &addresses);
    if (error != 0) {
        fprintf(stderr, "%s: %s\n", argv[2], gai_strerror(error));
        exit(EXIT_FAILURE);
    }
    return addresses;
}

/* Options of all sockets. Returns 0, or -1 if one of them fails. */
static int set_options(int fd)
{
    int on = 1;
    /* An urgent byte keeps its place among the others, and recv returns it
       there. */
    if (setsockopt(fd, SOL_SOCKET, SO_OOBINLINE, &on, sizeof on) == -1)
        return -1;
    /* Otherwise Nagle's algorithm would hold back a small chunk while an
       earlier one is unacknowledged. */
    return setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
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

    /* Accepted sockets inherit these options. */
    if (set_options(listener) == -1) die("setsockopt");

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

/* Says who ends the pair in the log, and why. main closes both connections
   after it has handled all events: until then, no new connection gets their
   numbers. */
static void close_pair(int fd, const char *who, const char *why)
{
    struct connection *c = &connections[fd];
    fprintf(stderr, "closing %s: %s: %s\n", c->name, who, why);
    c->closing = true;
    connections[c->peer].closing = true;
    to_close[closing_pairs++] = fd;
}

/* Bytes are lost: neither side may take this for the end of the stream. After
   SO_LINGER with a time of 0, close sends a reset. */
static void reset_pair(int fd, const char *why)
{
    const struct linger at_once = {.l_onoff = 1, .l_linger = 0};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    setsockopt(connections[fd].peer, SOL_SOCKET, SO_LINGER, &at_once,
               sizeof at_once);
    close_pair(fd, connections[fd].side, why);
}

/* There is no connection to the server: the client gets the end of the stream.
   If input is unread, close sends a reset: shutdown sends the end first. */
static void refuse_client(int server, int error)
{
    shutdown(connections[server].peer, SHUT_WR);
    close_pair(server, "server", strerror(error));
}

/* When all that came from fd is sent, passes the end of its stream on. Returns
   the result of shutdown. */
static int pass_on_end(int fd)
{
    const struct connection *c = &connections[fd];
    struct connection *peer = &connections[c->peer];
    if (!c->ended || c->count > 0 || peer->connecting || peer->finished)
        return 0;
    peer->finished = true;
    return shutdown(c->peer, SHUT_WR);
}

/* Reads only while the queue has room, sends only while the peer's queue has
   data. */
static int watch_queue(int epoll, int fd)
{
    struct connection *c = &connections[fd];
    uint32_t events = 0;
    if (c->count < QUEUE_SIZE && !c->ended && !c->connecting) events |= EPOLLIN;
    if (connections[c->peer].count > 0 || c->connecting) events |= EPOLLOUT;
    /* A mask of 0 does not stop EPOLLHUP. The kernel reports it when both
       directions have ended, and that may be long before the peer has taken the
       last bytes. With this mask, it is reported once. */
    if (events == 0) events = EPOLLONESHOT;
    if (events == c->watched) return 0;
    c->watched = events;
    return watch(epoll, EPOLL_CTL_MOD, fd, events);
}

/* What follows from an event: the end of a stream is passed on, the pair is
   closed, or both masks change. */
static void update_pair(int epoll, int fd)
{
    int peer = connections[fd].peer;
    if (pass_on_end(fd) == 0 && pass_on_end(peer) == 0) {
        if (connections[fd].finished && connections[peer].finished) {
            close_pair(fd, "both", "end of stream");
            return;
        }
        if (watch_queue(epoll, fd) == 0 && watch_queue(epoll, peer) == 0)
            return;
    }
    reset_pair(fd, strerror(errno));
}

/* Sets the entry of one half of a pair. */
static void set_entry(int fd, int peer, const char *side, uint32_t events)
{
    struct connection *c = &connections[fd];
    c->side = side;
    c->peer = peer;
    c->watched = events;
    c->connecting = events == EPOLLOUT;
    c->ended = false;
    c->finished = false;
    c->closing = false;
    c->sent = 0;
    c->oldest = 0;
    c->count = 0;
}

/* Begins to connect to the server, for the client fd. connect does not wait: it
   fails with EINPROGRESS, and EPOLLOUT reports the result. */
static void open_pair(int epoll, int fd, int server, const struct addrinfo *to)
{
    set_entry(fd, server, "client", EPOLLIN);
    set_entry(server, fd, "server", EPOLLOUT);
    if (set_options(server) == -1 ||
        (connect(server, to->ai_addr, to->ai_addrlen) == -1 &&
         errno != EINPROGRESS))
        refuse_client(server, errno);
    /* After connect: epoll would report EPOLLHUP for a new socket. */
    else if (watch(epoll, EPOLL_CTL_ADD, server, EPOLLOUT) == -1 ||
             watch(epoll, EPOLL_CTL_ADD, fd, EPOLLIN) == -1)
        reset_pair(fd, strerror(errno));
}

/* Accepts one client. Returns true if more may be in the queue. Level-triggered
   epoll reports them again. */
static bool accept_connection(int epoll, int listener,
                              const struct addrinfo *to)
{
    struct sockaddr_in peer = {0};
    struct sockaddr *address = (struct sockaddr *)&peer;
    socklen_t size = sizeof peer;
    /* SOCK_CLOEXEC: another program that we start does not get this descriptor.
       If it had a copy, our close would not end the registration. */
    int flags = SOCK_NONBLOCK | SOCK_CLOEXEC;
    /* If there is no descriptor for the second connection of the pair, the
       client stays in the queue. */
    if (spare == -1) spare = socket(to->ai_family, SOCK_STREAM | flags, 0);
    int fd = spare == -1 ? -1 : accept4(listener, address, &size, flags);
    /* The queue is empty. If the listener were blocking, accept4 would sleep
       here, and all clients would wait. */
    if (fd == -1 && errno == EAGAIN) return false;
    /* A connection was aborted in the queue: take the next one. Rare on Linux:
       there, accept4 succeeds even if the client has reset the connection, and
       the later recv fails. */
    if (fd == -1 && (errno == ECONNABORTED || errno == EPROTO)) return true;
    /* The listener was shut down: accept4 cannot succeed any more. */
    if (fd == -1 && errno == EINVAL) die("accept4");
    if (fd == -1 || fd >= MAX_DESCRIPTORS || spare >= MAX_DESCRIPTORS) {
        /* Usually too many clients. Others are still in the queue, so epoll
           would report them again and again: stop watching the listener. A mask
           of 0 would not stop EPOLLHUP. main tries again later. */
        if (!shortage && fd == -1) perror(spare == -1 ? "socket" : "accept4");
        if (!shortage && fd >= 0) fputs("table full: client refused\n", stderr);
        if (fd >= 0) {
            close(fd);
            close(spare);
            spare = -1;
        }
        shortage = true;
        if (watch(epoll, EPOLL_CTL_DEL, listener, 0) == -1) die("epoll_ctl");
        return false;
    }
    struct connection *c = &connections[fd];
    /* Needed later: after a reset, the kernel no longer knows the address. */
    snprintf(c->name, sizeof c->name, "%s:%d", inet_ntoa(peer.sin_addr),
             ntohs(peer.sin_port));
    fprintf(stderr, "new connection from %s\n", c->name);
    memcpy(connections[spare].name, c->name, sizeof c->name);
    open_pair(epoll, fd, spare, to);
    spare = -1;
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
   proxy would not watch EPOLLIN. */
static ssize_t receive_some(int fd)
{
    struct connection *c = &connections[fd];
    struct chunk *chunk = &c->queue[(c->oldest + c->count) % QUEUE_SIZE];
    ssize_t n = recv(fd, chunk->data, READ_SIZE, 0);
    if (n <= 0) return n;
    chunk->length = (size_t)n;
    c->count++;
    return n;
}

/* EPOLLIN: this side has sent something, or has left. */
static void read_chunk(int fd)
{
    ssize_t n = receive_some(fd);
    if (n == 0) connections[fd].ended = true;
    if (n == -1 && errno != EAGAIN) reset_pair(fd, strerror(errno));
}

/* Calls send once, for the oldest chunk of the peer. Returns its result. */
static ssize_t send_some(int fd)
{
    struct connection *c = &connections[connections[fd].peer];
    const struct chunk *chunk = &c->queue[c->oldest];
    /* MSG_NOSIGNAL: get the error EPIPE instead of a fatal SIGPIPE if this side
       is gone. */
    ssize_t n =
        send(fd, chunk->data + c->sent, chunk->length - c->sent, MSG_NOSIGNAL);
    if (n == -1) return n;
    /* send may accept only part of the data. */
    c->sent += (size_t)n;
    if (c->sent < chunk->length) return n;
    c->sent = 0;
    c->oldest = (c->oldest + 1) % QUEUE_SIZE;
    c->count--;
    return n;
}

/* EPOLLOUT: the kernel has room for data to send. There may be none: an earlier
   event of this round may have sent the last chunk. */
static void send_chunk(int epoll, int fd)
{
    const struct connection *c = &connections[fd];
    ssize_t n = 0;
    if (connections[c->peer].count > 0 && !c->connecting) n = send_some(fd);
    if (n == -1 && errno != EAGAIN)
        reset_pair(fd, strerror(errno));
    else
        update_pair(epoll, fd);
}

/* Returns why the connection has failed, or 0. */
static int socket_error(int fd)
{
    int error = 0;
    socklen_t size = sizeof error;
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) == -1) return errno;
    return error;
}

/* EPOLLOUT after EINPROGRESS: connect has succeeded, or has failed. */
static void finish_connect(int epoll, int fd)
{
    int error = socket_error(fd);
    connections[fd].connecting = false;
    /* The server has accepted, and has reset since then; with EPIPE, after it
       has ended its stream. */
    if (error == ECONNRESET || error == EPIPE)
        reset_pair(fd, strerror(error));
    else if (error != 0)
        refuse_client(fd, error);
    else
        send_chunk(epoll, fd);
}

/* An event of one half of a pair. EPOLLHUP without EPOLLERR needs nothing: both
   directions have ended, and the last bytes wait in the queue. */
static void serve(int epoll, int fd, uint32_t events)
{
    const struct connection *c = &connections[fd];
    if (c->connecting) {
        finish_connect(epoll, fd);
    } else if (events & (EPOLLIN | EPOLLOUT)) {
        if (events & EPOLLIN) read_chunk(fd);
        /* Usually the kernel has room for what has just come: send it at once,
           without an event. */
        if ((events & EPOLLIN) && !c->closing) send_chunk(epoll, c->peer);
        /* Not else: a client that always sends would never receive. */
        if ((events & EPOLLOUT) && !c->closing) send_chunk(epoll, fd);
    } else if (events & EPOLLERR) {
        reset_pair(fd, strerror(socket_error(fd)));
    }
}

/* The numbers of these descriptors may belong to new connections from now on.
 */
static void close_pairs(void)
{
    while (closing_pairs > 0) {
        int fd = to_close[--closing_pairs];
        close(connections[fd].peer);
        close(fd);
    }
}

int main(int argc, char *argv[])
{
    in_port_t port = port_argument(argc, argv);
    const struct addrinfo *to = server_argument(argv);
    int listener = open_listener(port);
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    if (epoll == -1) die("epoll_create1");
    if (watch(epoll, EPOLL_CTL_ADD, listener, EPOLLIN) == -1) die("epoll_ctl");
    fprintf(stderr, "listening: try curl -i http://localhost:%d/\n", port);

    for (;;) {
        struct epoll_event events[MAX_EVENTS];
        /* During a shortage, try again after the next event or 1,000 ms. */
        int ready = epoll_wait(epoll, events, MAX_EVENTS, shortage ? 1000 : -1);
        /* EINTR: the program was stopped (Ctrl-Z) and continued. */
        if (ready == -1 && errno != EINTR) die("epoll_wait");
        if (shortage) retry_accept(epoll, listener, ready);
        for (int i = 0; i < ready; i++) {
            int fd = events[i].data.fd;
            if (fd == listener) accept_connection(epoll, listener, to);
            /* An event before this one may have ended the pair. */
            else if (!connections[fd].closing)
                serve(epoll, fd, events[i].events);
        }
        close_pairs();
    }
}
