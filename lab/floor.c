/*
 * floor: the smallest server: accept, recv, send, close, one client after the
 * other. lab/cost.sh compares the others with it.
 *
 * usage: floor PORT
 *
 * Takes the first bytes for a request, without looking at them, and sends the
 * article's 114 bytes. Runs until it is killed. Exit status 1: a call failed
 * that concerns all clients. 2: the command line was wrong.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static const char response[] =
    "HTTP/1.0 200 OK\r\nDate: Mon, 1 Jan 1996 01:01:01 GMT\r\n"
    "Content-Type: text/plain\r\nContent-Length: 13\r\n\r\nHello, world!";

static _Noreturn void die(const char *call)
{
    perror(call);
    exit(EXIT_FAILURE);
}

static int open_listener(in_port_t port)
{
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    if (listener == -1) die("socket");
    int on = 1;
    if (setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == -1)
        die("setsockopt");
    struct sockaddr_in any = {.sin_family = AF_INET, .sin_port = htons(port)};
    if (bind(listener, (struct sockaddr *)&any, sizeof any) == -1) die("bind");
    if (listen(listener, SOMAXCONN) == -1) die("listen");
    return listener;
}

static void serve(int connection)
{
    char request[1024];
    ssize_t n = recv(connection, request, sizeof request, 0);
    if (n == -1) perror("recv");
    if (n <= 0) return;
    /* An empty socket buffer has room for all of it. */
    if (send(connection, response, strlen(response), MSG_NOSIGNAL) == -1)
        perror("send");
}

int main(int argc, char *argv[])
{
    char *end = "";
    long port = argc == 2 ? strtol(argv[1], &end, 10) : 0;
    if (*end != '\0' || port < 1 || port > 65535) {
        fputs("usage: floor PORT, 1 to 65535\n", stderr);
        exit(2);
    }
    int listener = open_listener((in_port_t)port);
    fprintf(stderr, "listening: try curl -i http://localhost:%ld/\n", port);

    for (;;) {
        int connection = accept(listener, NULL, NULL);
        if (connection != -1) {
            serve(connection);
            close(connection);
        } else if (errno != EINTR && errno != ECONNABORTED && errno != EPROTO)
            die("accept");
    }
}
