#!/usr/bin/env bash
# usage: stall.sh
#
# Three clients; the first sends half a request, and the rest two seconds later.
# Prints how long each waits in ex2 and in ex3, in seconds.
. "$(dirname "$0")/common.bash"
need curl gnuplot

claim 'A blocking server waits for its slowest client'
pause=$(small 2 0.5)
does "Client 1 sends half a request, and the rest $pause s later. Clients 2 and 3
ask meanwhile. How long does each wait for its answer?"

# slow_client: prints its waiting time.
slow_client() {
  local begun=$EPOCHREALTIME
  exec {fd}<>"/dev/tcp/127.0.0.1/$port"
  printf 'GET / HT' >&"$fd"
  sleep "$pause"
  printf 'TP/1.0\r\n\r\n' >&"$fd"
  grep -q 'Hello, world!' <&"$fd" || give_up "client 1 got no answer"
  awk "BEGIN { print $EPOCHREALTIME - $begun }"
}

quick_client() {
  curl -s -o "$work/answer.$1" --max-time 20 -w '%{time_total}\n' \
    "http://127.0.0.1:$port/"
  grep -q 'Hello, world!' "$work/answer.$1" || give_up "client $1 got no answer"
}

new_table server client seconds
for example in ex2 ex3; do
  progress "$example: client 1 stalls for $pause s"
  start "./$example"
  slow_client >"$work/1" &
  clients=($!)
  # The first has to be the first.
  sleep 0.2
  for client in 2 3; do
    quick_client "$client" >"$work/$client" &
    clients+=($!)
  done
  for pid in "${clients[@]}"; do
    wait "$pid" || give_up "a client of $example failed"
  done
  for client in 1 2 3; do row "$example" "$client" "$(<"$work/$client")"; done
  stop "$server"
done
table

picture <<'END'
set style fill solid 0.9
set yrange [6.9:0.1]
set xrange [0:*]
set xlabel "waiting time in seconds"
unset ytics
unset grid
set grid x lw 1 lc rgb "#dddddd"
set lmargin 16
do for [i = 1:6] {
  set label i sprintf("%s client %d", i <= 3 ? "ex2" : "ex3", (i - 1) % 3 + 1) \
    at screen 0.015, first i
}
set bars 0
plot file every ::1 using 3:0:(0):3:($0 + 0.65):($0 + 1.35): \
  (stringcolumn(1) eq "ex2" ? 0xd55e00 : 0x0072b2) \
  with boxxyerror lc rgb variable
END

second() { awk -v e="$1" '$1 == e && $2 == 2 { print $3 }' "$tsv"; }
ex2=$(second ex2) ex3=$(second ex3)
if holds "$ex2 > $pause / 2 && $ex3 < $pause / 2"; then
  result=confirmed
else
  result='not confirmed'
fi
verdict "$result" "client 2 waits $ex2 s in ex2, and $ex3 s in ex3."
