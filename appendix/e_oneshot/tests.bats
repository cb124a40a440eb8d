# What makes appendix E itself: EPOLLONESHOT, and four workers with one epoll
# instance. What it has in common with example 3 is in the shared files.

EXAMPLE=e_oneshot
THREADS=yes
load ../../tests/helpers

# ThreadSanitizer would wait for a second before it ends a program.
export TSAN_OPTIONS=atexit_sleep_ms=0

# alone: use the program with one worker. strace counts the calls of each thread
# separately, so only then does a test know which call fails.
alone() { bin=$top/${BIN:-build}/one; }

# without_pids: takes the number of the thread from each line of the trace.
without_pids() { sed -i -E 's/^[0-9]+ +//' "$trace"; }

# start_slow: every call of the server takes longer, so that workers meet; then
# they say so on stderr.
start_slow() {
  "${CC:-cc}" -shared -fPIC -o "$dir/slow.so" "$top/appendix/e_oneshot/one_at_a_time.c"
  start_server env "LD_PRELOAD=$dir/slow.so"
}

# change EXPRESSION: from now on, the program as sed changes it.
change() {
  local source=$top/appendix/$EXAMPLE/server.c
  bin=$dir/changed
  mkdir "$bin"
  sed "$1" "$source" >"$bin/server.c"
  ! cmp -s "$source" "$bin/server.c" || fail "the source has: $1" 'it does not'
  "${CC:-cc}" -pthread -o "$bin/$EXAMPLE" "$bin/server.c"
}

assert_never_two() {
  look='watch: EPOLLONESHOT'
  ! grep -q 'two threads' "$err" ||
    fail 'one worker for each client' "$(grep -m 1 'two threads' "$err")"
}

@test "registers, reads, prints, answers and closes; the worker arms last" {
  alone
  start_traced accept4,epoll_ctl,recvfrom,write,writev,sendto,shutdown,close
  look='accept_connection, read_request, send_response: the first call that differs'
  assert_answer send "$request" read
  assert_no_leak
  stop_server
  without_pids
  assert_calls accept4 'EPOLL_CTL_ADD EPOLLIN|EPOLLONESHOT' \
    'EPOLL_CTL_MOD EPOLLIN|EPOLLONESHOT' recv write \
    'EPOLL_CTL_MOD EPOLLOUT|EPOLLONESHOT' send shutdown \
    'EPOLL_CTL_MOD EPOLLONESHOT' close
}

@test "uses EPOLLONESHOT in every registration, EPOLL_CTL_ADD once for each client" {
  look=watch
  start_traced epoll_ctl
  assert_answer send "$request" read
  hold_client send 'GET / HT'
  assert_answer send "$request" read
  stop_server
  refute_trace 'epoll_ctl\(.*events=(EPOLLIN|EPOLLOUT|0),'
  refute_trace 'EPOLL_CTL_DEL|EPOLLET'
  [ "$(count_trace EPOLL_CTL_ADD)" -eq 4 ] ||
    fail '4 calls with EPOLL_CTL_ADD, for the listener and 3 clients' \
      "$(count_trace EPOLL_CTL_ADD)"
}

@test "arms a client again after each recv of a long request" {
  look='read_request: the last branch'
  start_traced epoll_ctl,recvfrom
  assert_answer send "$(printf 'x%.0s' {1..5000})$request" read
  stop_server
  [ "$(count_trace 'recvfrom\(')" -eq 5 ] ||
    fail '5 calls of recv, for 5,018 bytes' "$(count_trace 'recvfrom\(') calls"
  # One of these is for the listener.
  [ "$(count_trace 'MOD, .*{events=EPOLLIN\|EPOLLONESHOT')" -eq 5 ] ||
    fail 'EPOLL_CTL_MOD after each of the first 4' \
      "$(count_trace 'MOD, .*{events=EPOLLIN\|EPOLLONESHOT') calls in all"
}

@test "answers the client when accept4, recv or send fails for a moment" {
  local call
  alone
  look='accept_connection, read_request, send_response: what follows the call'
  for call in accept4:EAGAIN accept4:ECONNABORTED recvfrom:EAGAIN sendto:EAGAIN; do
    start_traced "${call%:*}" -e "inject=${call%:*}:error=${call#*:}:when=1"
    did="strace lets ${call%:*} fail once with ${call#*:}"
    assert_answer send "$request" read
    assert_trace INJECTED
    assert_lines_said 0
    stop_server
  done
}

