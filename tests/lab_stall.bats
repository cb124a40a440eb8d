# The experiment stall, and the summary of all.

load helpers
load lab

@test "lab/stall: prints a claim, a table and a verdict, and leaves a picture" {
  needs gnuplot column
  experiment stall
  has_form stall 6
}

@test "lab/stall: the second client waits in ex2, and not in ex3" {
  needs gnuplot column
  experiment stall
  awk -F '\t' '$2 == 2 { waited[$1] = $5 }
    END { exit !(waited["ex2"] > waited["ex3"]) }' "$dir/left/stall.tsv"
}

@test "lab/stall: without gnuplot, it says so" { without gnuplot stall; }

@test "lab/stall: a client that gets no answer stops it" {
  needs gnuplot
  copy
  fake ex2 'echo listening >&2; exec sleep 5'
  gives_up stall 'a client of ex2 got no answer'
}

@test "lab/stall: ended early, it leaves no process and no file" {
  needs gnuplot column
  mkdir "$dir/tmp"
  TMPDIR=$dir/tmp LAB_OUT=$dir/left "$top/lab/stall.sh" >"$out" 2>&1 3>&- &
  local experiment=$! child children status=0
  wait_for grep -q 'ex2: client 1' "$out"
  children=$(pgrep -P "$experiment")
  kill -TERM "$experiment"
  wait "$experiment" || status=$?
  [ "$status" -eq 143 ]
  [ -z "$(ls -A "$dir/tmp")" ]
  for child in $children; do wait_for not kill -0 "$child"; done
}

@test "lab: the summary names each claim, and what could not be run" {
  needs gnuplot column
  LAB_OUT=$dir/left run -0 "$top/lab/all.sh" stall
  [[ $output == *$'A blocking server waits for its slowest client\n'*'confirmed; '* ]]
  copy
  fake ex2 'exit 1'
  LAB_OUT=$dir/left run -1 "$dir/kit/lab/all.sh" stall
  [[ $output == *'stall: could not be run'* ]]
}
