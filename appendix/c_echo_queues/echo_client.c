/*
 * The client of the echo server: sends, and checks what comes back.
 *
 * usage: echo_client [port]
 *
 * Opens two connections to the port of 127.0.0.1, 10000 unless given. Sends a
 * message in parts, each part on both connections, and reads the echoes; then
 * ends both streams, and waits for the server to end them as well.
 *
 * Exit status 0 means that everything came back as it was sent, and nothing
 * else; 1 that it did not, and stderr says why; 2 that the command line was
 * wrong.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define CONNECTIONS 2
#define MAX_PART 64
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

/* Without it, a call that blocks would go on when the time is up. The alarm is
   set again for the case that it comes just before such a call. */
static void time_is_up(int signal_number)
{
    (void)signal_number;
    alarm(1);
}

static void die(const char *call)
{
    if (errno == EINTR) fprintf(stderr, "not done in %d seconds: ", SECONDS);
    perror(call);
    exit(EXIT_FAILURE);
}

static void wrong(const struct connection *c, const char *what)
{
    fprintf(stderr, "%s: %s\n", c->name, what);
    exit(EXIT_FAILURE);
}

/* Returns the port that the command line names, or 10000. */
static in_port_t port_argument(int argc, char *argv[])
{
    if (argc < 2) return 10000;
    /* strtol alone would take " 80", "+80" and "80x". */
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
    struct sockaddr_in address = {
        .sin_family = AF_INET,
        .sin_port = htons(port),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    socklen_t size = sizeof address;
    c->fd = socket(AF_INET, SOCK_STREAM, 0);
    if (c->fd == -1) die("socket");
    if (connect(c->fd, (struct sockaddr *)&address, size) == -1) die("connect");
    if (getsockname(c->fd, (struct sockaddr *)&address, &size) == -1)
        die("getsockname");
    snprintf(c->name, sizeof c->name, "%s:%d", inet_ntoa(address.sin_addr),
             ntohs(address.sin_port));
}

static void send_part(const struct connection *c, const char *part)
{
    fprintf(stderr, "%s: sending \"%s\"\n", c->name, part);
    /* So few bytes are taken whole or not at all. */
    if (send(c->fd, part, strlen(part), MSG_NOSIGNAL) == -1) die("send");
}

/* The echo may come in any number of pieces. A piece is printed only if it is
   what was sent, for anything else could give orders to the terminal. */
static void receive_echo(const struct connection *c, const char *part)
{
    char data[MAX_PART];
    size_t length = strlen(part);
    for (size_t received = 0; received < length;) {
        ssize_t n = recv(c->fd, data, length - received, 0);
        if (n == -1) die("recv");
        if (n == 0) wrong(c, "the server ended the stream too early");
        if (memcmp(data, part + received, (size_t)n) != 0)
            wrong(c, "what came back is not what was sent");
        fprintf(stderr, "%s: received \"%.*s\"\n", c->name, (int)n, data);
        received += (size_t)n;
    }
}

static void finish(const struct connection *c)
{
    char surplus;
    if (shutdown(c->fd, SHUT_WR) == -1) die("shutdown");
    ssize_t n = recv(c->fd, &surplus, 1, 0);
    if (n == -1) die("recv");
    if (n == 1) wrong(c, "more came back than was sent");
    fprintf(stderr, "%s: closing\n", c->name);
    close(c->fd);
}

int main(int argc, char *argv[])
{
    in_port_t port = port_argument(argc, argv);
    const struct sigaction action = {.sa_handler = time_is_up};
    if (sigaction(SIGALRM, &action, NULL) == -1) die("sigaction");
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
