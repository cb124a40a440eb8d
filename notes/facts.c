/*
 * Facts about the kernel that none of the examples shows.
 *
 * usage: facts NAME
 *
 * NAME is one of the table at the end, such as edges. Each opens sockets over
 * loopback, and takes at most three seconds. It prints a line for each step:
 * what it did, and what the kernel did then.
 *
 * Exit status: 1, a call failed that should succeed; 2, there is no such NAME.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <net/if.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static void die(const char *call)
{
    perror(call);
    exit(EXIT_FAILURE);
}

/* For calls that have to succeed: returns their result. */
static int must(int result, const char *call)
{
    if (result == -1) die(call);
    return result;
}

static int open_listener(int backlog)
{
    int listener = must(socket(AF_INET, SOCK_STREAM, 0), "socket");
    struct sockaddr_in here = {.sin_family = AF_INET,
                               .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    must(bind(listener, (struct sockaddr *)&here, sizeof here), "bind");
    must(listen(listener, backlog), "listen");
    return listener;
}

static struct sockaddr_in address_of(int listener)
{
    struct sockaddr_in address;
    socklen_t size = sizeof address;
    must(getsockname(listener, (struct sockaddr *)&address, &size),
         "getsockname");
    return address;
}

/* Returns a socket that is connected to the listener. With SOCK_NONBLOCK in
   flags, the connection may still be on its way. */
static int open_client(int listener, int flags)
{
    struct sockaddr_in there = address_of(listener);
    int client = must(socket(AF_INET, SOCK_STREAM | flags, 0), "socket");
    if (connect(client, (struct sockaddr *)&there, sizeof there) == -1 &&
        errno != EINPROGRESS)
        die("connect");
    return client;
}

struct pair {
    int server;
    int client;
};

/* Returns both ends of one connection. */
static struct pair open_pair(void)
{
    int listener = open_listener(1);
    struct pair pair;
    pair.client = open_client(listener, 0);
    pair.server = must(accept(listener, NULL, NULL), "accept");
    close(listener);
    return pair;
}

static void set(int fd, int option, int value)
{
    must(setsockopt(fd, IPPROTO_TCP, option, &value, sizeof value),
         "setsockopt");
}

static int get(int fd, int option)
{
    int value;
    socklen_t size = sizeof value;
    must(getsockopt(fd, IPPROTO_TCP, option, &value, &size), "getsockopt");
    return value;
}

static void send_text(int fd, const char *text, int flags)
{
    must((int)send(fd, text, strlen(text), flags | MSG_NOSIGNAL), "send");
}

/* Closes the socket with a reset. */
static void reset(int fd)
{
    const struct linger at_once = {.l_onoff = 1, .l_linger = 0};
    must(setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once),
         "setsockopt");
    close(fd);
}

static int control(int epoll, int operation, int fd, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.fd = fd};
    return epoll_ctl(epoll, operation, fd, &event);
}

static int new_epoll(int fd, uint32_t events)
{
    int epoll = must(epoll_create1(0), "epoll_create1");
    must(control(epoll, EPOLL_CTL_ADD, fd, events), "epoll_ctl");
    return epoll;
}

/* Prints the text and the names of what epoll_wait reports within 50 ms. */
static void report(const char *text, int epoll)
{
    static const struct {
        uint32_t bit;
        const char *name;
    } names[] = {
        {EPOLLIN, "EPOLLIN"},   {EPOLLPRI, "EPOLLPRI"},
        {EPOLLOUT, "EPOLLOUT"}, {EPOLLRDHUP, "EPOLLRDHUP"},
        {EPOLLERR, "EPOLLERR"}, {EPOLLHUP, "EPOLLHUP"},
    };
    struct epoll_event event = {.events = 0};
    must(epoll_wait(epoll, &event, 1, 50), "epoll_wait");
    printf("%s:", text);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (event.events & names[i].bit) printf(" %s", names[i].name);
    puts(event.events == 0 ? " nothing" : "");
}

