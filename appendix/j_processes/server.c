/*
 * Appendix J: several processes on one port.
 *
 * Shows: who gets a client if several processes wait for it. The parent opens
 * the port and starts the workers. Each worker runs the loop of example 3. The
 * parent serves nobody. If a worker has died, it starts another one.
 *
 * New since example 3: three modes. shared: all workers watch one listener.
 * exclusive: the same, with EPOLLEXCLUSIVE. reuseport: each worker has its own
 * listener, with SO_REUSEPORT. SIGINT and SIGTERM end the parent, and with it
 * the workers.
 *
 * Try it: make j_processes && ./j_processes 8080 exclusive 4 >/dev/null, then
 * run curl localhost:8080 several times, and type Ctrl-C: it prints how many
 * clients each worker had.
 *
 * Limits: a worker that dies takes its clients with it. With exclusive, the
 * kernel tells one worker of a client. If that one has no descriptor left, the
 * client waits for the next client. With reuseport, a client waits for its
 * worker, even if another one is idle. And a second server of the same user
 * can take a share of the port: bind does not fail.
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
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* A longer request is refused: without a limit, one client could fill the
   memory. Most requests are much shorter. */
#define MAX_REQUEST 8192

/* One recv reads at most this many bytes, as in the article. A long request
   needs several calls. */
#define READ_SIZE 1024

/* One epoll_wait returns at most this many events. The next call returns the
   others. */
#define MAX_EVENTS 64

/* Entries in the table of clients. The descriptor limit of a process is usually
   lower: ulimit -n prints it. The table takes 128 MiB of virtual memory. With a
   larger one, the program might not start where that is limited. */
#define MAX_DESCRIPTORS 16384

/* Length of the accept queue. The article uses 1. SOMAXCONN comes from the C
   library: 4,096 in glibc, 128 in musl. If net.core.somaxconn is smaller, the
   kernel uses that value. */
#define BACKLOG SOMAXCONN

/* Entries in the table of workers. Linux supports at most 8,192 processors. */
#define MAX_WORKERS 8192

static const char response[] =
    "HTTP/1.0 200 OK\r\nDate: Mon, 1 Jan 1996 01:01:01 GMT\r\n"
    "Content-Type: text/plain\r\nContent-Length: 13\r\n\r\nHello, world!";

/* State of one client, kept between events. Example 2 keeps it in local
   variables. */
struct connection {
    size_t received;
    const char *unsent; /* the rest of the response */
    char request[MAX_REQUEST];
};

/* One entry for each descriptor. The kernel provides only the pages that the
   program touches: usually one (4 KiB) per client. With transparent huge pages,
   a page is 2 MiB. */
static struct connection connections[MAX_DESCRIPTORS];

/* Set when descriptors, memory or table entries run out. Cleared after one
   second without an event. The program prints a message only when this becomes
   true, so at most one per second. */
static bool shortage;

/* See the first comment. */
static enum { SHARED, EXCLUSIVE, REUSEPORT } mode;

/* EPOLLEXCLUSIVE: if several epoll instances watch the listener, a client wakes
   one of them. The kernel accepts this bit with EPOLL_CTL_ADD only. */
static uint32_t arrivals = EPOLLIN;

/* The number of workers, and for each its listener and its process: -1 if it
   has died. With 0 workers, the program serves clients itself, as example 3
   does. This helps under a debugger. */
static int workers;
static int listeners[MAX_WORKERS];
static pid_t pids[MAX_WORKERS];

/* How many clients each worker has accepted. Parent and workers share only this
   memory. So the parent knows the number even if a worker was killed. In a
   worker, the pointer leads to its own number. */
static unsigned long *clients;

/* For a failure after which the program can serve nobody: prints the call and
   the reason, and exits. */
static void die(const char *call)
{
    perror(call);
    exit(EXIT_FAILURE);
}

/* Returns the number that the text contains, or -1. */
static int number_of(const char *text)
{
    /* strtol alone would accept " 80", "+80" and "80x". */
    size_t digits = strspn(text, "0123456789");
    if (digits < 1 || digits > 5 || text[digits] != '\0') return -1;
    return (int)strtol(text, NULL, 10);
}

