/* Replay: the pairs and the walks of the list; the scenes are those that are loaded. */
"use strict";

const PAIRS = [
  ["ex2-stall", "ex3-stall", "A stalls: example 2 and example 3"],
  ["ex3-long", "ex4-long", "3,000 bytes: level-triggered and edge-triggered"],
  ["ex4-long", "ex4-broken", "3,000 bytes: with and without the receive loop"],
  ["ex4-queue", "ex4-queue-broken", "Two in the queue: with and without the accept loop"],
  ["f-plain", "f-nodelay", "Three requests: Nagle's algorithm and TCP_NODELAY"],
  ["f-plain", "f-cork", "Three requests: Nagle's algorithm and TCP_CORK"],
  ["f-nodelay", "f-cork", "Three requests: TCP_NODELAY and TCP_CORK"],
];
const WALKS = [
  ["ex2", "Example 2"], ["ex3", "Example 3"], ["ex4", "Example 4"],
  ["ex4-broken", "Example 4 without its receive loop"],
];

function programName({ program, change, pair }) {
  const [, example] = /^ex(\d)/.exec(program) || [];
  return (pair ? "yours" : example ? `example ${example}` : program) + (change ? ", changed" : "");
}

/* All that can be opened, in the order of the list. */
function listEntries() {
  const { scenes } = replay, find = id => scenes.find(scene => scene.id === id);
  const mine = scenes.filter(scene => scene.pair && find(scene.pair));
  if (mine.length) return mine.map(scene => ({ id: `${scene.id}+${scene.pair}`, title: scene.title, kind: "mine" }));
  return [
    ...scenes.map(({ id, title }) => ({ id, title, kind: "scene" })),
    ...PAIRS.filter(([left, right]) => find(left) && find(right))
      .map(([left, right, title]) => ({ id: `${left}+${right}`, title, kind: "pair" })),
    ...(scenes.length ? WALKS : []).map(([name, title]) => ({ id: "play-" + name, title, kind: "walk" })),
  ];
}

function listHtml(entries) {
  const find = id => replay.scenes.find(scene => scene.id === id);
  const link = ({ id, title, kind }, k) => {
    const runs = id.split("+").map(find), digit = k < 10 ? `<kbd>${(k + 1) % 10}</kbd>` : "";
    if (kind === "mine") {
      const { text, frame } = difference(runs.map(prepare), framesOfTwo(runs));
      return `<li class="${runs[0].good ? "good" : "bad"}">${digit}<a href="#${id}">${runs[0].good ? "✓" : "✗"} ${safe(title)}</a>` +
        `<p>${safe(runs[0].ending)}</p><p>First difference: <a href="#${id}/${frame + 1}">${safe(text)}</a></p></li>`;
    }
    return `<li>${digit}<a href="#${id}">${safe(title)}</a>` +
      (kind === "scene" ? ` <span>${safe(programName(runs[0]))}</span>` : "") + "</li>";
  };
  const part = (kind, title, text) => {
    const items = entries.map((entry, k) => entry.kind === kind ? link(entry, k) : "").join("");
    return items && `<section class="${kind}"><h2>${title}</h2><p>${text}</p><ol>${items}</ol></section>`;
  };
  const notes = new Set(entries.some(entry => entry.kind === "mine") ? replay.scenes.flatMap(scene => scene.notes || []) : []);
  return part("mine", "Your program, beside the kit's", ["Left yours, right the kit's: the same clients.", ...notes].map(safe).join(" ")) +
    part("scene", "One run", "A program and its clients, one system call at a time.") +
    part("pair", "Two runs side by side", "The same clients, two programs.") +
    part("walk", "You are the clients", "You choose what A and B do, and see what the program does.");
}
