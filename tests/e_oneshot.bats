# Appendix E: what it does, a sentence each.

EXAMPLE=e_oneshot
THREADS=yes

load helpers
load behaviour

# alone COMMAND...: with the program that has one worker. strace counts the
# calls of each thread for itself: only so is it known which one fails.
alone() { bin=$top/${BIN:-build}/one "$@"; }

# loses_one_that_cannot_be_added ERROR: the worker's calls of epoll_ctl are four
# for each client: ADD, MOD of the listener, MOD to EPOLLOUT, MOD to nothing.
loses_one_that_cannot_be_added() {
  traced epoll_ctl -e "inject=epoll_ctl:error=$1:when=5"
  idle=$(descriptors)
  answers
  "$client" "$port" send "$request" read >"$dir/answer" 2>&1
  run ! grep Hello "$dir/answer"
  grep '^epoll_ctl: ' "$err"
  grep "EPOLL_CTL_ADD.*$1.*INJECTED" "$trace"
  answers
  wait_for has_descriptors "$idle"
  stop
}

# watched: start, with every call dawdling, and a message when two threads meet.
watched() { start env "LD_PRELOAD=$top/build/one_at_a_time.so"; }

# changed EXPRESSION: from now on, the program as sed changes it.
changed() {
  mkdir "$dir/changed"
  sed "$1" "$top/appendix/$EXAMPLE/server.c" >"$dir/changed/server.c"
  run ! cmp -s "$top/appendix/$EXAMPLE/server.c" "$dir/changed/server.c"
  "${CC:-cc}" -pthread -o "$dir/changed/$EXAMPLE" "$dir/changed/server.c"
  bin=$dir/changed
}

@test "e_oneshot: gives curl the article's 114 bytes" { gives_curl_the_response; }
@test "e_oneshot: prints the request as the article does" { prints_the_request; }
@test "e_oneshot: prints NUL bytes, bytes that are no UTF-8 and % as they came" { prints_any_byte; }
@test "e_oneshot: a request that comes one byte at a time is answered once" { takes_single_bytes; }
@test "e_oneshot: a blank line may be two bare newlines" { takes_bare_newlines; }
@test "e_oneshot: a blank line may follow a bare newline" { takes_a_blank_line_that_only_ends_in_CRLF; }
@test "e_oneshot: a request of 8 KiB is answered" { takes_8_KiB; }
@test "e_oneshot: a request of 8 KiB and a byte is refused" { refuses_more_than_8_KiB; }
@test "e_oneshot: 300 KB without a blank line are refused" { refuses_300_KB; }
@test "e_oneshot: asks recv for 1,024 bytes at most" { reads_1024_bytes_at_most; }
@test "e_oneshot: a port that is none, or a surplus argument, is named, and the exit status is 2" { refuses_what_is_no_port; }
@test "e_oneshot: says that the port is taken, and exits with 1" { says_that_the_port_is_taken; }
@test "e_oneshot: a call that fails at the start is named, and the exit status is 1" {
  ends_if_a_call_fails_at_start socket setsockopt bind listen \
    rt_sigaction:sigaction fcntl epoll_create1 epoll_ctl
}
@test "e_oneshot: a client that half-closes after its request is answered" { answers_a_half_close_after_the_request; }
@test "e_oneshot: a client that half-closes without a request is let go" { survives_a_half_close_without_a_request; }
@test "e_oneshot: a client that leaves before asking is let go" { survives_a_client_that_leaves_before_asking; }
@test "e_oneshot: a client that leaves halfway is let go" { survives_a_client_that_leaves_halfway; }
@test "e_oneshot: a client that resets halfway is let go" { survives_a_reset_halfway; }

@test "e_oneshot: clients that reset after the request cost nothing" { survives_resets_after_the_request; }
@test "e_oneshot: a client that half-closes and resets costs nothing" { survives_a_half_close_and_a_reset; }
@test "e_oneshot: serves twenty clients one after the other" { serves_one_after_the_other; }
@test "e_oneshot: ends quietly on SIGINT, and its port is free" { ends_quietly INT; }
@test "e_oneshot: ends quietly on SIGTERM, and its port is free" { ends_quietly TERM; }
@test "e_oneshot: ends within a second while 100 clients stall" { ends_with_100_stalled_clients; }
@test "e_oneshot: ends within a second under load" { ends_under_load; }
@test "e_oneshot: ends though nobody reads its output" { ends_when_nobody_reads_its_output; }
@test "e_oneshot: goes on after SIGSTOP and SIGCONT" { survives_a_stop_and_a_continuation; }

