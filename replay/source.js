/* Replay: the source of a program as HTML, and which part of it is in sight. */
"use strict";

/* What the recordings call. */
const replay = { scenes: [], walks: {}, add(run) { this.scenes.push(run); }, addWalk(walk) { addWalk(walk); } };
const safe = text => String(text).replace(/[&<>"]/g, c => `&#${c.charCodeAt(0)};`);

const oneOf = words => `\\b(${words.replace(/ /g, "|")})\\b`;
const TOKEN = new RegExp(String.raw`(/\*.*?(?:\*/|$)|//.*$)|("(?:\\.|[^"\\])*")|` +
  oneOf("break case char const continue do else false for goto if in_port_t int long return " +
    "sizeof size_t ssize_t static struct true bool uint32_t unsigned void while") + "|" +
  oneOf("accept accept4 bind close epoll_create epoll_create1 epoll_ctl epoll_wait fcntl fflush ioctl listen " +
    "poll read recv select send setsockopt shutdown sigaction sigprocmask sleep socket write") + "(?=\\()", "g");

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
      inComment = found[0].startsWith("/*") && !found[0].includes("*/");
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
function statementEnd(source, line) {
  for (let depth = 0, n = line; n <= source.length && n < line + 6; n++) {
    for (const c of source[n - 1].replace(/"(\\.|[^"\\])*"/g, "")) depth += (c === "(") - (c === ")");
    if (depth <= 0) return n;
  }
  return line;
}

/* A function that fits stays where it is while it runs. One that does not fit
   moves by half a page. A strip of a few lines follows the current line. */
function scrollCode(code, rows, { functions, source }, line) {
  const height = code.clientHeight - 24; // the last row fades
  let [, first, last] = functions.find(f => f[1] <= line && line <= f[2]) || ["", line, line];
  while (first > 1 && /^(\/\*| {3}|\S.*\*\/$)/.test(source[first - 2])) first--; // its comment
  const bottom = element => element.offsetTop + element.offsetHeight;
  const top = rows[first - 1].offsetTop, end = bottom(rows[last - 1]), y = rows[line - 1].offsetTop;
  let wanted = Math.min(top, end - height / 2);
  if (height < 9 * rows[0].offsetHeight) wanted = y - height / 3;
  else if (end - top > height)
    wanted = Math.min(top + Math.max(0, Math.floor(2 * (y - top) / height) - 0.5) * height / 2, end - height);
  wanted = Math.min(Math.max(wanted, bottom(rows[statementEnd(source, line) - 1]) - height), y);
  code.scrollTop = rows.find(element => element.offsetTop >= wanted - 1).offsetTop - 4;
}

/* How a changed program differs from its file, in words. */
function changeInWords({ out, put }) {
  const lines = (n, words) => n ? [`${n} line${n > 1 ? "s" : ""} ${words}`] : [];
  return [...lines([...out.values()].flat().length, "taken out (−)"), ...lines(put.size, "put in (±)")].join(", ");
}
