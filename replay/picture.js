/* Replay: the picture of one step. It depends on the step only: each function
   gets data and returns HTML. */
"use strict";

const count = n => n.toLocaleString("en-US");
const changed = (isChanged, html) => isChanged ? `<b class="changed">${html}</b>` : html;
const hue = name => `--hue:var(--${safe(name).slice(-1)})`; // SA is the server in A's pair
const disc = name => `<span class="disc${name.length > 1 ? " server" : ""}" style="${hue(name)}">${safe(name)}</span>`;
const arrow = (kind, text) => `<span class="arrow ${kind}"><b>${text}</b></span>`;

function processPanel(now, before, line) {
  const [, verb, call] = /^(asleep in|back from) (.*)/.exec(now.status) || ["", now.status, ""];
  const sign = { "asleep in": "☾", ended: "■", spins: "↻" }[verb] || "▶";
  const old = new Map(before.stack.join() === now.stack.join() ? before.vars : now.vars);
  const vars = now.vars.map(([name, value]) => `<dt>${safe(name)}</dt>` +
    `<dd${name.length + value.length > 15 ? ` class="wide"` : ""}>${changed(old.get(name) !== value, safe(value).replaceAll("|", "|<wbr>"))}</dd>`);
  const stack = now.stack.map((name, depth) => `<li style="--in:${depth}">${safe(name)}</li>`);
  return `<h2>Process</h2><section class="process"><p class="status ${sign === "☾" ? "asleep" : ""}">` +
    `<i aria-hidden="true">${sign}</i><span>${verb} ` +
    `<b class="mono">${safe(call) || (verb === "running" ? "line " + line : "")}</b></span></p>` +
    `<ol class="mono">${stack.join("")}</ol><dl class="mono">${vars.join("")}</dl></section>`;
}

function epollEntry(entry, old, place, isEpoll) {
  const word = e => e.ready ? "ready" : e.noNews ? "no news" : "not ready";
  const mask = e => e.mask.replace(/E?POLL/g, "");
  return `<div class="entry ${word(entry).replace(" ", "-")}" ${place}><p class="mono">` +
    `${changed(!old || mask(old) !== mask(entry), safe(mask(entry)))}<span>${!isEpoll ? "" : entry.et ? "ET" : "LT"}</span></p>` +
    `<p><i aria-hidden="true">${entry.ready ? "●" : "○"}</i> ` +
    `${changed(old && word(old) !== word(entry), word(entry))}</p></div>`;
}

