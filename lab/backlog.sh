#!/usr/bin/env bash
# usage: backlog.sh
#
# 100 clients ask ex3, which is built with one backlog after the other, 2,000
# times. Prints, for each backlog, in milliseconds and from curl: the median,
# the 99th percentile and the longest of the requests, and how many (slow) took
# a second or more, or were never answered; then the longest from ab; and how
# often the queue overflowed under each. All are the middle of the rounds; the
# least and the greatest are in the .tsv.
. "$(dirname "$0")/common.bash"
read -ra compiler <<<"${CC:-cc}"
need ab curl gnuplot column taskset "${compiler[0]}"

rounds=$(small 3 1)
requests=$(small 2000 300)
patience=$(small 4 1.3)
read -ra backlogs <<<"$(small '1 5 10 25 50 75 100 SOMAXCONN' \
  '10 100 SOMAXCONN')"
claim 'With 100 clients, a backlog under 50 slows the server down'
does "100 clients send ex3 $requests requests: with ab, as in the article, and
with curl. Server and clients share one processor, so that the server can
seldom accept while the clients come; rounds: $rounds, backlogs in turn. A full
queue drops the client's SYN, and its kernel tries again after 1 s, and again.
ab ends as soon as any $requests requests are answered, and leaves those
that still wait out of its report; curl waits for each, for $patience s, so the
times are curl's. Both have one thread. The overflows are the kernel's count,
which is of the whole machine."
processor=$(awk '/^Cpus_allowed_list/ { sub(/[-,].*/, "", $2); print $2 }' \
  /proc/self/status)
taskset -c -p "$processor" $$ >/dev/null

# overflows: how often a queue was full, since the machine started.
overflows() {
  awk '$1 != "TcpExt:" { next }
    place { print $place; found = 1 }
    { for (i = 2; i <= NF; i++) if ($i == "ListenOverflows") place = i }
    END { exit !found }' /proc/net/netstat || give_up 'no count of overflows'
}

# counted COMMAND...: sets $dropped to the overflows while it runs.
counted() {
  local before after status=0
  before=$(overflows) || exit 1
  "$@" || status=$?
  after=$(overflows) || exit 1
  dropped=$((after - before))
  kill -0 "$server" 2>/dev/null || give_up "ex3 has died"
  return "$status"
}

# Lines of seconds and the response's status; that is 000 if none came.
curl_asks() {
  timeout 60 curl --silent --parallel --parallel-immediate --parallel-max 100 \
    --max-time "$patience" -o /dev/null -w '%{time_total} %{http_code}\n' \
    "http://127.0.0.1:$port/[1-$requests]" >"$work/times" 2>/dev/null || true
}

# measure BACKLOG: a line for $columns in $work/BACKLOG. A request without an
# answer is a failure, unless the queue has overflowed.
columns=(median_ms p99_ms longest_ms slow overflows ab_longest_ms ab_overflows)
measure() {
  local ab
  start "$work/ex3_$1"
  if counted ab_asks "$requests" 100; then
    ab="$(awk '$1 == "100%" { print $2 }' "$work/ab") $dropped"
  elif ((dropped > 0)) && [[ $complaint == 'ab failed'* ]]; then
    ab="nan $dropped"
  else
    give_up "$complaint"
  fi
  counted curl_asks || true
  sort -g "$work/times" | awk -v all="$requests" -v drops="$dropped" -v ab="$ab" '
    { ms[NR] = $1 * 1000; lost += $2 != 200; slow += $2 != 200 || $1 >= 1 }
    END { if (NR != all || lost && !drops) exit 1
      print ms[int((NR + 1) / 2)], ms[int(NR * 0.99)], ms[NR], slow, drops, ab
    }' >>"$work/$1" || give_up 'curl reports requests without an answer'
  stop "$server"
}

for backlog in "${backlogs[@]}"; do
  "${compiler[@]}" -O2 -DBACKLOG="$backlog" -o "$work/ex3_$backlog" \
    ex3_epoll_lt/server.c || give_up "ex3 cannot be built"
done
for ((round = 1; round <= rounds; round++)); do
  for backlog in "${backlogs[@]}"; do
    progress "round $round of $rounds, backlog $backlog"
    measure "$backlog"
  done
done

# middle_and_ends FILE: the middle, the least and the greatest of its numbers.
middle_and_ends() { { median <"$1"; spread <"$1" | tr ' ' '\n'; } | digits; }

