/*
 * Appendix C: an echo server, with a queue of messages for each client.
 *
 * Shows: a program that has to write, but not when it likes. What comes in is
 * put in a queue, and goes out when epoll_wait says that there is room. Only
 * while the queue holds something is EPOLLOUT asked for, and only while the
 * queue has room is EPOLLIN.
 *
 * New since example 3: the queue, EPOLLOUT and EPOLLIN at the same time, urgent
 * data, and a log of all that happens. It listens on 127.0.0.1 only.
 *
 * Try it: make c_echo_queues && ./c_echo_queues, and in a second terminal
 * make echo_client && ./echo_client.
 *
 * Still wrong: a client that never reads keeps its full queue for ever: a
 * server on the open net also needs a time limit. And whoever reads the log
 * slowly slows down all the clients.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

/* What one recv asks for, and so the longest message. */
#define READ_SIZE 1024
/* How many messages one client may have waiting. */
#define QUEUE_SIZE 16
#define MAX_EVENTS 64
#define MAX_DESCRIPTORS 65536

/* How many clients may wait to be accepted; the article has 1. */
#ifndef BACKLOG
#define BACKLOG SOMAXCONN
#endif

/* What one recv returned. */
struct message {
    size_t length;
    char data[READ_SIZE];
};

/* One client. What is asked of epoll is its interest; input is the part of that
   which waits for messages, while there is room. The queue is a ring: first and
   count say where in it the messages are, and sent is how much of the first has
   gone. A client that has ended its stream is still owed what is queued. */
struct connection {
    int fd;
    int ended;
    char name[sizeof "255.255.255.255:65535"];
    uint32_t input;
    uint32_t interest;
    size_t first;
    size_t count;
    size_t sent;
    struct message queue[QUEUE_SIZE];
};

/* The open connections, by their descriptors. */
static struct connection *connections[MAX_DESCRIPTORS];

static volatile sig_atomic_t interrupted;

/* A signal that comes after the flag was tested, but before the call that
   blocks, does not wake that call. The alarm does, a second later. */
static void interrupt(int signal_number)
{
    interrupted = signal_number;
    alarm(1);
}

static void die(const char *call)
{
    perror(call);
    exit(EXIT_FAILURE);
}

/* Says why; the caller closes the connection. */
static int closing(const struct connection *c, const char *why)
{
    fprintf(stderr, "closing %s: %s\n", c->name, why);
    return -1;
}

/* Without SA_RESTART, so that a call that blocks fails with EINTR. SIGALRM as
   well, for it would end the program otherwise. */
static void catch_signals(void)
{
    const struct sigaction action = {.sa_handler = interrupt};
    if (sigaction(SIGINT, &action, NULL) == -1 ||
        sigaction(SIGTERM, &action, NULL) == -1 ||
        sigaction(SIGALRM, &action, NULL) == -1)
        die("sigaction");
}

/* Returns the port that the command line names, or 10000. */
static in_port_t port_argument(int argc, char *argv[])
{
    if (argc < 2) return 10000;
    /* strtol alone would take " 80", "+80" and "80x". */
    size_t digits = strspn(argv[1], "0123456789");
    long port = strtol(argv[1], NULL, 10);
    if (argc == 2 && argv[1][digits] == '\0' && port >= 1 && port <= 65535)
        return (in_port_t)port;
    fprintf(stderr, "usage: %s [port]: one port, 1 to 65535, not '%s'\n",
            argv[0], argv[argc - 1]);
    exit(2);
}

