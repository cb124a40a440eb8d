#!/usr/bin/env python3
"""Records scenes: record.py [--check] [SCENE...], all of them without SCENE.

Builds each program, runs it below gdb in a network namespace of its own, where
nobody else sends, and writes recordings/SCENE.js. With --check it writes
nothing, and compares: the code of the program, and the events.
Exit status 77: this machine does not permit it.
"""
import concurrent.futures
import ctypes
import difflib
import fcntl
import functools
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
CC = os.environ.get("CC", "gcc")
# An unset variable must look unset, and each line must have its code.
FLAGS = ["-O0", "-g", "-no-pie", "-w"]
UNSET = "-ftrivial-auto-var-init=pattern"


class Impossible(Exception):
    """What this machine lacks, or does not permit."""


class Wrong(Exception):
    """A program that does not compile, or a recording that fails."""


class Slow(Wrong):
    """A scene in which a timer of the kernel is faster than this machine."""


def enter_namespace():
    """Starts this script again, in a new network namespace."""
    unshare = ["unshare", "-n" if os.geteuid() == 0 else "-rn"]
    for tool in ("gdb", "ip", "unshare", CC):
        if not shutil.which(tool):
            raise Impossible(f"{tool} is missing (make practice-deps)")
    if subprocess.run([*unshare, "true"], stderr=subprocess.DEVNULL).returncode:
        raise Impossible("network namespaces are not permitted here")
    os.environ["REPLAY_NAMESPACE"] = "1"
    os.execvp("unshare", [*unshare, sys.executable, *sys.argv])


def own_network():
    """Another namespace for this process, where no port is in use. Its route
    makes a timer long that limits TCP_CORK to 200 ms."""
    if ctypes.CDLL(None, use_errno=True).unshare(0x40000000) == -1:
        raise Impossible("network namespaces are not permitted here")
    with socket.socket() as s:
        fcntl.ioctl(s, 0x8914, struct.pack("16sH14x", b"lo", 0x49))
    subprocess.run("ip route replace local 127.0.0.0/8 dev lo table local"
                   " src 127.0.0.1 rto_min 20s && ip route del local 127.0.0.1"
                   " dev lo table local", shell=True, check=True)


@functools.lru_cache(None)
def shows_unset():
    """Whether the compiler can make unset variables visible."""
    return subprocess.run([CC, UNSET, "-E", "-x", "c", "/dev/null"],
                          capture_output=True).returncode == 0


def build(directory, text, include):
    with open(directory + "/server.c", "w") as file:
        file.write(text)
    done = subprocess.run(
        [CC, *FLAGS, *[UNSET] * shows_unset(), "-I", include, "-o", "server",
         "server.c", "-pthread"], cwd=directory, text=True, capture_output=True)
    if done.returncode:
        raise Wrong(done.stderr)


