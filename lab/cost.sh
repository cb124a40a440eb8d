#!/usr/bin/env bash
# usage: cost.sh
#
# Prints the processor time of a request in microseconds, for each program in the
# list below, and the memory of a silent client in KiB, for ex3 and nginx.
. "$(dirname "$0")/common.bash"
need ab curl gnuplot column
. lab/nginx.bash
[ -r /proc/self/schedstat ] || give_up "this kernel has no /proc/PID/schedstat"
claim 'What does a request cost in each step, and what a silent client?'
rounds=$(small 9 2)
requests=$(small 5000 100)
silent=$(small 1000 50)

# Name, and what the picture says. A program that is not built is left out.
programs='floor      bare loop
ex2        blocking
ex3        level-triggered
ex4        edge-triggered
ex4_level  level-triggered listener
ex5        TCP_CORK
ex6        TCP_NODELAY
h_io_uring io_uring
nginx      one worker'

# Example 4 with a level-triggered listener, and one accept4 per event.
variant ex4_level ex4_epoll_et/server.c \
  's/listener, EPOLLIN | EPOLLET/listener, EPOLLIN/
  s/^ *accept_connections(epoll/accept_connection(epoll/'

# path_of PROGRAM
path_of() {
  case $1 in
    floor) echo build/floor ;;
    ex4_level) echo "$work/ex4_level" ;;
    *) echo "./$1" ;;
  esac
}

# serve PROGRAM: starts it. Sets $port, and $pid, the process that serves.
serve() {
  if [ "$1" = nginx ]; then start_nginx; else start "$(path_of "$1")"; fi
}

declare -A ports pids kib text
servers=()
while read -r program words; do
  if [ "$program" != nginx ] && [ ! -x "$(path_of "$program")" ]; then
    does "$program is not built: left out"
    continue
  fi
  # Many containers forbid io_uring.
  if [ "$program" = h_io_uring ]; then
    reason=$(timeout 0.5 ./h_io_uring $((10000 + RANDOM % 20000)) 2>&1 |
      grep '^io_uring_setup' || true)
    if [ -n "$reason" ]; then
      does "$program is left out: $reason"
      continue
    fi
  fi
  serve "$program"
  servers+=("$program")
  ports[$program]=$port pids[$program]=$pid text[$program]=$words
done <<<"$programs"

for ((round = 1; round <= rounds; round++)); do
  progress "round $round of $rounds"
  for program in "${servers[@]}"; do
    port=${ports[$program]} pid=${pids[$program]}
    # Of more clients, several would arrive per event: one EAGAIN for them all.
    ab_asks "$program" "$requests" 8
    echo "$program $cost" >>"$work/costs"
  done
done

memory() { awk '/^VmRSS:/ { print $2 }' "/proc/$pid/status"; }
has_all() { (($(find "/proc/$pid/fd" -mindepth 1 | wc -l) > silent)); }

for program in ex3 nginx; do
  progress "$program: $silent silent clients"
  # A new one, which has no memory left over from clients; it is asked once, so
  # that the cost of the first client is not counted.
  serve "$program"
  curl -s -o "$work/answer" --max-time 5 "http://127.0.0.1:$port/" ||
    give_up "$program does not answer"
  before=$(memory)
  hold_clients "$program" "$silent" send 'GET / HT'
  wait_for has_all || give_up "$program has lost some of $silent clients"
  # It has accepted the last client, but may not have read from it yet.
  sleep 0.3
  kib[$program]=$(awk "BEGIN { print ($(memory) - $before) / $silent }" | three)
  stop "$client"
done

new_table server us/request least greatest 'times ex3' least greatest \
  'KiB/silent client' what
for program in "${servers[@]}"; do
  read -ra cost < <(numbers "$work/costs" "$program" | summary)
  read -ra times < <(ratios "$work/costs" "$program" ex3 | summary)
  row "$program" "${cost[@]}" "${times[@]}" "${kib[$program]:--}" \
    "${text[$program]}"
done
table 1-8

picture 'What does a request cost in each step?' <<'END'
set datafile separator "\t"
stats file every ::1 using 2 nooutput
set yrange [STATS_records + 0.6:0.4]
set xrange [0:*]
set xlabel "microseconds of processor time per request: median, least, greatest"
set ytics scale 0
unset grid
set grid x lw 1 lc rgb "#dddddd"
set lmargin 34
set rmargin 14
set bars 0.6
colour(name) = name eq "floor" ? 0x888888 : \
  name eq "nginx" ? 0xd55e00 : 0x0072b2
beside(name, ratio) = name eq "ex3" ? "" : sprintf("%.2f times ex3", ratio)
plot file every ::1 using 2:($0 + 1):(0):2:($0 + 0.65):($0 + 1.35): \
    (colour(stringcolumn(1))):ytic(stringcolumn(1).": ".stringcolumn(9)) \
    with boxxyerror lc rgb variable, \
  file every ::1 using 2:($0 + 1):3:4 \
    with xerrorbars pt 0 lw 2 lc rgb "#333333", \
  file every ::1 using 4:($0 + 1):(beside(stringcolumn(1), column(5))) \
    with labels left offset 0.7,0 tc rgb "#333333"
END

times() { ratios "$work/costs" "$1" ex3 | median | three; }
verdict measured "ex4 costs $(times ex4) times ex3, with a level-triggered
listener $(times ex4_level) times; nginx $(times nginx) times"
