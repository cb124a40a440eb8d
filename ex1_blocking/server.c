/*
 * Example 1: one blocking connection.
 *
 * Shows: the calls of every TCP server, and where a blocking one sleeps: in
 * accept until a client connects, in recv until that client has sent
 * something.
 *
 * Try it: make ex1 && ./ex1, and in a second terminal curl -i localhost:8080
 *
 * Still wrong: it serves one client and is gone. Example 2 adds the loop.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define MAX_REQUEST 8192
/* What one recv asks for: the article's value, so that a long request takes
   more than one. */
#define READ_SIZE 1024

/* How many clients may wait to be accepted; the article has 1. */
#ifndef BACKLOG
#define BACKLOG SOMAXCONN
#endif

static const char response[] =
    "HTTP/1.0 200 OK\r\nDate: Mon, 1 Jan 1996 01:01:01 GMT\r\n"
    "Content-Type: text/plain\r\nContent-Length: 13\r\n\r\nHello, world!";

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
   seen at once, through a pipe as well. */
static void print_request(const char *request, size_t length)
{
    fwrite(request, 1, length, stdout);
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

/* Returns 0, or -1 if the client got no response. */
static int serve(int connection)
{
    char request[MAX_REQUEST];
    size_t received = 0;
    while (received < MAX_REQUEST && !is_complete(request, received)) {
        size_t room = MAX_REQUEST - received;
        if (room > READ_SIZE) room = READ_SIZE;
        ssize_t n = recv(connection, request + received, room, 0);
        if (n == -1 && errno == EINTR) continue;
        if (n == -1) perror("recv");
        /* 0 is the client's end of stream, and all that recv returns from
           then on. */
        if (n <= 0) break;
        received += (size_t)n;
    }
    if (!is_complete(request, received)) {
        fprintf(stderr, "no complete request in %zu bytes\n", received);
        return -1;
    }
    print_request(request, received);

    size_t sent = 0;
    while (sent < strlen(response)) {
        /* Without the flag, a client that has left ends us with SIGPIPE. */
        ssize_t n = send(connection, response + sent, strlen(response) - sent,
                         MSG_NOSIGNAL);
        if (n == -1 && errno == EINTR) continue;
        if (n == -1) return lost("send");
        /* The kernel may have taken a part only. */
        sent += (size_t)n;
    }
    return 0;
}

/* Returns 0, or -1 if the client got no response, or 1 if none was accepted. */
static int serve_next(int listener)
{
    int connection = accept(listener, NULL, NULL);
    if (connection == -1) return accept_failed();
    int result = serve(connection);
    close(connection);
    return result;
}

int main(int argc, char *argv[])
{
    in_port_t port = port_argument(argc, argv);
    int listener = open_listener(port);
    fprintf(stderr, "listening: try curl -i http://localhost:%d/\n", port);

    int result;
    while ((result = serve_next(listener)) == 1) continue;

    close(listener);
    return result == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
