/* Replay: shows the recordings. README.md describes them. All states of a scene
   are computed when it opens. The picture depends on the step only, so going
   back is show(i - 1). */
"use strict";

const replay = { scenes: [], add(recording) { this.scenes.push(recording); } };

(() => {
const $ = id => document.getElementById(id);
const safe = text => String(text).replace(/[&<>"]/g, c => `&#${c.charCodeAt(0)};`);
const count = n => n.toLocaleString("en-US");
const changed = (isChanged, html) => isChanged ? `<b class="changed">${html}</b>` : html;
const hue = name => `--hue:var(--${safe(name)})`;
const disc = name => `<span class="disc" style="${hue(name)}">${safe(name)}</span>`;

let scene = null;   // the recording that is shown, with all that prepare adds
let at = 0;         // the index of the step
let asking = false; // predict: this step's call is shown, its result is not
let timer = 0;      // sets the address to that of the step

/* The source ---------------------------------------------------------------- */

const oneOf = words => `\\b(${words.replace(/ /g, "|")})\\b`;
const TOKEN = new RegExp(String.raw`(/\*.*?(?:\*/|$))|("(?:\\.|[^"\\])*")|` +
  oneOf("break case char const continue do else false for goto if in_port_t int long return " +
    "sizeof size_t ssize_t static struct true bool uint32_t unsigned void while") + "|" +
  oneOf("accept accept4 bind close epoll_create1 epoll_ctl epoll_wait fflush listen recv send " +
    "setsockopt shutdown sigaction sigprocmask sleep socket write") + "(?=\\()", "g");

function highlight(lines) {
  let inComment = false;
  return lines.map(line => {
    const text = line.trim();
    if (inComment || text.startsWith("/*")) {
      inComment = !text.includes("*/");
      return `<em>${safe(text)}</em>`;
    }
    let html = "", end = 0;
    for (const found of text.matchAll(TOKEN)) {
      const tag = ["em", "u", "s", "b"][found.slice(1).findIndex(group => group !== undefined)];
      html += `${safe(text.slice(end, found.index))}<${tag}>${safe(found[0])}</${tag}>`;
      end = found.index + found[0].length;
      inComment = tag === "em" && !found[0].includes("*/");
    }
    return html + safe(text.slice(end));
  });
}

/* The change of a broken variant: the lines taken out, by the number of the line
   that follows them, and the numbers of the lines put in. */
function readChange(diff = "") {
  const out = new Map(), put = new Set();
  let line = 0;
  for (const text of diff.split("\n")) {
    const hunk = /^@@ -\S+ \+(\d+)/.exec(text);
    if (hunk) line = Number(hunk[1]);
    else if (line && text[0] === "-") out.set(line, [...out.get(line) || [], text.slice(1)]);
    else if (line && text[0] === "+") put.add(line++);
    else if (line) line++;
  }
  return { out, put };
}

function row(kind, number, line, html) {
  const indent = line.length - line.trimStart().length;
  return `<div class="row ${kind}"><i>${number}</i><span style="--in:${indent}">${html}</span></div>`;
}

function listing({ source, isNew, change }) {
  const { out, put } = readChange(change);
  const kind = n => put.has(n) ? "put" : isNew.includes(n) ? "new" : "";
  return highlight(source).map((html, k) =>
    (out.get(k + 1) || []).map(line => row("out", "", line, safe(line.trim()))).join("") +
    row(kind(k + 1), k + 1, source[k], html)).join("");
}

/* The last line of the statement that begins here: until brackets are closed. */
function statementEnd(line) {
  for (let depth = 0, n = line; n <= scene.source.length && n < line + 6; n++) {
    for (const c of scene.source[n - 1].replace(/"(\\.|[^"\\])*"/g, "")) depth += (c === "(") - (c === ")");
    if (depth <= 0) return n;
  }
  return line;
}

/* A function that fits stays where it is while it runs. One that does not fit
   moves by half a page. */
function scroll() {
  const { line } = scene.steps[at], { rows, source } = scene;
  const height = $("code").clientHeight - 24; // the last row fades
  let [, first, last] = scene.functions.find(f => f[1] <= line && line <= f[2]) || ["", line, line];
  while (first > 1 && /^(\/\*| {3}|\S.*\*\/$)/.test(source[first - 2])) first--; // its comment
  const bottom = element => element.offsetTop + element.offsetHeight;
  const top = rows[first - 1].offsetTop, end = bottom(rows[last - 1]), y = rows[line - 1].offsetTop;
  let wanted = Math.min(top, end - height / 2);
  if (end - top > height)
    wanted = Math.min(top + Math.max(0, Math.floor(2 * (y - top) / height) - 0.5) * height / 2, end - height);
  wanted = Math.min(Math.max(wanted, bottom(rows[statementEnd(line) - 1]) - height), y);
  $("code").scrollTop = rows.find(element => element.offsetTop >= wanted - 1).offsetTop - 4;
}

/* The picture: process, epoll, sockets, clients ----------------------------- */

function processPanel(now, before) {
  const [, verb, call] = /^(asleep in|back from) (.*)/.exec(now.status) || ["", now.status, ""];
  const sign = { "asleep in": "☾", ended: "■" }[verb] || "▶";
  const old = new Map(before.stack.join() === now.stack.join() ? before.vars : now.vars);
  const vars = now.vars.map(([name, value]) => `<dt>${safe(name)}</dt>` +
    `<dd${name.length + value.length > 15 ? ` class="wide"` : ""}>${changed(old.get(name) !== value, safe(value))}</dd>`);
  const stack = now.stack.map((name, depth) => `<li style="--in:${depth}">${safe(name)}</li>`);
  return `<h2>Process</h2><section id="process"><p class="status ${sign === "☾" ? "asleep" : ""}">` +
    `<i aria-hidden="true">${sign}</i><span>${verb} ` +
    `<b class="mono">${call || (verb === "running" ? "line " + scene.steps[at].line : "")}</b></span></p>` +
    `<ol class="mono">${stack.join("")}</ol><dl class="mono">${vars.join("")}</dl></section>`;
}

function epollEntry(entry, old, place) {
  const word = e => e.ready ? "ready" : e.noNews ? "no news" : "not ready";
  const mask = e => e.mask.replace(/EPOLL/g, "");
  return `<div class="entry ${word(entry).replace(" ", "-")}" ${place}><p class="mono">` +
    `${changed(!old || mask(old) !== mask(entry), safe(mask(entry)))}<span>${entry.et ? "ET" : "LT"}</span></p>` +
    `<p><i aria-hidden="true">${entry.ready ? "●" : "○"}</i> ` +
    `${changed(old && word(old) !== word(entry), word(entry))}</p></div>`;
}

const arrow = (kind, text) => `<span class="arrow ${kind}"><b>${text}</b></span>`;

function buffer(name, now, old, arrows) {
  const percent = n => `${100 * n / scene.most}%`, unacked = now.unacked || 0;
  let bar = `<i class="fill unacked" style="width:${percent(unacked)}"></i>` +
    `<i class="fill" style="left:${percent(unacked)};width:${percent(now.bytes)}"></i>`;
  for (let n = 1024; n < scene.most; n += 1024) bar += `<u style="left:${percent(n)}"></u>`;
  return `<div class="buffer ${name}"><p>${name === "recv" ? "receive" : "send"} buffer ` +
    `<span>${changed(now.bytes !== old.bytes, count(now.bytes))}</span></p>` +
    `<div class="bar">${bar}${arrows}</div><p class="text mono">${safe(now.text)}</p></div>`;
}

function listenerBox(socket, place, isAsleep) {
  const queue = socket.queue || [];
  const seats = Array.from({ length: Math.max(3, queue.length) }, (_, k) =>
    queue[k] ? disc(queue[k]) : `<span class="disc free"></span>`);
  return `<section class="socket" ${place}>${isAsleep ? arrow("taken asleep", "") : ""}` +
    `<h3>${socket.kind} <span class="mono">${socket.fd}</span></h3>` +
    (socket.queue ? `<p class="queue">queue ${seats.join("")}</p>` : "") + `</section>`;
}

/* The arrows show what this step moved: from the client or to it, as its counts
   say; from the program or to it, as the result of the call says. */
function connectionBox(socket, old, place, step, client, clientBefore, isAwaited) {
  const was = old || { recv: { bytes: 0 }, send: { bytes: 0 }, options: [] };
  const { fn = "", text = "", result = "" } = step.call || {};
  const isOurs = socket.fd !== null && /\d+/.exec(text.slice(fn.length)) == socket.fd; // its first argument
  const bytes = isOurs && /^= (\d+)/.test(result) ? Number(result.slice(2)) : 0;
  const arrived = client.sent - clientBefore.sent, left = client.got - clientBefore.got;
  const recv = (arrived ? arrow("in", "+" + count(arrived)) : "") +
    (bytes && /^recv/.test(fn) ? arrow("taken", "recv " + count(bytes)) : "") +
    (isAwaited ? arrow("taken asleep", "") : "");
  const send = (bytes && /^send/.test(fn) ? arrow("put", "send " + count(bytes)) : "") +
    (left ? arrow("out", "+" + count(left)) : "") +
    (socket.options.includes("TCP_CORK") ? `<span class="cork"></span>` : "");
  const notes = socket.options.filter(name => name !== "SO_REUSEADDR")
    .map(name => changed(!was.options.includes(name), safe(name)));
  if (socket.send.unacked) notes.push(`${count(socket.send.unacked)} unacknowledged`);
  if (socket.state !== "ESTABLISHED") notes.push(changed(was.state !== socket.state, safe(socket.state)));
  return `<section class="socket ${socket.fd === null ? "queued" : ""}" ${place}><h3>connection <span class="mono">` +
    `${socket.fd === null ? "queued" : changed(was.fd !== socket.fd, socket.fd)}</span></h3>` +
    buffer("recv", socket.recv, was.recv, recv) + buffer("send", socket.send, was.send, send) +
    `<p class="notes mono">${notes.join(" ")}</p></section>`;
}

function clientPanel(client, old, place) {
  const segments = scene.hasSegments && client.segments;
  return `<section class="client ${client.state}" ${place}>` +
    `<p>sent ${changed(client.sent !== old.sent, count(client.sent))}</p>${disc(client.name)}` +
    `<p>got ${changed(client.got !== old.got, count(client.got))}</p>` +
    (segments ? `<p>${segments} segment${segments > 1 ? "s" : ""}</p>` : "") +
    `<p class="does">${safe(client.does)}</p></section>`;
}

/* Each client has a row, and its connection is in that row. */
function picture(state, before, step) {
  const place = name => `style="grid-row:${4 + scene.clients.indexOf(name)};${hue(name)}"`;
  const sleepsIn = call => state.process.status === "asleep in " + call;
  const client = (s, name) => s.clients.find(c => c.name === name);
  const parts = state.sockets.map(socket => {
    const where = socket.kind === "connection" ? place(socket.client) : `style="grid-row:3"`;
    const entry = s => s.epoll && s.epoll.entries.find(e => e.fd === socket.fd);
    const box = socket.kind !== "connection" ? listenerBox(socket, where, sleepsIn("accept")) :
      connectionBox(socket, before.sockets.find(s => s.client === socket.client), where, step,
        client(state, socket.client), client(before, socket.client), sleepsIn("recv") && socket.fd !== null);
    return (entry(state) ? epollEntry(entry(state), entry(before), where) : "") + box;
  });
  parts.push(...state.clients.map(c => clientPanel(c, client(before, c.name), place(c.name))));
  const epoll = state.epoll ? `<div id="epoll" class="${sleepsIn("epoll_wait") ? "asleep" : ""}">` +
    `<h3>epoll <span class="mono">${state.epoll.fd}</span></h3></div>` : "";
  return `<div>${processPanel(state.process, before.process)}</div><div id="net" style="--n:${scene.clients.length}">` +
    `<h2>Kernel</h2><h2 class="client">Clients</h2><div id="kernel"></div>${epoll}<h3 id="sockets">sockets</h3>` +
    `${parts.join("")}${chart()}</div>`;
}

/* Both buffers over the run, as far as it has been shown. */
function chart() {
  const wide = 100 / scene.events.length, shown = scene.events.filter(k => k <= at - asking);
  const bars = shown.map((k, x) => {
    let y = 0;
    return scene.states[k].sockets.filter(s => s.recv).map(s => ["recv", "send"].map(name => {
      const height = 100 * s[name].bytes / scene.sum;
      y += height;
      return height && `<i class="${name}" style="left:${x * wide}%;bottom:${y - height}%;` +
        `width:${wide}%;height:${height}%;${hue(s.client)}"></i>`;
    })).flat().filter(Boolean).join("");
  });
  const wakes = scene.wakes.filter(k => shown.includes(k)).map(k =>
    `<b style="left:${(scene.events.indexOf(k) + 0.5) * wide}%">${scene.inputs.has(k) ? "▲" : "△"}</b>`);
  const woken = shown.filter(k => scene.inputs.has(k)).length;
  const title = woken ? `▲ woken ${["once", "twice"][woken - 1] || woken + " times"} by received bytes` :
    "bytes in the buffers, over time";
  return `<figure><figcaption>${title}</figcaption><div aria-hidden="true">${bars.join("")}</div>` +
    `<p aria-hidden="true">${wakes.join("")}</p></figure>`;
}

/* Below the picture: who waits for whom, and the calls so far --------------- */

function waitLine(edges) {
  const node = name => scene.clients.includes(name) ? disc(name) : `<b class="node">${safe(name)}</b>`;
  const targets = who => edges.filter(edge => edge[0] === who).map(edge => edge[2]);
  const isLast = at === scene.steps.length - 1, done = new Set();
  const chain = who => {
    done.add(who);
    const whom = targets(who), [next] = whom, goesOn = whom.length === 1 && targets(next).length && !done.has(next);
    return ` <span class="waits">waits for →</span> ` + (goesOn ? node(next) + chain(next) :
      whom.map(node).join(" ") + (isLast && whom.some(name => done.has(name)) ? " <b>forever</b>" : ""));
  };
  const starts = [...edges.filter(edge => !edges.some(other => other[2] === edge[0])), ...edges];
  const chains = starts.map(([who]) => done.has(who) ? "" : node(who) + chain(who)).filter(Boolean);
  return chains.join(`<span class="gap"></span>`) || "nobody waits";
}

function callChip(k) {
  const step = scene.steps[k], current = k === at ? ` aria-current="step"` : "", isHidden = asking && k === at;
  if (step.kind === "client") return `<li class="act"${current}>${disc(step.client)} ${safe(step.action)}</li>`;
  if (step.kind === "sleep" && !isHidden) return `<li class="asleep mono"${current}>☾ ${safe(step.call.fn)}</li>`;
  return `<li class="mono"${current}>${safe(step.call.text)} <b>${isHidden ? "= ?" : safe(step.call.result)}</b></li>`;
}

/* Showing a step ------------------------------------------------------------ */

function prepare() {
  let state = {};
  scene.states = scene.steps.map(step => state = { ...state, ...step.state });
  const buffers = scene.states.map(s => s.sockets.filter(k => k.recv));
  scene.most = Math.max(1, ...buffers.flat().flatMap(k => [k.recv.bytes, k.send.bytes + (k.send.unacked || 0)]));
  scene.sum = Math.max(1, ...buffers.map(list => list.reduce((sum, k) => sum + k.recv.bytes + k.send.bytes, 0)));
  scene.hasSegments = state.clients.some(c => c.segments > 1);
  scene.events = [...scene.steps.keys()].filter(k => scene.steps[k].kind !== "line");
  const hasInput = k => [...scene.steps[k].call.result.matchAll(/(\d+) \S*EPOLLIN/g)].some(([, fd]) =>
    buffers[k].some(s => s.fd === Number(fd) && s.recv.bytes));
  scene.inputs = new Set(scene.wakes.filter(hasInput));
  scene.html = listing(scene);
}

function open(number, step = 0) {
  if (!replay.scenes[number]) return;
  scene = replay.scenes[number];
  if (!scene.states) prepare();
  $("code").innerHTML = scene.html;
  scene.rows = [...$("code").querySelectorAll(".row:not(.out)")];
  $("title").textContent = scene.title;
  document.title = `${scene.title} · Replay`;
  const lines = (kind, words) => [$("code").querySelectorAll(kind).length].filter(Boolean)
    .map(n => `${n} line${n > 1 ? "s" : ""} ${words}`);
  const change = [...lines(".out", "taken out (−)"), ...lines(".put", "put in (±)")].join(", ");
  $("file").innerHTML = safe(scene.file) + (change && ` <b>changed: ${change}</b>`);
  [...$("scenes").children].forEach((button, k) => button.setAttribute("aria-current", String(k === number)));
  $("picture").className = ["", "one"][scene.clients.length] || "two";
  $("scrubber").max = scene.steps.length;
  $("marks").innerHTML = scene.events.map(k => `<i class="${scene.steps[k].kind}" data-k="${k}" ` +
    `style="--p:${k / (scene.steps.length - 1)};${hue(scene.steps[k].client)}"></i>`).join("") + "<b></b>";
  show(step);
}

function show(index, ask = false) {
  at = Math.min(Math.max(index, 0), scene.steps.length - 1);
  asking = ask;
  const step = scene.steps[at], now = at - asking, state = scene.states[now];
  const sentence = asking ? `What does ${step.call.fn} do here? Say it, then press →.` : step.sentence;
  $("sentence").innerHTML = `<span>${safe(sentence).replace(/(?<![\w&#])\d+(,\d{3})*(?![\w;])/g, "<b>$&</b>")}</span>`;
  $("sentence").className = sentence.length > 88 ? "long" : "";
  $("picture").innerHTML = picture(state, scene.states[Math.max(now - 1, 0)], scene.steps[now]);
  $("wait").innerHTML = waitLine(state.wait);
  $("calls").innerHTML = scene.events.filter(k => k <= at).slice(-9).reverse().map(callChip).join("");
  for (const old of $("code").querySelectorAll(".now")) old.classList.remove("now");
  for (const old of $("code").querySelectorAll(".result")) old.remove();
  const last = statementEnd(step.line), isAsleep = /^asleep/.test(state.process.status);
  for (const element of scene.rows.slice(step.line - 1, last)) element.classList.add("now");
  const result = asking ? "= ?" : step.kind === "call" ? step.call.result : isAsleep ? "asleep" : "";
  if (result) scene.rows[last - 1].lastChild.insertAdjacentHTML("beforeend",
    `<strong class="result ${result === "asleep" ? "asleep" : ""}">${safe(result)}</strong>`);
  scroll();
  $("scrubber").value = at + 1;
  $("scrubber").setAttribute("aria-valuetext", `step ${at + 1} of ${scene.steps.length}`);
  $("marks").style.setProperty("--at", at / (scene.steps.length - 1));
  for (const mark of $("marks").children) mark.classList.toggle("to-come", mark.dataset.k > at);
  $("counter").textContent = `${at + 1} / ${scene.steps.length}`;
  clearTimeout(timer); // browsers ignore an address that changes too often
  timer = setTimeout(() => history.replaceState(null, "", `#${scene.id}/${at + 1}`), 100);
}

/* Keys, buttons, the address ------------------------------------------------ */

const isOn = id => $(id).getAttribute("aria-pressed") === "true";
const set = (id, on) => $(id).setAttribute("aria-pressed", String(on));
const setDark = on => set("dark", document.documentElement.classList.toggle("dark", on));

function move(by, withLines) {
  if (asking) return show(by > 0 ? at : at - 1);
  let k = at + by;
  while (scene.steps[k] && scene.steps[k].kind === "line" && !withLines) k += by;
  if (scene.steps[k]) show(k, by > 0 && isOn("predict") && Boolean(scene.steps[k].call));
}

const actions = {
  next: () => move(1, false), back: () => move(-1, false), down: () => move(1, true), up: () => move(-1, true),
  first: () => show(0), last: () => show(scene.steps.length - 1),
  "next-scene": () => open(replay.scenes.indexOf(scene) + 1),
  "prev-scene": () => open(replay.scenes.indexOf(scene) - 1),
  predict() { set("predict", !isOn("predict")); if (asking) show(at); },
  dark: () => setDark(!isOn("dark")),
  help: () => $("about").open ? $("about").close() : $("about").showModal(),
  close: () => $("about").close(),
};
const KEYS = { ArrowRight: "next", ArrowLeft: "back", ArrowDown: "down", ArrowUp: "up", Home: "first", End: "last",
  PageDown: "next-scene", PageUp: "prev-scene", p: "predict", d: "dark", "?": "help" };

function onKey(event) {
  const { key, target } = event;
  if (event.ctrlKey || event.altKey || event.metaKey || (event.shiftKey && key !== "?")) return;
  if (target.closest("input, select, textarea") || ($("about").open && key !== "?")) return;
  if (target === $("code") && /^(ArrowUp|ArrowDown|Page|Home|End)/.test(key)) return; // they scroll it
  if (/^\d$/.test(key)) open((Number(key) + 9) % 10);
  else if (KEYS[key]) actions[KEYS[key]]();
  else return;
  event.preventDefault();
}

function fromAddress() {
  const [id, step] = location.hash.slice(1).split("/");
  const number = replay.scenes.findIndex(s => s.id === id);
  open(Math.max(number, 0), number < 0 ? 0 : (parseInt(step, 10) || 1) - 1);
}

/* On paper: a table of all steps of the scene. */
function printTable() {
  const what = step => step.call ? `${step.call.text} ${step.call.result ?? "asleep"}` :
    step.client ? `${step.client} ${step.action}` : step.fn;
  const rows = scene.steps.map((step, k) => `<tr><td>${k + 1}</td><td>${step.line}</td>` +
    `<td class="mono">${safe(what(step))}</td><td>${safe(step.sentence)}</td></tr>`);
  $("paper").innerHTML = `<h1>${safe(scene.title)}</h1><p>${safe(scene.file)}, SHA-256 ${scene.sha256}</p><table>` +
    `<tr><th>step</th><th>line</th><th>call</th><th>what happens</th></tr>${rows.join("")}</table>`;
}

addEventListener("DOMContentLoaded", () => {
  const dark = matchMedia("(prefers-color-scheme: dark)");
  setDark(dark.matches);
  dark.addEventListener("change", () => setDark(dark.matches));
  if (!replay.scenes.length) return void ($("sentence").textContent = "There are no recordings: run make record.");
  $("scenes").innerHTML = replay.scenes.map((s, k) =>
    `<button title="${safe(s.title)}" aria-label="Scene ${k + 1}: ${safe(s.title)}">${k + 1}</button>`).join("");
  [...$("scenes").children].forEach((button, k) => button.addEventListener("click", () => open(k)));
  for (const id of Object.keys(actions)) $(id).addEventListener("click", actions[id]);
  $("scrubber").addEventListener("input", event => show(Number(event.target.value) - 1));
  addEventListener("keydown", onKey);
  addEventListener("hashchange", fromAddress);
  addEventListener("resize", scroll);
  addEventListener("beforeprint", printTable);
  fromAddress();
});
})();
