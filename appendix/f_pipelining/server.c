/*
 * Appendix F: example 5 grown to HTTP/1.1, with kept connections.
 *
 * Shows: where TCP_CORK helps. A client may send many requests before it reads
 * a response: pipelining. Each response has its own send. With TCP_CORK set,
 * the responses share full segments.
 *
 * New since example 5: a connection lasts until the client or the clock ends
 * it. One recv may return many requests, and part of another. The server reads
 * no requests of a client that does not take its responses. It checks requests
 * and does not print them.
 *
 * Try it: make f_pipelining, then strace -e setsockopt,sendto ./f_pipelining,
 * and in a second terminal
 * printf 'GET / HTTP/1.1\nHost: a\n\n%.0s' 1 2 3 | nc -N localhost 8080
 * Compare the other modes: ./f_pipelining 8080 plain, or nodelay, or gather.
 *
 * Limits: one thread uses one processor. The clock looks at every descriptor
 * once a second. It cannot tell a client that reads slowly from a client that
 * does not read.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <fnmatch.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/* A longer request is refused: without a limit, one client could fill the
   memory. Real requests are shorter than this. */
#define MAX_REQUEST 8192

/* The longest response has 163 bytes. */
#define MAX_RESPONSE 256

/* Room for one client's unsent responses, 70 in mode GATHER. A client that does
   not take its responses costs no more memory than this. */
#define MAX_UNSENT 8192

/* The clock closes a connection after this time without a response that the
   kernel accepts. Single bytes of a request earn no more time. */
#define PATIENCE_SECONDS 10

/* Events taken per epoll_wait. The next call returns those that are left. */
#define MAX_EVENTS 64

/* Entries in the table of clients. A process may usually have fewer
   descriptors: ulimit -n prints the limit. */
#define MAX_DESCRIPTORS 65536

/* Length of the accept queue. The article uses 1. The kernel reduces it to
   net.core.somaxconn, if it is larger. */
#define BACKLOG SOMAXCONN

/* Three modes call send for each response: with no option, with TCP_NODELAY, or
   with TCP_CORK. GATHER collects the responses and calls send once. */
enum mode { PLAIN, NODELAY, CORK, GATHER };
static enum mode mode;

/* What a response says first. All but ok end the connection. */
static const char ok[] = "200 OK";
static const char bad_request[] = "400 Bad Request";
static const char not_allowed[] = "405 Method Not Allowed\r\nAllow: GET, HEAD";
static const char too_long[] = "431 Request Header Fields Too Large";
static const char not_implemented[] = "501 Not Implemented";
static const char not_supported[] = "505 HTTP Version Not Supported";

/* What all responses share. It changes every second: it contains the date. */
static char common_fields[128];

/* State of one client, kept between events. */
struct connection {
    size_t received;
    size_t answered; /* bytes of the requests that have a response */
    size_t sent;
    size_t made; /* bytes of the responses */
    int host_fields;
    bool is_head;
    bool close_after_response;
    char responses[MAX_UNSENT];
    char request[MAX_REQUEST];
};

/* One entry for each descriptor: 1 GiB of virtual memory. The kernel provides
   only the pages that the program touches, usually two (8 KiB) per client. */
static struct connection connections[MAX_DESCRIPTORS];

/* Seconds until the clock closes the connection; 0 where there is none. Not in
   the table above: the clock would touch all of its pages. */
static int seconds_left[MAX_DESCRIPTORS];

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

/* Returns the mode given on the command line and removes it, or returns CORK.
 */
static enum mode mode_argument(int *argc, char *argv[])
{
    static const char *const names[] = {"plain", "nodelay", "cork", "gather"};
    for (enum mode m = PLAIN; *argc == 3 && m <= GATHER; m++) {
        if (strcmp(argv[2], names[m]) != 0) continue;
        *argc = 2;
        return m;
    }
    return CORK;
}

