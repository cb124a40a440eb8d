#!/usr/bin/env bash
# usage: scaling.sh
#
# Prints what a request costs a_select, b_poll and ex3, in microseconds of their
# processor time, and how many they answer per second: while more and more
# clients are connected and silent, and 1 or 50 clients ask.
. "$(dirname "$0")/common.bash"
need ab gnuplot column
claim 'epoll scales where select and poll do not'
servers=(a_select b_poll ex3)
read -ra levels <<<"$(small '0 100 400 800 2000 5000 9500' '0 100 400')"
rounds=$(small 3 1)
budget=$(small 0.8 0.03) # seconds for one run of ab
spare=80                 # descriptors for clients that ask, and for the rest

ulimit -S -n "$(ulimit -H -n)"
limit=$(ulimit -n)
if [ "$limit" = unlimited ]; then limit=65536; fi

# descriptors PID: how many it has; 0 if it has ended.
descriptors() { { find "/proc/$1/fd" -mindepth 1 2>/dev/null || true; } | wc -l; }
has_all() { (($(descriptors "${pids[$1]}") == at_start[$1] + silent)); }

declare -A pids ports at_start opened
for server_name in "${servers[@]}"; do
  start "./$server_name"
  pids[$server_name]=$pid ports[$server_name]=$port opened[$server_name]=0
  at_start[$server_name]=$(descriptors "$pid")
done

# fits SERVER: $silent clients fit. select ends at descriptor 1023.
fits() {
  ((silent + spare <= limit)) &&
    { [ "$1" != a_select ] || ((silent + spare <= 1024)); }
}

# open_silent SERVER: opens clients until there are $silent.
open_silent() {
  local more=$((silent - opened[$1]))
  port=${ports[$1]}
  if ((more > 0)); then hold_clients "$1" "$more"; fi
  opened[$1]=$silent
}

# measure SERVER COUNT: sets $cost and $rate.
measure() {
  port=${ports[$1]} pid=${pids[$1]}
  ab_asks "$1 with $silent silent clients" "$2" "$asking"
}

# compare: appends a line for each server and round to $work/results.
compare() {
  local round server_name
  local -A count
  # The first, short run finds how many requests fit into the budget.
  for server_name in "${fitting[@]}"; do
    measure "$server_name" $((20 + asking))
    count[$server_name]=$(awk "BEGIN { n = int($rate * $budget)
      print n < 10 + $asking ? 10 + $asking : n }")
  done
  for ((round = 1; round <= rounds; round++)); do
    progress "$silent silent, $asking asking, round $round of $rounds"
    for server_name in "${fitting[@]}"; do
      measure "$server_name" "${count[$server_name]}"
      echo "$server_name.$asking.$silent $cost $rate" >>"$work/results"
    done
  done
}

for silent in "${levels[@]}"; do
  fitting=()
  for server_name in "${servers[@]}"; do
    if fits "$server_name"; then
      fitting+=("$server_name")
      open_silent "$server_name"
    fi
  done
  if [ "${#fitting[@]}" -eq 0 ]; then break; fi
  for asking in 1 50; do compare; done
  for server_name in "${fitting[@]}"; do
    wait_for has_all "$server_name" ||
      give_up "$server_name has lost some of its $silent silent clients"
  done
done

# of COLUMN SERVER: median, least and greatest of the rounds, or -.
of() {
  numbers "$work/results" "$2.$asking.$silent" "$1" >"$work/column"
  if [ -s "$work/column" ]; then summary <"$work/column"; else echo - - -; fi
}

new_table asking silent select_us least most poll_us least most \
  epoll_us least most select/s least most poll/s least most epoll/s least most
for asking in 1 50; do
  for silent in "${levels[@]}"; do
    read -ra cells < <(for column in 2 3; do
      for server_name in "${servers[@]}"; do of $column "$server_name"; done
    done | xargs)
    if [ "${cells[6]}" != - ]; then row "$asking" "$silent" "${cells[@]}"; fi
  done
done
table 1-3,6,9,12,15,18
if ((levels[-1] + spare > limit)); then
  does "Only $limit descriptors are allowed here: fewer silent clients fit."
fi

# panels COLUMN SETTINGS: the two panels of a picture; from this column on, the
# table has median, least and greatest of three servers. A logarithmic axis has
# no 0, so 0 gets a place of its own, left of a break.
panels() {
  printf 'first = %s\n%s\n' "$@"
  cat <<'END'
set datafile missing "-"
set logscale x
place(silent) = silent > 0 ? silent : 30
set xrange [22:15000]
set xtics ("0" 30, "100" 100, "1,000" 1000, "10,000" 10000)
set xlabel "silent clients"
set label 1 "//" at 55, graph 0 center front textcolor rgb "#333333"
set tmargin at screen 0.80
set bmargin at screen 0.26
set key at screen 0.5, 0.01 center bottom vertical maxrows 1 samplen 2
color(i) = i == 1 ? 0xd55e00 : i == 2 ? 0x0072b2 : 0x009e73
at(i) = first + 3 * (i - 1)
rows(asking) = sprintf("< awk '$1 == %s' '%s'", asking, file)
set multiplot title the_title font ",28" offset 0, -0.3
do for [asking in "1 50"] {
  left = asking == 1 ? 0.14 : 0.62
  set lmargin at screen left
  set rmargin at screen left + 0.35
  set title asking == 1 ? "1 client asks" : "50 clients ask" offset 0, -0.4
  if (asking == 50) { unset ylabel; unset key }
  plot for [i = 1:3] rows(asking) using (place($2)):(column(at(i))): \
    (column(at(i) + 1)):(column(at(i) + 2)) \
    with yerrorlines lw 4 dt 1 + (i == 1) pt 2 * i + 3 lc rgb color(i) \
    title word("select poll epoll", i)
}
unset multiplot
END
}
panels 3 'set logscale y
set yrange [8:50000]
set ytics ("10" 10, "100" 100, "1,000" 1000, "10,000" 10000)
set ylabel "microseconds per request" offset 1' | picture
rates=$out/$name-rates.svg
panels 12 'set yrange [0:*]
set format y "%.0f"
set ylabel "requests per second" offset 1' |
  svg=$rates picture 'Requests per second beside silent clients'

# cost COLUMN SILENT: what a request costs, if 1 client asks.
cost() { awk -v n="$2" -v at="$1" '$1 == 1 && $2 == n { print $at }' "$tsv"; }
top=$(tail -n 1 "$tsv" | cut -f 2)
poll_0=$(cost 6 0) poll=$(cost 6 "$top")
epoll_0=$(cost 9 0) epoll=$(cost 9 "$top")
confirmed_if \
  "$epoll < 2 * $epoll_0 && $poll > 4 * $poll_0 && $poll > 4 * $epoll" \
  "with $top silent clients, a request costs $epoll us with epoll ($epoll_0 with
none), $poll us with poll ($poll_0)"
