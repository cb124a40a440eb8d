/*
 * Appendix F: example 5 grown to HTTP/1.1, with kept connections.
 *
 * Shows: where a cork pays. A client may send many requests at once, before it
 * has read a response: pipelining. Each gets a response and a send of its own;
 * corked, they share full segments.
 *
 * New since example 5: a connection lasts until the client or the clock ends
 * it; a read may bring many requests and a part of one; a client that does not
 * take its responses is not read from. Requests are checked, not printed.
 *
 * Try it: make f_pipelining, then strace -e setsockopt,sendto ./f_pipelining,
 * and in a second terminal
 * printf 'GET / HTTP/1.1\nHost: a\n\n%.0s' 1 2 3 | nc -N localhost 8080
 * Compare ./f_pipelining 8080 plain, and nodelay in place of plain.
 *
 * Still wrong: one thread is one processor's worth, and whoever reads the log
 * slowly slows it down. The clock looks at every descriptor once a second, and
 * does not tell a client that reads slowly from one that does not read.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define MAX_REQUEST 8192
#define MAX_EVENTS 64
#define MAX_DESCRIPTORS 65536

/* How many clients may wait to be accepted; the article has 1. */
#ifndef BACKLOG
#define BACKLOG SOMAXCONN
#endif

/* How long a client may stay without a response that the kernel takes for it. A
   byte of a request now and then earns no more time. */
#ifndef IDLE_SECONDS
#define IDLE_SECONDS 10
#endif

/* What all responses share; written anew for each second's date. */
static char headers[128];

/* TCP_CORK, TCP_NODELAY, or 0 for neither. */
static int option;

/* One client. What a blocking program keeps in local variables while it waits,
   this one has to write down; also the response, for the date in it may change
   before the client has taken all of it. */