/* Returns the port given on the command line, or 8080. Sets the mode, and how
   many workers: without an argument, one for each processor. valid counts the
   words that are right, beginning with the name of the program. */
static in_port_t port_argument(int argc, char *argv[])
{
    static const char *const names[] = {"shared", "exclusive", "reuseport"};
    int port = argc > 1 ? number_of(argv[1]) : 8080, valid = 1;
    if (port >= 1 && port <= 65535) valid = 2;
    for (mode = SHARED; argc > 2 && mode <= REUSEPORT; mode++)
        if (strcmp(argv[2], names[mode]) == 0) break;
    if (valid == 2 && mode <= REUSEPORT) valid = 3;
    workers = (int)sysconf(_SC_NPROCESSORS_ONLN);
    if (argc > 3) workers = number_of(argv[3]);
    if (valid == 3 && workers >= 0 && workers <= MAX_WORKERS) valid = 4;
    if (argc <= valid) return (in_port_t)port;
    fprintf(stderr,
            "usage: %s [port [shared|exclusive|reuseport [n]]], not '%s'\n",
            argv[0], argv[valid]);
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
    /* Every listener of the port needs this option, also the first one. */
    if (mode == REUSEPORT &&
        setsockopt(listener, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) == -1)
        die("setsockopt");

    struct sockaddr_in any = {.sin_family = AF_INET, .sin_port = htons(port)};
    any.sin_addr.s_addr = htonl(INADDR_ANY);
    if (bind(listener, (struct sockaddr *)&any, sizeof any) == -1) die("bind");
    if (listen(listener, BACKLOG) == -1) die("listen");
    return listener;
}

/* A request ends with a blank line. recv may cut it anywhere. */
static bool is_complete(const char *request, size_t length)
{
    return memmem(request, length, "\n\n", 2) != NULL ||
           memmem(request, length, "\n\r\n", 3) != NULL;
}

/* fwrite, because a request may contain NUL bytes. fflush, so that output
   appears at once even through a pipe. Like the article, this omits the last
   two bytes of a complete request. Usually they belong to the blank line. */
static void print_request(const char *request, size_t length)
{
    puts("----------------------------------------");
    fwrite(request, 1, length - 2, stdout);
    putchar('\n');
    fflush(stdout);
}

/* Registers fd (EPOLL_CTL_ADD), replaces its event mask (EPOLL_CTL_MOD) or ends
   its registration (EPOLL_CTL_DEL). The mask contains the events to wait for.
   epoll_wait returns data.fd with each event. */
static int watch(int epoll, int operation, int fd, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.fd = fd};
    return epoll_ctl(epoll, operation, fd, &event);
}

/* For a failure that concerns one client: prints the call and the reason, and
   closes that client's connection. close also ends the registration. */
static void drop(int fd, const char *call)
{
    perror(call);
    close(fd);
}

/* Accepts one client. Returns true if another one may be in the queue.
   Level-triggered epoll reports that client again, so the caller may ignore the
   result. With EPOLLET, call this until it returns false. */
static bool accept_connection(int epoll, int listener)
{
    /* SOCK_CLOEXEC: another program that we start does not get this descriptor.
       If it had a copy, our close would not end the registration. */
    int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    /* The queue is empty: another worker was faster. If the listener were
       blocking, accept4 would sleep here, and our clients would wait. */
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
           serve adds it again later, and epoll reports the queue then, even
           with EPOLLET. EPOLL_CTL_DEL, because a mask of 0 does not stop
           EPOLLHUP, which comes if the listener is shut down. */
        if (!shortage && fd == -1) perror("accept4");
        if (!shortage && fd >= 0) fputs("table full: client refused\n", stderr);
        if (fd >= 0) close(fd);
        shortage = true;
        if (watch(epoll, EPOLL_CTL_DEL, listener, 0) == -1) die("epoll_ctl");
        return false;
    }
    (*clients)++;
    connections[fd].received = 0;
    connections[fd].unsent = response;
    if (watch(epoll, EPOLL_CTL_ADD, fd, EPOLLIN) == -1) drop(fd, "epoll_ctl");
    return true;
}

