#!/usr/bin/env python3
"""Keeps the documents and the code together.

usage: notes.py check [DOCUMENT...]    prints what is wrong, as FILE:LINE: ...
       notes.py update [DOCUMENT...]   writes the quotations again, from the code
       notes.py run [DOCUMENT...]      runs the commands (see commands.py)
       notes.py breaks [DOCUMENT]      lists the breaks, one per line
       notes.py break N [DOCUMENT]     makes break N in the code

Without a document, it means every .md file; the last two read notes/breaks.md.
Paths of code are those of the current folder. Exit status 1: something is wrong.

What the tool knows in a document:
- A reference, alone on the line above a fence: `ex3_epoll_lt/server.c: main`.
  The lines of the fence stand together in that function, its comment included.
  Without the function, they are in that file exactly once.
- In a fence of text, the same for what the lab printed: `lab/figures/stall.txt`.
- In a fence of diff, a break: some lines with - or +, the context with a space.
  It has a heading of its own, a row in the table | break | example | ... |, and
  under it: Caught by `ex3: the name of a test`.
- A table | ex3.py | ... | ex3_epoll_lt/server.c |: its rows have numbers of
  lines of the article's program, and in backticks a part of a line of that file.
- Names in backticks, links, and the words of words.txt, which it refuses.
"""
import difflib
import re
import sys
from pathlib import Path

sys.dont_write_bytecode = True
import commands

# The article's programs: the number of lines, and the empty ones.
ARTICLE = {
    "ex1.py": (22, {2, 8, 13, 21}),
    "ex2.py": (24, {2, 8, 13}),
    "ex3.py": (48, {2, 8, 14, 17}),
    "ex4.py": (60, {2, 8, 14, 17}),
    "ex5.py": (50, {2, 8, 14, 17}),
    "ex6.py": (49, {2, 8, 15, 18}),
}

# Names that a document may put in backticks although the code does not use
# them: of commands, of calls, and of the article.
NAMES = set("""
    ab apt bats curl echo gdb grep make nc nstat python3 sh ss strace top wrk
    EADDRINUSE EBADF EEXIST EINTR EINVAL EMFILE ENFILE ENOBUFS ENOMEM EPERM
    EPIPE ECONNRESET ETIMEDOUT EPOLLEXCLUSIVE EPOLLONESHOT EPOLLPRI EPOLLRDHUP
    FD_SET FD_SETSIZE SA_RESTART SO_REUSEPORT SIGKILL SIGPIPE SIGSTOP SIGCONT
    TCP_CORK TCP_NODELAY TIME_WAIT GET CR LF NUL
    connect epoll_pwait fcntl fork free malloc poll printf pthread_create read
    parts_of ptr recvfrom select sendfile sendto write writev finally
    """.split())

# Commands that run does not run, and why.
NOT_RUN = {
    "make deps test": "it installs packages, and runs the commands itself",
    "make test": "it runs the commands itself",
    "make mutants": "it takes minutes; continuous integration runs it",
    "make lab-deps lab": "it installs packages, and takes minutes",
    "make lab": "it takes minutes; lab/tests run each experiment small",
    "sudo apt-get install gcc libc6-dev make": "it installs packages",
}

BREAKS = "notes/breaks.md"
REFERENCE = re.compile(r"`([\w./-]*[./][\w./-]*)(?:: (\w+))?`")


class Undecided(Exception):
    """The tool does not know what belongs there: a person has to decide."""


