/* Replay: two runs side by side, with the same clients. A frame says where each
   side stands: [{ k, moved }, ...], k a step of its run. A run alone has frames
   with one entry. */
"use strict";

const isEvent = step => step.kind !== "line";
const framesOfOne = scene => scene.steps.map((_, k) => [{ k, moved: true }]);

/* Where each run begins. If only one has recorded what comes before the first
   sleep, both begin with this sleep. */
function starts(scenes) {
  const asleep = scenes.map(scene => scene.steps.findLastIndex(step => step.turn === 0));
  return asleep.includes(0) ? asleep : [0, 0];
}

/* Each turn has two phases: the clients act, then the program runs. In each, both
   sides take their events one by one, side by side, and the one that has no more
   waits. The lines before an event are steps of their own. */
function framesOfTwo(scenes) {
  const frames = [], from = starts(scenes), phaseOf = step => 2 * step.turn + (step.kind === "client" ? 0 : 1);
  const advance = next => frames.push(next.map((k, side) =>
    ({ k: k ?? (frames.length ? frames.at(-1)[side].k : from[side]), moved: k !== undefined })));
  for (let phase = 0; phase <= Math.max(...scenes.map(scene => phaseOf(scene.steps.at(-1)))); phase++) {
    const events = scenes.map((scene, side) => {
      const list = [[]];
      scene.steps.forEach((step, k) => {
        if (k >= from[side] && phaseOf(step) === phase && list.at(-1).push(k) && isEvent(step)) list.push([]);
      });
      return list;
    });
    for (let n = 0; n < Math.max(...events.map(list => list.length)); n++) {
      const both = events.map(list => list[n] || []), lines = Math.max(...both.map(event => event.length - 1), 0);
      for (let m = 0; m < lines; m++) advance(both.map(event => event.length - 1 > m ? event[m] : undefined));
      if (both.flat().length) advance(both.map(event => event.at(-1)));
    }
  }
  return frames;
}

/* The first difference, in words ------------------------------------------------ */

function nameOf({ program, title, pair, change }, other) {
  const [, example] = /^ex(\d)/.exec(program) || [], [without = "changed"] = /without.*/.exec(title) || [];
  if (pair) return "yours";
  if (example) return `example ${example}${change ? " " + without : ""}`;
  return other ? "the run with " + title.split(": ").at(-1) : program;
}

const roleOf = call => call.role || call.fn;
const turnOf = token => token ? token.step.turn : Infinity;
const MATTERS = /^(accept|recv|send|wait|close|shutdown|epoll_ctl|setsockopt|listen|bind|exit)/;

/* What can be compared: no numbers of descriptors or bytes, and all recv or send
   that follow each other and succeed are one. poll and select need no epoll_ctl.
   strict: the arguments, too. */
function tokens({ steps }, from, hasEpoll, strict) {
  const list = [];
  steps.forEach((step, k) => {
    const { call, turn } = step;
    if (!call || k < from || call.fn === "epoll_ctl" && !hasEpoll) return;
    if (!MATTERS.test(roleOf(call)) && step.kind !== "sleep" && !(strict && /^(socket|epoll_create)/.test(call.fn))) return;
    const { fn, on, text, result = "" } = call, isMask = strict || /^(epoll_ctl|setsockopt)$/.test(fn), before = list.at(-1);
    const outcome = strict ? text.slice(fn.length).replace(/^\(\d+|(?<=[A-Z], )\d+(?=, )/g, "") :
      step.kind === "sleep" ? "asleep" : isMask ? text.replace(/\d+/g, "") :
      result.startsWith("= -1") || result === "= 0" ? result :
        (call.events || []).map(([, mask]) => mask.replace(/E?POLL/g, "")).sort().join();
    const id = [turn, roleOf(call), roleOf(call) === "wait" || on, outcome].join("/"), isSame = before && before.id === id;
    const isAgain = before && before.step.call.fn === fn && before.step.call.on === on;
    if (!isSame || !/^(recv|send)/.test(roleOf(call))) list.push({ id, k, step, outcome, isMask, isAgain });
  });
  return list;
}

/* Where the calls are the same: the first moment at which a client has more. */
function otherBytes(scenes, frames, names) {
  const clients = frame => frame.map((s, side) => scenes[side].states[s.k].clients);
  const differ = ([ours, theirs]) => ours.findIndex((client, n) => client.got !== theirs[n].got);
  const frame = frames.findIndex(f => f.every(s => s.moved) && differ(clients(f)) >= 0);
  if (frame < 0) return null;
  const sides = clients(frames[frame]), n = differ(sides);
  const got = sides.map((list, side) => `${count(list[n].got)} bytes in ${names[side]}`);
  return { text: `the same calls, but ${sides[0][n].name} has got ${got.join(", and ")}.`, frame };
}

/* First what happens, then what the clients get, then the arguments. */
function difference(scenes, frames, strict = false) {
  const names = scenes.map((scene, side) => nameOf(scene, scenes[1 - side])), from = starts(scenes);
  const hasEpoll = scenes.every(scene => scene.steps.some(step => step.call?.fn === "epoll_ctl"));
  const [left, right] = scenes.map((scene, side) => tokens(scene, from[side], hasEpoll, strict));
  const n = left.findIndex((token, k) => token.id !== right[k]?.id), at = n < 0 ? left.length : n;
  const first = [left[at], right[at]], turn = Math.min(...first.map(turnOf));
  if (turn === Infinity && !strict) return otherBytes(scenes, frames, names) || difference(scenes, frames, true);
  if (turn === Infinity) return { text: "none is visible here. This does not prove that they do the same.", frame: frames.length - 1 };
  const [a, b] = first.map(token => token && !token.isMask && token.step.call);
  const isWait = a && roleOf(a) === "wait", isSame = a && b && roleOf(a) === roleOf(b) && (isWait || a.on === b.on);
  const word = (token, side) => {
    const name = names[side], { steps, states } = scenes[side];
    const { status } = states[steps.findLastIndex(step => step.turn <= turn)].process;
    if (turnOf(token) > turn) return name + ({ ended: " has ended", spins: " never sleeps" }[status] || " makes no call");
    const { fn, text, result = "" } = token.step.call;
    if (token.outcome === "asleep") return `${name} sleeps in ${fn}`;
    if (isSame) return `in ${name}, ${fn} returns ${result.slice(2)}`;
    return `${name} calls ${token.isMask ? text : fn}${token.isAgain && !token.isMask ? " again" : ""}`;
  };
  const words = first.map(word);
  if (scenes[0].pair) words.reverse(); // the kit's first
  return { text: words.join("; ") + ".", frame: frames.findIndex(frame =>
    frame.some((s, side) => s.moved && turnOf(first[side]) === turn && s.k === first[side].k)) };
}
