/*
 * Appendix D: the events of epoll, by their names.
 *
 * Shows: which event each thing that a client does brings about. Every event
 * that epoll_wait returns is printed, with the time and the descriptor; what
 * clients send is printed as it comes, and what is typed is sent to all.
 *
 * New since example 3: the events are given their names, standard input is
 * watched beside the sockets, and interest in an event ends with its reason: a
 * level-triggered event that is asked for and not dealt with never ends.
 *
 * Try it: make d_event_names && ./d_event_names, then nc localhost 9999 in a
 * second terminal. Type a line in both, and end nc with Ctrl-C.
 *
 * Still wrong: a client that does not read is kept 8 KiB of what is typed, once
 * the kernel's buffers are full, and misses the rest. And what clients send may
 * give orders to the terminal; appendix C does not print it.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define MAX_TEXT 8192
/* What one recv asks for, so that a long text is reported more than once. */
#define READ_SIZE 1024
#define MAX_EVENTS 64
#define MAX_DESCRIPTORS 65536

/* How many clients may wait to be accepted. */
#ifndef BACKLOG
#define BACKLOG SOMAXCONN
#endif

static const struct {
    uint32_t bit;
    const char *name;
} names[] = {
    {EPOLLIN, "EPOLLIN"},       {EPOLLPRI, "EPOLLPRI"}, {EPOLLOUT, "EPOLLOUT"},
    {EPOLLRDHUP, "EPOLLRDHUP"}, {EPOLLERR, "EPOLLERR"}, {EPOLLHUP, "EPOLLHUP"},
};

/* One client: the events that are asked for, and the text that waits to be sent
   to it. */
struct connection {
    int fd;
    uint32_t events;
    size_t length;
    size_t sent;
    char text[MAX_TEXT];
};

/* The open connections, by their descriptors. */
static struct connection *connections[MAX_DESCRIPTORS];

static volatile sig_atomic_t interrupted;

/* A signal that comes after the flag was tested, but before the call that
   blocks, does not wake that call. The alarm does, a second later. */
static void interrupt(int signal_number)
{
    interrupted = signal_number;
    alarm(1);
}

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

/* Without SA_RESTART, so that a call that blocks fails with EINTR. SIGALRM as
   well, for it would end the program otherwise. */
static void catch_signals(void)
{
    const struct sigaction action = {.sa_handler = interrupt};
    if (sigaction(SIGINT, &action, NULL) == -1 ||
        sigaction(SIGTERM, &action, NULL) == -1 ||
        sigaction(SIGALRM, &action, NULL) == -1)
        die("sigaction");
}

/* Returns the port that the command line names, or 9999. */
static in_port_t port_argument(int argc, char *argv[])
{
    if (argc < 2) return 9999;
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

/* Starts a line of stderr: the time, and the descriptor that it is about. */
static void start_line(int fd)
{
    struct timespec now;
    struct tm day;
    clock_gettime(CLOCK_REALTIME, &now);
    localtime_r(&now.tv_sec, &day);
    fprintf(stderr, "%02d:%02d:%02d.%03ld  fd %d  ", day.tm_hour, day.tm_min,
            day.tm_sec, now.tv_nsec / 1000000, fd);
}

static void print_event(int fd, uint32_t events)
{
    start_line(fd);
    const char *separator = "";
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (!(events & names[i].bit)) continue;
        fprintf(stderr, "%s%s", separator, names[i].name);
        separator = "|";
        events &= ~names[i].bit;
    }
    /* What has no name here is not kept back. */
    if (events != 0) fprintf(stderr, "%s0x%x", separator, events);
    fputc('\n', stderr);
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

/* Adds fd with EPOLL_CTL_ADD, or changes what is reported of it with
   EPOLL_CTL_MOD: the new mask replaces the old one whole. */
static int watch(int epoll, int operation, int fd, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.fd = fd};
    return epoll_ctl(epoll, operation, fd, &event);
}

