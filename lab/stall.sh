#!/usr/bin/env bash
# usage: stall.sh
#
# Three clients: the first sends half a request, and the rest two seconds later.
# Prints when each asked and when it was answered, in ex2 and in ex3.
. "$(dirname "$0")/common.bash"
need gnuplot column
claim 'A blocking server waits for its slowest client'
pause=$(small 2 0.5)

now() { echo $(((${EPOCHREALTIME/./} - begun) / 1000)); }

# ask PAUSE: sends half a request, and after a pause the rest. Prints when it
# asked and when it was answered.
ask() {
  local asked fd
  asked=$(now)
  { exec {fd}<>"/dev/tcp/127.0.0.1/$port"; } 2>/dev/null || exit 1
  printf 'GET / HT' >&"$fd"
  sleep "$1"
  printf 'TP/1.0\r\n\r\n' >&"$fd"
  timeout 10 grep -q 'Hello, world!' <&"$fd"
  echo "$asked $(now)"
}

new_table server client 'asked (ms)' 'answered (ms)' 'waited (ms)'
for example in ex2 ex3; do
  progress "$example: client 1 stalls for $pause s"
  start "./$example"
  begun=${EPOCHREALTIME/./}
  ask "$pause" >"$work/1" &
  clients=($!)
  sleep 0.2
  for client in 2 3; do
    ask 0 >"$work/$client" &
    clients+=($!)
  done
  for client in 1 2 3; do
    wait "${clients[client - 1]}" ||
      give_up "a client of $example got no answer"
    read -r asked answered <"$work/$client"
    row "$example" "$client" "$asked" "$answered" $((answered - asked))
  done
  stop "$server"
done
table

picture <<'END'
set datafile separator "\t"
set yrange [6.6:-0.6]
set xrange [0:*]
set xlabel "milliseconds: from the first half of a request to the answer"
set ytics scale 0
unset grid
set grid x lw 1 lc rgb "#dddddd"
set lmargin 16
set rmargin 14
place(n) = n + (n > 2)
end(first, last) = last > first + 10 ? last : first + 10
plot file every ::1 using 3:(place($0)):3:(end($3, $4)): \
    (place($0) - 0.35):(place($0) + 0.35): \
    (stringcolumn(1) eq "ex2" ? 0xd55e00 : 0x0072b2): \
    ytic(stringcolumn(1)." client ".stringcolumn(2)) \
    with boxxyerror lc rgb variable, \
  file every ::1 using 4:(place($0)):(sprintf("  %d ms", $5)) with labels left
END

waited() { awk -v e="$1" '$1 == e && $2 == 2 { print $5 }' "$tsv"; }
ex2=$(waited ex2) ex3=$(waited ex3)
confirmed_if "$ex2 > 500 * $pause && $ex3 < 500 * $pause" \
  "client 2 waits $ex2 ms in ex2, $ex3 ms in ex3"
