# The experiments segments and latency, and the program that they run.

load ../../tests/helpers
load helpers

@test "lab/segments: two small sends are one segment with TCP_CORK, two with TCP_NODELAY" {
  needs_of segments
  experiment segments
  has_form segments 4
  awk -F '\t' '$1 == "cork" { cork = $5 }
    $1 == "nodelay" { nodelay = $3 }
    END { exit !(cork == 1 && nodelay == 2) }' "$dir/left/segments.tsv"
}

@test "lab/latency: two small sends take longest without an option" {
  needs_of latency
  experiment latency
  has_form latency 4
  awk -F '\t' '{ ms[$1] = $2 }
    END { exit !(ms["plain"] > ms["cork"] && ms["plain"] > ms["nodelay"]) }' \
    "$dir/left/latency.tsv"
}

@test "lab/segments, lab/latency: exit with 1 if exchange fails, or does too little" {
  local name
  needs_of segments
  copy
  for name in segments latency; do
    fake build/exchange 'echo 1 0.0300 2 2; echo send: Broken pipe >&2; exit 1'
    gives_up "$name" 'exchange plain: send: Broken pipe'
    fake build/exchange 'echo 1 0.0300 2 2'
    gives_up "$name" 'exchange plain made fewer than *'
  done
}

@test "lab/segments: exits with 1 if gnuplot draws no picture" {
  needs column
  copy build/exchange
  fake gnuplot 'echo no fonts; exit 1'
  PATH=$kit:$PATH experiment segments
  [ "$status" -eq 1 ]
  [ "${lines[-1]}" = 'segments: gnuplot: no fonts' ]
}

@test "exchange: prints a line for each exchange, and plain stalls" {
  run -0 "$top/build/exchange" plain 5
  echo "$output"
  [ ${#lines[@]} -eq 5 ]
  grep -cE '^[1-5] [0-9]+\.[0-9]{4} [12] [12]$' <<<"$output" | grep -x 5
  awk '$2 > 30 { n++ } END { exit !n }' <<<"$output"
}

@test "exchange: sends one segment with TCP_CORK, and two at once with TCP_NODELAY" {
  for mode in cork both; do
    run -0 "$top/build/exchange" "$mode" 9
    awk '$3 == 1 && $4 == 1 { n++ } END { exit !(n > 4) }' <<<"$output"
  done
  run -0 "$top/build/exchange" nodelay 9
  awk '$3 == 2 && $4 == 2 { n++ } END { exit !(n > 4) }' <<<"$output"
}

@test "exchange: exits with 2 if the command line is wrong" {
  for arguments in '' plain 'plain 0' 'plain 1001' 'plain 5x' 'corked 5' \
    'plain 5 5'; do
    IFS=' ' read -r -a words <<<"$arguments"
    run -2 "$top/build/exchange" "${words[@]}"
    [[ $output = 'usage: exchange MODE COUNT'* ]]
  done
}

@test "exchange: exits with 1 if a call fails" {
  needs strace
  run -1 strace -o "$dir/trace" -e inject=setsockopt:error=EPERM \
    "$top/build/exchange" nodelay 5
  [ "$output" = 'setsockopt: Operation not permitted' ]
}