/* close also ends the registration, for no other descriptor refers to this
   socket. */
static void close_connection(struct connection *c)
{
    connections[c->fd] = NULL;
    close(c->fd);
    free(c);
}

/* Returns 1 if there may be another client, 0 if there is none, or -1 if one
   may have been left in the queue. */
static int accept_connection(int epoll, int listener, long last)
{
    int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
    if (fd == -1 && errno == EAGAIN) return 0;
    if (fd == -1) {
        accept_failed();
        return -1;
    }

    /* Descriptors are given out from the lowest up. If a client kept the last
       one, accept could not even take the next client to turn it away. */
    struct connection *c = fd < last ? malloc(sizeof *c) : NULL;
    if (c == NULL) {
        fputs("out of descriptors or memory: client turned away\n", stderr);
        close(fd);
        return 1;
    }
    c->fd = fd;
    c->events = EPOLLIN | EPOLLPRI | EPOLLRDHUP;
    c->length = 0;
    c->sent = 0;
    connections[fd] = c;
    start_line(fd);
    fputs("accepted\n", stderr);
    if (watch(epoll, EPOLL_CTL_ADD, fd, c->events) == -1) {
        perror("epoll_ctl");
        close_connection(c);
    }
    return 1;
}

/* Returns 0, or -1 if the connection is to be closed. */
static int receive(struct connection *c, int flags)
{
    char text[READ_SIZE];
    ssize_t n = recv(c->fd, text, sizeof text, flags);
    if (n == -1 && (errno == EAGAIN || errno == EINTR)) return 0;
    if (n == -1) return lost("recv");
    /* The end of the stream would be reported for ever. What is typed may still
       wait to be sent. */
    if (n == 0) c->events &= EPOLLOUT;
    fwrite(text, 1, (size_t)n, stdout);
    fflush(stdout);
    return 0;
}

/* Returns 0, or -1 if the connection is to be closed. */
static int send_text(struct connection *c)
{
    /* Without the flag, a client that has left ends us with SIGPIPE. */
    ssize_t n =
        send(c->fd, c->text + c->sent, c->length - c->sent, MSG_NOSIGNAL);
    if (n == -1 && (errno == EAGAIN || errno == EINTR)) return 0;
    if (n == -1) return lost("send");
    /* The kernel may have taken a part only. */
    c->sent += (size_t)n;
    if (c->sent < c->length) return 0;
    c->length = 0;
    c->sent = 0;
    /* Nearly always there is room to send, so EPOLLOUT without a text to send
       would be reported for ever. */
    c->events &= ~EPOLLOUT;
    return 0;
}

/* Any of the bits may come together. EPOLLHUP and EPOLLERR come unasked; alone,
   they mean the end. Returns 0, or -1 if the connection is to be closed. */
static int respond(struct connection *c, uint32_t events)
{
    if (!(events & ~(EPOLLHUP | EPOLLERR))) return -1;
    /* The client ends its stream once, but has ended it from then on. */
    c->events &= ~(events & EPOLLRDHUP);
    if ((events & EPOLLPRI) && receive(c, MSG_OOB) == -1) return -1;
    if ((events & EPOLLIN) && receive(c, 0) == -1) return -1;
    if ((events & EPOLLOUT) && send_text(c) == -1) return -1;
    return 0;
}

/* Returns 0, or -1 if the connection is to be closed. */
static int change_interest(int epoll, struct connection *c)
{
    if (watch(epoll, EPOLL_CTL_MOD, c->fd, c->events) == -1)
        return lost("epoll_ctl");
    if (c->events != 0) return 0;
    /* Once both directions are shut, EPOLLHUP comes, at once. A client that
       has reset the connection meanwhile makes shutdown fail: ENOTCONN. */
    return shutdown(c->fd, SHUT_RDWR);
}

