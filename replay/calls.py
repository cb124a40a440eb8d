"""Inside gdb: the program's frames, and its system calls as text."""
import contextlib
import ctypes
import errno
import platform
import re
import struct

import gdb

# The calls at which the program stops, and their arguments as text.
ARGUMENTS = {
    "socket": "{family}, {kind}, 0", "setsockopt": "{fd}, {option}, {number}",
    "getsockopt": "{fd}, {option}", "bind": "{fd}, {address}",
    "listen": "{fd}, {a}", "accept": "{fd}", "accept4": "{fd}, {flags}",
    "recv": "{fd}, ..., {size}", "recvmsg": "{fd}, ..., {size}",
    "read": "{fd}, ..., {size}", "readv": "{fd}, ..., {size}",
    "send": "{fd}, ..., {size}", "sendmsg": "{fd}, ..., {size}",
    "write": "{fd}, ..., {size}", "writev": "{fd}, ..., {size}",
    "shutdown": "{fd}, {how}", "close": "{fd}", "dup": "{fd}",
    "dup2": "{fd}, {a}", "fcntl": "{fd}, {command}{mode}",
    "ioctl": "{fd}, FIONBIO, {number}", "epoll_create": "{fd}",
    "epoll_create1": "{created}", "epoll_ctl": "{fd}, {operation}, {of}, {mask}",
    "connect": "{fd}, {address}",
    "epoll_wait": "{fd}, ..., {timeout}", "poll": "{asked}, {timeout}",
    "select": "{asked}, {timeout}", "nanosleep": "{timeout} ms", "exit": "{fd}"}
NAMES = {"recvfrom": "recv", "sendto": "send", "exit_group": "exit",
         "epoll_pwait": "epoll_wait", "epoll_pwait2": "epoll_wait",
         "ppoll": "poll", "pselect6": "select", "dup3": "dup2",
         "clock_nanosleep": "nanosleep"}
# Calls that the recorder cannot follow, and what they do.
STRANGE = dict.fromkeys(("fork", "vfork", "clone", "clone3"),
                        "starts a second process or a thread") | {
    "execve": "starts another program", "io_uring_setup": "uses io_uring",
    "connect": "connects to another server"} | dict.fromkeys(
        ("sendfile", "splice", "tee", "sendmmsg", "recvmmsg"), "")
# What calls of several names do.
ROLES = {**dict.fromkeys(("recv", "recvmsg", "read", "readv"), "recv"),
         **dict.fromkeys(("send", "sendmsg", "write", "writev"), "send"),
         **dict.fromkeys(("epoll_wait", "poll", "select"), "wait"),
         "accept4": "accept"}
OPTIONS = {(1, 2): "SO_REUSEADDR", (6, 1): "TCP_NODELAY", (6, 3): "TCP_CORK"}
OTHERS = {(1, 15): "SO_REUSEPORT", (1, 9): "SO_KEEPALIVE", (1, 4): "SO_ERROR",
          (1, 13): "SO_LINGER", (6, 12): "TCP_QUICKACK", (1, 20): "SO_RCVTIMEO",
          (1, 10): "SO_OOBINLINE"}
OPERATIONS = {1: "ADD", 2: "DEL", 3: "MOD"}
BITS = {1: "EPOLLIN", 4: "EPOLLOUT", 8: "EPOLLERR", 16: "EPOLLHUP",
        0x2000: "EPOLLRDHUP", 1 << 30: "EPOLLONESHOT", 1 << 31: "EPOLLET"}
FLAGS = {0o4000: "SOCK_NONBLOCK", 0o2000000: "SOCK_CLOEXEC"}
# struct epoll_event is packed on x86-64 only.
EVENT = "<IQ" if platform.machine() == "x86_64" else "<I4xQ"


def bits(mask, names=BITS):
    return "|".join(name for bit, name in names.items() if mask & bit) or "0"


def frames():
    """[(frame, line)] of server.c, innermost first, without the library's."""
    found, frame = [], gdb.newest_frame()
    while frame is not None:
        place = frame.find_sal()
        if place.symtab and place.symtab.filename.endswith("server.c"):
            found.append((frame, place.line))
        frame = frame.older()
    return found


def memory(address, length):
    return bytes(gdb.selected_inferior().read_memory(address, length))


def unpack(pattern, address):
    return struct.unpack(pattern, memory(address, struct.calcsize(pattern)))


