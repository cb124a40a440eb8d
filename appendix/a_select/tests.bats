# What makes appendix A itself: example 3 over select, with its own list of
# what it waits for, and the end of this list at FD_SETSIZE.

EXAMPLE=a_select
load ../../tests/helpers

# The calls of select, as strace names them.
selects='?select,pselect6'

@test "selects, accepts, reads, answers and closes in this order, without epoll" {
  look='main, read_request, send_response: the first call that differs'
  start_traced "$selects,/epoll,accept4,recvfrom,write,writev,sendto,shutdown,close"
  assert_answer send "$request" read
  assert_no_leak
  stop_server
  refute_trace epoll
  sed -i -E 's/^p?select.*\((in|out) \[[0-9]+\].*/select_\1()/
    /^p?select6?\(/d' "$trace"
  assert_calls accept4 accept4 select_in recv write select_out send shutdown close
}

# watched: the two sets of each call. The first call has the listener alone.
watched() { sed -n -E 's/^p?select6?\([0-9]+, (\[[^]]*\], \[[^]]*\]).*/\1/p' "$trace"; }
is_as_first() { [ "$(watched | tail -n 1)" = "$(watched | head -n 1)" ]; }

# The listener and five silent clients, with the sixth in the other set; then
# the listener alone.
@test "passes every client to each select, and none that has left" {
  look='accept_connection, read_request, close_connection: FD_SET and FD_CLR'
  start_traced "$selects"
  hold_client -n 5
  assert_curl_is_answered
  release "$client"
  assert_no_leak
  assert_curl_is_answered
  wait_for is_as_first ||
    fail 'only the listener in the last call' "$(watched | tail -n 1)"
  stop_server
  grep -q -E '^\[[0-9]+( [0-9]+){5}\], \[[0-9]+\]$' <(watched) ||
    fail 'a call with six descriptors to read and one to write' "$(watched)"
}

@test "accepts 30 waiting clients without a select in between" {
  local most
  look='main: the loop around accept_connection'
  start_traced "accept4,$selects"
  serve_queued 30
  stop_server
  most=$(awk '/^p?select/ { n = 0 }
    /^accept4.* = [0-9]/ { if (++n > most) most = n } END { print most }' "$trace")
  [ "$most" -eq 30 ] || fail '30 clients accepted in a row' "$most clients"
}

# --- The end of a set ---------------------------------------------------------

# needs_descriptors: 1,600 of them, and one client program with half of them.
needs_descriptors() {
  [ "$(ulimit -H -n)" -ge 1600 ] || skip 'the hard limit of descriptors is below 1,600'
  ulimit -S -n 1600
}

# In groups of 100, because an accept queue may be as short as 128.
@test "serves no client beyond FD_SETSIZE, and all others" {
  needs_descriptors
  look='accept_connection: MAX_DESCRIPTORS'
  start_server
  local first first_answer answers
  start_client -n 100 send 'GET / HT' wait send 'TP/1.0\r\n\r\n' read
  await_ready
  first=$client first_answer=$answer
  for _ in {1..10}; do hold_client -n 100 send 'GET / HT'; done
  assert_said '^table full: client refused$'
  assert_sleeps
  [ "$(wc -l <"$err")" -le $((3 + SECONDS - started)) ] ||
    fail 'a line per second at most' "$(cat "$err")"
  release "$first"
  wait "$first" || timed_out
  answers=$(grep -o 'Hello, world!' "$first_answer" | wc -l)
  [ "$answers" -eq 100 ] ||
    fail 'the first 100 clients are answered' "$(what_happened || echo "$answers answers")"
  assert_curl_is_answered
  release "${clients[@]:1}"
  assert_no_leak
  stop_server
}

# FD_SET for the listener itself would write beyond the end of the set.
@test "names the failure, when 1,100 descriptors are in use at the start" {
  needs_descriptors
  look='main: the listener and MAX_DESCRIPTORS'
  did='the test starts the server with 1,100 open descriptors'
  run timeout $((PATIENCE * 3)) bash -c '
    for fd in {3..1100}; do eval "exec $fd</dev/null"; done
    exec "$@"' bash "$bin/$EXAMPLE" $((10000 + RANDOM % 20000))
  assert_exits 1 "socket: $EMFILE"
}

# --- System calls that fail ---------------------------------------------------

# select leaves the sets unchanged when it fails: every client seems ready.
@test "select fails with EINTR: it reads from nobody, and serves the next client" {
  look='main: what follows select'
  start_traced "$selects,recvfrom" -e "inject=$selects:error=EINTR:when=3"
  hold_client send 'GET / HT'
  assert_curl_is_answered
  stop_server
  assert_trace INJECTED
  refute_trace '^recvfrom.*EAGAIN'
}

@test "select fails for good: the server says so and exits with status 1" {
  look='main: what follows select'
  start_failing "$selects" ENOMEM 2
  client send "$request" read
  assert_server_exits 1
  assert_said "^select: $ENOMEM"
}

@test "recv, send or shutdown fails once: the client is answered all the same" {
  still_answers recvfrom EAGAIN
  still_answers sendto EAGAIN
  still_answers shutdown ENOTCONN
}
