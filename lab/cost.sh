#!/usr/bin/env bash
# Prints the processor time of a request in microseconds, for each program in
# the list below, and the memory of a silent client in KiB, for ex3 and nginx.
. "$(dirname "$0")/common.bash"
claim 'What does a request cost in each step, and what a silent client?' \
  ab nginx
rounds=$(small 9 1)
requests=$(small 5000 100)
silent=$(small 1000 50)

# Name, how it is started, what the picture says. A program that does not start
# is left out: it may not be built, and many containers forbid io_uring.
programs='ex2 ./ex2 blocking
ex3 ./ex3 level-triggered
ex4 ./ex4 edge-triggered
ex4_level ex4_level level-triggered listener
ex5 ./ex5 TCP_CORK
ex6 ./ex6 TCP_NODELAY
i_threads ./i_threads a thread for each client
h_io_uring ./h_io_uring io_uring
nginx nginx_on one worker'

# Example 4 with a level-triggered listener, and one accept4 per event.
variant ex4_level ex4_epoll_et/server.c \
  's/listener, EPOLLIN | EPOLLET/listener, EPOLLIN/
  s/while (\(accept_connection(epoll, listener)\)) continue/\1/'
ex4_level() { exec "$work/ex4_level" "$1"; }

# memory: KiB, of all processes of the server.
memory() {
  processes "$server" | sed 's,.*,/proc/&/status,' |
    xargs awk '/^VmRSS:/ { kib += $2 } END { print kib }'
}

# hold_silent: sets $kib, the memory that a silent client costs the server.
hold_silent() {
  local before
  # The first client costs more.
  ab_asks "$program" 1 1
  before=$(memory)
  hold_clients "$program" "$silent" send 'GET / HT'
  # The server has accepted the last client, but may not have read from it yet.
  sleep 0.3
  kib=$(awk "BEGIN { printf \"%.3g\", ($(memory) - $before) / $silent }")
  stop "$client"
}

declare -A rest
servers=()
while read -r program path words; do
  if ! try_start "$path"; then
    does "$program is left out: $why"
    continue
  fi
  keep "$program"
  servers+=("$program")
  kib=-
  case $program in ex3 | nginx) hold_silent ;; esac
  rest[$program]=$kib$'\t'$words
done <<<"$programs"

for ((round = 1; round <= rounds; round++)); do
  progress "round $round of $rounds"
  for program in "${servers[@]}"; do
    use "$program"
    # Of more clients, several would arrive per event: one EAGAIN for them all.
    ab_asks "$program" "$requests" 8
    echo "$program $cost" >>"$results"
  done
done

new_table server us/request least greatest 'times ex3' least greatest \
  'KiB/silent client' what
while read -r program cells; do
  row "$program" "$cells" "${rest[$program]}"
done < <(lab/summary.py 1 ex3 <"$results")
table 1-8

verdict measured "ex4 costs $(cell 5 ex4) times ex3, with a level-triggered
listener $(cell 5 ex4_level) times; nginx $(cell 5 nginx) times"