static double now(void)
{
    struct timespec time;
    must(clock_gettime(CLOCK_MONOTONIC, &time), "clock_gettime");
    return (double)time.tv_sec * 1e3 + (double)time.tv_nsec / 1e6;
}

/* Prints the text and the time since begun. */
static void print_time(const char *text, double begun)
{
    double passed = now() - begun;
    if (passed < 20)
        printf("%s: at once\n", text);
    else
        printf("%s: after %.0f ms\n", text, passed);
}

/* Waits until something can be read, and reads it. */
static void receive(int fd)
{
    char data[4096];
    must((int)recv(fd, data, sizeof data, 0), "recv");
}

static void edges(void)
{
    for (int edge = 0; edge <= 1; edge++) {
        struct pair pair = open_pair();
        puts(edge ? "edge-triggered" : "level-triggered");
        int epoll = new_epoll(pair.server, EPOLLIN | (edge ? EPOLLET : 0));
        send_text(pair.client, "one", 0);
        report("  a segment came", epoll);
        report("  nothing was read", epoll);
        send_text(pair.client, "two", 0);
        report("  another came", epoll);
    }
}

static void oneshot(void)
{
    struct pair pair = open_pair();
    int epoll = new_epoll(pair.server, EPOLLIN | EPOLLONESHOT);
    send_text(pair.client, "one", 0);
    report("a segment came", epoll);
    send_text(pair.client, "two", 0);
    report("another came", epoll);
    errno = 0;
    control(epoll, EPOLL_CTL_ADD, pair.server, EPOLLIN | EPOLLONESHOT);
    printf("EPOLL_CTL_ADD: %s\n", strerror(errno));
    must(control(epoll, EPOLL_CTL_MOD, pair.server, EPOLLIN | EPOLLONESHOT),
         "epoll_ctl");
    report("EPOLL_CTL_MOD", epoll);
    reset(pair.client);
    report("the client reset the connection", epoll);
}

static void mod(void)
{
    struct pair pair = open_pair();
    int epoll = new_epoll(pair.server, EPOLLIN | EPOLLET);
    send_text(pair.client, "one", 0);
    report("a segment came", epoll);
    report("nothing was read", epoll);
    must(control(epoll, EPOLL_CTL_MOD, pair.server, EPOLLIN | EPOLLET),
         "epoll_ctl");
    report("EPOLL_CTL_MOD with the same mask", epoll);
    must(control(epoll, EPOLL_CTL_MOD, pair.server, EPOLLIN), "epoll_ctl");
    report("EPOLL_CTL_MOD without EPOLLET", epoll);
    report("nothing was read", epoll);
}

/* Prints the text and all that epoll reports about fd. */
static void state(const char *text, int fd)
{
    int epoll = new_epoll(fd, EPOLLIN | EPOLLPRI | EPOLLOUT | EPOLLRDHUP);
    report(text, epoll);
    close(epoll);
}

static void masks(void)
{
    int listener = open_listener(1);
    state("listener, nobody waits", listener);
    int client = open_client(listener, 0);
    state("listener, a client waits", listener);
    close(client);

    state("socket, never connected",
          must(socket(AF_INET, SOCK_STREAM, 0), "socket"));
    struct pair pair = open_pair();
    state("connection, nothing came", pair.server);
    send_text(pair.client, "!", MSG_OOB);
    state("an urgent byte came", pair.server);

    pair = open_pair();
    static char zeros[1 << 20];
    while (send(pair.server, zeros, sizeof zeros, MSG_DONTWAIT) > 0) continue;
    state("the send buffer is full", pair.server);

    pair = open_pair();
    send_text(pair.client, "one", 0);
    state("data came", pair.server);
    must(shutdown(pair.client, SHUT_WR), "shutdown");
    state("and the client half-closed", pair.server);
    must(shutdown(pair.server, SHUT_WR), "shutdown");
    state("and so did we", pair.server);

    pair = open_pair();
    reset(pair.client);
    state("the client reset the connection", pair.server);
}

