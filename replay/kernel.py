"""The clients of a scene, and the kernel's side of the program."""
import ctypes
import fcntl
import io
import os
import re
import select
import socket
import struct
import time

from calls import OPTIONS, bits

PIDFD_GETFD = 438  # the same number on every architecture
FIONREAD, SIOCOUTQ, SIOCOUTQNSD = 0x541B, 0x5411, 0x894B
STATES = {1: "ESTABLISHED", 4: "FIN_WAIT", 5: "FIN_WAIT", 7: "CLOSE",
          8: "CLOSE_WAIT", 9: "LAST_ACK", 11: "CLOSING"}
UNACKNOWLEDGED = 4, 9  # FIN_WAIT1, LAST_ACK: its end is on the way
TCP = socket.IPPROTO_TCP
PORT = 8080
# TCP_CORK holds bytes for 20 s, see record.py; before Linux 6.11 for 0.2 s.
HELD = 15 if os.path.exists("/proc/sys/net/ipv4/tcp_rto_min_us") else 0.15
libc = ctypes.CDLL(None, use_errno=True)


def polls(file, events=select.POLLIN):
    poll = select.poll()
    poll.register(file, events)
    return bool(poll.poll(0))


def as_socket(fd):
    return socket.socket(fileno=fd)


def buffer(data):
    text = data[:20].decode("latin-1")
    text = text.replace("\r", "\\r").replace("\n", "\\n")
    return dict(bytes=len(data), text=text + "..." * (len(data) > 20))


class Client:
    """It reads whatever arrives, at once. The scene says what else it does."""

    def __init__(self, name, lazy):
        self.name, self.lazy, self.socket = name, lazy, socket.socket()
        self.state, self.eof, self.port, self.segments = "new", False, 0, 0
        self.sent = self.got = b""

    def act(self, action, text=""):
        """Returns what it does, as a short text."""
        if action == "connect":
            if self.socket.connect_ex(("127.0.0.1", PORT)):
                self.state = "refused"
                return "is refused"
            self.port, self.state = self.socket.getsockname()[1], "open"
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
        asked = self.sent.count(b"\r\n\r\n")
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