/* Returns a socket that listens on the port, for this machine only. */
static int open_listener(in_port_t port)
{
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    if (listener == -1) die("socket");

    /* The connections of a server that has just ended stay in TIME_WAIT for a
       minute, and for that long bind would fail. */
    int on = 1;
    if (setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == -1)
        die("setsockopt");

    /* Inherited by the connections: an urgent byte stays in its place among
       the others, and recv returns it there. */
    if (setsockopt(listener, SOL_SOCKET, SO_OOBINLINE, &on, sizeof on) == -1)
        die("setsockopt");

    struct sockaddr_in local = {
        .sin_family = AF_INET,
        .sin_port = htons(port),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    if (bind(listener, (struct sockaddr *)&local, sizeof local) == -1)
        die("bind");
    if (listen(listener, BACKLOG) == -1) die("listen");
    return listener;
}

/* Returns 1: accept may be called again. A signal, or a client that left while
   it waited, is no trouble. Anything else is taken for a shortage: the client
   stays in the queue, and accept would fail again at once, so wait. */
static int accept_failed(void)
{
    if (errno == EINTR || errno == ECONNABORTED || errno == EPROTO) return 1;
    perror("accept");
    sleep(1);
    return 1;
}

/* Adds fd with EPOLL_CTL_ADD, or changes what is reported of it with
   EPOLL_CTL_MOD: the new mask replaces the old one whole. */
static int watch(int epoll, int operation, int fd, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.fd = fd};
    return epoll_ctl(epoll, operation, fd, &event);
}

/* close also ends the registration, for no other descriptor refers to this
   socket. */
static void close_connection(struct connection *c)
{
    connections[c->fd] = NULL;
    close(c->fd);
    free(c);
}

/* Returns 1 if there may be another client, 0 if there is none, or -1 if one
   may have been left in the queue. */
static int accept_connection(int epoll, int listener, long last)
{
    struct sockaddr_in peer = {0};
    socklen_t size = sizeof peer;
    int fd = accept4(listener, (struct sockaddr *)&peer, &size, SOCK_NONBLOCK);
    if (fd == -1 && errno == EAGAIN) return 0;
    if (fd == -1) {
        accept_failed();
        return -1;
    }

    /* Descriptors are given out from the lowest up. If a client kept the last
       one, accept could not even take the next client to turn it away. */
    struct connection *c = fd < last ? malloc(sizeof *c) : NULL;
    if (c == NULL) {
        fputs("out of descriptors or memory: client turned away\n", stderr);
        close(fd);
        return 1;
    }
    c->fd = fd;
    c->ended = 0;
    c->input = EPOLLIN | EPOLLPRI;
    c->interest = c->input;
    c->first = 0;
    c->count = 0;
    c->sent = 0;
    connections[fd] = c;
    /* Noted now, for once a client has reset the connection, the kernel no
       longer knows. */
    snprintf(c->name, sizeof c->name, "%s:%d", inet_ntoa(peer.sin_addr),
             ntohs(peer.sin_port));
    fprintf(stderr, "new connection from %s\n", c->name);
    if (watch(epoll, EPOLL_CTL_ADD, fd, c->interest) == -1) {
        closing(c, strerror(errno));
        close_connection(c);
    }
    return 1;
}

/* Both directions are shut, or there is an error, or, as after a reset, both:
   nothing that is queued can be sent. */
static int hung_up(const struct connection *c)
{
    int error = 0;
    socklen_t size = sizeof error;
    getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &size);
    return closing(c, error != 0 ? strerror(error) : "HUP");
}

/* Appends one message to the queue, which has room: EPOLLIN would not have been
   asked for otherwise. Returns 0, or -1 if the connection is to be closed. */
static int receive(struct connection *c)
{
    struct message *m = &c->queue[(c->first + c->count) % QUEUE_SIZE];
    ssize_t n = recv(c->fd, m->data, READ_SIZE, 0);
    if (n == -1 && errno == EINTR) return 0;
    if (n == -1 && errno != EAGAIN) return closing(c, strerror(errno));
    /* EPOLLPRI is reported for as long as the urgent byte is unread, even while
       a segment before it is missing: wait for that with EPOLLIN alone. */
    c->input = n == -1 ? EPOLLIN : EPOLLIN | EPOLLPRI;
    c->ended = n == 0;
    if (n <= 0) return 0;
    /* Not the bytes themselves: they could give orders to the terminal. */
    fprintf(stderr, "received %zd bytes from %s\n", n, c->name);
    m->length = (size_t)n;
    c->count++;
    return 0;
}

