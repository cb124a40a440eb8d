#!/usr/bin/env bash
# usage: scaling.sh
#
# Clients that are connected and silent, ever more of them, beside 1 and beside
# 50 that ask. Prints what one request costs a_select, b_poll and ex3 then, in
# microseconds of their processor time, and how many they answer in a second:
# the middle of the rounds; the least and the greatest are in the .tsv and in
# the pictures.
. "$(dirname "$0")/common.bash"
need ab gnuplot column

servers=(a_select b_poll ex3)
read -ra levels <<<"$(small '0 100 400 800 2000 5000 9500' '0 100 400')"
rounds=$(small 3 1)
budget=$(small 0.8 0.03) # seconds for one run of ab
set_size=1024            # FD_SETSIZE
spare=80                 # descriptors for those that ask, and for the rest

claim 'epoll scales where select and poll do not'
does "Each server has clients that are connected and silent: ${levels[*]}. ab
asks beside them, as 1 client and as 50; rounds: $rounds, servers in turn. The
cost is the server's own processor time. The requests per second are those of
server and ab together, and ab has one thread: where all are level, ab is the
limit. select ends at descriptor $((set_size - 1))."

ulimit -S -n "$(ulimit -H -n)"
limit=$(ulimit -n)
if [ "$limit" = unlimited ]; then limit=65536; fi

descriptors() { find "/proc/$1/fd" -mindepth 1 2>/dev/null | wc -l; }
has_all() { [ "$(descriptors "${pid[$1]}")" -eq $((own[$1] + ${2:-0})) ]; }
is_ready() { grep -q ready "$1" || ! kill -0 "${pids[-1]}"; }

declare -A pid at own open
for name_of in "${servers[@]}"; do
  start "./$name_of"
  pid[$name_of]=$server at[$name_of]=$port open[$name_of]=0
  own[$name_of]=$(descriptors "$server")
done

# fits SERVER SILENT: it has the descriptors for them.
fits() {
  (($2 + spare <= limit)) && { [ "$1" != a_select ] || (($2 + spare <= set_size)); }
}

# open_silent SERVER SILENT: opens what it lacks of them.
open_silent() {
  local more=$(($2 - open[$1]))
  if ((more == 0)); then return; fi
  PATIENCE=600 build/client -n "$more" "${at[$1]}" wait >"$work/client" 2>&1 &
  pids+=($!)
  wait_for is_ready "$work/client" || true
  grep -q ready "$work/client" ||
    give_up "$2 silent clients of $1: $(tail -n 1 "$work/client")"
  open[$1]=$2
}

# measure SERVER SILENT ASKING COUNT: sets $cost and $rate.
measure() {
  local before after
  port=${at[$1]}
  before=$(cpu "${pid[$1]}")
  ab_asks "$4" "$3" || give_up "$1 beside $2 silent clients: $complaint"
  after=$(cpu "${pid[$1]}") || give_up "$1 has died"
  cost=$(awk "BEGIN { print ($after - $before) / 1000 / $4 }")
  rate=$(awk '/^Requests per second:/ { print $4 }' "$work/ab")
}

# rounds_of SILENT ASKING: a line for each server and round in $work/SERVER.
# How many requests a run has is found out first.
rounds_of() {
  local round name_of
  local -A count
  rm -f "${servers[@]/#/$work/}"
  for name_of in "${fitting[@]}"; do
    measure "$name_of" "$1" "$2" $((20 + $2))
    count[$name_of]=$(awk "BEGIN { n = int($rate * $budget)
      print n < 10 + $2 ? 10 + $2 : n }")
  done
  for ((round = 1; round <= rounds; round++)); do
    for name_of in "${fitting[@]}"; do
      progress "$1 silent, $2 asking, round $round of $rounds: $name_of"
      measure "$name_of" "$1" "$2" "${count[$name_of]}"
      echo "$cost $rate" >>"$work/$name_of"
    done
  done
}

# middle_and_ends SERVER FIELD: the middle, the least and the greatest.
middle_and_ends() {
  cut -d ' ' -f "$2" "$work/$1" >"$work/column"
  { median <"$work/column"; spread <"$work/column" | tr ' ' '\n'; } | digits
}

new_table server asking silent cpu_us least most per_s least most
left_out=()
for silent in "${levels[@]}"; do
  fitting=()
  for name_of in "${servers[@]}"; do
    if fits "$name_of" "$silent"; then fitting+=("$name_of"); fi
  done
  if [ "${#fitting[@]}" -eq 0 ]; then left_out+=("$silent"); continue; fi
  for name_of in "${fitting[@]}"; do open_silent "$name_of" "$silent"; done
  for asking in 1 50; do
    rounds_of "$silent" "$asking"
    for name_of in "${fitting[@]}"; do
      mapfile -t cells < <(middle_and_ends "$name_of" 1; middle_and_ends "$name_of" 2)
      row "$name_of" "$asking" "$silent" "${cells[@]}"
    done
  done
  for name_of in "${fitting[@]}"; do
    wait_for has_all "$name_of" "$silent" ||
      give_up "$name_of has lost some of its $silent silent clients"
  done
done

awk -F '\t' -v OFS='\t' '
  NR == 1 { print "asking", "silent", "select_us", "poll_us", "epoll_us",
    "select/s", "poll/s", "epoll/s"; next }
  { key = $2 OFS $3; if (!(key in seen)) keys[$2, ++n[$2]] = key; seen[key]
    us[key, $1] = $4; rate[key, $1] = $7 }
  function cell(x) { return x == "" ? "-" : x }
  END { for (a = 1; a <= 50; a += 49) for (i = 1; i <= n[a]; i++) {
    key = keys[a, i]
    print key, cell(us[key, "a_select"]), us[key, "b_poll"], us[key, "ex3"],
      cell(rate[key, "a_select"]), rate[key, "b_poll"], rate[key, "ex3"] } }
  ' "$tsv" >"$work/table"
