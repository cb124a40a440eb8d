"""A sentence for each step: what has just happened.

Pure functions of a step and of the state before it, without gdb.
"""
import re


def functions(source):
    """[name, first line, last line] of each function of a C source."""
    found = []
    for i, text in enumerate(source):
        if text == "{":
            first = i - 1
            while source[first].startswith(" "):
                first -= 1
            name = re.search(r"(\w+)\(", source[first])[1]
            found.append([name, first + 1, source.index("}", i) + 1])
    return found


COMMENT = re.compile(
    r'//.*|/\*[\s\S]*?\*/|("(?:\\.|[^"\\])*"|\'(?:\\.|[^\'\\])*\')')


def code(source):
    """The number and the code of each line that has code: without comments."""
    text = COMMENT.sub(lambda m: m[1] or " " + "\n" * m[0].count("\n"),
                       "\n".join(source))
    return [(number, " ".join(line.split()))
            for number, line in enumerate(text.split("\n"), 1) if line.strip()]


def some(n, what="byte"):
    return f"{n:,} {what}" + ("" if n == 1 else "s")


def socket_of(state, fd):
    return next(s for s in state["sockets"] if s["fd"] == fd)


def client_of(state, name):
    return next(c for c in state["clients"] if c["name"] == name)


def segments(name, after, before):
    """How many segments have brought what the client just got."""
    n = client_of(after, name)["segments"] - client_of(before, name)["segments"]
    return "in one segment" if n == 1 else f"in {n} segments"


# Lines. Only those with a sentence are recorded: the function, how the line
# begins, and the sentence. It may contain the function's variables, or be a
# function of them, which returns None where nothing is worth saying.

def which_event(v):
    if v["fd"] == v["listener"]:
        return "This event is for descriptor {fd}, the listener."
    masks = dict(e.split() for name, e in v.items() if name[:6] == "events")
    return f"This event is for descriptor {v['fd']}, a connection:" \
        f" {masks[v['fd']]}."


def receive_again(v):
    if v["n"] in ("0", "-1"):
        return "n is {n}, so the loop ends."
    return f"n is {int(v['n']):,}, so the loop calls recv again."


def so_far(v):
    received = int(v.get("received") or v["c->received"])
    return f"{some(received)} of the request have arrived. Is there a blank" \
        " line?"


COMPLETE = "The blank line is there: the request is complete."
ALL_SENT = "Nothing is left to send: the kernel has the whole response."
LINES = [
    ("main", "int fd = accept_connection(listener);",
     "The loop begins again: the program wants the next client."),
    ("main", "if (shortage &&", lambda v: v.get("shortage") and
     "Descriptors were short: main watches the listener again."),
    ("main", "if (ready == 0) shortage", lambda v: v["ready"] == "0" and
     "No event for so long: main takes the shortage to be over."),
    ("main", "if (fd == listener)", which_event),
    ("main", "close(fd);", lambda v: "ready" in v and
     "Neither EPOLLIN nor EPOLLOUT is set: main closes the connection."),
    ("main", "return answered", "The program has served its one client."),
    ("accept_connections", "if (!accept_connection(", lambda v:
     "The loop accepts until the queue is empty." if v["i"] == "0" else
     "Another client may be in the queue: the loop goes on."),
    ("accept_connection", "connections[fd].received",
     "Entry {fd} of the table now belongs to the new client."),
    ("accept_connection", "if (!shortage) perror", lambda v:
     "accept4 has failed again." if v.get("shortage") else
     "accept4 has failed, and not with EAGAIN: this is a shortage."),
    ("read_request", "const struct connection *c",
     "EPOLLIN is set, so main calls read_request."),
    ("read_request", "size_t room =", lambda v: v["received"] == "0" and
     "A new request begins: no byte of it has been read."),
    ("read_request", "while (n > 0", receive_again),
    ("read_request", "if (is_complete(", so_far),
    ("read_request", "if (watch(epoll, EPOLL_CTL_MOD, fd, EPOLLOUT", COMPLETE),
    ("read_request", "print_request(request", COMPLETE),
    ("read_request", "} else if (n == -1 && errno",
     "No blank line yet: the request is not complete."),
    ("read_request", "} else if (n == 0 ||", lambda v: v["n"] == "0" and
     "n is 0: the stream has ended without a blank line."),
    ("read_request", "if (n == 0) break;", lambda v: v["n"] == "0" and
     "n is 0: the stream has ended without a blank line."),
    ("read_requests", "ssize_t n = receive_some",
     "EPOLLIN is set, so main calls read_requests."),
    ("make_responses", "char *end = stpcpy(",
     "A complete request is in the buffer: the program makes its response."),
    ("send_response", "ssize_t n = send_some(fd);",
     "EPOLLOUT is set, so main calls send_response."),
    ("send_response", "const char *unsent",
     "The request is known: now the program sends the response."),
    ("send_response", "if (watch(epoll, EPOLL_CTL_MOD, fd,", ALL_SENT),
    ("send_response", "int off = 0;", ALL_SENT),
]


