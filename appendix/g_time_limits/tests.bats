# What makes appendix G itself: a timer and signals that are descriptors, and
# clients that may not stay forever. What it has in common with example 3 is in
# the shared files.

EXAMPLE=g_time_limits
load ../../tests/helpers

# The limit of build/short/g_time_limits. The program itself has 10,000 ms.
limit=1000

# short: use the program with the short limit.
short() { bin=$top/${BIN:-build}/short; }

# start_short_with_20_MB: the same, with a response of 20,000,000 bytes.
start_short_with_20_MB() {
  local SOURCE=build/short/server.c
  sed "s/^#define LIMIT_MS .*/#define LIMIT_MS $limit/" \
    "$BATS_TEST_DIRNAME/server.c" >"$top/$SOURCE"
  start_with_20_MB
}

# pass MS: waits.
pass() { sleep "$(printf '%d.%03d' $(($1 / 1000)) $(($1 % 1000)))"; }

# assert_limit SINCE: the server closes the connection LIMIT_MS after SINCE, not
# earlier, and says so. How much later depends on how busy the machine is.
assert_limit() {
  local PATIENCE=$((PATIENCE + 2)) after
  assert_said '^time limit: client disconnected'
  after=$(since "$1")
  [ "$after" -ge $((limit - 20)) ] ||
    fail "the server closes the connection after $limit ms" "after $after ms"
}

# in_time SINCE: skips a test that needs clients to do something within the limit.
in_time() {
  [ "$(since "$1")" -lt $((limit - 50)) ] || skip 'this machine is too busy for it'
}

# --- Clients that take too long --------------------------------------------

@test "closes the connection of a silent client when its time is up" {
  short
  look='start_limit and close_due'
  start_server
  local began
  began=$(now)
  start_client read
  assert_limit "$began"
  client_status=0
  wait "$client" || client_status=$?
  cp "$answer" "$dir/answer"
  assert_no_answer
  assert_lines_said 1
  assert_no_leak
  stop_server
}

@test "gives no more time to a client that sends a byte now and then" {
  short
  look='read_request: only a complete request starts the limit again'
  start_server
  local began
  began=$(now)
  start_client drip "$(printf 'x%.0s' {1..4000})" read
  assert_limit "$began"
  assert_lines_said 1
  assert_no_leak
  stop_server
}

# Fast enough that the server sends again and again, too slow for 20 MB.
read_slowly() {
  local socket i
  exec {socket}<>"/dev/tcp/127.0.0.1/$port"
  printf "$request" >&"$socket"
  for i in {1..30}; do
    head -c 200000 <&"$socket" >/dev/null
    pass 100
  done
}

@test "gives no more time to a client that reads slowly" {
  look='send_response: it does not start the limit again'
  start_short_with_20_MB
  local began
  began=$(now)
  did='a client: connects, sends a request, reads 200,000 bytes every 0.1 s'
  read_slowly &
  assert_limit "$began"
  assert_lines_said 1
  assert_no_leak
  stop_server
}

# --- Clients that do not ----------------------------------------------------

twice_ready() { [ "$(grep -c ready "$answer")" -eq 2 ]; }

@test "gives each phase its own time" {
  look='read_request: start_limit'
  start_short_with_20_MB
  local first began bytes
  first=$(now)
  start_client send 'GET / HT' wait send 'TP/1.0\r\n\r\n' wait read
  await_ready
  pass $((limit * 6 / 10))
  began=$(now)
  release "$client"
  wait_for twice_ready
  in_time "$first"
  pass $((limit * 5 / 10))
  release "$client"
  wait "$client" || true
  in_time "$began"
  bytes=$(sed '/^ready$/d' "$answer" | wc -c)
  [ "$bytes" -eq 20000000 ] || fail '20,000,000 bytes' "$bytes bytes"
  assert_lines_said 0
  stop_server
}

@test "gives a client all its time, a client that had its descriptor before" {
  short
  look='close_connection and accept_connection'
  start_server
  local began
  began=$(now)
  hold_client
  pass $((limit * 6 / 10))
  release "$client"
  wait "$client"
  in_time "$began"
  assert_said '^no complete request'
  began=$(now)
  start_client send 'GET / HT' wait send 'TP/1.0\r\n\r\n' read
  await_ready
  pass $((limit * 6 / 10))
  release "$client"
  wait "$client" || true
  in_time "$began"
  assert_response_of "$client"
  assert_lines_said 1
  stop_server
}

