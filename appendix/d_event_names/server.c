/*
 * Appendix D: the events of epoll, by their names.
 *
 * Shows: which event follows from what a client does. The program prints every
 * event that epoll_wait returns, with the time and the descriptor, and what
 * clients send. It sends nothing.
 *
 * New since example 3: the names of the events, and an event mask for each
 * client. Level-triggered, a bit in the mask may be reported forever. So each
 * bit leaves the mask when it has no more use.
 *
 * Try it: make d_event_names && ./d_event_names, then nc localhost 9999 in a
 * second terminal. Type a line, and end nc with Ctrl-C.
 *
 * Limits: a client may send control characters that change the terminal. To see
 * them instead: ./d_event_names | cat -v
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/* Bytes requested per recv, as in the article. A long text needs several calls,
   so it is reported several times. */
#define READ_SIZE 1024

/* One epoll_wait returns at most this many events. The next call returns the
   others. */
#define MAX_EVENTS 64

/* Entries in the table of masks. A process may usually have fewer descriptors:
   ulimit -n prints the limit. */
#define MAX_DESCRIPTORS 16384

/* Length of the accept queue. The article uses 1. SOMAXCONN comes from the C
   library: 4,096 in glibc, 128 in musl. If net.core.somaxconn is smaller, the
   kernel uses that value. */
#define BACKLOG SOMAXCONN

static const struct {
    uint32_t bit;
    const char *name;
} names[] = {
    {EPOLLIN, "EPOLLIN"},       {EPOLLPRI, "EPOLLPRI"}, {EPOLLOUT, "EPOLLOUT"},
    {EPOLLRDHUP, "EPOLLRDHUP"}, {EPOLLERR, "EPOLLERR"}, {EPOLLHUP, "EPOLLHUP"},
};

/* The event mask of each client. */
static uint32_t masks[MAX_DESCRIPTORS];

/* Set when descriptors, memory or table entries run out. Cleared after one
   second without an event. The program prints a message only when this becomes
   true, so at most one per second. */
static bool shortage;

/* For a failure after which the program can serve nobody: prints the call and
   the reason, and exits. */
static void die(const char *call)
{
    perror(call);
    exit(EXIT_FAILURE);
}

/* Returns the port given on the command line, or 9999. */
static in_port_t port_argument(int argc, char *argv[])
{
    if (argc < 2) return 9999;
    /* strtol alone would accept " 80", "+80" and "80x". */
    size_t digits = strspn(argv[1], "0123456789");
    long port = strtol(argv[1], NULL, 10);
    if (argc == 2 && argv[1][digits] == '\0' && port >= 1 && port <= 65535)
        return (in_port_t)port;
    fprintf(stderr, "usage: %s [port]: one port, 1 to 65535, not '%s'\n",
            argv[0], argv[argc - 1]);
    exit(2);
}

/* Returns a socket that listens on this port of every IPv4 address. */
static int open_listener(in_port_t port)
{
    /* SOCK_CLOEXEC: if this program starts another one, that one does not get
       the listener. With a copy of it, the port would stay in use after this
       program has ended. */
    int type = SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC;
    int listener = socket(AF_INET, type, 0);
    if (listener == -1) die("socket");

    /* Connections of the previous run may stay in TIME_WAIT for 60 s. Without
       SO_REUSEADDR, bind would fail until then. */
    int on = 1;
    if (setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == -1)
        die("setsockopt");

    struct sockaddr_in any = {.sin_family = AF_INET, .sin_port = htons(port)};
    any.sin_addr.s_addr = htonl(INADDR_ANY);
    if (bind(listener, (struct sockaddr *)&any, sizeof any) == -1) die("bind");
    if (listen(listener, BACKLOG) == -1) die("listen");
    return listener;
}

/* Starts a line on stderr: the time and the descriptor. */
static void start_line(int fd)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    char time_text[sizeof "23:59:59"];
    strftime(time_text, sizeof time_text, "%T", localtime(&now.tv_sec));
    fprintf(stderr, "%s.%03ld  fd %d  ", time_text, now.tv_nsec / 1000000, fd);
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
    /* Bits that the table does not name. */
    if (events != 0) fprintf(stderr, "%s0x%x", separator, events);
    fputc('\n', stderr);
}

/* Registers fd (EPOLL_CTL_ADD), replaces its event mask (EPOLL_CTL_MOD) or ends
   its registration (EPOLL_CTL_DEL). The mask contains the events to wait for.
   epoll_wait returns data.fd with each event. */
static int watch(int epoll, int operation, int fd, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.fd = fd};
    return epoll_ctl(epoll, operation, fd, &event);
}

/* close also ends the registration. */
static void close_connection(int fd)
{
    start_line(fd);
    fputs("closed\n", stderr);
    close(fd);
}

/* For a failure that concerns one client: prints the call and the reason, and
   closes that client's connection. */
static void drop(int fd, const char *call)
{
    perror(call);
    close_connection(fd);
}

/* Accepts one client. Returns true if another one may be in the queue.
   Level-triggered epoll reports that client again, so the caller may ignore the
   result. With EPOLLET, call this until it returns false. */
