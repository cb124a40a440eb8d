"""A sentence for each step: what has just happened.

Pure functions of a step and of the state before it, without gdb.
"""
import re


WORDS = re.compile(r'//.*|/\*[\s\S]*?\*/|("(?:\\.|[^"\\])*"|\'(?:\\.|[^\'\\])*\')')


def plain(source):
    """The text of a source without comments. Every line stays where it is."""
    return WORDS.sub(lambda m: m[1] or " " + "\n" * m[0].count("\n"),
                     "\n".join(source))


def code(source):
    """The number and the code of each line that has code: without comments."""
    return [(number, " ".join(line.split()))
            for number, line in enumerate(plain(source).split("\n"), 1)
            if line.strip()]


def functions(source):
    """[name, first line, last line] of each function of a C source."""
    text = re.sub(r'"(?:\\.|[^"\\])*"|\'(?:\\.|[^\'\\])*\'|^[ \t]*#(?:.*\\\n)*.*',
                  lambda m: "\n" * m[0].count("\n"), plain(source), flags=re.M)
    found, depth, after = [], 0, 0
    for brace in re.finditer("[{};]", text):
        depth -= brace[0] == "}"
        if brace[0] == "{" and depth == 0:
            head = text[after:brace.start()]
            name = re.match(r"[^=(]*?(\w+)\s*\(.*\)\s*$", head, re.S)
            first = text.count("\n", 0, brace.start() - len(head.lstrip())) + 1
        if brace[0] == "}" and depth == 0 and name:
            found.append([name[1], first, text.count("\n", 0, brace.end()) + 1])
        depth += brace[0] == "{"
        if depth == 0:
            after = brace.end()
    return found


def bodies(source):
    """{name: its code}"""
    lines = code(source)
    return {name: " ".join(text for n, text in lines if first <= n <= last)
            for name, first, last in functions(source)}


def trusted(source, kits):
    """The functions that are as in one of the kit's programs, with all that
    they call: of these we know what a line means."""
    ours, known = bodies(source), [bodies(kit) for kit in kits]
    same = {name for name, body in ours.items()
            if any(kit.get(name) == body for kit in known)}
    while True:
        wrong = {name for name in same for other in ours.keys() - same
                 if re.search(rf"\b{other}\(", ours[name])}
        if not wrong:
            return sorted(same)
        same -= wrong


def some(n, what="byte"):
    return f"{n:,} {what}" + ("" if n == 1 else "s")


def socket_of(state, fd):
    """{} for what is not a socket."""
    return next((s for s in state["sockets"] if s["fd"] == fd), {})


def client_of(state, name):
    return next(c for c in state["clients"] if c["name"] == name)


