# What all experiments share: lab/common.bash, all.bash, draw.bash, summary.py.

EXAMPLE=ex3

load ../../tests/helpers
load helpers

# loses WHAT COMMAND...: an experiment of these commands exits with 1, and this
# line.
loses() {
  small loses "${@:2}"
  [ "$status" -eq 1 ]
  [[ ${lines[${#lines[@]} - 1]} == "loses: "$1 ]]
}

@test "lab/summary.py: prints median, least and greatest, and the ratio of each round" {
  run "$top/lab/summary.py" 1 b < <(printf '%s\n' 'a 1 -' 'b 2 7' 'a 9 -' 'b 3 7' \
    'a 1234.5 -' 'b 10 7' 'a 0.01234 -' 'b 1 7')
  echo "$output"
  [ "${lines[0]}" = $'a\t5\t0.0123\t1230\t-\t-\t-\t1.75\t0.0123\t123' ]
  [ "${lines[1]}" = $'b\t2.5\t1\t10\t7\t7\t7\t1\t1\t1' ]
}

@test "lab: exits with 1 if a server does not start, ends, or answers with an error" {
  loses 'ex3 does not start (try 1): usage: *' 'start ./ex3 x'
  loses 'ex9 is not built' 'try_start ./ex9 || give_up "$why"'
  command -v ab >/dev/null || skip 'ab is missing: make lab-deps'
  # It serves one client only.
  loses 'ex1: ab failed: *' 'start ./ex1' 'ab_asks ex1 20 1'
  loses 'bad: ab reports 20 of 20 requests, 20 failed' \
    'variant bad ex3_epoll_lt/server.c "s/200 OK/404 No/"' \
    'start "$work/bad"' 'ab_asks bad 20 1'
  loses 'ex3_epoll_lt/server.c has no line to change' \
    'variant same ex3_epoll_lt/server.c "s/no such line//"'
}

@test "lab: exits with 1 if silent clients cannot connect, or are lost" {
  loses 'none: 5 silent clients: connect: *' 'port=1' 'hold_clients none 5'
  # It serves one client after the other.
  loses 'ex2 has lost some of its 50 silent clients' 'start ./ex2' 'silent=50' \
    'wait_for() { for try in {1..20}; do "$@" >/dev/null 2>&1 && return; sleep 0.05; done; false; }' \
    'hold_clients ex2 50'
}

@test "lab: names a tool that is missing, and a program that is not built" {
  small missing 'claim Really? no_such_tool'
  [ "$status" -eq 1 ]
  [ "$output" = 'missing: no_such_tool is missing: make lab-deps installs it' ]
  small left 'claim Really?' 'start ./ex3' 'start ./z_none'
  [ "$status" -eq 0 ]
  [ "${lines[1]}" = '   left out: z_none is not built' ]
}

@test "lab: counts the processor time of children, and of threads that have ended" {
  cat >"$dir/burn.py" <<'END'
import os, sys, threading, time
go, done = sys.argv[1:]
def burn():
    while time.thread_time() < 0.1: pass
os.fork()
sys.stderr.write("listening\n")
while not os.path.exists(go): time.sleep(0.01)
thread = threading.Thread(target=burn)
thread.start()
thread.join()
open(f"{done}.{os.getpid()}", "w")
time.sleep(60)
END
  small burn "burner() { exec python3 '$dir/burn.py' \"\$work/go\" \"\$work/done\"; }" \
    'start burner' 'two() { [ "$(processes "$server" | wc -l)" -eq 2 ]; }; wait_for two' \
    'spend bash -c "touch $work/go; until [ \$(ls $work | grep -c done) = 2 ]; do sleep 0.1; done"' \
    'echo "$spent"'
  [ "$output" -ge 200000000 ]
}

@test "lab: leaves no process and no file when it gets SIGTERM" {
  local name experiment status
  mkdir "$dir/tmp"
  for name in stall wakeups cost; do
    TMPDIR=$dir/tmp LAB_OUT=$dir/left "$top/lab/$name.sh" >"$out" 2>&1 3>&- &
    experiment=$! status=0
    PATIENCE=30 wait_for grep -q -E 'client 1|round 1|missing' "$out"
    kill -TERM "$experiment" || skip "$(tail -n 1 "$out")"
    wait "$experiment" || status=$?
    [ "$status" -eq 143 ]
    [ -z "$(ls -A "$dir/tmp")" ]
  done
  # Its processes have TMPDIR in their environment.
  left_over() { ! grep -q -s -a "$dir/tmp" /proc/[0-9]*/environ; }
  PATIENCE=10 wait_for left_over
}

@test "lab: make lab prints each claim, and names what could not be run" {
  mkdir -p "$dir/a kit/lab"
  cp -R "$top"/lab/*.* "$dir/a kit/lab"
  cp "$top/ex2" "$top/ex3" "$dir/a kit"
  echo 'exit 1' >"$dir/a kit/lab/new.sh"
  LAB_SMALL=yes LC_ALL=de_DE.UTF-8 run "$dir/a kit/lab/all.bash" stall scaling new
  echo "$output"
  [ "$status" -eq 1 ]
  grep -A 1 '^   A blocking server waits' <<<"$output" | grep '^      confirmed: '
  [[ $output == *$'\n      left out: a_select is not built'* ]]
  [[ $output == *$'\n   new\n      could not be run\n'* ]]
  grep -q '</svg>' "$dir/a kit/lab/out/stall.svg"
}

@test "lab: draws each picture again from the table in lab/figures" {
  local name
  command -v gnuplot >/dev/null || skip 'gnuplot is missing: make lab-deps'
  cp -R "$top/lab/figures" "$dir"
  rm "$dir"/figures/*.svg
  for name in $(cd "$top/lab" && ls -- *.sh); do
    "$top/lab/draw.bash" "${name%.sh}" "$dir/figures"
    grep '</svg>' "$dir/figures/${name%.sh}.svg"
  done
}
