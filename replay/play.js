/* Replay: you are the clients. A walk has all situations in which the program
   sleeps, and the choices in each. The path of the reader makes a run of it. */
"use strict";

const seen = {};     // of each walk: the situations that were shown
const done = {};     // of each walk: the questions that were answered
const LONG = `<a href="#ex3-long+ex4-long" title="A recorded run, beside example 4">3,000 bytes ↗</a>`; // the walk of example 3 lacks it

/* Puts the shared rows, parts and texts together: see README.md. */
function addWalk(walk) {
  const parts = new Map(), rowsOf = n => walk.parts[n].map(row => walk.rows[row]);
  const part = (name, n) => {
    const key = name + n;
    if (!parts.has(key)) parts.set(key, /^(sockets|clients)$/.test(name) ? rowsOf(n) : walk.parts[n]);
    return [name, parts.get(key)];
  };
  walk.steps = walk.steps.map(([text, state]) => ({ ...walk.texts[text],
    state: Object.fromEntries(Object.entries(state).map(([name, n]) => part(name, n))) }));
  walk.most = mostBytes(walk.rows.filter(row => row.recv));
  replay.walks[walk.id] = walk;
  seen[walk.id] = new Set();
  done[walk.id] = new Set();
}

/* A walk is a file of its own, and is loaded when it is opened. */
function withWalk(id, go) {
  if (replay.walks[id]) return go(replay.walks[id]);
  const script = document.createElement("script");
  script.src = `play/${id.replace("play-", "")}.js`;
  script.onload = () => go(replay.walks[id]);
  script.onerror = () => showList(`${script.getAttribute("src")} is missing: run make record-play.`, "");
  document.head.append(script);
}

/* The run along a path: path has the number of the choice in each situation.
   stops: the step with which the program sleeps again, and its situation. */
function runAlong(walk, path) {
  let situation = 0, steps = [...walk.start];
  const stops = [{ k: steps.length - 1, situation }], taken = [];
  for (const n of path) {
    const choice = walk.situations[situation][n];
    if (!choice) break;
    steps = steps.concat(choice[2]);
    situation = choice[3];
    stops.push({ k: steps.length - 1, situation });
    taken.push(choice);
  }
  return prepare({ ...walk, states: null, indexes: steps, steps: steps.map(n => walk.steps[n]), stops, taken,
    path: path.slice(0, taken.length), goesOn: walk.situations[situation].length > 0 });
}

const stopAt = (run, k) => run.stops.findIndex(stop => stop.k === k);

/* Marks what is shown at a step as seen. */
function notice(run, k) {
  const stop = run.stops[stopAt(run, k)];
  if (stop) seen[run.id].add(stop.situation);
  run.questions.forEach((question, n) => { if (question.steps.includes(run.indexes[k])) done[run.id].add(n); });
}

/* While the calls are played, the buttons stay where they were. */
function choiceButtons(run, k, name, isTurn) {
  const { situation } = run.stops.findLast(stop => stop.k <= k) || run.stops[0];
  const buttons = run.situations[situation].map(([who, action], n) => who === name ?
    `<button data-choice="${n}" aria-label="${safe(who)}: ${safe(action)}"${isTurn ? "" : " disabled"}>${safe(action)}</button>` +
    (run.id === "play-ex3" && action === "send all" ? LONG : "") : "");
  return `<div class="choices">${buttons.join("")}</div>`;
}

function pathHtml(run, k) {
  const here = run.stops.filter(stop => stop.k < k).length;
  const actions = run.taken.map(([who, action], n) =>
    `<li${n + 1 === here ? ` aria-current="step"` : ""}>${disc(who)} ${safe(action)}</li>`);
  return `<ol aria-label="What you did">${actions.join("") || "<li>You have done nothing yet.</li>"}</ol>` +
    `<button id="undo" title="Undo (u)"${run.taken.length ? "" : " disabled"}>⌫ undo</button>` +
    `<button id="again"${run.taken.length ? "" : " disabled"}>↺ begin again</button>` +
    `<p>situations seen: <b>${seen[run.id].size}</b> of ${run.situations.length}</p>`;
}

function questionsHtml(run) {
  const items = run.questions.map(({ text, programs, way }, n) => {
    const names = programs.map(name => WALKS.find(([id]) => id === name)[1].replace("Example ", "")).join(", ")
      .replace(/^\d/, "example $&").replace(/, (?=[^,]*$)/, " and ");
    return `<li><i>${done[run.id].has(n) ? "✓" : "?"}</i><span>${safe(text)} <small>${safe(names)}</small></span>` +
      (names ? `<button data-way="${n}" title="${safe(names)}">${way ? "show one way" : "go there"}</button></li>` : "</li>");
  });
  return `<h2>Can you…</h2><ol>${items.join("")}</ol>`;
}
