# What makes appendix A itself: example 3 over select, with its own list of
# what it waits for, and the end of this list at FD_SETSIZE.

EXAMPLE=a_select
load ../../tests/helpers

# The calls of select, as strace names them.
selects='?select,pselect6'

@test "selects, accepts, reads, answers and closes in this order" {
  look='main, read_request, send_response: the first call that differs'
  start_traced "$selects,accept4,recvfrom,write,writev,sendto,shutdown,close"
  assert_answer send "$request" read
  assert_no_leak
  stop_server
  sed -i -E 's/^p?select.*\((in|out) \[[0-9]+\].*/select_\1()/
    /^p?select6?\(/d' "$trace"
  assert_calls accept4 accept4 select_in recv write select_out send shutdown close
}

@test "serves the second client while the first is silent" {
  look='main and read_request: only select may sleep'
  start_server
  hold_client send 'GET / HT'
  assert_curl_is_answered
  stop_server
}

@test "calls select, and nothing of epoll" {
  look='the whole program'
  start_traced '/poll|select'
  assert_answer send "$request" read
  stop_server
  assert_trace '^p?select'
  refute_trace epoll
}

@test "is woken again for what one recv has left (level-triggered)" {
  look='read_request: one recv per event'
  start_traced "$selects,recvfrom"
  assert_answer send "$(printf 'x%.0s' {1..5000})$request" read
  stop_server
  [ "$(count_trace '^recvfrom')" -eq 5 ] ||
    fail '5 calls of recv for 5,018 bytes' "$(count_trace '^recvfrom')"
  [ "$(count_trace '^p?select.*\(in ')" -eq 6 ] ||
    fail '6 readable descriptors: the listener, then 5 times the client' \
      "$(count_trace '^p?select.*\(in ')"
}

# The listener and five silent clients, with the sixth in the other set; then
# the listener alone, as in the first call.
# watched: the two sets of each call.
watched() { sed -n -E 's/^p?select6?\([0-9]+, (\[[^]]*\], \[[^]]*\]).*/\1/p' "$trace"; }

# The first call has the listener alone.
is_as_first() { [ "$(watched | tail -n 1)" = "$(watched | head -n 1)" ]; }

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

@test "accepts 120 waiting clients, at most 64 in a row" {
  local most
  look='accept_connections: MAX_ACCEPTS'
  start_traced "accept4,$selects"
  serve_queued 120
  stop_server
  most=$(awk '/^p?select/ { n = 0 }
    /^accept4.* = [0-9]/ { if (++n > most) most = n } END { print most }' "$trace")
  [ "$most" -eq 64 ] || fail '64 clients accepted in a row' "$most clients"
}

# --- The end of a set ---------------------------------------------------------

# needs_descriptors: 1,600 of them, and one client program with half of them.
needs_descriptors() {
  [ "$(ulimit -H -n)" -ge 1600 ] || skip 'the hard limit of descriptors is below 1,600'
  ulimit -S -n 1600
}

has_said() { [ "$(grep -c "$2" "$err")" -eq "$1" ]; }

# The first 550 clients have descriptors below 1,024. The next 550 fill the sets.
@test "refuses clients beyond FD_SETSIZE, and only these" {
  needs_descriptors
  look='accept_connection: MAX_DESCRIPTORS'
  start_server
  local beyond=$((1100 - (1024 - descriptors_at_start))) first first_answer
  start_client -n 550 send 'GET / HT' wait send 'TP/1.0\r\n\r\n' read
  await_ready
  first=$client first_answer=$answer
  hold_client -n 550 send 'GET / HT'
  wait_for has_said "$beyond" '^table full: client refused$' ||
    fail "the server refuses $beyond clients" \
      "$(what_happened || grep -c 'client refused' "$err") clients"
  client read
  assert_no_answer
  release "$first"
  wait "$first" || timed_out
  [ "$(grep -o 'Hello, world!' "$first_answer" | wc -l)" -eq 550 ] ||
    fail 'the first 550 clients are answered' \
      "$(what_happened || grep -o 'Hello, world!' "$first_answer" | wc -l) answers"
  assert_curl_is_answered
  release "$client"
  assert_no_leak
  stop_server
}

# FD_SET for the listener itself would write beyond the end of the set.
@test "names the failure, when 1,100 descriptors are in use at the start" {
  needs_descriptors
  look='main: the listener and MAX_DESCRIPTORS'
  did='the test starts the server with 1,100 open descriptors'
  # A sanitizer would need a descriptor to look for leaks.
  ASAN_OPTIONS=$ASAN_OPTIONS:detect_leaks=0 run timeout 5 bash -c '
    for fd in {3..1100}; do eval "exec $fd</dev/null"; done
    exec "$@"' bash "$bin/$EXAMPLE" $((10000 + RANDOM % 20000))
  [[ $status -eq 1 && $output =~ ^socket:\ (Too many open files|No file descriptors available)$ ]] ||
    fail 'status 1: socket: Too many open files' "status $status: $output"
}

# --- System calls that fail ---------------------------------------------------

@test "select fails with EINTR: it costs nobody" {
  look='main: what follows select'
  start_traced "$selects" -e "inject=$selects:error=EINTR:when=1"
  did='strace lets select fail once with EINTR'
  assert_answer send "$request" read
  assert_trace INJECTED
  stop_server
}

# select leaves the sets unchanged when it fails: every client seems ready.
@test "select fails with EINTR: it reads from nobody" {
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
  start_server strace -D -o "$trace" -e "trace=$selects" \
    -e "inject=$selects:error=ENOMEM:when=2"
  did='strace lets select fail with ENOMEM'
  client send "$request" read
  assert_server_exits 1
  assert_said '^select: (Cannot allocate|Out of) memory'
}

# fails_once CALL ERROR: strace lets it fail; even this client is answered.
fails_once() {
  start_traced "$1" -e "inject=$1:error=$2:when=1"
  did="strace lets $1 fail once with $2"
  assert_answer send "$request" read
  assert_trace INJECTED
  assert_lines_said 0
  assert_no_leak
  stop_server
}

@test "recv fails with EAGAIN: the client is answered all the same" {
  look='read_request: EAGAIN'
  fails_once recvfrom EAGAIN
}
@test "send fails with EAGAIN: the client is answered all the same" {
  look='send_response: EAGAIN'
  fails_once sendto EAGAIN
}
@test "shutdown fails with ENOTCONN: the connection is closed" {
  look='send_response: shutdown'
  fails_once shutdown ENOTCONN
}
