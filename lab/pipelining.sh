#!/usr/bin/env bash
# wrk sends several requests at once, and the next ones when all are answered.
# Prints how many thousands a second appendix F answers in its four modes, and
# nginx, and how much processor time the server needs for each.
. "$(dirname "$0")/common.bash"
claim 'TCP_CORK may be good for an HTTP server with pipelining' wrk nginx
servers=(plain nodelay cork gather nginx)
rounds=$(small 3 1)
read -ra depths <<<"$(small "1 4 16 64" 16)"

# load DEPTH: wrk sends requests to the server at $port. Prints thousands of
# requests per second, and nanoseconds of processor time per request.
load() {
  local spent count time errors
  # wrk counts in whole seconds; interrupted, it prints what it has so far.
  spend timeout --preserve-status -k 5 -s INT "$(small 20 0.3)" \
    wrk -t2 -c64 -d1s -s lab/pipeline.lua "http://127.0.0.1:$port/" -- "$1" ||
    true
  read -r count time errors < <(tail -n 1 "$work/load") || true
  [[ $count$errors =~ ^[1-9][0-9]*0$ ]] ||
    give_up "wrk, at $mode: $count requests, $time us, $errors errors"
  awk "BEGIN { print 1000 * $count / $time, $spent / $count }"
}

for mode in "${servers[@]}"; do
  case $mode in nginx) start nginx_on ;; *) start ./f_pipelining "$mode" ;; esac
  keep "$mode"
done

for ((round = 1; round <= rounds; round++)); do
  for depth in "${depths[@]}"; do
    progress "round $round of $rounds: $depth in flight"
    for mode in "${servers[@]}"; do
      use "$mode"
      measured=$(load "$depth")
      echo "$mode $depth $measured" >>"$results"
    done
  done
done

new_table server 'in flight' 'thousand requests/s' least greatest \
  'processor ns/request'
for mode in "${servers[@]}"; do
  grep "^$mode" "$results" | lab/summary.py 2 | cut -f 1-6 >>"$tsv"
done
table

# times ONE OTHER [COLUMN]: how many times the other's requests it answers, with
# 16 in flight: the median, or in column 10 the least.
times() {
  lab/summary.py 2 "$2 16" <"$results" | grep "^$1"$'\t'16 | cut -f "${3:-9}"
}
confirmed_if "$(times cork plain 10) > 1 and $(times cork nodelay 10) > 1" \
  "16 in flight: cork $(times cork plain) times plain,
$(times cork nodelay) times nodelay; gather $(times gather cork) times cork,
$(times gather nginx) times nginx"