def interests(epoll):
    """{descriptor: (mask, data)} of an epoll instance."""
    with open(f"/proc/{gdb.selected_inferior().pid}/fdinfo/{epoll}") as file:
        rows = re.findall(r"tfd:\s*(\d+) events:\s*(\w+) data:\s*(\w+)",
                          file.read())
    return {int(fd): (int(mask, 16), int(data, 16))
            for fd, mask, data in sorted(rows, key=lambda row: int(row[0]))}


def start(arguments):
    """Runs the program up to main. Signals go to it; the library's own lines
    stay hidden, even if its debug symbols are installed."""
    for command in ("set pagination off", "set confirm off", "set width 0",
                    "set print inferior-events off", "set debuginfod enabled off",
                    "set breakpoint always-inserted on",
                    "set debug-file-directory /nonexistent",
                    "handle SIGINT SIGTERM nostop noprint pass"):
        with contextlib.suppress(gdb.error):  # an older gdb lacks one of them
            gdb.execute(command, to_string=True)
    gdb.Breakpoint("main", internal=True, temporary=True).silent = True
    gdb.execute("run " + arguments, to_string=True)


def buffers(name, args):
    """[(address, length)] of what a call reads or writes."""
    _, at, length, *_ = args
    if name.endswith("msg"):
        _, _, at, length = unpack("QI4xQQ", at)
    if name.endswith(("msg", "v")) and name != "recv":
        return [unpack("QQ", at + 16 * i) for i in range(min(length, 64))]
    return [(at, length)]


def asked(name, args):
    """[(descriptor, mask)] of poll and select, and where select keeps them."""
    if name.endswith("poll"):
        rows = [unpack("iHH", args[0] + 8 * i) for i in range(args[1])]
        return [(fd, mask) for fd, mask, _ in rows if fd >= 0]
    found = {}
    for at, mask in zip(args[1:4], (1, 4, 0)):
        bitmap = int.from_bytes(memory(at, 128), "little") if at else 0
        for fd in range(min(args[0], 1024)):
            if bitmap >> fd & 1:
                found[fd] = found.get(fd, 0) | mask
    return sorted(found.items())


def timeout(name, args):
    """In milliseconds; -1 without one."""
    at = {"epoll_pwait2": 3, "ppoll": 2, "pselect6": 4, "select": 4,
          "nanosleep": 0, "clock_nanosleep": 2}.get(name)
    if at is None:
        return ctypes.c_int(args[3 if "epoll" in name else 2] & 0xFFFFFFFF).value
    if not args[at]:
        return -1
    seconds, rest = unpack("qq", args[at])
    return seconds * 1000 + rest // (1000 if name == "select" else 1000000)


