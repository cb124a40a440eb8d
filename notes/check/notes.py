#!/usr/bin/env python3
"""Keeps the documents and the code together.

usage: notes.py check [DOCUMENT...]    prints what is wrong, as FILE:LINE: ...
       notes.py update [DOCUMENT...]   writes the quotations again, from the code
       notes.py run [DOCUMENT...]      runs the commands (see commands.py)
       notes.py breaks                 lists the breaks: number, program, test
       notes.py break N                makes break N of notes/breaks.md in the code

Without a document, it means every .md file. Paths of code are those of the
current folder. Exit status 1: something is wrong. What leads into a part that
was taken out of the kit is only listed: not checked.

What the tool knows in a document:
- A reference, alone on the line above a fence: `ex3_epoll_lt/server.c: main`. The
  lines of the fence stand together in that function or the comment above it;
  without a function, exactly once in that file.
- In a fence of text, all that the lab printed: `lab/figures/stall.txt`.
- In a fence of diff, a break: lines with - or +, the others with a space. It has
  a heading with a link, and below it: Caught by `ex3: the name of a test`.
- A table | ex3.py | ... | ex3_epoll_lt/server.c |: its rows have numbers of
  lines of the article's program, and in backticks a part of a line of that file.
- Names in backticks, and links.
"""
import re
import sys
from pathlib import Path

sys.dont_write_bytecode = True
import commands

# The article's programs: the number of lines, and the empty ones.
ARTICLE = {"ex1.py": (22, {2, 8, 13, 21}), "ex2.py": (24, {2, 8, 13}),
           "ex3.py": (48, {2, 8, 14, 17}), "ex4.py": (60, {2, 8, 14, 17}),
           "ex5.py": (50, {2, 8, 14, 17}), "ex6.py": (49, {2, 8, 15, 18})}

# Names that may stand in backticks although no code here has them.
NAMES = set("""
    ab apt bats curl echo exec fcntl finally fork free gdb grep in6addr_any malloc
    net.ipv4.tcp_migrate_req net.ipv6.bindv6only results.json nc nstat poll ppoll printf prlimit pselect6 ptr
    pthread_create python3 read recvfrom select sendfile sendto ss strace top
    write writev wrk connect epoll_pwait CR LF NUL GET TIME_WAIT
    """.split())
SYSTEM_NAME = re.compile(r"E[A-Z]+$|(EPOLL|FD|SA|SIG|SO|TCP)_?[A-Z]")

REFERENCE = re.compile(r"`([\w./-]*[./][\w./-]*)(?:: (\w+))?`")
CODE_SPAN = re.compile(r"(?<!`)`((?:[^`\n]|\n(?!\n))+)`(?!`)")


class Undecided(Exception):
    """The tool does not know what belongs there: a person has to decide."""


def read(path):
    return Path(path).read_text(encoding="utf-8")


def files(*patterns):
    return sorted(p for pattern in patterns for p in Path(".").glob(pattern)
                  if p.is_file() and not {"build", "out", "mine", "node_modules"} & set(p.parts)
                  and not any(part[0] == "." for part in p.parts))


class Fence:
    """A block between two lines of ```: first and last are their indexes."""

    def __init__(self, lines, first, last):
        self.first, self.last = first, last
        self.language = lines[first].strip("` ")
        self.body = lines[first + 1 : last]
        match = REFERENCE.fullmatch(lines[first - 1]) if first else None
        self.path, self.function = match.groups() if match else (None, None)

    def scope(self):
        """The lines of the file, and the indexes of the function's comment,
        signature and end. Without a function, it is about the whole file."""
        if not Path(self.path).is_file():
            raise Undecided(f"not checked: {self.path}" if commands.is_absent(self.path)
                            else f"there is no file {self.path}")
        lines = read(self.path).splitlines()
        if self.function is None:
            return lines, 0, 0, len(lines)
        for i, line in enumerate(lines):
            # A declaration has a semicolon before any brace.
            if re.match(rf"[A-Za-z_].*\b{self.function}\(", line) and "{" == next(
                    (l[-1] for l in lines[i:] if l and l[-1] in "{;"), None):
                comment = i
                while comment and lines[comment - 1].strip():
                    comment -= 1
                return lines, comment, i, lines.index("}", i) + 1
        raise Undecided(f"{self.path} has no function {self.function}")


