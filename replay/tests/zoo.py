#!/usr/bin/env python3
"""zoo.py [NAME...]: records programs that a student may have written, right and
wrong, in every scene of their step, and compares what the page says with
zoo.md. A NAME is the first word of a row, or all of it. --write writes zoo.md.

The programs are those of zoo/, the breaks of notes/breaks.md, and EDITS.
"""
import os
import re
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
import practice
import record
import scenes

TABLE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "zoo.md")
KIT = {n: scenes.FILES[f"ex{n}"][0] for n in "123456"}
# Name: step, the example that is changed, a line and what replaces it.
EDITS = {
    "example 1 as 2": ("2", "1", None, None),
    "example 2 as 3": ("3", "2", None, None),
    "example 3 as 4": ("4", "3", None, None),
    "example 3 as 5": ("5", "3", None, None),
    "example 3 as 6": ("6", "3", None, None),
    "example 4 as 4": ("4", "4", None, None),
    "never listens": ("3", "3", r"if \(listen\(.*", ""),
    "another port": ("3", "3", r"htons\(port\)", "htons(9000)"),
    "does not register": (
        "3", "3", r"if \(watch\(epoll, EPOLL_CTL_ADD, fd, EPOLLIN.*", "if (0)"),
    "leaks": ("3", "3", r"(complete request in[^;]*;)\s*close\(fd\);",
              r"\1 epoll_ctl(epoll, EPOLL_CTL_DEL, fd, NULL);"),
    "never reads": ("3", "3", r"ssize_t n = receive_some\(fd\);",
                    "ssize_t n = -1; errno = EAGAIN;"),
    "answers twice": (
        "3", "3", r"(ssize_t n = send_some\(fd\);)",
        r"\1 connections[fd].unsent = response; n = send_some(fd);"),
    "other bytes": ("3", "3", "Hello, world!", "Hello, World!"),
    "floods stdout": ("3", "3", r"fflush\(stdout\);", "for (;;) puts(request);"),
    "endless loop": ("4", "4", r"fflush\(stdout\);", "for (;;) length++;"),
    "null pointer": ("3", "3", r"fflush\(stdout\);", "*(char *)0 = 1;"),
    "abort": ("3", "3", r"fflush\(stdout\);", "abort();"),
    "exits": ("3", "3", r"fflush\(stdout\);", "exit(0);"),
    "sleeps a while": ("3", "3", r"fflush\(stdout\);", "usleep(100000);"),
    "pauses": ("3", "3", r"fflush\(stdout\);", "pause();"),
    "lseek and more": ("3", "3", r"fflush\(stdout\);",
                       "fflush(stdout); lseek(1, 0, 0); getpid();"),
    "does not compile": ("3", "3", r"int listener = socket", "int 1listener = socket"),
}


def programs():
    """{name: (step, text)}"""
    found = {}
    for name in sorted(os.listdir(f"{record.HERE}/tests/zoo")):
        text = record.read(f"replay/tests/zoo/{name}")
        found[name] = re.match(r"/\* ex(\d)", text)[1], text
    breaks = f"{record.TOP}/notes/breaks.md"
    breaks = record.read(breaks) if os.path.exists(breaks) else ""
    for name, number, path, diff in re.findall(
            r"^## (ex(\d): [^\n]*)\n\n`(\S+):[^\n]*`\n```diff\n(.*?)```", breaks,
            re.S | re.M):
        lines = diff.splitlines(True)
        old, new = ("".join(line[1:] for line in lines if line[0] in " " + sign)
                    for sign in "-+")
        text = record.read(path)
        assert text.count(old) == 1, name
        found[name] = number, text.replace(old, new)
    for name, (number, kit, old, new) in EDITS.items():
        text = record.read(KIT[kit])
        if old:
            text, n = re.subn(old, new, text)
            assert n == 1, (name, n)
        found[name] = number, text
    return found


def row(cells):
    return "| " + " | ".join(cells) + " |"


def show(name, number, ended):
    """The row of one program; ended: {scene: (good, sentence)}."""
    wrong = [(scene, re.sub(r"line \d+", "line N", told))
             for scene, (good, told) in ended.items() if not good]
    scene, told = wrong[0] if wrong else ("-", "nothing is wrong in "
                                          f"{len(ended)} scenes")
    others = [s for s, _ in wrong[1:]]
    return row([name, number, scene, told, ", ".join(others) or "-"])


def one(number, text, directory):
    """The jobs for a program: all scenes of its step."""
    path = tempfile.mkdtemp(dir=directory) + "/server.c"
    with open(path, "w") as file:
        file.write(text)
    return [(f"ex{number}-{scene}", path) for scene in scenes.PRACTICE[number]]


def attempt(job):
    try:
        return record.record(*job)
    except record.Wrong as why:
        return str(why)


def main():
    chosen = [a for a in sys.argv[1:] if a != "--write"]
    if "REPLAY_NAMESPACE" not in os.environ:
        record.enter_namespace()
    every = programs()
    names = [n for n in every if not chosen or n in chosen or
             n.split(".")[0] in chosen]
    numbers = sorted({every[n][0] for n in names})
    kits = [(f"ex{n}-{s}", None) for n in numbers for s in scenes.PRACTICE[n]]
    rows = []
    with tempfile.TemporaryDirectory() as directory:
        jobs = {n: one(*every[n], directory) for n in names}
        flat = kits + [job for n in names for job in jobs[n]]
        done = dict(zip(flat, record.side_by_side(flat, attempt)))
    for name in names:
        ended, number = {}, every[name][0]
        for job in jobs[name]:
            scene = job[0].split("-", 1)[1]
            if isinstance(done[job], str):
                ended[scene] = False, re.sub(
                    "(?s)^.*?error", "error", done[job]).splitlines()[0]
                assert "Traceback" not in done[job], (name, done[job])
                continue
            ended[scene] = practice.pair(
                done[job], dict(done[job[0], None]), number,
                len(scenes.SCENES[job[0]]["turns"]))
        rows.append(show(name, number, ended))
    with open(TABLE) as file:
        lines = file.read().split("\n")
    if "--write" in sys.argv:
        begin = lines.index("| --- | --- | --- | --- | --- |") + 1
        kept = [line for line in lines[begin:] if line.split(" | ")[0][2:]
                not in names and line.split(" | ")[0][2:] in every]
        both = {line.split(" | ")[0][2:]: line for line in kept + rows}
        with open(TABLE, "w") as file:
            file.write("\n".join(lines[:begin] + [both[n] for n in every
                                                  if n in both]) + "\n")
        return
    wrong = [line for line in rows if line not in lines]
    print("\n".join(["not in zoo.md:"] * bool(wrong) + wrong +
                    [f"{len(rows) - len(wrong)} of {len(rows)} as in zoo.md"]))
    sys.exit(bool(wrong))


if __name__ == "__main__":
    record.command(main)
