# The tool that keeps documents and code together, notes.py: it finds what is
# wrong in a document, and update writes what is certain.

setup() {
  check=$BATS_TEST_DIRNAME notes=$BATS_TEST_DIRNAME/notes.py
  dir=$(mktemp -d "${BATS_TMPDIR:-/tmp}/a folder.XXXXXX")
  export TMPDIR=$dir PATIENCE=${PATIENCE:-10}
  mkdir "$dir/kit" && cd "$dir/kit"
  mkdir -p ex1_blocking tests notes appendix exercises lab/figures replay site tools
  echo '@test "returns one" { ! grep "> 10" ex1_blocking/server.c; }' >tests/behaviour.bats
  cat >ex1_blocking/server.c <<'END'
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
END
}

teardown() { rm -rf "$dir"; }

# document LINE...: makes doc.md of the lines.
document() { printf '%s\n' "$@" >doc.md; }

# says STATUS OUTPUT [COMMAND]: what notes.py says about it.
says() {
  run "$notes" "${3:-check}" doc.md
  echo "$output"
  [ "$status" -eq "$1" ] && [ "$output" = "$2" ]
}
accepts() { says 0 '' "$@"; }
finds() { says 1 "doc.md:$1" "${@:2}"; }

in_number='`ex1_blocking/server.c: number`'
no_lines='the code has no such lines: choose new ones by hand'
changed='ex1_blocking/server.c has changed: run make update-notes'

# --- Quotations -------------------------------------------------------------

@test "quotation: update writes what is certain, and reports the rest" {
  document "$in_number" '```c' '    int result = limit;' '    if (result > 1) {' '```' \
    "$in_number" '```c' '    return result | 2;' '```' \
    "$in_number" '```c' "$(sed -n 2,9p ex1_blocking/server.c)" '```'
  accepts
  sed -i 's/= limit;/&\n    \/* new *\//; s/int limit/long limit/; s/result | 2/result | 3/' \
    ex1_blocking/server.c
  says 1 "doc.md:1: $changed
doc.md:6: $no_lines
doc.md:10: $changed"
  says 1 "doc.md: written again
doc.md:6: $no_lines" update
  says 1 "doc.md:7: $no_lines"
  diff <(sed -n 4,6p ex1_blocking/server.c) <(sed -n 3,5p doc.md)
  diff <(sed -n 2,10p ex1_blocking/server.c) <(sed -n 13,21p doc.md)
}

@test "quotation: what is gone, ambiguous, or has no reference" {
  document "$in_number" '```c' '    int c = number(7);' '```'
  finds "1: $no_lines"
  document '`ex1_blocking/server.c: digit`' '```c' '{' '```'
  finds '1: ex1_blocking/server.c has no function digit'
  document '`ex9/server.c: digit`' '```c' '{' '```'
  finds '1: there is no file ex9/server.c'
  document '`ex1_blocking/server.c`' '```c' '{' '```'
  finds '1: ex1_blocking/server.c has these lines 2 times: name the function'
  document '```c' 'int main(void)' '```'
  finds '1: a fence of c without a reference directly above it'
}

@test "output: a quotation is all that the lab printed, without its title" {
  local stall=lab/figures/stall.txt
  printf '%s\n' '== stall: a claim' '' '   server  s' '   ex2     1.8' '' '   confirmed' >$stall
  document "\`$stall\`" '```text' "$(tail -n +3 $stall)" '```'
  accepts
  sed -i 's/1.8/2.1/; s/   server  s/   server  ms/' $stall
  says 0 'doc.md: written again' update
  diff <(tail -n +3 $stall) <(sed -n 3,6p doc.md)
}

@test "table: each line of the article is in one row, and each fragment in the code" {
  # For example 1 of the article, 22 lines.
  local head=$'| ex1.py | it | ex1_blocking/server.c |\n|---|---|---|'
  document "$head" '| 1-20 | a bar | `result \| 2` |' '| 22 | ends | `return c;` |'
  accepts
  document "$head" '| 1-20, 20 | a bar | `result` |'
  says 1 'doc.md:1: line 20 of ex1.py is in 2 rows
doc.md:1: line 22 of ex1.py is in 0 rows'
  document "$head" '| 1-22 | ends | `return d;` |'
  finds "1: no line of ex1_blocking/server.c has 'return d;'"
}

@test "fold: each has its end" {
  document '<details>' text '</details>'
  accepts
  document '<details>' text '<details>' more '</details>'
  finds '1: a <details> without its end'
}

# --- Breaks -----------------------------------------------------------------