/* During a shortage, serve calls this after each epoll_wait. A client may have
   left since the last try, or a second has passed (ready is 0). */
static void retry_accept(int epoll, int listener, int ready)
{
    int result = watch(epoll, EPOLL_CTL_ADD, listener, arrivals);
    /* EEXIST: an earlier call has already registered the listener. After any
       other failure, the shortage goes on, and the next call tries again. */
    if (ready == 0 && (result == 0 || errno == EEXIST)) shortage = false;
}

/* Calls recv once. Returns its result. */
static ssize_t receive_some(int fd)
{
    struct connection *c = &connections[fd];
    size_t room = MAX_REQUEST - c->received;
    if (room > READ_SIZE) room = READ_SIZE;
    ssize_t n = recv(fd, c->request + c->received, room, 0);
    if (n > 0) c->received += (size_t)n;
    return n;
}

/* EPOLLIN: the client has sent something, or its stream has ended. */
static void read_request(int epoll, int fd)
{
    const struct connection *c = &connections[fd];
    ssize_t n = receive_some(fd);
    if (is_complete(c->request, c->received)) {
        if (watch(epoll, EPOLL_CTL_MOD, fd, EPOLLOUT) == -1)
            drop(fd, "epoll_ctl");
        print_request(c->request, c->received);
    } else if (n == -1 && errno != EAGAIN) {
        drop(fd, "recv");
    } else if (n == 0 || c->received == MAX_REQUEST) {
        fprintf(stderr, "no complete request in %zu bytes\n", c->received);
        close(fd);
    }
}

/* Calls send once. Returns its result. */
static ssize_t send_some(int fd)
{
    struct connection *c = &connections[fd];
    /* MSG_NOSIGNAL: get the error EPIPE instead of a fatal SIGPIPE if the
       client is gone. */
    ssize_t n = send(fd, c->unsent, strlen(c->unsent), MSG_NOSIGNAL);
    /* send may accept only part of the data. */
    if (n > 0) c->unsent += n;
    return n;
}

/* EPOLLOUT: the kernel has room for data to send. */
static void send_response(int epoll, int fd)
{
    ssize_t n = send_some(fd);
    if (n == -1 && errno != EAGAIN) {
        drop(fd, "send");
    } else if (*connections[fd].unsent == '\0') {
        /* From now on, wait only for EPOLLHUP, as in the article. shutdown ends
           both directions: the client gets the end of the stream, the kernel
           reports EPOLLHUP at once, and serve closes fd. Without shutdown,
           close would only send a reset if there is unread input. shutdown
           fails if the client has reset the connection. */
        if (watch(epoll, EPOLL_CTL_MOD, fd, 0) == -1)
            drop(fd, "epoll_ctl");
        else if (shutdown(fd, SHUT_RDWR) == -1)
            close(fd);
    }
}

/* The loop of example 3. Each worker creates its own epoll instance. If they
   shared one, a worker would get events of clients that another one has. */
static void serve(int listener)
{
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    if (epoll == -1) die("epoll_create1");
    if (watch(epoll, EPOLL_CTL_ADD, listener, arrivals) == -1) die("epoll_ctl");

    for (;;) {
        struct epoll_event events[MAX_EVENTS];
        /* During a shortage, try again after the next event or 1,000 ms. */
        int ready = epoll_wait(epoll, events, MAX_EVENTS, shortage ? 1000 : -1);
        /* EINTR: the program was stopped (Ctrl-Z) and continued. */
        if (ready == -1 && errno != EINTR) die("epoll_wait");
        if (shortage) retry_accept(epoll, listener, ready);
        for (int i = 0; i < ready; i++) {
            int fd = events[i].data.fd;
            if (fd == listener)
                accept_connection(epoll, listener);
            else if (events[i].events & EPOLLIN)
                read_request(epoll, fd);
            else if (events[i].events & EPOLLOUT)
                send_response(epoll, fd);
            else /* EPOLLHUP or EPOLLERR, reported whatever the mask is */
                close(fd);
        }
    }
}

