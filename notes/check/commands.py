"""Runs the commands that a document shows: for notes.py run.

A command is a line in a fence of console that begins with "$ ". The lines under
it show what it prints; "..." stands for any text, alone on a line for any
lines. A command with nothing under it has to succeed. All commands run one
after the other in one bash. A command that starts a server of the kit runs in
the background, as in a terminal of its own, until the next one starts the same
server or uses the same port.
"""
import ctypes
import os
import random
import re
import select
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PATIENCE = float(os.environ.get("PATIENCE", 10))
COMMAND_SECONDS = 120
SERVER = re.compile(r"(?<![^ '])\./(ex[1-6]|[a-h]_[a-z_]+)\b(?: (\d{2,})\b)?")
PORTS = {"c_echo_queues": "10000", "d_event_names": "9999"}
TAKEN = "Address already in use"


def looks_like(printed, shown):
    """Compares lines, as a shell compares names with "*"; spaces may be more."""
    lines = printed.replace("\r", "").rstrip().split("\n")
    patterns = [re.sub(r"(\\ )+", " +", ".*".join(map(re.escape, line.split("..."))))
                for line in "\n".join(shown).rstrip().split("\n")]
    i = j = after = retry = 0
    while i < len(lines):
        if j < len(patterns) and patterns[j] == ".*":
            j += 1
            after, retry = j, i
        elif j < len(patterns) and re.fullmatch(patterns[j], lines[i]):
            i, j = i + 1, j + 1
        elif after:
            retry += 1
            i, j = retry, after
        else:
            return False
    return set(patterns[j:]) <= {".*"}


def commands_of(document):
    """The index of each command, the command, and the lines under it."""
    for fence in document.fences:
        if fence.language != "console":
            continue
        starts = [i for i, l in enumerate(fence.body) if l.startswith("$ ")]
        for start, end in zip(starts, starts[1:] + [len(fence.body)]):
            yield (fence.first + 1 + start, fence.body[start][2:],
                   fence.body[start + 1 : end])


def wait_for(condition):
    deadline = time.monotonic() + PATIENCE
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.01)


def processes():
    """The parent and the session of each process that has not ended."""
    found = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, parent, _, session = path.read_text().rpartition(")")[2].split()[:4]
        except OSError:
            continue
        if state not in "ZX":
            found[int(path.parent.name)] = int(parent), int(session)
    return found


def kill_session(session):
    """Ends all processes of a session, this one aside."""
    while True:
        left = [pid for pid, (_, its) in processes().items()
                if its == session and pid != os.getpid()]
        if not left:
            return
        for pid in left:
            send(pid, signal.SIGKILL)
        time.sleep(0.01)


def send(pid, number):
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass


class Server:
    def __init__(self, index, command, shown, port, line, output):
        self.index, self.command, self.shown = index, command, shown
        self.port, self.output = port, output
        with open(output, "w") as file:
            self.process = subprocess.Popen(["bash", "-c", line], stdout=file,
                                            stderr=file, stdin=subprocess.DEVNULL)
        wait_for(lambda: "listening:" in self.printed() or self.has_ended())

    def printed(self):
        return self.output.read_text(errors="replace")

    def has_ended(self):
        return self.process.poll() is not None

    def programs(self):
        """Those processes below the shell that are programs of the kit."""
        parents = processes()
        below = {self.process.pid}
        for _ in range(5):
            below.update(p for p, (parent, _) in parents.items() if parent in below)
        for pid in below:
            try:
                if os.readlink(f"/proc/{pid}/exe").startswith(os.getcwd() + "/"):
                    yield pid
            except OSError:
                pass

    def end(self):
        """As Ctrl-C would. What has started the program, strace or a shell, ends
        when the program does."""
        for pid in list(self.programs()):
            send(pid, signal.SIGTERM)
        wait_for(self.has_ended)


