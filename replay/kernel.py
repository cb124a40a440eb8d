"""The clients of a scene, and the kernel's side of the program."""
import contextlib
import ctypes
import fcntl
import io
import itertools
import os
import re
import select
import socket
import struct
import time

from calls import OPTIONS, bits, interests

PIDFD_GETFD = 438  # the same number on every architecture
FIONREAD, SIOCOUTQ, SIOCOUTQNSD = 0x541B, 0x5411, 0x894B
STATES = {1: "ESTABLISHED", 4: "FIN_WAIT", 5: "FIN_WAIT", 7: "CLOSE",
          8: "CLOSE_WAIT", 9: "LAST_ACK", 11: "CLOSING"}
UNACKNOWLEDGED = 4, 9  # FIN_WAIT1, LAST_ACK: its end is on the way
TCP = socket.IPPROTO_TCP
PORT, SERVER = 8080, 9000
HELD = 15  # TCP_CORK holds bytes for 20 s, see record.py
libc = ctypes.CDLL(None, use_errno=True)


def polls(file, events=select.POLLIN):
    poll = select.poll()
    poll.register(file, events)
    return bool(poll.poll(0))


def as_socket(fd):
    return socket.socket(fileno=fd)


def waits_for(fd, mask):
    """Whether a descriptor of our own has one of these events, or an error."""
    return polls(fd, (mask & 1 and select.POLLIN) | (mask & 4 and select.POLLOUT))


def buffer(data):
    text = data[:20].decode("latin-1")
    text = text.replace("\r", "\\r").replace("\n", "\\n")
    return dict(bytes=len(data), text=text + "..." * (len(data) > 20))


class Client:
    """It reads whatever arrives, at once. The scene says what else it does."""
    places = itertools.count(1)  # in the order in which they connect

    def __init__(self, name, lazy):
        self.name, self.lazy, self.socket = name, lazy, socket.socket()
        self.state, self.eof, self.port, self.segments = "new", False, 0, 0
        self.sent = self.got = b""
        self.place = 0

    def act(self, action, text=""):
        """Returns what it does, as a short text; None if it cannot."""
        if self.state in ("refused", "reset") or \
                (self.state == "new") != (action == "connect"):
            return None
        try:
            return self.acts(action, text)
        except (BrokenPipeError, ConnectionResetError):
            self.state, self.eof = "reset", True
            return "finds its connection reset"

    def acts(self, action, text):
        if action == "connect":
            self.socket.settimeout(0.5)  # a queue that is full answers nothing
            if self.socket.connect_ex(("127.0.0.1", PORT)):
                self.state = "refused"
                return "is refused"
            self.socket.settimeout(None)
            self.port, self.state = self.socket.getsockname()[1], "open"
            self.place = next(self.places)
            if self.lazy:
                self.socket.setsockopt(TCP, socket.TCP_QUICKACK, 0)
            return "connects"
        if action == "send":
            self.socket.sendall(text.encode())
            self.sent += text.encode()
            return f"sends {len(text):,} bytes"
        if action == "acknowledge":
            self.socket.setsockopt(TCP, socket.TCP_QUICKACK, 1)
            return "acknowledges"
        if action == "end":
            with contextlib.suppress(OSError):  # the program has ended both
                self.socket.shutdown(socket.SHUT_WR)
            self.state = "half-closed"
            return "ends its stream"
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                               struct.pack("ii", 1, 0))
        self.socket.close()
        self.state, self.eof = "reset", True
        return "resets the connection"

    def read(self):
        while self.port and not self.eof:
            info = self.socket.getsockopt(TCP, socket.TCP_INFO, 256)
            self.segments = struct.unpack_from("I", info, 152)[0]
            try:
                data = self.socket.recv(65536, socket.MSG_DONTWAIT)
            except BlockingIOError:
                return
            except ConnectionResetError:
                self.state, data = "reset", b""
            self.got, self.eof = self.got + data, not data
            if self.eof and self.state != "reset":  # acknowledge it at once
                self.socket.setsockopt(TCP, socket.TCP_QUICKACK, 1)

    def shown(self):
        asked = len(re.findall(rb"\n\r?\n", self.sent))
        missing = asked - self.got.count(b"Hello, world!")
        if self.state in ("new", "refused", "reset"):
            does = {"new": "has not connected yet", "refused": "was refused",
                    "reset": "has no connection"}[self.state]
        elif missing and not self.eof:
            does = "waits for the response" if missing == 1 else \
                f"waits for {missing} responses"
        elif self.got:
            does = "has all responses" if asked > 1 else "has the response"
        elif self.eof:
            does = "got no response"
        else:
            does = "has sent a part" if self.sent else "is connected"
        return dict(name=self.name, state=self.state, sent=len(self.sent),
                    got=len(self.got), segments=self.segments, does=does)