@test "e_oneshot: accept4 fails with EINTR: the client is served all the same" { alone retries accept4 EINTR; }
@test "e_oneshot: accept4 fails with ECONNABORTED: the client is served all the same" { alone retries accept4 ECONNABORTED; }
@test "e_oneshot: accept4 fails with EPROTO: the client is served all the same" { alone retries accept4 EPROTO; }
@test "e_oneshot: accept4 fails with EMFILE: the client is served all the same" { alone retries accept4 EMFILE; }
@test "e_oneshot: accept4 fails with ENFILE: the client is served all the same" { alone retries accept4 ENFILE; }
@test "e_oneshot: accept4 fails with ENOBUFS: the client is served all the same" { alone retries accept4 ENOBUFS; }
@test "e_oneshot: accept4 fails again and again: no spin, no flood of messages" { outlasts_a_shortage accept4; }
@test "e_oneshot: recv fails with EINTR: the client is served all the same" { alone retries recvfrom EINTR; }
@test "e_oneshot: send fails with EINTR: the client is served all the same" { alone retries sendto EINTR; }
@test "e_oneshot: recv fails with EAGAIN: the client is served all the same" { alone retries recvfrom EAGAIN; }
@test "e_oneshot: send fails with EAGAIN: the client is served all the same" { alone retries sendto EAGAIN; }
@test "e_oneshot: send takes a part: the rest is sent" { alone sends_the_rest; }
@test "e_oneshot: recv fails with ECONNRESET: it costs one client at most" { alone keeps_serving recvfrom ECONNRESET; }
@test "e_oneshot: recv fails with ETIMEDOUT: it costs one client at most" { alone keeps_serving recvfrom ETIMEDOUT; }
@test "e_oneshot: send fails with EPIPE: it costs one client at most" { alone keeps_serving sendto EPIPE; }
@test "e_oneshot: send fails with ECONNRESET: it costs one client at most" { alone keeps_serving sendto ECONNRESET; }
@test "e_oneshot: epoll_wait fails with EINTR: nobody is lost" { alone retries epoll_wait EINTR; }
@test "e_oneshot: epoll_ctl fails with ENOMEM when a client is added: it costs that one at most" { alone loses_one_that_cannot_be_added ENOMEM; }
@test "e_oneshot: epoll_ctl fails with ENOSPC when a client is added: it costs that one at most" { alone loses_one_that_cannot_be_added ENOSPC; }
@test "e_oneshot: epoll_ctl fails when EPOLLOUT is asked for: it costs one client at most" { alone keeps_serving epoll_ctl ENOMEM 3; }
@test "e_oneshot: epoll_ctl fails when interest ends: it costs one client at most" { alone keeps_serving epoll_ctl ENOMEM 4; }
@test "e_oneshot: shutdown fails with ENOTCONN: the connection is closed" { alone keeps_serving shutdown ENOTCONN; }

@test "e_oneshot: the listener and the connections do not block" { has_non_blocking_sockets; }
@test "e_oneshot: 300 stalled clients do not hold up another" { serves_beside_300_stalled_clients; }
@test "e_oneshot: more clients than descriptors: no spin, and service again when some leave" { turns_away_clients_beyond_its_descriptors; }
@test "e_oneshot: a client that is turned away is told so at once" { tells_the_clients_it_turns_away; }
@test "e_oneshot: more clients than memory: service again when some leave" { turns_away_clients_when_memory_is_short; }

@test "e_oneshot: a first client that stalls does not hold up the second" {
  start
  hold "$port" send 'GET / HT'
  ask --max-time 0.3
  stop
}