def read(path):
    return Path(path).read_text(encoding="utf-8")


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
            raise Undecided(f"there is no file {self.path}")
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
        self.path = Path(path)
        self.lines = read(path).splitlines()
        self.problems = []
        ticks = [i for i, l in enumerate(self.lines) if l.lstrip().startswith("```")]
        if len(ticks) % 2:
            self.wrong(ticks[-1], "a fence without an end")
        pairs = zip(ticks[::2], ticks[1::2])
        self.fences = [Fence(self.lines, *pair) for pair in pairs]
        # Line N of the prose is line N of the document.
        outside = list(self.lines)
        for fence in self.fences:
            outside[fence.first : fence.last + 1] = [""] * (len(fence.body) + 2)
        self.prose = "\n".join(outside)

    def wrong(self, index, text):
        self.problems.append((index + 1, text))

    def line_of(self, match):
        return self.prose.count("\n", 0, match.start())

    def headings(self):
        """The index and the text of each heading."""
        found = re.finditer(r"(?m)^#+ +(.+?)[ #]*$", self.prose)
        return [(self.line_of(m), m.group(1)) for m in found]

    def anchors(self):
        """The index of each heading, by the anchor that GitHub gives it."""
        found, seen = {}, {}
        for index, text in self.headings():
            text = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", text).lower()
            anchor = re.sub(r"[^\w\- ]", "", text).replace(" ", "-")
            seen[anchor] = seen.get(anchor, -1) + 1
            found[f"{anchor}-{seen[anchor]}" if seen[anchor] else anchor] = index
        return found


# Quotations: what a fence has to contain.

def likeness(one, other):
    words = [re.findall(r"\n *|\w+|\S", "\n" + text) for text in (one, other)]
    return difflib.SequenceMatcher(None, *words, autojunk=False).ratio()


def places_of(quoted, source):
    """Where the lines stand together, unchanged."""
    n = len(quoted)
    return [i for i in range(len(source) - n + 1) if source[i : i + n] == quoted]


def place_of(quoted, source):
    """Where the lines stand that have changed. Of all places that begin and end
    like them, this is the one that is most like them."""
    starts = [i for i, l in enumerate(source) if likeness(quoted[0], l) >= 0.6]
    ends = [i for i, l in enumerate(source) if likeness(quoted[-1], l) >= 0.6]
    found = []
    for i, j in [(i, j) for i in starts for j in ends]:
        if 0 <= j - i < 3 * len(quoted) + 10:
            unchanged = (source[i] == quoted[0]) + (source[j] == quoted[-1])
            score = likeness("\n".join(quoted), "\n".join(source[i : j + 1]))
            found.append((score + unchanged / 8, i, j + 1))
    found.sort(reverse=True)
    if not found or found[0][0] < 0.7:
        raise Undecided("the code has no such lines: choose new ones by hand")
    best, first, last = found[0]
    for score, i, j in found[1:]:
        apart = j <= first or i >= last
        if score == best or (apart and score > best - 0.1):
            raise Undecided("two places in the code are like it: choose by hand")
    return first, last


def fresh_code(fence):
    quoted, (lines, comment, signature, end) = fence.body, fence.scope()
    if fence.function and quoted[-1] == "}" and re.match(r"/\*|\w", quoted[0]):
        return lines[comment if quoted[0].startswith("/*") else signature : end]
    source = lines[comment:end]
    places = places_of(quoted, source)
    if len(places) > 1 and not fence.function:
        raise Undecided(f"{fence.path} has these lines {len(places)} times: "
                        "name the function")
    if places:
        return quoted
    first, last = place_of(quoted, source)
    return source[first:last]


def fresh_output(fence):
    """A quotation of output has whole paragraphs. A table is one of them."""
    quoted, (source, *_) = fence.body, fence.scope()
    if places_of(quoted, source):
        return quoted
    heads = [i for i, l in enumerate(source) if l.split() == quoted[0].split()]
    if heads[:1] == [0] or quoted[0][:3] == source[0][:3] == "== ":
        return source
    if len(heads) != 1:
        raise Undecided(f"{len(heads)} lines of {fence.path} are its first line")
    paragraphs = "\n".join(source[heads[0] :]).split("\n\n")
    return "\n\n".join(paragraphs[: quoted.count("") + 1]).splitlines()


def side_of(body, mark):
    """The lines before a break (mark "-") or after it (mark "+")."""
    return [line[1:] for line in body if line[:1] in ("", " ", mark)]


