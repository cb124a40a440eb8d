# The lab: each experiment, run small. Their form is tested, and what no noise
# can turn; not their numbers.

load helpers

setup_file() {
  cd "$BATS_TEST_DIRNAME/.."
  export LAB_SMALL=yes
}

# setup_lab TOOL...: where the tools are.
setup_lab() {
  local tool
  for tool in "$@"; do
    command -v "$tool" >/dev/null || skip "$tool is missing: make lab-deps"
  done
  cd "$top"
  export LAB_OUT=$dir/lab
}

# ran NAME: it has printed the claim and the verdict, and left its files.
ran() {
  [[ $output == *"== $1: "* ]]
  [[ $output == *'confirmed on this machine: '* ]]
  [ "$(wc -l <"$LAB_OUT/$1.tsv")" -ge 2 ]
  head -n 5 "$LAB_OUT/$1.svg" | grep -q '<svg'
  [ -s "$LAB_OUT/$1.verdict" ]
}

# stopped_before_the_table NAME: it says why in one line, and no more.
stopped_before_the_table() {
  [ "$status" -eq 1 ]
  grep -q "^$1: " <<<"$output"
  [[ $output != *'on this machine'* ]]
  [ ! -e "$LAB_OUT/$1.verdict" ]
}

# without TOOL: a PATH that has all that the experiments need, except TOOL.
without() {
  local tool
  mkdir "$dir/path"
  for tool in $(compgen -c | sort -u); do
    if [ "$tool" != "$1" ] && [ -x "$(type -P "$tool")" ]; then
      ln -s "$(type -P "$tool")" "$dir/path/$tool"
    fi
  done
  # shellcheck disable=SC2123
  PATH=$dir/path
}

# with_failing TOOL: one that fails whatever it is asked.
with_failing() {
  mkdir "$dir/path"
  printf '#!/bin/sh\nexit 1\n' >"$dir/path/$1"
  chmod +x "$dir/path/$1"
  PATH=$dir/path:$PATH
}

@test "lab: stall: the second client waits in ex2, and not in ex3" {
  setup_lab curl gnuplot column
  run -0 lab/stall.sh
  ran stall
  [ "$(wc -l <"$LAB_OUT/stall.tsv")" -eq 7 ]
  awk -F '\t' '$2 == 2 { waited[$1] = $5 }
    END { exit !(waited["ex2"] > waited["ex3"]) }' "$LAB_OUT/stall.tsv"
}

@test "lab: stall: a tool that is missing is named" {
  setup_lab curl gnuplot column
  without gnuplot
  run lab/stall.sh
  stopped_before_the_table stall
  [[ $output == *'gnuplot is missing: make lab-deps'* ]]
}

@test "lab: stall: a client that gets no answer stops it" {
  setup_lab curl gnuplot column
  with_failing curl
  run lab/stall.sh
  stopped_before_the_table stall
}

@test "lab: the summary names each claim, and what could not be run" {
  setup_lab curl gnuplot column
  run -0 lab/all.sh stall
  [[ $output == *$'A blocking server waits for its slowest client\n'*'confirmed; '* ]]
  without gnuplot
  run -1 lab/all.sh stall
  [[ $output == *'stall: could not be run'* ]]
}

@test "lab: an experiment that is interrupted leaves no process" {
  setup_lab curl gnuplot column
  LAB_SMALL='' lab/stall.sh >"$out" 2>&1 3>&- &
  local experiment=$!
  wait_for grep -q 'ex2: client 1' "$out"
  local pid children
  children=$(pgrep -P "$experiment")
  kill -TERM "$experiment"
  wait "$experiment" || true
  for pid in $children; do wait_for not kill -0 "$pid"; done
}