static void file(void)
{
    int epoll = must(epoll_create1(0), "epoll_create1");
    FILE *regular = tmpfile();
    if (regular == NULL) die("tmpfile");
    errno = 0;
    control(epoll, EPOLL_CTL_ADD, fileno(regular), EPOLLIN);
    printf("a regular file: %s\n", strerror(errno));
    int ends[2];
    must(pipe(ends), "pipe");
    must((int)write(ends[1], "one", 3), "write");
    must(control(epoll, EPOLL_CTL_ADD, ends[0], EPOLLIN), "epoll_ctl");
    report("a pipe", epoll);
}

static void duplicate(void)
{
    struct pair pair = open_pair();
    int epoll = new_epoll(pair.server, EPOLLIN);
    int copy = must(dup(pair.server), "dup");
    send_text(pair.client, "one", 0);
    close(pair.server);
    report("closed, but not its duplicate", epoll);
    int next = must(dup(pair.client), "dup");
    errno = 0;
    control(epoll, EPOLL_CTL_DEL, next, 0);
    printf("the next new descriptor has %s number; EPOLL_CTL_DEL: %s\n",
           next == pair.server ? "the same" : "another", strerror(errno));
    close(copy);
    report("closed both", epoll);
}

/* An event that epoll_wait has returned does not change when its descriptor is
   closed. */
static void stale(void)
{
    struct pair first = open_pair();
    struct pair second = open_pair();
    int epoll = new_epoll(first.server, EPOLLIN);
    must(control(epoll, EPOLL_CTL_ADD, second.server, EPOLLIN), "epoll_ctl");
    send_text(first.client, "one", 0);
    send_text(second.client, "one", 0);
    struct epoll_event events[2];
    int ready = must(epoll_wait(epoll, events, 2, 50), "epoll_wait");
    printf("two clients have sent something: %d events\n", ready);

    close(second.server);
    int names_it = events[0].data.fd == second.server ||
                   events[1].data.fd == second.server;
    printf("closed the second: its event is %s the array\n",
           names_it ? "still in" : "no longer in");
    int next = must(dup(first.client), "dup");
    printf("the next new descriptor has %s number\n",
           next == second.server ? "the same" : "another");
    ready = must(epoll_wait(epoll, events, 2, 50), "epoll_wait");
    printf("epoll_wait again: %d event\n", ready);
}

/* What a library has read ahead is no longer in the kernel. */
static void buffered(void)
{
    struct pair pair = open_pair();
    int epoll = new_epoll(pair.server, EPOLLIN);
    FILE *stream = fdopen(pair.server, "r");
    if (stream == NULL) die("fdopen");
    send_text(pair.client, "first\nsecond\n", 0);
    report("two lines came", epoll);
    char line[16];
    if (fgets(line, sizeof line, stream) == NULL) die("fgets");
    printf("fgets returns: %s", line);
    report("epoll reports", epoll);
    if (fgets(line, sizeof line, stream) == NULL) die("fgets");
    printf("fgets returns: %s", line);
}

static void wake(void)
{
    int event = must(eventfd(0, EFD_NONBLOCK), "eventfd");
    int epoll = new_epoll(event, EPOLLIN);
    report("nobody wrote", epoll);
    must(eventfd_write(event, 1), "eventfd_write");
    must(eventfd_write(event, 1), "eventfd_write");
    report("written twice", epoll);
    eventfd_t count;
    must(eventfd_read(event, &count), "eventfd_read");
    printf("one read returns the sum: %d\n", (int)count);
    report("after that", epoll);
}

