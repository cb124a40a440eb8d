#!/usr/bin/env bash
# 100 clients ask ex3, built with one backlog after the other. Prints how long
# curl's requests took, how many took a second or more, and how often the accept
# queue overflowed; and the longest request that ab reports.
. "$(dirname "$0")/common.bash"
claim 'With 100 clients, a backlog under 50 slows the server down' \
  ab curl taskset
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

# curl_asks: prints the seconds of each request, and 200 if it was answered.
# ab could not tell: it ends after the last answer, with requests still waiting.
curl_asks() {
  timeout 60 curl --silent --parallel --parallel-immediate --parallel-max 100 \
    --max-time "$patience" -o /dev/null -w '%{time_total} %{http_code}\n' \
    "http://127.0.0.1:$port/[1-$requests]" 2>/dev/null || true
}

# measure BACKLOG: appends a line to the results: backlog, milliseconds of the
# median, of 99 % and of the longest request, slow requests, overflows, and the
# longest that ab reports.
measure() {
  local before dropped ab
  start "$work/ex3_$1"
  ab_asks "ex3, backlog $1" "$requests" 100
  ab=$(awk '$1 == "100%" { print $2 }' "$work/load")
  before=$(overflows)
  curl_asks | sort -g >"$work/times"
  dropped=$(($(overflows) - before))
  awk -v all="$requests" -v dropped="$dropped" -v name="$1" -v ab="$ab" '
    { ms[NR] = $1 * 1000; lost += $2 != 200; slow += $2 != 200 || $1 >= 1 }
    END { if (NR != all || lost && !dropped) exit 1
      print name, ms[int((NR + 1) / 2)], ms[int(NR * 0.99)], ms[NR], slow + 0,
        dropped, ab }' "$work/times" >>"$results" ||
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

new_table backlog 'median ms' '99 % ms' 'longest ms' 'slow requests' least \
  greatest overflows 'longest in ab, ms'
lab/summary.py 1 <"$results" | cut -f 1,2,5,8,11-14,17 >>"$tsv"
table

slow=$(awk -F '\t' 'NR > 1 && $5 > 0 { print $1 }' "$tsv" | xargs)
quick=$(awk -F '\t' '$1 > 0 && $1 < 50 && $5 == 0 { print $1 }' "$tsv")
confirmed_if "not '$quick'" \
  "requests took a second or more with a backlog of ${slow// /, }"
