# The exercises: what make startN and make gradeN print, and that whatever a
# student's program does, nothing of it is left running.

bats_require_minimum_version 1.8.0

setup() {
  top=$(cd "$BATS_TEST_DIRNAME/../.." && pwd)
  dir=$BATS_TEST_TMPDIR
}

# exercise N: a copy of the kit in which the exercise has begun.
exercise() {
  cd "$dir"
  cp -R "$top"/{Makefile,exercises,tests,ex?_*} .
  mkdir -p build
  cp "$top/build/client" build/
  run -0 make -s "start$1"
  [[ $output == *"make grade$1"* ]]
}

@test "make start4 never writes over an existing file" {
  exercise 4
  run make -s start4
  [ "$status" -ne 0 ]
  [[ $output == *'exists already'* ]]
}

@test "make gradeN: each example of the kit passes all tests" {
  local n
  for n in 1 2 3 4 5 6; do
    cd "$dir" && rm -rf ./* && exercise "$n"
    cp "ex$n"_*/server.c "mine/ex$n/server.c"
    run env PATIENCE=10 make -s "grade$n"
    echo "$output"
    [[ $output == *' tests pass'*'Well done'* ]]
  done
}

@test "make gradeN: the example before does not, and the first failure names the step" {
  local n subject=('' '' 'accept' 'accept4' 'EPOLLIN|EPOLLET' 'TCP_CORK' 'TCP_NODELAY')
  for n in 2 3 4 5 6; do
    cd "$dir" && rm -rf ./* && exercise "$n"
    run make -s "grade$n"
    [ "$status" -ne 0 ]
    echo "$output"
    [[ $output == *' tests pass'*"✗ not true: ex$n: "*"${subject[n]}"*'look at'* ]]
  done
}

@test "make grade1: what does not compile, or never listens, gets a clear line" {
  exercise 1
  run make -s grade1
  [[ $output == *"expected    the server prints 'listening: ...'"* ]]
  echo nonsense >mine/ex1/server.c
  run make -s grade1
  [[ $output == *'ex1: mine/ex1/server.c does not compile'* ]]
  rm -r mine
  run make -s grade1
  [[ $output == *'make start1 begins it'* ]]
}

# grade_hostile CODE: example 2 with this at the start of its loop.
grade_hostile() {
  local began=$SECONDS
  exercise 2
  sed -e "s/^    for (;;) {/&$1/" -e 's/^#include <signal.h>/&\n#include <sys\/wait.h>/' \
    ex2_loop/server.c >mine/ex2/server.c
  run make -s grade2
  [ "$status" -ne 0 ]
  [[ $output == *' tests pass'* ]]
  echo "$output" "$((SECONDS - began)) s"
  [ $((SECONDS - began)) -le 30 ]
  # Nothing is left running.
  run pgrep -f "^$dir/build/mine/ex2 "
  [ -z "$output" ]
}

@test "make grade2: a program that forks leaves no process behind" {
  grade_hostile 'if (fork() == 0) { setsid(); pause(); }'
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
