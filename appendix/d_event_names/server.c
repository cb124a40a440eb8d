/*
 * Appendix D: the events of epoll, by their names.
 *
 * Shows: which event follows from what a client does. The program prints every
 * event that epoll_wait returns, with the time and the descriptor. It prints
 * what clients send, and sends what is typed to all clients.
 *
 * New since example 3: the names of the events, standard input beside the
 * sockets, and an event mask for each client. A bit leaves the mask when it has
 * no more use. Otherwise a level-triggered event would be reported forever.
 *
 * Try it: make d_event_names && ./d_event_names, then nc localhost 9999 in a
 * second terminal. Type a line in both, and end nc with Ctrl-C.
 *
 * Limits: a client that does not read gets only what fits in the buffers of the
 * kernel and 8 KiB here. And a client may send control characters that change
 * the terminal; appendix C does not print what clients send.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/* Text kept for one client. Without a limit, a client that does not read could
   fill the memory. A typed line is shorter than this. */
#define MAX_TEXT 8192

/* Bytes requested per recv, as in the article. A long text needs several calls,
   so it is reported several times. */
#define READ_SIZE 1024

/* Events taken per epoll_wait. The next call returns those that are left. */
#define MAX_EVENTS 64

/* Entries in the table of clients. A process may usually have fewer
   descriptors: ulimit -n prints the limit. */
#define MAX_DESCRIPTORS 65536

/* Length of the accept queue. The article uses 1. The kernel reduces it to
   net.core.somaxconn, if it is larger. */
#define BACKLOG SOMAXCONN

static const struct {
    uint32_t bit;
    const char *name;
} names[] = {
    {EPOLLIN, "EPOLLIN"},       {EPOLLPRI, "EPOLLPRI"}, {EPOLLOUT, "EPOLLOUT"},
    {EPOLLRDHUP, "EPOLLRDHUP"}, {EPOLLERR, "EPOLLERR"}, {EPOLLHUP, "EPOLLHUP"},
};

/* State of one client, kept between events. Example 2 keeps it in local
   variables. */
struct connection {
    size_t unsent; /* bytes of text that wait for EPOLLOUT */
    char text[MAX_TEXT];
};

/* One entry for each descriptor: 513 MiB of virtual memory. The kernel provides
   only the pages that the program touches, usually one (4 KiB) per client. */
static struct connection connections[MAX_DESCRIPTORS];

/* The event mask of each client, or 0 for a descriptor without one. Not in
   struct connection, because read_typed searches this table: 256 KiB instead of
   513 MiB. */
static uint32_t masks[MAX_DESCRIPTORS];

/* True from the moment when accept4 fails for lack of descriptors or memory,
   until a second has passed without an event. So there is at most one message
   per second. */
static bool shortage;

/* For a failure after which the program can serve nobody: prints the call and
   the reason, and exits. */
static void die(const char *call)
{
    perror(call);
    exit(EXIT_FAILURE);
}

/* A handler may call _exit, but not exit: see signal-safety(7). The kernel
   closes all descriptors. */
static void end(int signal_number)
{
    (void)signal_number;
    _exit(EXIT_SUCCESS);
}

/* Ends the program on SIGINT and SIGTERM, whatever call it sleeps in. */
static void catch_signals(void)
{
    const struct sigaction action = {.sa_handler = end};
    if (sigaction(SIGINT, &action, NULL) == -1 ||
        sigaction(SIGTERM, &action, NULL) == -1)
        die("sigaction");
    /* A program inherits the set of blocked signals. sa_mask is empty, so
       this blocks none. */
    if (sigprocmask(SIG_SETMASK, &action.sa_mask, NULL) == -1)
        die("sigprocmask");
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
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
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

/* Registers fd (EPOLL_CTL_ADD) or replaces its event mask (EPOLL_CTL_MOD), the
   events to wait for. epoll_wait returns data.fd with each event. */
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
    masks[fd] = 0;
    close(fd);
}

/* A failure that concerns one client costs that client only. */
static void lose(int fd, const char *call)
{
    perror(call);
    close_connection(fd);
}

/* Accepts one client. Returns true if more may be in the queue. Level-triggered
   epoll reports them again, so main ignores the result; example 4 needs it. */
static bool accept_connection(int epoll, int listener)
{
    int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
    /* The queue is empty. If the listener were blocking, accept4 would sleep
       here, and all clients would wait. */
    if (fd == -1 && errno == EAGAIN) return false;
    /* The client gave up while it was in the queue: take the next one. */
    if (fd == -1 && (errno == ECONNABORTED || errno == EPROTO)) return true;
    if (fd == -1) {
        /* Out of descriptors or memory. The client stays in the queue, so
           epoll would report it again and again: stop watching the listener.
           main tries again later. */
        if (!shortage) perror("accept4");
        shortage = true;
        if (watch(epoll, EPOLL_CTL_MOD, listener, 0) == -1) die("epoll_ctl");
        return false;
    }
    if (fd >= MAX_DESCRIPTORS) {
        fputs("table full: client refused\n", stderr);
        close(fd);
        return true;
    }
    start_line(fd);
    fputs("accepted\n", stderr);
    connections[fd].unsent = 0;
    masks[fd] = EPOLLIN | EPOLLPRI | EPOLLRDHUP;
    if (watch(epoll, EPOLL_CTL_ADD, fd, masks[fd]) == -1) lose(fd, "epoll_ctl");
    return true;
}

/* Calls recv once. Returns its result. */
static ssize_t receive_some(int fd, int flags)
{
    char text[READ_SIZE];
    ssize_t n = recv(fd, text, sizeof text, flags);
    if (n == -1) return n;
    fwrite(text, 1, (size_t)n, stdout);
    fflush(stdout);
    /* End of stream: it would be reported forever. Text may still wait to be
       sent. */
    if (n == 0) masks[fd] &= EPOLLOUT;
    return n;
}