class Document:
    def __init__(self, path):
        self.path, self.problems = Path(path), []
        self.lines = read(path).splitlines()
        ticks = [i for i, l in enumerate(self.lines) if l.lstrip().startswith("```")]
        self.fences = [Fence(self.lines, *p) for p in zip(ticks[::2], ticks[1::2])]
        # Line N of the prose is line N of the document.
        outside = list(self.lines)
        for fence in self.fences:
            outside[fence.first : fence.last + 1] = [""] * (len(fence.body) + 2)
        self.prose = "\n".join(outside)
        if len(ticks) % 2:
            self.wrong(ticks[-1], "a fence without an end")
        folds = re.findall(r"</?details>", self.prose)
        if folds != ["<details>", "</details>"] * (len(folds) // 2):
            self.wrong(0, "a <details> without its end")

    def wrong(self, where, text):
        """Where: the index of a line, or a match in the prose."""
        if not isinstance(where, int):
            where = self.prose.count("\n", 0, where.start())
        self.problems.append((where + 1, text))

    def anchors(self):
        """The index of each heading, by the anchor that GitHub gives it."""
        found = {}
        for heading in re.finditer(r"(?m)^#+ +(.+?)[ #]*$", self.prose):
            text = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading[1]).lower()
            anchor = re.sub(r"[^\w\- ]", "", text).replace(" ", "-")
            found[anchor] = self.prose.count("\n", 0, heading.start())
        return found


# Quotations: what a fence has to contain.

def places_of(quoted, source):
    """Where the lines stand together, unchanged."""
    n = len(quoted)
    return [i for i in range(len(source) - n + 1) if source[i : i + n] == quoted]


def with_new_lines(quoted, source):
    """The quoted lines, and those of the source that are new between them."""
    found = []
    for i in [i for i, line in enumerate(source) if line == quoted[0]]:
        for j in [j for j in range(i, len(source)) if source[j] == quoted[-1]]:
            rest = iter(source[i : j + 1])
            if all(line in rest for line in quoted):
                found.append(source[i : j + 1])
    found.sort(key=len)
    if not found or [len(f) for f in found].count(len(found[0])) > 1:
        raise Undecided("the code has no such lines: choose new ones by hand")
    return found[0]


def fresh_code(fence):
    quoted, (lines, comment, signature, end) = fence.body, fence.scope()
    if fence.function and quoted[-1] == "}" and re.match(r"/\*|\w", quoted[0]):
        return lines[comment if quoted[0].startswith("/*") else signature : end]
    places = places_of(quoted, lines[comment:end])
    if len(places) > 1 and not fence.function:
        raise Undecided(f"{fence.path} has these lines {len(places)} times: "
                        "name the function")
    return quoted if places else with_new_lines(quoted, lines[comment:end])


def fresh_output(fence):
    """All that the lab printed, without its title."""
    source, *_ = fence.scope()
    return source[2:]


def side_of(body, mark):
    """The lines before a break (mark "-") or after it (mark "+")."""
    return [line[1:] for line in body if line[:1] in ("", " ", mark)]


def fresh_break(fence):
    """A person keeps a break up to date: its lines have to be in the code once."""
    body, (lines, comment, _, end) = fence.body, fence.scope()
    old = side_of(body, "-")
    if old == side_of(body, "+"):
        raise Undecided("a break has lines with - or +")
    count = len(places_of(old, lines[comment:end]))
    if count != 1:
        raise Undecided(f"the lines that it changes are there {count} times")
    return body