@test "sends the rest of the response when send accepts only part of it" {
  look='send_response: the last branch'
  did='strace lets the first send claim that it sent 10 bytes'
  alone
  start_traced sendto -e inject=sendto:retval=10:when=1
  client send "$request" read
  expected_response | tail -c +11 >"$dir/expected"
  assert_bytes_equal "$dir/expected" "$dir/answer" 'the rest of the response'
  stop_server
}

@test "fails to arm a client with EPOLL_CTL_ADD: it is still registered" {
  change 's/EPOLL_CTL_MOD, fd, EPOLLOUT/EPOLL_CTL_ADD, fd, EPOLLOUT/'
  start_traced epoll_ctl
  client send "$request" read
  assert_no_answer
  assert_said '^epoll_ctl: File exists'
  assert_trace 'EPOLL_CTL_ADD, .*EPOLLOUT.*EEXIST'
  stop_server
}

@test "never has two workers with the same client" {
  local answers
  start_slow
  client -n 60 fill 2000 send "$request" read
  stop_server
  answers=$(grep -o 'Hello, world!' "$dir/answer" | wc -l)
  [ "$answers" -eq 60 ] || fail '60 answers' "$answers"
  assert_never_two
}

@test "has two workers with the same client, without EPOLLONESHOT" {
  change 's/events | EPOLLONESHOT/events/'
  start_slow
  start_client -n 20 fill 2000 send "$request" read
  assert_said 'two threads'
}

@test "lets all four workers take part" {
  look='main: WORKERS'
  start_slow
  four() {
    client -n 20 send "$request" read
    [ "$(grep -c 'takes part' "$err")" -eq 4 ]
  }
  wait_for four || fail '4 workers call accept4, recv or send' \
    "$(grep -c 'takes part' "$err")"
  stop_server
}

@test "answers four requests that arrive byte by byte at the same time, each once" {
  local i pids=()
  start_slow
  for i in 1 2 3 4; do
    start_client drip "$request" read
    pids+=("$client")
  done
  expected_response >"$dir/expected"
  for i in 0 1 2 3; do
    wait "${pids[i]}" || true
    assert_bytes_equal "$dir/expected" "$dir/answer.$i" 'each client gets'
  done
  stop_server
  assert_never_two
}

@test "does not mix the requests that two workers print" {
  local i
  look='print_request: flockfile'
  start_slow
  client -n 40 fill 5000 send '\r\n\r\n' read
  stop_server
  for i in {1..40}; do
    printf -- '-%.0s' {1..40}
    printf '\n%5000s\r\n\n' '' | tr ' ' x
  done >"$dir/expected"
  cmp -s "$dir/expected" "$out" || fail '40 requests, one after the other' \
    "lines of these lengths: $(awk '{ print length }' "$out" | sort -n | uniq -c)"
}

# Under ThreadSanitizer, this is what finds a missing lock.
@test "survives clients of all kinds at once" {
  local i pid pids=()
  start_server
  for i in 1 2 3; do
    start_client -n 30 send "$request" read
    pids+=("$client")
    start_client -n 15 send 'GET / HT' finish read
    start_client -n 15 fill 3000 reset
    start_client -n 10 fill 9000 read
    start_client -n 10 fill 2000 send "$request" finish reset
    start_client -n 30
  done
  for pid in "${clients[@]}"; do wait "$pid" || true; done
  cat "$dir"/answer.* >"$dir/answers"
  [ "$(grep -o 'Hello, world!' "$dir/answers" | wc -l)" -ge 90 ] ||
    fail 'at least 90 answers' "$(grep -o 'Hello, world!' "$dir/answers" | wc -l)"
  assert_curl_is_answered
  assert_no_leak
  stop_server
}

@test "tries accept4 again once a second while it fails, and says so" {
  local PATIENCE=6 before=$SECONDS
  look='work: arm_listener'
  start_traced accept4 -e inject=accept4:error=EMFILE
  did='strace lets every accept4 fail with EMFILE'
  start_client
  three_times() { [ "$(count_trace EMFILE)" -ge 3 ]; }
  wait_for three_times || fail '3 calls of accept4 in 6 s' "$(count_trace EMFILE)"
  assert_sleeps
  [ "$(count_trace EMFILE)" -le $((2 + SECONDS - before)) ] ||
    fail 'one call of accept4 each second' "$(count_trace EMFILE)"
  assert_lines_said "$(count_trace EMFILE)"
  stop_server
}

