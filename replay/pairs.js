/* Replay: two runs side by side, with the same clients. A frame says where each
   side stands: [{ k, moved }, ...], k a step of its run. A run alone has frames
   with one entry. */
"use strict";

const isEvent = step => step.kind !== "line";
const framesOfOne = scene => scene.steps.map((_, k) => [{ k, moved: true }]);

/* The steps of one turn in groups: the actions of the clients, and what the
   program then does. Each group is a list of events, each with its lines. */
function groups(scene, turn, from) {
  const found = [[], []];
  let event = [];
  scene.steps.forEach((step, k) => {
    if (step.turn !== turn || k < from) return;
    event.push(k);
    if (!isEvent(step)) return;
    found[step.kind === "client" ? 0 : 1].push(event);
    event = [];
  });
  if (event.length) found[1].push(event);
  return found;
}

/* Where each run begins. If only one has recorded what comes before the first
   sleep, both begin with this sleep. */
function starts(scenes) {
  const asleep = scenes.map(scene => scene.steps.findLastIndex(step => step.turn === 0));
  return asleep.includes(0) ? asleep : [0, 0];
}

/* Each side takes its events one by one, side by side, and the one that has no
   more waits for the other: so both begin each turn of the clients together. */
function framesOfTwo(scenes) {
  const frames = [], here = [-1, -1], from = starts(scenes);
  const last = Math.max(...scenes.flatMap(scene => scene.steps.map(step => step.turn || 0)));
  const advance = next => {
    const frame = next.map((k, side) => ({ k: Math.max(k ?? here[side], 0), moved: k !== undefined }));
    next.forEach((k, side) => { here[side] = k ?? here[side]; });
    frames.push(frame);
  };
  for (let turn = 0; turn <= last; turn++) {
    const [left, right] = scenes.map((scene, side) => groups(scene, turn, from[side]));
    for (const group of [0, 1]) {
      const sides = [left[group], right[group]];
      for (let n = 0; n < Math.max(sides[0].length, sides[1].length); n++) {
        const events = sides.map(side => side[n] || []), lines = events.map(event => event.slice(0, -1));
        for (let m = 0; m < Math.max(lines[0].length, lines[1].length); m++) advance(lines.map(list => list[m]));
        advance(events.map(event => event.at(-1)));
      }
    }
  }
  return frames;
}

/* The first difference, in words ---------------------------------------------- */

const number = program => program.replace("ex", "");
function nameOf(scene, other) {
  if (scene.pair) return "yours";
  const [, without] = /(without.*)/.exec(scene.title) || [];
  if (/^ex/.test(scene.program))
    return `example ${number(scene.program)}` + (without && !other.pair ? " " + without : "");
  return "the run with " + scene.title.split(": ").at(-1);
}

const MATTERS = /^(accept|recv|send|wait|close|shutdown|epoll_ctl|setsockopt|listen|bind|exit)/;
const isWait = call => (call.role || call.fn) === "wait" || /^epoll_p?wait/.test(call.fn);

/* What can be compared: no numbers of descriptors or bytes, and all recv or send
   that follow each other and succeed are one. */
function tokens(scene, from) {
  const list = [];
  scene.steps.forEach((step, k) => {
    const call = step.call, role = call && (call.role || call.fn);
    if (!call || k < from || !MATTERS.test(role) && step.kind !== "sleep") return;
    const isMask = /^(epoll_ctl|setsockopt)$/.test(role), { result = "" } = call;
    const outcome = step.kind === "sleep" ? "asleep" : result.startsWith("= -1") ? result : result === "= 0" ? "0" :
      isWait(call) ? (call.events || []).map(([, mask]) => mask.replace(/E?POLL/g, "")).sort().join() : "";
    const id = [role, call.on, isMask ? call.text.replace(/\d+/g, "") : "", isMask ? "" : outcome].join("/");
    const before = list.at(-1), isSame = before && before.id === id && /^(recv|send)/.test(role);
    const isAgain = before && before.step.call.fn === call.fn && before.step.call.on === call.on;
    if (!isSame || step.turn !== before.step.turn) list.push({ id, k, step, outcome, isMask, isAgain });
  });
  return list;
}

/* Where the calls are the same: the first moment at which a client has more. */
function otherBytes(scenes, frames, names) {
  const clients = frame => frame.map((s, side) => scenes[side].states[s.k].clients);
  const differ = ([ours, theirs]) => ours.find((client, n) => client.got !== theirs[n].got);
  const frame = frames.findIndex(f => f.every(s => s.moved) && differ(clients(f)));
  if (frame < 0) return { text: "none, both make the same calls.", frame: frames.length - 1 };
  const sides = clients(frames[frame]), { name } = differ(sides);
  const got = sides.map((list, side) => `${count(list.find(c => c.name === name).got)} bytes in ${names[side]}`);
  return { text: `the same calls, but ${name} has got ${got.join(", and ")}.`, frame };
}

function difference(scenes, frames) {
  const names = scenes.map((scene, side) => nameOf(scene, scenes[1 - side])), from = starts(scenes);
  const both = scenes.map((scene, side) => tokens(scene, from[side]));
  const turnOf = token => token ? token.step.turn : Infinity;
  let n = 0;
  while (both[0][n] && both[1][n] && both[0][n].id === both[1][n].id && turnOf(both[0][n]) === turnOf(both[1][n])) n++;
  const first = both.map(list => list[n]);
  if (!first[0] && !first[1]) return otherBytes(scenes, frames, names);
  const [a, b] = first, turn = Math.min(turnOf(a), turnOf(b));
  const isSameCall = a && b && a.step.call.fn === b.step.call.fn && a.step.call.on === b.step.call.on && !a.isMask;
  const word = (token, name) => {
    if (!token || turnOf(token) > turn) return `${name} makes no call`;
    const { fn, text, result = "" } = token.step.call;
    if (token.outcome === "asleep") return `${name} sleeps in ${fn}`;
    if (isSameCall && isWait(token.step.call)) return `${name} wakes up: ${result.replace(/^= \d+:? ?/, "") || "no event"}`;
    if (isSameCall) return `in ${name}, ${fn} returns ${result.slice(2)}`;
    return `${name} calls ${token.isMask ? text : fn}${token.isAgain && !token.isMask ? " again" : ""}`;
  };
  const order = scenes[0].pair ? [1, 0] : [0, 1];
  const text = order.map(side => word(first[side], names[side])).join("; ") + ".";
  const frame = frames.findIndex(f => f.some((s, side) => s.moved && first[side] && s.k === first[side].k &&
    turnOf(first[side]) === turn));
  return { text, frame };
}
