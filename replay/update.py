#!/usr/bin/env python3
"""Puts changed comments, and the line numbers that they shift, into the recordings.

usage: update.py [--check]    with --check, it writes nothing: exit status 1 if
                              a recording has old comments

A part of make update-notes, which needs no gdb. If the code of a program has
changed as well, its scenes must be recorded again: make record.
"""
import glob
import hashlib
import json
import os
import sys

sys.dont_write_bytecode = True
import record
import scenes
import sentences

def updated(recording):
    """The recording with the comments of now, or None if the code has changed."""
    path = f"{record.TOP}/{recording['file']}"
    if not os.path.exists(path):
        return recording  # of a part that was taken out
    with open(path, encoding="utf-8") as file:
        original = file.read()
    walk = recording["id"].startswith("play-")
    scene = (scenes.WALKS if walk else scenes.SCENES).get(
        recording["id"].replace("play-", ""), {})
    change = scene.get("change", ("", ""))
    text = original.replace(*change) if change[0] else original
    source = text.split("\n")[:-1]
    before, now = sentences.code(recording["source"]), sentences.code(source)
    if [line for _, line in before] != [line for _, line in now]:
        return None
    number = {old: new for (old, _), (new, _) in zip(before, now)}
    steps = "texts" if walk else "steps"
    return dict(
        recording, **record.about_source(recording["file"], recording["base"],
                                         original, text),
        **{steps: [dict(s, line=number[s["line"]]) for s in recording[steps]]})


def main():
    status = 0
    for path in sorted(glob.glob(record.HERE + "/recordings/*.js") +
                       glob.glob(record.HERE + "/play/*.js")):
        add = "replay.addWalk" if "/play/" in path else "replay.add"
        old = record.load(path, add)
        new = updated(old)
        if new is None:
            print(f"{old['id']}: the code of {old['file']} has changed: make record"
                  + "-play" * (add != "replay.add"))
        elif new != old and "--check" in sys.argv:
            print(f"{old['id']}: the comments have changed: make update-notes")
            status = 1
        elif new != old:
            with open(path, "w", encoding="utf-8") as file:
                file.write(record.script(new, add))
            print(f"{old['id']}: the comments of now")
    sys.exit(status)


if __name__ == "__main__":
    main()