def fresh_fences(document):
    """Each quotation, and its lines as they have to be, if that can be decided."""
    kinds = {"diff": fresh_break, "text": fresh_output}
    for fence in [f for f in document.fences if f.path]:
        try:
            if not "".join(fence.body).strip():
                raise Undecided("an empty quotation")
            yield fence, kinds.get(fence.language, fresh_code)(fence)
        except Undecided as problem:
            document.wrong(fence.first - 1, str(problem))


def check_quotations(document):
    for fence, lines in fresh_fences(document):
        if lines != fence.body:
            document.wrong(fence.first - 1, f"{fence.path} has changed: run "
                           "make update-notes")
    for fence in document.fences:
        if fence.path is None and fence.language in ("c", "diff"):
            document.wrong(fence.first, f"a fence of {fence.language} without "
                           "a reference directly above it")


# Breaks

class Break:
    def __init__(self, document, fence):
        folder = Path(fence.path).parent.name
        self.fence, self.program = fence, re.sub(r"^(ex\d)_.*", r"\1", folder)
        above = [a for a, index in document.anchors().items() if index < fence.first]
        self.anchor = above[-1] if above else ""
        below = "\n".join(document.prose.split("\n")[fence.last + 1 :])
        match = re.search(r"Caught by\s+`([^`]+)`", re.split(r"(?m)^#", below)[0])
        self.test = " ".join(match[1].split()) if match else ""

    def has_test(self):
        tests = "".join(map(read, files("tests/*.bats", "appendix/*.bats", f"appendix/{self.program}/*.bats")))
        return self.test in [f"{self.program}: {name}" for _, name in re.findall(
            r"@test (['\"])(.*?)\1 \{", tests)]

    def make(self):
        lines, comment, _, end = self.fence.scope()
        old, new = side_of(self.fence.body, "-"), side_of(self.fence.body, "+")
        first = comment + places_of(old, lines[comment:end])[0]
        lines[first : first + len(old)] = new
        Path(self.fence.path).write_text("\n".join(lines) + "\n", encoding="utf-8")


def breaks_of(document):
    return [Break(document, fence) for fence in document.fences if fence.path
            and fence.language == "diff" and not commands.is_absent(fence.path)]


def check_breaks(document):
    found = breaks_of(document)
    for b in found:
        if not b.has_test():
            document.wrong(b.fence.first, f"caught by '{b.test}': {b.program} has no "
                           "such test")
        if (f"](#{b.anchor})" not in document.prose
                or [other.anchor for other in found].count(b.anchor) > 1):
            document.wrong(b.fence.first, "a break without a heading of its own, and "
                           "a link to it")


# Tables that give each line of the article's programs its place.

def check_tables(document):
    for table in re.finditer(r"(?m)^\| *(ex[1-6]\.py) *\|[^|\n]*\| *`?([\w/]+\.c)`? *\|\n"
                             r".*\n((?:\|.*\n?)*)", document.prose):
        (count, empty), seen = ARTICLE[table[1]], []
        for row in re.finditer(r"(?m)^\|([^|]*)\|[^|]*\| *`(.*)` *\|$", table[3]):
            for first, last in re.findall(r"(\d+)(?:-(\d+))?", row[1]):
                seen += range(int(first), int(last or first) + 1)
            if row[2].replace("\\|", "|") not in read(table[2]):
                document.wrong(table, f"no line of {table[2]} has '{row[2]}'")
        for n in sorted({*range(1, count + 1), *seen} - empty):
            if seen.count(n) != (n <= count):
                document.wrong(table, f"line {n} of {table[1]} is in {seen.count(n)} rows")


# Names in backticks, and links.

NO_CODE = re.compile(r"//.*|/\*[\s\S]*?\*/|\"(?:\\.|[^\"\\])*\"|'(?:\\.|[^'\\])*'")
NAME = r"[A-Za-z_]\w*"
LIKE_C = re.compile(rf"(?:struct )?{NAME}(?:(?:->|\.){NAME}|\[{NAME}\])*"
                    rf"(?:\((?:{NAME}(?:, {NAME})*)?\))?")


