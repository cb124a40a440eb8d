# What runs the tests of the six: tests/run.sh, helpers.bash and client.c. Each
# test here is about a machine of another kind, or about something that went
# wrong once.

EXAMPLE=ex2
load ../tests/helpers

# stub NAME LINE...: a script of these lines, first in PATH.
stub() {
  mkdir -p "$dir/bin"
  printf '%s\n' '#!/bin/bash' "${@:2}" >"$dir/bin/$1"
  chmod +x "$dir/bin/$1"
  PATH=$dir/bin:$PATH
}

# stub_bats LINE...: run.sh gets a bats that does this instead of running tests.
stub_bats() {
  stub bats 'if [ "$1" = --version ]; then echo Bats 1.2.1; exit; fi' "$@"
  export BATS=$dir/bin/bats PATIENCE
}

# run_tests PROGRAM...: run.sh, which has to end within 30 s.
run_tests() { run timeout 30 "${kit:-$top}/tests/run.sh" "$@"; }

# fails_with TEXT COMMAND...: the command fails, and says this.
fails_with() {
  run "${@:2}"
  echo "$output"
  [ "$status" -ne 0 ]
  [[ $output == *"$1"* ]]
}

# copy_kit: $kit is a copy of what a test needs, in a folder with a space.
copy_kit() {
  kit="$dir/a kit"
  mkdir -p "$kit/build"
  cp -R "$top/tests" "$top"/ex?_* "$top"/ex? "$kit"
  cp "$top/build/client" "$kit/build"
}

# --- run.sh -----------------------------------------------------------------

@test "run.sh: names what is too old or missing in one line" {
  local bats
  stub too_old 'echo Bats 1.1.0'
  for bats in too_old 'no such bats'; do
    BATS=$bats run_tests ex1
    [ "$status" -eq 2 ]
    [[ ${#lines[@]} -eq 1 && $output == 'the tests need bats 1.2 or later'*'(make deps)' ]]
  done
}

@test "run.sh: counts every part, and puts the program before each name" {
  copy_kit
  mkdir -p "$kit/appendix/z_new"
  echo "parts='own|a|b|c'" >"$kit/appendix/z_new/traits"
  stub_bats 'echo "ok 1 does it${BATS_TEST_TMPDIR:+, in a folder of another test}"; case $2 in */c.bats) echo "not ok 2 fails";; esac'
  run_tests z_new
  [ "$status" -eq 1 ]
  [ "$(grep -c '^✓ z_new: does it$' <<<"$output")" -eq 4 ]
  grep -q -x '✗ not true: z_new: fails' <<<"$output"
  [ "${lines[-1]}" = '4 passed, 1 failed, 0 skipped' ]
}

@test "run.sh: a part whose shell has died is a failure" {
  stub_bats 'kill -KILL "$(cut -d " " -f 4 "/proc/$PPID/stat")"'
  run_tests ex1
  [ "$status" -eq 1 ]
  [[ $output == *'✗ not true: ex1, '*': the shell of this part lives to its end'* ]]
}

@test "run.sh: a part that does not end is a failure" {
  stub_bats 'echo "ok 1 begins"; sleep 60'
  PART_SECONDS=1 run_tests ex1
  [ "$status" -eq 1 ]
  [[ $output == *'✗ not true: ex1: ends in time: '*'1 passed, 1 failed'* ]]
}

@test "run.sh: without ptrace, says so once, and skips what needs strace" {
  stub strace 'echo "strace: ptrace(PTRACE_TRACEME): Operation not permitted" >&2; exit 1'
  # Inside of bats, run.sh finds bats as this test was started.
  unset BATS_SAVED_PATH
  run_tests ex1
  [ "$status" -eq 0 ]
  [[ ${lines[0]} == 'strace does not work here: '*'Operation not permitted; the tests that need it are skipped' ]]
  [[ ${lines[-2]} =~ ^skipped:\ [0-9]+,\ because:\ strace\ does\ not\ work\ here ]]
  [[ ${lines[-1]} =~ ^[1-9][0-9]\ passed,\ 0\ failed,\ [0-9]+\ skipped$ ]]
}

@test "run.sh: asks for more patience on a slow machine" {
  copy_kit
  sed -i 's/for _ in {1..300}; do (:); done/sleep 0.7/' "$kit/tests/run.sh"
  stub_bats 'echo "ok 1 waits $PATIENCE s"'
  unset PATIENCE
  run_tests ex1
  [[ $output == *'the tests wait '*'waits '* ]]
}

# --- helpers.bash -----------------------------------------------------------

@test "a wait whose deadline cannot be computed fails" {
  unset EPOCHREALTIME
  EPOCHREALTIME='1700000000,500000'
  [ "$(now)" -eq 1700000000500 ]
  declare -f wait_for >"$dir/wait_for"
  run timeout 5 bash -c '. "$1"; timed_out() { :; }; unset EPOCHREALTIME
    EPOCHREALTIME=late PATIENCE=60; wait_for false' bash "$dir/wait_for"
  [ "$status" -eq 1 ]
}

@test "reads the traces of strace 5.10, 6.1 and 6.13" {
  local event
  for event in '{EPOLLIN, {u32=5, u64=5}}' '{events=EPOLLIN, data={u32=5, u64=5}}' \
    '{events=EPOLLIN, data=0x5}'; do
    printf '%s\n' 'accept4(3, NULL, NULL, SOCK_NONBLOCK) = 5' \
      "17 epoll_ctl(4, EPOLL_CTL_ADD, 5, $event) = 0" 'close(5) = 0' >"$trace"
    assert_calls accept4 'EPOLL_CTL_ADD EPOLLIN' close
    fails_with 'no call of this kind' \
      refute_trace '^epoll_ctl.*events=(EPOLLIN|EPOLLOUT|0),' 'no call of this kind'
    fails_with '→ epoll_ctl(4' assert_calls accept4 'EPOLL_CTL_ADD EPOLLIN|EPOLLET'
  done
}

@test "a zombie does not run" {
  sh -c 'sleep 0.2 & echo $! >"$1"; exec sleep 9' sh "$dir/pid" 3>&- &
  wait_for test -s "$dir/pid"
  server=$(<"$dir/pid")
  wait_for grep -q '^State:.Z' "/proc/$server/status"
  server_ended
}

@test "says what a crash before the first line may be" {
  stub crashes 'kill -SEGV $$'
  bin=$dir/bin EXAMPLE=crashes
  fails_with 'with SIGSEGV before its first line' start_server
}

@test "preloads a library in a folder with a space" {
  copy_kit
  mkdir "$dir/a folder"
  cd "$kit"
  TMPDIR="$dir/a folder" EXAMPLE=ex6 run "${BATS:-bats}" -f inherited tests/ex6.bats
  echo "$output"
  [ "$status" -eq 0 ]
}

# --- client.c ---------------------------------------------------------------

@test "the client waits for a connection no longer than PATIENCE" {
  local before
  start_changed short_queue 's/^#define BACKLOG .*/#define BACKLOG 1/'
  suspend_server
  before=$SECONDS
  PATIENCE=1 client -n 10
  [ $((SECONDS - before)) -lt 10 ]
  [ "$client_status" -eq 3 ]
  [ "$(<"$dir/client_err")" = 'the server took no connection within 1 s' ]
}