@test "e_oneshot: the calls of one request, in their order: to arm is the last" {
  alone traced accept4,epoll_ctl,recvfrom,write,sendto,shutdown,close
  local idle
  idle=$(descriptors)
  "$client" "$port" send "$request" read
  wait_for has_descriptors "$idle"
  stop
  sed -n -E 's/^[0-9]+ +//
    s/^epoll_ctl\([0-9]+, ([A-Z_]+), [0-9]+, \{events=([A-Z|]+).*/\1 \2/
    s/^([a-z0-9]+)\(.*/\1/
    /^accept4/,/^close/p' "$trace" >"$dir/calls"
  printf '%s\n' accept4 'EPOLL_CTL_ADD EPOLLIN|EPOLLONESHOT' \
    'EPOLL_CTL_MOD EPOLLIN|EPOLLONESHOT' recvfrom write \
    'EPOLL_CTL_MOD EPOLLOUT|EPOLLONESHOT' sendto shutdown \
    'EPOLL_CTL_MOD EPOLLONESHOT' close >"$dir/expected"
  same "$dir/expected" "$dir/calls"
}

@test "e_oneshot: what one recv has left is reported once it is armed again" {
  traced epoll_ctl,recvfrom
  "$client" "$port" send "$(printf 'x%.0s' {1..5000})$request" read
  stop
  [ "$(grep -c 'recvfrom(' "$trace")" -eq 5 ]
  # Of these, one is for the listener.
  [ "$(grep -c 'MOD, .*{events=EPOLLIN|EPOLLONESHOT' "$trace")" -eq 5 ]
}

@test "e_oneshot: EPOLLONESHOT is with every registration, and ADD comes once" {
  traced epoll_ctl
  answers
  hold "$port" send 'GET / HT'
  answers
  stop
  grep 'epoll_ctl(' "$trace" >"$dir/calls"
  run ! grep -v EPOLLONESHOT "$dir/calls"
  [ "$(grep -c EPOLL_CTL_ADD "$dir/calls")" -eq 4 ]
  run ! grep EPOLL_CTL_DEL "$dir/calls"
}

@test "e_oneshot: EPOLL_CTL_ADD does not arm: the descriptor is still there" {
  changed 's/EPOLL_CTL_MOD, c, next/EPOLL_CTL_ADD, c, next/'
  traced epoll_ctl
  "$client" "$port" send "$request" read >"$dir/answer" 2>&1
  run ! grep Hello "$dir/answer"
  grep '^epoll_ctl: File exists' "$err"
  grep 'EPOLL_CTL_ADD, .*EPOLLOUT.*EEXIST' "$trace"
  stop
}

@test "e_oneshot: no two workers are in one connection" {
  watched
  local i
  for i in 1 2 3; do
    "$client" -n 20 "$port" fill 2000 send "$request" read
  done >"$dir/answers"
  stop
  [ "$(grep -o 'Hello, world!' "$dir/answers" | wc -l)" -eq 60 ]
  run ! grep 'two threads' "$err"
}

@test "e_oneshot: without EPOLLONESHOT, two workers are in one connection" {
  changed 's/events | EPOLLONESHOT/events/'
  watched
  "$client" -n 20 "$port" fill 2000 send "$request" read >"$dir/answers" 2>&1 3>&- &
  wait_for grep -q 'two threads' "$err"
}

all_take_part() {
  "$client" -n 20 "$port" send "$request" read
  [ "$(grep -c 'takes part' "$err")" -eq 4 ]
}

@test "e_oneshot: all four workers take part" {
  watched
  wait_for all_take_part
  stop
}

@test "e_oneshot: requests that come one byte at a time, four at once, are each answered once" {
  watched
  local i pids=()
  for i in 1 2 3 4; do
    "$client" "$port" drip "$request" read >"$dir/answer.$i" 3>&- &
    pids+=($!)
  done
  wait "${pids[@]}"
  expected_response >"$dir/expected"
  for i in 1 2 3 4; do same "$dir/expected" "$dir/answer.$i"; done
  stop
  run ! grep 'two threads' "$err"
}

@test "e_oneshot: what two workers print does not mix" {
  watched
  "$client" -n 40 "$port" fill 5000 send '\r\n\r\n' read >"$dir/answers"
  stop
  local i
  for i in {1..40}; do
    as_printed "$(printf 'x%.0s' {1..5000})\r\n\r\n"
  done >"$dir/expected"
  same "$dir/expected" "$out"
}

@test "e_oneshot: a signal that comes before main waits for it is not lost" {
  traced rt_sigtimedwait -e inject=rt_sigtimedwait:delay_enter=300000
  within_a_second stop
}

@test "e_oneshot: SIGUSR1 from elsewhere does nothing" {
  start
  kill -USR1 "$server"
  answers
  stop
}

@test "e_oneshot: a thread that can't be created is named, and the exit status is 1" {
  [ -z "${BIN:-}" ] || skip 'a sanitizer creates threads itself'
  run -1 timeout -s KILL 5 strace -o "$trace" -e inject=clone3:error=EAGAIN \
    "$bin/$EXAMPLE" $((10000 + RANDOM % 20000))
  [ "$output" = 'pthread_create: Resource temporarily unavailable' ]
}

@test "e_oneshot: signals that can't be blocked are named, and the exit status is 1" {
  [ -z "${BIN:-}" ] || skip 'a sanitizer makes this call itself, before main'
  ends_if_a_call_fails_at_start rt_sigprocmask:sigprocmask
}

@test "e_oneshot: a listener that can't be armed is named, and the exit status is 1" {
  alone traced epoll_ctl -e inject=epoll_ctl:error=ENOMEM:when=2
  "$client" "$port"
  ended 1
  grep '^epoll_ctl: Cannot allocate memory' "$err"
}

@test "e_oneshot: EPOLLET is nowhere" { asks_for_no_edges; }

@test "e_oneshot: TCP_CORK is nowhere" { has_no_option TCP_CORK; }
@test "e_oneshot: TCP_NODELAY is nowhere" { has_no_option TCP_NODELAY; }
