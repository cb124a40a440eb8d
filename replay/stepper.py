"""Inside gdb: runs one scene, and writes its steps with complete states.

The program stops at each entry and return of a system call, and at each line
for which sentences.py has a sentence. At the entry of a call in which it would
sleep, the clients act: nothing depends on a clock.
"""
import contextlib
import json
import os
import re
import resource
import signal
import sys
import threading
import time
import traceback

import gdb

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import calls
import kernel
import scenes
import sentences

IDLE = 50  # calls between two turns that change nothing: the program spins
SHOWN = 6  # how many of them are shown
SHOWN_TYPES = (gdb.TYPE_CODE_BOOL, gdb.TYPE_CODE_ENUM, gdb.TYPE_CODE_INT,
               gdb.TYPE_CODE_PTR)
FLOOD = 100000  # bytes on stdout between two turns


class Stepper:
    """mine: a program of which nothing is known. It may do anything."""

    def __init__(self, scene, mine, trusted):
        self.scene, self.turns = scene, list(scene["turns"])
        self.mine, self.trusted = mine, trusted
        names = scene.get("names") or dict.fromkeys(
            a[0] for turn in self.turns for a in turn)
        self.clients = {name: (kernel.Server if name[1:] else kernel.Client)(
            name, scene.get("lazy", False)) for name in names}
        self.recording = scene.get("setup", False)
        self.hurry = scene.get("hurry", False)
        self.steps, self.call, self.done, self.turn = [], None, False, 0
        self.idle, self.idle_at, self.printed, self.skipped = 0, [], 0, 0
        self.visits, self.fresh = {}, set()
        self.line, self.fn, self.wait_line, self.early = 1, "main", 0, 0
        self.event, self.since, self.stuck = None, None, None
        self.port, self.listens, self.naps = None, None, 0

    def values(self, name, value, inner=False):
        """Pairs of a name and a text; none for what is not worth showing."""
        kind = value.type.strip_typedefs()
        if kind.code == gdb.TYPE_CODE_BOOL:
            return [[name, "true" if value else "false"]]
        if kind.code == gdb.TYPE_CODE_ENUM:
            return [[name, str(value)]]
        if kind.code == gdb.TYPE_CODE_INT:
            number, size = int(value), kind.sizeof
            if name == "operation" and number in calls.OPERATIONS:
                return [[name, calls.OPERATIONS[number]]]
            if re.search(r"\b(events|watched)$", name):
                return [[name, calls.bits(number)]]
            unset = number % 256 ** size in (  # the patterns of gcc and clang
                int("FE" * size, 16), int("AA" * size, 16))
            return [[name, "not set" if unset else str(number)]]
        if kind.code != gdb.TYPE_CODE_PTR:
            return []
        if name.endswith("unsent"):
            return [[name, f"{len(value.string())} bytes"]]
        to = kind.target().strip_typedefs()
        if to.code == gdb.TYPE_CODE_STRUCT and not inner and not re.match(
                "_|sockaddr|epoll_event|addrinfo", to.tag or "_"):
            return [pair for field in to.fields() if field.name
                    for pair in self.value(f"{name}->{field.name}",
                                           lambda: value[field.name], True)][:4]
        return []

    def value(self, name, read, inner=False):
        try:
            return self.values(name, read(), inner)
        except (gdb.error, UnicodeDecodeError):  # it points nowhere
            return []

    def variables(self, frame, line):
        """Of one function: those whose declaration ends above the line."""
        found, block = [], frame.block()
        while not block.function:
            found, block = list(block) + found, block.superblock
        found = [s for s in list(block) + found
                 if s.is_argument or s.is_variable and ";" in "".join(
                     self.code[s.line - 1:line - 1])]
        pairs = []
        for symbol in found:
            if symbol.name == "events" and symbol.type.code == \
                    gdb.TYPE_CODE_ARRAY:
                if self.wait_line and line > self.wait_line:
                    pairs += [[f"events[{i}]", f"{fd} {mask}"] for i, (fd, mask)
                              in enumerate(self.reported)]
            elif symbol.name not in ("argc", "argv") and \
                    symbol.type.strip_typedefs().code in SHOWN_TYPES:
                pairs += self.value(symbol.name, lambda: symbol.value(frame))
        shortage = gdb.lookup_static_symbol("shortage")
        if shortage and shortage.type.code == gdb.TYPE_CODE_BOOL and \
                shortage.value():
            pairs.append(["shortage", "true"])
        with contextlib.suppress(gdb.error):  # other programs have none
            if self.fn == "main" and gdb.parse_and_eval(
                    "connections[fd].closing"):
                pairs.append(["closing", "true"])
        return pairs

    def process(self, status):
        if status == "ended":
            return dict(status=status, stack=[], vars=[])
        frames = calls.frames()
        if frames:
            frame, self.line = next((f for f in frames if f[0].name() not in
                                     self.wrappers), frames[0])
            self.fn = frame.name()
        return dict(status=status, stack=[f.name() for f, _ in frames][::-1],
                    vars=self.variables(*frames[0]) if frames else [])

    def step(self, kind, status, process=None, **more):
        if not self.recording:
            return
        process = process or self.process(status)
        ended = status == "ended"
        sockets = [] if ended else self.kernel.sockets()
        for client in self.clients.values():
            client.read()
        state = dict(process=process, sockets=sockets,
                     epoll=None if ended else self.kernel.entries(),
                     clients=[c.shown() for c in self.clients.values()])
        self.steps.append(dict(kind=kind, line=self.line, fn=self.fn,
                               turn=self.turn, state=state, **more))

    def note(self, status, sentence, process=None):
        self.recording = True
        self.step("note", status, process, sentence=sentence)

    def give_up(self, sentence):
        """The rest cannot be shown."""
        self.note("running", sentence)
        self.done = True

    def act(self, status):
        turn = self.turns.pop(0)
        self.turn += 1
        self.idle, self.idle_at, self.printed, self.skipped = 0, [], 0, 0
        self.visits = {}
        process = self.process(status) if status == "ended" else \
            self.steps[-1]["state"]["process"]
        for name, action, *text in turn:
            if action == "acknowledge" and self.hurry:
                self.kernel.in_time(0.035)  # the kernel does so after 0.04 s
            told = self.clients[name].act(action, *text)
            if told:
                self.step("client", status, process, client=name, action=told,
                          verb=action)
        return turn

    def first_sleep(self):
        """The scene begins here, if it does not begin with the first call."""
        if "limit" in self.scene:
            limit = self.kernel.descriptors()[-1] + 1 + self.scene["limit"]
            resource.prlimit(self.pid, resource.RLIMIT_NOFILE, (limit, limit))
        self.recording, self.scene = True, {}

    def entry(self):
        call = self.call = self.calls.entry()
        fn, fd = call["fn"], call["fd"]
        call["on"] = self.kernel.on(fd) if calls.ARGUMENTS.get(fn, "").startswith(
            "{fd}") and fn not in ("exit", "epoll_create") else None
        if fn in ("read", "readv", "write", "writev") and \
                call["on"] not in self.clients:
            call["role"] = fn
        if call["strange"]:
            what = calls.STRANGE[call["text"][:-2]]
            return self.give_up(f"The program {what}. That is not shown." if what
                                else "The replay does not know the call"
                                f" {call['text'][:-2]}.")
        if call["role"] == "wait":
            self.wait_line = 0
        if fn != "nanosleep" and not self.kernel.would_sleep(call):
            return None
        self.first_sleep()
        status = "asleep in " + fn
        self.step("sleep", status, call=call)
        while fn == "nanosleep" or self.kernel.would_sleep(call):
            if not self.turns:
                self.naps += fn == "nanosleep"
                self.done = fn != "nanosleep" or self.naps > 10
                if self.steps[-1]["kind"] == "client":
                    self.step("sleep", status, call=call)
                return None
            if not self.act(status) and 0 < call.get("timeout", 0) <= 2000 or \
                    fn == "nanosleep":
                return None  # its time will be over
        return None

    def back(self):
        call, self.call = self.call, None
        self.calls.back(call, self.kernel.ready)
        self.kernel.follow(call)
        fn = call["fn"]
        self.port = call.get("port", self.port)
        if fn == "listen" and call["value"] == 0:
            self.listens = self.port or "any"
        if fn == "ioctl" and not call["ours"] or call.get("command") in (
                "F_GETFL", "F_GETFD", "F_SETFD") or \
                fn == "close" and not call.get("client") or \
                call["role"] in ("read", "readv"):
            self.skipped += 1
            if self.skipped > 20 * IDLE:
                self.spins(f"The program calls {fn} again and again.")
            return
        if call["role"] == "wait":
            frames = calls.frames()
            self.wait_line = frames[0][1] if frames else 0
            self.reported, self.fresh = call.get("events", []), set()
        if call["role"] in ("accept", "socket"):
            self.fresh.add(call["value"])
        if call["role"] == "write":
            for client in self.clients.values():  # each time, another port
                call["data"] = call.get("data", "").replace(
                    f"127.0.0.1:{client.port or '-'}", client.name)
            self.printed += max(call["value"], 1)
            last = self.steps[-1].get("call", {}) if self.steps else {}
            if self.printed > FLOOD:
                return self.spins("The program prints without end.")
            if self.mine and last.get("role") == "write" and \
                    last["fd"] == call["fd"]:
                return
        self.early += not self.recording
        if self.early > 2 * IDLE:  # it has never slept
            self.first_sleep()
        before = self.steps[-1]["state"] if self.steps else {}
        self.step("call", "back from " + fn, call=call)
        if call["role"] == "write" or not self.steps:
            return
        state = [self.steps[-1]["state"][part]
                 for part in ("sockets", "epoll", "clients")]
        # What changes and changes back, again and again, is no progress.
        visits = self.visits.setdefault(repr((fn, state)), [])
        visits.append(len(self.steps) - 1)
        if any(before.get(part) != now for part, now in
               zip(("sockets", "epoll", "clients"), state)):
            self.idle, self.idle_at = 0, []
        else:
            self.idle += 1
            self.idle_at.append(len(self.steps) - 1)
        if len(visits) > IDLE:
            self.idle_at = list(range(visits[0], len(self.steps)))
            self.idle_at = [i for i in self.idle_at if "call" in self.steps[i]]
        if self.idle > IDLE or len(visits) > IDLE:
            self.spins(sentences.spin([self.steps[i]["call"] for i in
                                       self.idle_at[SHOWN:]],
                                      self.steps[-1]["state"]))

    def spins(self, sentence):
        """It does not sleep. So the clients act now."""
        del self.steps[(self.idle_at[SHOWN:] or [len(self.steps)])[0]:]
        self.first_sleep()
        self.note("spins", sentence)
        self.done = not self.turns
        if self.turns:
            self.act("spins")

    def ended(self):
        if self.call and self.call["fn"] == "exit":
            self.recording = True
            self.step("call", "ended", call=dict(self.call, result=""))
        elif not self.mine:
            raise RuntimeError("the program has ended")
        while self.turns:
            self.act("ended")

    def signalled(self, name):
        """Returns true if the program goes on."""
        if self.stuck:
            self.give_up(self.stuck)
            return False
        number = getattr(signal, name, 0)
        with open(f"/proc/{self.pid}/status") as file:
            masks = re.findall(r"Sig(?:Ign|Cgt):\s*(\w+)", file.read())
        if any(int(mask, 16) >> number - 1 & 1 for mask in masks) or \
                name in ("SIGCHLD", "SIGWINCH", "SIGURG", "SIGCONT"):
            return True
        process = self.process("running")
        self.note("crashes", f"The program crashes in line {self.line}: {name}."
                  if name != "SIGPIPE" else "SIGPIPE ends the program: it sent"
                  " to a client that is gone.", process)
        self.steps[-1]["state"]["process"] = dict(process, status="crashes")
        gdb.execute("kill", to_string=True)
        self.call = None
        self.ended()
        return False

    def guard(self):
        """In a thread: stops a program that makes no call for so long."""
        def used():
            with open(f"/proc/{self.pid}/stat") as file:
                fields = file.read().rsplit(")", 1)[1].split()
            return fields[0], int(fields[11]) / os.sysconf("SC_CLK_TCK")
        since = None
        while not self.done:
            time.sleep(0.1)
            try:
                state, now = used()
                if since != self.since:
                    since, begun, began = self.since, now, time.monotonic()
                if not since or self.stuck:
                    continue
                with open(f"/proc/{self.pid}/syscall") as file:
                    number = file.read().split()[0]
                if now - begun > 1:
                    self.stuck = "The program goes round in a loop that makes" \
                        " no system call."
                elif state == "S" and time.monotonic() - began > 3:
                    self.stuck = number
                if self.stuck:
                    os.kill(self.pid, signal.SIGSTOP)
            except (OSError, ValueError, IndexError):
                return  # it has ended

    def go(self):
        """To the next stop. Returns the name of a signal, if there was one."""
        self.event, self.since = None, time.monotonic()
        gdb.execute("continue", to_string=True)
        self.since = None
        if (self.stuck or "").isdigit():
            told = gdb.execute("catch syscall " + self.stuck, to_string=True)
            name = re.search(r"'(\w+)'", told)
            self.stuck = f"The program sleeps in {name[1] if name else 'a call'}" \
                ", and the clients cannot wake it."
        return getattr(self.event, "stop_signal", None)

    def breakpoints(self, source):
        """On each line that has a sentence. Returns their addresses."""
        places = set()
        main = gdb.lookup_global_symbol("main")
        for name, first, last in sentences.functions(source):
            for n in range(first, last + 1):
                found = main.symtab.linetable().line(n)
                if not found or not sentences.rule(
                        name, source[n - 1], self.trusted):
                    continue
                # A line may have several places; after a call it is running.
                pc = min(place.pc for place in found)
                if source[n - 1].strip().startswith("while"):
                    # gcc begins a loop with a jump to its condition.
                    code = gdb.selected_frame().architecture().disassemble(pc)
                    jump = re.match(r"(?:jmp|b)\s+0x(\w+)", code[0]["asm"])
                    pc = int(jump[1], 16) if jump else pc
                places.add(pc)
        for pc in places:
            gdb.Breakpoint(f"*{pc:#x}", internal=True).silent = True
        return places

    def run(self, source):
        calls.start(f"{kernel.PORT} {self.scene.get('mode', '')}"
                    " >/dev/null 2>&1 </dev/null")
        gdb.execute("handle SIGPIPE stop", to_string=True)
        gdb.events.stop.connect(lambda event: setattr(self, "event", event))
        self.pid = gdb.selected_inferior().pid
        self.kernel = kernel.Kernel(self.pid, self.clients, not self.mine)
        servers = [name for name in self.clients if name[1:]]
        if servers:
            kernel.Server.listen()
        self.calls = calls.Calls(bool(servers))
        places = self.breakpoints(source)
        self.code = sentences.plain(source).split("\n")
        # Functions that only make a call: their callers say more.
        self.wrappers = {name for name, body in sentences.bodies(source).items()
                         if body.count(";") < 3 and name != "main" and
                         re.search(r"\breturn \w+\([^;]*\); \}$", body)}
        if self.mine:
            # gdb's own thread needs the signals of its child.
            mask = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
            threading.Thread(target=self.guard, daemon=True).start()
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        while not self.done:
            name = self.go()
            if not gdb.selected_inferior().pid:
                return self.ended()
            if name:
                if not self.signalled(name):
                    return None
            elif self.call:
                self.back()
            elif gdb.selected_frame().pc() in places:
                self.step("line", "running", fresh=sorted(self.fresh))
            else:
                self.entry()
        return None

    def safely(self, source):
        """A program of which nothing is known may do what nobody expects."""
        try:
            self.run(source)
        except Exception:
            if not self.mine or not self.steps or not self.call:
                raise
            traceback.print_exc(file=sys.stdout)
            self.steps.append(dict(
                self.steps[-1], kind="note", sentence="The replay does not"
                f" understand {self.call.get('text', self.call['fn'])}."))


try:
    with open("job") as file:
        job = json.load(file)
    stepper = Stepper(dict(scenes.SCENES.get(job["scene"], {}), **job.get(
        "turns", {})), job["mine"], job["trusted"])
    with open("server.c") as file:
        stepper.safely(file.read().split("\n")[:-1])
    with open("steps", "w") as file:
        json.dump(dict(steps=stepper.steps, listens=stepper.listens, got={
            c.name: c.got.decode("latin-1")
            for c in stepper.clients.values()}), file)
except Exception:  # gdb itself would end with status 0
    traceback.print_exc(file=sys.stdout)
    gdb.execute("quit 1")