class Kernel:
    """taken: which client has a descriptor. received, sent: what the program
    has read from each accepted client, and given to send for it."""

    def __init__(self, pid, clients):
        self.proc, self.pidfd = f"/proc/{pid}/", os.pidfd_open(pid)
        self.clients, self.taken, self.received, self.sent = clients, {}, {}, {}
        self.epoll, self.shadows, self.since = None, {}, None

    def duplicate(self, fd, kind=io.FileIO):
        """The program's file, for a with statement. It must not stay, because
        close ends a file with its last descriptor only."""
        mine = libc.syscall(PIDFD_GETFD, self.pidfd, fd, 0)
        if mine == -1:
            raise OSError(ctypes.get_errno(), "pidfd_getfd")
        return kind(mine)

    def info(self, fd, pattern):
        with open(f"{self.proc}fdinfo/{fd}") as file:
            return re.findall(pattern, file.read())

    def blocks(self, fd):
        return not int(self.info(fd, r"flags:\s*(\d+)")[0], 8) & os.O_NONBLOCK

    def would_sleep(self, call):
        fn, fd = call["fn"], call["fd"]
        if fn == "epoll_wait" and call["timeout"] or \
                fn in ("accept", "accept4", "recv", "send") and self.blocks(fd):
            with self.duplicate(fd) as file:
                return not polls(file, select.POLLOUT if fn == "send"
                                 else select.POLLIN)
        return False

    def in_time(self, limit):
        """Fails if a timer of the kernel may have sent what is held."""
        if time.monotonic() - self.since > limit:
            raise RuntimeError("too slow: a timer of the kernel was faster")

    def follow(self, call):
        """Keeps the books at the return of a call."""
        fn, fd, value = call["fn"], call["fd"], call["value"]
        if value < 0:
            return
        if fn in ("accept", "accept4"):
            with self.duplicate(value, as_socket) as file:
                port = file.getpeername()[1]
            name = next(c.name for c in self.clients.values() if c.port == port)
            self.taken[value], self.received[name] = name, 0
            self.sent[name] = b""
        elif fn == "recv":
            self.received[self.taken[fd]] += value
        elif fn == "send":
            self.since = self.since or time.monotonic()
            self.sent[self.taken[fd]] += call["data"][:value].encode("latin-1")
        elif call.get("option") == "TCP_CORK":
            if call["on"]:
                self.since = time.monotonic()
            self.in_time(HELD)
        elif fn == "epoll_create1":
            self.epoll = value
        elif fn == "epoll_ctl":
            self.register(call["operation"], call["of"])
        elif fn == "close":
            call["client"] = self.taken.pop(fd, None)
            if fd in self.shadows:
                self.shadows.pop(fd).close()
        elif fn == "epoll_wait":
            found = {f: s.poll(0) for f, s in self.shadows.items()}
            expected = {f: bits(e[0][1]) for f, e in found.items() if e}
            if dict(call["events"]) != expected:
                raise RuntimeError(f"{call['text']} {call['result']},"
                                   f" but ready: {expected}")

    def interests(self):
        rows = self.info(self.epoll, r"tfd:\s*(\d+) events:\s*([0-9a-f]+)")
        return {int(fd): int(mask, 16) for fd, mask in sorted(rows)}

    def register(self, operation, fd):
        """Repeats the epoll_ctl with an instance of our own for each
        descriptor. poll says whether its entry is ready, and consumes
        nothing; so edge-triggered entries can be watched as well."""
        shadow = self.shadows.setdefault(fd, select.epoll())
        change = shadow.register if operation == "ADD" else shadow.modify
        with self.duplicate(fd) as file:
            # An entry is found by its file and its number: use the same again.
            os.dup2(file.fileno(), 900 + fd)
            change(900 + fd, self.interests()[fd])
            os.close(900 + fd)

    def entries(self):
        if self.epoll is None:
            return None
        found = []
        for fd, mask in self.interests().items():
            ready, et = polls(self.shadows[fd]), bool(mask >> 31)
            with self.duplicate(fd) as file:
                quiet = et and not ready and mask & 1 and polls(file)
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
            row["options"] = [
                name for at, name in OPTIONS.items() if file.getsockopt(*at)
                and (fd not in self.taken or name != "SO_REUSEADDR")]
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
        with open("/proc/self/net/tcp") as file:
            rows = [line.split() for line in file]
        table = {int(row[2][-4:], 16): row for row in rows[1:]
                 if row[1].endswith(f":{PORT:04X}")}
        for client in waiting:
            row = table[client.port]
            # The table counts the end of a stream, state 08, as a byte.
            unread = int(row[4][9:], 16) - (row[3] == "08")
            yield dict(fd=None, kind="connection", client=client.name,
                       nonblocking=False, options=[],
                       state=STATES[int(row[3], 16)],
                       recv=buffer(client.sent[:unread]), send=buffer(b"")), \
                unread == len(client.sent)

    def look(self):
        """All sockets, and whether all is settled."""
        for client in self.clients.values():
            client.read()
        waiting = [c for c in self.clients.values()
                   if c.port and c.name not in self.received]
        rows = [self.descriptor(fd, waiting)
                for fd in sorted(map(int, os.listdir(self.proc + "fd")))
                if os.readlink(f"{self.proc}fd/{fd}").startswith("socket")]
        if waiting:  # reading the table takes milliseconds
            rows += self.queued(waiting)
        gone = self.received.keys() - set(self.taken.values())
        return [row for row, _ in rows], all(fine for _, fine in rows) and all(
            self.clients[name].eof for name in gone)

    def sockets(self):
        """Waits until every byte has arrived, not for a time."""
        deadline = time.monotonic() + 3
        while time.monotonic() < deadline:
            rows, settled = self.look()
            if settled:
                return rows
            time.sleep(0.001)
        raise RuntimeError(f"bytes are missing: {rows}")
