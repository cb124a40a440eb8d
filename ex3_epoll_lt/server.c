/*
 * Example 3: many clients in one thread, with level-triggered epoll.
 * In C, Example 3 of the article "How To Use Linux epoll with Python".
 *
 * Shows: the program waits for all clients in one call, epoll_wait, and wakes
 * up when a client is ready. Level-triggered: as long as data is unread, every
 * epoll_wait reports it again.
 *
 * New since example 2: non-blocking sockets, an epoll instance, and a table
 * that stores what each client has sent and must still get. shutdown ends a
 * connection before close. When descriptors run out, retry_accept, because a
 * pause would stop all clients. And no descriptor is passed on to another
 * program: SOCK_CLOEXEC, EPOLL_CLOEXEC.
 *
 * Try it: make ex3 && ./ex3, leave nc localhost 8080 open in one terminal and
 * run curl -i localhost:8080 in another: curl gets its response at once.
 *
 * Limits: a long request wakes the program at least once for every 1,024 bytes.
 * Example 4 reads all that has arrived each time it wakes up. Silent clients
 * can stay connected forever, and use up the descriptors: a server on the
 * internet also needs a time limit. If the output goes to a pipe that nobody
 * reads, all clients wait. If the reader ends, so does the program.
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

/* A longer request is refused: without a limit, one client could fill the
   memory. Most requests are much shorter. */
#define MAX_REQUEST 8192

/* One recv reads at most this many bytes, as in the article. A long request
   needs several calls. */
#define READ_SIZE 1024

/* One epoll_wait returns at most this many events. The next call returns the
   others. */
#define MAX_EVENTS 64

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
   appears at once even through a pipe. Like the article, this omits the last
   two bytes of a complete request. Usually they belong to the blank line. */
static void print_request(const char *request, size_t length)
{
    puts("----------------------------------------");
    fwrite(request, 1, length - 2, stdout);
    putchar('\n');
    fflush(stdout);
}

/* Registers fd (EPOLL_CTL_ADD), replaces its event mask (EPOLL_CTL_MOD) or ends
   its registration (EPOLL_CTL_DEL). The mask contains the events to wait for.
   epoll_wait returns data.fd with each event. */
static int watch(int epoll, int operation, int fd, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.fd = fd};
    return epoll_ctl(epoll, operation, fd, &event);
}

/* For a failure that concerns one client: prints the call and the reason, and
   closes that client's connection. close also ends the registration. */
static void drop(int fd, const char *call)
{
    perror(call);
    close(fd);
}

/* Accepts one client. Returns true if another one may be in the queue.
   Level-triggered epoll reports that client again, so the caller may ignore the
   result. With EPOLLET, call this until it returns false. */
static bool accept_connection(int epoll, int listener)
{
    /* SOCK_CLOEXEC: another program that we start does not get this descriptor.
       If it had a copy, our close would not end the registration. */
    int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
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
        /* Usually too many clients, and others wait in the queue. Stop watching
           the listener: level-triggered epoll would report it again and again.
           main adds it again later, and epoll reports the queue then, even with
           EPOLLET. EPOLL_CTL_DEL, because a mask of 0 does not stop EPOLLHUP,
           which comes if the listener is shut down. */
        if (!shortage && fd == -1) perror("accept4");
        if (!shortage && fd >= 0) fputs("table full: client refused\n", stderr);
        if (fd >= 0) close(fd);
        shortage = true;
        if (watch(epoll, EPOLL_CTL_DEL, listener, 0) == -1) die("epoll_ctl");
        return false;
    }
    connections[fd].received = 0;
    connections[fd].unsent = response;
    if (watch(epoll, EPOLL_CTL_ADD, fd, EPOLLIN) == -1) drop(fd, "epoll_ctl");
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

/* EPOLLIN: the client has sent something, or its stream has ended. */
static void read_request(int epoll, int fd)
{
    const struct connection *c = &connections[fd];
    ssize_t n = receive_some(fd);
    if (is_complete(c->request, c->received)) {
        if (watch(epoll, EPOLL_CTL_MOD, fd, EPOLLOUT) == -1)
            drop(fd, "epoll_ctl");
        print_request(c->request, c->received);
    } else if (n == -1 && errno != EAGAIN) {
        drop(fd, "recv");
    } else if (n == 0 || c->received == MAX_REQUEST) {
        fprintf(stderr, "no complete request in %zu bytes\n", c->received);
        close(fd);
    }
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

/* EPOLLOUT: the kernel has room for data to send. */
static void send_response(int epoll, int fd)
{
    ssize_t n = send_some(fd);
    if (n == -1 && errno != EAGAIN) {
        drop(fd, "send");
    } else if (*connections[fd].unsent == '\0') {
        /* From now on, wait only for EPOLLHUP, as in the article. shutdown ends
           both directions: the client gets the end of the stream, the kernel
           reports EPOLLHUP at once, and main closes fd. Without shutdown, close
           would only send a reset if there is unread input. shutdown fails if
           the client has reset the connection. */
        if (watch(epoll, EPOLL_CTL_MOD, fd, 0) == -1)
            drop(fd, "epoll_ctl");
        else if (shutdown(fd, SHUT_RDWR) == -1)
            close(fd);
    }
}

int main(int argc, char *argv[])
{
    in_port_t port = port_argument(argc, argv);
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
            if (fd == listener)
                accept_connection(epoll, listener);
            else if (events[i].events & EPOLLIN)
                read_request(epoll, fd);
            else if (events[i].events & EPOLLOUT)
                send_response(epoll, fd);
            else /* EPOLLHUP or EPOLLERR, reported whatever the mask is */
                close(fd);
        }
    }
}
