#!/usr/bin/env bash
# usage: latency.sh
#
# A request, and a response in two small sends, again and again on one
# connection: plain, with TCP_CORK, with TCP_NODELAY, with both. Prints how many
# milliseconds such an exchange takes.
. "$(dirname "$0")/common.bash"
need gnuplot column
claim 'Two small sends stall for 40 ms; TCP_CORK or TCP_NODELAY cures it'
count=$(small 50 20)
exchanges "$(small 2 1)" "$count"

# of MODE: median, least and greatest of its milliseconds.
of() { numbers "$work/exchanges" "$1" 4 | summary; }

new_table mode 'median ms' least greatest exchanges 'of them below 20 ms'
for mode in plain cork nodelay both; do
  read -r median least greatest < <(of "$mode")
  times=$(numbers "$work/exchanges" "$mode" 4)
  row "$mode" "$median" "$least" "$greatest" "$(wc -l <<<"$times")" \
    "$(awk '$1 < 20 { n++ } END { print n + 0 }' <<<"$times")"
done
table

picture <<END
set logscale y
set yrange [0.005:200]
set ytics ("0.01" 0.01, "0.1" 0.1, "1" 1, "10" 10, "100" 100)
set xrange [0:$count + 1]
set ylabel "ms until the whole response"
set xlabel "exchanges on one connection, one after the other"
set rmargin 17
set key outside right center Left reverse samplen 0.5 spacing 1.5
of(mode) = "< grep '^" . mode . " ' '$work/exchanges'"
plot of("nodelay") using 3:4 pt 9 ps 0.7 lc rgb green title "TCP_NODELAY", \
  of("cork") using 3:4 pt 5 ps 0.5 lc rgb blue title "TCP_CORK", \
  of("plain") using 3:4 pt 7 ps 0.7 lc rgb orange title "plain"
END

read -r plain _ < <(of plain)
read -r cork _ < <(of cork)
read -r nodelay _ < <(of nodelay)
confirmed_if "$plain >= 30 && $cork < 10 && $nodelay < 10" \
  "an exchange takes $plain ms plain, $cork ms with TCP_CORK, $nodelay ms with
TCP_NODELAY"