static void handle_event(int epoll, struct connection *c, uint32_t events)
{
    uint32_t before = c->events;
    int result = respond(c, events);
    if (result == 0 && c->events != before) result = change_interest(epoll, c);
    if (result == 0) return;
    start_line(c->fd);
    fputs("closed\n", stderr);
    close_connection(c);
}

/* Keeps text for a client until EPOLLOUT says that there is room to send. */
static void offer(int epoll, struct connection *c, const char *text, size_t n)
{
    uint32_t events = c->events | EPOLLOUT;
    if (n > MAX_TEXT - c->length ||
        watch(epoll, EPOLL_CTL_MOD, c->fd, events) == -1) {
        start_line(c->fd);
        fputs("misses what was typed\n", stderr);
        return;
    }
    memcpy(c->text + c->length, text, n);
    c->length += n;
    c->events = events;
}

/* Left blocking, unlike the sockets: O_NONBLOCK belongs to the open file, and a
   terminal's is the shell's as well. */
static void read_typed(int epoll, long last)
{
    char text[READ_SIZE];
    ssize_t n = read(STDIN_FILENO, text, sizeof text);
    if (n == -1 && (errno == EAGAIN || errno == EINTR)) return;
    if (n == -1) perror("read");
    for (int fd = 0; fd <= last && n > 0; fd++)
        if (connections[fd] != NULL)
            offer(epoll, connections[fd], text, (size_t)n);
    if (n > 0) return;
    /* close would not do: registered is the open file, and descriptors 1 and 2
       are mostly the same terminal. */
    if (epoll_ctl(epoll, EPOLL_CTL_DEL, STDIN_FILENO, NULL) == -1)
        die("epoll_ctl");
    fputs("standard input is watched no more\n", stderr);
}

int main(int argc, char *argv[])
{
    in_port_t port = port_argument(argc, argv);
    /* localtime_r may leave this to the caller. */
    tzset();
    /* Or each piece of a line would be a write of its own. */
    setvbuf(stderr, NULL, _IOLBF, BUFSIZ);
    catch_signals();
    /* In the background, read of a terminal shall fail, not stop us. */
    if (signal(SIGTTIN, SIG_IGN) == SIG_ERR) die("signal");
    int listener = open_listener(port);
    /* accept would wait for the next client if another process, or an error
       of the network, had taken this one after its event. */
    if (fcntl(listener, F_SETFL, O_NONBLOCK) == -1) die("fcntl");
    int epoll = epoll_create1(0);
    if (epoll == -1) die("epoll_create1");
    if (watch(epoll, EPOLL_CTL_ADD, listener, EPOLLIN) == -1) die("epoll_ctl");
    /* A regular file and /dev/null are always ready, and are refused: EPERM. If
       standard input is closed, descriptor 0 is the listener: EEXIST. */
    if (watch(epoll, EPOLL_CTL_ADD, STDIN_FILENO, EPOLLIN) == -1)
        perror("standard input is not watched");
    long last = sysconf(_SC_OPEN_MAX) - 1;
    if (last >= MAX_DESCRIPTORS) last = MAX_DESCRIPTORS - 1;
    fprintf(stderr, "listening: try nc localhost %d\n", port);

    while (!interrupted) {
        struct epoll_event events[MAX_EVENTS];
        int ready = epoll_wait(epoll, events, MAX_EVENTS, -1);
        if (ready == -1 && errno != EINTR) die("epoll_wait");
        for (int i = 0; i < ready && !interrupted; i++) {
            int fd = events[i].data.fd;
            print_event(fd, events[i].events);
            if (fd == listener)
                accept_connection(epoll, listener, last);
            else if (fd == STDIN_FILENO)
                read_typed(epoll, last);
            else
                handle_event(epoll, connections[fd], events[i].events);
        }
    }

    for (int fd = 0; fd <= last; fd++)
        if (connections[fd] != NULL) close_connection(connections[fd]);
    close(epoll);
    close(listener);
    return EXIT_SUCCESS;
}
