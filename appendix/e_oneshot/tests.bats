# What makes appendix E itself: EPOLLONESHOT, and four workers with one epoll
# instance. What it has in common with example 3 is in the shared files.

EXAMPLE=e_oneshot
load ../../tests/helpers

# ThreadSanitizer ends a program at its first finding, not a second after its end.
export TSAN_OPTIONS=halt_on_error=1:atexit_sleep_ms=0

# alone: use the program with one worker. strace counts the calls of each thread
# separately, so only then does a test know which call fails.
alone() { bin=$top/${BIN:-build}/one; }

# start_slow: every call of the server takes longer, so that workers meet; then
# they say so on stderr.
start_slow() {
  "${CC:-cc}" -shared -fPIC -o "$dir/slow.so" "$top/appendix/e_oneshot/one_at_a_time.c"
  start_server env "LD_PRELOAD=$dir/slow.so"
}

# mask EVENTS: a pattern for how strace prints a mask, before 5.13 and since.
mask() { echo "\{(events=)?$1\|EPOLLONESHOT,"; }

@test "registers, reads, prints, answers and closes; the worker arms last" {
  alone
  start_traced accept4,epoll_ctl,recvfrom,write,writev,sendto,shutdown,close
  assert_answer send "$request" read
  assert_no_leak
  stop_server
  look='accept_connection, serve, work: the first call that differs'
  sed -i -E 's/^[0-9]+ +//' "$trace"
  assert_calls accept4 'EPOLL_CTL_ADD EPOLLIN|EPOLLONESHOT' \
    'EPOLL_CTL_MOD EPOLLIN|EPOLLONESHOT' recv write \
    'EPOLL_CTL_MOD EPOLLOUT|EPOLLONESHOT' send shutdown \
    'EPOLL_CTL_MOD EPOLLHUP|EPOLLONESHOT' close
}

@test "uses EPOLLONESHOT in every registration, EPOLL_CTL_ADD once for each client" {
  look=watch
  start_traced epoll_ctl
  assert_answer send "$request" read
  hold_client send 'GET / HT'
  stop_server
  [ "$(count_trace epoll_ctl)" -eq "$(count_trace "$(mask '[A-Z|]+')")" ] ||
    fail 'EPOLLONESHOT in each epoll_ctl' "$(grep -v ONESHOT "$trace")"
  [ "$(count_trace EPOLL_CTL_ADD)" -eq 3 ] ||
    fail '3 calls with EPOLL_CTL_ADD, for the listener and 2 clients' \
      "$(count_trace EPOLL_CTL_ADD)"
}

@test "arms a client again after each recv of a long request" {
  look='read_request: its last line'
  start_traced epoll_ctl,recvfrom
  assert_answer send "$(printf 'x%.0s' {1..5000})$request" read
  stop_server
  [ "$(count_trace 'recvfrom\(')" -eq 5 ] ||
    fail '5 calls of recv, for 5,018 bytes' "$(count_trace 'recvfrom\(') calls"
  # One of these is for the listener.
  [ "$(count_trace "MOD, .*$(mask EPOLLIN)")" -eq 5 ] ||
    fail 'EPOLL_CTL_MOD after each of the first 4' \
      "$(count_trace "MOD, .*$(mask EPOLLIN)") calls in all"
}

@test "never has two workers with the same client" {
  start_slow
  client -n 60 fill 2000 send "$request" read
  stop_server
  look='watch: EPOLLONESHOT'
  ! grep -q 'two threads' "$err" ||
    fail 'one worker for each client' "$(grep -m 1 'two threads' "$err")"
}

@test "lets all four workers take part" {
  look='main: WORKERS'
  start_traced recvfrom
  four() {
    client -n 20 send "$request" read
    [ "$(cut -d ' ' -f 1 "$trace" | sort -u | wc -l)" -eq 4 ]
  }
  wait_for four || fail '4 workers call recv' \
    "$(cut -d ' ' -f 1 "$trace" | sort -u | wc -l)"
  stop_server
}

@test "tries accept4 again once a second while it fails, and says so" {
  local PATIENCE=$((PATIENCE + 4)) before=$SECONDS
  look='work: retry_accept'
  start_traced accept4 -e inject=accept4:error=EMFILE
  did='strace lets every accept4 fail with EMFILE'
  start_client
  three_times() { [ "$(count_trace EMFILE)" -ge 3 ]; }
  wait_for three_times || fail "3 calls of accept4 in $PATIENCE s" "$(count_trace EMFILE)"
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
  look='work: retry_accept'
  start_server bash -c 'ulimit -n 12; exec "$@"' bash
  for i in {0..11}; do
    if [ -e "/proc/$server/fd/$i" ]; then continue; fi
    hold_client
    silent+=("$client")
  done
  before=${EPOCHREALTIME/[.,]/}
  for i in 0 1 2 3; do
    start_client wait send "$request" read
    await_ready
    assert_said "^accept4: $EMFILE"
    release "${silent[i]}" "$client"
    assert_response_of "$client"
    hold_client
  done
  took=$(((${EPOCHREALTIME/[.,]/} - before) / 1000))
  [ "$took" -lt $((PATIENCE * 1500)) ] ||
    fail "4 answers within $((PATIENCE * 1500)) ms" "$took ms"
  stop_server
}

# fails CALL ERROR WHEN: a call fails for the WHENth time. epoll_ctl is called
# for the listener, for the client and the listener, and for each next event.
fails() {
  alone
  start_traced "$1" -e "inject=$1:error=$2:when=$3"
  did="strace lets $1 fail with $2, the call number $3"
  look="what follows $1"
}

@test "epoll_ctl or shutdown fails: it costs one client and one line" {
  local failure
  for failure in 'epoll_ctl ENOSPC 2' 'epoll_ctl ENOMEM 4' 'epoll_ctl ENOMEM 5' \
    'shutdown ENOTCONN 1'; do
    # shellcheck disable=SC2086
    fails $failure
    client send "$request" read
    assert_trace INJECTED
    assert_curl_is_answered
    assert_lines_said 1
    assert_no_leak
    stop_server
  done
}

@test "the listener is gone, or cannot be armed: the server says so once, status 1" {
  local failure
  # After EINVAL, accept4 of musl calls accept.
  for failure in 'accept4,accept EINVAL 1+' 'epoll_ctl ENOMEM 3'; do
    # shellcheck disable=SC2086
    fails $failure
    start_client
    assert_server_exits 1
    assert_said "^${failure%%[, ]*}: "
    assert_lines_said 1
  done
}

@test "a thread cannot be created: the server says so and exits with status 1" {
  if [ -n "${SANITIZED:-}" ]; then skip 'a sanitizer creates threads itself'; fi
  look='main: pthread_create'
  start_with_failure clone,clone3:error=EAGAIN
  [[ $status -eq 1 && $output == 'pthread_create: Resource temporarily unavailable' ]] ||
    fail 'status 1: pthread_create: Resource temporarily unavailable' \
      "status $status: $output"
}