class Runner:
    def __init__(self, document, folder):
        self.document, self.folder = document, Path(folder)
        self.servers, self.own = [], {"8080": "8080"}
        self.shell = subprocess.Popen(["bash"], stdin=subprocess.PIPE,
                                      stdout=subprocess.PIPE, text=True)
        # In a terminal, curl shows no progress of what it prints there.
        self.tell('curl() { command curl --silent --show-error "$@"; }')

    def tell(self, line):
        self.shell.stdin.write(line + "\n")
        self.shell.stdin.flush()

    def with_own_ports(self, text):
        """Stands other ports in for those of the document."""
        ports = "|".join(self.own)
        return re.sub(rf"\b({ports})\b", lambda m: self.own[m.group()], text)

    def run(self, not_run):
        for index, command, shown in commands_of(self.document):
            if command in not_run:
                continue
            start = self.start if SERVER.search(command) else self.execute
            start(index, command, shown)
        self.end_servers(lambda server: True)
        self.shell.communicate()

    def execute(self, index, command, shown):
        output = self.folder / "printed"
        line = shlex.quote(self.with_own_ports(command))
        self.tell(f"eval {line} >{output} 2>&1 </dev/null; echo $?")
        if not select.select([self.shell.stdout], [], [], COMMAND_SECONDS)[0]:
            sys.exit(f"{self.document.path}:{index + 1}: {command} does not end")
        status = self.shell.stdout.readline().strip()
        if command.endswith("&"):  # a person needs longer for the next command
            time.sleep(1)
        printed = output.read_text(errors="replace")
        if not shown and status != "0":
            self.wrong(index, f"{command} fails", printed)
        self.compare(index, command, shown, printed)

    def compare(self, index, command, shown, printed):
        if shown and not self.is_shown(shown, printed):
            self.wrong(index, f"{command} prints something else", printed)

    def is_shown(self, shown, printed):
        return looks_like(printed, map(self.with_own_ports, shown))

    def wrong(self, index, text, printed):
        self.document.wrong(index, f"{text}:\n{printed.rstrip()}")

    def start(self, index, command, shown):
        name, port = SERVER.search(command).groups()
        port = port or PORTS.get(name, "8080")
        self.end_servers(lambda s: s.port == port or f"./{name}" in s.command)
        for _ in range(20):
            self.own[port] = str(random.randrange(10000, 30000))
            line = SERVER.sub(lambda m: f"./{m[1]} {m[2] or port}", command)
            server = Server(index, command, shown, port, self.with_own_ports(line),
                            self.folder / f"server-{index}")
            if TAKEN not in server.printed() or TAKEN in "\n".join(shown):
                break
        self.servers.append(server)

    def end_servers(self, condition):
        for server in list(filter(condition, self.servers)):
            self.servers.remove(server)
            shown = server.shown
            if shown:
                wait_for(lambda: self.is_shown(shown, server.printed()))
            server.end()
            self.compare(server.index, server.command, shown, server.printed())


def run_here(documents, not_run):
    os.environ["LC_ALL"] = "C"
    # A reader does not have what make and bats tell the programs below them.
    for name in list(os.environ):
        if re.match("BATS_|MAKEFLAGS|MFLAGS|MAKELEVEL", name):
            del os.environ[name]
    with tempfile.TemporaryDirectory() as folder:
        try:
            for document in documents:
                Runner(document, folder).run(not_run)
                kill_session(os.getsid(0))
        finally:
            kill_session(os.getsid(0))


def run(documents, not_run, report):
    """Runs them in a session of its own, and ends all processes of that session,
    however the run ends. Returns the exit status."""
    if "RUNS_COMMANDS" in os.environ:
        sys.exit("a command of a document runs all commands again")
    os.environ["RUNS_COMMANDS"] = "yes"
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(1))
    parent, child = os.getpid(), os.fork()
    if child == 0:
        os.setsid()
        # If even SIGKILL ends the parent, the kernel sends the child SIGTERM.
        ctypes.CDLL(None).prctl(1, signal.SIGTERM)
        try:
            if os.getppid() == parent:
                run_here(documents, not_run)
        finally:
            status = report(documents)
        sys.exit(status)
    try:
        return 1 if os.waitpid(child, 0)[1] else 0
    except BaseException:
        send(child, signal.SIGTERM)
        wait_for(lambda: child not in processes())
        raise
    finally:
        kill_session(child)