/* Prints how a connect that does not wait ends. */
static void try_connect(struct sockaddr_in *there)
{
    int client =
        must(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), "socket");
    int result = connect(client, (struct sockaddr *)there, sizeof *there);
    printf("  connect: %s\n", result == -1 ? strerror(errno) : "connected");
    int epoll = new_epoll(client, EPOLLOUT);
    report("  epoll", epoll);
    int error;
    socklen_t size = sizeof error;
    must(getsockopt(client, SOL_SOCKET, SO_ERROR, &error, &size), "getsockopt");
    printf("  SO_ERROR: %s\n", strerror(error));
}

static void connecting(void)
{
    int listener = open_listener(1);
    struct sockaddr_in there = address_of(listener);
    puts("somebody listens");
    try_connect(&there);
    close(listener);
    puts("nobody listens");
    try_connect(&there);
}

/* Returns when the process sleeps. */
static void await_sleep(pid_t process)
{
    char path[32], state = 'R';
    snprintf(path, sizeof path, "/proc/%d/stat", (int)process);
    while (state != 'S') {
        usleep(1000);
        FILE *file = fopen(path, "r");
        if (file == NULL) die(path);
        if (fscanf(file, "%*d (facts) %c", &state) != 1) die(path);
        fclose(file);
    }
}

/* Each process has an epoll instance of its own, and all watch one listener. */
static void count_woken(const char *text, uint32_t events)
{
    enum { PROCESSES = 8 };
    int listener = open_listener(1), woken = 0;
    pid_t processes[PROCESSES];
    for (int i = 0; i < PROCESSES; i++) {
        if ((processes[i] = must(fork(), "fork")) != 0) continue;
        int epoll = new_epoll(listener, events);
        struct epoll_event event;
        _exit(epoll_wait(epoll, &event, 1, -1) == 1);
    }
    for (int i = 0; i < PROCESSES; i++) await_sleep(processes[i]);
    open_client(listener, 0);
    usleep(500000);
    for (int i = 0; i < PROCESSES; i++) {
        int status;
        kill(processes[i], SIGKILL);
        must(waitpid(processes[i], &status, 0), "waitpid");
        woken += WIFEXITED(status);
    }
    printf("%s: one client wakes %d of %d processes\n", text, woken, PROCESSES);
}

static void herd(void)
{
    count_woken("EPOLLIN", EPOLLIN);
    count_woken("EPOLLIN | EPOLLEXCLUSIVE", EPOLLIN | EPOLLEXCLUSIVE);
}

/* Three processes register one after the other, and go to sleep in the opposite
   order. Prints how many of six clients each of them gets. */
static void count_clients(const char *text, int again)
{
    enum { PROCESSES = 3, CLIENTS = 6 };
    int listener = open_listener(1), status;
    pid_t processes[PROCESSES];
    int *counts = mmap(NULL, sizeof(int[PROCESSES]), PROT_READ | PROT_WRITE,
                       MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (counts == MAP_FAILED) die("mmap");
    for (int i = 0; i < PROCESSES; i++) {
        if ((processes[i] = must(fork(), "fork")) != 0) {
            must(waitpid(processes[i], &status, WUNTRACED), "waitpid");
            continue;
        }
        int epoll = new_epoll(listener, EPOLLIN | EPOLLEXCLUSIVE);
        raise(SIGSTOP);
        struct epoll_event event;
        while (epoll_wait(epoll, &event, 1, -1) == 1) {
            counts[i]++;
            close(must(accept(listener, NULL, NULL), "accept"));
            if (!again) continue;
            must(control(epoll, EPOLL_CTL_DEL, listener, 0), "epoll_ctl");
            must(control(epoll, EPOLL_CTL_ADD, listener,
                         EPOLLIN | EPOLLEXCLUSIVE),
                 "epoll_ctl");
        }
    }
    for (int i = PROCESSES - 1; i >= 0; i--) {
        kill(processes[i], SIGCONT);
        await_sleep(processes[i]);
    }
    for (int i = 0; i < CLIENTS; i++) {
        char byte;
        int client = open_client(listener, 0);
        recv(client, &byte, 1, 0); /* Returns when a process has closed. */
        close(client);
        for (int j = 0; j < PROCESSES; j++) await_sleep(processes[j]);
    }
    printf("%s:", text);
    for (int i = 0; i < PROCESSES; i++) {
        kill(processes[i], SIGKILL);
        must(waitpid(processes[i], &status, 0), "waitpid");
        printf(" %d", counts[i]);
    }
    puts("");
}

static void first(void)
{
    count_clients("six clients", 0);
    count_clients("six clients, and who gets one registers again", 1);
}

static void hangup(void)
{
    struct pair pair = open_pair();
    int epoll = new_epoll(pair.server, 0);
    send_text(pair.client, "one", 0);
    report("mask 0, data came", epoll);
    reset(pair.client);
    report("the client reset the connection", epoll);
    struct epoll_event event;
    int returned = 0;
    for (double begun = now(); now() - begun < 20; returned++)
        must(epoll_wait(epoll, &event, 1, -1), "epoll_wait");
    printf("in 20 ms, epoll_wait returned %d times\n", returned);
    must(control(epoll, EPOLL_CTL_DEL, pair.server, 0), "epoll_ctl");
    report("EPOLL_CTL_DEL", epoll);
}

/* From now on, the socket's filter drops every segment that arrives for it. So
   the peer gets no acknowledgement, as if a cable were cut. */
static int vanish(int fd)
{
    struct sock_filter drop = BPF_STMT(BPF_RET | BPF_K, 0);
    const struct sock_fprog all = {.len = 1, .filter = &drop};
    return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &all, sizeof all);
}