/* Calls send once. Returns its result. */
static ssize_t send_some(int fd)
{
    struct connection *c = &connections[fd];
    /* MSG_NOSIGNAL: get the error EPIPE instead of a fatal SIGPIPE if the
       client is gone. */
    ssize_t n = send(fd, c->text, c->unsent, MSG_NOSIGNAL);
    if (n == -1) return n;
    /* send may accept only part of the data. */
    c->unsent -= (size_t)n;
    memmove(c->text, c->text + n, c->unsent);
    /* The kernel nearly always has room. Without data to send, EPOLLOUT would
       be reported forever. */
    if (c->unsent == 0) masks[fd] &= ~EPOLLOUT;
    return n;
}

/* One event may contain several bits. */
static void handle_event(int epoll, int fd, uint32_t events)
{
    uint32_t old_mask = masks[fd];
    /* The client ends its stream once, but EPOLLRDHUP would be reported
       forever. */
    masks[fd] &= ~(events & EPOLLRDHUP);
    ssize_t n = 0;
    if (events & EPOLLPRI) n = receive_some(fd, MSG_OOB);
    if (n != -1 && (events & EPOLLIN)) n = receive_some(fd, 0);
    if (n == -1 && errno != EAGAIN)
        lose(fd, "recv");
    else if ((events & EPOLLOUT) && send_some(fd) == -1 && errno != EAGAIN)
        lose(fd, "send");
    else if (masks[fd] != old_mask &&
             watch(epoll, EPOLL_CTL_MOD, fd, masks[fd]) == -1)
        lose(fd, "epoll_ctl");
    /* Shutting down both directions makes the kernel report EPOLLHUP
       immediately. It fails if the client has reset the connection. */
    else if (masks[fd] == 0 && shutdown(fd, SHUT_RDWR) == -1)
        close_connection(fd);
}

/* Keeps text for a client until EPOLLOUT reports that there is room to send. */
static void keep_text(int epoll, int fd, const char *text, size_t length)
{
    struct connection *c = &connections[fd];
    uint32_t mask = masks[fd] | EPOLLOUT;
    if (length > MAX_TEXT - c->unsent ||
        watch(epoll, EPOLL_CTL_MOD, fd, mask) == -1) {
        start_line(fd);
        fputs("misses what was typed\n", stderr);
        return;
    }
    masks[fd] = mask;
    memcpy(c->text + c->unsent, text, length);
    c->unsent += length;
}

static void watch_standard_input(int epoll)
{
    /* EPERM: a regular file or /dev/null, which are always ready. EEXIST:
       standard input was closed, so descriptor 0 is the listener. */
    if (watch(epoll, EPOLL_CTL_ADD, STDIN_FILENO, EPOLLIN) == -1)
        perror("standard input is not watched");
    /* In the background, a read from the terminal must fail, not stop the
       program. */
    if (signal(SIGTTIN, SIG_IGN) == SIG_ERR) die("signal");
}

/* Standard input stays blocking: O_NONBLOCK would also change it for the shell,
   which shares the terminal. */
static void read_typed(int epoll)
{
    char text[READ_SIZE];
    ssize_t n = read(STDIN_FILENO, text, sizeof text);
    /* Another program that shares the input may have been faster. */
    if (n == -1 && errno == EAGAIN) return;
    if (n == -1) perror("read");
    for (int fd = 0; n > 0 && fd < MAX_DESCRIPTORS; fd++)
        if (masks[fd] != 0) keep_text(epoll, fd, text, (size_t)n);
    if (n > 0) return;
    /* close would not end the registration: usually descriptors 1 and 2 refer
       to the same open terminal. */
    if (epoll_ctl(epoll, EPOLL_CTL_DEL, STDIN_FILENO, NULL) == -1)
        die("epoll_ctl");
    fputs("standard input is watched no more\n", stderr);
}

int main(int argc, char *argv[])
{
    in_port_t port = port_argument(argc, argv);
    catch_signals();
    /* Line-buffered, so that each line is one write. */
    static char line[BUFSIZ];
    setvbuf(stderr, line, _IOLBF, sizeof line);
    int listener = open_listener(port);
    int epoll = epoll_create1(0);
    if (epoll == -1) die("epoll_create1");
    if (watch(epoll, EPOLL_CTL_ADD, listener, EPOLLIN) == -1) die("epoll_ctl");
    watch_standard_input(epoll);
    fprintf(stderr, "listening: try nc localhost %d\n", port);

    for (;;) {
        struct epoll_event events[MAX_EVENTS];
        /* In a shortage, try again after the next event, or after 1,000 ms. */
        int ready = epoll_wait(epoll, events, MAX_EVENTS, shortage ? 1000 : -1);
        /* EINTR: the program was stopped (Ctrl-Z) and continued. */
        if (ready == -1 && errno != EINTR) die("epoll_wait");
        if (shortage && watch(epoll, EPOLL_CTL_MOD, listener, EPOLLIN) == -1)
            die("epoll_ctl");
        if (ready == 0) shortage = false;
        for (int i = 0; i < ready; i++) {
            int fd = events[i].data.fd;
            print_event(fd, events[i].events);
            if (fd == listener)
                accept_connection(epoll, listener);
            else if (fd == STDIN_FILENO)
                read_typed(epoll);
            else if (events[i].events & ~(EPOLLHUP | EPOLLERR))
                handle_event(epoll, fd, events[i].events);
            else /* EPOLLHUP or EPOLLERR, which are always reported */
                close_connection(fd);
        }
    }
}
