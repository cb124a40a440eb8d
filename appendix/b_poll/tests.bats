# What makes appendix B itself: example 3 over poll, with its own list of what
# it waits for.

EXAMPLE=b_poll
load ../../tests/helpers

# The calls of poll, as strace names them.
polls='?poll,ppoll'

@test "polls, accepts, reads, answers and closes in this order" {
  look='main, read_request, send_response: the first call that differs'
  start_traced "$polls,accept4,recvfrom,write,writev,sendto,shutdown,close"
  assert_answer send "$request" read
  assert_no_leak
  stop_server
  sed -i -E 's/^p?poll.*revents=(POLL[A-Z|]+)\}.*/poll_\1()/
    /^p?poll\(/d
    s/^poll_POLL(.*)/poll_\L\1/' "$trace"
  assert_calls accept4 accept4 poll_in recv write poll_out send shutdown \
    poll_hup close
}

@test "serves the second client while the first is silent" {
  look='main and read_request: only poll may sleep'
  start_server
  hold_client send 'GET / HT'
  assert_curl_is_answered
  stop_server
}

@test "calls poll, and nothing of epoll" {
  look='the whole program'
  start_traced '/poll|select'
  assert_answer send "$request" read
  stop_server
  assert_trace '^p?poll'
  refute_trace epoll
}

@test "is woken again for what one recv has left (level-triggered)" {
  look='read_request: one recv per event'
  start_traced "$polls,recvfrom"
  assert_answer send "$(printf 'x%.0s' {1..5000})$request" read
  stop_server
  [ "$(count_trace '^recvfrom')" -eq 5 ] ||
    fail '5 calls of recv for 5,018 bytes' "$(count_trace '^recvfrom')"
  [ "$(count_trace '^p?poll.*revents=POLLIN')" -eq 6 ] ||
    fail '6 events with POLLIN: one for the listener, 5 for the client' \
      "$(count_trace '^p?poll.*revents=POLLIN')"
}

# The listener and five silent clients, and one to write to; then the listener
# alone, as in the first call.
# watched: the list of each call, without the places that are free.
watched() {
  sed -n -E 's/^p?poll\((\[[^]]*\], [0-9]+).*/\1/p' "$trace" | sed 's/{fd=-1}, //g'
}

# The first call has the listener alone.
is_as_first() { [ "$(watched | tail -n 1)" = "$(watched | head -n 1)" ]; }

@test "passes every client to each poll, and none that has left" {
  look='watch and close_connection'
  start_traced "$polls"
  hold_client -n 5
  assert_curl_is_answered
  release "$client"
  assert_no_leak
  assert_curl_is_answered
  wait_for is_as_first ||
    fail 'only the listener in the last call' "$(watched | tail -n 1)"
  stop_server
  grep -q -E '^\[(\{fd=[0-9]+, events=POLLIN\}, ){6}\{fd=[0-9]+, events=POLLOUT\}\], [0-9]+$' \
    <(watched) ||
    fail 'a call with six descriptors to read and one to write' "$(watched)"
}

@test "accepts 120 waiting clients, at most 64 in a row" {
  local most
  look='accept_connections: MAX_ACCEPTS'
  start_traced "accept4,$polls"
  serve_queued 120
  stop_server
  most=$(awk '/^p?poll/ { n = 0 }
    /^accept4.* = [0-9]/ { if (++n > most) most = n } END { print most }' "$trace")
  [ "$most" -eq 64 ] || fail '64 clients accepted in a row' "$most clients"
}

# select would end at 1,024.
@test "serves the 1,101st client beside 1,100 silent ones" {
  [ "$(ulimit -H -n)" -ge 1600 ] || skip 'the hard limit of descriptors is below 1,600'
  ulimit -S -n 1600
  look=watch
  start_server
  hold_client -n 1100 send 'GET / HT'
  assert_curl_is_answered
  release "$client"
  assert_no_leak
  stop_server
}

# --- System calls that fail ---------------------------------------------------

@test "poll fails with EINTR: it costs nobody" {
  look='main: what follows poll'
  start_traced "$polls" -e "inject=$polls:error=EINTR:when=1"
  did='strace lets poll fail once with EINTR'
  assert_answer send "$request" read
  assert_trace INJECTED
  stop_server
}

# poll has then not written its answer, so that of the call before is still there.
@test "poll fails with EINTR: it reads from nobody" {
  look='main: what follows poll'
  start_traced "$polls,recvfrom" -e "inject=$polls:error=EINTR:when=3"
  hold_client send 'GET / HT'
  assert_curl_is_answered
  stop_server
  assert_trace INJECTED
  refute_trace '^recvfrom.*EAGAIN'
}

@test "poll fails for good: the server says so and exits with status 1" {
  look='main: what follows poll'
  start_server strace -D -o "$trace" -e "trace=$polls" \
    -e "inject=$polls:error=ENOMEM:when=2"
  did='strace lets poll fail with ENOMEM'
  client send "$request" read
  assert_server_exits 1
  assert_said '^poll: (Cannot allocate|Out of) memory'
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
  start_traced shutdown -e inject=shutdown:error=ENOTCONN:when=1
  did='strace lets shutdown fail once with ENOTCONN'
  start_client send "$request" read
  assert_trace INJECTED
  assert_curl_is_answered
  assert_lines_said 0
  assert_no_leak
  stop_server
}
