/*
 * Appendix B: example 3 over poll.
 *
 * Shows: the same service without epoll. The program itself keeps the list of
 * what it waits for. This list is what epoll keeps in the kernel. Every poll
 * passes the whole list to the kernel, and the program searches the answer.
 *
 * New since example 3: an array of struct pollfd instead of the epoll
 * instance, a search, and a loop around accept4.
 *
 * Try it: make b_poll && strace -e /poll ./b_poll, leave nc localhost 8080 open
 * in a few terminals and run curl -i localhost:8080 in another: each poll lists
 * every client, also the silent ones.
 *
 * Limits: poll looks at every client, even if only one of them is ready. Among
 * 10,000 clients, it looks 10,000 times for one message. Example 3 gets only
 * that message from epoll_wait.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* A longer request is refused: without a limit, one client could fill the
   memory. Most requests are much shorter. */
#define MAX_REQUEST 8192

/* One recv reads at most this many bytes, as in the article. A long request
   needs several calls. */
#define READ_SIZE 1024

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

/* The list of what the program waits for: one entry for each descriptor. poll
   ignores an entry whose fd is -1. */
static struct pollfd watched[MAX_DESCRIPTORS];

/* Length of the list: the highest descriptor in it, plus one. */
static int watched_length;

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

/* Adds fd to the list or replaces its event mask. */
static void watch(int fd, short events)
{
    while (watched_length <= fd) watched[watched_length++].fd = -1;
    watched[fd].fd = fd;
    watched[fd].events = events;
}

/* Removes fd from the list. A mask of 0 would not stop POLLHUP. */
static void stop_watching(int fd)
{
    watched[fd].fd = -1;
    while (watched_length > 0 && watched[watched_length - 1].fd == -1)
        watched_length--;
}

/* poll would report a closed descriptor (POLLNVAL) again and again. */
static void close_connection(int fd)
{
    stop_watching(fd);
    close(fd);
}

/* For a failure that concerns one client: prints the call and the reason, and
   closes that client's connection. */
static void drop(int fd, const char *call)
{
    perror(call);
    close_connection(fd);
}

/* Accepts one client. Returns true if more may be in the queue. */
static bool accept_connection(int listener)
{
    /* SOCK_CLOEXEC: another program that we start does not get this descriptor.
       With a copy of it there, close would not end the connection. */
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
        /* Usually too many clients. Others are still in the queue, so poll
           would report them again and again: stop watching the listener. main
           tries again later. */
        if (!shortage && fd == -1) perror("accept4");
        if (!shortage && fd >= 0) fputs("table full: client refused\n", stderr);
        if (fd >= 0) close(fd);
        shortage = true;
        stop_watching(listener);
        return false;
    }
    connections[fd].received = 0;
    connections[fd].unsent = response;
    watch(fd, POLLIN);
    return true;
}

/* In a shortage, main calls this after each poll: a client may have left, or
   a second has passed (ready is 0). */
static void retry_accept(int listener, int ready)
{
    watch(listener, POLLIN);
    if (ready == 0) shortage = false;
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

/* POLLIN: the client has sent something, or has left. */
static void read_request(int fd)
{
    const struct connection *c = &connections[fd];
    ssize_t n = receive_some(fd);
    if (is_complete(c->request, c->received)) {
        watch(fd, POLLOUT);
        print_request(c->request, c->received);
    } else if (n == -1 && errno != EAGAIN) {
        drop(fd, "recv");
    } else if (n == 0 || c->received == MAX_REQUEST) {
        fprintf(stderr, "no complete request in %zu bytes\n", c->received);
        close_connection(fd);
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

/* POLLOUT: the kernel has room for data to send. */
static void send_response(int fd)
{
    ssize_t n = send_some(fd);
    if (n == -1 && errno != EAGAIN) {
        drop(fd, "send");
    } else if (*connections[fd].unsent == '\0') {
        /* Shutting down both directions makes the kernel report POLLHUP
           immediately. It fails if the client has reset the connection. */
        watch(fd, 0);
        if (shutdown(fd, SHUT_RDWR) == -1) close_connection(fd);
    }
}

int main(int argc, char *argv[])
{
    in_port_t port = port_argument(argc, argv);
    int listener = open_listener(port);
    /* The program may inherit so many open descriptors that the listener does
       not fit into the list. */
    errno = EMFILE;
    if (listener >= MAX_DESCRIPTORS) die("socket");
    watch(listener, POLLIN);
    fprintf(stderr, "listening: try curl -i http://localhost:%d/\n", port);

    for (;;) {
        /* During a shortage, try again after the next event or 1,000 ms. */
        int ready = poll(watched, (nfds_t)watched_length, shortage ? 1000 : -1);
        /* EINTR: a signal interrupted poll. No client is ready. */
        if (ready == -1 && errno != EINTR) die("poll");
        if (shortage) retry_accept(listener, ready);
        for (int fd = 0; ready > 0; fd++) {
            if (watched[fd].revents == 0) continue;
            ready--;
            /* All of them: the next poll looks at every client again. */
            if (fd == listener)
                while (accept_connection(listener)) continue;
            else if (watched[fd].revents & POLLIN)
                read_request(fd);
            else if (watched[fd].revents & POLLOUT)
                send_response(fd);
            else /* POLLHUP or POLLERR, reported whatever the mask is */
                close_connection(fd);
        }
    }
}
