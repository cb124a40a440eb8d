/* ex3, wrong: it serves everybody, and never sleeps. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static const char answer[] =
    "HTTP/1.0 200 OK\r\nDate: Mon, 1 Jan 1996 01:01:01 GMT\r\n"
    "Content-Type: text/plain\r\nContent-Length: 13\r\n\r\nHello, world!";

int main(int argc, char **argv)
{
    static char text[1000][8192];
    static size_t have[1000], used[1000];
    struct sockaddr_in a = {.sin_family = AF_INET};
    int s = socket(AF_INET, SOCK_STREAM, 0), one = 1;
    a.sin_port = htons(argc > 1 ? atoi(argv[1]) : 8080);
    setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(s, (struct sockaddr *)&a, sizeof a) || listen(s, 10)) return 1;

    fcntl(s, F_SETFL, O_NONBLOCK);
    for (;;) {
        int c = accept4(s, NULL, NULL, SOCK_NONBLOCK);
        if (c >= 0) used[c] = 1, have[c] = 0;
        for (c = 0; c < 1000; c++) {
            if (!used[c]) continue;
            ssize_t n = recv(c, text[c] + have[c], 8192 - have[c], 0);
            if (n > 0) have[c] += n;
            if (n == -1 && errno == EAGAIN) continue;
            if (memmem(text[c], have[c], "\n\r\n", 3)) {
                fwrite(text[c], 1, have[c], stdout);
                fflush(stdout);
                send(c, answer, sizeof answer - 1, MSG_NOSIGNAL);
            } else if (n > 0) {
                continue;
            }
            close(c);
            used[c] = 0;
        }
    }
}
