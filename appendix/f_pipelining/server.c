/*
 * Appendix F: example 5 grown to HTTP/1.1, with kept connections.
 *
 * Shows: where TCP_CORK helps. A client may send many requests before it reads
 * a response: pipelining. Each response has its own send. With TCP_CORK set,
 * the responses share full segments.
 *
 * New since example 5: a connection stays open for the next request. One recv
 * may return many requests, and part of another. While a client does not take
 * its responses, the server does not read its requests. It never prints them.
 *
 * Try it: make f_pipelining, then strace -e setsockopt,sendto ./f_pipelining,
 * and in a second terminal
 * printf 'GET / HTTP/1.1\nHost: a\n\n%.0s' 1 2 3 | nc -N localhost 8080
 * Compare the other modes: ./f_pipelining 8080 plain, or nodelay, or gather.
 *
 * Limits: the program understands GET without a body, and little more of HTTP.
 * A client that sends or reads nothing may stay forever: see appendix G.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
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

/* Room for one client's unsent responses: in mode GATHER 71, otherwise one. */
#define MAX_UNSENT 8192

/* One epoll_wait returns at most this many events. The next call returns the
   others. */
#define MAX_EVENTS 64

/* Entries in the table of clients. A process may usually have fewer
   descriptors: see ulimit -n. The table takes 257 MiB of virtual memory. */
#define MAX_DESCRIPTORS 16384

/* Length of the accept queue. The article uses 1. SOMAXCONN comes from the C
   library: 4,096 in glibc, 128 in musl. If net.core.somaxconn is smaller, the
   kernel uses that value. */
#define BACKLOG SOMAXCONN

/* Three modes call send for each response: with no option, with TCP_NODELAY, or
   with TCP_CORK. GATHER collects the responses and calls send once. */
static enum mode { PLAIN, NODELAY, CORK, GATHER } mode = CORK;

static const char ok[] =
    "HTTP/1.1 200 OK\r\nDate: Mon, 1 Jan 1996 01:01:01 GMT\r\n"
    "Content-Type: text/plain\r\nContent-Length: 13\r\n\r\nHello, world!";
static const char bad_request[] =
    "HTTP/1.1 400 Bad Request\r\n"
    "Content-Length: 0\r\nConnection: close\r\n\r\n";

/* State of one client, kept between events. The numbers count bytes, of its
   requests and of responses. finished: the last response has been made. */
struct connection {
    size_t received, answered;
    size_t made, sent;
    bool finished;
    char responses[MAX_UNSENT];
    char request[MAX_REQUEST];
};

/* One entry for each descriptor. The kernel provides only the pages that the
   program touches: usually two (8 KiB) per client. */
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