static void vanished(void)
{
    static const char *const texts[] = {
        "idle, SO_KEEPALIVE", "idle, TCP_USER_TIMEOUT",
        "response unacknowledged, SO_KEEPALIVE",
        "response unacknowledged, TCP_USER_TIMEOUT"};
    /* Where users may not drop packets, they may in a network of their own. */
    const struct ifreq up = {.ifr_name = "lo", .ifr_flags = IFF_UP};
    if (vanish(open_pair().client) == -1 &&
        (unshare(CLONE_NEWUSER | CLONE_NEWNET) == -1 ||
         ioctl(socket(AF_INET, SOCK_DGRAM, 0), SIOCSIFFLAGS, &up) == -1)) {
        printf("not permitted here: unshare: %s\n", strerror(errno));
        return;
    }
    int servers[4];
    for (int i = 0; i < 4; i++) {
        struct pair pair = open_pair();
        int fd = servers[i] = pair.server;
        const int alive = i % 2 == 0;
        must(setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &alive, sizeof alive),
             "setsockopt");
        /* A probe after a second. Without an answer, the end a second later. */
        set(fd, TCP_KEEPIDLE, 1);
        set(fd, TCP_KEEPINTVL, 1);
        set(fd, TCP_KEEPCNT, 1);
        if (!alive) set(fd, TCP_USER_TIMEOUT, 1000);
        must(vanish(pair.client), "setsockopt");
        if (i >= 2) send_text(fd, "response", 0);
    }
    usleep(2500000);
    for (int i = 0; i < 4; i++)
        report(texts[i], new_epoll(servers[i], EPOLLIN));
    char data[1];
    recv(servers[3], data, sizeof data, 0);
    printf("recv: %s\n", strerror(errno));
}

/* The state of a connection, as ss -tn prints it. */
static const char *state_of(int fd)
{
    static const char *const names[] = {[TCP_ESTABLISHED] = "ESTAB",
                                        [TCP_FIN_WAIT2] = "FIN-WAIT-2",
                                        [TCP_CLOSE_WAIT] = "CLOSE-WAIT"};
    struct tcp_info info;
    socklen_t size = sizeof info;
    usleep(60000); /* Until the kernel has acknowledged what has arrived. */
    must(getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size), "getsockopt");
    return names[info.tcpi_state];
}

