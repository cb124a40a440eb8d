/*
 * A client that misbehaves on request: it does what curl cannot do.
 *
 * usage: client [-n COUNT] PORT ACTION...
 *
 * Opens COUNT connections (default: 1) to PORT of 127.0.0.1, then does each
 * action with each of them:
 *
 *   send TEXT   sends TEXT; \r, \n, \\ and \xHH mean what they mean in C
 *   drip TEXT   the same, one byte at a time, a millisecond apart
 *   fill N      sends N times the letter x
 *   urgent TEXT sends TEXT; its last byte is out-of-band data
 *   finish      half-closes: ends its stream, and can still read
 *   read        prints what arrives until the server ends its stream
 *   wait        prints "ready" and waits for SIGUSR1
 *   reset       leaves with a reset
 *
 * Leaves after the last action, and after 60 times PATIENCE seconds at the
 * latest (an environment variable; default: 2). A send or a read waits at most
 * PATIENCE seconds. Sending to a server that has closed the connection is not
 * an error. A reset while reading is reported on stderr.
 *
 * Exit status: 1, no connection; 2, a wrong command line; 3, the server did
 * not take the data, or did not end its stream, in time.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define MAX_COUNT 20000

static int connections[MAX_COUNT];

/* How long a send or a read may wait, in seconds. */
static long patience = 2;

static _Noreturn void die(const char *call)
{
    perror(call);
    exit(EXIT_FAILURE);
}

/* A child keeps the connections open for a second, so that the test sees the
   server as it is now, and not what it does after the client has left. */
static _Noreturn void give_up(const char *what)
{
    fprintf(stderr, "%s within %ld s\n", what, patience);
    fflush(NULL);
    if (fork() == 0) {
        fclose(stdout);
        fclose(stderr);
        sleep(1);
        _exit(3);
    }
    exit(3);
}

static _Noreturn void usage(const char *wrong)
{
    fprintf(stderr, "usage: client [-n COUNT] PORT ACTION...: '%s'?\n", wrong);
    exit(2);
}

static long number(const char *text, long most)
{
    char *end;
    long value = strtol(text, &end, 10);
    if (*text == '\0' || *end != '\0' || value < 1 || value > most) usage(text);
    return value;
}

static int open_connection(in_port_t port)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd == -1) die("socket");
    struct sockaddr_in server = {
        .sin_family = AF_INET,
        .sin_port = htons(port),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    /* Nagle's algorithm would collect the bytes of a drip in one segment. */
    int on = 1;
    struct timeval limit = {.tv_sec = patience};
    if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) == -1 ||
        setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit) == -1 ||
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) == -1)
        die("setsockopt");
    /* SO_SNDTIMEO holds for connect, too. */
    int result = connect(fd, (struct sockaddr *)&server, sizeof server);
    if (result == -1 && errno == EINPROGRESS)
        give_up("the server took no connection");
    if (result == -1) die("connect");
    return fd;
}

static void send_all(int fd, const char *data, size_t length)
{
    while (length > 0) {
        ssize_t n = send(fd, data, length, MSG_NOSIGNAL);
        if (n == -1 && errno == EAGAIN) give_up("the server took no data");
        if (n == -1 && errno != EPIPE && errno != ECONNRESET) die("send");
        if (n == -1) return;
        data += n;
        length -= (size_t)n;
    }
}

/* Resolves the escapes in text, in place, and returns its new length. */
static size_t unescape(char *text)
{
    char *to = text;
    for (char *from = text; *from != '\0'; from++) {
        unsigned int byte = (unsigned char)*from;
        if (*from == '\\') {
            from++;
            if (*from == 'r')
                byte = '\r';
            else if (*from == 'n')
                byte = '\n';
            else if (*from == '\\')
                byte = '\\';
            else if (*from == 'x' && isxdigit((unsigned char)from[1]) &&
                     isxdigit((unsigned char)from[2])) {
                const char digits[] = {from[1], from[2], '\0'};
                byte = (unsigned int)strtoul(digits, NULL, 16);
                from += 2;
            } else
                usage(from);
        }
        *to++ = (char)byte;
    }
    return (size_t)(to - text);
}