/* Returns the port given on the command line, or 8080. Sets the mode. */
static in_port_t port_argument(int argc, char *argv[])
{
    static const char *const names[] = {"plain", "nodelay", "cork", "gather"};
    for (enum mode m = PLAIN; argc == 3 && m <= GATHER; m++) {
        if (strcmp(argv[2], names[m]) != 0) continue;
        mode = m;
        argc = 2;
    }
    if (argc < 2) return 8080;
    /* strtol alone would accept " 80", "+80" and "80x". */
    size_t digits = strspn(argv[1], "0123456789");
    long port = strtol(argv[1], NULL, 10);
    if (argc == 2 && argv[1][digits] == '\0' && port >= 1 && port <= 65535)
        return (in_port_t)port;
    fprintf(stderr, "usage: %s [port [plain|nodelay|cork|gather]], not '%s'\n",
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
    /* Before listen, because a client that connects before this call would not
       get the option. When TCP_CORK is cleared, Nagle's algorithm would be on
       again: the rest of a long batch would wait for the ACK of its start. */
    if (mode != PLAIN &&
        setsockopt(listener, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) == -1)
        die("setsockopt");

    struct sockaddr_in any = {.sin_family = AF_INET, .sin_port = htons(port)};
    any.sin_addr.s_addr = htonl(INADDR_ANY);
    if (bind(listener, (struct sockaddr *)&any, sizeof any) == -1) die("bind");
    if (listen(listener, BACKLOG) == -1) die("listen");
    return listener;
}

/* Returns the length of the first request, or 0 if it is not complete. */
static size_t request_length(const char *text, size_t length)
{
    for (size_t i = 1; i < length; i++) {
        bool is_blank = text[i - 1] == '\n' ||
                        (i > 1 && text[i - 1] == '\r' && text[i - 2] == '\n');
        if (text[i] == '\n' && is_blank) return i + 1;
    }
    return 0;
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
    struct connection *c = &connections[fd];
    c->received = c->answered = c->made = c->sent = 0;
    c->finished = false;
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
    /* After the last response, discard what the client sends. */
    if (c->finished) c->answered = c->received;
    c->received -= c->answered;
    memmove(c->request, c->request + c->answered, c->received);
    c->answered = 0;
    size_t room = MAX_REQUEST - c->received;
    ssize_t n = recv(fd, c->request + c->received, room, 0);
    if (n > 0) c->received += (size_t)n;
    return n;
}

/* Returns the response to a request, and sets c->finished if it is the last
   one. Cuts the request into lines. A length of 0: it is too long. */
static const char *answer_to(struct connection *c, char *text, size_t length)
{
    c->finished = true;
    /* The functions for strings would not see what follows a NUL byte. */
    if (length == 0 || memchr(text, '\0', length) != NULL) return bad_request;
    text[length - 1] = '\0';
    const char *line = strsep(&text, "\r\n");
    if (strncmp(line, "GET ", 4) != 0) return bad_request;
    const char *version = strchr(line + 4, ' ');
    if (version == NULL || version == line + 4) return bad_request;
    bool is_last = strcmp(version, " HTTP/1.0") == 0;
    if (!is_last && strcmp(version, " HTTP/1.1") != 0) return bad_request;
    while ((line = strsep(&text, "\r\n")) != NULL) {
        /* The server would take a body for the next request. */
        if (strncasecmp(line, "Content-Length", 14) == 0 ||
            strncasecmp(line, "Transfer-Encoding", 17) == 0)
            return bad_request;
        if (strcasecmp(line, "Connection: close") == 0) is_last = true;
    }
    c->finished = is_last;
    return ok;
}

/* If all responses have been sent, makes new ones: one, or in mode GATHER as
   many as there is room for. Returns true if there is something to send. */
static bool make_responses(struct connection *c)
{
    if (c->sent < c->made) return true;
    c->sent = c->made = 0;
    size_t enough = mode == GATHER ? MAX_UNSENT - sizeof ok : 0;
    while (!c->finished && c->made <= enough) {
        char *text = c->request + c->answered;
        size_t unanswered = c->received - c->answered;
        size_t length = request_length(text, unanswered);
        if (length == 0 && unanswered < MAX_REQUEST) break;
        char *end = stpcpy(c->responses + c->made, answer_to(c, text, length));
        c->made = (size_t)(end - c->responses);
        c->answered += length;
    }
    return c->made > 0;
}

/* Sets or clears TCP_CORK, in mode CORK only. */
static void set_cork(int fd, int value)
{
    if (mode == CORK &&
        setsockopt(fd, IPPROTO_TCP, TCP_CORK, &value, sizeof value) == -1)
        perror("setsockopt");
}

/* Calls send once. Returns its result. */
static ssize_t send_some(int fd)
{
    struct connection *c = &connections[fd];
    /* MSG_NOSIGNAL: get the error EPIPE instead of a fatal SIGPIPE if the
       client is gone. */
    ssize_t n =
        send(fd, c->responses + c->sent, c->made - c->sent, MSG_NOSIGNAL);
    /* send may accept only part of the data. */
    if (n > 0) c->sent += (size_t)n;
    return n;
}

/* EPOLLOUT: the kernel has room for data to send. Also answers requests that
   are still in the buffer, because EPOLLIN does not report them. */
static void send_responses(int epoll, int fd)
{
    struct connection *c = &connections[fd];
    bool was_blocked = c->sent < c->made;
    if (!make_responses(c)) return;
    set_cork(fd, 1);
    ssize_t n = 0;
    while (n != -1 && make_responses(c)) n = send_some(fd);
    bool is_blocked = c->sent < c->made;
    if (n == -1 && errno != EAGAIN) {
        drop(fd, "send");
        return;
    }
    set_cork(fd, 0);
    /* Unread requests wait in the client's memory, not in ours. */
    if (is_blocked != was_blocked &&
        watch(epoll, EPOLL_CTL_MOD, fd, is_blocked ? EPOLLOUT : EPOLLIN) == -1)
        drop(fd, "epoll_ctl");
    /* Not close: if input is unread, it sends a reset, which may overtake the
       response. */
    else if (!is_blocked && c->finished && shutdown(fd, SHUT_WR) == -1)
        close(fd);
}

/* EPOLLIN: the client has sent something, or its stream has ended. */
static void read_requests(int epoll, int fd)
{
    const struct connection *c = &connections[fd];
    ssize_t n = receive_some(fd);
    if (n == 0 && c->received > 0)
        fprintf(stderr, "no complete request in %zu bytes\n", c->received);
    if (n == 0)
        close(fd);
    else if (n == -1 && errno != EAGAIN)
        drop(fd, "recv");
    else
        send_responses(epoll, fd);
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
                read_requests(epoll, fd);
            else if (events[i].events & EPOLLOUT)
                send_responses(epoll, fd);
            else /* EPOLLHUP or EPOLLERR, reported whatever the mask is */
                close(fd);
        }
    }
}
