# The experiments segments and latency, and the program that they run.

load helpers
load lab

@test "lab/segments: prints a claim, a table and a verdict, and leaves a picture" {
  needs gnuplot column
  experiment segments
  has_form segments 4
  grep -E '^   mode +sends +segments at once +range +in all +range$' \
    <<<"$output"
  awk -F '\t' '$1 == "TCP_CORK" { cork = $5 }
    $1 == "TCP_NODELAY" { nodelay = $3 }
    END { exit !(cork == 1 && nodelay == 2) }' "$dir/left/segments.tsv"
}

@test "lab/latency: prints a claim, a table and a verdict, and leaves a picture" {
  needs gnuplot column
  experiment latency
  has_form latency 4
  grep -E '^   mode +exchanges +median, ms +least, ms +greatest, ms +below 20' \
    <<<"$output"
  [ "$(wc -l <"$dir/left/latency.each.tsv")" -eq 81 ]
}

@test "lab/segments: without gnuplot, it says so" { without gnuplot segments; }
@test "lab/latency: without gnuplot, it says so" { without gnuplot latency; }

@test "lab/segments, lab/latency: a failure of exchange stops them" {
  needs gnuplot
  copy
  fake build/exchange 'echo 1 0.0300 2 2; echo send: Broken pipe >&2; exit 1'
  gives_up segments 'exchange plain: send: Broken pipe'
  gives_up latency 'exchange plain: send: Broken pipe'
}

@test "lab/segments, lab/latency: too few exchanges stop them" {
  needs gnuplot
  copy
  fake build/exchange 'echo 1 0.0300 2 2'
  gives_up segments 'exchange plain made fewer than 5 exchanges'
  gives_up latency 'exchange plain made fewer than 20 exchanges'
}

@test "lab/segments: a picture that gnuplot does not draw stops it" {
  needs column
  mkdir "$dir/path"
  printf '%s\n' '#!/bin/sh' 'echo no fonts; exit 1' >"$dir/path/gnuplot"
  chmod +x "$dir/path/gnuplot"
  PATH=$dir/path:$PATH experiment segments
  [ "$status" -eq 1 ]
  [ "${lines[-1]}" = 'segments: gnuplot: no fonts' ]
}

@test "exchange: a line for each, and plain stalls" {
  run -0 "$top/build/exchange" plain 5
  echo "$output"
  [ ${#lines[@]} -eq 5 ]
  grep -cE '^[1-5] [0-9]+\.[0-9]{4} [12] [12]$' <<<"$output" | grep -x 5
  awk '$2 > 30 { n++ } END { exit !n }' <<<"$output"
}

@test "exchange: the cork makes one segment of two sends, TCP_NODELAY two at once" {
  for mode in cork both; do
    run -0 "$top/build/exchange" "$mode" 9
    awk '$3 == 1 && $4 == 1 { n++ } END { exit !(n > 4) }' <<<"$output"
  done
  run -0 "$top/build/exchange" nodelay 9
  awk '$3 == 2 && $4 == 2 { n++ } END { exit !(n > 4) }' <<<"$output"
}

@test "exchange: a wrong command line is refused, with status 2" {
  for arguments in '' plain 'plain 0' 'plain 1001' 'plain 5x' 'corked 5' \
    'plain 5 5'; do
    IFS=' ' read -r -a words <<<"$arguments"
    run -2 "$top/build/exchange" "${words[@]}"
    [[ $output = 'usage: exchange MODE COUNT'* ]]
  done
}

@test "exchange: a kernel that refuses a call is reported, with status 1" {
  needs strace
  run -1 strace -o "$dir/trace" -e inject=setsockopt:error=EPERM \
    "$top/build/exchange" nodelay 5
  [ "$output" = 'setsockopt: Operation not permitted' ]
}
