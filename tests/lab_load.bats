# The experiments backlog and scaling: what they print, and when they stop.

load helpers
load lab

backlog_has() { needs ab curl gnuplot column taskset cc; }
scaling_has() { needs ab gnuplot column; }

# lab NAME: a short run of it; [PATH] goes before the path.
lab() {
  LAB_SMALL=yes LAB_OUT=$dir/lab PATH=${2:+$2:}$PATH \
    timeout 30 "${kit:-$top}/lab/$1.sh" 2>&1
}

# tool NAME: a tool of that name, from stdin, in $dir/tools.
tool() {
  mkdir -p "$dir/tools"
  { echo '#!/bin/sh'; cat; } >"$dir/tools/$1"
  chmod +x "$dir/tools/$1"
}

# path_without TOOL: a path that has all but it.
path_without() {
  local folder
  mkdir -p "$dir/path"
  IFS=: read -ra folders <<<"$PATH"
  for folder in "${folders[@]}"; do
    ln -s "$folder"/* "$dir/path" 2>/dev/null || true
  done
  rm "$dir/path/$1"
}

# kit_copy: the lab in a copy of the kit, so that its servers can be replaced.
kit_copy() {
  kit=$dir/kit
  mkdir -p "$kit"
  cp -R "$top/lab" "$kit"
  ln -s "$top"/{build,ex3_epoll_lt,ex3,a_select,b_poll} "$kit"
}

# stopped PATTERN: status 1, one line that says why, no table and no picture.
stopped() {
  echo "$output"
  [ "$status" -eq 1 ]
  grep -E "^(backlog|scaling): .*$1" <<<"$output"
  run ! grep -E '^   (backlog|asking) ' <<<"$output"
  [ -z "$(find "$dir/lab" -name '*.svg')" ]
}

# complete NAME HEAD ROWS: what is printed, and what is left behind.
complete() {
  echo "$output"
  [ "$status" -eq 0 ]
  grep "^== $1: " <<<"$output"
  grep -E "^   $2" <<<"$output"
  grep -E '^   (confirmed|not confirmed) on this machine: ' <<<"$output"
  [ "$(wc -l <"$dir/lab/$1.tsv")" -eq "$3" ]
  awk -F '\t' 'NR == 1 { n = NF } NF != n { exit 1 }' "$dir/lab/$1.tsv"
  grep '<svg' "$dir/lab/$1.svg"
  cut -f 2 "$dir/lab/$1.verdict" | grep -xE 'confirmed|not confirmed'
}

@test "lab: backlog prints its claim, a table and a verdict, and draws a picture" {
  backlog_has
  run lab backlog
  complete backlog 'backlog +median_ms +p99_ms +longest_ms .* slow +overflows' 4
}

@test "lab: backlog: 100 clients overflow a queue of 11, and not one of SOMAXCONN" {
  backlog_has
  [ "$(cat /proc/sys/net/core/somaxconn)" -ge 128 ] || skip 'somaxconn is low'
  run lab backlog
  awk -F '\t' '$1 == 10 { few = $14 + $20 }
      $1 == "SOMAXCONN" { many = $14 + $20 }
    END { exit !(few > many) }' "$dir/lab/backlog.tsv"
}

@test "lab: scaling prints its claim, a table and a verdict, and draws two pictures" {
  scaling_has
  run lab scaling
  complete scaling 'asking +silent +select_us +poll_us +epoll_us ' 19
  grep '<svg' "$dir/lab/scaling-rates.svg"
}

@test "lab: scaling: beside 400 silent clients, the one that asks costs poll more than epoll" {
  scaling_has
  run lab scaling
  awk -F '\t' '$2 == 1 && $3 == 400 { cost[$1] = $4 }
    END { exit !(cost["b_poll"] > cost["ex3"]) }' "$dir/lab/scaling.tsv"
}

@test "lab: scaling: levels that need more descriptors than there are, are left out" {
  scaling_has
  run bash -c "ulimit -n 300; LAB_SMALL=yes LAB_OUT=$dir/lab $top/lab/scaling.sh"
  complete scaling 'asking +silent ' 13
  grep 'Left out, because .* is 300: 400' <<<"$output"
}

@test "lab: backlog and scaling stop if ab is missing" {
  backlog_has
  path_without ab
  for name in backlog scaling; do
    PATH=$dir/path run lab "$name"
    stopped 'ab is missing: make lab-deps installs it'
  done
}

@test "lab: backlog and scaling stop if ab reports failed requests" {
  backlog_has
  tool ab <<<'echo "Complete requests: 300"; echo "Failed requests: 7"'
  for name in backlog scaling; do
    run lab "$name" "$dir/tools"
    stopped 'ab reports 7 failed requests'
  done
}

@test "lab: backlog and scaling stop if ab reports responses that are none" {
  backlog_has
  tool ab <<<'echo "Complete requests: 300"; echo "Non-2xx responses: 300"'
  for name in backlog scaling; do
    run lab "$name" "$dir/tools"
    stopped 'ab reports 300 failed requests'
  done
}

@test "lab: backlog and scaling stop if ab does less than it should" {
  backlog_has
  tool ab <<<'echo "Complete requests: 3"; echo "Failed requests: 0"'
  for name in backlog scaling; do
    run lab "$name" "$dir/tools"
    stopped 'ab reports 3 complete requests in place of'
  done
}

@test "lab: backlog stops if curl gets no answers though no queue overflows" {
  backlog_has
  tool ab <<<'echo "Complete requests: 300"; echo "Failed requests: 0"'
  tool curl <<<'yes "0.001 000" | head -n 300'
  run lab backlog "$dir/tools"
  stopped 'curl reports requests without an answer'
}

@test "lab: backlog stops if its server dies" {
  backlog_has
  kit_copy
  rm "$kit/ex3_epoll_lt"
  mkdir "$kit/ex3_epoll_lt"
  printf '%s\n' '#include <stdio.h>' '#include <unistd.h>' \
    'int main(void) { fputs("listening\n", stderr); return sleep(1); }' \
    >"$kit/ex3_epoll_lt/server.c"
  tool ab <<<'sleep 1.5'
  run lab backlog "$dir/tools"
  stopped 'ex3 has died'
}

@test "lab: scaling stops if a server dies" {
  scaling_has
  kit_copy
  rm "$kit/b_poll"
  tool dying <<<'echo listening >&2; exec sleep 0.1'
  mv "$dir/tools/dying" "$kit/b_poll"
  run lab scaling
  stopped 'b_poll'
}

@test "lab: scaling stops if a server loses its silent clients" {
  scaling_has
  kit_copy
  mv "$kit/build" "$kit/old"
  mkdir "$kit/build"
  printf '%s\n' '#!/bin/sh' 'echo ready; exec sleep 20' >"$kit/build/client"
  chmod +x "$kit/build/client"
  sed -i 's/SECONDS + 10/SECONDS + 1/' "$kit/lab/common.bash"
  run lab scaling
  stopped 'has lost some of its 100 silent clients'
}

@test "lab: backlog and scaling leave nothing behind when they are ended" {
  backlog_has
  for name in backlog scaling; do
    mkdir -p "$dir/tmp"
    # In a session of its own: a terminal, too, tells all that run in it.
    TMPDIR=$dir/tmp LAB_OUT=$dir/lab setsid "$top/lab/$name.sh" \
      >"$dir/said" 2>&1 3>&- &
    pid=$!
    wait_for grep -q '   .*round 1' "$dir/said"
    kill -TERM -- "-$pid"
    status=0
    wait "$pid" || status=$?
    [ "$status" -eq 143 ]
    [ -z "$(ls -A "$dir/tmp")" ]
    run ! pgrep -s "$pid"
    : >"$dir/said"
  done
}
