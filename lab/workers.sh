#!/usr/bin/env bash
# j_processes in its three modes, and nginx. Prints how many percent of the clients
# the busiest of four workers gets, how many workers wake up for one client, how
# long clients wait if each request burns processor time, and how many requests per
# second one and two workers answer.
. "$(dirname "$0")/common.bash"
claim 'Several processes on one port: who gets the clients, and who waits?' ab nginx
modes=(shared exclusive reuseport)
rounds=$(small 3 1)
requests=$(small 4000 200) # of one run of ab
kept=$(small 100 40)       # clients that stay
silent=$(small 20 5)       # clients that arrive when all workers sleep
burn_ms=2                  # processor time of a request in the program `burning`
processors=$(nproc)

# Burns processor time as soon as a request is complete.
if [ -e appendix/j_processes/server.c ]; then
  variant burning appendix/j_processes/server.c '/^#define _GNU_SOURCE/a\
#include <time.h>\
static long long spent_ns(void)\
{\
    struct timespec t;\
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);\
    return t.tv_sec * 1000000000LL + t.tv_nsec;\
}\
static void burn(void)\
{\
    long long end = spent_ns() + '$burn_ms'000000;\
    while (spent_ns() < end) continue;\
}
/if (is_complete(c->request, c->received)) {/a\
        burn();'
fi

# start_workers PROGRAM MODE COUNT: returns when all of them sleep.
start_workers() {
  start "$1" "$2" "$3"
  wait_for asleep "$3" || give_up "$3 workers do not start"
  sleep 0.2
}

asleep() {
  [ "$(pgrep -P "$server" | sed 's,.*,/proc/&/stat,' | xargs cat | grep -c ') S ')" -eq "$1" ]
}

# end_server: ends it. Sets $busiest, how many percent of its clients one worker
# had.
end_server() {
  kill -TERM "$server"
  wait "$server"
  busiest=$(awk '/^worker / { all += $4; if ($4 > most) most = $4 }
    END { print 100 * most / all }' "$work/said")
}

# keep_clients COUNT PAUSE: so many connect, one after the other, and stay until
# close_clients.
keep_clients() {
  local fd i
  clients=()
  for ((i = 0; i < $1; i++)); do
    exec {fd}<>"/dev/tcp/127.0.0.1/$port"
    clients+=("$fd")
    sleep "$2"
  done
}
close_clients() { for fd in "${clients[@]}"; do exec {fd}>&-; done; }

# sleeps: how often the workers have gone to sleep.
sleeps() {
  pgrep -P "$server" | sed 's,.*,/proc/&/status,' |
    xargs awk '/^voluntary_ctxt/ { n += $2 } END { print n }'
}

# distribute MODE: sets $shares, of four workers: the percent of the busiest one, if
# one client asks, if eight ask, and if clients stay; how many workers wake up for a
# client; and what a request of the eight costs, in microseconds.
distribute() {
  local before
  start_workers ./j_processes "$1" 4
  ab_asks "$1" "$requests" 1
  end_server
  shares=$busiest
  start_workers ./j_processes "$1" 4
  ab_asks "$1" "$requests" 8
  end_server
  shares+=" $busiest"
  start_workers ./j_processes "$1" 4
  keep_clients "$kept" 0.005
  end_server
  shares+=" $busiest"
  close_clients
  start_workers ./j_processes "$1" 4
  before=$(sleeps)
  keep_clients "$silent" 0.05
  shares+=" $(awk "BEGIN { print ($(sleeps) - $before) / $silent }") $cost"
  close_clients
  stop "$server"
}

# burn MODE: a worker for each processor, 8 clients for each worker. Sets $waits:
# the average, the deviation and the longest of the milliseconds that they wait.
burn() {
  start_workers "$work/burning" "$1" "$processors"
  timeout 60 ab -q -n $((processors * requests / 5)) -c $((8 * processors)) \
    -g "$work/waits" "http://127.0.0.1:$port/" >"$work/load" 2>&1 ||
    give_up "$1: ab failed: $(tail -n 1 "$work/load")"
  stop "$server"
  tail -n +2 "$work/waits" | cut -f 5 | sort -n >"$work/$1"
  waits=$(awk '{ sum += $1; squares += $1 * $1; most = $1 }
    END { mean = sum / NR; print mean, sqrt(squares / NR - mean * mean), most }' \
    "$work/$1")
}

# rates COMMAND...: how the server starts; the number of workers follows. Sets
# $one and $two, the requests per second with so many workers, and $load, how many
# processors ab takes up beside two.
rates() {
  local workers
  for workers in 1 2; do
    start "$@" "$workers"
    ab_asks "${*: -1} $workers" "$requests" 8
    if [ "$workers" -eq 1 ]; then one=$rate; else two=$rate; fi
    stop "$server"
  done
  load=$(awk "BEGIN { print $load_spent / 1e9 / ($requests / $two) }")
}
workers_of_nginx() {
  sed "s/PORT/$1/; s/^worker_processes .*/worker_processes $2;/" lab/nginx.conf \
    >"$work/nginx.conf"
  exec nginx -p "$work" -c nginx.conf
}

for ((round = 1; round <= rounds; round++)); do
  progress "round $round of $rounds"
  for mode in "${modes[@]}"; do
    distribute "$mode"
    burn "$mode"
    rates ./j_processes "$mode"
    echo "$mode $shares $waits $one $two $load" >>"$results"
  done
  rates workers_of_nginx
  echo "nginx - - - - - - - - $one $two $load" >>"$results"
done

new_table mode 'one, %' least greatest 'eight, %' least greatest \
  'stay, %' least greatest woken least greatest us/request least greatest \
  'waits ms' least greatest deviation least greatest longest least greatest \
  '1 worker/s' least greatest '2 workers/s' least greatest 'ab takes' least greatest
lab/summary.py 1 <"$results" >>"$tsv"
# For the picture: the waiting times of the last round, one for each percent.
for mode in "${modes[@]}"; do
  awk -v mode="$mode" -v n="$(wc -l <"$work/$mode")" -v OFS='\t' \
    'int(100 * NR / n) > last { last = int(100 * NR / n); print mode, last, $1 }' \
    "$work/$mode"
done >"$out/workers-waits.tsv"
table 1,2,5,8,11,14,17,20,23,26,29,32

confirmed_if "$(cell 8 exclusive) > 50 and $(cell 8 reuseport) < 70 and
  $(cell 11 shared) > 2 * $(cell 11 exclusive) and
  $(cell 14 shared) > $(cell 14 exclusive) and
  $(cell 20 reuseport) > $(cell 20 shared)" \
  "of clients that stay, one worker of four has $(cell 8 exclusive) % with
EPOLLEXCLUSIVE, $(cell 8 reuseport) % with SO_REUSEPORT; a client wakes
$(cell 11 shared) workers if all share one listener, $(cell 11 exclusive) with
EPOLLEXCLUSIVE, and a request costs $(cell 14 shared) us and $(cell 14 exclusive);
if requests burn $burn_ms ms, their times deviate by $(cell 20 shared) ms shared, by
$(cell 20 reuseport) with SO_REUSEPORT"
