#!/usr/bin/env python3
"""Records scenes: record.py [--check] [SCENE...], all of them without SCENE.

Builds each program, runs it below gdb in a network namespace of its own, where
nobody else sends, and writes recordings/SCENE.js. With --check it writes
nothing, and compares: the code without comments, and the events.
Exit status 77: this machine does not permit it.
"""
import difflib
import fcntl
import hashlib
import json
import os
import re
import shutil
import socket
import struct
import subprocess
import sys
import tempfile

import scenes
import sentences

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(HERE)


def skip(why):
    print("replay: skipped:", why)
    sys.exit(77)


def enter_namespace():
    """Starts this script again, in a new network namespace."""
    unshare = ["unshare", "-n" if os.geteuid() == 0 else "-rn"]
    if not shutil.which("gdb"):
        skip("gdb is missing (make replay-deps)")
    if subprocess.run([*unshare, "true"], stderr=subprocess.DEVNULL).returncode:
        skip("network namespaces are not permitted here")
    os.environ["REPLAY_NAMESPACE"] = "1"
    os.execvp("unshare", [*unshare, sys.executable, *sys.argv])


def prepare_network():
    """Starts lo, and makes a timer long that limits TCP_CORK to 200 ms."""
    up = struct.pack("16sH14x", b"lo", 0x49)
    with socket.socket() as s:
        fcntl.ioctl(s, 0x8914, up)
    setting = "/proc/sys/net/ipv4/tcp_rto_min_us"
    if os.access(setting, os.W_OK):  # since Linux 6.11
        with open(setting, "w") as file:
            file.write("20000000")


def build(directory, scene, text):
    if "change" in scene:
        old, new = scene["change"]
        if text.count(old) != 1:
            sys.exit(f"replay: not in the program, or not once:\n{old}")
        text = text.replace(old, new)
    with open(directory + "/server.c", "w") as file:
        file.write(text)
    # An unset variable must look unset, and each line must have its code.
    subprocess.run(
        [os.environ.get("CC", "gcc"), "-O0", "-g", "-no-pie", "-w",
         "-ftrivial-auto-var-init=pattern", "-o", "server", "server.c"],
        check=True, cwd=directory)
    return text


def run(directory, name):
    """Returns the steps, with complete states."""
    environment = dict(os.environ, REPLAY_SCENE=name, LC_ALL="C")
    for attempt in range(10):
        done = subprocess.run(
            ["gdb", "-nx", "-batch", "-x", HERE + "/stepper.py", "server"],
            cwd=directory, env=environment, text=True, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        if done.returncode == 0:
            with open(directory + "/steps") as file:
                return json.load(file)
        if re.search(r"During startup|Errno (1|38)\] pidfd", done.stdout):
            skip("ptrace or pidfd_getfd is not permitted here")
        if "too slow" not in done.stdout:
            break
    sys.exit(f"{name}, try {attempt + 1}: {done.stdout}")


def finish(steps, program, source):
    """Adds the sentences; keeps of each state only what has changed."""
    done, before, calls, call = [], {}, 0, None
    for step in steps:
        state, call = step["state"], step.get("call", call)
        state["wait"] = sentences.waits(program, state, call)
        told = sentences.sentence(step, before, source[step["line"] - 1],
                                  step is steps[-1])
        if not told:
            continue
        calls += step["kind"] == "call"
        new = dict(kind=step["kind"], line=step["line"], fn=step["fn"],
                   sentence=told, calls=calls)
        if step["kind"] == "client":
            new.update(client=step["client"], action=step["action"])
        if step["kind"] == "sleep":
            new["call"] = dict(fn=call["fn"], text=call["text"])
        if step["kind"] == "call":
            new["call"] = {key: call[key] for key in
                           ("fn", "text", "result", "events") if key in call}
        new["state"] = {key: value for key, value in state.items()
                        if before.get(key, ...) != value}
        before = state
        done.append(new)
    return done


def about_source(path, base, original, text):
    """What a recording says about the program: original is the file, text what
    ran. update.py calls it again when comments have changed."""
    source = old = text.split("\n")[:-1]
    if base:
        with open(f"{TOP}/{base}") as file:
            old = file.read().split("\n")
    match = difflib.SequenceMatcher(None, old, source, autojunk=False)
    change = "".join(difflib.unified_diff(
        original.splitlines(True), text.splitlines(True), path, path))
    return dict(
        sha256=hashlib.sha256(original.encode()).hexdigest(),
        **({"change": change} if change else {}), base=base, source=source,
        isNew=[n + 1 for kind, _, _, first, end in match.get_opcodes()
               if kind != "equal" for n in range(first, end)],
        functions=sentences.functions(source))


def record(directory, name):
    scene = scenes.SCENES[name]
    path, base = scenes.FILES[scene["program"]]
    with open(f"{TOP}/{path}") as file:
        original = file.read()
    text = build(directory, scene, original)
    steps = finish(run(directory, name), scene["program"], text.split("\n")[:-1])
    return dict(
        id=name, title=scene["title"], program=scene["program"], file=path,
        **about_source(path, base, original, text),
        clients=[c["name"] for c in steps[0]["state"]["clients"]],
        wakes=[i for i, step in enumerate(steps)
               if step.get("call", {}).get("events")], steps=steps)


def script(recording):
    """The text of recordings/NAME.js: one step per line."""
    def compact(value):
        return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    head = {k: v for k, v in recording.items() if k != "steps"}
    return f'replay.add({compact(head)[:-1]},"steps":[\n' + \
        ",\n".join(map(compact, recording["steps"])) + "\n]});\n"


def load(path):
    with open(path) as file:
        return json.loads(file.read()[len("replay.add("):-len(");\n")])


def difference(path, recording):
    """How the recording in the repository differs, or None."""
    def events(recording):
        steps = [s for s in recording["steps"] if s["kind"] != "line"]
        return [[s.get("call"), s.get("client"), s.get("action")]
                for s in steps] + ["the end"]
    if not os.path.exists(path):
        return "there is no recording"
    old = load(path)
    then, now = (sentences.code(r["source"]) for r in (old, recording))
    if [line for _, line in then] != [line for _, line in now]:
        return f"{old['file']} has changed since the recording (make record)"
    return next((f"event {i} was {a}, now it is {b}" for i, (a, b) in enumerate(
        zip(events(old), events(recording))) if a != b), None)


def main():
    names = [a for a in sys.argv[1:] if a != "--check"]
    unknown = [n for n in names if n not in scenes.SCENES]
    if unknown:
        sys.exit(f"replay: no scene {unknown[0]}; there are: " +
                 " ".join(scenes.SCENES))
    if "REPLAY_NAMESPACE" not in os.environ:
        enter_namespace()
    prepare_network()
    failed = False
    for name in names or scenes.SCENES:
        path = f"{HERE}/recordings/{name}.js"
        with tempfile.TemporaryDirectory() as directory:
            recording = record(directory, name)
        if "--check" in sys.argv:
            told = difference(path, recording)
            failed = failed or told is not None
            print(f"{name}: {told or 'the same events'}")
        else:
            with open(path, "w") as file:
                file.write(script(recording))
            print(f"{name}: {len(recording['steps'])} steps,"
                  f" {os.path.getsize(path):,} bytes")
    sys.exit(failed)


if __name__ == "__main__":
    main()
