/* Replay: shows the recordings. README.md describes them. A view is one run, two
   runs, or a path of a walk; its frames say where each run stands. The picture
   depends on the frame only, so going back is show(i - 1). */
"use strict";

const $ = id => document.getElementById(id);
let view = null;    // { id, title, runs, frames }, null while the list is shown
let at = 0;         // the index of the frame
let asking = false; // predict: this frame's calls are shown, their results are not
let timer = 0;      // sets the address to that of the frame
let playing = 0;    // plays what follows a choice

const mostBytes = sockets =>
  Math.max(1, ...sockets.flatMap(s => [s.recv.bytes, s.send.bytes + (s.send.unacked || 0)]));

/* Adds to a run all that does not depend on the step. */
function prepare(run) {
  if (run.states) return run;
  let state = {};
  run.states = run.steps.map(step => state = { ...state, ...step.state });
  const buffers = run.states.map(s => s.sockets.filter(k => k.recv));
  run.most = run.most || mostBytes(buffers.flat());
  run.sum = Math.max(1, ...buffers.map(list => list.reduce((sum, k) => sum + k.recv.bytes + k.send.bytes, 0)));
  run.hasSegments = state.clients.some(c => c.segments > 1);
  run.events = [...run.steps.keys()].filter(k => isEvent(run.steps[k]));
  run.length = run.events.length;
  run.wakes = run.events.filter(k => run.steps[k].call?.events?.length);
  run.inputs = new Set(run.wakes.filter(k => run.steps[k].call.events.some(([fd, mask]) => /IN/.test(mask) &&
    buffers[k].some(s => s.fd === fd && s.recv.bytes))));
  return run;
}

/* Opening a view -------------------------------------------------------------- */

function openRuns(id) {
  const runs = id.split("+").map(findScene);
  if (runs.length > 2 || !runs.every(Boolean)) return false;
  runs.forEach(prepare);
  if (runs.length === 1) return { id, title: runs[0].title, runs, frames: framesOfOne(runs[0]) };
  const frames = framesOfTwo(runs), title = (listEntries().find(entry => entry.id === id) || runs[0]).title;
  // Both sides have the same scale.
  const scaled = runs.map(run => ({ ...run, most: Math.max(...runs.map(r => r.most)),
    sum: Math.max(...runs.map(r => r.sum)), length: Math.max(...runs.map(r => r.length)) }));
  return { id, title, runs: scaled, frames, difference: difference(runs, frames) };
}

function viewOfPath(walk, path) {
  const run = runAlong(walk, path);
  return { id: [walk.id, ...(path.length ? [run.path.join(".")] : [])].join(":"), title: "You are the clients", runs: [run],
    frames: framesOfOne(run), walk };
}

function sideHtml(run, other) {
  const change = !other && changeInWords(readChange(run.change)), name = safe(nameOf(run, other));
  return `<article class="side ${["", "one", "two", "two"][run.clients.length] || "four"}"><p class="sentence" role="status"></p>` +
    `<section class="program"><h2 class="file">${other ? `<strong>${safe(nameOf(run, other))}</strong> ` : ""}` +
    `${safe(run.file)}${change ? ` <b>changed: ${change}</b>` : ""}</h2>` +
    `<div class="code" tabindex="0" role="region" aria-label="Source code of ${name}">${listing(run)}</div></section>` +
    `<div class="picture"></div><p class="wait"></p><ol class="calls" reversed aria-label="Calls so far of ${name}"></ol></article>`;
}

function marksHtml({ runs, frames }) {
  const mark = (frame, k, side) => {
    const step = runs[side].steps[frame[side].k], p = k / Math.max(frames.length - 1, 1);
    return frame[side].moved && isEvent(step) ? `<i class="${step.kind} ${runs.length > 1 ? "side" + side : ""}" ` +
      `data-k="${k}" style="--p:${p};${hue(step.client)}"></i>` : "";
  };
  return frames.flatMap((frame, k) => frame.map((_, side) => mark(frame, k, side))).join("") + "<b></b>";
}

function openView(next, frame = 0) {
  const isSame = view && next.walk && view.walk === next.walk, [left, right] = next.runs; // the source stays
  view = next;
  document.body.className = next.walk ? "play" : right ? "pair" : "";
  if (!isSame) $("sides").innerHTML = right ? sideHtml(left, right) + sideHtml(right, left) : sideHtml(left);
  for (const side of $("sides").children) side.rows = [...side.querySelectorAll(".row:not(.out)")];
  $("title").textContent = next.title;
  document.title = `${next.title} · Replay`;
  $("walks").innerHTML = !next.walk ? "" : WALKS.map(([name, title]) =>
    `<a href="#play-${name}" aria-current="${next.walk.id === "play-" + name}">${safe(title)}</a>`).join("");
  $("scrubber").max = next.frames.length;
  $("marks").innerHTML = marksHtml(next);
  show(frame);
}