function buffer(name, now, old, arrows, most) {
  const percent = n => `${100 * n / most}%`, unacked = now.unacked || 0;
  let bar = `<i class="fill unacked" style="width:${percent(unacked)}"></i>` +
    `<i class="fill" style="left:${percent(unacked)};width:${percent(now.bytes)}"></i>`;
  for (let n = 1024; n < most; n += 1024) bar += `<u style="left:${percent(n)}"></u>`;
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
function connectionBox(socket, old, place, call, client, clientBefore, isAwaited, most) {
  const was = old || { recv: { bytes: 0 }, send: { bytes: 0 }, options: [] };
  const { fn = "", text = "", result = "", role = fn } = call;
  const isOurs = socket.fd !== null && /\d+/.exec(text.slice(fn.length)) == socket.fd; // its first argument
  const bytes = isOurs && /^= (\d+)/.test(result) ? Number(result.slice(2)) : 0;
  const arrived = client.sent - clientBefore.sent, left = client.got - clientBefore.got;
  const recv = (arrived ? arrow("in", "+" + count(arrived)) : "") +
    (bytes && role === "recv" ? arrow("taken", `${safe(fn)} ${count(bytes)}`) : "") +
    (isAwaited ? arrow("taken asleep", "") : "");
  const send = (bytes && role === "send" ? arrow("put", `${safe(fn)} ${count(bytes)}`) : "") +
    (left ? arrow("out", "+" + count(left)) : "") +
    (socket.options.includes("TCP_CORK") ? `<span class="cork"></span>` : "");
  const notes = socket.options.filter(name => name !== "SO_REUSEADDR")
    .map(name => `<span>${changed(!was.options.includes(name), safe(name))}</span>`);
  if (socket.send.unacked) notes.push(`${count(socket.send.unacked)} unacknowledged`);
  if (socket.state !== "ESTABLISHED") notes.push(changed(was.state !== socket.state, safe(socket.state)));
  return `<section class="socket ${socket.fd === null ? "queued" : ""}" ${place}><h3>connection <span class="mono">` +
    `${socket.fd === null ? "queued" : changed(was.fd !== socket.fd, socket.fd)}</span></h3>` +
    buffer("recv", socket.recv, was.recv, recv, most) + buffer("send", socket.send, was.send, send, most) +
    `<p class="notes mono">${notes.join(" ")}</p></section>`;
}

function clientPanel(client, old, place, hasSegments, choices) {
  const segments = hasSegments && client.segments;
  return `<section class="client ${client.state}" ${place}>` +
    `<p>sent ${changed(client.sent !== old.sent, count(client.sent))}</p>${disc(client.name)}` +
    `<p>got ${changed(client.got !== old.got, count(client.got))}</p>` +
    (segments ? `<p>${segments} segment${segments > 1 ? "s" : ""}</p>` : "") +
    `<p class="does">${safe(client.does)}</p>${choices}</section>`;
}

/* Each client has a row, and its connection is in that row. `moved`: this step has
   just been taken. `choices` has the buttons of a client; `withChart` is false
   where there is no room. */
function picture(scene, { k: now, moved }, line, { choices = () => "", withChart = true } = {}) {
  const state = scene.states[now], isNew = moved && now > 0, before = isNew ? scene.states[now - 1] : state;
  const place = name => `style="grid-row:${4 + scene.clients.indexOf(name)};${hue(name)}"`;
  const { status } = state.process, sleepsIn = calls => new RegExp(`^asleep in (${calls})`).test(status);
  const client = (s, name) => s.clients.find(c => c.name === name);
  const parts = state.sockets.map(socket => {
    const where = socket.client ? place(socket.client) : `style="grid-row:3"`;
    const entry = s => s.epoll && s.epoll.entries.find(e => e.fd === socket.fd);
    const call = (isNew || now === 0) && scene.steps[now].call || {};
    const box = socket.kind !== "connection" ? listenerBox(socket, where, sleepsIn("accept")) :
      connectionBox(socket, before.sockets.find(s => s.recv && s.client === socket.client), where, call,
        client(state, socket.client), client(before, socket.client),
        sleepsIn("recv|read") && socket.fd !== null && [undefined, socket.client].includes(scene.steps[now].call?.on), scene.most);
    return (entry(state) ? epollEntry(entry(state), entry(before), where, !state.epoll.kind) : "") + box;
  });
  parts.push(...state.clients.map(c =>
    clientPanel(c, client(before, c.name), place(c.name), scene.hasSegments, choices(c.name))));
  const epoll = state.epoll ? `<div class="epoll ${sleepsIn("e?poll|select") ? "asleep" : ""}">` +
    `<h3>${state.epoll.kind || "epoll"} <span class="mono">${state.epoll.fd ?? ""}</span></h3></div>` : "";
  return `<div>${processPanel(state.process, before.process, line)}</div>` +
    `<div class="net" style="--n:${scene.clients.length}"><h2>Kernel</h2><h2 class="client">${scene.clients.some(name => name.length > 1) ? "Network" : "Clients"}</h2>` +
    `<div class="kernel"></div>${epoll}<h3 class="sockets">sockets</h3>` +
    `${parts.join("")}${withChart && scene.clients.length < 4 ? chart(scene, now) : ""}</div>`;
}

/* Both buffers over the run, as far as it has been shown. */
function chart(scene, now) {
  const wide = 100 / scene.length, shown = scene.events.filter(k => k <= now);
  const bars = shown.map((k, x) => {
    let y = 0;
    return scene.states[k].sockets.filter(s => s.recv).map(s => ["recv", "send"].map(name => {
      const height = 100 * s[name].bytes / scene.sum;
      y += height;
      return height && `<i class="${name}" style="left:${x * wide}%;bottom:${y - height}%;` +
        `width:${wide}%;height:${height}%;${hue(s.client)}"></i>`;
    })).flat().filter(Boolean).join("");
  });
  const wakes = scene.wakes.filter(k => k <= now).map(k =>
    `<b style="left:${(scene.events.indexOf(k) + 0.5) * wide}%">${scene.inputs.has(k) ? "▲" : "△"}</b>`);
  const reports = shown.filter(k => scene.inputs.has(k)).length;
  const title = reports ? `▲ received bytes reported ${["once", "twice"][reports - 1] || reports + " times"}` :
    "bytes in the buffers, over time";
  return `<figure><figcaption>${title}</figcaption><div aria-hidden="true">${bars.join("")}</div>` +
    `<p aria-hidden="true">${wakes.join("")}</p></figure>`;
}

/* Who waits for whom. */
function waitLine(scene, now) {
  const edges = scene.states[now].wait, isLast = now === scene.steps.length - 1 && !scene.goesOn, done = new Set();
  const node = name => scene.clients.includes(name) ? disc(name) : `<b class="node">${safe(name)}</b>`;
  const targets = who => edges.filter(edge => edge[0] === who).map(edge => edge[2]);
  const chain = who => {
    done.add(who);
    const whom = targets(who), [next] = whom, circle = isLast && whom.find(name => done.has(name));
    const goesOn = whom.length === 1 && targets(next).length && !done.has(next);
    return ` <span class="waits">waits for →</span> ` + (goesOn ? node(next) + chain(next) :
      circle ? node(circle) + " <b>forever</b>" : whom.map(node).join(" or "));
  };
  const starts = [...edges.filter(edge => !edges.some(other => other[2] === edge[0])), ...edges];
  const chains = starts.map(([who]) => done.has(who) ? "" : node(who) + chain(who)).filter(Boolean);
  return chains.join(`<span class="gap"></span>`) || "nobody waits";
}

/* The calls so far, the last one first. */
function callList(scene, k, isHidden) {
  return scene.events.filter(n => n <= k).slice(-9).reverse().map(n => {
    const step = scene.steps[n], current = n === k ? ` aria-current="step"` : "", hidden = isHidden && n === k;
    if (step.kind === "client") return `<li class="act"${current}>${disc(step.client)} ${safe(step.action)}</li>`;
    if (step.kind === "note") return `<li class="act"${current}>⚑ note</li>`;
    if (step.kind === "sleep" && !hidden) return `<li class="asleep mono"${current}>☾ ${safe(step.call.fn)}</li>`;
    return `<li class="mono"${current}>${safe(step.call.text)} <b>${hidden ? "= ?" : safe(step.call.result)}</b></li>`;
  }).join("");
}
