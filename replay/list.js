/* Replay: the list of all that can be opened. The scenes are those that are loaded. */
"use strict";

const PAIRS = [
  ["ex2-stall", "ex3-stall", "A stalls: example 2 and example 3"],
  ["ex3-long", "ex4-long", "3,000 bytes: level-triggered and edge-triggered"],
  ["ex4-long", "ex4-broken", "3,000 bytes: with and without the receive loop"],
  ["ex4-queue", "ex4-queue-broken", "Two in the queue: with and without the accept loop"],
  ["f-plain", "f-nodelay", "Three requests: Nagle's algorithm and TCP_NODELAY"],
  ["f-plain", "f-cork", "Three requests: Nagle's algorithm and TCP_CORK"],
  ["f-nodelay", "f-cork", "Three requests: TCP_NODELAY and TCP_CORK"],
  ["k-stale", "k-stale-broken", "An old event: pairs closed last, and at once"],
];
const WALKS = [["ex2", "Example 2"], ["ex3", "Example 3"], ["ex4", "Example 4"],
  ["ex4-broken", "Example 4 without its receive loop"]];

const findScene = id => replay.scenes.find(scene => scene.id === id);

function listEntries() {
  const mine = replay.scenes.filter(scene => scene.pair && findScene(scene.pair));
  if (mine.length) return mine.map(({ id, pair, title }) => ({ id: `${id}+${pair}`, title, kind: "mine" }));
  return [
    ...replay.scenes.map(({ id, title }) => ({ id, title, kind: "scene" })),
    ...PAIRS.filter(([left, right]) => findScene(left) && findScene(right))
      .map(([left, right, title]) => ({ id: `${left}+${right}`, title, kind: "pair" })),
    ...(replay.scenes.length ? WALKS : []).map(([name, title]) => ({ id: "play-" + name, title, kind: "walk" })),
  ];
}

/* A run of a student: how it ended, and where it differs from the kit's. */
function listMine(id, title) {
  const runs = id.split("+").map(findScene), { text, frame } = difference(runs.map(prepare), framesOfTwo(runs));
  const [{ good, ending }] = runs;
  return `<a class="${good ? "good" : "bad"}" href="#${id}">${good ? "✓" : "✗"} ${safe(title)}</a>` +
    `<p>${safe(ending)}</p><p>First difference: <a href="#${id}/${frame + 1}">${safe(text)}</a></p>`;
}

function listHtml() {
  const entries = listEntries(), notes = new Set(replay.scenes.flatMap(scene => scene.notes || []));
  const link = ({ id, title, kind }, k) => `<li>${k < 10 ? `<kbd>${(k + 1) % 10}</kbd>` : ""}` +
    (kind === "mine" ? listMine(id, title) : `<a href="#${id}">${safe(title)}</a>`) +
    (kind === "scene" ? ` <span>${nameOf({ program: safe(findScene(id).program) })}</span></li>` : "</li>");
  const part = (kind, title, text) => {
    const items = entries.map((entry, k) => entry.kind === kind ? link(entry, k) : "").join("");
    return items && `<section class="${kind}"><h2>${title}</h2><p>${text}</p><ol>${items}</ol></section>`;
  };
  return part("mine", "Your program, beside the kit's",
    ["Left yours, right the kit's: the same clients.", ...notes].map(safe).join(" ")) +
    part("scene", "One run", "A program and its clients, one system call at a time.") +
    part("pair", "Two runs side by side", "The same clients, two programs.") +
    part("walk", "You are the clients", "You choose what A and B do, and see what the program does.");
}
