# What makes appendix B itself: example 3 over poll, with its own list of what
# it waits for.

EXAMPLE=b_poll
load ../../tests/helpers

# The calls of poll, as strace names them.
polls='?poll,ppoll'

@test "polls, accepts, reads, answers and closes in this order, without epoll" {
  look='main, read_request, send_response: the first call that differs'
  start_traced "$polls,/epoll,accept4,recvfrom,write,writev,sendto,shutdown,close"
  assert_answer send "$request" read
  assert_no_leak
  stop_server
  refute_trace epoll
  sed -i -E 's/^p?poll.*revents=(POLL[A-Z|]+)\}.*/poll_\1()/
    /^p?poll\(/d
    s/^poll_POLL(.*)/poll_\L\1/' "$trace"
  assert_calls accept4 accept4 poll_in recv write poll_out send shutdown \
    poll_hup close
}

# watched: the list of each call, without the places that are free. The first
# call has the listener alone.
watched() {
  sed -n -E 's/^p?poll\((\[[^]]*\], [0-9]+).*/\1/p' "$trace" | sed 's/{fd=-1}, //g'
}
is_as_first() { [ "$(watched | tail -n 1)" = "$(watched | head -n 1)" ]; }

# The listener and five silent clients, and one to write to; then the listener
# alone.
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

@test "accepts 30 waiting clients without a poll in between" {
  local most
  look='main: the loop around accept_connection'
  start_traced "accept4,$polls"
  serve_queued 30
  stop_server
  most=$(awk '/^p?poll/ { n = 0 }
    /^accept4.* = [0-9]/ { if (++n > most) most = n } END { print most }' "$trace")
  [ "$most" -eq 30 ] || fail '30 clients accepted in a row' "$most clients"
}

# select would end at 1,024.
@test "serves the 1,101st client beside 1,100 silent ones" {
  [ "$(ulimit -H -n)" -ge 1600 ] || skip 'the hard limit of descriptors is below 1,600'
  ulimit -S -n 1600
  look=watch
  start_server
  # In groups of 100, because an accept queue may be as short as 128.
  for _ in {1..11}; do hold_client -n 100 send 'GET / HT'; done
  assert_curl_is_answered
  release "${clients[@]}"
  assert_no_leak
  stop_server
}

# A mask of 0 would not stop POLLHUP, once the listener is gone. The only client
# leaves in the same poll: the list is empty then.
@test "does not watch the listener in a shortage, and serves the next client a second later" {
  local listener
  look='stop_watching and retry_accept'
  start_traced "accept4,$polls" -e inject=accept4:error=EMFILE:when=3
  hold_client
  assert_trace '^accept4.* EAGAIN'
  suspend_server
  start_client send "$request" read
  release "${clients[0]}"
  wait "${clients[0]}"
  did="while the server is stopped, $did, and the first one leaves; strace lets accept4 fail"
  kill -CONT "$server"
  assert_response_of "$client"
  assert_said "^accept4: $EMFILE"
  assert_no_leak
  stop_server
  listener=$(watched | sed -n -E '1s/.*fd=([0-9]+).*/\1/p')
  refute_trace "fd=$listener, events=0"
  assert_trace '^p?poll\((\[\]|NULL|0x[0-9a-f]+|\[\{fd=-1), 0, (1000|\{tv_sec=1)'
}

# --- System calls that fail ---------------------------------------------------

# poll has then not written its answer, so that of the call before is still there.
@test "poll fails with EINTR: it reads from nobody, and serves the next client" {
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
  start_failing "$polls" ENOMEM 2
  client send "$request" read
  assert_server_exits 1
  assert_said "^poll: $ENOMEM"
}

@test "recv, send or shutdown fails once: the client is answered all the same" {
  still_answers recvfrom EAGAIN
  still_answers sendto EAGAIN
  still_answers shutdown ENOTCONN
}
