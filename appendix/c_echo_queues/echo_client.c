/*
 * The client of the echo server: sends a text, and checks what comes back.
 *
 * usage: echo_client [port]
 *
 * Opens two connections to this port of 127.0.0.1, or to port 10000. Sends each
 * part of the text on both connections, then reads both echoes. In the end it
 * ends both streams and waits until the server has ended them too.
 *
 * Exit status: 0 if exactly the text came back, 1 if not, 2 if the command line
 * was wrong. After 5 seconds, SIGALRM ends the program.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define CONNECTIONS 2

/* The longest part has 26 bytes. */
#define MAX_PART 64

/* A test or a script should not wait longer for a server that does not
   answer. */
#define SECONDS 5

static const char *const parts[] = {
    "An echo server gives back ",
    "what it gets, in parts ",
    "of its own choosing.",
};

struct connection {
    int fd;
    char name[sizeof "255.255.255.255:65535"];
};

static void die(const char *call)
{
    perror(call);
    exit(EXIT_FAILURE);
}

static void fail(const struct connection *c, const char *problem)
{
    fprintf(stderr, "%s: %s\n", c->name, problem);
    exit(EXIT_FAILURE);
}

/* Returns the port given on the command line, or 10000. */
static in_port_t port_argument(int argc, char *argv[])
{
    if (argc < 2) return 10000;
    /* strtol alone would accept " 80", "+80" and "80x". */
    size_t digits = strspn(argv[1], "0123456789");
    long port = strtol(argv[1], NULL, 10);
    if (argc == 2 && argv[1][digits] == '\0' && port >= 1 && port <= 65535)
        return (in_port_t)port;
    fprintf(stderr, "usage: %s [port]: one port, 1 to 65535, not '%s'\n",
            argv[0], argv[argc - 1]);
    exit(2);
}

/* The connection's name is its own address, as in the log of the server. */
static void open_connection(struct connection *c, in_port_t port)
{
    c->fd = socket(AF_INET, SOCK_STREAM, 0);
    if (c->fd == -1) die("socket");

    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port)};
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof a;
    if (connect(c->fd, (struct sockaddr *)&a, size) == -1) die("connect");
    if (getsockname(c->fd, (struct sockaddr *)&a, &size) == -1)
        die("getsockname");
    snprintf(c->name, sizeof c->name, "%s:%d", inet_ntoa(a.sin_addr),
             ntohs(a.sin_port));
}

static void send_part(const struct connection *c, const char *part)
{
    fprintf(stderr, "%s: sending \"%s\"\n", c->name, part);
    /* MSG_NOSIGNAL: get the error EPIPE instead of a fatal SIGPIPE if the
       server is gone. The socket blocks, so send accepts all the data. */
    if (send(c->fd, part, strlen(part), MSG_NOSIGNAL) == -1) die("send");
}

/* The echo may arrive in several chunks. The client prints only what it has
   sent: other bytes could control the terminal. */
static void receive_echo(const struct connection *c, const char *part)
{
    char data[MAX_PART];
    size_t length = strlen(part);
    for (size_t received = 0; received < length;) {
        ssize_t n = recv(c->fd, data, length - received, 0);
        if (n == -1) die("recv");
        if (n == 0) fail(c, "the server ended the stream too early");
        if (memcmp(data, part + received, (size_t)n) != 0)
            fail(c, "what came back is not what was sent");
        fprintf(stderr, "%s: received \"%.*s\"\n", c->name, (int)n, data);
        received += (size_t)n;
    }
}

/* Ends the stream. Nothing more may come back. */
static void finish(const struct connection *c)
{
    char extra;
    if (shutdown(c->fd, SHUT_WR) == -1) die("shutdown");
    ssize_t n = recv(c->fd, &extra, 1, 0);
    if (n == -1) die("recv");
    if (n == 1) fail(c, "more came back than was sent");
    fprintf(stderr, "%s: closing\n", c->name);
    close(c->fd);
}

int main(int argc, char *argv[])
{
    in_port_t port = port_argument(argc, argv);
    alarm(SECONDS);

    struct connection connections[CONNECTIONS];
    for (int i = 0; i < CONNECTIONS; i++)
        open_connection(&connections[i], port);
    for (size_t part = 0; part < sizeof parts / sizeof parts[0]; part++) {
        for (int i = 0; i < CONNECTIONS; i++)
            send_part(&connections[i], parts[part]);
        for (int i = 0; i < CONNECTIONS; i++)
            receive_echo(&connections[i], parts[part]);
    }
    for (int i = 0; i < CONNECTIONS; i++) finish(&connections[i]);
    return EXIT_SUCCESS;
}