/* Returns the port given on the command line, or 8080. */
static in_port_t port_argument(int argc, char *argv[])
{
    if (argc < 2) return 8080;
    /* strtol alone would accept " 80", "+80" and "80x". */
    size_t digits = strspn(argv[1], "0123456789");
    long port = strtol(argv[1], NULL, 10);
    if (argc == 2 && argv[1][digits] == '\0' && port >= 1 && port <= 65535)
        return (in_port_t)port;
    fprintf(stderr, "usage: %s [port [plain|nodelay|cork|gather]], not '%s'\n",
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

/* Connections inherit the option. Without it, Nagle's algorithm is on again
   when TCP_CORK has been cleared. If a batch of requests is longer than the
   buffer, its responses leave in two parts, in mode GATHER as well. The second
   part would wait up to 44 ms, until the client acknowledges the first. While
   both options are set, TCP_CORK wins. */
static void turn_off_nagle(int listener)
{
    int on = 1;
    if (setsockopt(listener, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) == -1)
        die("setsockopt");
}

/* The names are English, because the program does not call setlocale. */
static void write_common_fields(void)
{
    static time_t written;
    time_t now = time(NULL);
    if (now == written) return;
    written = now;
    strftime(common_fields, sizeof common_fields,
             "\r\nDate: %a, %d %b %Y %H:%M:%S GMT\r\n"
             "Content-Type: text/plain\r\nContent-Length: 13\r\n",
             gmtime(&now));
}

/* Returns the length of the first request, with the blank line that ends it, or
   0 if it is not complete. A blank line before the request does not count. */
static size_t request_length(const char *text, size_t length)
{
    for (size_t i = 1; i < length; i++) {
        bool is_blank = text[i - 1] == '\n' ||
                        (i > 1 && text[i - 1] == '\r' && text[i - 2] == '\n');
        if (text[i] == '\n' && is_blank) return i + 1;
    }
    return 0;
}

/* Removes each CR before LF, and the last LF. Returns false if there is another
   control character. Some programs take NUL, or CR alone, for the end of a
   line. If two programs see different requests, a client can deceive both. */
static bool clean(char *text, size_t length)
{
    char *to = text;
    for (size_t i = 0; i < length; i++) {
        unsigned char byte = (unsigned char)text[i];
        if (byte == '\r' && text[i + 1] == '\n') continue;
        if (byte < ' ' && byte != '\t' && byte != '\n') return false;
        *to++ = text[i];
    }
    to[-1] = '\0';
    return true;
}

/* Returns true if the text has only letters, digits and these marks. */
static bool has_only(const char *marks, const char *text)
{
    for (; *text != '\0'; text++)
        if (!isalnum((unsigned char)*text) && strchr(marks, *text) == NULL)
            return false;
    return true;
}

/* What HTTP allows as a name. Some programs ignore other bytes in a name. */
static bool is_token(const char *text)
{
    return *text != '\0' && has_only("!#$%&'*+-.^_`|~", text);
}

/* Returns the status of the response: ok if the line is right. */
static const char *check_request_line(struct connection *c, char *line)
{
    static const char *const methods[] = {
        "GET",     "HEAD",    "POST",  "PUT",   "DELETE",
        "CONNECT", "OPTIONS", "TRACE", "PATCH", NULL};
    const char *method = strsep(&line, " ");
    const char *target = strsep(&line, " ");
    const char *version = line;
    c->is_head = strcmp(method, "HEAD") == 0;
    if (version == NULL) return bad_request;
    c->close_after_response = strcmp(version, "HTTP/1.0") == 0;
    if (!c->close_after_response && strcmp(version, "HTTP/1.1") != 0)
        return fnmatch("HTTP/[02-9].[0-9]", version, 0) == 0 ? not_supported
                                                             : bad_request;
    size_t i = 0;
    while (methods[i] != NULL && strcmp(method, methods[i]) != 0) i++;
    if (methods[i] == NULL)
        return is_token(method) ? not_implemented : bad_request;
    if (i > 1) return not_allowed;
    bool has_host = strncasecmp(target, "http://", 7) == 0 &&
                    strchr("/?#:", target[7]) == NULL;
    if (target[0] != '/' && !has_host) return bad_request;
    return strchr(target, '\t') == NULL ? ok : bad_request;
}

/* Returns true if the line is right. */
static bool check_field(struct connection *c, char *line)
{
    const char *name = strsep(&line, ":");
    if (line == NULL || !is_token(name)) return false;
    char *value = line + strspn(line, " \t");
    char *end = value + strlen(value);
    while (end > value && isblank((unsigned char)end[-1])) *--end = '\0';

    /* A request with a body is refused: if the server mistook its length, bytes
       of the body would become the next request. */
    if (strcasecmp(name, "Transfer-Encoding") == 0) return false;
    if (strcasecmp(name, "Content-Length") == 0) return strcmp(value, "0") == 0;
    if (strcasecmp(name, "Host") == 0)
        return ++c->host_fields == 1 && has_only("-._~!$&'()*+,;=%:[]", value);
    if (strcasecmp(name, "Connection") != 0) return true;
    const char *word;
    while ((word = strsep(&value, ", \t")) != NULL)
        if (strcasecmp(word, "close") == 0) c->close_after_response = true;
    return true;
}

/* Returns the status of the response. A length of 0 means that the request
   fills the buffer and is not complete. Cuts the text into strings. */
static const char *check_request(struct connection *c, char *text,
                                 size_t length)
{
    /* A HEAD that is refused gets no body either. */
    c->is_head = strncmp(text, "HEAD ", 5) == 0;
    c->host_fields = 0;
    if (length == 0) return too_long;
    if (!clean(text, length)) return bad_request;
    /* A blank line before the request is ignored. */
    if (*text == '\n') text++;
    const char *status = check_request_line(c, strsep(&text, "\n"));
    if (status != ok) return status;
    bool needs_host = !c->close_after_response;
    char *line;
    while (*(line = strsep(&text, "\n")) != '\0')
        if (!check_field(c, line)) return bad_request;
    return needs_host && c->host_fields == 0 ? bad_request : ok;
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
    seconds_left[fd] = 0;
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
    struct connection *c = &connections[fd];
    c->received = c->answered = c->made = c->sent = 0;
    c->close_after_response = false;
    /* The clock may count the first second at once. */
    seconds_left[fd] = PATIENCE_SECONDS + 1;
    if (watch(epoll, EPOLL_CTL_ADD, fd, EPOLLIN) == -1) lose(fd, "epoll_ctl");
    return true;
}

/* Calls recv once. Returns its result. */
static ssize_t receive_some(int fd)
{
    struct connection *c = &connections[fd];
    c->received -= c->answered;
    memmove(c->request, c->request + c->answered, c->received);
    c->answered = 0;
    size_t room = MAX_REQUEST - c->received;
    ssize_t n = recv(fd, c->request + c->received, room, 0);
    if (n > 0) c->received += (size_t)n;
    return n;
}

/* Makes the next response. Returns false if there is no complete request. */
static bool make_response(struct connection *c)
{
    char *text = c->request + c->answered;
    size_t unanswered = c->received - c->answered;
    size_t length = request_length(text, unanswered);
    if (length == 0 && unanswered < MAX_REQUEST) return false;
    const char *status = check_request(c, text, length);
    if (status != ok) c->close_after_response = true;
    c->answered += length;
    char *end = stpcpy(c->responses + c->made, "HTTP/1.1 ");
    end = stpcpy(end, status);
    end = stpcpy(end, common_fields);
    if (c->close_after_response) end = stpcpy(end, "Connection: close\r\n");
    end = stpcpy(end, "\r\n");
    /* Both have 13 bytes. */
    if (!c->is_head)
        end = stpcpy(end, status == ok ? "Hello, world!" : "Bad request.\n");
    c->made = (size_t)(end - c->responses);
    return true;
}

/* Makes responses: in mode GATHER as many as there is room for, otherwise one,
   if the last one has been sent. Returns true if there is something to send. */
static bool make_responses(struct connection *c)
{
    if (c->sent == c->made) c->sent = c->made = 0;
    size_t enough = mode == GATHER ? MAX_UNSENT - MAX_RESPONSE : 0;
    while (c->made <= enough && !c->close_after_response && make_response(c))
        continue;
    return c->sent < c->made;
}

/* Sets or clears TCP_CORK, in mode CORK only. */
static int set_cork(int fd, int value)
{
    if (mode != CORK) return 0;
    return setsockopt(fd, IPPROTO_TCP, TCP_CORK, &value, sizeof value);
}

/* Calls send once. Returns its result. */
static ssize_t send_some(int fd)
{
    struct connection *c = &connections[fd];
    /* MSG_NOSIGNAL: get the error EPIPE instead of a fatal SIGPIPE if the
       client is gone. */
    ssize_t n =
        send(fd, c->responses + c->sent, c->made - c->sent, MSG_NOSIGNAL);
    if (n > 0) seconds_left[fd] = PATIENCE_SECONDS + 1;
    /* send may accept only part of the data. */
    if (n > 0) c->sent += (size_t)n;
    return n;
}

/* EPOLLOUT: the kernel has room for data to send. Also answers the requests
   that are still in the buffer, because EPOLLIN does not report them. */
static void send_responses(int epoll, int fd)
{
    struct connection *c = &connections[fd];
    bool was_blocked = c->sent < c->made;
    if (!make_responses(c)) return;
    if (set_cork(fd, 1) == -1) {
        lose(fd, "setsockopt");
        return;
    }
    ssize_t n;
    do n = send_some(fd);
    while (c->sent == c->made && make_responses(c));
    /* While a client does not take its responses, do not read its requests:
       they wait in its own memory, not in ours. */
    bool is_blocked = c->sent < c->made;
    uint32_t wanted = is_blocked ? EPOLLOUT : EPOLLIN;
    if (n == -1 && errno != EAGAIN)
        lose(fd, "send");
    else if (set_cork(fd, 0) == -1)
        lose(fd, "setsockopt");
    else if (is_blocked != was_blocked &&
             watch(epoll, EPOLL_CTL_MOD, fd, wanted) == -1)
        lose(fd, "epoll_ctl");
    /* Not close: if there is something left to read, it sends a reset, which
       may overtake the response. */
    else if (!is_blocked && c->close_after_response &&
             shutdown(fd, SHUT_WR) == -1)
        close_connection(fd);
}

/* EPOLLIN: the client has sent something, or has left. */
static void read_requests(int epoll, int fd)
{
    struct connection *c = &connections[fd];
    /* After the last response, discard what the client sends. */
    if (c->close_after_response) c->received = c->answered = 0;
    ssize_t n = receive_some(fd);
    if (n == -1 && errno != EAGAIN) {
        lose(fd, "recv");
    } else if (n == 0) {
        if (c->received > 0)
            fprintf(stderr, "no complete request in %zu bytes\n", c->received);
        close_connection(fd);
    } else {
        send_responses(epoll, fd);
    }
}

/* Closes the connections whose time is up. Nobody can set CLOCK_MONOTONIC.
   Counts one second at most, because the program may have been stopped. */
static void count_seconds(void)
{
    static time_t counted;
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    if (now.tv_sec == counted) return;
    counted = now.tv_sec;
    for (int fd = 0; fd < MAX_DESCRIPTORS; fd++)
        if (seconds_left[fd] > 0 && --seconds_left[fd] == 0)
            close_connection(fd);
}

int main(int argc, char *argv[])
{
    mode = mode_argument(&argc, argv);
    in_port_t port = port_argument(argc, argv);
    catch_signals();
    int listener = open_listener(port);
    if (mode != PLAIN) turn_off_nagle(listener);
    int epoll = epoll_create1(0);
    if (epoll == -1) die("epoll_create1");
    if (watch(epoll, EPOLL_CTL_ADD, listener, EPOLLIN) == -1) die("epoll_ctl");
    fprintf(stderr, "listening: try curl -i http://localhost:%d/\n", port);

    for (;;) {
        struct epoll_event events[MAX_EVENTS];
        /* 1,000 ms: for the clock, and for the next try in a shortage. */
        int ready = epoll_wait(epoll, events, MAX_EVENTS, 1000);
        /* EINTR: the program was stopped (Ctrl-Z) and continued. */
        if (ready == -1 && errno != EINTR) die("epoll_wait");
        if (shortage && watch(epoll, EPOLL_CTL_MOD, listener, EPOLLIN) == -1)
            die("epoll_ctl");
        if (ready == 0) shortage = false;
        write_common_fields();
        for (int i = 0; i < ready; i++) {
            int fd = events[i].data.fd;
            if (fd == listener)
                accept_connection(epoll, listener);
            else if (events[i].events & EPOLLIN)
                read_requests(epoll, fd);
            else if (events[i].events & EPOLLOUT)
                send_responses(epoll, fd);
            else /* EPOLLHUP or EPOLLERR, which are always reported */
                close_connection(fd);
        }
        /* Last, because an event may concern a connection that this closes. */
        count_seconds();
    }
}