struct connection {
    int fd;
    int idle;
    int hosts;
    int is_head;
    int is_last;
    size_t received;
    size_t length;
    size_t sent;
    char response[256];
    char request[MAX_REQUEST];
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

static void usage(const char *program, const char *wrong)
{
    fprintf(stderr, "usage: %s [port [plain|nodelay|cork]], not '%s'\n",
            program, wrong);
    exit(2);
}

/* Returns the port that the command line names, or 8080. */
static in_port_t port_argument(int argc, char *argv[])
{
    if (argc < 2) return 8080;
    /* strtol alone would take " 80", "+80" and "80x". */
    size_t digits = strspn(argv[1], "0123456789");
    long port = strtol(argv[1], NULL, 10);
    if (argv[1][digits] != '\0' || port < 1 || port > 65535)
        usage(argv[0], argv[1]);
    return (in_port_t)port;
}

/* Returns the option that the command line names, or TCP_CORK. */
static int option_argument(int argc, char *argv[])
{
    if (argc > 3) usage(argv[0], argv[3]);
    if (argc < 3 || strcmp(argv[2], "cork") == 0) return TCP_CORK;
    if (strcmp(argv[2], "nodelay") == 0) return TCP_NODELAY;
    if (strcmp(argv[2], "plain") != 0) usage(argv[0], argv[2]);
    return 0;
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

/* The names are English, for the program does not call setlocale. */
static void write_headers(time_t now)
{
    strftime(headers, sizeof headers,
             "Date: %a, %d %b %Y %H:%M:%S GMT\r\n"
             "Content-Type: text/plain\r\nContent-Length: 13\r\n",
             gmtime(&now));
}

/* Does nothing in the modes that are without this option. */
static int set_option(int fd, int name, int value)
{
    if (option != name) return 0;
    return setsockopt(fd, IPPROTO_TCP, name, &value, sizeof value);
}

/* Returns the length of the first request in the text, with the blank line that
   ends it, or 0 if there is none yet. Others may follow it. */
static size_t request_length(const char *text, size_t length)
{
    const char *line = text;
    const char *end;
    while ((end = memchr(line, '\n', length - (size_t)(line - text))) != NULL) {
        int is_blank = end == line || (end == line + 1 && *line == '\r');
        if (is_blank && line > text) return (size_t)(end + 1 - text);
        line = end + 1;
    }
    return 0;
}

/* NUL, or a CR alone, may end a line in the eyes of another program; and where
   one program sees two requests and the next one, a client can deceive both. */
static int has_stray_control(const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        if (text[i] == '\r' && text[i + 1] == '\n') continue;
        unsigned char byte = (unsigned char)text[i];
        if (byte < ' ' && byte != '\t' && byte != '\n') return 1;
    }
    return 0;
}

/* A line ends in CRLF or, as HTTP/1.1 allows a server to accept, in LF. */
static char *take_line(char **text)
{
    char *line = strsep(text, "\n");
    char *end = strchr(line, '\r');
    if (end != NULL) *end = '\0';
    return line;
}

/* Returns 1 if the line is right, or 0. */
static int parse_request_line(struct connection *c, char *line)
{
    const char *method = strsep(&line, " ");
    c->is_head = strcmp(method, "HEAD") == 0;
    const char *target = strsep(&line, " ");
    const char *version = line;
    if (version == NULL || strchr(target, '\t') != NULL) return 0;
    int has_host = strncasecmp(target, "http://", 7) == 0 &&
                   strchr("/?#:", target[7]) == NULL;
    if (target[0] != '/' && !has_host) return 0;
    c->is_last = strcmp(version, "HTTP/1.0") == 0;
    return (c->is_head || strcmp(method, "GET") == 0) &&
           (c->is_last || strcmp(version, "HTTP/1.1") == 0);
}

/* What else is in a name or a host, another program may take for nothing. */
static int has_only(const char *text, const char *marks)
{
    for (; *text != '\0'; text++)
        if (!isalnum((unsigned char)*text) && strchr(marks, *text) == NULL)
            return 0;
    return 1;
}

/* Returns 1 if the line is right, or 0. A request with a body is refused: who
   is wrong about its length takes its bytes for the next request. */
static int parse_field(struct connection *c, char *line)
{
    const char *name = strsep(&line, ":");
    if (line == NULL || *name == '\0') return 0;
    if (!has_only(name, "!#$%&'*+-.^_`|~")) return 0;
    char *value = line + strspn(line, " \t");
    size_t length = strlen(value);
    while (length > 0 && strchr(" \t", value[length - 1]) != NULL)
        value[--length] = '\0';

    if (strcasecmp(name, "Transfer-Encoding") == 0) return 0;
    if (strcasecmp(name, "Content-Length") == 0) return strcmp(value, "0") == 0;
    if (strcasecmp(name, "Host") == 0)
        return ++c->hosts == 1 && has_only(value, "-._~!$&'()*+,;=%:[]");
    if (strcasecmp(name, "Connection") != 0) return 1;
    const char *word;
    while ((word = strsep(&value, ", \t")) != NULL)
        if (strcasecmp(word, "close") == 0) c->is_last = 1;
    return 1;
}

/* Returns 1 if the request, which ends in a blank line, is right, or 0. Cuts it
   into strings, in place. */
static int parse_request(struct connection *c, char *text, size_t length)
{
    c->hosts = 0;
    /* A HEAD that is refused gets no body either. */
    c->is_head = strncmp(text, "HEAD ", 5) == 0;
    if (length == 0 || has_stray_control(text, length)) return 0;
    text[length - 1] = '\0';
    char *line = take_line(&text);
    /* A blank line before the request is to be ignored. */
    if (*line == '\0') line = take_line(&text);
    if (!parse_request_line(c, line)) return 0;
    int is_old = c->is_last;
    while (*(line = take_line(&text)) != '\0')
        if (!parse_field(c, line)) return 0;
    return c->hosts == 1 || is_old;
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
    struct connection *c = fd < last ? calloc(1, sizeof *c) : NULL;
    if (c == NULL) {
        fputs("out of descriptors or memory: client turned away\n", stderr);
        close(fd);
        return 1;
    }
    c->fd = fd;
    connections[fd] = c;
    if (watch(epoll, EPOLL_CTL_ADD, fd, EPOLLIN) == -1) {
        perror("epoll_ctl");
        close_connection(c);
    }
    return 1;
}

/* Returns 1 if there may be more, 0 if not, or -1 if nothing more can come. */
static int receive(struct connection *c)
{
    size_t room = MAX_REQUEST - c->received;
    ssize_t n = recv(c->fd, c->request + c->received, room, 0);
    if (n == -1 && errno == EAGAIN) return 0;
    if (n == -1 && errno == EINTR) return 1;
    if (n == -1) return lost("recv");
    /* The client's end of stream, and all that recv returns from now on. */
    if (n == 0) return -1;
    c->received += (size_t)n;
    return c->received < MAX_REQUEST;
}

/* Makes the response to the next request in the buffer, and returns 1; or
   returns 0 if there is none. */
static int next_response(struct connection *c, size_t *done)
{
    char *text = c->request + *done;
    size_t received = c->received - *done;
    size_t length = request_length(text, received);
    if (c->is_last || (length == 0 && received < MAX_REQUEST)) return 0;

    int is_good = parse_request(c, text, length);
    if (!is_good) c->is_last = 1;
    char *end = stpcpy(c->response, is_good ? "HTTP/1.1 200 OK\r\n"
                                            : "HTTP/1.1 400 Bad Request\r\n");
    end = stpcpy(end, headers);
    if (c->is_last) end = stpcpy(end, "Connection: close\r\n");
    end = stpcpy(end, "\r\n");
    /* Both are 13 bytes long. */
    if (!c->is_head)
        end = stpcpy(end, is_good ? "Hello, world!" : "Bad request.\n");
    c->length = (size_t)(end - c->response);
    c->sent = 0;
    *done += length;
    return 1;
}

/* Sends what is left of a response, then the responses to all requests in the
   buffer, a send for each. Returns 1 if the client has taken them, 0 if it does
   not now, or -1 if the connection is to be closed. */
static int send_responses(struct connection *c)
{
    size_t done = 0;
    if (set_option(c->fd, TCP_CORK, 1) == -1) return lost("setsockopt");
    while (c->sent < c->length || next_response(c, &done)) {
        /* Without the flag, a client that has left ends us with SIGPIPE. */
        ssize_t n = send(c->fd, c->response + c->sent, c->length - c->sent,
                         MSG_NOSIGNAL);
        if (n == -1 && errno != EAGAIN && errno != EINTR) return lost("send");
        /* The kernel may have taken a part only. */
        if (n > 0) c->sent += (size_t)n;
        if (c->sent < c->length) break;
        c->idle = 0;
    }
    if (set_option(c->fd, TCP_CORK, 0) == -1) return lost("setsockopt");
    c->received -= done;
    memmove(c->request, c->request + done, c->received);
    if (c->sent < c->length) return 0;
    /* Not close: with something left to read, it would send a reset, which may
       overtake the response. */
    if (c->is_last && shutdown(c->fd, SHUT_WR) == -1) return -1;
    return 1;
}

/* Returns as send_responses does. */
static int read_requests(struct connection *c)
{
    /* After the last response, what comes is thrown away, until the client
       ends its stream or its time is up. */
    if (c->is_last) c->received = 0;
    if (receive(c) == -1) {
        if (c->received > 0)
            fprintf(stderr, "no complete request in %zu bytes\n", c->received);
        return -1;
    }
    return c->is_last ? 1 : send_responses(c);
}

/* Interest is in one thing at a time, so one bit at most is set of EPOLLIN and
   EPOLLOUT. EPOLLHUP and EPOLLERR come unasked; alone, they mean the end. */
static void handle_event(int epoll, struct connection *c, uint32_t events)
{
    int result = -1;
    if (events & EPOLLIN)
        result = read_requests(c);
    else if (events & EPOLLOUT)
        result = send_responses(c);

    /* A client that does not take its responses is not read from: requests
       wait in its own memory, not in ours. */
    uint32_t wanted = result == 0 ? EPOLLOUT : EPOLLIN;
    if (result != -1 && (events & wanted) == 0 &&
        watch(epoll, EPOLL_CTL_MOD, c->fd, wanted) == -1)
        result = lost("epoll_ctl");
    if (result == -1) close_connection(c);
}

/* Called once a second. Counts its calls, for the time of day may be set. The
   first may come at once, so it takes one more than IDLE_SECONDS. */
static void close_idle_connections(long last)
{
    for (int fd = 0; fd <= last; fd++)
        if (connections[fd] != NULL && connections[fd]->idle++ >= IDLE_SECONDS)
            close_connection(connections[fd]);
}

int main(int argc, char *argv[])
{
    in_port_t port = port_argument(argc, argv);
    option = option_argument(argc, argv);
    catch_signals();
    int listener = open_listener(port);
    /* The connections inherit it. */
    if (set_option(listener, TCP_NODELAY, 1) == -1) die("setsockopt");
    /* accept would wait for the next client if another process, or an error
       of the network, had taken this one after its event. */
    if (fcntl(listener, F_SETFL, O_NONBLOCK) == -1) die("fcntl");
    int epoll = epoll_create1(0);
    if (epoll == -1) die("epoll_create1");
    if (watch(epoll, EPOLL_CTL_ADD, listener, EPOLLIN) == -1) die("epoll_ctl");
    long last = sysconf(_SC_OPEN_MAX) - 1;
    if (last >= MAX_DESCRIPTORS) last = MAX_DESCRIPTORS - 1;
    fprintf(stderr, "listening: try curl -i http://localhost:%d/\n", port);

    time_t now = 0;
    while (!interrupted) {
        struct epoll_event events[MAX_EVENTS];
        int ready = epoll_wait(epoll, events, MAX_EVENTS, 1000);
        if (ready == -1 && errno != EINTR) die("epoll_wait");
        time_t before = now;
        now = time(NULL);
        if (now != before) write_headers(now);
        for (int i = 0; i < ready && !interrupted; i++) {
            int fd = events[i].data.fd;
            if (fd == listener)
                accept_connection(epoll, listener, last);
            else
                handle_event(epoll, connections[fd], events[i].events);
        }
        /* Not earlier: an event may be of a connection that this closes. */
        if (now != before) close_idle_connections(last);
    }

    for (int fd = 0; fd <= last; fd++)
        if (connections[fd] != NULL) close_connection(connections[fd]);
    close(epoll);
    close(listener);
    return EXIT_SUCCESS;
}