/* Sends the first message, or what is left of it; once it has gone whole, the
   queue goes on to the next. Returns 0, or -1 if the connection is to be
   closed. */
static int send_message(struct connection *c)
{
    const struct message *m = &c->queue[c->first];
    /* Without the flag, a client that has left ends us with SIGPIPE. */
    ssize_t n =
        send(c->fd, m->data + c->sent, m->length - c->sent, MSG_NOSIGNAL);
    if (n == -1 && (errno == EAGAIN || errno == EINTR)) return 0;
    if (n == -1) return closing(c, strerror(errno));
    fprintf(stderr, "sending %zd bytes to %s\n", n, c->name);
    /* The kernel may have taken a part only. */
    c->sent += (size_t)n;
    if (c->sent < m->length) return 0;

    c->sent = 0;
    c->first = (c->first + 1) % QUEUE_SIZE;
    c->count--;
    if (c->count == 0) fprintf(stderr, "queue empty for %s\n", c->name);
    return 0;
}

/* Asks for what the queue allows. EPOLLOUT with nothing to send, or EPOLLIN at
   the end of the stream, would be reported at once, again and again. If neither
   is left, all is done. */
static int update_interest(int epoll, struct connection *c)
{
    uint32_t wanted = 0;
    if (c->count < QUEUE_SIZE && !c->ended) wanted |= c->input;
    if (c->count > 0) wanted |= EPOLLOUT;
    if (wanted == 0) return closing(c, "end of stream");
    if (wanted == c->interest) return 0;
    c->interest = wanted;
    if (watch(epoll, EPOLL_CTL_MOD, c->fd, wanted) == 0) return 0;
    return closing(c, strerror(errno));
}

/* A client that sends and reads has EPOLLIN and EPOLLOUT at the same time, and
   each is due its turn. EPOLLHUP and EPOLLERR come unasked. */
static void handle_event(int epoll, struct connection *c, uint32_t events)
{
    int result = 0;
    if (events & (EPOLLHUP | EPOLLERR)) result = hung_up(c);
    if (result == 0 && events & (EPOLLIN | EPOLLPRI)) result = receive(c);
    if (result == 0 && events & EPOLLOUT) result = send_message(c);
    if (result == 0) result = update_interest(epoll, c);
    if (result == -1) close_connection(c);
}

int main(int argc, char *argv[])
{
    in_port_t port = port_argument(argc, argv);
    catch_signals();
    int listener = open_listener(port);
    /* accept would wait for the next client if another process, or an error
       of the network, had taken this one after its event. */
    if (fcntl(listener, F_SETFL, O_NONBLOCK) == -1) die("fcntl");
    int epoll = epoll_create1(0);
    if (epoll == -1) die("epoll_create1");
    if (watch(epoll, EPOLL_CTL_ADD, listener, EPOLLIN) == -1) die("epoll_ctl");
    long last = sysconf(_SC_OPEN_MAX) - 1;
    if (last >= MAX_DESCRIPTORS) last = MAX_DESCRIPTORS - 1;
    fprintf(stderr, "listening: try ./echo_client %d\n", port);

    while (!interrupted) {
        struct epoll_event events[MAX_EVENTS];
        int ready = epoll_wait(epoll, events, MAX_EVENTS, -1);
        if (ready == -1 && errno != EINTR) die("epoll_wait");
        for (int i = 0; i < ready && !interrupted; i++) {
            int fd = events[i].data.fd;
            if (fd == listener)
                accept_connection(epoll, listener, last);
            else
                handle_event(epoll, connections[fd], events[i].events);
        }
    }

    for (int fd = 0; fd <= last; fd++)
        if (connections[fd] != NULL) close_connection(connections[fd]);
    close(epoll);
    close(listener);
    return EXIT_SUCCESS;
}
