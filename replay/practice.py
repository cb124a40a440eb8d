#!/usr/bin/env python3
"""practice.py N: records mine/exN/server.c beside the kit's example N, and
writes mine/exN/replay.html, one file that any browser opens. Prints how each
scene has ended."""
import os
import re
import sys

import record
import scenes
import sentences


def states(recording):
    """The steps, each with its complete state, and the last call."""
    state, call, found = {}, {}, []
    for step in recording["steps"]:
        state, call = {**state, **step["state"]}, step.get("call", call)
        found.append({**step, "state": state, "last": call})
    return found


def ends(steps, turns):
    """The last step of each turn."""
    return [[s for s in steps if s["turn"] <= turn][-1]
            for turn in range(turns + 1) if steps[0]["turn"] <= turn]


def calls(steps, role):
    return [s["call"] for s in steps
            if s["kind"] == "call" and s["call"]["role"] == role]


def clients_differ(ours, theirs):
    """In which way a client fares otherwise, at the end of a turn."""
    state, call = ours["state"], ours["last"]
    for mine, kit in zip(state["clients"], theirs["state"]["clients"]):
        name, does = mine["name"], mine["does"]
        if (does, mine["got"]) == (kit["does"], kit["got"]):
            continue
        here = next((s for s in state["sockets"] if s.get("client") == name), {})
        if mine["got"] > kit["got"]:
            return f"{name} gets {mine['got']} bytes instead of {kit['got']}."
        if does in ("was refused", "has not connected yet"):
            return f"{name} {does}: nobody listens, or the queue is full."
        if does in ("got no response", "has no connection"):
            return f"{name} loses its connection, and gets no response."
        if kit["does"] == "got no response":
            return f"{name} has left, but the program never closes its" \
                " connection."
        whom, asleep = call.get("on"), state["process"]["status"]
        if asleep == "asleep in nanosleep":
            return f"{name} waits, because the program sleeps for a fixed time."
        if asleep == f"asleep in {call.get('fn')}" and whom == name:
            return f"{name} waits for the response, and the program sleeps in" \
                f" {call['fn']} until {name} acts."
        if asleep == f"asleep in {call.get('fn')}" and \
                whom in [c["name"] for c in state["clients"]]:
            return f"{name} waits, because the program sleeps in" \
                f" {call['fn']} until {whom} acts."
        if not here:
            continue
        entries = (state["epoll"] or {"entries": []})["entries"]
        entry = next((e for e in entries if e["fd"] == here["fd"]), None)
        unread = here["recv"]["bytes"]
        if here["fd"] is None:
            return f"{name} stays in the queue: the program does not accept it."
        if unread and entry and entry["noNews"]:
            return f"{name} waits: {sentences.some(unread)} are unread, and not" \
                " reported again."
        if state["epoll"] and not entry:
            return f"{name} waits: nothing watches its descriptor" \
                f" {here['fd']}."
        if entry and not unread and mine["sent"] and entry["mask"] == "EPOLLIN":
            return f"{name} waits for the response, and the program waits for" \
                " more bytes."
        return f"{name} {does}; the kit's {name} {kit['does']}."
    return None


def kernel_differs(number, ours, theirs):
    """What no client notices here, but what the step is about."""
    def options(steps):
        return [c["text"].split(", ", 1)[1] for c in calls(steps, "setsockopt")
                if not c["result"].startswith("= -1")]

    def masks(steps):
        return [c for c in calls(steps, "epoll_ctl") if "DEL" not in c["text"]]
    for text in options(theirs):
        if text not in options(ours):
            return f"setsockopt(..., {text} is missing."
    edge = [c for c in masks(theirs) if "EPOLLET" not in c["text"]]
    level = [c for c in masks(ours) if "EPOLLET" not in c["text"]]
    if number == "4" and not edge and level:
        return f"{level[0]['text']}: without EPOLLET, it is level-triggered."
    if number in "3456" and any(
            s["kind"] == "connection" and s["fd"] is not None and
            not s["nonblocking"] for step in ours if step["kind"] == "sleep"
            for s in step["state"]["sockets"]):
        return "Its connections block: recv or send may sleep, and all clients" \
            " wait."
    ordered = [s["call"] for s in ours if s["kind"] == "call" and s["call"][
        "role"] in ("send", "write") and s["call"]["fn"][0] in "sw"]
    printed = [i for i, c in enumerate(ordered) if c["role"] == "write" and
               c["text"].startswith("write(1,")]
    sent = [i for i, c in enumerate(ordered) if c["role"] == "send"]
    if sent and not printed:
        return "The program answers, and does not print the request."
    if sent and printed[0] > sent[0]:
        return "The program prints the request only after its response."
    return None


