#!/usr/bin/env python3
"""Makes the notes and the programs into pages that any browser opens.

usage: build.py FOLDER

Writes a page for each document, each file that a document links to, and each
neighbour diff; copies the replay and the figures; keeps the links between them.
Needs cmark-gfm and pygmentize. Exit status 1: a link leads nowhere.
"""
import difflib
import html
import re
import shutil
import subprocess
import sys
from pathlib import Path, PurePosixPath as Path_
from posixpath import dirname, normpath, relpath

TOP = Path(__file__).resolve().parent.parent
COPIED = {".svg", ".png", ".html", ".js", ".css", ".txt", ".tsv"}
NAV = {"Start": "README.md", "Notes": "NOTES.md", "Beyond": "notes/beyond.md", "Breaks": "notes/breaks.md",
       "Appendix": "appendix/README.md", "Lab": "lab/README.md",
       "Tests": "tests/README.md", "Exercises": "exercises/README.md", "About the replay": "replay/README.md", "Replay": "replay/index.html"}
folder, linked, broken = Path(sys.argv[1] if sys.argv[1:] else sys.exit(__doc__)), set(), []


def run(*command):
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, encoding="utf-8").stdout


def page_of(path):
    """Where the page of a file of the kit stands in the site."""
    if path.endswith("README.md") and not (TOP / path).with_name("index.html").exists():
        path = path[:-len("README.md")] + "index.md"
    page = re.sub(r"\.md$", ".html", path)
    return page if Path_(page).suffix in COPIED else page + ".html"


def write(target, title, body, contents=""):
    up = "../" * target.count("/")
    nav = " ".join(f'<a href="{up}{page_of(p)}"{" aria-current=page" if page_of(p) == target else ""}>{name}</a>'
                   for name, p in NAV.items() if (TOP / p).exists())
    parts = {"title": html.escape(title), "up": up, "nav": nav, "body": body, "contents": contents}
    (folder / target).parent.mkdir(parents=True, exist_ok=True)
    template = (TOP / "site/page.html").read_text(encoding="utf-8")
    (folder / target).write_text(re.sub(r"\{\{(\w+)\}\}", lambda m: parts[m[1]], template), encoding="utf-8")


def link(match, path):
    """A link in a document, as a link in its page."""
    target = html.unescape(match[2])
    name, mark, anchor = target.partition("#")
    if not name or re.match("[a-z]+:", target):
        return match[0]
    there = normpath(f"{dirname(path)}/{name}".lstrip("/"))
    there += "/README.md" if (TOP / there).is_dir() else ""
    if not (TOP / there).is_file():
        if "/" not in there or (TOP / there.split("/")[0]).exists():
            broken.append(f"{path}: {target}")
        return ""  # into a folder that was taken out: text without a link
    linked.add(there)
    return f'{match[1]}="{html.escape(relpath(page_of(there), dirname(page_of(path)) or ".") + mark + anchor)}"'


def document(path):
    names, contents = {}, []

    def heading(match):
        """With the name that the code host gives it."""
        text = html.unescape(re.sub("<[^>]*>", "", match[2]))
        name = re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-")
        names[name] = names.get(name, -1) + 1
        name += f"-{names[name]}" if names[name] else ""
        contents.append(f'<a class="h{match[1]}" href="#{name}">{html.escape(text)}</a>')
        return f'<h{match[1]} id="{name}">{match[2]}</h{match[1]}>'

    body = run("cmark-gfm", "--unsafe", "-e", "table", "-e", "autolink", str(TOP / path))
    body = re.sub(r'<p>(<a href="\.\./\.\./actions/|On GitHub,).*?</p>', "", body, flags=re.S)  # only true there
    here = dirname(path) or "."
    body = re.sub(r"<code>((\w+/[\w/]*\.c)(?:: \w+)?)</code>", lambda m: (
        f'<a href="{relpath(m[2], here)}"><code>{m[1]}</code></a>' if (TOP / m[2]).exists() else m[0]), body)
    body = re.sub(r'(href|src)="([^"]*)"', lambda m: link(m, path), body)
    body = re.sub(r"<code>make diff(\w)</code>", lambda m: next(
        (f'<a href="{relpath(new, here)}/diff.html">{m[0]}</a>' for new in grows if re.match(f"(appendix/|ex){m[1]}_", new)), m[0]), body)
    body = re.sub(r"<h(\d)>(.*?)</h\1>", heading, body, flags=re.S)
    body = re.sub(r"<table>(.*?)</table>", r'<div class="wide" tabindex="0"><table>\1</table></div>', body, flags=re.S)
    title = re.sub("<[^>]*>", "", contents[0]) if contents else path
    write(page_of(path), html.unescape(title), body.replace("<pre>", '<pre tabindex="0">'), "\n".join(contents[1:]))


