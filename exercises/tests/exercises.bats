# The exercises: what make startN, gradeN, practiceN and hintN print, the stages
# and hints, and that whatever a student's program does, nothing of it is left
# running.

setup() {
  top=$(cd "$BATS_TEST_DIRNAME/../.." && pwd)
  PATH=${BATS_SAVED_PATH:-$PATH}
  dir=$(mktemp -d)
}

teardown() { rm -rf "$dir"; }

# exercise N: a copy of the kit in which the exercise has begun.
exercise() {
  cd "$dir"
  rm -rf ./*
  cp -R "$top"/{Makefile,NOTES.md,exercises,tests,ex?_*} .
  mkdir -p build
  cp "$top/build/client" build/
  make -s "start$1" | grep "make grade$1"
}

# runner TEXT: from now on, this stands for what the tests print.
runner() {
  printf '%s\n' "$1" >said
  printf '#!/bin/sh\n%s\ncat said\n' "${2:-}" >tests/run.sh
}

# has TEXT...: $output contains each of them.
has() {
  local text
  for text; do [[ $output == *"$text"* ]] || { echo "'$text' is not in: $output"; return 1; }; done
}

@test "make start4 never writes over an existing file" {
  exercise 4
  run make -s start4
  [ "$status" -ne 0 ]
  has 'exists already'
}

@test "each test of an exercise belongs to one stage, and each stage has two or three hints" {
  local n s stages name
  cd "$top"
  . exercises/stages.sh
  . tests/traits.bash
  for n in 1 2 3 4 5 6; do
    load_stages "$n" >/dev/null || true
    [[ $last == [5-9] ]]
    traits_of "ex$n"
    for name in ${parts//|/ }; do
      if [[ $name != */* ]]; then name=tests/$name.bats; fi
      sed -n 's/^@test "\(.*\)" {.*/\1/p' "$name"
    done >"$dir/names"
    while IFS= read -r name; do
      stages=
      for ((s = 1; s < last; s++)); do [[ ! $name =~ ${filter[s]} ]] || stages+=" $s"; done
      [[ $stages == ' '? ]] || { echo "ex$n: '$name' is in the stages:$stages"; return 1; }
    done <"$dir/names"
    for ((s = 1; s <= last; s++)); do
      grep -q -E -e "${filter[s]}" "$dir/names"
      stages=$(sed -n "/^### ${sentence[s]}\$/,/^#* *\$/p" exercises/hints.md | grep -c '^[123]\. ')
      [[ $stages == [23] ]] || { echo "'${sentence[s]}' has $stages hints"; return 1; }
    done
  done
}

@test "make grade: the six of the kit pass all stages, and results.json says so" {
  local n
  exercise 1
  for n in 1 2 3 4 5 6; do mkdir -p "mine/ex$n" && cp "ex$n"_*/server.c "mine/ex$n/"; done
  run env PATIENCE=10 make -s grade
  echo "$output"
  [ "$status" -eq 0 ]
  has 'ex6: 8 of 8' 'Well done' 'build/mine/results.json'
  python3 -c 'import json
tests = json.load(open("build/mine/results.json"))["tests"]
assert {(t["score"], t["max_score"], t["status"]) for t in tests} == {(1, 1, "passed")}
assert len({t["name"] for t in tests}) == len(tests) == 50, len(tests)'
}

@test "make gradeN: the example before does not, and the first failure names the step" {
  local n subject=('' '' 'accept' 'epoll_create1' 'EPOLLET' 'TCP_CORK' 'TCP_NODELAY')
  for n in 2 3 4 5 6; do
    exercise "$n"
    run make -s "grade$n"
    [ "$status" -ne 0 ]
    has "ex$n: 0 of " '✗ 1 ' '- 2 ' 'not reached' ": ex$n: " "${subject[n]}" 'look at' "make hint$n"
  done
}

@test "make grade1: what does not compile, or never listens, gets a clear line" {
  exercise 1
  run make -s grade1
  has 'ex1: 0 of 8' 'bind to port 8080' 'make hint1'
  echo nonsense >mine/ex1/server.c
  run make -s grade
  has 'ex1: mine/ex1/server.c does not compile' 'results.json'
  rm -r mine
  run make -s grade1
  has 'make start1 begins it'
}

@test "make grade1: a memory error that no other stage sees" {
  exercise 1
  sed 's/^    int listener = open/    volatile int i = MAX_REQUEST; (void)response[i];\n&/' \
    ex1_blocking/server.c >mine/ex1/server.c
  run make -s grade1
  has 'ex1: 7 of 8' 'server.c:' 'runtime error: index 8192'
}