static void send_text(int fd, const char *text, size_t chunk)
{
    char *copy = strdup(text);
    if (copy == NULL) die("strdup");
    size_t length = unescape(copy);
    for (size_t i = 0; i < length; i += chunk) {
        send_all(fd, copy + i, length - i < chunk ? length - i : chunk);
        if (chunk == 1) usleep(1000);
    }
    free(copy);
}

static void fill(int fd, long count)
{
    char *data = malloc((size_t)count);
    if (data == NULL) die("malloc");
    memset(data, 'x', (size_t)count);
    send_all(fd, data, (size_t)count);
    free(data);
}

static void send_urgent(int fd, const char *text)
{
    if (send(fd, text, strlen(text), MSG_OOB | MSG_NOSIGNAL) == -1) die("send");
}

/* Gives up in time even if the server sends without end. */
static void read_all(int fd)
{
    char data[4096];
    ssize_t n;
    time_t begun = time(NULL);
    while ((n = recv(fd, data, sizeof data, 0)) > 0) {
        fwrite(data, 1, (size_t)n, stdout);
        if (time(NULL) - begun > patience) give_up("no end of the stream");
    }
    fflush(stdout);
    if (n == -1 && errno == EAGAIN) give_up("no end of the stream");
    if (n == -1) perror("recv");
}

static void reset(int fd)
{
    const struct linger at_once = {.l_onoff = 1, .l_linger = 0};
    if (setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once) == -1)
        die("setsockopt");
    close(fd);
}

static void wait_for_signal(void)
{
    sigset_t set;
    int signal_number;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    puts("ready");
    fflush(stdout);
    sigwait(&set, &signal_number);
}

/* Does one action with one connection. */
static void act(int fd, const char *action, const char *argument)
{
    if (strcmp(action, "send") == 0)
        send_text(fd, argument, 1 << 20);
    else if (strcmp(action, "drip") == 0)
        send_text(fd, argument, 1);
    else if (strcmp(action, "fill") == 0)
        fill(fd, number(argument, 1 << 30));
    else if (strcmp(action, "urgent") == 0)
        send_urgent(fd, argument);
    else if (strcmp(action, "finish") == 0)
        shutdown(fd, SHUT_WR);
    else if (strcmp(action, "read") == 0)
        read_all(fd);
    else if (strcmp(action, "reset") == 0)
        reset(fd);
    else
        usage(action);
}

static int takes_argument(const char *action)
{
    return strcmp(action, "send") == 0 || strcmp(action, "drip") == 0 ||
           strcmp(action, "fill") == 0 || strcmp(action, "urgent") == 0;
}

int main(int argc, char *argv[])
{
    const char *seconds = getenv("PATIENCE");
    if (seconds != NULL) patience = number(seconds, 600);
    alarm(60 * (unsigned int)patience);
    /* Blocked from the start, so that an early SIGUSR1 is not lost. */
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    if (sigprocmask(SIG_BLOCK, &set, NULL) == -1) die("sigprocmask");

    int next = 1;
    long count = 1;
    if (argc > 2 && strcmp(argv[1], "-n") == 0) {
        count = number(argv[2], MAX_COUNT);
        next = 3;
    }
    if (next >= argc) usage("no PORT");
    in_port_t port = (in_port_t)number(argv[next++], 65535);
    for (long i = 0; i < count; i++) connections[i] = open_connection(port);

    while (next < argc) {
        const char *action = argv[next++];
        if (takes_argument(action) && next == argc) usage(action);
        const char *argument = takes_argument(action) ? argv[next++] : "";
        if (strcmp(action, "wait") == 0)
            wait_for_signal();
        else
            for (long i = 0; i < count; i++)
                act(connections[i], action, argument);
    }
    return EXIT_SUCCESS;
}