# Four times, all descriptors are in use when a client comes, and then another
# client leaves. Without that event, each would wait for a second.
@test "serves a client that waits for a descriptor as soon as another leaves" {
  local i before took silent=()
  look='work: arm_listener'
  start_server bash -c 'ulimit -n 12; exec "$@"' bash
  for i in {0..11}; do
    if [ -e "/proc/$server/fd/$i" ]; then continue; fi
    hold_client
    silent+=("$client")
  done
  before=${EPOCHREALTIME/./}
  for i in 0 1 2 3; do
    start_client wait send "$request" read
    await_ready
    assert_said "^accept4: $EMFILE"
    release "${silent[i]}" "$client"
    assert_response_of "$client"
    hold_client
  done
  took=$(((${EPOCHREALTIME/./} - before) / 1000))
  [ "$took" -lt 3000 ] || fail '4 answers within 3 s' "$took ms"
  look='accept_connection: shortage'
  [ "$(grep -c ^accept4 "$err")" -le 3 ] ||
    fail 'one line for all four' "$(grep -c ^accept4 "$err") lines"
  stop_server
}

@test "ends at once when its parent has blocked SIGTERM and SIGUSR1" {
  look='end and catch_signals'
  start_server env --block-signal=TERM,USR1
  hold_client send 'GET / HT'
  stop_server
}

# survives_failure ERROR WHEN: epoll_ctl fails, the WHENth time that the worker
# calls it: ADD of the client, MOD of the listener, MOD to EPOLLOUT, MOD to
# nothing, ADD of the next client. It costs at most one client and one line.
survives_failure() {
  alone
  start_traced epoll_ctl -e "inject=epoll_ctl:error=$1:when=$2"
  did="strace lets epoll_ctl fail with $1, the call number $2"
  client send "$request" read
  client send "$request" read
  assert_trace INJECTED
  assert_curl_is_answered
  assert_said '^epoll_ctl: '
  assert_lines_said 1
  assert_no_leak
  stop_server
}

@test "epoll_ctl fails when it adds a client: it costs this client" { survives_failure ENOSPC 5; }
@test "epoll_ctl fails when it asks for EPOLLOUT: it costs this client" { survives_failure ENOMEM 3; }
@test "epoll_ctl fails after the response: the connection is closed" { survives_failure ENOMEM 4; }

@test "epoll_ctl fails between two calls of recv: it costs this client" {
  alone
  look='read_request: the last branch'
  start_traced epoll_ctl -e inject=epoll_ctl:error=ENOMEM:when=3
  client send 'GET / HT' read
  assert_no_answer
  assert_said "^epoll_ctl: $ENOMEM"
  assert_no_leak
  stop_server
}

@test "shutdown fails with ENOTCONN: the connection is closed" {
  alone
  look='send_response: shutdown'
  start_traced shutdown -e inject=shutdown:error=ENOTCONN:when=1
  assert_answer send "$request" read
  assert_no_leak
  stop_server
}

@test "the listener cannot be armed after a client: the server says so, status 1" {
  alone
  look='work: arm_listener'
  start_traced epoll_ctl -e inject=epoll_ctl:error=ENOMEM:when=2
  start_client
  assert_server_exits 1
  assert_said "^epoll_ctl: $ENOMEM"
}

@test "the listener cannot be armed after a shortage: the server says so, status 1" {
  alone
  look='work: arm_listener'
  start_traced accept4,epoll_ctl -e inject=accept4:error=EMFILE:when=2 \
    -e inject=epoll_ctl:error=ENOMEM:when=3
  hold_client
  start_client
  assert_server_exits 1
  assert_said "^epoll_ctl: $ENOMEM"
}

@test "a thread cannot be created: the server says so and exits with status 1" {
  if [ -n "${SANITIZED:-}" ]; then skip 'a sanitizer creates threads itself'; fi
  look='main: pthread_create'
  start_with_failure clone,clone3:error=EAGAIN
  [[ $status -eq 1 && $output == 'pthread_create: Resource temporarily unavailable' ]] ||
    fail 'status 1: pthread_create: Resource temporarily unavailable' \
      "status $status: $output"
}