static bool accept_connection(int epoll, int listener)
{
    /* SOCK_CLOEXEC: another program that we start does not get this descriptor.
       If it had a copy, our close would not end the registration. */
    int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    /* The queue is empty. If the listener were blocking, accept4 would sleep
       here, and all clients would wait. */
    if (fd == -1 && errno == EAGAIN) return false;
    /* A connection was aborted in the queue: take the next one. Rare on Linux:
       there, accept4 succeeds even if the client has reset the connection, and
       the later recv fails. */
    if (fd == -1 && (errno == ECONNABORTED || errno == EPROTO)) return true;
    /* The listener was shut down: accept4 cannot succeed any more. */
    if (fd == -1 && errno == EINVAL) die("accept4");
    if (fd == -1 || fd >= MAX_DESCRIPTORS) {
        /* Usually too many clients, and others wait in the queue. Stop watching
           the listener: level-triggered epoll would report it again and again.
           main adds it again later, and epoll reports the queue then, even with
           EPOLLET. EPOLL_CTL_DEL, because a mask of 0 does not stop EPOLLHUP,
           which comes if the listener is shut down. */
        if (!shortage && fd == -1) perror("accept4");
        if (!shortage && fd >= 0) fputs("table full: client refused\n", stderr);
        if (fd >= 0) close(fd);
        shortage = true;
        if (watch(epoll, EPOLL_CTL_DEL, listener, 0) == -1) die("epoll_ctl");
        return false;
    }
    start_line(fd);
    fputs("accepted\n", stderr);
    masks[fd] = EPOLLIN | EPOLLPRI | EPOLLOUT | EPOLLRDHUP;
    if (watch(epoll, EPOLL_CTL_ADD, fd, masks[fd]) == -1) drop(fd, "epoll_ctl");
    return true;
}

/* During a shortage, main calls this after each epoll_wait. A client may have
   left since the last try, or a second has passed (ready is 0). */
static void retry_accept(int epoll, int listener, int ready)
{
    int result = watch(epoll, EPOLL_CTL_ADD, listener, EPOLLIN);
    /* EEXIST: an earlier call has already registered the listener. After any
       other failure, the shortage goes on, and the next call tries again. */
    if (ready == 0 && (result == 0 || errno == EEXIST)) shortage = false;
}

/* Calls recv once, and prints what it has received. Returns its result. */
static ssize_t receive_some(int fd, int flags)
{
    char text[READ_SIZE];
    ssize_t n = recv(fd, text, sizeof text, flags);
    if (n > 0) {
        fwrite(text, 1, (size_t)n, stdout);
        fflush(stdout);
    }
    return n;
}

/* One event may contain several bits. */
static void handle_event(int epoll, int fd, uint32_t events)
{
    uint32_t old_mask = masks[fd];
    /* There is room to send, and we send nothing; the client ends its stream
       once. Both would be reported forever. */
    masks[fd] &= ~(events & (EPOLLOUT | EPOLLRDHUP));
    ssize_t n = 0;
    if (events & EPOLLPRI) n = receive_some(fd, MSG_OOB);
    if (n != -1 && (events & EPOLLIN)) {
        n = receive_some(fd, 0);
        /* End of the stream: from now on, every recv would return 0. */
        if (n == 0) masks[fd] = 0;
    }
    if (n == -1 && errno != EAGAIN)
        drop(fd, "recv");
    else if (masks[fd] != old_mask &&
             watch(epoll, EPOLL_CTL_MOD, fd, masks[fd]) == -1)
        drop(fd, "epoll_ctl");
    /* Shutting down both directions makes the kernel report EPOLLHUP
       immediately. It fails if the client has reset the connection. */
    else if (masks[fd] == 0 && shutdown(fd, SHUT_RDWR) == -1)
        close_connection(fd);
}

int main(int argc, char *argv[])
{
    in_port_t port = port_argument(argc, argv);
    /* Line-buffered, so that each line is one write. */
    static char line[BUFSIZ];
    setvbuf(stderr, line, _IOLBF, sizeof line);
    int listener = open_listener(port);
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    if (epoll == -1) die("epoll_create1");
    if (watch(epoll, EPOLL_CTL_ADD, listener, EPOLLIN) == -1) die("epoll_ctl");
    fprintf(stderr, "listening: try nc localhost %d\n", port);

    for (;;) {
        struct epoll_event events[MAX_EVENTS];
        /* During a shortage, try again after the next event or 1,000 ms. */
        int ready = epoll_wait(epoll, events, MAX_EVENTS, shortage ? 1000 : -1);
        /* EINTR: the program was stopped (Ctrl-Z) and continued. */
        if (ready == -1 && errno != EINTR) die("epoll_wait");
        if (shortage) retry_accept(epoll, listener, ready);
        for (int i = 0; i < ready; i++) {
            int fd = events[i].data.fd;
            print_event(fd, events[i].events);
            if (fd == listener)
                accept_connection(epoll, listener);
            else if (events[i].events & ~(EPOLLHUP | EPOLLERR))
                handle_event(epoll, fd, events[i].events);
            else /* EPOLLHUP or EPOLLERR, reported whatever the mask is */
                close_connection(fd);
        }
    }
}