class Server(Client):
    """The server behind a proxy, on one connection. The name says whose pair it
    belongs to: SA is the server for A. It accepts without being told to."""

    @classmethod
    def listen(cls):
        cls.listener = socket.create_server(("127.0.0.1", SERVER))

    def accept(self):
        self.socket, _ = self.listener.accept()
        self.port, self.state = SERVER, "open"

    def shown(self):
        does = {"new": "has no connection yet", "reset": "has no connection"}.get(
            self.state, "has the request" if self.got else "is connected")
        return dict(super().shown(), does=does)


class Kernel:
    """taken: which client has a descriptor. received, sent: what the program
    has read from each accepted client, and given to send for it. strict: all
    that it does is understood, or the recording fails."""

    def __init__(self, pid, clients, strict):
        self.proc, self.pidfd = f"/proc/{pid}/", os.pidfd_open(pid)
        self.clients, self.taken, self.received, self.sent = clients, {}, {}, {}
        self.epoll, self.shadows, self.since = None, {}, None
        self.asked, self.listener, self.strict = None, None, strict
        self.patience = 3 if strict else 1

    def duplicate(self, fd, kind=io.FileIO):
        """The program's file, for a with statement. It must not stay, because
        close ends a file with its last descriptor only."""
        mine = libc.syscall(PIDFD_GETFD, self.pidfd, fd, 0)
        if mine == -1:
            raise OSError(ctypes.get_errno(), "pidfd_getfd")
        return kind(mine)

    def has(self, fd, mask):
        try:
            with self.duplicate(fd) as file:
                return waits_for(file, mask)
        except OSError:
            return True  # poll reports it

    def descriptors(self):
        return sorted(map(int, os.listdir(self.proc + "fd")))

    def blocks(self, fd):
        with open(f"{self.proc}fdinfo/{fd}") as file:
            flags = re.findall(r"flags:\s*(\d+)", file.read())
        return not int(flags[0], 8) & os.O_NONBLOCK

    def on(self, fd):
        """Whose descriptor it is."""
        return self.taken.get(fd) or {self.listener: "listener",
                                      self.epoll: "epoll"}.get(fd)

    def would_sleep(self, call):
        role, fd, on = call["role"], call["fd"], call["on"]
        if role == "wait":
            return call.get("timeout") != 0 and not (
                any(self.has(*entry) for entry in call["entries"])
                if "entries" in call else self.has(fd, 1))
        return role in ("accept", "recv", "send") and on is not None and \
            self.blocks(fd) and not call.get("dontwait") and \
            not self.has(fd, 4 if role == "send" else 1)

    def in_time(self, limit):
        """Fails if a timer of the kernel may have sent what is held."""
        if time.monotonic() - self.since > limit:
            raise RuntimeError("too slow: a timer of the kernel was faster")

    def queue(self):
        """The clients that are not accepted yet, the first one first."""
        return sorted((c for c in self.clients.values()
                       if c.port and c.name not in self.received),
                      key=lambda c: c.place)

    def accepted(self, fd):
        """The client of a new connection. Without a port, it has reset it."""
        with self.duplicate(fd, as_socket) as file:
            try:
                port = file.getpeername()[1]
            except OSError:
                return self.queue()[0].name
        return next(c.name for c in self.clients.values() if c.port == port)

    def follow(self, call):
        """Keeps the books at the return of a call."""
        fn, role, fd, value = call["fn"], call["role"], call["fd"], call["value"]
        if fn == "connect" and call["result"].endswith("EINPROGRESS"):
            self.clients[self.taken[fd]].accept()
            self.received[self.taken[fd]], self.sent[self.taken[fd]] = 0, b""
        if role == "accept" and call["result"].endswith("ECONNABORTED"):
            self.received[self.queue()[0].name] = 0
        if value < 0:
            return
        if role == "accept":
            name = self.accepted(value)
            self.taken[value], self.received[name] = name, 0
            self.sent[name] = b""
        elif role == "recv" and fd in self.taken:
            self.received[self.taken[fd]] += 0 if call.get("peek") else value
        elif role == "send" and fd in self.taken:
            self.since = self.since or time.monotonic()
            self.sent[self.taken[fd]] += call["data"][:value].encode("latin-1")
        elif fn == "setsockopt" and call.get("option") == "TCP_CORK":
            if call["number"]:
                self.since = time.monotonic()
            if self.strict:
                self.in_time(HELD)
        elif fn == "socket" and self.listener is not None:
            new = [c.name for c in self.clients.values()
                   if isinstance(c, Server) and c.state == "new"]
            self.taken.update({value: name for name in new[:1]})
        elif fn == "listen":
            self.listener = fd
        elif fn in ("dup", "dup2") or call.get("command", "")[:6] == "F_DUPF":
            self.taken.update({value: self.taken[fd]} if fd in self.taken else {})
        elif fn in ("epoll_create", "epoll_create1"):
            self.epoll = value
        elif fn == "epoll_ctl":
            self.register(fd, call["operation"], call["of"])
        elif fn == "close":
            call["client"] = self.taken.pop(fd, None)
            if call["client"] not in self.taken.values():
                for pair in [p for p in self.shadows if fd in p]:
                    self.shadows.pop(pair).close()
        elif fn == "epoll_wait":
            self.epoll, self.asked = fd, None
            self.reported(call)
        elif role == "wait":
            self.asked = fn, call["entries"]

    def reported(self, call):
        """Consumes what epoll_wait has reported, in our own instances too."""
        expected = {f: s for (_, f), s in self.shadows.items() if polls(s)}
        found = {f: bits(s.poll(0)[0][1]) for f, s in expected.items()
                 if f in dict(call["events"])}
        all_fit = len(call["events"]) < call["args"][2]
        if self.strict and (dict(call["events"]) != found or
                            all_fit and found.keys() != expected.keys()):
            raise RuntimeError(f"{call['text']} {call['result']},"
                               f" but ready: {list(expected)}")

    def register(self, epoll, operation, fd):
        """Repeats the epoll_ctl with an instance of our own for each
        descriptor. poll says whether its entry is ready, and consumes
        nothing; so edge-triggered entries can be watched as well."""
        self.epoll = epoll
        if operation == "DEL":
            self.shadows.pop((epoll, fd)).close()
            return
        shadow = self.shadows.setdefault((epoll, fd), select.epoll())
        change = shadow.register if operation == "ADD" else shadow.modify
        with self.duplicate(fd) as file:
            # An entry is found by its file and its number: use the same again.
            os.dup2(file.fileno(), 900 + fd)
            change(900 + fd, interests(epoll)[fd][0])
            os.close(900 + fd)

    def ready(self, fd):
        shadow = self.shadows.get((self.epoll, fd))
        return bool(shadow) and polls(shadow)

    def entries(self):
        found = []
        if self.asked:
            kind, entries = self.asked
            for fd, mask in entries:
                found.append(dict(fd=fd, mask=bits(mask & 5), et=False,
                                  ready=self.has(fd, mask), noNews=False))
            return dict(fd=None, kind=kind, entries=found)
        if self.epoll is None:
            return None
        for fd, (mask, _) in interests(self.epoll).items():
            ready, et = self.ready(fd), bool(mask >> 31)
            quiet = et and not ready and mask & 1 and self.has(fd, 1)
            found.append(dict(fd=fd, mask=bits(mask & 5), et=et, ready=ready,
                              noNews=bool(quiet)))
        return dict(fd=self.epoll, entries=found)

    def connection(self, row, file):
        """Completes the row of a connection. Returns true if all bytes that
        were sent have arrived, and every end of a stream."""
        def ioctl(request):
            return struct.unpack("i", fcntl.ioctl(file, request, b"0000"))[0]
        name = self.taken[row["fd"]]
        client, stream = self.clients[name], self.sent[name]
        number = file.getsockopt(TCP, socket.TCP_INFO, 8)[0]
        state = STATES[number]
        unread, unsent = ioctl(FIONREAD), ioctl(SIOCOUTQNSD)
        row.update(kind="connection", client=name, state=state,
                   recv=buffer(client.sent[len(client.sent) - unread:]),
                   send=buffer(stream[len(stream) - unsent:]))
        if client.lazy and unsent:
            row["send"]["unacked"] = ioctl(SIOCOUTQ) - unsent
        return state == "CLOSE" or (
            len(client.sent) == self.received[name] + unread and
            len(client.got) == len(stream) - unsent and
            (client.state == "open" or state != "ESTABLISHED") and
            (client.eof or state != "FIN_WAIT") and client.state != "reset" and
            number not in UNACKNOWLEDGED)

    def descriptor(self, fd, waiting):
        row = dict(fd=fd, kind="socket", nonblocking=not self.blocks(fd))
        with self.duplicate(fd, as_socket) as file:
            if file.family not in (socket.AF_INET, socket.AF_INET6) or \
                    file.type != socket.SOCK_STREAM:
                return dict(row, options=[]), True
            row["options"] = [
                name for at, name in OPTIONS.items() if file.getsockopt(*at)
                and (fd not in self.taken or name != "SO_REUSEADDR")]
            if fd in self.taken and self.taken[fd] not in self.received:
                return dict(row, client=self.taken[fd]), True
            if fd in self.taken:
                return row, self.connection(row, file)
            if not file.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                return row, True
            # tcpi_unacked: of a listener, the length of its queue
            info = file.getsockopt(TCP, socket.TCP_INFO, 28)
        row.update(kind="listener", queue=[c.name for c in waiting])
        return row, struct.unpack_from("I", info, 24)[0] == len(waiting)

    def queued(self, waiting):
        """The connections that are not yet accepted have no descriptor."""
        rows = []
        for name in ("tcp", "tcp6"):
            with contextlib.suppress(OSError), \
                    open("/proc/self/net/" + name) as file:
                rows += [line.split() for line in file]
        table = {int(row[2][-4:], 16): row for row in rows
                 if row[1].endswith(f":{PORT:04X}")}
        for client in waiting:
            # The kernel keeps a connection in the queue that has been reset,
            # with its bytes, but not in the table.
            sent, row = len(client.sent), table.get(client.port)
            state = row[3] if row else "07"
            # The table counts the end of a stream, state 08, as a byte.
            unread = int(row[4][9:], 16) - (state == "08") if row else sent
            yield dict(fd=None, kind="connection", client=client.name,
                       nonblocking=False, options=[],
                       state=STATES[int(state, 16)],
                       recv=buffer(client.sent[:unread]), send=buffer(b"")), \
                unread == sent and (client.state == "reset") == (state == "07")

    def look(self):
        """All sockets, and whether all is settled."""
        for client in self.clients.values():
            client.read()
        waiting = self.queue()
        rows = [self.descriptor(fd, waiting) for fd in self.descriptors()
                if os.readlink(f"{self.proc}fd/{fd}").startswith("socket")]
        if waiting:  # reading the table takes milliseconds
            rows += self.queued(waiting)
        gone = self.received.keys() - set(self.taken.values())
        return [row for row, _ in rows], all(fine for _, fine in rows) and all(
            self.clients[name].eof for name in gone)

    def sockets(self):
        """Waits until every byte has arrived, not for a time."""
        deadline = time.monotonic() + self.patience
        while time.monotonic() < deadline:
            rows, settled = self.look()
            if settled:
                return rows
            time.sleep(0.001)
        if self.strict:
            raise RuntimeError(f"bytes are missing: {rows}")
        self.patience = 0.05
        return rows