# a_break [SED_COMMAND]: a document with a break, changed.
a_break() {
  document '[No limit](#no-limit)' '## No limit' "$in_number" '```diff' \
    '     int result = limit;' '-    if (result > 1) {' '+    if (result > 10) {' \
    '         result = 1;' '```' 'Why? Caught by' '`ex1: returns one`.'
  sed -i "${1:-}" doc.md
  cp doc.md notes/breaks.md
}

@test "break: it needs its lines in the code, a test, a heading and a link" {
  a_break
  accepts
  a_break 's/result > 1)/result > 2)/'
  finds '3: the lines that it changes are there 0 times'
  a_break 's/returns one/returns two/'
  finds "4: caught by 'ex1: returns two': ex1 has no such test"
  a_break 's/ex1: returns/ex2: returns/'
  finds "4: caught by 'ex2: returns one': ex1 has no such test"
  a_break 1d
  finds '3: a break without a heading of its own, and a link to it'
}

@test "mutants: a break that the named test does not catch fails" {
  cp -r "$check" notes
  cp "$check"/../../tests/{run.sh,traits.bash} tests
  touch tests/ex1.bats
  a_break
  printf 'ex1:\n\t@touch ex1\n' >Makefile
  run notes/check/mutants.sh
  [ "$status $output" = "0 1 ex1: caught by 'ex1: returns one'" ]
  sed -i 's/> 10/> 11/' tests/behaviour.bats
  run notes/check/mutants.sh 1
  [ "$status $output" = "123 1 ex1: NOT CAUGHT by 'ex1: returns one'" ]
  sed -i 's/> 11/> 1/' tests/behaviour.bats
  run notes/check/mutants.sh
  [ "$status $output" = "123 1 ex1: fails without the break: 'ex1: returns one'" ]
}

# --- Names and links -------------------------------------------------

@test "name: one that no code has is found, and comments are no code" {
  document 'The function `number` has `number(limit)`, and `c`.' 'And `server.c`.'
  accepts
  document '`digit`, `Says`, `c->result`'
  says 1 'doc.md:1: no code has the name Says
doc.md:1: no code has the name c->result
doc.md:1: no code has the name digit'
}

@test "link: it leads to a file, a heading or a scene" {
  mkdir replay/recordings
  touch replay/index.html replay/recordings/ex{3,4}-long.js
  document '# The first, and `TCP_CORK`' \
    '[a](#the-first-and-tcp_cork) [c](ex1_blocking)' \
    '[d](https://example.org/x) ![e](replay/index.html#ex3-long+ex4-long/12) `[f](none)`'
  accepts
  document '[a](#second)' '[a](ex3_epoll_lt)' '[a](ex1_blocking/server.c#L3)' \
    '[a](replay/index.html#ex3-long+ex9-none/3)'
  says 1 'doc.md:1: nothing is at #second
doc.md:2: nothing is at ex3_epoll_lt
doc.md:3: nothing is at ex1_blocking/server.c#L3
doc.md:4: nothing is at replay/index.html#ex3-long+ex9-none/3'
}

# --- Commands ---------------------------------------------------------------

# console LINE...: a document with one fence of commands.
console() { document '```console' "$@" '```'; }

# make_server NAME: one that prints where it listens, and then waits.
make_server() {
  printf '%s\n' '#!/bin/bash' 'echo "listening: ${!#}"' 'while sleep 1; do :; done' >"$1"
  chmod +x "$1"
}

@test "command: what it prints looks like what is shown, and without that it succeeds" {
  console '$ x=5; cd tests' '$ echo $x; echo two; echo three 3' '5' '...' 'th...   3' \
    '$ ls' 'behaviour.bats'
  accepts run
  console '$ echo one.two' 'one:two' '$ echo one; echo two' 'one' '$ echo one' '...' 'two' \
    '$ false'
  says 1 'doc.md:2: echo one.two prints something else:
one.two
doc.md:4: echo one; echo two prints something else:
one
two
doc.md:6: echo one prints something else:
one
doc.md:9: false fails:' run
  console "\$ $(printf %q "$notes") run doc.md" 'a command of a document runs all commands again'
  accepts run
  console '$ echo not permitted here: unshare' 'something'
  says 0 'doc.md:2: not checked: echo not permitted here: unshare' run
}

