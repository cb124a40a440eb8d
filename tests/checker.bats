# The checker, tests/notes.sh: what is wrong in a document, it finds.

load helpers

setup() {
  dir=$BATS_TEST_TMPDIR
  top=$(cd "$BATS_TEST_DIRNAME/.." && pwd)
  mkdir -p "$dir/ex1_blocking" "$dir/ex2_loop" "$dir/tests"
  cd "$dir"
  printf '%s\n' '#include <errno.h>' '' 'int one(void)' '{' \
    '    return 1 | 2;' '}' >ex1_blocking/server.c
  sed 's/return 1/return 2/' ex1_blocking/server.c >ex2_loop/server.c
  echo '@test "ex1: returns one" { true; }' >tests/ex1.bats
}

# document LINE...: makes doc.md of them.
document() { printf '%s\n' "$@" >doc.md; }

# finds TEXT CHECK...: the check fails and says TEXT, and nothing else.
finds() {
  run -1 "$top/tests/notes.sh" "${@:2}"
  [[ $output == *"$1"* ]]
  [ "${#lines[@]}" -eq 1 ]
}

# accepts CHECK...: the check is content.
accepts() {
  run -0 "$top/tests/notes.sh" "$@"
  [ -z "$output" ]
}

quotation=('`ex1_blocking/server.c:3`' '```c' 'int one(void)' '{' '```')

@test "checker: a quotation that is right passes" {
  document "${quotation[@]}"
  accepts check_quotations doc.md
  accepts check_examples doc.md ex1_blocking/server.c
}

@test "checker: a line that has moved fails, and it says where to" {
  document "${quotation[@]}"
  sed -i '1i /* new */' ex1_blocking/server.c
  finds 'doc.md:1: ex1_blocking/server.c:3 is something else: it is at line 4' \
    check_quotations doc.md
}

@test "checker: an altered quotation fails" {
  document "${quotation[@]/int one/int  one}"
  finds 'it is not in the file' check_quotations doc.md
}

@test "checker: a quotation of a missing file fails" {
  document "${quotation[@]/ex1_/ex9_}"
  finds 'there is no ex9_blocking/server.c' check_quotations doc.md
}

@test "checker: a quotation of an empty line fails" {
  document '`ex1_blocking/server.c:2`' '```c' '' '```'
  finds 'an empty quotation' check_quotations doc.md
}

@test "checker: a reference without a fence fails" {
  document "${quotation[0]}" '' 'Text.'
  finds 'a reference without a fence' check_quotations doc.md
}

@test "checker: a fence of C without a reference fails" {
  document '```c' 'int one(void)' '```'
  finds 'a fence without a reference' check_quotations doc.md
}

@test "checker: an example that is not quoted fails" {
  document "${quotation[@]}"
  finds 'nothing is quoted from ex2_loop/server.c' \
    check_examples doc.md ex1_blocking/server.c ex2_loop/server.c
}

@test "checker: a diff that is not today's fails" {
  {
    echo '```diff'
    diff -u --label ex1_blocking/server.c --label ex2_loop/server.c \
      ex1_blocking/server.c ex2_loop/server.c || true
    echo '```'
  } >doc.md
  accepts check_diffs doc.md
  echo '/* new */' >>ex2_loop/server.c
  finds 'not what diff -u ex1_blocking/server.c ex2_loop/server.c prints' \
    check_diffs doc.md
}

@test "checker: a diff without names fails" {
  document '```diff' '-int one(void)' '+int two(void)' '```'
  finds 'does not begin with the names' check_diffs doc.md
}

# table_of LINE ROW...: a table for an article's program of three lines, whose
# second one is empty.
table_of() {
  export ARTICLE_LINES='ex1.py 3 2'
  document '| ex1.py | what | ex1_blocking/server.c | there |' \
    '|---|---|---|---|' "| 1 | includes | 1 | \`errno.h\` |" "$@"
}

@test "checker: a table that is right passes, an escaped bar in it" {
  table_of "| 3 | returns | 5 | \`return 1 \\| 2;\` |"
  accepts check_tables doc.md
}

@test "checker: a row whose line holds something else fails, and it says which does" {
  table_of "| 3 | returns | 4 | \`return 1\` |"
  finds "server.c:4 does not hold 'return 1'; these do: 5" check_tables doc.md
}

@test "checker: a line of the article that no row has fails" {
  table_of
  finds 'line 3 of ex1.py is not in one row' check_tables doc.md
}

@test "checker: a line of the article that two rows have fails" {
  table_of "| 1-3 | returns | 5 | \`return 1\` |"
  finds 'line 1 of ex1.py is not in one row' check_tables doc.md
}