@test "grade.sh: whatever the tests print, the status and results.json are right" {
  exercise 1
  # No bats: nothing can be judged, and the reason is shown.
  run env BATS=/nonexistent exercises/grade.sh 1
  [ "$status" -eq 3 ]
  has '? 1 ' 'could not be judged' 'bats'
  # A test that needs ptrace.
  runner '- ex1: one: strace may not trace
2 passed, 0 failed, 1 skipped'
  run exercises/grade.sh
  [ "$status" -eq 3 ]
  has '? 8 ' 'strace may not trace'
  scores=0 check_results
  # A program that prints what is not JSON.
  runner $'✗ ex1: "a\\" \t \e[1m \xff\xc3 …\n    happened \u2028 \x01\n1 passed, 1 failed, 0 skipped'
  run exercises/grade.sh
  [ "$status" -eq 1 ]
  scores=0 check_results
  runner '3 passed, 0 failed, 0 skipped'
  run exercises/grade.sh
  [ "$status" -eq 0 ]
  scores=8 check_results
  # Tests that do not end.
  runner '' 'sleep 4321'
  run env LIMIT=1 exercises/grade.sh 1
  [ "$status" -eq 1 ]
  has 'do not end within 1 s'
  if pgrep -f '^sleep 4321'; then return 1; fi
}
check_results() {
  python3 -c 'import json, sys
tests = json.load(open("build/mine/results.json"))["tests"]
assert len(tests) == 8 and sum(t["score"] for t in tests) == int(sys.argv[1]), tests
assert sys.argv[1] != "0" or all(t["output"] for t in tests), tests' "$scores"
}

@test "make practice1 and hint1: once without a terminal; in one, keys and saves" {
  exercise 1
  runner $'✗ ex1: one\n0 passed, 1 failed, 0 skipped'
  run make -s practice1
  [ "$status" -ne 0 ]
  has '✗ 1 listens' '- 2 '
  run make -s hint1
  has 'Stage 1: listens' 'Hint 1 of 3'
  make -s hint1
  make -s hint1 | grep 'Hint 3 of 3'
  make -s hint1 | grep 'Hint 3 of 3'
  mkfifo keys
  script -q -e -c 'make -s practice1' /dev/null <keys >screen 2>&1 3>&- &
  exec 4>keys
  shown 'q quit'
  printf h >&4
  shown 'Hint 3 of 3'
  echo '// mine' >>mine/ex1/server.c
  shown 'q quit.*q quit'
  printf d >&4
  shown '+// mine'
  runner '3 passed, 0 failed, 0 skipped'
  touch mine/ex1/server.c
  shown 'All stages pass'
  printf q >&4
  wait $!
}
shown() {
  timeout 20 sh -c 'until tr "\n" " " <screen | grep -q -e "$1"; do sleep 0.1; done' sh "$1" ||
    { cat screen; return 1; }
}

# grade_hostile CODE: example 2 with this at the start of its loop.
grade_hostile() {
  local began=$SECONDS
  exercise 2
  sed -e "s/^    for (;;) {/&$1/" \
    -e 's/^#include <errno.h>/&\n#include <signal.h>\n#include <sys\/wait.h>/' \
    ex2_loop/server.c >mine/ex2/server.c
  run env PATIENCE=2 make -s grade2
  has '✗ ' 'make hint2'
  [ $((SECONDS - began)) -le 30 ]
  ! pgrep -f "$dir/build/mine/tested/ex2 "
}

@test "make grade2: a program that forks leaves no process behind" {
  grade_hostile 'if (fork() == 0) { setsid(); pause(); }'
}
@test "make grade2: a program that runs itself without its environment leaves none behind" {
  grade_hostile 'if (fork() == 0) { setsid(); execle(argv[0], argv[0], "14321", NULL, (char *[]){NULL}); }'
}
@test "make grade2: a program that hangs does not hang the grader" {
  grade_hostile 'sigset_t all; sigfillset(\&all); sigprocmask(SIG_BLOCK, \&all, NULL); pause();'
}
@test "make grade2: a program that floods stdout does not fill the disk" {
  grade_hostile 'for (;;) puts("flood");'
}
@test "make grade2: a program that ignores SIGTERM does not hang the grader" {
  grade_hostile 'signal(SIGTERM, SIG_IGN); signal(SIGINT, SIG_IGN);'
}