def summary(steps):
    return ", ".join(f"{c['name']} {c['does']}"
                     for c in steps[-1]["state"]["clients"]) + "."


def judge(number, mine, kit, turns):
    """(good, one sentence, whether it is already in a step)."""
    ours, theirs = states(mine), states(kit)
    port = mine.pop("listens")
    for step in ours:
        if step["kind"] == "note":
            return False, step["sentence"], step is ours[-1]
    if port is None:
        return False, "The program never listens.", False
    if port != 8080:
        return False, f"The program listens on port {port}, and the clients" \
            " connect to port 8080.", False
    if ours[-1]["state"]["process"]["status"] == "ended" != theirs[-1]["state"][
            "process"]["status"]:
        return False, f"The program exits in line {ours[-1]['line']}, and nobody" \
            " is served any more.", False
    for mine_end, kit_end in zip(ends(ours, turns), ends(theirs, turns)):
        told = clients_differ(mine_end, kit_end)
        if told:
            return False, told, False
    for name, text in kit["got"].items():
        if mine["got"][name] != text:
            return False, f"{name} gets other bytes than the kit's {name}.", False
    left = [s for s in ours[-1]["state"]["sockets"] if "client" in s]
    kept = [s["client"] for s in theirs[-1]["state"]["sockets"] if "client" in s]
    for here in left:
        if here["client"] not in kept and here["fd"] is not None:
            return False, f"The connection of {here['client']} is never closed:" \
                f" descriptor {here['fd']} is lost.", False
    told = kernel_differs(number, ours, theirs)
    return (False, told, False) if told else (True, summary(ours), True)


def page(recordings):
    """index.html with all that it loads, and with these recordings."""
    def inline(match):
        if match[1].startswith("recordings/"):
            return ""
        return "<script>\n" + record.read(f"replay/{match[1]}") + "</script>"
    html = re.sub(r'<link rel="stylesheet" href="(.*?)">', lambda m: "<style>\n" +
                  record.read(f"replay/{m[1]}") + "</style>",
                  record.read("replay/index.html"))
    html = re.sub(r'<script src="(.*?)"></script>\n?', inline, html)
    html = re.sub(' *<a id="notes".*\n', "", html)  # it may be mailed
    data = "".join(map(record.script, recordings)).replace("</", "<\\/")
    return html.replace("</body>", f"<script>\n{data}</script>\n</body>")


def pair(mine, kit, number, turns):
    """Completes both sides. Returns (good, how it ended)."""
    good, told, shown = judge(number, mine, kit, turns)
    mine.update(pair=kit["id"], ending=told, good=good)
    kit.update(ending=summary(states(kit)), title=mine["title"])
    if not shown:
        last = mine["steps"][-1]
        mine["steps"].append(dict(
            kind="note", line=last["line"], fn=last["fn"], sentence=told,
            calls=last["calls"], turn=last["turn"], state={}))
    return good, told


def stored(name):
    """The kit's side, if it was recorded with the program as it is now."""
    found = record.stored(name)
    text = record.read(found["file"]) if found else ""
    return found if found and found["source"] == text.split("\n")[:-1] else None


def main():
    number = sys.argv[1]
    path = f"mine/ex{number}/server.c"
    if not os.path.exists(f"{record.TOP}/{path}"):
        sys.exit(f"{path} is missing: begin with make start{number}")
    if "REPLAY_NAMESPACE" not in os.environ:
        record.enter_namespace()
    names = [f"ex{number}-{name}" for name in scenes.PRACTICE[number]]
    kits = {name: stored(name) for name in names}
    jobs = [(name, path) for name in names]
    jobs += [(name, None) for name in names if not kits[name]]
    done, shown = list(record.side_by_side(jobs)), []
    kits.update((r["id"], r) for r in done[len(names):])
    for name, mine in zip(names, done):
        good, told = pair(mine, kits[name], number,
                          len(scenes.SCENES[name]["turns"]))
        shown += [mine, kits[name]]
        print(f"{'✓' if good else '✗'} {name.split('-', 1)[1]:12}{told}")
    for told in {note for r in shown for note in r.get("notes", [])}:
        print(told)
    target = f"mine/ex{number}/replay.html"
    with open(f"{record.TOP}/{target}", "w") as file:
        file.write(page(shown))
    print(f"\nTo see it, open {target} in a browser.")


if __name__ == "__main__":
    try:
        main()
    except record.Impossible as why:
        sys.exit(f"make replay{sys.argv[1]} cannot run here: {why}."
                 " The tests do not need it.")
    except record.Wrong as why:
        sys.exit(str(why))
