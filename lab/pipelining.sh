#!/usr/bin/env bash
# usage: pipelining.sh
#
# wrk sends several requests in one go, again when all are answered. Prints how
# many thousands a second appendix F answers plain, with TCP_NODELAY and with
# TCP_CORK, and nginx.
. "$(dirname "$0")/common.bash"
need wrk gnuplot column
. lab/nginx.bash

claim 'TCP_CORK may be good for an HTTP server with pipelining'
rounds=$(small 3 1)
servers=(plain nodelay cork nginx)
read -ra depths <<<"$(small "1 4 16 64" "1 16")"
does "Appendix F in its three modes, and nginx with one worker, by turns;
rounds: $rounds. On each of 64 connections, wrk has so many requests in flight:
${depths[*]}. How many are answered in a second? wrk shares the processors with
the server: where a server is quick, wrk holds it up."

# load DEPTH: prints the requests per second that the server at $port answers.
load() {
  local said status=0 wrong rate
  # wrk counts in whole seconds; interrupted, it says what it has so far.
  said=$(timeout --preserve-status -k 5 -s INT "$(small 20 0.12)" \
    wrk -t2 -c64 -d1s -s lab/pipeline.lua "http://127.0.0.1:$port/" -- "$1" \
    2>&1) || status=$?
  wrong=$(grep -m 1 -o -E '(Socket err|Non-2xx|unable).*' <<<"$said") || true
  rate=$(awk '/^Requests\/sec:/ && $2 > 0 { print $2 }' <<<"$said")
  if ((status > 0)) || [ -n "$wrong" ] || [ -z "$rate" ]; then
    give_up "wrk, at $server_name:" "${wrong:-$(tail -n 1 <<<"$said")}"
  fi
  echo "$rate"
}

declare -A ports
for server_name in "${servers[@]}"; do
  case $server_name in
    nginx) start_nginx ;;
    *) start ./f_pipelining "$server_name" ;;
  esac
  ports[$server_name]=$port
done

for ((round = 1; round <= rounds; round++)); do
  for depth in "${depths[@]}"; do
    progress "round $round of $rounds: $depth in flight"
    for server_name in "${servers[@]}"; do
      port=${ports[$server_name]}
      rate=$(load "$depth")
      echo "$server_name $rate" >>"$work/rates.$depth"
    done
  done
done

new_table server 'in flight' 'thousand requests/s' least greatest
for server_name in "${servers[@]}"; do
  for depth in "${depths[@]}"; do
    read -r median least greatest < <(numbers "$work/rates.$depth" \
      "$server_name" | awk '{ print $1 / 1000 }' | summary)
    row "$server_name" "$depth" "$median" "$least" "$greatest"
  done
done
table

# The names at the ends of the lines, a line of type apart at least, and the
# reason at the one dip that needs it.
awk -F '\t' -v last="${depths[-1]}" '
  NR == 1 { next }
  { y = log($3); rate[$1, $2] = $3 }
  NR == 2 || y < low { low = y }
  NR == 2 || y > high { high = y }
  $2 == last {
    for (i = ++n; i > 1 && at[i - 1] > y; i--) {
      at[i] = at[i - 1]; name[i] = name[i - 1]
    }
    at[i] = y; name[i] = $1
  }
  END {
    low -= 0.3; high += 0.3; gap = (high - low) / 13
    for (i = 1; i <= n; i++) {
      if (i > 1 && at[i] < at[i - 1] + gap) at[i] = at[i - 1] + gap
      printf "set label name_%s at graph 1.02, first %g tc rgb %s\n",
        name[i], exp(at[i]), name[i]
    }
    if (at[n] > high) high = at[n]
    if (rate["plain", 4] < rate["nodelay", 4] / 2)
      printf "set label why at 5.5, %g tc rgb plain\n", rate["plain", 4]
    printf "set yrange [%g:%g]\n", exp(low), exp(high)
  }' "$tsv" >"$work/labels.gp"

picture <<END
plain = grey
nodelay = green
cork = blue
nginx = orange
name_plain = "neither"
name_nodelay = "TCP_NODELAY"
name_cork = "TCP_CORK"
name_nginx = "nginx"
why = "Nagle waits for a late ACK"
load '$work/labels.gp'
set logscale x 2
set logscale y
set xrange [0.9:${depths[-1]} * 1.03]
set xtics (1, 4, 16, 64)
set ytics (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000)
set xlabel "requests in flight on each connection"
set ylabel "thousand requests per second"
set rmargin 17
set bars 0.6
server(name) = sprintf("< grep '^%s' '%s'", name, file)
plot for [name in "plain nodelay cork nginx"] server(name) \\
    using 2:3 with lines lw 4 lc rgb value(name), \\
  for [name in "plain nodelay cork nginx"] server(name) \\
    using 2:3:4:5 with yerrorbars pt 7 ps 1 lw 2 lc rgb value(name)
END

# at_16 OTHER: how many times the other's requests cork answers.
at_16() { ratios "$work/rates.16" cork "$1" | summary; }
read -r plain least_plain greatest_plain < <(at_16 plain)
read -r nodelay least_nodelay greatest_nodelay < <(at_16 nodelay)
read -r nginx least_nginx greatest_nginx < <(at_16 nginx)
if holds "$least_plain > 1 && $least_nodelay > 1"; then
  result=confirmed
else
  result='not confirmed'
fi
verdict "$result" "with 16 requests in flight, cork answers $plain times as many
as plain ($least_plain to $greatest_plain), $nodelay times as many as nodelay
($least_nodelay to $greatest_nodelay), and $nginx times as many as nginx
($least_nginx to $greatest_nginx)."
