# Each experiment: it says what it should, and noise cannot change it.

EXAMPLE=ex3

load ../../tests/helpers
load helpers

@test "lab/stall: the second client waits in ex2, and not in ex3" {
  experiment stall 6
  # In ex2, not before the first client has sent the rest. In ex3, before that.
  holds 'cell["ex2 2",4] >= 1000 && cell["ex3 2",4] < cell["ex3 1",4]'
}

@test "lab/wakeups: ex4 wakes up less often than ex3 if a request comes in one piece" {
  experiment wakeups 4
  holds 'cell["ex4 one",3] >= 4 && cell["ex4 one",3] < cell["ex3 one",3]'
  holds 'cell["ex3 one",9] == 0 && cell["ex4 one",9] >= 1'
}

@test "lab/backlog: 100 clients overflow a queue of 2 more often than one of SOMAXCONN" {
  [ "$(cat /proc/sys/net/core/somaxconn)" -ge 128 ] || skip 'somaxconn is low'
  experiment backlog 2
  holds 'cell[1,8] > cell["SOMAXCONN",8]'
}

@test "lab/scaling: a request costs poll more than epoll if 400 clients are silent" {
  experiment scaling 4
  holds 'cell["1 400",6] > cell["1 400",9] && cell["1 400",3] > cell["1 0",3]'
  grep -q '</svg>' "$left/scaling-rates.svg"
}

@test "lab/scaling: leaves out what needs more descriptors than are allowed" {
  ulimit -n 300
  experiment scaling 2
  [[ $output == *'Only 300 descriptors are allowed here'* ]]
}

@test "lab/segments: two small sends are one segment with TCP_CORK, two with TCP_NODELAY" {
  experiment segments 4
  holds 'cell["cork",2] == 1 && cell["cork",5] == 1 && cell["nodelay",2] == 2'
}

@test "lab/latency: two small sends take longest without an option" {
  experiment latency 4
  holds 'cell["plain",2] > 30 && cell["plain",2] > cell["cork",2]'
  holds 'cell["plain",2] > cell["nodelay",2]'
}

@test "lab/pipelining: with 16 in flight, cork answers more than plain" {
  experiment pipelining 5
  holds 'cell["cork 16",3] > cell["plain 16",3]'
}

@test "lab/pipelining: wrk sends all its requests at once" {
  EXAMPLE=f_pipelining
  if ! command -v wrk >/dev/null; then skip 'wrk is missing: make lab-deps'; fi
  if [ ! -x "$top/f_pipelining" ]; then skip 'there is no f_pipelining'; fi
  start_traced setsockopt,sendto
  timeout --preserve-status -s INT 0.5 wrk -t1 -c1 -d1s \
    -s "$top/lab/pipeline.lua" "http://127.0.0.1:$port/" -- 5
  awk '/TCP_CORK, \[1\]/ { n = 0 } /^sendto/ { n++ }
    /TCP_CORK, \[0\]/ { count[n]++ }
    END { for (n in count) print n, count[n]; exit !count[5] }' "$trace"
}

@test "lab/cost: prints what a request costs, as a multiple of ex3" {
  experiment cost 9
  holds 'cell["ex3",5] == 1 && cell["ex3",8] > 1'
}

@test "lab/cost: ex4_level is ex4 with a level-triggered listener, and one accept4 per event" {
  small variant "$(sed -n '/^variant /,/^$/p' "$top/lab/cost.sh")" \
    'cp "$work/ex4_level.c" "$out"'
  run diff "$top/ex4_epoll_et/server.c" "$left/ex4_level.c"
  echo "$output"
  [ "$(grep -c '^>' <<<"$output")" -eq 3 ]
  [ "$(grep -c '^> .*listener, EPOLLIN)' <<<"$output")" -eq 2 ]
  [ "$(grep -c '^> *accept_connection(epoll, listener);$' <<<"$output")" -eq 1 ]
}

@test "lab/workers: with EPOLLEXCLUSIVE, one worker has the clients, and only one wakes up" {
  experiment workers 4
  holds 'cell["exclusive",8] > 50 && cell["exclusive",8] > cell["reuseport",8]'
  holds 'cell["shared",11] > cell["exclusive",11]'
  holds 'cell["nginx",2] == "-" && cell["nginx",26] > 0'
  grep -q '</svg>' "$left/workers-waits.svg"
}

@test "lab/workers: burning is j_processes with a loop before the answer" {
  if [ ! -e "$top/appendix/j_processes/server.c" ]; then skip 'there is no j_processes'; fi
  small variant 'burn_ms=2' "$(sed -n '/^if \[/,/^fi/p' "$top/lab/workers.sh")" \
    'cp "$work/burning.c" "$out"'
  run diff "$top/appendix/j_processes/server.c" "$left/burning.c"
  echo "$output"
  [ "$(grep -c '^>' <<<"$output")" -eq 13 ]
  if grep '^<' <<<"$output"; then return 1; fi
  [ "$(grep -c '^> *burn();$' <<<"$output")" -eq 1 ]
}