static void states(void)
{
    int listener = open_listener(1);
    int client = open_client(listener, 0);
    send_text(client, "request", 0);
    printf("connect and send, but no accept: client %s\n", state_of(client));
    int fd = must(accept(listener, NULL, NULL), "accept");
    receive(fd);
    must(shutdown(client, SHUT_WR), "shutdown");
    printf("the client ends its stream: client %s\n", state_of(client));
    receive(fd);
    printf("recv returns 0: server %s\n", state_of(fd));
}

static void inherit(void)
{
    int listener = open_listener(1);
    set(listener, TCP_NODELAY, 1);
    set(listener, TCP_CORK, 1);
    must(fcntl(listener, F_SETFL, O_NONBLOCK), "fcntl");
    int client = open_client(listener, 0);
    int fd = must(accept(listener, NULL, NULL), "accept");
    close(client);
    printf("TCP_NODELAY: %s\n", get(fd, TCP_NODELAY) ? "inherited" : "not");
    printf("TCP_CORK: %s\n", get(fd, TCP_CORK) ? "inherited" : "not");
    int flags = must(fcntl(fd, F_GETFL), "fcntl");
    printf("O_NONBLOCK: %s\n", flags & O_NONBLOCK ? "inherited" : "not");
}

static void backlog(void)
{
    enum { CLIENTS = 6 };
    int listener = open_listener(3);
    double begun = now();
    struct pollfd clients[CLIENTS];
    for (int i = 0; i < CLIENTS; i++)
        clients[i] = (struct pollfd){.fd = open_client(listener, SOCK_NONBLOCK),
                                     .events = POLLOUT};
    int ready = must(poll(clients, CLIENTS, 100), "poll");
    printf("listen with 3: %d of %d clients are connected\n", ready, CLIENTS);
    for (int i = 0; i < ready; i++)
        must(accept(listener, NULL, NULL), "accept");
    must(poll(&clients[CLIENTS - 1], 1, 2000), "poll");
    print_time("all accepted: the last one connects", begun);
}

static void shortage(void)
{
    int listener = open_listener(1);
    must(fcntl(listener, F_SETFL, O_NONBLOCK), "fcntl");
    const struct rlimit none = {.rlim_cur = 0, .rlim_max = 0};
    accept(listener, NULL, NULL);
    printf("nobody waits: %s\n", strerror(errno));
    must(setrlimit(RLIMIT_NOFILE, &none), "setrlimit");
    accept(listener, NULL, NULL);
    printf("nobody waits, no descriptor free: %s\n", strerror(errno));
}

static void unread(void)
{
    struct pair pair = open_pair();
    send_text(pair.client, "more than is read", 0);
    send_text(pair.server, "response", 0);
    close(pair.server);
    char data[64];
    ssize_t n = recv(pair.client, data, sizeof data, 0);
    printf("closed with unread input: the client receives %zd bytes\n", n);
    n = recv(pair.client, data, sizeof data, 0);
    printf("and then: %s\n", n == -1 ? strerror(errno) : "end of stream");
}

/* Prints how long after a request the second part of its response is there,
   the tenth time. */
static void exchange(const char *text, int option)
{
    struct pair pair = open_pair();
    if (option == TCP_NODELAY) set(pair.server, TCP_NODELAY, 1);
    double begun = 0;
    for (int i = 0; i < 10; i++) {
        begun = now();
        send_text(pair.client, "request", 0);
        receive(pair.server);
        if (option == TCP_CORK) set(pair.server, TCP_CORK, 1);
        send_text(pair.server, "one", 0);
        send_text(pair.server, "two", 0);
        if (option == TCP_CORK) set(pair.server, TCP_CORK, 0);
        char data[6];
        must((int)recv(pair.client, data, sizeof data, MSG_WAITALL), "recv");
    }
    print_time(text, begun);
}

static void nagle(void)
{
    exchange("neither", 0);
    exchange("TCP_NODELAY", TCP_NODELAY);
    exchange("TCP_CORK", TCP_CORK);
}

