/*
 * Appendix B: example 3 over poll.
 *
 * Shows: the same service without epoll. The program keeps the list of its
 * descriptors itself, hands the whole of it to every poll, and looks through
 * it afterwards for those that are ready.
 *
 * New since example 3: an array of struct pollfd in place of the epoll
 * instance, and a scan of it.
 *
 * Try it: make b_poll && strace -e /poll ./b_poll, leave nc localhost 8080 open
 * in a few terminals and run curl -i localhost:8080 in another: each poll names
 * every client, the silent ones too.
 *
 * Still wrong: if all clients are silent but one, poll looks at all of them to
 * find it, and so does the program: 10,000 looks for one message. Example 3
 * leaves the list with the kernel, and is handed that one alone.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define MAX_REQUEST 8192
/* What one recv asks for: the article's value, so that a long request takes
   more than one. */
#define READ_SIZE 1024
#define MAX_ACCEPTS 64
#define MAX_DESCRIPTORS 65536

/* How many clients may wait to be accepted; the article has 1. */
#ifndef BACKLOG
#define BACKLOG SOMAXCONN
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

/* The open connections, by their descriptors. */
static struct connection *connections[MAX_DESCRIPTORS];

/* What poll is asked, and what it answers, by descriptor as well. A slot whose
   fd is -1 is passed over, by poll and by the scan; but that takes time too, up
   to the highest in use. */
static struct pollfd watched[MAX_DESCRIPTORS];
static int highest;

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

/* Like die, but for one client: the caller closes its connection. */
static int lost(const char *call)
{
    perror(call);
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
   the article: mostly they are the blank line. */
static void print_request(const char *request, size_t length)
{
    puts("----------------------------------------");
    fwrite(request, 1, length - 2, stdout);
    putchar('\n');
    fflush(stdout);
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

/* Adds fd, or changes what is reported of it. The slot is new as a whole: it
   keeps no answer about another that had the same descriptor. */
static void watch(int fd, short events)
{
    watched[fd] = (struct pollfd){.fd = fd, .events = events};
    if (fd > highest) highest = fd;
}

/* poll reports a descriptor that is closed, POLLNVAL, as long as it is asked.
   The listener stays, so the search for the highest ends there. */
static void close_connection(struct connection *c)
{
    connections[c->fd] = NULL;
    watched[c->fd].fd = -1;
    while (watched[highest].fd == -1) highest--;
    close(c->fd);
    free(c);
}

/* Returns 1 if there may be another client, 0 if there is none, or -1 if one
   may have been left in the queue. */
static int accept_connection(int listener, long last)
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
    connections[fd] = c;
    watch(fd, POLLIN);
    return 1;
}

/* Goes on until the queue is empty, for each poll costs a look at everyone;
   but not for ever, for more may come as fast as they are accepted. */
static void accept_connections(int listener, long last)
{
    int result = 1;
    for (int i = 0; i < MAX_ACCEPTS && result == 1; i++)
        result = accept_connection(listener, last);
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

/* Returns 0, or -1 if the connection is to be closed. */
static int read_request(struct connection *c)
{
    int result = receive(c);
    /* Asked before the result is: a client may end its stream right after the
       request, and wait for the response. */
    if (is_complete(c->request, c->received)) {
        watch(c->fd, POLLOUT);
        print_request(c->request, c->received);
        return 0;
    }
    if (c->received < MAX_REQUEST && result != -1) return 0;
    fprintf(stderr, "no complete request in %zu bytes\n", c->received);
    return -1;
}

/* Returns 1 if there is more to send, 0 if not or not now, or -1 if the
   connection is to be closed. */
static int send_response(struct connection *c)
{
    /* Without the flag, a client that has left ends us with SIGPIPE. */
    ssize_t n = send(c->fd, response + c->sent, strlen(response) - c->sent,
                     MSG_NOSIGNAL);
    if (n == -1 && errno == EAGAIN) return 0;
    if (n == -1 && errno == EINTR) return 1;
    if (n == -1) return lost("send");
    /* The kernel may have taken a part only. */
    c->sent += (size_t)n;
    if (c->sent < strlen(response)) return 1;

    watch(c->fd, 0);
    /* Once both directions are shut, POLLHUP comes, at once. A client that
       has reset the connection meanwhile makes shutdown fail: ENOTCONN. */
    return shutdown(c->fd, SHUT_RDWR);
}

/* Interest is in one thing at a time, so one bit at most is set of POLLIN and
   POLLOUT. POLLHUP and POLLERR come unasked; alone, they mean the end. */
static void handle_event(struct connection *c, short events)
{
    int result = -1;
    if (events & POLLIN)
        result = read_request(c);
    else if (events & POLLOUT)
        result = send_response(c);
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
    long last = sysconf(_SC_OPEN_MAX) - 1;
    if (last >= MAX_DESCRIPTORS) last = MAX_DESCRIPTORS - 1;
    /* So many were open from the start that none is left for a client. */
    if (listener + 1 >= last) {
        errno = EMFILE;
        die("socket");
    }
    for (int fd = 0; fd <= last; fd++) watched[fd].fd = -1;
    watch(listener, POLLIN);
    fprintf(stderr, "listening: try curl -i http://localhost:%d/\n", port);

    while (!interrupted) {
        int ready = poll(watched, (nfds_t)highest + 1, -1);
        if (ready == -1 && errno != EINTR) die("poll");
        /* A connection ends at its own turn only, so what is still to be looked
           at cannot be about another that had the same descriptor. */
        for (int fd = 0; ready > 0 && !interrupted; fd++) {
            if (watched[fd].revents == 0) continue;
            ready--;
            if (fd == listener)
                accept_connections(listener, last);
            else
                handle_event(connections[fd], watched[fd].revents);
        }
    }

    for (int fd = 0; fd <= last; fd++)
        if (connections[fd] != NULL) close_connection(connections[fd]);
    close(listener);
    return EXIT_SUCCESS;
}