head=()
for column in "${columns[@]}"; do head+=("$column" least most); done
new_table backlog "${head[@]}"
for backlog in "${backlogs[@]}"; do
  cells=()
  for i in "${!columns[@]}"; do
    cut -d ' ' -f $((i + 1)) "$work/$backlog" >"$work/column"
    middle_and_ends "$work/column" >"$work/middle_and_ends"
    mapfile -t -O "${#cells[@]}" cells <"$work/middle_and_ends"
  done
  row "$backlog" "${cells[@]}"
done
cut -f 1,2,5,8-11,14,17,20 "$tsv" >"$work/table"
table "$work/table"

requests=$requests picture <<'END'
set logscale y
set yrange [0.05:90000]
set xrange [-0.5:*]
set ytics ("0.1" 0.1, "1" 1, "10" 10, "100" 100, "1,000" 1000)
set ylabel "milliseconds" offset 1
set xlabel "backlog (server and clients share one processor)" offset 0,-0.5
set bmargin 5
stats file every ::1 using 8 nooutput
middle = int((STATS_records - 1) / 3)
here(row) = row == middle ? row : NaN
tic(text) = text eq "SOMAXCONN" ? "SOMAX-\nCONN" : text
set label 1 at graph 0.5, 0.95 center textcolor rgb "#333333" \
  system("echo $requests") . " requests by curl; so many of them took 1 s or more:"
set label 2 at first middle, first 25 center textcolor rgb grey \
  "the longest that ab reports"
plot file every ::1 using 0:8:xtic(tic(stringcolumn(1))) \
    with linespoints lw 4 pt 7 lc rgb orange, \
  '' every ::1 using 0:9:(0):($10 - $9) with vectors nohead lw 2 lc rgb orange, \
  '' every ::1 using 0:5 with linespoints lw 4 pt 5 dt 2 lc rgb blue, \
  '' every ::1 using 0:2 with linespoints lw 4 pt 9 lc rgb green, \
  '' every ::1 using 0:3:(0):($4 - $3) with vectors nohead lw 2 lc rgb green, \
  '' every ::1 using 0:17 with linespoints lw 3 pt 1 dt 3 lc rgb grey, \
  '' every ::1 using 0:(14000):11 with labels textcolor rgb orange, \
  '' every ::1 using (here($0)):($5 / 2.4):("the longest") \
    with labels right offset 2 textcolor rgb orange, \
  '' every ::1 using (here($0)):($5 / 7):("99 % are below") \
    with labels right offset 2 textcolor rgb blue, \
  '' every ::1 using (here($0)):($2 / 3):("median") \
    with labels textcolor rgb green
END

# list CONDITION: the backlogs whose row meets it.
list() {
  awk -F '\t' "NR > 1 && ($1) { print \$1 }" "$tsv" | paste -s -d ' ' |
    sed 's/ /, /g'
}
slow=$(list '$11 > 0') quick=$(list '$11 == 0')
most=$(cut -f 11 "$tsv" | sort -g | tail -n 1)
ab=$(cut -f 17 "$tsv" | sort -g | tail -n 1)
result='not confirmed'
if [ -n "$(list '$1 < 50 && $1 > 0 && $11 > 0')" ] &&
  [ -z "$(list '$1 < 50 && $1 > 0 && $11 == 0')" ]; then
  result=confirmed
fi
if [ -z "$slow" ]; then
  text="no request of curl's took a second, with any backlog: the server
    accepted as fast as curl came. Under ab, the queue overflowed with a backlog
    of $(list '$20 > 0' | grep . || echo none)."
else
  text="with a backlog of $slow the queue overflowed, and up to $most of
    $requests requests took a second or more; with ${quick:-none}, none did."
  if [ -n "$quick" ]; then
    text+=" The limit lies between ${slow##*, } and ${quick%%,*}"
    text+=", for 100 clients that come at once."
  fi
  if [ -n "$(list '$1 == 50 && $11 > 0')" ]; then text+=" 50 is too few."; fi
  if [ -n "$(list '$1 == 50 && $11 == 0')" ]; then text+=" 50 is enough."; fi
  if holds "$ab < 1000"; then text+=" The report of ab shows nothing of it:"; fi
  text+=" the longest there is $ab ms."
fi
verdict "$result" "$text"