def source(path, old):
    lexer = ["-l", "c"] if path.endswith(".c") else ["-g"]
    code = run("pygmentize", *lexer, "-f", "html", "-O", "linenos=inline,lineanchors=L,anchorlinenos=1", str(TOP / path))
    note = f'<p><a href="diff.html">What is new since {old}</a></p>' if old else ""
    write(page_of(path), path, f"<h1>{path}</h1>{note}" + code.replace("<pre>", '<pre tabindex="0">'))


def diff(old, new):
    """Both programs in one text. What is the same is folded, but for six lines around each change."""
    def rows(sign, lines):
        return "".join(f'<span class="{sign}">{"+" if sign == "in" else "-" if sign == "out" else " "} '
                       f"{html.escape(line)}\n</span>" for line in lines)

    a, b = ((TOP / name / "server.c").read_text(encoding="utf-8").split("\n") for name in (old, new))
    text = ""
    for kind, i, j, k, n in difflib.SequenceMatcher(None, a, b, False).get_opcodes():
        if kind == "equal" and j - i > 16:
            text += (rows("same", a[i:i + 6]) + f"<details><summary>{j - i - 12} lines are the same</summary>"
                     + rows("same", a[i + 6:j - 6]) + "</details>" + rows("same", a[j - 6:j]))
        else:
            text += rows("same", a[i:j]) if kind == "equal" else rows("out", a[i:j]) + rows("in", b[k:n])
    up = "../" * (new.count("/") + 1)
    write(f"{new}/diff.html", f"From {old} to {new}",
          f'<h1>From {old} to {new}</h1><p>The programs: <a href="{up}{old}/server.c.html">{old}</a>, '
          f'<a href="server.c.html">{new}</a></p><div class="diff" tabindex="0">{text}</div>')


shutil.rmtree(folder, ignore_errors=True)
grows = {new: old for old, new in re.findall(r"^diff\d: FROM = (\S+) (\S+)$", (TOP / "Makefile").read_text(), re.M)}
for traits in TOP.glob("appendix/*/traits"):
    grows[f"appendix/{traits.parent.name}"] = re.search(r"grows_from=(\S+)", traits.read_text())[1]
documents = sorted(p.relative_to(TOP).as_posix() for p in TOP.glob("**/*.md")
                   if not {"build", "mine", "out", "node_modules"} & set(p.relative_to(TOP).parts))
for path in documents:
    document(path)
for new, old in grows.items():
    diff(old, new)
linked |= {f"{name}/server.c" for pair in grows.items() for name in pair}
linked |= {p.relative_to(TOP).as_posix() for p in TOP.glob("replay/**/*") if p.suffix in COPIED and "tests" not in p.parts}
for path in linked - set(documents):
    if Path_(path).suffix in COPIED:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(TOP / path, folder / path)
    else:
        source(path, grows.get(dirname(path)) if path.endswith("/server.c") else None)
for path in folder.glob("replay/index.html"):
    path.write_text(path.read_text(encoding="utf-8").replace("../NOTES.md", f"../{page_of('NOTES.md')}"), encoding="utf-8")
for path in ("page.css", "page.js"):
    shutil.copy(TOP / "site" / path, folder / path)
print("\n".join(f"nothing is at: {line}" for line in broken) or f"open {folder / 'index.html'}")
sys.exit(1 if broken else 0)