@test "command: each strace from 5.10 on prints what is shown, also on arm64" {
  local wait='epoll_wait(4, [{events=EPOLLIN, data={u32=10, u64=10}}], 64, -1) = 1'
  console "\$ echo '$wait'" "$wait" \
    '$ echo "epoll_wait(4, [{EPOLLIN, {u32=10, u64=10}}], 64, -1) = 1"' "$wait" \
    '$ echo "epoll_pwait(4, [{events=EPOLLIN, data=0xa}], 64, -1, NULL, 8) = 1"' "$wait" \
    '$ echo "epoll_pwait(4, "' 'epoll_wait(4, ' '$ echo "{events=0, data=0xa})"' '{events=0, ...})' \
    '$ echo "ppoll([{fd=3}], 1, NULL, NULL, 0) = 1"' 'poll([{fd=3}], 1, -1) = 1' \
    '$ echo "select(4, [3], [], NULL, NULL) = 1"' 'pselect6(4, [3], [], NULL, NULL, NULL) = 1'
  accepts run
  console '$ echo "epoll_wait(4, [{events=EPOLLIN, data=0xb}], 64, -1) = 1"' "$wait"
  run "$notes" run doc.md
  [ "$status" -eq 1 ]
}

@test "command: a server runs on a port of its own until the next one takes its port" {
  mkdir appendix/z_last
  echo port=7000 >appendix/z_last/traits
  make_server y_first
  make_server z_last
  console '$ ./y_first 8080' 'listening: 8080' '$ pgrep -s 0 -x y_first >/dev/null' \
    '$ test "$(echo 8080)" -ge 10000' '$ ./z_last' 'listening: 7000' \
    '$ test $(echo 7000) -ge 10000; pgrep -s 0 -x y_first >/dev/null' \
    '$ ./z_last 8080' 'listening: 8080' '$ ! pgrep -s 0 -x y_first'
  accepts run
  console '$ ./z_last 9000' 'listening: 9000' 'and more'
  PATIENCE=1 run "$notes" run doc.md
  [[ $output == 'doc.md:2: ./z_last 9000 prints something else'* ]]
}

@test "command: nothing is left running, even after SIGKILL" {
  local signal begun=$dir/begun
  make_server ex1
  console "\$ timeout 60 ./ex1 x$BASHPID" "\$ touch '$begun'; sleep 50.$BASHPID"
  for signal in TERM KILL; do
    rm -f "$begun"
    "$notes" run doc.md >/dev/null 2>&1 3>&- &
    until [ -e "$begun" ]; do sleep 0.05; done
    pgrep -f "ex1 .*x$BASHPID"
    kill "-$signal" $!
    wait $! || true
    for _ in {1..200}; do
      pgrep -f "ex1 .*x$BASHPID|sleep 50.$BASHPID" >/dev/null || continue 2
      sleep 0.1
    done
    return 1
  done
}

# --- The whole kit ----------------------------------------------------------

# kit: a copy of the documents and of all they are compared with.
kit() {
  rm -r "$dir/kit"/* && tar -c -C "$check/../.." --exclude=./.git --exclude=./build . | tar -x
  # A program that was built is a name of the kit, too.
  make -s clean
}

@test "kit: after a new line in all six programs, make update-notes is enough" {
  local part
  kit
  for part in ex?_*/server.c; do
    printf '\n`%s: open_listener`\n```c\n' "$part"
    sed -n '/^static int open_listener/,/^}/p' "$part" | sed -n '2,/SO_REUSEADDR, &on/p'
    echo '```'
  done >>NOTES.md
  make update-notes || true
  "$notes" check >../before || true
  sed -i '/^    int on = 1;/i\    /* A new line. */' ex?_*/server.c
  [ "$("$notes" check | grep -c 'run make update-notes')" -ge 6 ]
  make update-notes || true
  diff <(sed 's/:[0-9]*:/:/' ../before) <("$notes" check | sed 's/:[0-9]*:/:/')
  [ ! -e replay/update.py ] || replay/update.py --check
}

@test "kit: what leads into a part that was taken out is listed, and is no failure" {
  kit
  rm -rf appendix exercises lab replay site tools
  document '[a](lab/README.md) [b](replay/index.html#ex3-long), the program `b_poll`.' \
    '`lab/figures/stall.txt`' '```text' 'x' '```' \
    '```console' '$ ./b_poll' 'listening: 8080' '$ curl localhost:8080' 'Hello' '```' \
    '```console' '$ make lab-stall' '```'
  "$notes" check >/dev/null
  says 0 'doc.md:1: not checked: lab/README.md
doc.md:1: not checked: replay/index.html#ex3-long
doc.md:1: not checked: the name b_poll
doc.md:2: not checked: lab/figures/stall.txt'
  says 0 'doc.md:7: not checked: ./b_poll
doc.md:13: not checked: make lab-stall' run
  document '[a](none)'
  finds '1: nothing is at none'
}
