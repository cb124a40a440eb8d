/*
 * Example 2: a blocking server for one client after the other.
 * In C, Example 2 of the article "How To Use Linux epoll with Python".
 *
 * Shows: one silent client blocks all others. While the program sleeps in recv,
 * the other clients wait in the accept queue.
 *
 * New since example 1: the loop, and accept_connection, which decides what to
 * do when accept fails. As in the article's Example 2, the program prints a
 * line of dashes before each request, and omits its last two bytes.
 *
 * Try it: make ex2 && ./ex2, then curl -i localhost:8080 as often as you like.
 * Leave nc localhost 8080 open in one terminal and run curl in another: curl
 * hangs until you end nc. Press Ctrl-C: it ends the program, even while it
 * sleeps in accept or recv, and the kernel closes its descriptors.
 *
 * Limits: the program waits for one client at a time. Example 3 waits for all
 * of them at once. If a client sends more than its request, close sends a
 * reset, and the response may be lost. Example 3 calls shutdown first.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
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

/* Length of the accept queue. The article uses 1. SOMAXCONN comes from the C
   library: 4,096 in glibc, 128 in musl. If net.core.somaxconn is smaller, the
   kernel uses that value. */
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

/* For a failure that concerns one client: prints the call and the reason. The
   caller closes that client's connection. */
static bool give_up(const char *call)
{
    perror(call);
    return false;
}

/* Returns the descriptor of the next client, or -1 if main should try again. */
static int accept_connection(int listener)
{
    int fd = accept(listener, NULL, NULL);
    /* ECONNABORTED, EPROTO: a connection was aborted in the queue. Rare on
       Linux: there, accept succeeds even if the client has reset the
       connection, and the later recv fails. */
    if (fd != -1 || errno == ECONNABORTED || errno == EPROTO) return fd;
    /* The listener was shut down: accept cannot succeed any more. */
    if (errno == EINVAL) die("accept");
    /* Usually out of descriptors or memory. The client stays in the queue, so
       accept would fail again at once: wait before the next try. */
    perror("accept");
    sleep(1);
    return -1;
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
        if (n == -1) return give_up("recv");
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
        if (n == -1) return give_up("send");
        /* Usually all of it. But Ctrl-Z may interrupt a send that sleeps. */
        unsent += n;
    }
    return true;
}

int main(int argc, char *argv[])
{
    in_port_t port = port_argument(argc, argv);
    int listener = open_listener(port);
    fprintf(stderr, "listening: try curl -i http://localhost:%d/\n", port);

    for (;;) {
        int fd = accept_connection(listener);
        if (fd == -1) continue;
        if (read_request(fd)) send_response(fd);
        close(fd);
    }
}
