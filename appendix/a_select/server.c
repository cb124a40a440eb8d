/*
 * Appendix A: example 3 over select.
 *
 * Shows: the same service without epoll. The program itself keeps the list of
 * what it waits for. This list is what epoll keeps in the kernel. Every select
 * passes the whole list to the kernel, and the program searches the answer.
 *
 * New since example 3: two sets of descriptors instead of the epoll instance,
 * copies of them for every call, a search, and a loop around accept4.
 *
 * Try it: make a_select && strace -e /select ./a_select, leave nc localhost
 * 8080 open in a few terminals and run curl -i localhost:8080 in another: each
 * select lists every client, also the silent ones.
 *
 * Limits: a set ends at descriptor 1,023. Clients beyond it are refused, or
 * wait; appendix B has room for them. And select looks at every client, even if
 * only one of them is ready.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <unistd.h>

/* A longer request is refused: without a limit, one client could fill the
   memory. Most requests are much shorter. */
#define MAX_REQUEST 8192

/* One recv reads at most this many bytes, as in the article. A long request
   needs several calls. */
#define READ_SIZE 1024

/* The size of a set, usually 1,024. Beyond it, FD_SET writes into other
   variables. */
#define MAX_DESCRIPTORS FD_SETSIZE

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

/* The list of what the program waits for. Each descriptor is in one of the two
   sets, or in none. Static variables start as zero: both sets are empty. */
static fd_set to_read, to_write;

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

/* select fails with EBADF if a closed descriptor is still in a set. */
static void close_connection(int fd)
{
    FD_CLR(fd, &to_read);
    FD_CLR(fd, &to_write);
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
        /* Usually too many clients. Others are still in the queue, so select
           would report them again and again: stop watching the listener. main
           tries again later. */
        if (!shortage && fd == -1) perror("accept4");
        if (!shortage && fd >= 0) fputs("table full: client refused\n", stderr);
        if (fd >= 0) close(fd);
        shortage = true;
        FD_CLR(listener, &to_read);
        return false;
    }
    connections[fd].received = 0;
    connections[fd].unsent = response;
    FD_SET(fd, &to_read);
    return true;
}

/* In a shortage, main calls this after each select: a client may have left, or
   a second has passed (ready is 0). */
static void retry_accept(int listener, int ready)
{
    FD_SET(listener, &to_read);
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

/* Readable: the client has sent something, or has left. */
static void read_request(int fd)
{
    const struct connection *c = &connections[fd];
    ssize_t n = receive_some(fd);
    if (is_complete(c->request, c->received)) {
        FD_CLR(fd, &to_read);
        FD_SET(fd, &to_write);
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

/* Writable: the kernel has room for data to send. */
static void send_response(int fd)
{
    ssize_t n = send_some(fd);
    if (n == -1 && errno != EAGAIN) {
        drop(fd, "send");
    } else if (*connections[fd].unsent == '\0') {
        /* select reports no hang-up, so close immediately. If input is unread,
           close sends a reset: shutdown sends the end of the stream first. */
        shutdown(fd, SHUT_RDWR);
        close_connection(fd);
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
    FD_SET(listener, &to_read);
    fprintf(stderr, "listening: try curl -i http://localhost:%d/\n", port);

    for (;;) {
        /* select leaves only what is ready in the sets: give it copies. */
        fd_set readable = to_read, writable = to_write;
        /* In a shortage, try again after the next event, or after 1 s. */
        struct timeval one_second = {.tv_sec = 1};
        /* select looks at all descriptors below its first argument. */
        int ready = select(MAX_DESCRIPTORS, &readable, &writable, NULL,
                           shortage ? &one_second : NULL);
        /* EINTR: a signal interrupted select. No client is ready. */
        if (ready == -1 && errno != EINTR) die("select");
        if (shortage) retry_accept(listener, ready);
        for (int fd = 0; ready > 0; fd++) {
            if (!FD_ISSET(fd, &readable) && !FD_ISSET(fd, &writable)) continue;
            ready--;
            /* All of them: the next select looks at every client again. */
            if (fd == listener)
                while (accept_connection(listener)) continue;
            else if (FD_ISSET(fd, &readable))
                read_request(fd);
            else if (FD_ISSET(fd, &writable))
                send_response(fd);
            /* No fourth branch: select reports a reset as readable or
               writable, and recv or send fails. */
        }
    }
}
