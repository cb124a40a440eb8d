"""Runs the commands that a document shows: for notes.py run.

A command is a line in a fence of console that begins with "$ ". The lines under
it show what it prints; "..." stands for any text, alone on a line for any
lines. A command with nothing under it has to succeed. All commands run one
after the other in one bash. A command that starts a server of the kit runs in
the background, as in a terminal of its own, until the next one starts the same
server or uses the same port. All of this happens in a copy of the kit.
"""
import contextlib
import os
import random
import re
import select
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PATIENCE = float(os.environ.get("PATIENCE", 10))
SERVER = re.compile(r"(?<![^ '])\./(ex[1-6]|[a-z]_[a-z_]+)\b(?: (\d{2,})\b)?")
TAKEN = "Address already in use"

# Commands that install packages are not run, and not those that take minutes:
# make check runs them anyway.
NOT_RUN = re.compile(r"\bsudo\b|deps\b|make (test.?|check|lab|mutants|sanitize|musl)$")

# The folders that may be taken out of the kit.
PARTS = ("appendix", "exercises", "lab", "replay", "site", "tools")

# Ends what is left of a session when stdin ends: even if SIGKILL has ended the
# process at the other side of the pipe.
GUARD = ('cat; for try in 1 2 3 4 5; do pkill -KILL -s "$0" || break;'
         ' sleep 0.1; done')


def absent_parts():
    return [part for part in PARTS if not Path(part).is_dir()]


def is_absent(path):
    """Whether a path, seen from the top, leads into a part that is not here."""
    return os.path.normpath(path).split("/")[0] in absent_parts()


def needs_absent_part(command):
    """The same for a command: a path, or a program of the appendix."""
    paths = re.findall(r"[\w.-]+/[\w./-]+", command)
    paths += [f"appendix/{name}" for name, _ in SERVER.findall(command) if "_" in name]
    return any(map(is_absent, paths))


def is_excused(printed):
    """Whether a command fails because of the system, or a part that is not here."""
    return printed.startswith("not permitted here") or (
        absent_parts() and "No rule to make target" in printed)


# What strace prints on arm64 and in older versions, and what it becomes.
SAME = ((r"\bepoll_pwait\((.*), NULL, 8\)", r"epoll_wait(\1)"),
        (r"\bppoll\((.*), NULL, NULL, [08]\)", r"poll(\1, -1)"),
        (r"\bpselect6\((.*), NULL\)", r"select(\1)"),
        (r"\bepoll_pwait\(", "epoll_wait("), (r"\{events=", "{"),
        (r"\bdata=0x\w+", lambda m: "{{u32={0}, u64={0}}}".format(int(m[0][5:], 16))),
        (r"\bdata=", ""))


def same_everywhere(text):
    for pattern, replacement in SAME:
        text = re.sub(pattern, replacement, text)
    return text


def looks_like(printed, shown):
    """Compares lines, as a shell compares names with "*"; spaces may be more."""
    lines = same_everywhere(printed.replace("\r", "").rstrip()).split("\n")
    at = {0}  # so many lines may be what has been compared so far
    for text in same_everywhere("\n".join(shown).rstrip()).split("\n"):
        if text == "...":
            at = set(range(min(at, default=len(lines) + 1), len(lines) + 1))
            continue
        pattern = ".*".join(map(re.escape, text.split("...")))
        pattern = re.sub(r"(\\ )+", " +", pattern)
        at = {i + 1 for i in at if i < len(lines) and re.fullmatch(pattern, lines[i])}
    return len(lines) in at


def usual_port(name):
    traits = Path("appendix", name, "traits")
    text = traits.read_text() if traits.exists() else ""
    return (re.findall(r"(?m)^port=(\d+)", text) or ["8080"])[0]


def wait_for(condition):
    deadline = time.monotonic() + PATIENCE
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.01)


def as_in_a_terminal():
    """A process group, which SIGINT ends: a background job would ignore it."""
    os.setpgrp()
    signal.signal(signal.SIGINT, signal.SIG_DFL)


class Server:
    """A command in the background. Its shell leads a process group."""

    def __init__(self, index, command, shown, port, line, output):
        self.index, self.command, self.shown = index, command, shown
        self.port, self.output = port, output
        with open(output, "w") as file:
            self.process = subprocess.Popen(
                ["bash", "-c", line], stdout=file, stderr=file,
                stdin=subprocess.DEVNULL, preexec_fn=as_in_a_terminal)
        wait_for(lambda: "listening:" in self.printed() or self.has_ended())

    def printed(self):
        return self.output.read_text(errors="replace")

    def has_ended(self):
        return self.process.poll() is not None

    def end(self):
        """As Ctrl-C does: the signal goes to all processes of the command."""
        with contextlib.suppress(ProcessLookupError):
            for number in (signal.SIGINT, signal.SIGKILL):
                os.killpg(self.process.pid, number)
                wait_for(self.has_ended)


