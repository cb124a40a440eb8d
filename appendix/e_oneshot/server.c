/*
 * Appendix E: many clients, a few threads, one epoll instance.
 *
 * Shows: EPOLLONESHOT. All workers wait for all clients, and the first event
 * of a descriptor disables it: nothing more of it is reported, to anyone, until
 * the worker that got the event arms it again. So no two workers ever have the
 * same client. It is disabled, not removed: EPOLL_CTL_MOD arms it, while
 * EPOLL_CTL_ADD fails with EEXIST.
 *
 * New since example 3: EPOLLONESHOT with every registration; four threads that
 * run the loop; handlers that return what to wait for next, so that arming can
 * come last; and signals that main alone waits for: then it wakes the workers.
 *
 * Try it: make e_oneshot && strace -f -e trace=epoll_ctl,recvfrom ./e_oneshot,
 * and in a second terminal curl -i localhost:8080. Then take out EPOLLONESHOT
 * wherever it stands in the code, and run make teste.
 *
 * Still wrong: each event costs an epoll_ctl, the workers print one at a time,
 * and a response as short as this gains nothing by threads. They pay where it
 * takes long to make one. And a silent client may stay for ever.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define MAX_REQUEST 8192
/* What one recv asks for: the article's value, so that a long request takes
   more than one. */
#define READ_SIZE 1024
#define MAX_DESCRIPTORS 65536

/* How many clients may wait to be accepted; the article has 1. */
#ifndef BACKLOG
#define BACKLOG SOMAXCONN
#endif

#ifndef WORKERS
#define WORKERS 4
#endif

static const char response[] =
    "HTTP/1.0 200 OK\r\nDate: Mon, 1 Jan 1996 01:01:01 GMT\r\n"
    "Content-Type: text/plain\r\nContent-Length: 13\r\n\r\nHello, world!";

/* One client. What a blocking program keeps in local variables while it waits,
   this one has to write down. */
struct connection {
    int fd;
    size_t received;
    size_t sent;
    char request[MAX_REQUEST];
};

/* The open connections, by their descriptors, and the lock of this table. The
   lock also carries what one worker has written to a connection to the next one
   that gets it: C promises that of a lock, and of epoll it knows nothing. */
static struct connection *connections[MAX_DESCRIPTORS];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

/* What every worker needs, and none changes. */
struct server {
    int epoll;
    int listener;
    long last;
};

static atomic_int interrupted;
static atomic_int running = WORKERS;

/* Does nothing: that there is a handler makes a call that blocks fail. */
static void interrupt(int signal_number)
{
    (void)signal_number;
}

static void die(const char *call)
{
    perror(call);
    exit(EXIT_FAILURE);
}

/* Like die, but for one client: the caller closes its connection. */
static int lost(const char *call)
{
    perror(call);
    return -1;
}

/* SIGUSR1 is for the workers: without SA_RESTART, so that a call that blocks
   fails with EINTR. The signals that end the program are blocked, in the
   threads that are created later as well, and stay pending until main asks. */
static void catch_signals(sigset_t *ending)
{
    const struct sigaction action = {.sa_handler = interrupt};
    if (sigaction(SIGUSR1, &action, NULL) == -1) die("sigaction");
    sigemptyset(ending);
    sigaddset(ending, SIGINT);
    sigaddset(ending, SIGTERM);
    if (sigprocmask(SIG_BLOCK, ending, NULL) == -1) die("sigprocmask");
}

/* Returns the port that the command line names, or 8080. */
static in_port_t port_argument(int argc, char *argv[])
{
    if (argc < 2) return 8080;
    /* strtol alone would take " 80", "+80" and "80x". */
    size_t digits = strspn(argv[1], "0123456789");
    long port = strtol(argv[1], NULL, 10);
    if (argc == 2 && argv[1][digits] == '\0' && port >= 1 && port <= 65535)
        return (in_port_t)port;
    fprintf(stderr, "usage: %s [port]: one port, 1 to 65535, not '%s'\n",
            argv[0], argv[argc - 1]);
    exit(2);
}

