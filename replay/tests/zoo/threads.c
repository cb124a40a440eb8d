/* ex3, not shown: a thread for each client. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static const char answer[] =
    "HTTP/1.0 200 OK\r\nDate: Mon, 1 Jan 1996 01:01:01 GMT\r\n"
    "Content-Type: text/plain\r\nContent-Length: 13\r\n\r\nHello, world!";

static void talk(int c)
{
    char text[8192];
    size_t have = 0;
    ssize_t n;
    while (!memmem(text, have, "\n\r\n", 3)) {
        n = read(c, text + have, sizeof text - have);
        if (n <= 0) return;
        have += n;
    }
    fwrite(text, 1, have, stdout);
    fflush(stdout);
    send(c, answer, sizeof answer - 1, MSG_NOSIGNAL);
}

static void *thread(void *fd)
{
    talk(*(int *)fd);
    close(*(int *)fd);
    return NULL;
}

int main(int argc, char **argv)
{
    struct sockaddr_in a = {.sin_family = AF_INET};
    int s = socket(AF_INET, SOCK_STREAM, 0), one = 1;
    a.sin_port = htons(argc > 1 ? atoi(argv[1]) : 8080);
    setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(s, (struct sockaddr *)&a, sizeof a) || listen(s, 10)) return 1;

    for (;;) {
        int *c = malloc(sizeof *c);
        pthread_t who;
        *c = accept(s, NULL, NULL);
        pthread_create(&who, NULL, thread, c);
        pthread_detach(who);
    }
}
