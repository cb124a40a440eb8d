"""The scenes: which program runs, and what its clients do.

`turns` is a list of turns, a turn is a list of actions. When the program is
about to sleep, the clients take the next turn, and the next, until the program
has something to do. A turn without actions lets a time-out pass. The scene ends
when the program sleeps and no turn is left.

README.md says how a scene is added.
"""

FILES = {
    "ex1": ("ex1_blocking/server.c", None),
    "ex2": ("ex2_loop/server.c", "ex1_blocking/server.c"),
    "ex3": ("ex3_epoll_lt/server.c", "ex2_loop/server.c"),
    "ex4": ("ex4_epoll_et/server.c", "ex3_epoll_lt/server.c"),
    "ex5": ("ex5_cork/server.c", "ex3_epoll_lt/server.c"),
    "ex6": ("ex6_nodelay/server.c", "ex3_epoll_lt/server.c"),
    "f_pipelining": ("appendix/f_pipelining/server.c", "ex5_cork/server.c"),
    "k_proxy": ("appendix/k_proxy/server.c", "appendix/c_echo_queues/server.c"),
}

REQUEST = "GET / HTTP/1.0\r\nHost: server\r\n\r\n"
LONG = "GET / HTTP/1.0\r\nX: " + "x" * (3000 - 23) + "\r\n\r\n"
THREE = "GET / HTTP/1.1\r\nHost: server\r\n\r\n" * 3
HALF, REST = REQUEST[:18], REQUEST[18:]
NEWLINES = "GET / HTTP/1.0\nHost: server\n\r\n"


def connect(who):
    return [who, "connect"]


def send(who, text):
    return [who, "send", text]


def end(who):
    """Ends its stream (shutdown), and still reads."""
    return [who, "end"]


def reset(who):
    return [who, "reset"]


def acknowledge(who):
    """Its kernel sends the acknowledgment that it has delayed."""
    return [who, "acknowledge"]


STALL = [[connect("A")], [send("A", HALF)], [connect("B")],
         [send("B", REQUEST)], [send("A", REST)]]
ONE = [[connect("A")], [send("A", REQUEST)]]
ONE_LONG = [[connect("A")], [send("A", LONG)]]
TWO_QUEUED = [[connect("A"), connect("B")], [send("A", REQUEST)],
              [send("B", REQUEST)]]
PIPELINE = [[connect("A")], [send("A", THREE)], [acknowledge("A")]]
HALF_CLOSE = [[connect("A")], [send("A", REQUEST), end("A")],
              [connect("B")], [send("B", HALF)], [end("B")]]
RESET = [[connect("A")], [send("A", HALF)], [reset("A")]]
SHORTAGE = [[connect("A")], [connect("B")], [send("A", REQUEST)], []]
# SA is the server behind the proxy, on the connection that belongs to A. It acts
# last before the three events: epoll reports its connection first.
STALE = [[connect("A")], [send("A", REQUEST), end("A")],
         [send("SA", "HTTP/1.0 200 OK\r\n")],
         [reset("SA"), connect("B"), send("B", REQUEST), reset("A")]]

RECEIVE_LOOP = ("    while (n > 0 && c->received < MAX_REQUEST)"
                " n = receive_some(fd);\n", "")
ACCEPT_LOOP = ("while (accept_connection(epoll, listener)) continue;",
               "accept_connection(epoll, listener);")
BEHIND = dict(
    program="k_proxy", mode="127.0.0.1:9000", turns=STALE, hidden=3,
    names=["A", "SA", "B", "SB"],
    begins="A has ended its stream, and still waits. SA is the server in A's pair.")
CLOSE_LATER = ("    to_close[closing_pairs++] = fd;\n",
               "    close(c->peer);\n    close(fd);\n")

