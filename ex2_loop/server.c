/*
 * Example 2: a blocking server for one client after the other.
 *
 * Shows: the listener never carries data. It only gives out connections, one
 * new descriptor for each client.
 *
 * New since example 1: the loop, and a signal handler that ends it on SIGINT
 * (Ctrl-C) and SIGTERM.
 *
 * Try it: make ex2 && ./ex2, then curl -i localhost:8080 as often as you like.
 *
 * Limits: while recv waits for one client, nobody else is served. Leave
 * nc localhost 8080 open in one terminal and run curl in another: curl hangs.
 * Example 3 serves both.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* A longer request is refused: without a limit, one client could fill the
   memory. Real requests are shorter than this. */
#define MAX_REQUEST 8192

/* Bytes requested per recv, as in the article. A long request needs several
   calls. */
#define READ_SIZE 1024

/* Length of the accept queue. The article uses 1. The kernel reduces it to
   net.core.somaxconn, if it is larger. */
#define BACKLOG SOMAXCONN

static const char response[] =
    "HTTP/1.0 200 OK\r\nDate: Mon, 1 Jan 1996 01:01:01 GMT\r\n"
    "Content-Type: text/plain\r\nContent-Length: 13\r\n\r\nHello, world!";

/* For a failure after which the program can serve nobody: prints the call and
   the reason, and exits. */
static void die(const char *call)
{
    perror(call);
    exit(EXIT_FAILURE);
}

/* A handler may call _exit, but not exit: see signal-safety(7). The kernel
   closes all descriptors. */
static void end(int signal_number)
{
    (void)signal_number;
    _exit(EXIT_SUCCESS);
}

/* Ends the program on SIGINT and SIGTERM, whatever call it sleeps in. */
static void catch_signals(void)
{
    const struct sigaction action = {.sa_handler = end};
    if (sigaction(SIGINT, &action, NULL) == -1 ||
        sigaction(SIGTERM, &action, NULL) == -1)
        die("sigaction");
    /* A program inherits the set of blocked signals. sa_mask is empty, so
       this blocks none. */
    if (sigprocmask(SIG_SETMASK, &action.sa_mask, NULL) == -1)
        die("sigprocmask");
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
    int listener = socket(AF_INET, SOCK_STREAM, 0);
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

/* A failure that concerns one client costs that client only: the caller closes
   its connection. */
static bool lost(const char *call)
{
    perror(call);
    return false;
}

/* A request ends with its first blank line. recv may cut it anywhere. */
static bool is_complete(const char *request, size_t length)
{
    return memmem(request, length, "\n\n", 2) != NULL ||
           memmem(request, length, "\n\r\n", 3) != NULL;
}

/* fwrite, because a request may contain NUL bytes. fflush, so that output
   appears at once even through a pipe. As in the article, without the last two
   bytes: usually they are part of the blank line. */
static void print_request(const char *request, size_t length)
{
    puts("----------------------------------------");
    fwrite(request, 1, length - 2, stdout);
    putchar('\n');
    fflush(stdout);
}

/* Returns the connection to the next client. */
static int accept_connection(int listener)
{
    int fd;
    while ((fd = accept(listener, NULL, NULL)) == -1) {
        /* The client gave up while it was in the queue: take the next one. */
        if (errno == ECONNABORTED || errno == EPROTO) continue;
        /* Out of descriptors or memory. The client stays in the queue, so
           accept would fail again at once: wait before the next try. */
        perror("accept");
        sleep(1);
    }
    return fd;
}

/* Returns true if the client has sent a complete request. */
static bool read_request(int fd)
{
    char request[MAX_REQUEST];
    size_t received = 0;
    while (received < MAX_REQUEST) {
        size_t room = MAX_REQUEST - received;
        if (room > READ_SIZE) room = READ_SIZE;
        ssize_t n = recv(fd, request + received, room, 0);
        if (n == -1) return lost("recv");
        /* End of stream: from now on, every recv would return 0. */
        if (n == 0) break;
        received += (size_t)n;
        if (is_complete(request, received)) {
            print_request(request, received);
            return true;
        }
    }
    fprintf(stderr, "no complete request in %zu bytes\n", received);
    return false;
}

/* Returns true if the kernel has accepted the whole response. */
static bool send_response(int fd)
{
    const char *unsent = response;
    while (*unsent != '\0') {
        /* MSG_NOSIGNAL: get the error EPIPE instead of a fatal SIGPIPE if the
           client is gone. */
        ssize_t n = send(fd, unsent, strlen(unsent), MSG_NOSIGNAL);
        if (n == -1) return lost("send");
        /* send may accept only part of the data. */
        unsent += n;
    }
    return true;
}

int main(int argc, char *argv[])
{
    in_port_t port = port_argument(argc, argv);
    catch_signals();
    int listener = open_listener(port);
    fprintf(stderr, "listening: try curl -i http://localhost:%d/\n", port);

    for (;;) {
        int fd = accept_connection(listener);
        if (read_request(fd)) send_response(fd);
        close(fd);
    }
}