def run(directory, **job):
    """Returns the steps, with complete states, and what each client got."""
    with open(directory + "/job", "w") as file:
        json.dump(job, file)
    environment = dict(os.environ, LC_ALL="C", SHELL="/bin/sh")
    for attempt in range(10):
        # gdb's end is that of the program, too.
        gdb = subprocess.Popen(
            ["gdb", "-nx", "-batch", "-x", HERE + "/stepper.py", "server"],
            cwd=directory, env=environment, text=True, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        try:
            told = gdb.communicate(timeout=120)[0]
        except subprocess.TimeoutExpired:
            gdb.kill()
            told = gdb.communicate()[0] + "\nIt took more than 120 seconds."
        if gdb.returncode == 0:
            with open(directory + "/steps") as file:
                return json.load(file)
        if re.search(r"During startup|Errno (1|38)\] pidfd", told):
            raise Impossible("ptrace or pidfd_getfd is not permitted here")
        if re.search("scripting is not supported|has no attribute", told):
            raise Impossible("this gdb is older than gdb 10, or has no Python")
        if "too slow" not in told:
            break
    slow = "too slow" in told
    if job["mine"]:
        told = told.strip().rsplit("\n", 1)[-1]
    raise (Slow if slow else Wrong)(
        f"{job['scene']}, try {attempt + 1}: {told}")


def finish(steps, program, source, known, ends=True):
    """Adds the sentences; keeps of each state only what has changed."""
    done, before, calls, call = [], {}, 0, None
    for step in steps:
        state, call = step["state"], step.get("call", call)
        state["wait"] = sentences.waits(program, state, call)
        told = sentences.sentence(step, before, source[step["line"] - 1],
                                  ends and step is steps[-1], known)
        if not told:
            continue
        calls += step["kind"] == "call"
        new = dict(kind=step["kind"], line=step["line"], fn=step["fn"],
                   sentence=told, calls=calls, turn=step["turn"])
        if step["kind"] == "client":
            new.update(client=step["client"], action=step["action"])
        if step["kind"] in ("call", "sleep"):
            new["call"] = {key: call[key] for key in (
                "fn", "text", "result", "events", "role", "on") if key in call
                and (step["kind"] == "call" or key not in ("result", "events"))}
        new["state"] = {key: value for key, value in state.items()
                        if before.get(key, ...) != value}
        before = state
        done.append(new)
    return done


def read(path):
    with open(os.path.join(TOP, path), errors="replace") as file:
        return file.read()


def about_source(path, base, original, text):
    """What a recording says about the program: original is the file, text what
    ran. update.py calls it again when comments have changed."""
    source = old = text.rstrip("\n").split("\n")
    if base:
        old = read(base).split("\n")
    match = difflib.SequenceMatcher(None, old, source, autojunk=False)
    change = "".join(difflib.unified_diff(
        original.splitlines(True), text.splitlines(True), path, path))
    return dict(
        sha256=hashlib.sha256(original.encode()).hexdigest(),
        **({"change": change} if change else {}), base=base, source=source,
        isNew=[n + 1 for kind, _, _, first, end in match.get_opcodes()
               if kind != "equal" for n in range(first, end)],
        functions=sentences.functions(source))


def sources(scene, path=None):
    """The file of a scene, and what runs."""
    text = read(path or scenes.FILES[scene["program"]][0])
    old, new = scene.get("change", ("", "")) if not path else ("", "")
    if old and text.count(old) != 1:
        raise Wrong(f"not in the program, or not once:\n{old}")
    return text, text.replace(old, new) if old else text


def record(name, path=None):
    """The recording of a scene; with path, of another program than its own."""
    scene = scenes.SCENES[name]
    own, base = scenes.FILES[scene["program"]]
    original, text = sources(scene, path)
    known = [f for f, _, _ in sentences.functions(text.split("\n"))]
    if path:
        known = sentences.trusted(text.split("\n"), [
            read(f).split("\n") for f, _ in scenes.FILES.values()
            if os.path.exists(f"{TOP}/{f}")])
    own_network()
    with tempfile.TemporaryDirectory() as directory:
        build(directory, text, os.path.join(TOP, os.path.dirname(path or own)))
        ran = run(directory, scene=name, mine=bool(path), trusted=known)
    program = "yours" if path else scene["program"]
    if "hidden" in scene:  # it begins with the sleep after these turns
        shown = [s for s in ran["steps"] if s["turn"] >= scene["hidden"]]
        last = max(i for i, s in enumerate(shown) if s["turn"] == scene["hidden"])
        ran["steps"] = [dict(s, turn=s["turn"] - scene["hidden"])
                        for s in shown[last:]]
    steps = finish(ran["steps"], program, text.split("\n"), known)
    steps[0]["sentence"] = scene.get("begins", steps[0]["sentence"])
    notes = [] if shows_unset() or not path else [
        "This compiler cannot mark variables that are not set: such a variable"
        " shows what was in its memory before."]
    return dict(
        id="mine-" * bool(path) + name, title=scene["title"], program=program,
        file=path or own, **({"notes": notes} if notes else {}),
        **about_source(path or own, base, original, text),
        clients=[c["name"] for c in steps[0]["state"]["clients"]],
        # The responses of f_pipelining contain the time.
        **({"got": ran["got"]} if scene["program"][:2] == "ex" else {}),
        wakes=[i for i, step in enumerate(steps)
               if step.get("call", {}).get("events")], steps=steps,
        **({"listens": ran["listens"]} if path else {}))


def script(recording, add="replay.add"):
    """The text of recordings/NAME.js: one step per line."""
    def compact(value):
        return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    head = {k: v for k, v in recording.items() if k != "steps"}
    return f'{add}({compact(head)[:-1]},"steps":[\n' + \
        ",\n".join(map(compact, recording["steps"])) + "\n]});\n"


def load(path, add="replay.add"):
    return json.loads(read(path)[len(add + "("):-len(");\n")])


def stored(name):
    """The stored recording of a scene, or None."""
    path = f"{HERE}/recordings/{name}.js"
    return load(path) if os.path.exists(path) else None


def difference(name, recording):
    """How the recording in the repository differs, or None."""
    def events(recording):
        steps = [s for s in recording["steps"] if s["kind"] != "line"]
        return [[s.get("call"), s.get("client"), s.get("action")]
                for s in steps] + ["the end"]
    old = stored(name)
    if not old:
        return "there is no recording"
    then, now = (sentences.code(r["source"]) for r in (old, recording))
    if [line for _, line in then] != [line for _, line in now]:
        return f"{old['file']} has changed since the recording (make record)"
    return next((f"event {i} was {a}, now it is {b}" for i, (a, b) in enumerate(
        zip(events(old), events(recording))) if a != b), None)


def side_by_side(jobs, work=None):
    """Records each job, a tuple of record's arguments, on all processors.
    Yields the recordings in order. work: instead of record, of one job."""
    with concurrent.futures.ProcessPoolExecutor(os.cpu_count()) as pool:
        yield from pool.map(work, jobs) if work else \
            pool.map(record, *zip(*jobs))


def unless_slow(job):
    """The recording, or None."""
    try:
        return record(*job)
    except Slow:
        return None


def main():
    names = [a for a in sys.argv[1:] if a != "--check"]
    unknown = [n for n in names if n not in scenes.SCENES]
    if unknown:
        sys.exit(f"replay: no scene {unknown[0]}; there are: " +
                 " ".join(scenes.STORED))
    if "REPLAY_NAMESPACE" not in os.environ:
        enter_namespace()
    failed, names = False, [
        n for n in names or scenes.STORED if os.path.exists(
            f"{TOP}/{scenes.FILES[scenes.SCENES[n]['program']][0]}")]
    recordings = side_by_side([(name, None) for name in names], unless_slow)
    for name, recording in zip(names, recordings):
        path = f"{HERE}/recordings/{name}.js"
        if not recording:
            print(f"{name}: left as it is, because this machine is too slow"
                  " for it", flush=True)
        elif "--check" in sys.argv:
            told = difference(name, recording)
            failed = failed or told is not None
            print(f"{name}: {told or 'the same events'}", flush=True)
        else:
            with open(path, "w") as file:
                file.write(script(recording))
            print(f"{name}: {len(recording['steps'])} steps,"
                  f" {os.path.getsize(path):,} bytes", flush=True)
    files = [f for f, _ in scenes.FILES.values()]
    if "--check" in sys.argv and all(os.path.exists(f"{TOP}/{f}") for f in files):
        for unused in sentences.unused([read(f).split("\n") for f in files]):
            failed = True
            print(f"sentences.py: no line fits the rule {unused}")
    sys.exit(failed)


def command(work):
    """Runs the work of a script, and says what it could not do."""
    try:
        work()
    except Impossible as why:
        print("replay: skipped:", why)
        sys.exit(77)
    except Wrong as why:
        sys.exit(f"replay: {why}")


if __name__ == "__main__":
    command(main)
