# The experiment wakeups.

load helpers
load lab

@test "lab/wakeups: prints a claim, a table and a verdict, and leaves a picture" {
  needs strace gnuplot column
  experiment wakeups
  has_form wakeups 4
  grep -E '^   server +request +epoll_wait +range +recv +range +EAGAIN$' \
    <<<"$output"
}

@test "lab/wakeups: whole, a request wakes ex4 less often than ex3, which never meets EAGAIN" {
  needs strace gnuplot column
  experiment wakeups
  awk '$2 == "whole" { waits[$1] = $3; again[$1] = $7 }
    $2 == "pieces" { recvs[$1] = $5 }
    END { exit !(waits["ex4"] >= 4 && waits["ex4"] < waits["ex3"] &&
      again["ex3"] == 0 && again["ex4"] >= 1 &&
      recvs["ex4"] > recvs["ex3"]) }' \
    "$dir/left/wakeups.tsv"
}

@test "lab/wakeups: without strace, it says so" { without strace wakeups; }

@test "lab/wakeups: a server that ends at once stops it" {
  needs strace gnuplot
  copy
  fake ex3 'echo listening >&2'
  gives_up wakeups 'ex3 has ended'
}

@test "lab/wakeups: a server that does not start stops it" {
  needs strace gnuplot
  copy
  fake ex3 'echo bind: no >&2; exit 1'
  gives_up wakeups 'traced does not start*bind: no'
}

@test "lab/wakeups: ended early, it leaves no process and no file" {
  needs strace gnuplot
  mkdir "$dir/tmp"
  TMPDIR=$dir/tmp LAB_OUT=$dir/left "$top/lab/wakeups.sh" >"$out" 2>&1 3>&- &
  pid=$!
  wait_for eval 'grep -q "^listening" "$dir"/tmp/*/traced*.err'
  children=$(grep -ls "^PPid:[[:space:]]*$pid\$" /proc/[0-9]*/status || true)
  [ -n "$children" ]
  kill "$pid"
  status=0
  wait "$pid" || status=$?
  [ "$status" -eq 143 ]
  [ -z "$(ls -A "$dir/tmp")" ]
  for child in $children; do wait_for not test -e "$child"; done
}