def known_names(document):
    """The code of the six programs and of the files beside the document; and all
    its names, with those of files and folders."""
    sources = files("ex?_*/*.c", "Makefile")
    if document.path.parent != Path("."):
        sources += [p for p in files(f"{document.path.parent}/**/*") if p.suffix in (
            ".c", ".py", ".sh", ".bash", ".bats", ".js", ".html", ".mk")]
    code = "".join(NO_CODE.sub(" ", read(p)) if p.suffix == ".c" else read(p)
                   for p in sources)
    names = NAMES.union(re.findall(NAME, code), ARTICLE, commands.PARTS)
    for path in files("*", "*/*", "*/*/*"):
        names.update((path.name, path.stem) + path.parent.parts)
    return code, names


def check_names(document):
    code, names = known_names(document)
    # No document has names of the site, except in the site.
    gone = set(commands.absent_parts()) - {"site"}
    told = "not checked: the name" if gone else "no code has the name"
    for match in CODE_SPAN.finditer(document.prose):
        span = " ".join(match[1].split())
        if span in names or not LIKE_C.fullmatch(span):
            continue
        unknown = [n for n in re.findall(NAME, span)
                   if n not in names and not SYSTEM_NAME.match(n)]
        if "->" in span and span not in code:
            unknown = [span]
        for name in unknown:
            document.wrong(match, f"{told} {name}")


def blank(match):
    return re.sub(r"[^\n]", " ", match.group())


def check_links(document):
    prose = CODE_SPAN.sub(blank, document.prose)
    for match in re.finditer(r"\]\(([^)\s]+)\)|(?:href|src)=\"([^\"]+)\"", prose):
        target = match[1] or match[2]
        path, _, anchor = target.partition("#")
        # Pages of the code host, beside the repository, have ../../ too.
        if re.match(r"[a-z]+:|\.\./\.\./actions/", target):
            continue
        if commands.is_absent(document.path.parent / path):
            document.wrong(match, f"not checked: {target}")
        elif not leads_somewhere(document.path.parent / path if path else document.path,
                                 anchor):
            document.wrong(match, f"nothing is at {target}")


def leads_somewhere(file, anchor):
    if file.suffix == ".md" and anchor and file.exists():
        return anchor in Document(file).anchors()
    if anchor:  # The page has scenes, SCENE, SCENE+SCENE or SCENE/STEP, and play-NAME.
        return file.name == "index.html" and all(
            any(file.parent.glob(f"recordings/{scene}.js")) or
            any(file.parent.glob(f"play/{scene.replace('play-', '', 1)}.js"))
            for scene in re.sub(r"/\d+$|:.*", "", anchor).split("+"))
    return file.exists()


# The command line.

def update(document):
    lines = list(document.lines)
    for fence, body in reversed(list(fresh_fences(document))):
        lines[fence.first + 1 : fence.last] = body
    if lines != document.lines:
        print(f"{document.path}: written again")
        document.path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def run_here(document):
    commands.Runner(document).run()


STEPS = {"check": (check_quotations, check_breaks, check_tables, check_names, check_links),
         "update": (update,),
         "run-here": (run_here,)}  # by commands.run


def main(command="", *arguments):
    if command == "break":
        return breaks_of(Document("notes/breaks.md"))[int(arguments[0]) - 1].make()
    if command == "breaks":
        for n, b in enumerate(breaks_of(Document("notes/breaks.md")), 1):
            print(n, b.program, b.test, sep="\t")
        return 0
    names = arguments or [p for p in files("**/*.md") if p.name != "CHANGELOG.md"]
    if command == "run":
        return commands.run(names)
    if command not in STEPS:
        sys.exit(__doc__)
    status = 0
    for document in map(Document, names):
        for step in STEPS[command]:
            step(document)
        for number, text in sorted(set(document.problems)):
            print(f"{document.path}:{number}: {text}", flush=True)
            status |= not text.startswith("not checked: ")
    return int(status)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
