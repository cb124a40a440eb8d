# The tool that keeps documents and code together, tests/notes.py: it finds what
# is wrong in a document, and update writes what it can.

bats_require_minimum_version 1.8.0

setup() {
  notes=$BATS_TEST_DIRNAME/notes.py
  cd "$BATS_TEST_TMPDIR"
  mkdir -p ex1_blocking tests lab/figures
  echo '@test "returns one" { true; }' >tests/behaviour.bats
  cat >ex1_blocking/server.c <<'EOF'
/* Says a number. */
static int number(int limit)
{
    int result = limit;
    if (result > 1) {
        result = 1;
    }
    return result | 2;
}

int main(void)
{
    int c = number(7);
    return c;
}
EOF
}

# document [LINE...]: makes doc.md of the lines, or of stdin.
document() {
  if [ $# -gt 0 ]; then printf '%s\n' "$@" >doc.md; else cat >doc.md; fi
}

accepts() {
  run -0 "$notes" "${1:-check}" doc.md
  [ -z "$output" ]
}

# finds TEXT [COMMAND]: prints one problem, with this text.
finds() {
  run -1 "$notes" "${2:-check}" doc.md
  [ "${#lines[@]}" -eq 1 ]
  [[ $output == *"$1"* ]]
}

# updates: check names the command, update changes the document once, and then
# check is content.
updates() {
  finds 'run make update-notes'
  run -0 "$notes" update doc.md
  [[ $output == '--- doc.md'* ]]
  accepts update
  accepts
}

in_number='`ex1_blocking/server.c: number`'

# --- Quotations -------------------------------------------------------------

@test "quotation: a line inserted in the middle is written by update" {
  document "$in_number" '```c' '    int result = limit;' '    if (result > 1) {' '```'
  accepts
  sed -i '/int result/a\    /* new */' ex1_blocking/server.c
  updates
  grep -q '/\* new \*/' doc.md
}

@test "quotation: a function quoted completely is written completely" {
  { echo "$in_number"; echo '```c'; sed -n 2,9p ex1_blocking/server.c; echo '```'; } >doc.md
  accepts
  sed -i 's/number(int limit)/number(long highest)/; s/= limit/= (int)highest/
    s/return result.*/return 5;/' ex1_blocking/server.c
  updates
  diff <(sed -n 2,9p ex1_blocking/server.c) <(sed -n 3,10p doc.md)
}

@test "quotation: changed lines at both ends are found" {
  document "$in_number" '```c' '    if (result > 1) {' '        result = 1;' '    }' \
    '    return result | 2;' '```'
  sed -i 's/result > 1/result > 10/; s/result | 2/result | 3/' ex1_blocking/server.c
  updates
  grep -q 'result > 10' doc.md
  grep -q 'result | 3' doc.md
}

@test "quotation: where two places are alike, update stops and changes nothing" {
  document "$in_number" '```c' '    int result = limit;' '```' \
    '`ex1_blocking/server.c: main`' '```c' '    int c = number(7);' '```'
  sed -i 's/    int result.*/    int left = limit;\n    int right = limit;/
    s/number(7)/number(8)/' ex1_blocking/server.c
  cp doc.md before.md
  finds 'doc.md:1: two places in the code are like it' update
  diff before.md doc.md
}

@test "quotation: lines that are gone, and a function that is gone, need a person" {
  document "$in_number" '```c' '    while (true) sleep(1);' '```'
  finds 'doc.md:1: the code has no such lines' update
  document '`ex1_blocking/server.c: digit`' '```c' '{' '```'
  finds 'ex1_blocking/server.c has no function digit'
  document '`ex9/server.c: digit`' '```c' '{' '```'
  finds 'there is no file ex9/server.c'
}

@test "quotation: the lines of another function do not count" {
  document "$in_number" '```c' '    int c = number(7);' '```'
  finds 'the code has no such lines'
}

@test "quotation: without a function, the lines are in the file exactly once" {
  document '`ex1_blocking/server.c`' '```c' '    return c;' '```'
  accepts
  sed -i 's/return result.*/return c;/' ex1_blocking/server.c
  finds 'has these lines 2 times'
}

@test "quotation: fence and reference need each other" {
  document '```c' 'int main(void)' '```'
  finds 'a fence of c without a reference'
  document "$in_number" '' 'Text.'
  finds 'a reference without a fence'
  document '`ex1_blocking/server.c:11`' '```c' 'int main(void)' '```'
  finds 'a fence of c without a reference'
}

@test "output: update writes the whole table, or the whole file" {
  printf '%s\n' '== stall: a claim' '   server  waits' '' '   server  s' '   ex2     1.804' \
    '' '   confirmed' >lab/figures/stall.txt
  { echo '`lab/figures/stall.txt`'; echo '```text'; sed -n 4,5p lab/figures/stall.txt; echo '```'
    echo 'Text.'
    echo '`lab/figures/stall.txt`'; echo '```text'; cat lab/figures/stall.txt; echo '```'; } >doc.md
  accepts
  sed -i 's/server  s/server     s/; s/ex2     1.8.*/ex2        2.1\n   ex3        0.1/' \
    lab/figures/stall.txt
  run -0 "$notes" update doc.md
  accepts
  diff <(sed -n 4,6p lab/figures/stall.txt) <(sed -n 3,5p doc.md)
  diff lab/figures/stall.txt <(sed -n '10,$p' doc.md | head -n -1)
}

# --- Tables -----------------------------------------------------------------

# table_of LINE...: rows for example 1 of the article, 22 lines.
table_of() {
  document '| ex1.py | what it does | ex1_blocking/server.c |' '|---|---|---|' "$@"
}

@test "table: each line of the article is in one row, and each fragment in the code" {
  table_of '| 1-20 | a bar | `result \| 2` |' '| 22 | ends | `return c;` |'
  accepts
  table_of '| 1-20 | a bar | `result \| 2` |'
  finds 'doc.md:1: line 22 of ex1.py is in 0 rows'
  table_of '| 1-20 | a bar | `result \| 2` |' '| 20-23 | ends | `return c;` |'
  run -1 "$notes" check doc.md
  [ "$output" = 'doc.md:1: line 20 of ex1.py is in 2 rows
doc.md:1: line 23 of ex1.py is in 1 rows' ]
  table_of '| 1-22 | ends | `return d;` |'
  finds "doc.md:3: no line of ex1_blocking/server.c has 'return d;'"
}

# --- Breaks -----------------------------------------------------------------

break_document() {
  document <<'EOF'
| break | example | what it teaches |
|---|---|---|
| [No limit](#no-limit) | ex1 | to count |

## No limit

`ex1_blocking/server.c: number`
```diff
     int result = limit;
-    if (result > 1) {
+    if (result > 10) {
         result = 1;
```

Why? Caught by
`ex1: returns one`.
EOF
}

@test "break: it can be made, and is listed with its test" {
  break_document
  accepts
  run -0 "$notes" breaks doc.md
  [ "$output" = $'1\tex1\tex1: returns one\tNo limit' ]
  "$notes" break 1 doc.md
  grep -q 'result > 10' ex1_blocking/server.c
}

@test "break: update writes the context again, but not the changed lines" {
  break_document
  sed -i '/int result/s/$/ \/\* new \*\//' ex1_blocking/server.c
  updates
  sed -i 's/result > 1)/result > 2)/' ex1_blocking/server.c
  finds 'the lines that it changes are there 0 times' update
}

@test "break: lines that the function has twice are no break" {
  break_document
  sed -i '/^-/,/^+/d; s/^         result = 1;/-        result = 1;/; /int result/d' doc.md
  accepts
  sed -i 's/        result = 1;/&\n&/' ex1_blocking/server.c
  finds 'the lines that it changes are there 2 times'
}

@test "break: it needs a test, a heading and a row of the index" {
  break_document && sed -i 's/returns one/returns two/' doc.md
  finds "ex1 has no test 'ex1: returns two'"
  break_document && sed -i 's/ex1: returns/ex2: returns/' doc.md
  finds "ex1 has no test 'ex2: returns one'"
  break_document && sed -i 's/Caught by/Found by/' doc.md
  finds 'a break without: Caught by'
  break_document && sed -i '/^| \[No limit/d' doc.md
  finds 'no row of the index'
  break_document && sed -i 's/| ex1 |/| ex2 |/' doc.md
  finds 'no row of the index, for ex1'
  break_document && printf '%s\n' '' '## Other' '' 'Text.' >>doc.md
  sed -i 's/^| \[No.*/&\n| [Other](#other) | ex1 | more |/' doc.md
  finds 'the index has a link to it, but it is no break'
}

# --- Names, links and words -------------------------------------------------

@test "name: one that no code has is found, and comments are no code" {
  document 'The function `number` has `number(limit)`, and `c`.' '' 'And `server.c`.'
  accepts
  document 'The function' '`digit` is not there.'
  finds 'doc.md:2: no code has the name digit'
  document 'The word `Says`.'
  finds 'no code has the name Says'
  document 'The field `c->result`.'
  finds 'no code has the name c->result'
}

@test "link: it leads to a file, a heading or a scene" {
  mkdir -p replay/recordings
  touch replay/index.html replay/recordings/ex3-long.js
  document '# The first, and `TCP_CORK`' '# Twice' '# Twice' \
    '[a](#the-first-and-tcp_cork) [b](#twice-1) [c](ex1_blocking)' \
    '[d](https://example.org/x) ![e](replay/index.html#ex3-long/12) `[f](none)`'
  accepts
  document '[a](#second)' && finds 'nothing is at #second'
  document '[a](ex3_epoll_lt)' && finds 'nothing is at ex3_epoll_lt'
  document '[a](ex1_blocking/server.c#L3)' && finds 'server.c#L3'
  document '[a](replay/index.html#ex9-none/3)' && finds 'ex9-none/3'
}

@test "words: those of words.txt are found, except in code and quotations" {
  local ever=ever # so that this file does not use the words itself
  document "> It waits for $ever, says the article." '' "It says \"for $ever\"; \`for $ever\`."
  accepts
  document 'The server waits For' "$ever."
  finds "doc.md:1: 'for $ever': write 'forever'"
  document 'Text.'
  printf '/* One line, and then it waits for\n   %s. */\n' "$ever" >ex1_blocking/server.c
  run -1 "$notes" check
  [ "$output" = "ex1_blocking/server.c:1: 'for $ever': write 'forever'" ]
}

# --- Commands ---------------------------------------------------------------

# console LINE...: a document with one fence of commands.
console() { document '```console' "$@" '```'; }

# A server that prints where it listens, and then waits.
make_server() {
  cat >ex1.c <<'EOF'
#include <stdio.h>
#include <unistd.h>
int main(int argc, char *argv[])
{
    printf("listening: %s\n", argv[argc - 1]);
    fflush(stdout);
    return pause();
}
EOF
  "${CC:-cc}" -o ex1 ex1.c
}

# is_gone TEXT: in the end, no process has it in its command line.
is_gone() {
  for _ in {1..100}; do
    pgrep -f "$1" >/dev/null || return 0
    sleep 0.05
  done
  return 1
}

@test "command: what it prints looks like what is shown" {
  console '$ x=5; cd tests' '$ echo $x; echo two; echo three 3' '5' '...' 'th...   3' \
    '$ ls' 'behaviour.bats'
  accepts run
  console '$ echo one.two' 'one:two'
  run -1 "$notes" run doc.md
  [ "$output" = 'doc.md:2: echo one.two prints something else:
one.two' ]
  console '$ echo one; echo two' 'one'
  run -1 "$notes" run doc.md
  console '$ echo one' '...' 'two'
  run -1 "$notes" run doc.md
}

@test "command: with nothing under it, it has to succeed" {
  console '$ false'
  finds 'doc.md:2: false fails' run
}

@test "command: one that would run all commands again is refused" {
  console "\$ $notes run doc.md" 'a command of a document runs all commands again'
  accepts run
}

@test "command: a server runs on a port of its own until the next one" {
  make_server
  document '```console' '$ ./ex1' 'listening: 8080' '```' '```console' \
    '$ pgrep -x ex1 >/dev/null' '$ test "$(echo 8080)" -ge 10000' '```' \
    '```console' '$ ./ex1 9000' 'listening: 9000' '```'
  accepts run
  console '$ ./ex1' 'listening: 8080' 'and more'
  PATIENCE=1 run -1 "$notes" run doc.md
  [[ $output == *'./ex1 prints something else'* ]]
}

@test "command: nothing is left running, even after SIGKILL" {
  local signal
  make_server
  console "\$ timeout 60 ./ex1 x$BASHPID" "\$ touch begun; sleep 50.$BASHPID"
  for signal in TERM KILL; do
    rm -f begun
    "$notes" run doc.md >/dev/null 2>&1 3>&- &
    for _ in {1..100}; do [ -e begun ] || sleep 0.05; done
    pgrep -f "ex1 .*x$BASHPID"
    kill "-$signal" $!
    wait $! || true
    is_gone "ex1 .*x$BASHPID"
    is_gone "sleep 50.$BASHPID"
  done
}

# --- The whole kit ----------------------------------------------------------

# kit: a copy of the documents and of all they are compared with.
kit() {
  local part
  mkdir kit
  tar -c -C "$BATS_TEST_DIRNAME/.." --exclude=./.git --exclude=./build . | tar -x -C kit
  cd kit
  {
    echo
    for part in ex?_*/server.c; do
      printf '`%s: open_listener`\n```c\n' "$part"
      sed -n '/^static int open_listener/,/^}/p' "$part" | sed -n '2,/SO_REUSEADDR, &on/p'
      printf '```\n\n'
    done
    echo 'The field `c->unsent` changes.'
  } >>NOTES.md
}

# complaints: what check says now, without the numbers of the lines.
complaints() { "$notes" check | sed -E 's/:[0-9]+:/:/'; }

@test "kit: after a new line in all six programs, make update-notes is enough" {
  kit
  complaints >../before || true
  sed -i '/^    int on = 1;/i\    /* A new line. */' ex?_*/server.c
  run ! diff ../before <(complaints)
  run "$notes" update
  [ "$(grep -c '^+    /\* A new line' <<<"$output")" -ge 6 ]
  diff ../before <(complaints)
}

@test "kit: a variable with a new name is found where the text has the old one" {
  kit
  complaints >../before || true
  run ! grep 'c->unsent' ../before
  sed -i 's/\bunsent\b/remaining/g' ex?_*/server.c
  complaints | grep -q '^NOTES.md: no code has the name c->unsent$'
}

# --- Mutants ----------------------------------------------------------------

@test "mutants: a break that the named test does not catch, or too late, fails" {
  mkdir notes build appendix
  cp "$BATS_TEST_DIRNAME"/{mutants.sh,notes.py,commands.py} tests
  break_document
  mv doc.md notes/breaks.md
  printf '%s:\n\t@%s\n' ex1 'touch ex1' test1 \
    'sleep 1; grep -q "result > 10" ex1_blocking/server.c && echo "✗ ex1: returns one"' >Makefile
  run -0 tests/mutants.sh
  [[ $output == '1 ex1: caught, 1.'?' s; fails first: ex1: returns one' ]]
  MUTANT_SECONDS=0 run -1 tests/mutants.sh 1
  sed -i 's/✗ ex1: returns one/✗ ex1: other/' Makefile
  run -1 tests/mutants.sh
  [[ $output == "1 ex1: NOT CAUGHT by 'ex1: returns one', 1."?' s; fails first: ex1: other' ]]
  run -0 tests/mutants.sh 2
  [ -z "$output" ]
}