def rule(function, text):
    """The sentence for a line of a function, or None."""
    return next((told for name, start, told in LINES
                 if name == function and text.strip().startswith(start)), None)


def line(step, text):
    told, v = rule(step["fn"], text), dict(step["state"]["process"]["vars"])
    told = told(v) if callable(told) else told
    return told and told.format(**v)


# Calls: functions with the name of the call, of the call, the state after it
# and the state before it.

def accept(call, after, before):
    if call["value"] >= 0:
        name = socket_of(after, call["value"])["client"]
        return f"{call['fn']} takes {name} out of the queue: descriptor" \
            f" {call['value']}."
    queue = socket_of(after, call["fd"])["queue"]
    if not queue:
        return f"{call['fn']} returns EAGAIN: the queue is empty."
    return f"{call['fn']} fails: no descriptor is free. {queue[0]} stays in" \
        " the queue."


def recv(call, after, before):
    here, n = socket_of(after, call["fd"]), call["value"]
    unread = here["recv"]["bytes"]
    if n > 0:
        return f"recv returns {some(n)}; " + (
            f"{unread:,} are still unread in the kernel." if unread else
            "the receive buffer is empty.")
    if n == 0:
        return f"recv returns 0: {here['client']} has ended its stream."
    if call["result"].endswith("EAGAIN"):
        return "recv returns EAGAIN: the receive buffer is empty."
    return f"recv fails: {here['client']} has reset the connection."


def send(call, after, before):
    here, n = socket_of(after, call["fd"]), call["value"]
    unsent = here["send"]["bytes"]
    if n < 0:
        return f"send fails with {call['result'].split()[-1]}."
    if not unsent:
        return f"send passes {some(n)} to the kernel, and {here['client']}" \
            " gets them."
    if "TCP_CORK" in here["options"]:
        return f"send passes {some(n)} to the kernel; the cork holds" \
            f" {unsent:,}, and {here['client']} gets nothing."
    return f"send passes {some(n)} to the kernel, which keeps {unsent:,} until" \
        f" {here['client']} acknowledges."


def setsockopt(call, after, before):
    if call["option"] == "SO_REUSEADDR":
        return "SO_REUSEADDR is set: bind succeeds even soon after a restart."
    if call["option"] == "TCP_NODELAY":
        return "TCP_NODELAY is set: small segments never wait."
    if call["on"]:
        return "TCP_CORK is set: from now on only full segments leave."
    here = socket_of(before, call["fd"])
    how = segments(here["client"], after, before)
    return "TCP_CORK is cleared: " + (
        f"{here['client']} gets {some(here['send']['bytes'])} {how}."
        if here["send"]["bytes"] else "nothing was held.")


def epoll_ctl(call, after, before):
    fd, edge = call["of"], "EPOLLET" in call["mask"]
    mask = call["mask"].replace("|EPOLLET", "").replace("EPOLLET", "0")
    kind = socket_of(after, fd)["kind"]
    mode = "edge-triggered" if edge else "level-triggered"
    if call["operation"] == "ADD":
        return f"epoll now watches descriptor {fd}, the {kind}, for {mask}:" \
            f" {mode}."
    why = {"EPOLLIN": "for bytes that arrive",
           "EPOLLOUT": "for room in the send buffer",
           "0": "only for errors and EPOLLHUP"}[mask]
    if kind == "listener":
        why = {"EPOLLIN": "for clients again", "0": "for nothing"}[mask]
    return f"epoll now watches descriptor {fd} {why}."


def epoll_wait(call, after, before):
    events = call["events"]
    if not events:
        return f"{call['timeout']:,} ms are over, and nothing was ready."
    if len(events) > 1:
        return f"epoll_wait reports {len(events)} descriptors:" \
            f" {' and '.join(str(fd) for fd, _ in events)}."
    fd, mask = events[0]
    here, names = socket_of(after, fd), mask.split("|")
    if len(names) > 1:
        return f"One event for descriptor {fd} has {len(names)} bits:" \
            f" {', '.join(names[:-1])} and {names[-1]}."
    if here["kind"] == "listener":
        queue = here["queue"]
        told = " and ".join(queue) + (" are" if queue[1:] else " is") + \
            " in the queue"
    elif mask == "EPOLLOUT":
        told = "there is room to send"
    elif mask != "EPOLLIN":
        told = f"{mask}, because both directions are shut down"
    elif here["recv"]["bytes"]:
        told = f"{some(here['recv']['bytes'])} from {here['client']} are unread"
    else:
        told = f"{here['client']} has ended its stream"
    return f"epoll_wait reports descriptor {fd}: {told}."