# Events of the same epoll_wait: the timer's comes first.
@test "answers requests that are there when the time is up" {
  short
  look='main: close_due comes after all other events'
  start_server
  local began
  began=$(now)
  start_client -n 20 send 'GET / HT' wait send 'TP/1.0\r\n\r\n' wait read
  await_ready
  wait_for has_descriptors $((descriptors_at_start + 20)) || in_time "$began"
  did="while the server is stopped, time passes, then $did"
  suspend_server
  in_time "$began"
  pass $((limit + 200))
  release "$client"
  wait_for twice_ready
  kill -CONT "$server"
  release "$client"
  wait "$client" || true
  [ "$(grep -c 'Hello, world!' "$answer")" -eq 20 ] || fail '20 answers' \
    "$(what_happened || echo "$(grep -c 'Hello, world!' "$answer"); $(tail -n 2 "$err")")"
  assert_lines_said 0
  assert_no_leak
  stop_server
}

@test "more silent clients than descriptors: the next one is served when their time is up" {
  short
  local PATIENCE=$((PATIENCE + 2))
  look='close_due, and main: shortage'
  start_server bash -c 'ulimit -n 20; exec "$@"' bash
  hold_client -n 15
  assert_said "^accept4: $EMFILE"
  assert_curl_is_answered
  assert_no_leak
  stop_server
}

# --- Many -------------------------------------------------------------------

@test "closes at most 64 connections before it serves others" {
  short
  look='close_due: MAX_EVENTS'
  start_traced "close,$epoll_wait"
  local began
  began=$(now)
  hold_client -n 100 send 'GET / HT'
  wait_for has_descriptors $((descriptors_at_start + 100)) || in_time "$began"
  suspend_server
  in_time "$began"
  pass $((limit + 200))
  kill -CONT "$server"
  assert_no_leak
  stop_server
  awk '/^close/ { if (++n > most) most = n } /^epoll/ { n = 0 }
    END { print most }' "$trace" >"$dir/most"
  [ "$(<"$dir/most")" -eq 64 ] ||
    fail '64 calls of close, then epoll_wait' "$(<"$dir/most") calls of close"
}

# --- The timer --------------------------------------------------------------

@test "uses the clock that nobody can set back" {
  short
  look='open_timer and now'
  start_traced timerfd_create,timerfd_settime
  client read
  assert_said '^time limit'
  stop_server
  assert_trace 'timerfd_create\(CLOCK_MONOTONIC, '
  # A time of another clock would be decades away.
  assert_trace 'timerfd_settime\([0-9]+, TFD_TIMER_ABSTIME, .*tv_sec=[1-9]'
}

@test "does not set the timer for a client that comes while others are there" {
  look='accept_connection: set_timer'
  start_traced timerfd_settime
  hold_client
  client -n 30 send "$request" read
  client -n 30 send 'GET / HT' finish read
  stop_server
  assert_count 1 timerfd_settime '1 call of timerfd_settime for 61 clients'
}

# The client has left long before; the timer expires once.
@test "switches the timer off when nobody is connected, and sleeps" {
  short
  look=set_timer
  start_traced "$epoll_wait,timerfd_settime"
  assert_answer send "$request" read
  assert_trace '^timerfd_settime\(.*it_value=\{tv_sec=0, tv_nsec=0\}'
  assert_lines_said 0
  assert_count 2 timerfd_settime '2 calls of timerfd_settime: on, and off'
  assert_sleeps
  pass "$limit"
  [ "$(count_trace '^epoll_p?wait.* = ')" -le 8 ] ||
    fail 'epoll_wait does not return any more' "$(count_trace '^epoll_p?wait.* = ') times"
  assert_curl_is_answered
  stop_server
}

@test "timerfd_settime fails: the server says so and exits with status 1" {
  look=set_timer
  start_failing timerfd_settime EINVAL
  client read
  assert_server_exits 1
  assert_said '^timerfd_settime: Invalid argument'
}

# --- Signals, and descriptors at the start ------------------------------------

@test "gets signals from a descriptor, and ends by leaving the loop" {
  local signal
  for signal in INT TERM; do
    look='catch_signals and main'
    start_traced rt_sigaction,signalfd4,epoll_ctl,exit_group
    stop_server "$signal"
    assert_trace '^signalfd4\(-1, \[INT TERM\]'
    assert_trace '^exit_group\(0\)'
    assert_count 3 EPOLL_CTL_ADD 'EPOLL_CTL_ADD for the listener, the signals and the timer'
    [ -n "${SANITIZED:-}" ] || refute_trace '^rt_sigaction\(SIG(INT|TERM)'
    refute_trace '^---'
  done
}

@test "starts and serves with descriptor 0 closed" {
  short
  look='QUEUE: entry 0 of the table'
  start_server bash -c 'exec "$@" <&-' bash
  hold_client -n 3
  assert_curl_is_answered
  assert_no_leak
  assert_lines_said 3
  stop_server
}