table "$work/table"
if [ "${#left_out[@]}" -gt 0 ]; then
  does "Left out, because the hard limit of descriptors is $limit: ${left_out[*]}."
fi

# panels COLUMN X1 Y1 X50 Y50 SETTINGS: the two panels of a picture; X and Y
# are where the name of select stands, from the end of its line. A logarithmic
# axis has no 0, so 0 has a place of its own, left of a break.
panels() {
  printf 'values = %s\nx1 = %s\ny1 = %s\nx50 = %s\ny50 = %s\n%s\n' "$@"
  cat <<'END'
set logscale x
place(silent) = silent > 0 ? silent : 30
set xrange [22:60000]
set xtics ("0" 30, "100" 100, "1,000" 1000, "10,000" 10000)
set xlabel "silent clients"
set label 1 "//" at 55, graph 0 center front textcolor rgb "#333333"
set tmargin at screen 0.81
set bmargin at screen 0.21
color(i) = i == 1 ? 0x0072b2 : i == 2 ? 0xd55e00 : 0x009e73
rows(i, asking) = sprintf("< awk '$1 == \"%s\" && $2 == %s' '%s'", \
  word("b_poll a_select ex3", i), asking, file)
end(i, asking) = rows(i, asking) . " | tail -n 1"
ended = system(sprintf("awk '$1 == \"b_poll\" { p = $3 } \
  $1 == \"a_select\" { s = $3 } END { print s < p }' '%s'", file)) eq "1"
text(i) = word("poll select epoll", i) . (i == 2 && ended ? " (to 1,023)" : "")
x(i, asking) = i != 2 ? 3.5 : asking == 1 ? x1 : x50
y(i, asking) = i != 2 ? 0.5 : asking == 1 ? y1 : y50
unset title
set multiplot title the_title font ",28" offset 0, -0.3
do for [asking in "1 50"] {
  left = asking == 1 ? 0.145 : 0.625
  set lmargin at screen left
  set rmargin at screen left + 0.365
  set title asking == 1 ? "1 client asks" : "50 clients ask" offset 0, -0.4
  if (asking == 50) { unset ylabel }
  plot for [i = 1:3] rows(i, asking) using (place($3)):(column(values)) \
      with linespoints lw 4 dt 1 + (i == 2) pt 2 * i + 3 lc rgb color(i), \
    for [i = 1:3] rows(i, asking) using (place($3)):(column(values + 1)):(0): \
      (column(values + 2) - column(values + 1)) \
      with vectors nohead lw 2 lc rgb color(i), \
    for [i = 1:3] end(i, asking) using (place($3)):(column(values)): \
      (text(i)) with labels center textcolor rgb color(i) \
      offset x(i, asking), y(i, asking)
}
unset multiplot
END
}
panels 4 -4.5 1.6 -4 1.2 'set logscale y
set yrange [10:50000]
set ytics ("10" 10, "100" 100, "1,000" 1000, "10,000" 10000)
set ylabel "microseconds per request" offset 1' | picture
rates=$out/$name-rates.svg
panels 7 7 1.2 -4.5 -7 'set yrange [0:*]
set offsets 0, 0, graph 0.05, 0
set ytics ("0" 0, "5,000" 5000, "10,000" 10000, "15,000" 15000, \
  "20,000" 20000, "25,000" 25000, "30,000" 30000, "40,000" 40000)
set ylabel "requests per second" offset 1' |
  svg=$rates picture 'Answers beside silent clients: the graph of 2002 anew'

# of SERVER ASKING SILENT FIELD: one number of the table.
of() {
  awk -F '\t' -v field="$4" '$1 == server && $2 == asking && $3 == silent {
    print $field }' server="$1" asking="$2" silent="$3" "$tsv"
}
# not_slower ASKING FIELD: beside how many silent clients the number of poll is
# as good as that of epoll, or within a tenth of it.
not_slower() {
  awk -F '\t' -v asking="$1" -v field="$2" '
    $2 == asking && $1 == "b_poll" { poll[$3] = $field }
    $2 == asking && $1 == "ex3" {
      if (field == 4 ? poll[$3] <= $field * 1.1 : poll[$3] * 1.1 >= $field)
        print $3 }' "$tsv" | paste -s -d ' ' | sed 's/^$/none/; s/ /, /g'
}
top=$(awk -F '\t' 'END { print $3 }' "$tsv")
poll_0=$(of b_poll 1 0 4) poll=$(of b_poll 1 "$top" 4)
epoll_0=$(of ex3 1 0 4) epoll=$(of ex3 1 "$top" 4)
result='not confirmed'
if holds "$epoll < 2 * $epoll_0 && $poll > 4 * $poll_0 && $poll > 4 * $epoll"; then
  result=confirmed
fi
does "Also $rates."
verdict "$result" "beside $top silent clients, a request costs epoll $epoll
  microseconds ($epoll_0 beside none) and poll $poll ($poll_0 beside none), if 1
  client asks. If 50 do, one scan serves many: $(of ex3 50 "$top" 4) and
  $(of b_poll 50 "$top" 4). poll answers as many per second as epoll, or a tenth
  fewer at most, beside $(not_slower 1 7) silent clients if 1 asks, and beside
  $(not_slower 50 7) if 50 ask; at a cost no more than a tenth higher, beside
  $(not_slower 1 4) and $(not_slower 50 4)."