/* Prints how long it takes a small message that was sent on a corked connection
   to arrive. */
static void corked(const char *text, int option, int value)
{
    struct pair pair = open_pair();
    set(pair.server, TCP_CORK, 1);
    send_text(pair.server, "one", 0);
    double begun = now();
    if (option != 0) set(pair.server, option, value);
    if (value == -1) must(shutdown(pair.server, SHUT_WR), "shutdown");
    receive(pair.client);
    print_time(text, begun);
}

static void cork(void)
{
    corked("nothing else is done", 0, 0);
    corked("TCP_CORK is taken away", TCP_CORK, 0);
    corked("shutdown", 0, -1);
    corked("TCP_NODELAY is set as well", TCP_NODELAY, 1);
}

static void select_limit(void)
{
    printf("descriptors that an fd_set holds: %d\n", FD_SETSIZE);
}

static int cost_fd;
static int cost_epoll;
static struct pair cost_pair;

static void no_work(void)
{
    getppid();
}

static void no_data(void)
{
    char data[1];
    recv(cost_pair.server, data, sizeof data, MSG_DONTWAIT);
}

static void no_client(void)
{
    accept4(cost_fd, NULL, NULL, SOCK_NONBLOCK);
}

static void new_mask(void)
{
    control(cost_epoll, EPOLL_CTL_MOD, cost_pair.server, 0);
}

static void data_sent_and_received(void)
{
    char data[114] = {0};
    send(cost_pair.server, data, sizeof data, MSG_NOSIGNAL);
    recv(cost_pair.client, data, sizeof data, MSG_WAITALL);
}

/* Prints the mean of 500 calls, in the best of 20 rounds: the other rounds
   were interrupted by other programs. */
static void print_cost(const char *text, void (*call)(void))
{
    enum { CALLS = 500, ROUNDS = 20 };
    double best = 1e9;
    for (int round = 0; round < ROUNDS; round++) {
        double begun = now();
        for (int i = 0; i < CALLS; i++) call();
        double mean = (now() - begun) * 1e3 / CALLS;
        if (mean < best) best = mean;
    }
    printf("%s: %.2f us\n", text, best);
}

static void costs(void)
{
    cost_fd = open_listener(1);
    must(fcntl(cost_fd, F_SETFL, O_NONBLOCK), "fcntl");
    cost_pair = open_pair();
    set(cost_pair.server, TCP_NODELAY, 1);
    cost_epoll = new_epoll(cost_pair.server, 0);
    print_cost("getppid", no_work);
    print_cost("recv that ends in EAGAIN", no_data);
    print_cost("epoll_ctl, EPOLL_CTL_MOD", new_mask);
    print_cost("accept4 that ends in EAGAIN", no_client);
    print_cost("send and recv of 114 bytes", data_sent_and_received);
}

int main(int argc, char *argv[])
{
    static const struct {
        const char *name;
        void (*show)(void);
    } facts[] = {
        {"edges", edges},       {"oneshot", oneshot},
        {"mod", mod},           {"masks", masks},
        {"file", file},         {"duplicate", duplicate},
        {"stale", stale},       {"buffered", buffered},
        {"wake", wake},         {"connect", connecting},
        {"herd", herd},         {"inherit", inherit},
        {"backlog", backlog},   {"shortage", shortage},
        {"unread", unread},     {"nagle", nagle},
        {"cork", cork},         {"select", select_limit},
        {"costs", costs},       {"hangup", hangup},
        {"vanished", vanished}, {"states", states},
        {"first", first},
    };
    alarm(10);
    setvbuf(stdout, NULL, _IOLBF, 0);
    for (size_t i = 0; i < sizeof facts / sizeof facts[0]; i++)
        if (argc == 2 && strcmp(argv[1], facts[i].name) == 0) {
            facts[i].show();
            return EXIT_SUCCESS;
        }
    fputs("usage: facts NAME; names: the end of notes/facts.c\n", stderr);
    return 2;
}
