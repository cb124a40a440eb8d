# Appendix K: what the proxy passes on. failures.bats has what goes wrong.

load peer

@test "curl and ab get the response of ex4 through it" {
  local EXAMPLE=ex4
  start_server
  after_port=("127.0.0.1:$port")
  EXAMPLE=k_proxy
  start_server
  assert_curl_is_answered
  assert_answer drip "$request" read
  if command -v ab >/dev/null; then
    ab -q -n 500 -c 20 "http://127.0.0.1:$port/" >"$dir/ab"
    [[ $(<"$dir/ab") =~ 'Complete requests:      500'.*'Failed requests:        0' ]] ||
      fail '500 requests, none fails' "$(grep requests: "$dir/ab")"
  fi
  assert_no_leak
  stop_server
}

@test "connects, registers, passes on and closes, with these calls and masks" {
  start_other echo
  start_traced accept4,connect,epoll_ctl,getsockopt,recvfrom,sendto,shutdown,close
  start_client wait send hello wait finish read
  look='accept_connection, open_pair, finish_connect'
  assert_trace '^getsockopt.*SO_ERROR'
  release "$client"
  look='read_chunk, send_chunk, update_pair: the first call that differs'
  twice() { [ "$(count_trace '^sendto.* = 5$')" -eq 2 ]; }
  wait_for twice || fail 'two calls of send' "$(count_trace '^sendto')"
  release "$client"
  assert_closed_because 'both: end of stream'
  stop_server
  assert_trace '^connect.*EINPROGRESS'
  assert_calls accept4 connect 'EPOLL_CTL_ADD EPOLLOUT' 'EPOLL_CTL_ADD EPOLLIN' \
    getsockopt 'EPOLL_CTL_MOD EPOLLIN' recv send recv send recv shutdown \
    'EPOLL_CTL_MOD EPOLLONESHOT' recv shutdown close
}

@test "passes 20 MB each way, byte for byte, also if one side reads slowly" {
  local slow
  local -x PATIENCE=$((PATIENCE + 20))
  head -c 20000000 /dev/urandom >"$dir/data1"
  head -c 20000000 /dev/urandom >"$dir/data2"
  for slow in client server; do
    start_pair "$([ $slow = server ] && echo slow || echo fast)" swap "$dir/data1"
    did+="; a client does the same, and the $slow reads slowly"
    timeout "$PATIENCE" "$peer_py" connect "$port" "$([ $slow = client ] && echo slow || echo fast)" swap "$dir/data2" \
      >"$dir/answer" 3>&- || fail 'the client gets the end' "$(what_happened || echo 'it does not')"
    cmp "$dir/data1" "$dir/answer" || fail 'the client gets what the server sent' 'other bytes'
    assert_other_got "$dir/data2"
    assert_closed_because 'both: end of stream'
    stop_server
  done
}

@test "passes on the end of the stream in one direction, while the other one goes on" {
  look=pass_on_end
  start_pair read send hello -- send hello finish read
  client send request finish read
  [ "$(<"$dir/answer")" = hello ] || fail 'the answer hello, after the end' "$(bytes_of "$dir/answer")"
  client read send .later
  [ "$(<"$dir/answer")" = hello ] || fail 'hello, then the end' "$(bytes_of "$dir/answer")"
  said_by_other '^request.later$'
  assert_closed_because 'both: end of stream'
  stop_server
}

@test "passes a reset on as a reset, in both directions" {
  look=reset_pair
  start_pair read -- read send hello reset -- reset
  client send hello reset
  said_by_other 'Connection reset by peer'
  assert_closed_because 'client: Connection reset by peer'
  client send end finish read
  [[ $(<"$dir/answer") = hello && $(<"$dir/client_err") == *'Connection reset by peer'* ]] ||
    fail 'the client gets hello, then a reset' "$(cat "$dir/answer" "$dir/client_err")"
  assert_closed_because 'server: Connection reset by peer'
  client read
  [[ $(<"$dir/client_err") == *'Connection reset by peer'* ]] ||
    fail 'the client gets the reset of a server that resets at once' "$(cat "$err")"
  stop_server
}

stalled() { has_mask 1d && has_mask 40000018; }

# assert_stalls: the proxy does not read from one half, because it wants to send
# to the other one. It sleeps, and needs no more memory.
assert_stalls() {
  local before
  local -x PATIENCE=$((PATIENCE + 5))
  wait_for stalled || fail 'one half is not read, the other one is watched for EPOLLOUT' \
    "these masks: $(grep -h '^tfd' "/proc/$server/fdinfo/"* | cut -c 1-40)"
  before=$(awk '/^VmRSS/ { print $2 }' "/proc/$server/status")
  assert_sleeps
  [ $(($(awk '/^VmRSS/ { print $2 }' "/proc/$server/status") - before)) -lt 200 ] ||
    fail 'the proxy needs no more memory' 'it does'
}

@test "stops reading from one side while the other one does not read; others are served" {
  local flood
  look='watch_queue: QUEUE_SIZE'
  start_pair flood -- echo -- echo
  hold_client
  assert_stalls
  assert_echo
  kill -USR1 "$other"
  release "$client"
  assert_closed_because '(client|server): .*'
  look=set_entry
  assert_echo # and nothing that is left in a queue
  stop_server
  look='watch_queue: QUEUE_SIZE'
  start_pair wait read
  "$peer_py" connect "$port" flood reset 3>&- 2>"$dir/flood" &
  flood=$!
  assert_stalls
  kill -USR1 "$flood"
  assert_closed_because 'client: Connection reset by peer'
  stop_server
}

# Both streams of the client have ended, and its last bytes are in the queue.
@test "sleeps while a client has left, and the server does not read its last bytes" {
  local fd steps
  look='watch_queue: EPOLLONESHOT'
  start_pair finish wait read
  exec {fd}<>"/dev/tcp/127.0.0.1/$port"
  cat <&"$fd" >/dev/null # until the end of the stream
  for steps in {1..200}; do
    if has_mask 1c && has_mask '(4000001|1)8'; then break; fi
    head -c 65536 /dev/zero | tee -a "$dir/sent" >&"$fd"
  done
  exec {fd}>&-
  did+="; a client gets the end, sends $steps times 64 KiB, and leaves"
  assert_sleeps
  kill -USR1 "$other"
  assert_other_got "$dir/sent"
  assert_closed_because 'both: end of stream'
  stop_server
}

# A client sends more than its server reads: epoll reports nothing of it but a
# reset. Then the proxy is stopped. The server resets, another client connects,
# and the first one resets. So there are three events in one round. The first one
# ends the pair that the third one belongs to.
@test "an event of a pair that has ended in the same round costs no new client" {
  local first
  look='close_pair and close_pairs: when they close'
  start_pair wait reset -- echo
  "$peer_py" connect "$port" flood reset 2>"$dir/first" 3>&- &
  first=$!
  wait_for has_mask 40000018 || fail 'the first client is not read' 'it is'
  suspend_server
  kill -USR1 "$other"
  said_by_other '^leaves'
  start_client send hello finish wait read
  await_ready
  kill -USR1 "$first"
  wait "$first"
  did+='; while the proxy is stopped, the server resets, another client connects, and the first one resets'
  kill -CONT "$server"
  release "$client"
  wait "$client" || true
  grep -q hello "$answer" || fail 'the echo for the second client: hello' \
    "$(what_happened || cat "$answer.err"; grep '^closing' "$err")"
  assert_no_leak
  [ "$(grep -c '^closing' "$err")" -eq 2 ] || fail '2 pairs end' "$(grep '^closing' "$err")"
  stop_server
}
