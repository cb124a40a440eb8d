#!/usr/bin/env python3
"""walk.py [--check N] [PROGRAM...]: records all orders in which two clients can
act, breadth first, and writes play/PROGRAM.js. README.md has its format.

Each way is run from the start. Situations that are equal in process, epoll's
list, sockets, clients and in who waits for whom are the same one. --check proves
it: it takes N other ways to situations (0: all other ways), and compares all
that can follow with what is stored.
"""
import json
import os
import shutil
import sys
import tempfile

import record
import scenes
import sentences

PARTS = ("process", "epoll", "sockets", "clients", "wait")
ACTIONS = {"connect": ("connect",), "send half": ("send", scenes.HALF),
           "send the rest": ("send", scenes.REST),
           "send all": ("send", scenes.REQUEST),
           "send 3,000 bytes": ("send", scenes.LONG), "end the stream": ("end",),
           "reset": ("reset",)}


def b_waits_for_a(state, call):
    whom = [c for a, _, c in state["wait"] if a not in "AB"]
    return whom == ["A"] and any(a == "B" for a, _, _ in state["wait"])


def three_bits(state, call):
    return any(len(mask.split("|")) == 3 for _, mask in call.get("events", []))


def unread(state, call):
    return state["process"]["status"].startswith("asleep") and any(
        e["noNews"] and s["recv"]["bytes"] == 1976
        for e in (state["epoll"] or {"entries": []})["entries"]
        for s in state["sockets"] if s["fd"] == e["fd"] and "recv" in s)


QUESTIONS = {"Make B wait for A.": b_waits_for_a,
             "Make epoll report one event with three bits.": three_bits,
             "Leave 1,976 bytes unread until their sender acts.": unread}


def choices(state, long):
    """[(client, action)] that are possible, and change something."""
    found = []
    for client in state["clients"]:
        sent, open_ = client["sent"], client["state"] == "open"
        over = client["got"] or client["does"] == "got no response"
        if client["state"] == "new":
            names = ["connect"]
        elif client["state"] not in ("open", "half-closed") or over:
            continue
        else:
            names = ["send half", "send all"] * (open_ and not sent) + \
                ["send 3,000 bytes"] * (long and open_ and not sent) + \
                ["send the rest"] * (open_ and sent == len(scenes.HALF)) + \
                ["end the stream"] * open_ + ["reset"]
        found += [(client["name"], name) for name in names]
    return found


def run(job):
    """Runs one way. Returns the steps, and the state in which it ends."""
    directory, name, way = job
    program = scenes.WALKS[name]["program"]
    with open(directory + "/server.c") as file:
        source = file.read().split("\n")
    known = [f for f, _, _ in sentences.functions(source)]
    turns = [[[who, *ACTIONS[action]]] for who, action in way]
    record.own_network()
    with tempfile.TemporaryDirectory() as own:
        for file in ("server", "server.c"):
            shutil.copy(f"{directory}/{file}", own)
        ran = record.run(own, scene=name, mine=False, trusted=known,
                         turns=dict(turns=turns, names=["A", "B"]))
    steps, state, number = [], {}, 0
    for step in record.finish(ran["steps"], program, source, known, None):
        state, number = {**state, **step["state"]}, step["turn"]
        del step["calls"], step["turn"]
        steps.append((number, step))
    return [s for n, s in steps if n == len(way)], state


def key(state, way):
    """What makes a situation: all that is shown, and one thing that is not. recv
    fails with another error for a client in the queue that has reset its
    connection, if the client had ended its stream before."""
    ended = [s["client"] for s in state["sockets"] if s.get("state") == "CLOSE"
             and (s["client"], "end the stream") in way]
    return json.dumps([[state[part] for part in PARTS], ended])


def answers(state, steps):
    """Each step, and the questions that it answers."""
    for step in steps:
        state = {**state, **step["state"]}
        yield step, [text for text, met in QUESTIONS.items()
                     if met(state, step.get("call", {}))]


def after(state, steps):
    for step in steps:
        state = {**state, **step["state"]}
    return state