def fresh_break(fence):
    """The lines with - and + stay. The context around them is renewed."""
    body, (lines, comment, _, end) = fence.body, fence.scope()
    source = lines[comment:end]
    changed = [i for i, line in enumerate(body) if line[:1] in ("-", "+")]
    if not changed or any(line[:1] not in ("", " ", "-", "+") for line in body):
        raise Undecided("the lines of a break begin with -, + or a space")
    places = places_of(side_of(body, "-"), source)
    if len(places) == 1:
        return body
    core = body[changed[0] : changed[-1] + 1]
    if not places and side_of(core, "-"):
        places = places_of(side_of(core, "-"), source)
    if len(places) != 1:
        raise Undecided(f"the lines that it changes are there {len(places)} times")
    first, last = places[0], places[0] + len(side_of(core, "-"))
    context = [(" " + line).rstrip() for line in source]
    above, below = changed[0], len(body) - changed[-1] - 1
    return context[max(0, first - above) : first] + core + context[last : last + below]


def fresh(fence):
    if not any(line.strip() for line in fence.body):
        raise Undecided("an empty quotation")
    kinds = {"diff": fresh_break, "text": fresh_output}
    return kinds.get(fence.language, fresh_code)(fence)


def check_quotations(document):
    above = set()
    for fence in document.fences:
        above.add(fence.first - 1)
        if fence.path is None:
            if fence.language in ("c", "diff"):
                document.wrong(fence.first, f"a fence of {fence.language} without "
                               "a reference directly above it")
            continue
        try:
            if fresh(fence) != fence.body:
                document.wrong(fence.first - 1, f"{fence.path} has changed: run "
                               "make update-notes")
        except Undecided as problem:
            document.wrong(fence.first - 1, str(problem))
    for i, line in enumerate(document.prose.split("\n")):
        match = REFERENCE.fullmatch(line)
        if match and match.group(2) and i not in above:
            document.wrong(i, "a reference without a fence directly under it")


def fresh_lines(document):
    """The lines of the document with every quotation as it has to be."""
    lines = list(document.lines)
    for fence in reversed([f for f in document.fences if f.path]):
        try:
            lines[fence.first + 1 : fence.last] = fresh(fence)
        except Undecided as problem:
            document.wrong(fence.first - 1, str(problem))
    return lines


# Breaks: a fence of diff under a reference, with a heading above it, a row in
# the index, and the name of a test below it.

class Break:
    def __init__(self, document, fence):
        folder = Path(fence.path).parent.name
        self.fence, self.test = fence, None
        self.program = folder.split("_")[0] if folder[:2] == "ex" else folder
        above = [h for h in document.headings() if h[0] < fence.first]
        self.heading, self.title = above[-1] if above else (fence.first, "")
        below = "\n".join(document.prose.split("\n")[fence.last + 1 :])
        match = re.search(r"Caught by\s+`([^`]+)`", re.split(r"(?m)^#", below)[0])
        if match:
            self.test = " ".join(match.group(1).split())

    def make(self):
        lines, comment, _, end = self.fence.scope()
        old, new = side_of(self.fence.body, "-"), side_of(self.fence.body, "+")
        first = comment + places_of(old, lines[comment:end])[0]
        lines[first : first + len(old)] = new
        Path(self.fence.path).write_text("\n".join(lines) + "\n", encoding="utf-8")


def breaks_of(document):
    return [Break(document, fence) for fence in document.fences
            if fence.language == "diff" and fence.path]


def check_breaks(document):
    tests = "".join(map(read, files("tests/*.bats", "*/*.bats", "*/*/*.bats")))
    tests = {name for _, name in re.findall(r"@test (['\"])(.*)\1", tests)}
    found = breaks_of(document)
    rows = index_of(document) if found else {}
    headings = [b.heading for b in found]
    for b in found:
        start = b.program + ": "
        if b.test is None:
            document.wrong(b.fence.first, "a break without: Caught by `...`")
        elif not b.test.startswith(start) or not {b.test, b.test[len(start) :]} & tests:
            document.wrong(b.fence.first, f"{b.program} has no test '{b.test}'")
        if headings.count(b.heading) > 1:
            document.wrong(b.fence.first, "a break without its own heading")
        if not re.search(rf"\b{b.program}\b", rows.get(b.heading, "")):
            document.wrong(b.heading, f"no row of the index, for {b.program}, has a "
                           "link to this break")
    for heading in set(rows) - set(headings):
        document.wrong(heading, "the index has a link to it, but it is no break")