@test "checker: a function that no file has fails" {
  document 'Call `one` or `one()`, and `other`.'
  accepts check_names doc.md other
  finds 'doc.md:1: no file has the name other' check_names doc.md
}

@test "checker: a link that leads nowhere fails" {
  document '# The first, and `only`' '[a](#the-first-and-only) [b](ex2_loop)'
  accepts check_links doc.md
  document '# First' '[a](#second)'
  finds 'nothing is at #second' check_links doc.md
  document '[a](ex2_loop/server.c#x)'
  finds 'nothing is at ex2_loop/server.c#x' check_links doc.md
  document '[a](ex3_epoll_lt)'
  finds 'nothing is at ex3_epoll_lt' check_links doc.md
}

break_of() {
  document '`ex1_blocking/server.c:5`' '```diff' "$1" '+    return 2;' '```' \
    'Why? Caught by `ex1: returns one`.'
}

@test "checker: a break that is right passes" {
  break_of '-    return 1 | 2;'
  accepts check_quotations doc.md
  accepts check_diffs doc.md
  accepts check_breaks doc.md 1
}

@test "checker: a break of a line that is not there fails" {
  break_of '-    return 3;'
  finds 'server.c:5 is something else' check_breaks doc.md 1
}

@test "checker: a break that names no test, or one that does not exist, fails" {
  break_of '-    return 1 | 2;'
  sed -i 's/returns one/returns two/' doc.md
  finds "no test 'ex1: returns two'" check_breaks doc.md 1
  sed -i 's/Caught by.*//' doc.md
  finds 'a break without a test' check_breaks doc.md 1
}

@test "checker: too few breaks fail" {
  break_of '-    return 1 | 2;'
  finds '1 breaks, fewer than 2' check_breaks doc.md 2
}

@test "checker: a command that prints what is shown passes" {
  document '```console' '$ echo one; echo two; echo three 3' 'o...' '...' \
    'three   3' '$ cd tests' '$ ls' 'ex1.bats' '```'
  accepts run_commands doc.md
}

@test "checker: a command that prints something else fails" {
  document '```console' '$ echo one.two' 'one:two' '```'
  run -1 "$top/tests/notes.sh" run_commands doc.md
  [[ $output == *'echo one.two prints something else'* ]]
  document '```console' '$ echo one; echo two' 'one' '```'
  run -1 "$top/tests/notes.sh" run_commands doc.md
  document '```console' '$ echo one' 'one' 'two' '```'
  run -1 "$top/tests/notes.sh" run_commands doc.md
}

@test "checker: a command with nothing under it has to succeed" {
  document '```console' '$ false' '```'
  finds 'false fails' run_commands doc.md
  accepts run_commands doc.md false
}

@test "checker: a name on the list of those not run has to be a command" {
  document '```console' '$ true' '```'
  finds "'false' is not a command of doc.md" run_commands doc.md false
}

@test "checker: a server that prints something else fails" {
  cat >ex1.c <<'END'
#include <stdio.h>
#include <unistd.h>
int main(int argc, char *argv[])
{
    printf("listening: %s\n", argv[argc - 1]);
    fflush(stdout);
    return pause();
}
END
  "${CC:-cc}" -o ex1 ex1.c
  document '```console' '$ ./ex1' 'listening: 8080' '```'
  accepts run_commands doc.md
  document '```console' '$ ./ex1' 'listening: 8080' 'and more' '```'
  PATIENCE=1 run -1 "$top/tests/notes.sh" run_commands doc.md
  [[ $output == *'./ex1 prints something else'* ]]
}

# It never says that it listens, and this script gives up.
@test "checker: a server is not left behind when the script gives up" {
  cp "$(command -v sleep)" ex1
  document '```console' "\$ ./ex1 3$BASHPID" '```'
  PATIENCE=1 run -1 "$top/tests/notes.sh" run_commands doc.md
  wait_for not pgrep -f "^./ex1 3$BASHPID"
}

@test "mutants: a break that its test does not catch fails" {
  local kit=$dir/kit
  mkdir "$kit"
  cp -R "$top"/{Makefile,NOTES.md,ex1_blocking,tests,build} "$kit"
  cat >"$kit/NOTES.md" <<'END'
`ex1_blocking/server.c:30`
```diff
-
+/* Breaks nothing. */
```
Caught by `ex1: gives curl the article's 114 bytes`.
END
  printf '%s\n' 'load helpers' 'load behaviour' 'EXAMPLE=ex1' \
    "@test \"ex1: gives curl the article's 114 bytes\" { gives_curl_the_response; }" \
    >"$kit/tests/ex1.bats"
  run -123 "$kit/tests/mutants.sh"
  [[ $output == *"0 tests fail, but 'ex1: gives curl"* ]]
}