class Calls:
    """The program stops at entries and returns of system calls, in turn.
    connects: we know the server to which it connects."""

    def __init__(self, connects=False):
        self.numbers, self.connects = {}, connects
        for name in dict.fromkeys([*ARGUMENTS, *NAMES, *STRANGE]):
            with contextlib.suppress(gdb.error):  # not on this architecture
                told = gdb.execute("catch syscall " + name, to_string=True)
                gdb.execute("commands\nsilent\nend")
                self.numbers[re.search(r"\[(\d+)\]", told)[1]] = name
        arm = "aarch64" in gdb.selected_frame().architecture().name()
        self.register = "$x0" if arm else "$rax"

    def entry(self):
        with open(f"/proc/{gdb.selected_inferior().pid}/syscall") as file:
            number, *args = file.read().split()[:7]
        name, args = self.numbers[number], [int(a, 16) for a in args]
        fn = NAMES.get(name, name)
        call = dict(fn=fn, role=ROLES.get(fn, fn), args=args, strange=False,
                    fd=ctypes.c_int(args[0] & 0xFFFFFFFF).value)
        if name in STRANGE and not (name == "connect" and self.connects):
            return dict(call, strange=True, text=f"{name}()")
        with contextlib.suppress(gdb.MemoryError):  # it will fail with EFAULT
            self.arguments(name, call, *args[:4])
        told = ARGUMENTS[fn].format_map(
            {"a": args[1], "size": "?", **{k: "?" for k in (
                "address option number of mask timeout asked").split()}, **call})
        return dict(call, text=f"{fn}({told})")

    @staticmethod
    def arguments(name, call, first, a, b, c):
        """Completes the call, as its name wants it."""
        fn, role, args = call["fn"], call["role"], call["args"]
        if fn == "socket":
            call["family"] = {2: "AF_INET", 10: "AF_INET6"}.get(first, first)
            call["kind"] = {1: "SOCK_STREAM"}.get(a & 15, a & 15)
            if a & ~15:
                call["kind"] = f"{call['kind']}|{bits(a, FLAGS)}"
        elif fn == "accept4":
            call["flags"] = bits(c, FLAGS)
        elif fn == "epoll_create1":
            call["created"] = "EPOLL_CLOEXEC" if first else "0"
        elif fn.endswith("sockopt"):
            call["option"] = {**OPTIONS, **OTHERS}.get((a, b), f"option {b}")
            call["number"] = memory(c, 1)[0] if fn == "setsockopt" else None
            if (a, b, fn) == (1, 13, "setsockopt"):
                call["reset"] = unpack("ii", c) == (1, 0)
        elif fn in ("bind", "connect"):
            family, port = struct.unpack(">HH", memory(a, 4))
            host = "0.0.0.0" if not any(memory(a + 4, 4)) else \
                ".".join(map(str, memory(a + 4, 4)))
            host = "[::]" if family == 0x0A00 else host
            call.update(port=port, address=f"{host}:{port}")
        elif role in ("recv", "send"):
            parts = buffers(name, args)
            call["size"] = sum(length for _, length in parts)
            flags = b if fn.endswith("msg") else \
                c if fn in ("recv", "send") else 0
            call.update(dontwait=flags & 0x40, peek=flags & 2)
            if role == "send":
                call["data"] = b"".join(memory(at, min(n, 1 << 20)) for at, n in
                                        parts if n).decode("latin-1")
        elif fn == "shutdown":
            call["how"] = {0: "SHUT_RD", 1: "SHUT_WR", 2: "SHUT_RDWR"}.get(a, a)
        elif fn == "fcntl":
            call["command"] = {0: "F_DUPFD", 1: "F_GETFD", 2: "F_SETFD",
                               3: "F_GETFL", 4: "F_SETFL",
                               1030: "F_DUPFD_CLOEXEC"}.get(a, a)
            call["mode"] = {4: ", O_NONBLOCK" if b & 0o4000 else ", 0"}.get(a, "")
        elif fn == "ioctl":
            call["ours"] = a == 0x5421
            call["number"] = unpack("i", b)[0] if call["ours"] else 0
        elif fn == "epoll_ctl":
            mask = unpack("<I", c)[0] if c else 0
            call.update(operation=OPERATIONS.get(a, a), of=b & 0xFFFFFFFF,
                        mask=bits(mask))
        elif role == "wait" or fn == "nanosleep":
            call["timeout"] = timeout(name, args)
            if fn in ("poll", "select"):
                call["entries"] = asked(name, args)
                call["asked"] = [fd for fd, _ in call["entries"]]

    def back(self, call, ready=lambda fd: True):
        value = ctypes.c_long(int(gdb.parse_and_eval(self.register))).value
        call.update(value=value, result=f"= {value}")
        if value < 0:
            # ERESTART: a signal has interrupted the call.
            call["result"] = f"= -1 {errno.errorcode.get(-value, 'EINTR')}"
        elif call["fn"] == "exit":
            call["result"] = ""
        elif call.get("option") == "SO_ERROR":
            call["number"] = memory(call["args"][3], 1)[0]
        elif call["role"] == "wait":
            found = self.events(call, value, ready)
            call["events"] = [[fd, mask] for fd, mask in found]
            call["result"] += ":" * bool(found) + ",".join(
                f" {fd} {mask}" for fd, mask in found)

    @staticmethod
    def events(call, n, ready):
        """[(descriptor, bits)] that a call has returned."""
        if call["fn"] == "poll":
            rows = [unpack("iHH", call["args"][0] + 8 * i)
                    for i in range(call["args"][1])]
            return [(fd, bits(mask).replace("EPOLL", "POLL"))
                    for fd, _, mask in rows if mask and fd >= 0]
        if call["fn"] == "select":
            return [(fd, {1: "read", 4: "write"}.get(mask, "read|write"))
                    for fd, mask in (asked("select", call["args"]) if n else [])]
        found, known = [], interests(call["fd"])
        for i in range(n):
            mask, data = unpack(EVENT, call["args"][1] +
                                struct.calcsize(EVENT) * i)
            # What the program stores is its own matter. Often it is unique.
            fits = [fd for fd, (_, own) in known.items() if own == data]
            fits = [fd for fd in fits if ready(fd)] or fits or [-1]
            known.pop(fits[0], None)
            found.append((fits[0], bits(mask)))
        return found