def index_of(document):
    """The cell with the example, for each heading that the index has."""
    rows, anchors = {}, document.anchors()
    table = re.search(r"(?m)^\| break \| example \|.*\n(?:\|.*\n?)*", document.prose)
    for line in table.group().splitlines()[2:] if table else []:
        link = re.search(r"\]\(#([^)]+)\)", line)
        if link and link.group(1) in anchors:
            rows[anchors[link.group(1)]] = line.split("|")[2]
    return rows


# Tables that give each line of the article's programs its place.

def check_tables(document):
    head = re.compile(r"\| *(ex[1-6]\.py) *\|[^|]*\| *`?([\w/]+\.c)`? *\|")
    lines = document.prose.split("\n")
    for i, line in enumerate(lines):
        match = head.match(line)
        if match is None:
            continue
        seen, row = [], i + 2
        while row < len(lines) and lines[row].startswith("|"):
            seen += check_row(document, row, match.group(2))
            row += 1
        count, empty = ARTICLE[match.group(1)]
        for n in sorted({*range(1, count + 1), *seen} - empty):
            if seen.count(n) != (n <= count):
                document.wrong(i, f"line {n} of {match.group(1)} is in "
                               f"{seen.count(n)} rows")


def check_row(document, row, path):
    """Returns the numbers of the article's lines in the row's first cell."""
    cells = [c.strip() for c in re.split(r"(?<!\\)\|", document.lines[row])]
    fragment = cells[3].strip("`").replace("\\|", "|") if len(cells) > 3 else ""
    source = read(path).splitlines() if Path(path).is_file() else []
    if not fragment or not any(fragment in line for line in source):
        document.wrong(row, f"no line of {path} has '{fragment}'")
    numbers = []
    for first, last in re.findall(r"(\d+)(?:-(\d+))?", cells[1]):
        numbers += range(int(first), int(last or first) + 1)
    return numbers


# Names in backticks, links, and words.

NO_CODE = re.compile(r"//.*|/\*[\s\S]*?\*/|\"(?:\\.|[^\"\\])*\"|'(?:\\.|[^'\\])*'")
CODE_SPAN = re.compile(r"(?<!`)`((?:[^`\n]|\n(?!\n))+)`(?!`)")
NAME = r"[A-Za-z_]\w*"
LIKE_C = re.compile(rf"(?:struct )?{NAME}(?:(?:->|\.){NAME}|\[{NAME}\])*"
                    rf"(?:\((?:{NAME}(?:, {NAME})*)?\))?")


def files(*patterns):
    return sorted(p for pattern in patterns for p in Path(".").glob(pattern)
                  if p.is_file() and not {"build", "out"} & set(p.parts)
                  and not any(part[0] == "." for part in p.parts))


def known_names(document):
    """The code of the six programs and of the files beside the document; and all
    its names, with those of files and folders."""
    sources = files("ex?_*/*.c", "Makefile")
    folder = document.path.parent.name
    if folder not in ("", "notes"):
        sources += [p for p in files(f"{folder}/**/*") if p.suffix in (
            ".c", ".py", ".sh", ".bash", ".bats", ".js", ".html")]
    code = "".join(NO_CODE.sub(" ", read(p)) if p.suffix == ".c" else read(p)
                   for p in sources)
    names = NAMES.union(re.findall(NAME, code), ARTICLE)
    for path in files("*", "*/*", "*/*/*"):
        names.update((path.name, path.stem) + path.parent.parts)
    return code, names


def check_names(document):
    code, names = known_names(document)
    for match in CODE_SPAN.finditer(document.prose):
        span = " ".join(match.group(1).split())
        if span in names or not LIKE_C.fullmatch(span):
            continue
        missing = [n for n in re.findall(NAME, span) if n not in names]
        if "->" in span and span not in code:
            missing = [span]
        for name in missing:
            document.wrong(document.line_of(match), f"no code has the name {name}")