function showList(text = "There are no recordings: run make record.", entries = listHtml()) {
  view = null;
  document.body.className = "list";
  $("title").textContent = document.title = "Replay";
  $("list").innerHTML = entries || `<p>${safe(text)}</p>`;
}

/* Showing a frame --------------------------------------------------------------- */

function showSide(side, n) {
  const run = view.runs[n], { k, moved } = view.frames[at][n], step = run.steps[k], { rows } = side;
  const isHidden = asking && moved && Boolean(step.call), drawn = view.frames[at - isHidden][n];
  const isTurn = Boolean(run.stops) && !isHidden && stopAt(run, k) >= 0, isLast = k === run.steps.length - 1;
  const hint = isTurn ? `<strong>${isLast && !run.goesOn ? "Nothing is left to do." : "Your turn."}</strong>` :
    run.stops && !isHidden ? "<small>→ goes on, End skips to your turn.</small>" : "";
  const sentence = isHidden ? `What does ${step.call.fn} do here? Say it, then press →.` : step.sentence;
  const part = name => side.querySelector("." + name), bold = /(?<![\w&#])\d+(,\d{3})*(?![\w;])/g;
  side.classList.toggle("idle", !moved);
  part("sentence").innerHTML = `<span>${safe(sentence).replace(bold, "<b>$&</b>")} ${hint}</span>`;
  part("sentence").classList.toggle("long", part("sentence").textContent.length > 88);
  part("picture").innerHTML = picture(run, drawn, step.line, {
    withChart: !run.stops && (view.runs.length === 1 || run.clients.length === 1),
    choices: run.stops && (name => choiceButtons(run, drawn.k, name, isTurn)) });
  part("wait").innerHTML = waitLine(run, drawn.k);
  part("calls").innerHTML = callList(run, k, isHidden);
  for (const row of side.now || []) row.classList.remove("now");
  if (side.result) side.result.remove();
  const last = statementEnd(run.source, step.line), isAsleep = /^asleep/.test(run.states[drawn.k].process.status);
  side.now = rows.slice(step.line - 1, last);
  for (const row of side.now) row.classList.add("now");
  const result = isHidden ? "= ?" : step.kind === "call" ? step.call.result : isAsleep ? "asleep" : "";
  side.result = document.createElement("strong");
  side.result.className = `result ${result === "asleep" ? "asleep" : ""}`;
  side.result.textContent = result;
  if (result) rows[last - 1].lastChild.append(side.result);
  return () => scrollCode(part("code"), rows, run, step.line);
}

function show(index, ask = false) {
  at = Math.min(Math.max(index, 0), view.frames.length - 1);
  asking = ask;
  const scrolls = [...$("sides").children].map(showSide);
  const { frames, walk, runs } = view, first = view.difference;
  $("scrubber").value = at + 1;
  $("scrubber").setAttribute("aria-valuetext", `step ${at + 1} of ${frames.length}`);
  $("marks").style.setProperty("--at", at / Math.max(frames.length - 1, 1));
  for (const mark of $("marks").children) mark.classList.toggle("to-come", mark.dataset.k > at);
  $("counter").textContent = `${at + 1} / ${frames.length}`;
  // Who predicts does not want to read what comes.
  $("difference").innerHTML = !first || (isOn("predict") && (at < first.frame || asking)) ? "" :
    `First difference: ${safe(first.text)}`;
  if (walk) {
    if (!asking) notice(runs[0], at);
    $("path").innerHTML = pathHtml(runs[0], at);
    $("questions").innerHTML = questionsHtml(runs[0]);
  }
  for (const scroll of scrolls) scroll(); // last, since it needs the layout
  clearTimeout(timer); // browsers ignore an address that changes too often
  timer = setTimeout(() => view && history.replaceState(null, "", `#${view.id}/${at + 1}`), 100);
}

/* Keys, buttons, the address ---------------------------------------------------- */

const isOn = id => $(id).getAttribute("aria-pressed") === "true";
const set = (id, on) => $(id).setAttribute("aria-pressed", String(on));
const setDark = on => set("dark", document.documentElement.classList.toggle("dark", on));
const moved = (frame, test) => frame.some((s, side) => s.moved && test(view.runs[side].steps[s.k]));

function move(by, withLines) {
  if (asking) return show(by > 0 ? at : at - 1);
  let k = at + by;
  while (view.frames[k] && !withLines && !moved(view.frames[k], isEvent)) k += by;
  if (view.frames[k]) show(k, by > 0 && isOn("predict") && moved(view.frames[k], step => Boolean(step.call)));
}

/* Plays calls until the program sleeps again. Any key or button stops it. */
function play() {
  if (isOn("predict") || matchMedia("(prefers-reduced-motion: reduce)").matches) return;
  playing = setInterval(() => at < view.frames.length - 1 ? move(1, false) : clearInterval(playing), 700);
}

function goPath(walk, path, frame) {
  openView(viewOfPath(walk, path), frame);
  play();
}

/* A choice of the reader. One at an earlier situation forgets what followed it. */
function choose(n) {
  const [run] = view.runs, stop = stopAt(run, at);
  goPath(view.walk, [...run.path.slice(0, stop), n], at + 1);
}

function showWay(n) {
  const { way, programs } = view.walk.questions[n];
  if (way) return goPath(view.walk, way, 0);
  location.hash = "play-" + programs[0];
}

function shorten(path) {
  openView(viewOfPath(view.walk, path));
  show(view.frames.length - 1);
}

function openEntry(number) {
  const entry = listEntries()[number];
  if (entry) location.hash = entry.id;
}
const entryNow = () => view ? listEntries().findIndex(entry => entry.id === (view.walk ? view.walk.id : view.id)) : -1;

const actions = {
  next: () => move(1, false), back: () => move(-1, false), down: () => move(1, true), up: () => move(-1, true),
  first: () => show(0), last: () => show(view.frames.length - 1),
  "next-scene": () => openEntry(entryNow() + 1), "prev-scene": () => openEntry(entryNow() - 1),
  difference: () => show(view.difference.frame),
  undo: () => view.walk && shorten(view.runs[0].path.slice(0, -1)),
  again: () => shorten([]),
  predict() { set("predict", !isOn("predict")); if (view) show(at); },
  "to-list": () => { location.hash = ""; },
  dark: () => setDark(!isOn("dark")),
  help: () => $("about").open ? $("about").close() : $("about").showModal(),
  close: () => $("about").close(),
};
const KEYS = { ArrowRight: "next", ArrowLeft: "back", ArrowDown: "down", ArrowUp: "up", Home: "first", End: "last",
  PageDown: "next-scene", PageUp: "prev-scene", l: "to-list", p: "predict", u: "undo", d: "dark", "?": "help" };
const ALWAYS = /^(next-scene|prev-scene|predict|dark|help|close|to-list)$/; // in the list too

function act(name) {
  clearInterval(playing);
  if (view || ALWAYS.test(name)) actions[name]();
}

function onKey(event) {
  const { key, target } = event;
  if (event.ctrlKey || event.altKey || event.metaKey || (event.shiftKey && key !== "?")) return;
  if (target.closest("input, select, textarea") || ($("about").open && key !== "?")) return;
  if ((target.matches(".code") || !view) && /^(ArrowUp|ArrowDown|Page|Home|End)/.test(key)) return; // they scroll
  if (/^\d$/.test(key)) openEntry((Number(key) + 9) % 10);
  else if (KEYS[key]) act(KEYS[key]);
  else return;
  event.preventDefault();
}

function onClick({ target }) {
  const button = target.closest("button");
  if (!button) return;
  clearInterval(playing);
  if (button.dataset.choice) choose(Number(button.dataset.choice));
  else if (button.dataset.way) showWay(Number(button.dataset.way));
  else if (actions[button.id]) act(button.id);
}

/* #SCENE/STEP, #LEFT+RIGHT/STEP, #play-PROGRAM:PATH/STEP; else the list. */
function fromAddress() {
  clearInterval(playing);
  const [id, step] = location.hash.slice(1).replace(/%2B/i, "+").split("/"), [name, path = ""] = id.split(":");
  const frame = (parseInt(step, 10) || 1) - 1;
  if (/^play-/.test(name)) return withWalk(name, walk =>
    openView(viewOfPath(walk, path.split(".").filter(Boolean).map(Number)), step ? frame : Infinity));
  const next = openRuns(id);
  if (next) openView(next, frame); else showList();
}

/* On paper: a table of all steps of each run. */
function printTable() {
  const what = step => step.call ? `${step.call.text} ${step.call.result ?? "asleep"}` :
    step.client ? `${step.client} ${step.action}` : step.fn;
  $("paper").innerHTML = !view ? "" : view.runs.map(run => `<h1>${safe(run.title)}</h1>` +
    `<p>${safe(run.file)}, SHA-256 ${run.sha256}</p><table><tr><th>step</th><th>line</th><th>call</th><th>what happens</th></tr>` +
    run.steps.map((step, k) => `<tr><td>${k + 1}</td><td>${step.line}</td><td class="mono">${safe(what(step))}</td>` +
      `<td>${safe(step.sentence)}</td></tr>`).join("") + "</table>").join("");
}

addEventListener("DOMContentLoaded", () => {
  const dark = matchMedia("(prefers-color-scheme: dark)");
  setDark(dark.matches);
  dark.addEventListener("change", () => setDark(dark.matches));
  addEventListener("click", onClick);
  $("scrubber").addEventListener("input", event => { clearInterval(playing); show(Number(event.target.value) - 1); });
  addEventListener("keydown", onKey);
  addEventListener("hashchange", fromAddress);
  addEventListener("resize", () => view && show(at, asking));
  addEventListener("beforeprint", printTable);
  fromAddress();
});