class Walk:
    """ways: of each situation, the first way to it. others: further ones."""

    def __init__(self, name, directory):
        self.name, self.directory = name, directory
        self.long = scenes.WALKS[name].get("long", False)
        self.start, self.found, self.ways, self.others = [], {}, [], []
        self.situations, self.states = [], []

    def place(self, state, way, new=True):
        """The number of a situation; a new one if it was not known."""
        if key(state, way) not in self.found:
            self.found[key(state, way)] = len(self.ways)
            self.ways.append(way)
            self.states.append(state)
            if new:
                self.situations.append([])
        elif way != self.ways[self.found[key(state, way)]]:
            self.others.append((self.found[key(state, way)], way))
        return self.found[key(state, way)]

    def jobs(self, situations):
        return [(self.directory, self.name, self.ways[n] + [choice])
                for n in situations
                for choice in choices(self.states[n], self.long)]

    def record(self):
        self.start, state = next(record.side_by_side(
            [(self.directory, self.name, [])], run))
        self.place(state, [])
        level = [0]
        while level:
            known, jobs = len(self.ways), self.jobs(level)
            for job, (steps, state) in zip(jobs, record.side_by_side(jobs, run)):
                *way, (who, action) = job[2]
                self.situations[self.ways.index(way)].append(
                    [who, action, steps, self.place(state, job[2])])
            level = range(known, len(self.ways))

    def load(self):
        """What is stored, as record() leaves it."""
        stored = record.load(f"{record.HERE}/play/{self.name}.js",
                             "replay.addWalk")
        original, text = record.sources(scenes.WALKS[self.name])
        if sentences.code(stored["source"]) != sentences.code(text.split("\n")):
            raise record.Wrong(f"{self.name}: {stored['file']} has changed since"
                               " the recording (make record-play)")
        parts = [[stored["rows"][n] for n in part] if part and
                 isinstance(part, list) and isinstance(part[0], int) else part
                 for part in stored["parts"]]
        steps = [dict(stored["texts"][text], state={
            part: parts[n] for part, n in state.items()})
            for text, state in stored["steps"]]
        self.situations = [
            [[who, action, [steps[n] for n in taken], place]
             for who, action, taken, place in choices]
            for choices in stored["situations"]]
        self.start = [steps[n] for n in stored["start"]]
        self.place(after({}, self.start), [], False)
        for n, choices in enumerate(self.situations):
            for who, action, taken, _ in choices:
                self.place(after(self.states[n], taken),
                           [*self.ways[n], (who, action)], False)

    def check(self, count):
        """Takes other ways. Returns how many, and how many continuations were
        the same."""
        others = [o for o in self.others if self.situations[o[0]]]
        chosen = others[::max(1, len(others) // (count or 1 << 30))]
        chosen = chosen[:count or None]
        pairs = [((self.directory, self.name, [*way, tuple(choice[:2])]), choice)
                 for place, way in chosen for choice in self.situations[place]]
        ran = record.side_by_side([job for job, _ in pairs], run)
        for (job, choice), (steps, state) in zip(pairs, ran):
            if steps != choice[2] or \
                    self.found.get(key(state, job[2])) != choice[3]:
                raise record.Wrong(f"{self.name}: after {job[2]}, it is not as"
                                   f" after {self.ways[choice[3]]}")
        return len(chosen), len(pairs)

    def questions(self, every):
        for text in QUESTIONS:
            programs = [name for name in scenes.WALKS for w in every
                        if w.name == name and w.way(text) is not None]
            yield dict(text=text, programs=programs, way=self.way(text))

    def way(self, text):
        """The first way on which a question is answered, or None."""
        for number, way in enumerate(self.ways):
            for choice in self.situations[number]:
                if any(text in met for _, met in
                       answers(self.states[number], choice[2])):
                    numbers, place = [], 0
                    for taken in [*way, tuple(choice[:2])]:
                        n = [tuple(c[:2]) for c in
                             self.situations[place]].index(taken)
                        numbers.append(n)
                        place = self.situations[place][n][3]
                    return numbers
        return None

    def shared(self, every):
        """As play/NAME.js has it: each row, part, text and step only once."""
        rows, parts, texts, steps = {}, {}, {}, {}

        def number(table, value):
            return table.setdefault(json.dumps(value), len(table))

        def share(step, met):
            state = {}
            for part, value in step["state"].items():
                if part in ("sockets", "clients"):
                    value = [number(rows, row) for row in value]
                state[part] = number(parts, value)
            text = {key: value for key, value in step.items() if key != "state"}
            return number(steps, [number(texts, text), state, met])
        start = [share(*pair) for pair in answers({}, self.start)]
        situations = [[[who, action, [share(*pair) for pair in
                                      answers(self.states[n], taken)], place]
                       for who, action, taken, place in choices]
                      for n, choices in enumerate(self.situations)]
        questions = list(self.questions(every))
        steps = [json.loads(step) for step in steps]
        for question in questions:
            question["steps"] = [n for n, step in enumerate(steps)
                                 if question["text"] in step[2]]
        scene = scenes.WALKS[self.name]
        own, base = scenes.FILES[scene["program"]]
        return dict(
            id="play-" + self.name, title=scene["title"],
            program=scene["program"], file=own,
            **record.about_source(own, base, *record.sources(scene)),
            clients=["A", "B"], rows=list(map(json.loads, rows)),
            parts=list(map(json.loads, parts)),
            texts=list(map(json.loads, texts)), start=start,
            situations=situations, questions=questions,
            steps=[step[:2] for step in steps])


def main():
    if "REPLAY_NAMESPACE" not in os.environ:
        record.enter_namespace()
    names, count = sys.argv[1:], None
    if names[:1] == ["--check"]:
        count, names = int(names[1]), names[2:]
    with tempfile.TemporaryDirectory() as top:
        every = []
        for name in names or scenes.WALKS:
            walk = Walk(name, f"{top}/{name}")
            os.mkdir(walk.directory)
            record.build(walk.directory, record.sources(scenes.WALKS[name])[1],
                         walk.directory)
            every.append(walk)
            if count is not None:
                walk.load()
                print("{}: {} other ways, and {} continuations are the same".format(
                    name, *walk.check(count)), flush=True)
                continue
            walk.record()
            print(f"{name}: {len(walk.ways)} situations,"
                  f" {sum(map(len, walk.situations))} transitions", flush=True)
        others = [Walk(name, "") for name in scenes.WALKS if names and
                  name not in names]
        for walk in others:
            walk.load()
        for walk in every if count is None else []:
            text = record.script(walk.shared(every + others), "replay.addWalk")
            with open(f"{record.HERE}/play/{walk.name}.js", "w") as file:
                file.write(text)
            print(f"{walk.name}: {len(text):,} bytes")


if __name__ == "__main__":
    record.command(main)