def blank(match):
    return re.sub(r"[^\n]", " ", match.group())


def check_links(document):
    prose = CODE_SPAN.sub(blank, document.prose)
    for match in re.finditer(r"\]\(([^)\s]+)\)|(?:href|src)=\"([^\"]+)\"", prose):
        target = match.group(1) or match.group(2)
        # Pages of the code host, beside the repository, have ../../ too.
        if not re.match(r"[a-z]+:|\.\./\.\./actions/", target) and not leads_somewhere(document, target):
            document.wrong(document.line_of(match), f"nothing is at {target}")


def leads_somewhere(document, target):
    path, _, anchor = target.partition("#")
    file = document.path.parent / path if path else document.path
    if not file.exists() or not anchor:
        return file.exists()
    if file.suffix == ".md":
        return anchor in Document(file).anchors()
    # The page has no headings: SCENE or SCENE/STEP stands behind the #.
    scene = re.fullmatch(r"([\w-]+)(/\d+)?", anchor)
    recordings = file.parent / "recordings"
    return file.name == "index.html" and scene and (
        not recordings.exists() or (recordings / f"{scene.group(1)}.js").exists())


def check_words(paths):
    """Prints where the files have words of words.txt. Returns the exit status."""
    status = 0
    rules = [line.split(" = ") for line in
             read(Path(__file__).with_name("words.txt")).splitlines()]
    for path in paths:
        text = read(path)
        if path.suffix == ".md":
            text = CODE_SPAN.sub(blank, Document(path).prose)
            text = re.sub(r"(?m)^>.*|\"[^\"\n]*\"", blank, text)
        for phrase, better in rules:
            # In a comment, a # or * may stand between two words.
            words = r"[\s*#]+".join(map(re.escape, phrase.split()))
            for match in re.finditer(rf"(?i)(?<!\w){words}(?!\w)", text):
                number = text.count("\n", 0, match.start()) + 1
                print(f"{path}:{number}: '{phrase}': write '{better}'")
                status = 1
    return status


# The command line.

def report(documents):
    """Prints what is wrong with the documents. Returns the exit status."""
    problems = [(d.path, *p) for d in documents for p in sorted(set(d.problems))]
    for path, number, text in problems:
        print(f"{path}:{number}: {text}", flush=True)
    return 1 if problems else 0


def check(documents, everything):
    for document in documents:
        check_quotations(document)
        check_breaks(document)
        check_tables(document)
        check_names(document)
        check_links(document)
    paths = [document.path for document in documents]
    if everything:
        paths += files("*/**/*.c", "*/*.sh", "*/*.bash", "*/*.bats", "Makefile")
    status = check_words(paths)
    return report(documents) or status


def update(documents):
    for document in documents:
        lines = fresh_lines(document)
        if not document.problems and lines != document.lines:
            sys.stdout.writelines(line + "\n" for line in difflib.unified_diff(
                document.lines, lines, str(document.path), str(document.path),
                lineterm=""))
            text = "\n".join(lines) + "\n"
            document.path.write_text(text, encoding="utf-8")
    return report(documents)


def main(arguments):
    command = arguments.pop(0) if arguments else ""
    if command in ("breaks", "break"):
        number = int(arguments.pop(0)) if command == "break" else None
        found = breaks_of(Document(arguments[0] if arguments else BREAKS))
        if number:
            return found[number - 1].make()
        for n, b in enumerate(found, 1):
            print(n, b.program, b.test, b.title, sep="\t")
        return 0
    everything = not arguments
    names = arguments or [p for p in files("**/*.md") if p.name != "CHANGELOG.md"]
    documents = [Document(name) for name in names]
    if command == "check":
        return check(documents, everything)
    if command == "update":
        return update(documents)
    if command == "run":
        return commands.run(documents, NOT_RUN, report)
    sys.exit(__doc__)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
