"""Inside gdb: the program's frames, and its system calls as text."""
import contextlib
import ctypes
import errno
import re

import gdb

CALLS = ("socket setsockopt bind listen accept accept4 recvfrom sendto close"
         " shutdown epoll_create1 epoll_ctl epoll_wait epoll_pwait write"
         " writev exit_group")
NAMES = {"recvfrom": "recv", "sendto": "send", "exit_group": "exit",
         "epoll_pwait": "epoll_wait", "writev": "write"}
ARGUMENTS = {
    "socket": "AF_INET, SOCK_STREAM{nonblock}, 0",
    "setsockopt": "{fd}, {option}, {on}", "bind": "{fd}, 0.0.0.0:{port}",
    "listen": "{fd}, {a}", "accept4": "{fd}, SOCK_NONBLOCK",
    "recv": "{fd}, ..., {b}", "send": "{fd}, ..., {b}",
    "write": "{fd}, ..., {b}", "shutdown": "{fd}, {how}",
    "epoll_ctl": "{fd}, {operation}, {of}, {mask}",
    "epoll_wait": "{fd}, ..., {timeout}"}
OPTIONS = {(1, 2): "SO_REUSEADDR", (6, 1): "TCP_NODELAY", (6, 3): "TCP_CORK"}
OPERATIONS = {1: "ADD", 2: "DEL", 3: "MOD"}
BITS = {1: "EPOLLIN", 4: "EPOLLOUT", 8: "EPOLLERR", 16: "EPOLLHUP",
        0x2000: "EPOLLRDHUP", 1 << 31: "EPOLLET"}


def bits(mask):
    return "|".join(name for bit, name in BITS.items() if mask & bit) or "0"


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


def event(address, i=0):
    """(descriptor, mask): a struct epoll_event is not the same everywhere."""
    kind = gdb.lookup_type("struct epoll_event").pointer()
    found = gdb.Value(address).cast(kind)[i]
    return int(found["data"]["fd"]), int(found["events"])


def start(arguments):
    """Runs the program up to main. Signals go to it; the library's own lines
    stay hidden, even if its debug symbols are installed."""
    for command in ("set pagination off", "set confirm off", "set width 0",
                    "set print inferior-events off",
                    "set breakpoint always-inserted on",
                    "set debug-file-directory /nonexistent",
                    "handle SIGINT SIGTERM SIGPIPE nostop noprint pass"):
        gdb.execute(command, to_string=True)
    gdb.Breakpoint("main", internal=True, temporary=True).silent = True
    gdb.execute("run " + arguments, to_string=True)


class Calls:
    """The program stops at entries and returns of system calls, in turn."""

    def __init__(self):
        self.numbers = {}
        for name in CALLS.split():
            with contextlib.suppress(gdb.error):  # not on this architecture
                told = gdb.execute("catch syscall " + name, to_string=True)
                gdb.execute("commands\nsilent\nend")
                self.numbers[re.search(r"\[(\d+)\]", told)[1]] = name
        arm = "aarch64" in gdb.selected_frame().architecture().name()
        self.register = "$x0" if arm else "$rax"

    def entry(self):
        with open(f"/proc/{gdb.selected_inferior().pid}/syscall") as file:
            number, *args = file.read().split()[:7]
        name = self.numbers[number]
        fn, args = NAMES.get(name, name), [int(a, 16) for a in args]
        _, a, b, c, *_ = args
        call = dict(fn=fn, args=args, fd=args[0] & 0xFFFFFFFF)
        if fn == "socket":
            call["nonblock"] = "|SOCK_NONBLOCK" if a & 0o4000 else ""
        elif fn == "setsockopt":
            call.update(option=OPTIONS[a, b], on=memory(c, 1)[0])
        elif fn == "bind":
            call["port"] = int.from_bytes(memory(a + 2, 2), "big")
        elif fn in ("send", "write"):
            call["data"] = memory(a, b).decode("latin-1")
        elif fn == "shutdown":
            call["how"] = ("SHUT_RD", "SHUT_WR", "SHUT_RDWR")[a]
        elif fn == "epoll_ctl":
            call.update(operation=OPERATIONS[a], of=b, mask=bits(event(c)[1]))
        elif fn == "epoll_wait":
            call["timeout"] = ctypes.c_int(c & 0xFFFFFFFF).value
        told = ARGUMENTS.get(fn, "{fd}").format(a=a, b=b, **call)
        return dict(call, text=f"{fn}({told})")

    def back(self, call):
        value = ctypes.c_long(int(gdb.parse_and_eval(self.register))).value
        call.update(value=value, result=f"= {value}")
        if value < 0:
            call["result"] = f"= -1 {errno.errorcode[-value]}"
        elif call["fn"] == "epoll_wait":
            found = [event(call["args"][1], i) for i in range(value)]
            call["events"] = [[fd, bits(mask)] for fd, mask in found]
            call["result"] += ":" * bool(found) + ",".join(
                f" {fd} {mask}" for fd, mask in call["events"])