def pair(name):
    """A, if SA is the server behind a proxy in A's pair; "" of a client."""
    return name[1:] if re.fullmatch("S[A-Z]", name) else ""


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
    ("main", "if (shortage) retry_accept(", lambda v: v.get("shortage") and
     "Descriptors were short: main calls retry_accept."),
    ("retry_accept", "if (ready == 0 &&", lambda v: v["ready"] == "0" and
     "No event for so long: the shortage may be over."),
    ("main", "if (fd == listener)", which_event),
    ("main", "close(fd);", lambda v: "ready" in v and
     "Neither EPOLLIN nor EPOLLOUT is set: main closes the connection."),
    ("main", "return answered", "The program has served its one client."),
    ("main", "while (accept_connection(",
     "The loop accepts until the queue is empty."),
    ("main", "else if (!connections[fd].closing)", lambda v: v.get("closing") and
     "An earlier event has ended this pair: main skips the event."),
    ("serve", "reset_pair(fd, strerror(socket_error",
     "EPOLLERR is set, so serve calls reset_pair."),
    ("close_pair", "to_close[",
     "The program only remembers the pair: more events may be in the array."),
    ("close_pairs", "int fd = to_close[",
     "All events are handled: now the program closes the pair."),
    ("accept_connection", "connections[fd].received",
     "Entry {fd} of the table now belongs to the new client."),
    ("accept_connection", "if (!shortage && fd == -1) perror", lambda v:
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


def rule(function, text, known):
    """The sentence for a line of a function, or None. known: the functions of
    which we know what a line means."""
    return next((told for name, start, told in LINES
                 if name == function and text.strip().startswith(start) and
                 name in known and (callable(told) or "main" not in told or
                                    "main" in known)), None)


def unused(sources):
    """The rules that fit no line of any source."""
    lines = [(name, text.strip()) for source in sources
             for name, first, last in functions(source)
             for text in source[first - 1:last]]
    return [f"{name}: {start}" for name, start, _ in LINES if not any(
        function == name and text.startswith(start) for function, text in lines)]


def line(step, text, known):
    told = rule(step["fn"], text, known)
    v = dict(step["state"]["process"]["vars"])
    if told is which_event and int(v["fd"]) in step.get("fresh", ()):
        here = socket_of(step["state"], int(v["fd"]))
        return f"Descriptor {v['fd']} belongs to {here['client']} now, but this" \
            " event is older."
    told = told(v) if callable(told) else told
    return told and told.format(**v)


# Calls: functions with the role of the call, of the call, the state after it
# and the state before it.

def failed(call, because=""):
    return f"{call['fn']} fails with {call['result'].split()[-1]}{because}."


def accept(call, after, before):
    fn, error = call["fn"], call["result"].split()[-1]
    if call["value"] >= 0:
        name = socket_of(after, call["value"])["client"]
        return f"{fn} takes {name} out of the queue: descriptor" \
            f" {call['value']}."
    queue = socket_of(after, call["fd"]).get("queue")
    if error == "EAGAIN":
        return f"{fn} returns EAGAIN: the queue is empty."
    if error in ("EMFILE", "ENFILE") and queue:
        return f"{fn} fails: no descriptor is free. {queue[0]} stays in" \
            " the queue."
    return failed(call)


def recv(call, after, before):
    here, n, fn = socket_of(after, call["fd"]), call["value"], call["fn"]
    unread, name = here["recv"]["bytes"], here["client"]
    if n > 0 and call.get("peek"):
        return f"{fn} looks at {some(n)}, and they stay in the kernel."
    if n > 0:
        return f"{fn} returns {some(n)}; " + (
            f"{unread:,} are still unread in the kernel." if unread else
            "the receive buffer is empty.")
    if n == 0:
        return f"{fn} returns 0: " + (
            f"{name} has ended its stream." if call["size"] else
            "the program asks for 0 bytes.")
    if call["result"].endswith("EAGAIN"):
        return f"{fn} returns EAGAIN: the receive buffer is empty."
    if call["result"].endswith("ECONNRESET"):
        return f"{fn} fails: {name} has reset the connection."
    return failed(call)


def send(call, after, before):
    here, n, fn = socket_of(after, call["fd"]), call["value"], call["fn"]
    unsent, name = here["send"]["bytes"], here["client"]
    if n < 0:
        return failed(call)
    if here["state"] == "CLOSE":
        return f"{fn} passes {some(n)} to the kernel, but {name} is gone."
    if not unsent:
        return f"{fn} passes {some(n)} to the kernel, and {name} gets them."
    if "TCP_CORK" in here["options"]:
        return f"{fn} passes {some(n)} to the kernel; the cork holds" \
            f" {unsent:,}, and {name} gets nothing."
    return f"{fn} passes {some(n)} to the kernel, which keeps {unsent:,} until" \
        f" {name} acknowledges."


def setsockopt(call, after, before):
    option, on = call["option"], call["number"]
    here = socket_of(before, call["fd"])
    if call["value"] < 0:
        return failed(call)
    if call.get("reset") and "client" in here:
        return f"SO_LINGER is set: close will send a reset to {here['client']}."
    if option == "SO_REUSEADDR" and on:
        return "SO_REUSEADDR is set: bind succeeds even soon after a restart."
    if option == "TCP_NODELAY" and on:
        return "TCP_NODELAY is set: small segments never wait."
    if option == "TCP_CORK" and on:
        return "TCP_CORK is set: from now on only full segments leave."
    if option == "TCP_CORK" and "send" in here:
        how = segments(here["client"], after, before)
        return "TCP_CORK is cleared: " + (
            f"{here['client']} gets {some(here['send']['bytes'])} {how}."
            if here["send"]["bytes"] else "nothing was held.")
    return f"setsockopt sets {option} to {on}."


def epoll_ctl(call, after, before):
    fd, names = call["of"], call["mask"].split("|")
    kind = socket_of(after, fd).get("kind", "file")
    if call["result"].endswith("EEXIST"):
        return f"epoll_ctl fails: epoll watches descriptor {fd}, the {kind}," \
            " already."
    if call["value"] < 0:
        return failed(call, f" for descriptor {fd}")
    if call["operation"] == "DEL":
        return f"epoll no longer watches descriptor {fd}, the {kind}."
    mode = "edge-triggered" if "EPOLLET" in names else "level-triggered"
    mask = "|".join(n for n in names if n not in (
        "EPOLLET", "EPOLLRDHUP", "EPOLLONESHOT")) or "0"
    if call["operation"] == "ADD":
        return f"epoll now watches descriptor {fd}, the {kind}, for {mask}:" \
            f" {mode}."
    why = {"EPOLLIN": "for bytes that arrive",
           "EPOLLOUT": "for room in the send buffer",
           "0": "only for errors and EPOLLHUP"}.get(mask, "for " + mask)
    if kind == "listener":
        why = {"EPOLLIN": "for clients again", "0": "for nothing"}.get(mask, why)
    return f"epoll now watches descriptor {fd} {why}."


def wait(call, after, before):
    events, fn = call.get("events"), call["fn"]
    if call["value"] < 0:
        return failed(call)
    if not events:
        return f"{call['timeout']:,} ms are over, and nothing was ready." if \
            call["timeout"] else f"{fn} does not wait: nothing is ready."
    if len(events) > 1:
        *most, last = [str(fd) for fd, _ in events]
        return f"{fn} reports {len(events)} descriptors:" \
            f" {', '.join(most)} and {last}."
    fd, mask = events[0]
    here, names = socket_of(after, fd), mask.split("|")
    if len(names) > 1:
        return f"One event for descriptor {fd} has {len(names)} bits:" \
            f" {', '.join(names[:-1])} and {names[-1]}."
    if here.get("kind") == "listener":
        queue = here["queue"]
        told = " and ".join(queue) + (" are" if queue[1:] else " is") + \
            " in the queue"
    elif mask in ("EPOLLOUT", "POLLOUT", "write"):
        told = "there is room to send"
        name = here.get("client", "")
        if pair(name) and not client_of(after, name)["got"]:
            told = "connect has a result"
    elif mask not in ("EPOLLIN", "POLLIN", "read") or "client" not in here:
        told = mask + ", because both directions are shut down" * (
            mask in ("EPOLLHUP", "POLLHUP"))
    elif here["recv"]["bytes"]:
        told = f"{some(here['recv']['bytes'])} from {here['client']} are unread"
    else:
        told = f"{here['client']} has ended its stream"
    return f"{fn} reports descriptor {fd}: {told}."


def write(call, after, before):
    if call["fd"] == 1:
        return "The program prints the request."
    return f'The program prints "{call["data"].strip()}".'


def close(call, after, before):
    was, now = (client_of(state, call["client"])["state"]
                for state in (before or after, after))
    lost = ", which gets a reset" * (was != now == "reset")
    return f"The program closes the connection of {call['client']}{lost};" \
        f" descriptor {call['fd']} is free."


def shutdown(call, after, before):
    here = socket_of(after, call["fd"])
    if call["value"] < 0 or "client" not in here:
        return failed(call) if call["value"] < 0 else "shutdown succeeds."
    if call["how"] == "SHUT_RD":
        return "shutdown ends only the program's own reading."
    return f"shutdown ends the stream, and {here['client']} reads its end."


def connect(call, after, before):
    if call["result"].endswith("EINPROGRESS"):
        return "connect fails with EINPROGRESS: it does not wait for the server."
    return failed(call)


def getsockopt(call, after, before):
    name = socket_of(after, call["fd"]).get("client", "")
    if call["value"] < 0:
        return failed(call)
    if call["option"] != "SO_ERROR" or call["number"] or not name:
        return f"getsockopt returns {call['value']}."
    return "SO_ERROR is 0: " + (
        f"the connection to the server, {name}, is there." if pair(name) else
        f"the connection of {name} has no error.")


def socket(call, after, before):
    name = socket_of(after, call["value"]).get("client")
    if name:
        return f"socket returns descriptor {call['value']}, for a connection to" \
            " the server."
    return f"socket returns descriptor {call['value']}, a socket without an" \
        " address."


def bind(call, after, before):
    return failed(call) if call["value"] < 0 else \
        f"bind gives the socket its address: port {call['port']}."


def fcntl(call, after, before):
    return f"Descriptor {call['fd']} " + (
        "no longer blocks: its calls return EAGAIN instead of sleeping."
        if call.get("mode") == ", O_NONBLOCK" or call.get("number") else "blocks.")


CALLS = {f.__name__: f for f in (accept, recv, send, setsockopt, epoll_ctl, wait,
                                 write, close, shutdown, socket, bind, fcntl,
                                 connect, getsockopt)}
CALLS.update({
    "writev": write, "ioctl": fcntl,
    "listen": "The kernel now accepts connections, and keeps them in a queue.",
    "epoll_create": "epoll_create returns an epoll instance that watches"
                    " nothing yet.",
    "epoll_create1": "epoll_create1 returns an epoll instance that watches"
                     " nothing yet.",
    "exit": "The program exits, and the kernel closes its descriptors.",
})


# Sleeping, and the clients

def quiet(state):
    """The sockets of the entries that have something, but no news."""
    return [here for e in (state["epoll"] or {}).get("entries", [])
            if e["noNews"] for here in [socket_of(state, e["fd"])] if here]


def sleep(step, before, last):
    call, state = step["call"], step["state"]
    fn, whom = call["fn"], (state["wait"] or [["", "", "a client"]])[-1][2]
    waiting = any(c["does"].startswith("waits") for c in state["clients"])
    for here in quiet(state):
        name, until = here.get("client"), "another client connects"
        told = f"{here['queue'][0]} is in the queue" if not name else ""
        if name and here["recv"]["bytes"] and (last is None or last and waiting):
            told, until = some(here["recv"]["bytes"]) + " are unread", name + " acts"
        if told:
            return told + ", but not reported again" + (
                f", because {name} is gone." if here.get("state") == "CLOSE" else
                ": both sides wait forever." if last else
                f" until {until}: the program sleeps.")
    for here in state["sockets"]:
        if here["kind"] == "connection" and here["send"]["bytes"]:
            return f"{some(here['send']['bytes'])} stay in the send buffer" \
                f" until {here['client']} acknowledges; the program sleeps."
    if fn == "nanosleep":
        return f"The program sleeps for {call['timeout']:,} ms, whatever the" \
            " clients do."
    if call["role"] == "recv":
        return f"The program sleeps in {fn} until {whom} sends something."
    if call["role"] == "send":
        return f"The program sleeps in {fn} until {whom} reads something."
    if call["role"] == "wait":
        limit = call["timeout"]
        return f"Nothing is ready, so the program sleeps in {fn}" + (
            "." if limit < 0 else f", {limit:,} ms at most.")
    return f"The program sleeps in {fn} until a client connects."


def spin(calls, state):
    """Of a program that makes these calls again and again."""
    names = list(dict.fromkeys(c["fn"] for c in calls))
    events = [e for c in calls for e in c.get("events", [])]
    fd, mask = (events or [(None, "")])[0]
    unread = socket_of(state, fd).get("recv", {}).get("bytes")
    return f"The program calls {' and '.join(names[:2])} again and again, and " + (
        "nothing changes." if not events or any(c["role"] == "recv" for c in calls)
        else "reads nothing." if unread and re.search("IN|read", mask)
        else f"the same event comes back: descriptor {fd} is still watched.")


def client(step, before):
    name, state, verb = step["client"], step["state"], step["verb"]
    now = client_of(state, name)
    here = next((s for s in state["sockets"] if s.get("client") == name), None)
    if verb == "connect":
        if here:
            return f"{name} connects; the kernel puts the connection into the" \
                " queue."
        if any(s["kind"] == "listener" for s in state["sockets"]):
            return f"{name} tries to connect, and gets no answer: nobody" \
                " listens there, or the queue is full."
        return f"{name} tries to connect, but nobody listens: refused."
    if step["action"].startswith("finds"):
        return f"{name} finds its connection reset, and cannot go on."
    if verb == "end":
        return f"{name} ends its stream; it can still receive."
    if verb == "reset" and pair(name):
        return f"The server resets {name}, its connection for {pair(name)}."
    if verb == "reset":
        return f"{name} resets the connection."
    if verb == "acknowledge":
        now = segments(name, state, before)
        return f"{name} acknowledges the first response, and gets the rest" \
            f" {now}." if now != "in 0 segments" else \
            f"{name} acknowledges. It already has all that was sent."
    sent = now["sent"] - client_of(before, name)["sent"]
    if pair(name):
        return f"The server sends a part of its response to {pair(name)}," \
            f" {some(sent)}; the kernel keeps them."
    whole = now["does"].startswith("waits")
    told = f"{name} sends a part of its request, {some(sent)};"
    if sent < now["sent"]:
        told = f"{name} sends the rest of its request, {some(sent)};"
    elif now["does"].endswith("responses"):
        told = f"{name} sends three requests at once, {some(sent)};"
    elif whole:
        told = f"{name} sends its whole request, {some(sent)};"
    if not here:
        return told + " nobody will read them."
    if here["fd"] is None:
        wait = state["wait"]
        return told + (
            " its connection is still in the queue." if state["epoll"] or
            not wait else f" the program waits for {wait[-1][2]}.")
    return told + " the kernel keeps them."


def sentence(step, before, text, last, known):
    """The sentence, or None for a line that needs none."""
    if step["kind"] == "note":
        return step["sentence"]
    if step["kind"] == "line":
        return line(step, text, known)
    if step["kind"] == "client":
        return client(step, before)
    if step["kind"] == "sleep":
        return sleep(step, before, last)
    call = step["call"]
    told = CALLS.get(call["role"])
    if callable(told):
        return told(call, step["state"], before)
    if told and call.get("value", 0) >= 0:
        return told
    return f"{call['fn']} returns {call['value']}." if call["value"] >= 0 else \
        failed(call)


def waits(program, state, call):
    """Who waits for whom; call is the one in which the program sleeps."""
    rows = [[c["name"], "waits for", program] for c in state["clients"]
            if c["does"].startswith("waits")]
    if not state["process"]["status"].startswith("asleep"):
        return rows
    if any(pair(c["name"]) for c in state["clients"]):
        # A proxy waits for the server, not for a client that waits for it.
        asking = [name for name, _, _ in rows]
        state = dict(state, sockets=[s for s in state["sockets"]
                                     if s.get("client") not in asking])
    whom = []
    if call["role"] in ("recv", "send"):
        here = socket_of(state, call["fd"])
        if call["role"] == "recv" and here["recv"]["bytes"]:  # it wakes up
            return rows
        whom = [here["client"]]
    elif call["role"] == "wait":
        entries = (state["epoll"] or {"entries": []})["entries"]
        if any(e["ready"] for e in entries):
            return rows
        here = [(e, socket_of(state, e["fd"])) for e in entries]
        whom = [s["client"] for _, s in here
                if s.get("kind") == "connection" and s["state"] != "CLOSE"]
        whom += ["the next client" for e, s in here
                 if s.get("kind") == "listener" and e["mask"] != "0"]
    return rows + [[program, "waits for", name]
                   for name in whom or ["the next client"]]