/* Starts this worker. Returns what fork returned. */
static pid_t start_worker(int number)
{
    pid_t parent = getpid();
    clients[number] = 0;
    pids[number] = fork();
    if (pids[number] != 0) return pids[number];

    /* When the parent ends, even by SIGKILL, the kernel sends us SIGKILL. If it
       has ended before prctl, we already have another parent. */
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) == -1) die("prctl");
    if (getppid() != parent) exit(EXIT_FAILURE);
    clients += number;
    serve(listeners[number]);
    return 0;
}

/* If this worker has ended, prints how many clients it had, and which signal
   killed it. options are those of waitpid. Returns true if it called exit. */
static bool reap(int number, int options)
{
    int status;
    if (waitpid(pids[number], &status, options) <= 0) return false;
    fprintf(stderr, "worker %d had %lu clients\n", number + 1, clients[number]);
    /* SIGKILL: the parent sends it, too. */
    if (WIFSIGNALED(status) && WTERMSIG(status) != SIGKILL)
        psignal(WTERMSIG(status), "it was killed");
    pids[number] = -1;
    return WIFEXITED(status);
}

/* Ends the workers, and then the parent: only now is the port free. SIGKILL,
   because nobody can ignore it, and a worker has nothing to clean up. */
static void end(int status)
{
    for (int i = 0; i < workers; i++)
        if (pids[i] != -1 && kill(pids[i], SIGKILL) == 0) reap(i, 0);
    exit(status);
}

/* The parent takes one signal after the other. They are blocked, so it needs no
   handler. It may not die by a signal: it has to end the workers first. */
static void supervise(const sigset_t *signals)
{
    for (int first = 0;;) {
        int signal, missing = 0, last = first + workers;
        bool exited = false;
        sigwait(signals, &signal);
        if (signal == SIGINT || signal == SIGTERM) end(EXIT_SUCCESS);
        for (int i = first; i < last; i++) {
            int number = i % workers;
            if (pids[number] != -1 && reap(number, WNOHANG)) exited = true;
            if (pids[number] != -1) continue;
            missing++;
            if (signal != SIGALRM) continue;
            /* One second after the last death: start one worker. The next time,
               begin with the one after it. */
            if (start_worker(number) == -1) perror("fork");
            first = number + 1;
            signal = 0;
        }
        /* None is left, and one has just said why it cannot serve. */
        if (exited && missing == workers) end(EXIT_FAILURE);
        if (missing > 0) alarm(1);
    }
}

int main(int argc, char *argv[])
{
    in_port_t port = port_argument(argc, argv);
    if (mode == EXCLUSIVE) arrivals |= EPOLLEXCLUSIVE;
    /* The parent opens all listeners, and keeps them open: if a worker dies,
       the clients in its queue wait for the next worker. */
    listeners[0] = open_listener(port);
    for (int i = 1; i < workers; i++)
        listeners[i] = mode == REUSEPORT ? open_listener(port) : listeners[0];
    clients = mmap(NULL, sizeof(long[MAX_WORKERS]), PROT_READ | PROT_WRITE,
                   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (clients == MAP_FAILED) die("mmap");
    /* Room for a whole request: then one write prints it. In a file, the
       requests of two workers do not mix. In a pipe that is full, they may. */
    static char buffer[MAX_REQUEST + 64];
    setvbuf(stdout, buffer, _IOFBF, sizeof buffer);
    fprintf(stderr, "listening: try curl -i http://localhost:%d/\n", port);
    if (workers == 0) serve(listeners[0]);

    /* The workers inherit that these signals are blocked. So Ctrl-C, which
       sends SIGINT to all of them, reaches the parent only. */
    sigset_t signals;
    /* A program that starts us may ignore SIGCHLD. We would inherit that, and
       waitpid would not find workers that died. A worker that is only stopped
       sends no signal. */
    struct sigaction died = {.sa_handler = SIG_DFL, .sa_flags = SA_NOCLDSTOP};
    sigaction(SIGCHLD, &died, NULL);
    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGCHLD);
    sigaddset(&signals, SIGALRM);
    sigprocmask(SIG_BLOCK, &signals, NULL);
    for (int i = 0; i < workers; i++)
        if (start_worker(i) == -1) die("fork");
    supervise(&signals);
}