class Runner:
    """Runs the commands of a document, in the current folder."""

    def __init__(self, document):
        self.document, self.folder = document, Path(tempfile.mkdtemp(dir=Path("..").resolve()))
        self.servers, self.own = [], {"8080": "8080"}
        self.shell = subprocess.Popen(["bash"], stdin=subprocess.PIPE,
                                      stdout=subprocess.PIPE, text=True)
        # In a terminal, curl shows no progress of what it prints there.
        self.tell('curl() { command curl --silent --show-error "$@"; }')

    def tell(self, line):
        self.shell.stdin.write(line + "\n")
        self.shell.stdin.flush()

    def with_own_ports(self, text):
        """Replaces the ports of the document by others."""
        ports = "|".join(self.own)
        return re.sub(rf"\b({ports})\b", lambda m: self.own[m.group()], text)

    def run(self):
        for fence in self.document.fences:
            body = fence.body if fence.language == "console" else []
            starts = [i for i, line in enumerate(body) if line.startswith("$ ")]
            for start, end in zip(starts, starts[1:] + [len(body)]):
                index, command = fence.first + 1 + start, body[start][2:]
                if NOT_RUN.search(command) or self.shell.poll() is not None:
                    continue
                excused = needs_absent_part(command)
                if not excused and SERVER.search(command):
                    self.start(index, command, body[start + 1 : end])
                elif not excused:
                    excused = self.execute(index, command, body[start + 1 : end])
                if excused:
                    self.document.wrong(index, "not checked: " + command)
                    break  # The commands behind it may need what it starts.
        self.end_servers(lambda server: True)

    def execute(self, index, command, shown):
        """Returns whether its failure is excused."""
        output = self.folder / "printed"
        line = shlex.quote(self.with_own_ports(command))
        self.tell(f"eval {line} >{shlex.quote(str(output))} 2>&1 </dev/null; echo $?")
        if not select.select([self.shell.stdout], [], [], 30 * PATIENCE)[0]:
            self.document.wrong(index, f"{command} does not end")
            return self.shell.kill()
        status = self.shell.stdout.readline().strip()
        if command.endswith("&"):  # A person needs longer for the next command.
            time.sleep(PATIENCE / 10)
        printed = output.read_text(errors="replace")
        if not is_excused(printed):
            self.compare(index, command, shown, printed, status)
        return is_excused(printed)

    def is_shown(self, shown, printed):
        return not shown or looks_like(printed, map(self.with_own_ports, shown))

    def compare(self, index, command, shown, printed, status="0"):
        problem = ""
        if not self.is_shown(shown, printed):
            problem = "prints something else"
        elif not shown and status != "0":
            problem = "fails"
        if problem:
            self.document.wrong(index, f"{command} {problem}:\n{printed[-2000:].rstrip()}")

    def start(self, index, command, shown):
        name, port = SERVER.search(command).groups()
        port = port or usual_port(name)
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
            wait_for(lambda: self.is_shown(server.shown, server.printed()))
            server.end()
            self.compare(server.index, server.command, server.shown, server.printed())


def run(paths):
    """Runs all documents at once, because most commands wait: each in a copy of the
    kit, and in a session where nothing is left running. Returns the exit status."""
    if "RUNS_COMMANDS" in os.environ:
        sys.exit("a command of a document runs all commands again")
    # A reader does not have what make and bats tell the programs below them.
    environment = {name: value for name, value in os.environ.items()
                   if not re.match("BATS_|MAKEFLAGS|MFLAGS|MAKELEVEL", name)}
    environment.update(LC_ALL="C", RUNS_COMMANDS="yes")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    status, sessions, guards = 0, [], []
    with tempfile.TemporaryDirectory() as folder:
        try:
            # A long document takes longest: it begins first.
            for number, path in enumerate(sorted(paths, key=os.path.getsize, reverse=True)):
                if "```console" not in Path(path).read_text(encoding="utf-8"):
                    continue
                kit = Path(folder, str(number), "kit")
                shutil.copytree(".", kit, symlinks=True, ignore=shutil.ignore_patterns(
                    ".git", "build", "out", "mine", "node_modules"))
                sessions.append(subprocess.Popen(
                    [sys.executable, os.path.abspath(sys.argv[0]), "run-here", path],
                    cwd=kit, env=environment, start_new_session=True,
                    stdout=subprocess.PIPE, text=True))
                guards.append(subprocess.Popen(
                    ["bash", "-c", GUARD, str(sessions[-1].pid)],
                    stdin=subprocess.PIPE, start_new_session=True))
            for session in sessions:
                print(session.communicate()[0], end="", flush=True)
                status |= session.returncode
        finally:
            for guard in guards:
                guard.communicate()
    return status
