/* ex2, right: recvfrom, sendto, and a duplicate of the descriptor. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static const char answer[] =
    "HTTP/1.0 200 OK\r\nDate: Mon, 1 Jan 1996 01:01:01 GMT\r\n"
    "Content-Type: text/plain\r\nContent-Length: 13\r\n\r\nHello, world!";

static void talk(int fd)
{
    char text[8192];
    int again = dup(fd);
    ssize_t n = 1;
    size_t have = 0, gone = 0;
    while (n > 0 && !memmem(text, have, "\n\r\n", 3)) {
        n = recvfrom(again, text + have, sizeof text - have, 0, NULL, NULL);
        if (n > 0) have += n;
    }
    close(again);
    if (n <= 0) return;
    fwrite(text, 1, have, stdout);
    fflush(stdout);
    while (n > 0 && gone < sizeof answer - 1) {
        n = sendto(fd, answer + gone, sizeof answer - 1 - gone, MSG_NOSIGNAL,
                   NULL, 0);
        gone += n;
    }
}

int main(int argc, char **argv)
{
    struct sockaddr_in a = {.sin_family = AF_INET};
    int s = socket(PF_INET, SOCK_STREAM, IPPROTO_TCP), one = 1, c;
    socklen_t size;
    a.sin_port = htons(argc > 1 ? atoi(argv[1]) : 8080);
    setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    if (bind(s, (struct sockaddr *)&a, sizeof(a)) < 0) return 1;
    if (listen(s, 10) < 0) return 1;
    for (;;) {
        size = sizeof a;
        c = accept(s, (struct sockaddr *)&a, &size);
        if (c < 0) continue;
        talk(c);
        shutdown(c, SHUT_WR);
        close(c);
    }
}
