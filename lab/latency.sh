#!/usr/bin/env bash
# usage: latency.sh
#
# Request, send, send, again and again on one connection: plain, with TCP_CORK,
# with TCP_NODELAY and with both. Prints how long an exchange takes, in
# milliseconds; each single one is left in latency.each.tsv.
. "$(dirname "$0")/common.bash"
need gnuplot

claim 'Two small sends stall for 40 ms; TCP_CORK or TCP_NODELAY cures it'
rounds=$(small 2 1)
count=$(small 50 20)
each=$out/$name.each.tsv
declare -A says=(
  [plain]=plain [cork]=TCP_CORK [nodelay]=TCP_NODELAY [both]=both
)
does "A client asks; a server sends the head and the body of its response with a
send each; the client reads both and asks again, on the same connection. How
long is it from the request to the whole response? Rounds: $rounds, of $count
exchanges each, every one over a new connection on loopback."

printf 'mode\tround\texchange\tms\n' >"$each"
for ((round = 1; round <= rounds; round++)); do
  for mode in plain cork nodelay both; do
    progress "round $round of $rounds: $mode"
    build/exchange "$mode" "$count" >"$work/each" 2>"$work/err" ||
      give_up "exchange $mode: $(tail -n 1 "$work/err")"
    [ "$(wc -l <"$work/each")" -eq "$count" ] ||
      give_up "exchange $mode made fewer than $count exchanges"
    awk -v OFS='\t' -v mode="$mode" -v round="$round" \
      '{ print mode, round, $1, $2 }' "$work/each" >>"$each"
  done
done

# times MODE: of all its exchanges, a line each.
times() { awk -v mode="$1" '$1 == mode { print $4 }' "$each"; }
digits() { printf '%.3g' "$1"; }

new_table mode exchanges 'median, ms' 'least, ms' 'greatest, ms' 'below 20 ms'
for mode in plain cork nodelay both; do
  read -r least greatest <<<"$(times "$mode" | spread)"
  row "${says[$mode]}" $((rounds * count)) \
    "$(digits "$(times "$mode" | median)")" \
    "$(digits "$least")" "$(digits "$greatest")" \
    "$(times "$mode" | awk '$1 < 20 { n++ } END { print n + 0 }')"
done
table

plain=$(digits "$(times plain | median)")
cork=$(digits "$(times cork | median)")
nodelay=$(digits "$(times nodelay | median)")
first=$(awk '$1 == "plain" && $3 == 1 { print $4 }' "$each" | median)
first=$(digits "$first")

# Dots that would cover each other stand side by side, and the names keep clear
# of each other.
picture <<END
each = '$each'
stats each every ::1 using 4 nooutput
top = STATS_max > 48 ? 1.04 * STATS_max : 50
set rmargin 17
set xrange [0:$count + 1]
set yrange [0:top]
set ylabel "ms until the whole response"
set xlabel "exchanges on one connection, one after the other"
set label "plain\n$plain ms" tc rgb orange \
  at graph 1.03, graph ($plain > 0.45 * top ? 1.0 * $plain / top : 0.45)
set label "TCP_CORK\n$cork ms" at graph 1.03, graph 0.22 tc rgb blue
set label "TCP_NODELAY\n$nodelay ms" at graph 1.03, graph 0.04 tc rgb green
set label "plain, the first: $first ms" at graph 0.08, graph 0.16 tc rgb orange
set arrow from graph 0.07, graph 0.15 to first 1.2, first $first + 0.03 * top \
  lc rgb orange lw 1.5
of(mode, y) = stringcolumn(1) eq mode ? y : NaN
plot each every ::1 using 3:(of("plain", \$4)) pt 7 ps 0.7 lc rgb orange, \
  "" every ::1 using (\$3 - 0.25):(of("cork", \$4)) pt 7 ps 0.5 lc rgb blue, \
  "" every ::1 using (\$3 + 0.25):(of("nodelay", \$4)) pt 9 ps 0.6 lc rgb green
END

if holds "$plain >= 30 && $cork < 10 && $nodelay < 10"; then
  result=confirmed
else
  result='not confirmed'
fi
verdict "$result" "the median exchange takes $plain ms plain (the first one on a
connection $first ms), $cork ms with TCP_CORK and $nodelay ms with TCP_NODELAY."
