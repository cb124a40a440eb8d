#!/usr/bin/env bash
# usage: backlog.sh
#
# 100 clients ask ex3, built with one backlog after the other. Prints how long
# curl's requests took, how many took a second or more, and how often the accept
# queue overflowed; and the longest request that ab reports.
. "$(dirname "$0")/common.bash"
need ab curl gnuplot column taskset
claim 'With 100 clients, a backlog under 50 slows the server down'
rounds=$(small 3 1)
requests=$(small 2000 300)
patience=$(small 4 1.3)
read -ra backlogs <<<"$(small '1 5 10 25 50 75 100 SOMAXCONN' '1 SOMAXCONN')"

# Server and clients share one processor. With two, the server may accept as
# fast as clients arrive, and the queue overflows only now and then.
processor=$(awk '/^Cpus_allowed_list/ { sub(/[-,].*/, "", $2); print $2 }' \
  /proc/self/status)
taskset -c -p "$processor" $$ >/dev/null

# overflows: how often an accept queue was full, on the whole machine, since it
# started.
overflows() {
  awk '$1 != "TcpExt:" { next }
    at { print $at; exit }
    { for (i = 2; i <= NF; i++) if ($i == "ListenOverflows") at = i }' \
    /proc/net/netstat
}

# curl_asks: prints the seconds of each request, and 200 if it was answered. ab
# could not tell: it ends after the last answer, with requests still waiting.
curl_asks() {
  timeout 60 curl --silent --parallel --parallel-immediate --parallel-max 100 \
    --max-time "$patience" -o /dev/null -w '%{time_total} %{http_code}\n' \
    "http://127.0.0.1:$port/[1-$requests]" 2>/dev/null || true
}

# measure BACKLOG: appends a line to $work/results: backlog, milliseconds of the
# median, of 99 % and of the longest request, slow requests, overflows, and the
# longest that ab reports.
measure() {
  local before dropped ab
  start "$work/ex3_$1"
  ab_asks "ex3, backlog $1" "$requests" 100
  ab=$(awk '$1 == "100%" { print $2 }' "$work/ab")
  before=$(overflows)
  curl_asks | sort -g >"$work/times"
  dropped=$(($(overflows) - before))
  kill -0 "$server" || give_up "ex3 has ended"
  awk -v all="$requests" -v dropped="$dropped" -v name="$1" -v ab="$ab" '
    { ms[NR] = $1 * 1000; lost += $2 != 200; slow += $2 != 200 || $1 >= 1 }
    END { if (NR != all || lost && !dropped) exit 1
      print name, ms[int((NR + 1) / 2)], ms[int(NR * 0.99)], ms[NR], slow,
        dropped, ab }' "$work/times" >>"$work/results" ||
    give_up 'curl got no answer, although no queue overflowed'
  stop "$server"
}

for backlog in "${backlogs[@]}"; do
  variant "ex3_$backlog" ex3_epoll_lt/server.c \
    "s/listen(listener, BACKLOG)/listen(listener, $backlog)/"
done
for ((round = 1; round <= rounds; round++)); do
  for backlog in "${backlogs[@]}"; do
    progress "round $round of $rounds, backlog $backlog"
    measure "$backlog"
  done
done

# of COLUMN BACKLOG: the median of the rounds.
of() { numbers "$work/results" "$2" "$1" | median | three; }

new_table backlog 'median ms' '99 % ms' 'longest ms' 'slow requests' least \
  greatest overflows 'longest in ab, ms'
for backlog in "${backlogs[@]}"; do
  read -ra slow < <(numbers "$work/results" "$backlog" 5 | summary)
  row "$backlog" "$(of 2 "$backlog")" "$(of 3 "$backlog")" \
    "$(of 4 "$backlog")" "${slow[@]}" "$(of 6 "$backlog")" "$(of 7 "$backlog")"
done
table

picture <<END
set datafile separator "\t"
set logscale y
set yrange [0.1:60000]
set xrange [-0.5:*]
set ytics ("0.1" 0.1, "1" 1, "10" 10, "100" 100, "1,000" 1000)
set ylabel "milliseconds" offset 1
set xlabel "backlog, and above: how many of $requests requests took 1 s or more" \
  offset 0, -0.7
set bmargin 5
set rmargin 20
set key outside right center Left reverse samplen 1.5 spacing 1.4
tic(text) = text eq "SOMAXCONN" ? "SOMAX-\\nCONN" : text
plot file every ::1 using 0:4:xtic(tic(stringcolumn(1))) \
    with linespoints lw 4 pt 7 lc rgb orange title "longest", \
  '' every ::1 using 0:3 with linespoints lw 4 pt 5 dt 2 lc rgb blue \
    title "99 % below", \
  '' every ::1 using 0:2 with linespoints lw 4 pt 9 lc rgb green \
    title "median", \
  '' every ::1 using 0:9 with linespoints lw 3 pt 1 dt 3 lc rgb grey \
    title "longest in ab", \
  '' every ::1 using 0:(20000):5 with labels textcolor rgb orange notitle
END

# slow_in CONDITION: the backlogs that meet it, and where requests took a second.
slow_in() {
  awk -F '\t' "NR > 1 && \$5 > 0 && ($1) { print \$1 }" "$tsv" | xargs
}
small_ones=$(awk -F '\t' '$1 > 0 && $1 < 50 { print $1 }' "$tsv" | xargs)
all=$(slow_in 1)
all=${all:-none}
# shellcheck disable=SC2016  # awk's fields
confirmed_if "\"$(slow_in '$1 > 0 && $1 < 50')\" == \"$small_ones\"" \
  "requests took a second or more with a backlog of ${all// /, }"
