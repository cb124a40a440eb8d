"""Inside gdb: runs one scene, and writes its steps with complete states.

The program stops at each entry and return of a system call, and at each line
for which sentences.py has a sentence. At the entry of a call in which it would
sleep, the clients act: nothing depends on a clock.
"""
import json
import os
import re
import resource
import sys
import traceback

import gdb

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import calls
import kernel
import scenes
import sentences


class Stepper:
    def __init__(self, scene):
        self.scene, self.turns = scene, list(scene["turns"])
        names = dict.fromkeys(a[0] for turn in self.turns for a in turn)
        self.clients = {name: kernel.Client(name, scene.get("lazy", False))
                        for name in names}
        self.recording = scene.get("setup", False)
        self.steps, self.call, self.done = [], None, False

    def values(self, name, value):
        """Pairs of a name and a text; none for what is not worth showing."""
        kind = value.type.strip_typedefs()
        if kind.code == gdb.TYPE_CODE_BOOL:
            return [[name, "true" if value else "false"]]
        if kind.code == gdb.TYPE_CODE_INT:
            number, size = int(value), kind.sizeof
            if name == "operation":
                return [[name, calls.OPERATIONS[number]]]
            if name == "events":
                return [[name, calls.bits(number)]]
            unset = number % 256 ** size == int("FE" * size, 16)
            return [[name, "not set" if unset else str(number)]]
        if name.endswith("unsent"):
            return [[name, f"{len(value.string())} bytes"]]
        if name == "c":
            return [pair for field in ("received", "unsent", "made", "sent")
                    if field in kind.target().keys()
                    for pair in self.values("c->" + field, value[field])]
        return []

    def variables(self, frame, line):
        """Of one function: those that are declared above the line."""
        found, block = [], frame.block()
        while not block.function:
            found, block = list(block) + found, block.superblock
        found = [s for s in list(block) + found
                 if s.is_argument or s.is_variable and s.line < line]
        pairs, names = [], [s.name for s in found]
        for symbol in found:
            value = symbol.value(frame)
            if symbol.name == "events" and "ready" in names:
                for i in range(int(frame.read_var("ready"))):
                    fd, mask = calls.event(int(value.address), i)
                    pairs.append([f"events[{i}]", f"{fd} {calls.bits(mask)}"])
            elif symbol.name not in ("argc", "argv"):
                pairs += self.values(symbol.name, value)
        shortage = gdb.lookup_static_symbol("shortage")
        if shortage and shortage.value():
            pairs.append(["shortage", "true"])
        return pairs

    def process(self, status):
        if status == "ended":
            return dict(status=status, stack=[], vars=[])
        frames = calls.frames()
        if frames:
            self.line, self.fn = frames[0][1], frames[0][0].name()
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
                               state=state, **more))

    def act(self, status):
        turn = self.turns.pop(0)
        for name, action, *text in turn:
            if action == "acknowledge":
                self.kernel.in_time(0.035)  # the kernel does so after 0.04 s
            told = self.clients[name].act(action, *text)
            self.step("client", status, self.steps[-1]["state"]["process"],
                      client=name, action=told, verb=action)
        return turn

    def entry(self):
        call = self.call = self.calls.entry()
        if not self.kernel.would_sleep(call):
            return
        self.recording, status = True, "asleep in " + call["fn"]
        self.step("sleep", status, call=call)
        while self.kernel.would_sleep(call):
            if not self.turns:
                self.done = True
                if self.steps[-1]["kind"] == "client":
                    self.step("sleep", status, call=call)
                return
            if not self.act(status):
                return  # its time will be over

    def back(self):
        call, self.call = self.call, None
        self.calls.back(call)
        self.kernel.follow(call)
        if call["fn"] != "close" or call.get("client"):
            self.step("call", "back from " + call["fn"], call=call)

    def ended(self):
        if not self.call or self.call["fn"] != "exit":
            raise RuntimeError("the program has ended")
        self.step("call", "ended", call=dict(self.call, result=""))
        while self.turns:
            self.act("ended")

    def breakpoints(self, source):
        """On each line that has a sentence. Returns their addresses."""
        places = set()
        main = gdb.lookup_global_symbol("main")
        for name, first, last in sentences.functions(source):
            for n in range(first, last + 1):
                found = main.symtab.linetable().line(n)
                if not found or not sentences.rule(name, source[n - 1]):
                    continue
                # A line may have several places; after a call it is running.
                pc = min(place.pc for place in found)
                if source[n - 1].strip().startswith("while"):
                    # gcc begins a loop with a jump to its condition.
                    code = gdb.selected_frame().architecture().disassemble(pc)
                    jump = re.match(r"(?:jmp|b) +0x(\w+)", code[0]["asm"])
                    pc = int(jump[1], 16) if jump else pc
                places.add(pc)
        for pc in places:
            gdb.Breakpoint(f"*{pc:#x}", internal=True).silent = True
        return places

    def run(self, source):
        calls.start(f"{kernel.PORT} {self.scene.get('mode', '')}"
                    " >/dev/null 2>&1 </dev/null")
        pid = gdb.selected_inferior().pid
        self.kernel = kernel.Kernel(pid, self.clients)
        if "limit" in self.scene:
            resource.prlimit(pid, resource.RLIMIT_NOFILE,
                             (self.scene["limit"],) * 2)
        self.calls = calls.Calls()
        places = self.breakpoints(source)
        while not self.done:
            gdb.execute("continue", to_string=True)
            if not gdb.selected_inferior().pid:
                return self.ended()
            if self.call:
                self.back()
            elif gdb.selected_frame().pc() in places:
                self.step("line", "running")
            else:
                self.entry()


try:
    stepper = Stepper(scenes.SCENES[os.environ["REPLAY_SCENE"]])
    with open("server.c") as file:
        stepper.run(file.read().split("\n")[:-1])
    with open("steps", "w") as file:
        json.dump(stepper.steps, file)
except Exception:  # gdb itself would end with status 0
    traceback.print_exc(file=sys.stdout)
    gdb.execute("quit 1")
