#!/usr/bin/env bash
# Prints what a request costs a_select, b_poll and ex3, in microseconds of their
# processor time, and how many they answer per second: while more and more
# clients are connected and silent, and 1 or 50 clients ask.
. "$(dirname "$0")/common.bash"
claim 'epoll scales where select and poll do not' ab
servers=(a_select b_poll ex3)
read -ra levels <<<"$(small '0 100 400 800 2000 5000 9500' '0 400')"
rounds=$(small 3 1)
budget=$(small 800 30) # milliseconds for one run of ab
spare=80               # descriptors for clients that ask, and for the rest

ulimit -S -n "$(ulimit -H -n)"
limit=$(ulimit -n)
if [ "$limit" = unlimited ]; then limit=65536; fi

declare -A held last
for program in "${servers[@]}"; do
  start "./$program"
  keep "$program"
  held[$program]=0
done

# fits PROGRAM: $silent clients fit. select ends at descriptor 1023.
fits() {
  ((silent + spare <= limit)) &&
    { [ "$1" != a_select ] || ((silent + spare <= 1024)); }
}

# hold PROGRAM: opens clients until there are $silent.
hold() {
  use "$1"
  if ((silent > held[$1])); then hold_clients "$1" $((silent - held[$1])); fi
  held[$1]=$silent
}

# measure PROGRAM: sets $cost and $rate. The last rate tells how many requests
# fit into the budget.
measure() {
  local requests=$((10 + asking + ${last[$1.$asking]:-5000} * budget / 1000))
  use "$1"
  ab_asks "$1 with $silent silent clients" "$requests" "$asking"
  last[$1.$asking]=${rate%.*}
}

# compare: appends a line for each round to the results: asking, silent, the
# costs and the rates of all servers.
compare() {
  local round program costs rates
  for ((round = 1; round <= rounds; round++)); do
    progress "$silent silent, $asking asking, round $round of $rounds"
    costs=() rates=()
    for program in "${servers[@]}"; do
      cost=- rate=-
      if fits "$program"; then measure "$program"; fi
      costs+=("$cost") rates+=("$rate")
    done
    echo "$asking $silent ${costs[*]} ${rates[*]}" >>"$results"
  done
}

for silent in "${levels[@]}"; do
  if ! fits ex3; then
    does "Only $limit descriptors are allowed here: fewer silent clients fit."
    break
  fi
  for program in "${servers[@]}"; do
    if fits "$program"; then hold "$program"; fi
  done
  for asking in 1 50; do compare; done
done

new_table asking silent select_us least most poll_us least most \
  epoll_us least most select/s least most poll/s least most epoll/s least most
sort -s -n -k 1,1 "$results" | lab/summary.py 2 >>"$tsv"
table 1-3,6,9,12,15,18

top=$(tail -n 1 "$tsv" | cut -f 2)
poll_0=$(cell 6 1 0) poll=$(cell 6 1 "$top")
epoll_0=$(cell 9 1 0) epoll=$(cell 9 1 "$top")
confirmed_if "$epoll < 2 * $epoll_0 and $poll > 4 * max($poll_0, $epoll)" \
  "with $top silent clients, a request costs $epoll us with epoll ($epoll_0 with
none), $poll us with poll ($poll_0)"