def write(call, after, before):
    if call["fd"] == 1:
        return "The program prints the request."
    return f'The program prints "{call["data"].strip()}".'


def close(call, after, before):
    return f"The program closes the connection of {call['client']};" \
        f" descriptor {call['fd']} is free."


def shutdown(call, after, before):
    name = socket_of(after, call["fd"])["client"]
    return f"shutdown ends the stream, and {name} reads its end."


CALLS = {f.__name__: f for f in (recv, send, setsockopt, epoll_ctl, epoll_wait,
                                 write, close, shutdown)}
CALLS.update({
    "accept": accept, "accept4": accept,
    "socket": "socket returns descriptor 3, a socket without an address.",
    "bind": "bind gives the socket its address: port 8080.",
    "listen": "The kernel now accepts connections, and keeps them in a queue.",
    "epoll_create1": "epoll_create1 returns an epoll instance that watches"
                     " nothing yet.",
    "exit": "The program exits, and the kernel closes its descriptors.",
})


# Sleeping, and the clients

def quiet(state):
    """The sockets of the entries that have something, but no news."""
    return [socket_of(state, e["fd"])
            for e in (state["epoll"] or {}).get("entries", []) if e["noNews"]]


def sleep(step, before, last):
    fn, state = step["call"]["fn"], step["state"]
    waiting = [who for who, _, _ in state["wait"][:-1]]
    for here in quiet(state):
        if here["kind"] == "listener" and last:
            return f"{here['queue'][0]} stays in the queue, and nothing wakes" \
                " the program: both wait forever."
        if here["kind"] == "listener":
            return f"{here['queue'][0]} is in the queue, but this is not" \
                " reported again: the program sleeps."
        if last and waiting:
            return f"{some(here['recv']['bytes'])} are unread, but not" \
                " reported again: both sides wait forever."
    for here in state["sockets"]:
        if here["kind"] == "connection" and here["send"]["bytes"]:
            return f"{some(here['send']['bytes'])} stay in the send buffer" \
                f" until {here['client']} acknowledges; the program sleeps."
    if fn == "recv":
        return f"The program sleeps in recv until {state['wait'][-1][2]}" \
            " sends something."
    if fn == "epoll_wait":
        limit = step["call"]["timeout"]
        return "Nothing is ready, so the program sleeps in epoll_wait" + (
            "." if limit < 0 else f", {limit:,} ms at most.")
    return f"The program sleeps in {fn} until a client connects."


def client(step, before):
    name, state, verb = step["client"], step["state"], step["verb"]
    now = client_of(state, name)
    here = next((s for s in state["sockets"] if s.get("client") == name), None)
    if verb == "connect":
        return f"{name} connects; the kernel puts the connection into the" \
            " queue." if here else \
            f"{name} tries to connect, but nobody listens: refused."
    if verb == "end":
        return f"{name} ends its stream; it can still receive."
    if verb == "reset":
        return f"{name} resets the connection."
    if verb == "acknowledge":
        return f"{name} acknowledges the first response, and gets the rest" \
            f" {segments(name, state, before)}."
    sent = now["sent"] - client_of(before, name)["sent"]
    whole = now["does"].startswith("waits")
    told = f"{name} sends a part of its request, {some(sent)};"
    if sent < now["sent"]:
        told = f"{name} sends the rest of its request, {some(sent)};"
    elif now["does"].endswith("responses"):
        told = f"{name} sends three requests at once, {some(sent)};"
    elif whole:
        told = f"{name} sends its whole request, {some(sent)};"
    if here["fd"] is None:
        return told + (
            " its connection is still in the queue." if state["epoll"] else
            f" the program waits for {state['wait'][-1][2]}.")
    return told + " the kernel keeps them."


def sentence(step, before, text, last):
    """The sentence, or None for a line that needs none."""
    if step["kind"] == "line":
        return line(step, text)
    if step["kind"] == "client":
        return client(step, before)
    if step["kind"] == "sleep":
        return sleep(step, before, last)
    told = CALLS[step["call"]["fn"]]
    return told(step["call"], step["state"], before) if callable(told) else told


def waits(program, state, call):
    """Who waits for whom; call is the one in which the program sleeps."""
    rows = [[c["name"], "waits for", program] for c in state["clients"]
            if c["does"].startswith("waits")]
    if not state["process"]["status"].startswith("asleep"):
        return rows
    whom = []
    if call["fn"] == "recv":
        here = socket_of(state, call["fd"])
        if here["recv"]["bytes"]:  # it is about to wake up
            return rows
        whom = [here["client"]]
    elif call["fn"] == "epoll_wait":
        entries = state["epoll"]["entries"]
        if any(e["ready"] for e in entries):
            return rows
        whom = [socket_of(state, e["fd"])["client"] for e in entries
                if socket_of(state, e["fd"])["kind"] == "connection"]
    return rows + [[program, "waits for", name]
                   for name in whom or ["the next client"]]
