/*
 * exchange: how long a response in two small sends takes, and in how many
 * segments it leaves.
 *
 * usage: exchange MODE COUNT
 *
 * Opens both ends of one connection over loopback. Then, COUNT times (1 to
 * 1000), the client end sends a request, the server end sends the head and the
 * body of a response with one send each, and the client end reads both. MODE is
 * what the server end sets:
 *
 *   plain    nothing
 *   cork     TCP_CORK before the two sends, cleared after them
 *   nodelay  TCP_NODELAY, once, at the beginning
 *   both     TCP_NODELAY, and TCP_CORK around the two sends
 *
 * Prints a line for each exchange: its number, the milliseconds from the
 * request to the whole response, the segments with data that the server end
 * sent, and how many of them it had sent when the second send (and the cork)
 * was done. One process plays both ends in turn. The kernel decides when to
 * acknowledge.
 *
 * Ends after a minute in any case. Exit status 1: a call failed. 2: the command
 * line was wrong.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <linux/tcp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define MAX_COUNT 1000

static const char request[] = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
static const char head[] =
    "HTTP/1.1 200 OK\r\nDate: Mon, 1 Jan 1996 01:01:01 GMT\r\n"
    "Content-Type: text/plain\r\nContent-Length: 13\r\n\r\n";
static const char body[] = "Hello, world!";

static const struct mode {
    const char *name;
    int cork;
    int nodelay;
} modes[] = {
    {"plain", 0, 0},
    {"cork", 1, 0},
    {"nodelay", 0, 1},
    {"both", 1, 1},
};

static _Noreturn void die(const char *call)
{
    perror(call);
    exit(EXIT_FAILURE);
}

/* For calls that must succeed. Returns their result. */
static int must(int result, const char *call)
{
    if (result == -1) die(call);
    return result;
}

/* Opens a connection. Returns the server end, and stores the client end. */
static int open_pair(int *client)
{
    int listener = must(socket(AF_INET, SOCK_STREAM, 0), "socket");
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    must(bind(listener, (struct sockaddr *)&address, size), "bind");
    must(listen(listener, 1), "listen");
    must(getsockname(listener, (struct sockaddr *)&address, &size),
         "getsockname");
    *client = must(socket(AF_INET, SOCK_STREAM, 0), "socket");
    must(connect(*client, (struct sockaddr *)&address, size), "connect");
    int server = must(accept(listener, NULL, NULL), "accept");
    close(listener);
    return server;
}

static void set(int fd, int option, int value)
{
    must(setsockopt(fd, IPPROTO_TCP, option, &value, sizeof value),
         "setsockopt");
}

/* Returns the number of segments with data that fd has sent. An old kernel
   fills in only the first part of the struct. */
static unsigned int segments(int fd)
{
    struct tcp_info info;
    socklen_t size = sizeof info;
    must(getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size), "getsockopt");
    if (size < offsetof(struct tcp_info, tcpi_data_segs_out) +
                   sizeof info.tcpi_data_segs_out) {
        fputs("TCP_INFO does not count segments: Linux 4.6 or later does\n",
              stderr);
        exit(EXIT_FAILURE);
    }
    return info.tcpi_data_segs_out;
}

static double milliseconds(void)
{
    struct timespec time;
    must(clock_gettime(CLOCK_MONOTONIC, &time), "clock_gettime");
    return (double)time.tv_sec * 1e3 + (double)time.tv_nsec / 1e6;
}

static void send_text(int fd, const char *text)
{
    if (send(fd, text, strlen(text), MSG_NOSIGNAL) != (ssize_t)strlen(text))
        die("send");
}

/* Waits until this many bytes have arrived, and reads them. */
static void receive(int fd, size_t length)
{
    char data[sizeof request + sizeof head + sizeof body];
    if (recv(fd, data, length, MSG_WAITALL) != (ssize_t)length) die("recv");
}

/* Makes one exchange. Returns the segments sent before the client end reads. */
static unsigned int exchange(int client, int server, int cork)
{
    send_text(client, request);
    receive(server, strlen(request));
    if (cork) set(server, TCP_CORK, 1);
    send_text(server, head);
    send_text(server, body);
    if (cork) set(server, TCP_CORK, 0);
    unsigned int at_once = segments(server);
    receive(client, strlen(head) + strlen(body));
    return at_once;
}

int main(int argc, char *argv[])
{
    const struct mode *mode = NULL;
    for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++)
        if (argc == 3 && strcmp(argv[1], modes[i].name) == 0) mode = &modes[i];
    char *end = NULL;
    long count = argc == 3 ? strtol(argv[2], &end, 10) : 0;
    if (mode == NULL || count < 1 || count > MAX_COUNT || *end != '\0') {
        fputs("usage: exchange MODE COUNT: plain, cork, nodelay or both; "
              "1 to 1000\n",
              stderr);
        return 2;
    }
    alarm(60);

    int client;
    int server = open_pair(&client);
    if (mode->nodelay) set(server, TCP_NODELAY, 1);
    for (long i = 1; i <= count; i++) {
        unsigned int before = segments(server);
        double begun = milliseconds();
        unsigned int at_once = exchange(client, server, mode->cork);
        double took = milliseconds() - begun;
        printf("%ld %.4f %u %u\n", i, took, segments(server) - before,
               at_once - before);
    }
    return EXIT_SUCCESS;
}
