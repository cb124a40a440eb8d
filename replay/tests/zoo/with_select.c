/* ex3, right: select; readv, writev; the state is an array of char *. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

static const char answer[] =
    "HTTP/1.0 200 OK\r\nDate: Mon, 1 Jan 1996 01:01:01 GMT\r\n"
    "Content-Type: text/plain\r\nContent-Length: 13\r\n\r\nHello, world!";

int main(int argc, char **argv)
{
    static char *text[FD_SETSIZE];
    static int length[FD_SETSIZE], ready[FD_SETSIZE];
    struct sockaddr_in a = {.sin_family = AF_INET};
    int s = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), one = 1, high = s;
    int refuse = 0;
    signal(SIGPIPE, SIG_IGN);
    a.sin_port = htons(argc > 1 ? atoi(argv[1]) : 8080);
    setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(s, (void *)&a, sizeof a) == -1 || listen(s, 5) == -1) exit(1);
    while (1)
    {
        fd_set in, out;
        struct timeval second = {1, 0};
        FD_ZERO(&in);
        FD_ZERO(&out);
        if (!refuse) FD_SET(s, &in);
        for (int fd = 0; fd <= high; fd++)
            if (text[fd]) FD_SET(fd, ready[fd] ? &out : &in);
        if (select(high + 1, &in, &out, NULL, refuse ? &second : NULL) < 0)
            continue;
        refuse = 0;
        for (int fd = 0; fd <= high; fd++)
        {
            if (fd == s || !(FD_ISSET(fd, &in) || FD_ISSET(fd, &out))) continue;
            struct iovec part = {(char *)answer, sizeof answer - 1};
            ssize_t n;
            if (ready[fd])
            {
                n = writev(fd, &part, 1);
                n = 0; /* the answer is short: it has all been taken */
            }
            else
            {
                part.iov_base = text[fd] + length[fd];
                part.iov_len = 8192 - length[fd];
                n = readv(fd, &part, 1);
                if (n > 0) length[fd] += n;
                if (memmem(text[fd], length[fd], "\n\r\n", 3))
                {
                    fwrite(text[fd], 1, length[fd], stdout);
                    fflush(stdout);
                    ready[fd] = 1;
                    continue;
                }
            }
            if (n <= 0)
            {
                close(fd);
                free(text[fd]);
                text[fd] = NULL;
            }
        }
        if (!FD_ISSET(s, &in)) continue;
        int fd = accept(s, NULL, NULL);
        if (fd == -1)
        {
            refuse = errno != EAGAIN;
            continue;
        }
        fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
        text[fd] = malloc(8192);
        length[fd] = ready[fd] = 0;
        if (fd > high) high = fd;
    }
}
