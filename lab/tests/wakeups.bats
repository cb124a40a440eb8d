# The experiment wakeups.

load ../../tests/helpers
load helpers

@test "lab/wakeups: ex4 wakes up less often than ex3 if a request comes in one piece" {
  needs_of wakeups
  experiment wakeups
  has_form wakeups 4
  awk '$2 == "one" { waits[$1] = $3; again[$1] = $7 }
    $2 == "ten" { recvs[$1] = $5 }
    END { exit !(waits["ex4"] >= 4 && waits["ex4"] < waits["ex3"] &&
      again["ex3"] == 0 && again["ex4"] >= 1 &&
      recvs["ex4"] > recvs["ex3"]) }' "$dir/left/wakeups.tsv"
}

@test "lab/wakeups: exits with 1 if the server ends, or does not start" {
  needs_of wakeups
  copy
  fake ex3 'echo listening >&2'
  gives_up wakeups 'ex3 has ended'
  fake ex3 'echo bind: no >&2; exit 1'
  gives_up wakeups 'traced does not start*bind: no'
}

@test "lab/wakeups: leaves no process and no file when it gets SIGTERM" {
  needs_of wakeups
  ended_early wakeups 'ex4, one'
}
