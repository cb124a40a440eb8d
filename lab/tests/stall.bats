# The experiment stall, and what all experiments have in common.

load ../../tests/helpers
load helpers

@test "lab/stall: the second client waits in ex2, and not in ex3" {
  needs_of stall
  experiment stall
  has_form stall 6
  awk -F '\t' '$2 == 2 { waited[$1] = $5 }
    END { exit !(waited["ex2"] > waited["ex3"]) }' "$dir/left/stall.tsv"
}

@test "lab/stall: exits with 1 if a client gets no answer" {
  needs_of stall
  copy
  fake ex2 'echo listening >&2; exec sleep 5'
  gives_up stall 'a client of ex2 got no answer'
}

@test "lab/stall: leaves no process and no file when it gets SIGTERM" {
  needs_of stall
  ended_early stall 'ex2: client 1'
}

@test "lab: each experiment names a missing tool" {
  local name
  for name in stall wakeups backlog scaling segments latency cost; do
    without gnuplot "$name"
  done
}

@test "lab: make lab prints each claim, and names what could not be run" {
  needs_of stall
  LAB_OUT=$dir/left run -0 "$top/lab/all.sh" stall
  [[ $output == *$'A blocking server waits for its slowest client\n      confirmed; '* ]]
  copy
  fake ex2 'exit 1'
  LAB_OUT=$dir/left run -1 "$kit/lab/all.sh" stall
  [[ $output == *$'\n   stall\n      could not be run\n'* ]]
}