/* Returns a socket that listens on the port of every IPv4 address. */
static int open_listener(in_port_t port)
{
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    if (listener == -1) die("socket");

    /* The connections of a server that has just ended stay in TIME_WAIT for a
       minute, and for that long bind would fail. */
    int on = 1;
    if (setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == -1)
        die("setsockopt");

    /* All other fields are 0, and an address of 0 is INADDR_ANY. */
    struct sockaddr_in any = {.sin_family = AF_INET, .sin_port = htons(port)};
    if (bind(listener, (struct sockaddr *)&any, sizeof any) == -1) die("bind");
    if (listen(listener, BACKLOG) == -1) die("listen");
    return listener;
}

/* A request ends at its first blank line, wherever recv may have cut it. */
static int is_complete(const char *request, size_t length)
{
    return memmem(request, length, "\n\n", 2) != NULL ||
           memmem(request, length, "\n\r\n", 3) != NULL;
}

/* With fwrite, because a request may hold NUL bytes; flushed, so that it is
   seen at once, through a pipe as well. The last two bytes are left out, as in
   the article: mostly they are the blank line. Each call locks stdout for
   itself; locked around all four, no other worker's request comes between. */
static void print_request(const char *request, size_t length)
{
    flockfile(stdout);
    puts("----------------------------------------");
    fwrite(request, 1, length - 2, stdout);
    putchar('\n');
    fflush(stdout);
    funlockfile(stdout);
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
   socket. It comes after the table is cleared: another worker's accept4 may be
   given the same descriptor at once. */
static void close_connection(struct connection *c)
{
    pthread_mutex_lock(&lock);
    connections[c->fd] = NULL;
    pthread_mutex_unlock(&lock);
    close(c->fd);
    free(c);
}

/* The last that a worker does with a connection: once watch has succeeded, c is
   another's, who may soon have closed and freed it. With EPOLL_CTL_ADD it is
   new, and not in the table yet. */
static void arm(int epoll, int operation, struct connection *c, uint32_t events)
{
    pthread_mutex_lock(&lock);
    connections[c->fd] = c;
    int result = watch(epoll, operation, c->fd, events | EPOLLONESHOT);
    pthread_mutex_unlock(&lock);
    if (result == 0) return;
    perror("epoll_ctl");
    close_connection(c);
}

/* Returns 1 if there may be another client, 0 if there is none, or -1 if one
   may have been left in the queue. */
static int accept_connection(int epoll, int listener, long last)
{
    int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
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
    c->received = 0;
    c->sent = 0;
    arm(epoll, EPOLL_CTL_ADD, c, EPOLLIN);
    return 1;
}

/* Returns 1 if there may be more, 0 if not, or -1 if nothing more can come. */
static int receive(struct connection *c)
{
    size_t room = MAX_REQUEST - c->received;
    if (room > READ_SIZE) room = READ_SIZE;
    ssize_t n = recv(c->fd, c->request + c->received, room, 0);
    if (n == -1 && errno == EAGAIN) return 0;
    if (n == -1 && errno == EINTR) return 1;
    if (n == -1) return lost("recv");
    /* The client's end of stream, and all that recv returns from now on. */
    if (n == 0) return -1;
    c->received += (size_t)n;
    return c->received < MAX_REQUEST;
}

/* Returns what to wait for next, or -1 if the connection is to be closed. */
static int read_request(struct connection *c)
{
    int result = receive(c);
    /* Asked before the result is: a client may end its stream right after the
       request, and wait for the response. */
    if (is_complete(c->request, c->received)) {
        print_request(c->request, c->received);
        return EPOLLOUT;
    }
    if (c->received < MAX_REQUEST && result != -1) return EPOLLIN;
    fprintf(stderr, "no complete request in %zu bytes\n", c->received);
    return -1;
}

/* Returns what to wait for next, or -1 if the connection is to be closed. */
static int send_response(struct connection *c)
{
    /* Without the flag, a client that has left ends us with SIGPIPE. */
    ssize_t n = send(c->fd, response + c->sent, strlen(response) - c->sent,
                     MSG_NOSIGNAL);
    if (n == -1 && (errno == EAGAIN || errno == EINTR)) return EPOLLOUT;
    if (n == -1) return lost("send");
    /* The kernel may have taken a part only. */
    c->sent += (size_t)n;
    if (c->sent < strlen(response)) return EPOLLOUT;

    /* Once both directions are shut, EPOLLHUP comes, at once. A client that
       has reset the connection meanwhile makes shutdown fail: ENOTCONN. */
    return shutdown(c->fd, SHUT_RDWR);
}

/* Interest is in one thing at a time, so one bit at most is set of EPOLLIN and
   EPOLLOUT. EPOLLHUP and EPOLLERR come unasked; alone, they mean the end. */
static void handle_event(int epoll, struct connection *c, uint32_t events)
{
    int next = -1;
    if (events & EPOLLIN)
        next = read_request(c);
    else if (events & EPOLLOUT)
        next = send_response(c);
    if (next == -1)
        close_connection(c);
    else
        arm(epoll, EPOLL_CTL_MOD, c, next);
}

static struct connection *find_connection(int fd)
{
    pthread_mutex_lock(&lock);
    struct connection *c = connections[fd];
    pthread_mutex_unlock(&lock);
    return c;
}

/* What each thread runs. It takes one event at a time, so that no client waits
   for a busy worker while another has nothing to do. The listener has
   EPOLLONESHOT as well: where accept fails, one worker pauses, and the others
   go on. */
static void *work(void *argument)
{
    const struct server *s = argument;
    while (!interrupted) {
        struct epoll_event event;
        int ready = epoll_wait(s->epoll, &event, 1, -1);
        if (ready == -1 && errno != EINTR) die("epoll_wait");
        if (ready == -1) continue;
        int fd = event.data.fd;
        if (fd != s->listener) {
            handle_event(s->epoll, find_connection(fd), event.events);
            continue;
        }
        accept_connection(s->epoll, fd, s->last);
        if (watch(s->epoll, EPOLL_CTL_MOD, fd, EPOLLIN | EPOLLONESHOT) == -1)
            die("epoll_ctl");
    }
    running--;
    return NULL;
}

/* A worker may be in epoll_wait, or in a write to a pipe that nobody reads, and
   others that want to print wait for that one. And a signal that comes just
   before a call blocks is lost. So wake all, again, until all have returned. */
static void stop(const pthread_t workers[])
{
    interrupted = 1;
    while (running > 0) {
        for (int i = 0; i < WORKERS; i++) pthread_kill(workers[i], SIGUSR1);
        usleep(10000);
    }
    for (int i = 0; i < WORKERS; i++) pthread_join(workers[i], NULL);
}

int main(int argc, char *argv[])
{
    in_port_t port = port_argument(argc, argv);
    sigset_t ending;
    catch_signals(&ending);
    int listener = open_listener(port);
    /* accept would wait for the next client if another process, or an error
       of the network, had taken this one after its event. */
    if (fcntl(listener, F_SETFL, O_NONBLOCK) == -1) die("fcntl");
    int epoll = epoll_create1(0);
    if (epoll == -1) die("epoll_create1");
    if (watch(epoll, EPOLL_CTL_ADD, listener, EPOLLIN | EPOLLONESHOT) == -1)
        die("epoll_ctl");
    long last = sysconf(_SC_OPEN_MAX) - 1;
    if (last >= MAX_DESCRIPTORS) last = MAX_DESCRIPTORS - 1;
    struct server server = {epoll, listener, last};
    pthread_t workers[WORKERS];
    for (int i = 0; i < WORKERS; i++) {
        errno = pthread_create(&workers[i], NULL, work, &server);
        if (errno != 0) die("pthread_create");
    }
    fprintf(stderr, "listening: try curl -i http://localhost:%d/\n", port);

    int signal_number;
    sigwait(&ending, &signal_number);
    stop(workers);

    for (int fd = 0; fd <= last; fd++)
        if (connections[fd] != NULL) close_connection(connections[fd]);
    close(epoll);
    close(listener);
    return EXIT_SUCCESS;
}