# Of each: title, program, turns; setup: from the first call on; change: text
# of the program and what replaces it; limit: how many clients its descriptors
# are enough for; mode: second argument; lazy: the clients' kernel delays
# acknowledgments; hurry: the run must be quicker than that; names: the rows of
# the picture; hidden: how many turns are not shown; begins: the first sentence.
SCENES = {
    "ex1-one": dict(
        title="One client, and the second is refused", program="ex1",
        turns=ONE + [[connect("B")]], setup=True),
    "ex2-stall": dict(
        title="A stalls, and B waits", program="ex2", turns=STALL),
    "ex3-stall": dict(
        title="A stalls, and B is served at once", program="ex3", turns=STALL,
        setup=True),
    "ex3-long": dict(
        title="Level-triggered: a request of 3,000 bytes",
        program="ex3", turns=ONE_LONG),
    "ex4-long": dict(
        title="Edge-triggered: a request of 3,000 bytes",
        program="ex4", turns=ONE_LONG),
    "ex4-broken": dict(
        title="Edge-triggered without the receive loop", program="ex4",
        turns=ONE_LONG, change=RECEIVE_LOOP),
    "ex4-queue": dict(
        title="Edge-triggered: two clients in the queue", program="ex4",
        turns=TWO_QUEUED),
    "ex4-queue-broken": dict(
        title="Edge-triggered without the accept loop", program="ex4",
        turns=TWO_QUEUED, change=ACCEPT_LOOP),
    "ex3-half-close": dict(
        title="A half-close after the request, and one before its end",
        program="ex3", turns=HALF_CLOSE),
    "ex3-reset": dict(
        title="A client resets the connection", program="ex3", turns=RESET),
    "ex3-shortage": dict(
        title="No descriptor is left for B", program="ex3", limit=1,
        turns=SHORTAGE),
    "ex5-cork": dict(
        title="The cork holds the response", program="ex5", turns=ONE),
    "ex6-nodelay": dict(
        title="TCP_NODELAY, once for all connections", program="ex6",
        turns=ONE, setup=True),
    "f-plain": dict(
        title="Three requests at once: Nagle's algorithm",
        program="f_pipelining", mode="plain", lazy=True, hurry=True,
        turns=PIPELINE),
    "f-nodelay": dict(
        title="Three requests at once: TCP_NODELAY",
        program="f_pipelining", mode="nodelay", lazy=True, turns=PIPELINE),
    "f-cork": dict(
        title="Three requests at once: TCP_CORK",
        program="f_pipelining", mode="cork", lazy=True, turns=PIPELINE),
    "k-stale": dict(
        title="An old event: pairs that are closed last", **BEHIND),
    "k-stale-broken": dict(
        title="An old event: pairs that are closed at once",
        change=CLOSE_LATER, **BEHIND),
}
STORED = list(SCENES)  # these have a file in recordings/

# What a program of your own has to pass, by number. The kit's side is stored,
# or recorded in the same call. Scenes that are not above:
OTHERS = {
    "pieces": dict(
        title="The request is cut inside its blank line",
        turns=[[connect("A")], [send("A", REQUEST[:-2])],
               [send("A", REQUEST[-2:])]]),
    "newlines": dict(
        title="The last line of the request ends with LF alone",
        turns=[[connect("A")], [send("A", NEWLINES)]]),
    "leaves": dict(
        title="A leaves before its request, and B comes",
        turns=[[connect("A")], [end("A")], [connect("B")],
               [send("B", REQUEST)]]),
    "gone": dict(
        title="A is gone before the response, and B comes",
        turns=[[connect("A")], [send("A", REQUEST), end("A"), reset("A")],
               [connect("B")], [send("B", REQUEST)]]),
    "one": dict(title="One client", turns=ONE, setup=True),
    "stall": dict(title="A stalls, and B comes", turns=STALL),
    "half-close": dict(SCENES["ex3-half-close"]),
    "reset": dict(SCENES["ex3-reset"]),
    "shortage": dict(SCENES["ex3-shortage"]),
}
EVERY = ["one", "stall", "half-close", "reset", "gone", "shortage"]
PRACTICE = {
    "1": ["one", "pieces", "newlines", "leaves"],
    "2": ["one", "stall", "leaves", "half-close", "reset", "gone"],
    "3": ["stall", "long", *EVERY[2:]],
    "4": ["long", "queue", *EVERY[1:]],
    "5": ["cork", *EVERY[1:]],
    "6": ["nodelay", *EVERY[1:]],
}
for number, names in PRACTICE.items():
    for name in names:
        SCENES.setdefault(f"ex{number}-{name}", dict(
            OTHERS.get(name, {}), program=f"ex{number}"))

# You are the clients: in which order do A and B act? See walk.py.
WALKS = {
    "ex2": dict(title="Example 2", program="ex2"),
    "ex3": dict(title="Example 3", program="ex3"),
    "ex4": dict(title="Example 4", program="ex4", long=True),
    "ex4-broken": dict(title="Example 4 without its receive loop",
                       program="ex4", change=RECEIVE_LOOP, long=True),
}
