#!/usr/bin/env bash
# usage: pipelining.sh
#
# wrk sends several requests at once, and the next ones when all are answered.
# Prints how many thousands a second appendix F answers in its four modes, and
# nginx, and how much processor time the server needs for each.
. "$(dirname "$0")/common.bash"
need wrk gnuplot column
. lab/nginx.bash

claim 'TCP_CORK may be good for an HTTP server with pipelining'
servers=(plain nodelay cork gather nginx)
rounds=$(small 3 1)
read -ra depths <<<"$(small "1 4 16 64" "1 16")"
does "Appendix F in its four modes, and nginx with one worker, in turn;
rounds: $rounds. Requests in flight on each of 64 connections: ${depths[*]}. wrk
shares the processors with the server, and limits a fast server."

# load DEPTH: wrk sends requests to the server at $port. Prints requests per
# second, and nanoseconds of processor time of process $pid per request.
load() {
  local said status=0 wrong before after
  before=$(cpu "$pid") || true
  # wrk counts in whole seconds; interrupted, it prints what it has so far.
  said=$(timeout --preserve-status -k 5 -s INT "$(small 20 0.12)" \
    wrk -t2 -c64 -d1s -s lab/pipeline.lua "http://127.0.0.1:$port/" -- "$1" \
    2>&1) || status=$?
  after=$(cpu "$pid") || true
  wrong=$(grep -m 1 -o -E '(Socket err|Non-2xx|unable).*' <<<"$said") || true
  if ((status > 0)) || [ -n "$wrong" ] ||
    ! awk -v time="$((${after:-0} - ${before:-0}))" '/ requests in / { count = $1 }
      /^Requests\/sec:/ && $2 > 0 { print $2, time / count; found = 1 }
      END { exit !found }' <<<"$said"; then
    give_up "wrk, at $server_name:" "${wrong:-$(tail -n 1 <<<"$said")}"
  fi
}

declare -A ports pids
for server_name in "${servers[@]}"; do
  if [ "$server_name" = nginx ]; then
    start_nginx
  else
    start ./f_pipelining "$server_name"
  fi
  ports[$server_name]=$port pids[$server_name]=$pid
done

for ((round = 1; round <= rounds; round++)); do
  for depth in "${depths[@]}"; do
    progress "round $round of $rounds: $depth in flight"
    for server_name in "${servers[@]}"; do
      port=${ports[$server_name]} pid=${pids[$server_name]}
      measured=$(load "$depth")
      echo "$server_name $measured" >>"$work/in_flight.$depth"
    done
  done
done

new_table server 'in flight' 'thousand requests/s' least greatest \
  'processor ns/request'
for server_name in "${servers[@]}"; do
  for depth in "${depths[@]}"; do
    read -r median least greatest < <(numbers "$work/in_flight.$depth" \
      "$server_name" | awk '{ print $1 / 1000 }' | summary)
    row "$server_name" "$depth" "$median" "$least" "$greatest" \
      "$(numbers "$work/in_flight.$depth" "$server_name" 3 | median | three)"
  done
done
table

picture <<END
colour_of_plain = grey
colour_of_nodelay = green
colour_of_cork = blue
colour_of_gather = "#000000"
colour_of_nginx = orange
server(name) = sprintf("< grep '^%s' '%s'", name, file)
colour(name) = value("colour_of_".name)
set multiplot layout 1,2 title the_title font ",28"
set lmargin 6
set rmargin 2
set logscale xy
set xrange [0.9:${depths[-1]} * 1.1]
set xtics (1, 4, 16, 64)
set xlabel "requests in flight on each connection"
set title "thousand requests per second" font ",24"
set ytics (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000)
plot for [name in "${servers[*]}"] server(name) \\
    using 2:3:4:5 with yerrorlines pt 7 ps 1 lw 3 lc rgb colour(name)
set title "processor time per request, in microseconds"
set ytics (0.2, 0.5, 1, 2, 5, 10, 20, 50)
set yrange [0.05:*]
set key bottom left Left reverse samplen 2
plot for [name in "${servers[*]}"] server(name) \\
    using 2:(\$6 / 1000) with linespoints pt 7 ps 1 lw 3 lc rgb colour(name) \\
    title name
END

# at_16 ONE OTHER: how many times the other's requests it answers: median, least
# and greatest.
at_16() { ratios "$work/in_flight.16" "$1" "$2" | summary; }
read -r plain least_plain _ < <(at_16 cork plain)
read -r nodelay least_nodelay _ < <(at_16 cork nodelay)
read -r gather _ < <(at_16 gather cork)
read -r nginx _ < <(at_16 gather nginx)
confirmed_if "$least_plain > 1 && $least_nodelay > 1" \
  "16 in flight: cork $plain times plain, $nodelay times nodelay;
gather $gather times cork, $nginx times nginx"
