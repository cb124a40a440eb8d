#!/usr/bin/env bash
# usage: segments.sh
#
# A response in two small sends, plain, with TCP_CORK, with TCP_NODELAY and with
# both. Prints how many segments leave at once, and how many in all.
. "$(dirname "$0")/common.bash"
need gnuplot

claim 'TCP_CORK bottles small messages up; TCP_NODELAY sends each at once'
rounds=$(small 3 1)
count=$(small 10 5)
declare -A says=(
  [plain]=plain [cork]=TCP_CORK [nodelay]=TCP_NODELAY [both]=both
)
does "A server sends the head and the body of a response with a send each. How
many segments have left when it is done with that (at once), and how many when
the client has read it all (in all)? The kernel counts them, in TCP_INFO.
Rounds: $rounds, of $count exchanges each, every one over a new connection on
loopback."

for ((round = 1; round <= rounds; round++)); do
  for mode in plain cork nodelay both; do
    progress "round $round of $rounds: $mode"
    build/exchange "$mode" "$count" >"$work/each" 2>"$work/err" ||
      give_up "exchange $mode: $(tail -n 1 "$work/err")"
    [ "$(wc -l <"$work/each")" -eq "$count" ] ||
      give_up "exchange $mode made fewer than $count exchanges"
    cut -d ' ' -f 4 "$work/each" >>"$work/$mode.once"
    cut -d ' ' -f 3 "$work/each" >>"$work/$mode.all"
  done
done

middle() { median <"$work/$1"; }
range() { spread <"$work/$1" | tr ' ' -; }

new_table mode sends 'segments at once' range 'in all' range
for mode in plain cork nodelay both; do
  row "${says[$mode]}" 2 "$(middle "$mode.once")" "$(range "$mode.once")" \
    "$(middle "$mode.all")" "$(range "$mode.all")"
done
table

picture <<'END'
set datafile separator "\t"
set yrange [0:2.6]
set xrange [-0.6:3.6]
set ytics 1
set ylabel "segments per response"
set xlabel "a response in two small sends"
dark(row) = row == 0 ? 0xd55e00 : row == 1 ? 0x0072b2 : \
  row == 2 ? 0x009e73 : 0x888888
light(row) = row == 0 ? 0xf3c7a5 : row == 1 ? 0xa8cde4 : \
  row == 2 ? 0xa5dccb : 0xd0d0d0
plot file every ::1 using 0:5:(light($0)):xtic(1) with boxes lc rgb variable, \
  "" every ::1 using 0:3:(dark($0)) with boxes lc rgb variable, \
  "" every ::1 using 0:5:(sprintf("%g", $5)) with labels offset 0, 0.8, \
  "" every ::1 using 0:($3 / 2):($3 > 0 ? "at once" : "") \
    with labels tc rgb "white", \
  "" every ::1 using 0:(($3 + $5) / 2):($5 > $3 ? "later" : "") with labels
END

plain=$(middle plain.once) plain_all=$(middle plain.all)
cork=$(middle cork.all) nodelay=$(middle nodelay.once)
if holds "$cork == 1 && $nodelay == 2 && $plain < $nodelay"; then
  result=confirmed
else
  result='not confirmed'
fi
verdict "$result" "segments for two small sends: $cork with TCP_CORK, $nodelay
at once with TCP_NODELAY, and plain $plain at once of $plain_all in all; with
both options $(middle both.all)."
