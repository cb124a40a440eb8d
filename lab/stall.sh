#!/usr/bin/env bash
# usage: stall.sh
#
# Three clients; the first sends half a request, and the rest two seconds later.
# Prints when each asked and when it had its answer, in ex2 and in ex3.
. "$(dirname "$0")/common.bash"
need curl gnuplot

claim 'A blocking server waits for its slowest client'
pause=$(small 2 0.5)
does "Client 1 sends half a request, and the rest $pause s later. Clients 2 and
3 ask meanwhile. How long does each wait for its answer?"

# since_begun: the seconds since the server was asked first.
since_begun() { awk "BEGIN { printf \"%.3f\", $EPOCHREALTIME - $begun }"; }

# Each client prints when it asked and when it was answered.
slow_client() {
  since_begun
  exec {fd}<>"/dev/tcp/127.0.0.1/$port"
  printf 'GET / HT' >&"$fd"
  sleep "$pause"
  printf 'TP/1.0\r\n\r\n' >&"$fd"
  grep -q 'Hello, world!' <&"$fd"
  echo " $(since_begun)"
}

quick_client() {
  since_begun
  curl -s --max-time 20 "http://127.0.0.1:$port/" | grep -q 'Hello, world!'
  echo " $(since_begun)"
}

new_table server client 'asked (s)' 'answered (s)' 'waited (s)'
for example in ex2 ex3; do
  progress "$example: client 1 stalls for $pause s"
  start "./$example"
  begun=$EPOCHREALTIME
  slow_client >"$work/1" &
  clients=($!)
  # The first has to be the first.
  sleep 0.2
  for client in 2 3; do
    quick_client >"$work/$client" &
    clients+=($!)
  done
  for pid in "${clients[@]}"; do
    wait "$pid" || give_up "a client of $example got no answer"
  done
  for client in 1 2 3; do
    read -r asked answered <"$work/$client"
    row "$example" "$client" "$asked" "$answered" \
      "$(awk "BEGIN { printf \"%.3f\", $answered - $asked }")"
  done
  stop "$server"
done
table

picture <<'END'
set yrange [6.6:-0.6]
set xrange [0:*]
set xlabel "seconds"
unset ytics
unset grid
set grid x lw 1 lc rgb "#dddddd"
set lmargin 16
set rmargin 12
place(n) = n + (n > 2)
plot file every ::1 using 3:(place($0)):3:($4 > $3 + 0.01 ? $4 : $3 + 0.01): \
    (place($0) - 0.35):(place($0) + 0.35): \
    (stringcolumn(1) eq "ex2" ? 0xd55e00 : 0x0072b2) \
    with boxxyerror lc rgb variable, \
  file every ::1 using 4:(place($0)): \
    (sprintf("  %.3f s", $5)) with labels left, \
  file every ::1 using (0):(place($0)): \
    (stringcolumn(1)." client ".stringcolumn(2)."   ") with labels right
END

waits() { awk -v e="$1" '$1 == e && $2 == 2 { print $5 }' "$tsv"; }
ex2=$(waits ex2) ex3=$(waits ex3)
if holds "$ex2 > $pause / 2 && $ex3 < $pause / 2"; then
  result=confirmed
else
  result='not confirmed'
fi
verdict "$result" "client 2 waits $ex2 s in ex2, and $ex3 s in ex3."
