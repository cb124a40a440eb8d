# What makes example 4 itself: edge-triggered epoll reports changes only, so
# the program goes on until nothing is left.

EXAMPLE=ex4
load helpers

@test "registers, reads, answers and closes in the article's order" {
  start_traced accept4,epoll_ctl,recvfrom,write,writev,sendto,shutdown,close
  look='accept_connection, read_request, send_response, main: the first call that differs'
  assert_answer send "$request" read
  wait_for has_descriptors "$descriptors_at_start" || true
  stop_server
  assert_calls accept4 'EPOLL_CTL_ADD EPOLLIN|EPOLLET' accept4 recv recv \
    'EPOLL_CTL_MOD EPOLLOUT|EPOLLET' write send 'EPOLL_CTL_MOD EPOLLET' \
    shutdown close
}

@test "uses EPOLLET in every registration" {
  look='the masks of watch'
  start_traced epoll_ctl
  assert_answer send "$request" read
  assert_answer send "$request" read
  stop_server
  refute_trace '^epoll_ctl.*events=(EPOLLIN|EPOLLOUT|0),'
  [ "$(count_trace '^epoll_ctl')" -eq 7 ] ||
    fail '7 calls of epoll_ctl for two clients' "$(count_trace '^epoll_ctl')"
}

@test "uses EPOLLET also when it watches the listener again after a shortage" {
  look='main: shortage'
  start_traced accept4,epoll_ctl -e inject=accept4:error=EMFILE:when=1
  did='strace lets accept4 fail once with EMFILE'
  start_client send "$request" read
  assert_response_of "$client"
  stop_server
  refute_trace '^epoll_ctl.*events=(EPOLLIN|EPOLLOUT),'
}

@test "reads until recv fails with EAGAIN (edge-triggered)" {
  look='read_request: the loop around receive_some'
  start_traced epoll_wait,epoll_pwait,recvfrom
  assert_answer send "$(printf 'x%.0s' {1..5000})$request" read
  stop_server
  assert_trace '^recvfrom.*EAGAIN'
  [ "$(count_trace '^recvfrom.* = [0-9]')" -eq 5 ] ||
    fail '5 calls of recv with data, for 5,018 bytes' \
      "$(count_trace '^recvfrom.* = [0-9]') calls"
  [ "$(count_trace '^epoll_p?wait.*EPOLLIN,')" -eq 2 ] ||
    fail 'two events with EPOLLIN: one for the listener, one for the client' \
      "$(count_trace '^epoll_p?wait.*EPOLLIN,') events"
}

@test "accepts until accept4 fails with EAGAIN (edge-triggered)" {
  look='the loop around accept_connection'
  start_traced accept4
  serve_queued 5
  stop_server
  [ "$(count_trace '^accept4.* = [0-9]')" -eq 5 ] ||
    fail '5 clients accepted' "$(count_trace '^accept4.* = [0-9]')"
  assert_trace '^accept4.*EAGAIN'
}

@test "sends until nothing is left, without another event (edge-triggered)" {
  look='send_response: the loop around send_some'
  start_traced epoll_wait,epoll_pwait,sendto -e inject=sendto:retval=10:when=1
  did='strace lets the first send claim that it sent 10 bytes'
  client send "$request" read
  expected_response | tail -c +11 >"$dir/expected"
  assert_bytes_equal "$dir/expected" "$dir/answer" 'the rest of the response'
  stop_server
  sed -n -E 's/^(sendto|epoll_p?wait).*/\1/p' "$trace" | grep -A 1 -m 1 sendto >"$dir/calls"
  printf 'sendto\nsendto\n' >"$dir/expected"
  assert_bytes_equal "$dir/expected" "$dir/calls" 'two calls of send, one after the other'
}

@test "accepts 120 waiting clients, at most 64 in a row" {
  local most
  look='the loop around accept_connection: its limit, and the EPOLL_CTL_MOD after it'
  start_traced accept4,epoll_wait,epoll_pwait
  serve_queued 120
  stop_server
  most=$(awk '/^epoll_p?wait/ { n = 0 }
    /^accept4.* = [0-9]/ { if (++n > most) most = n } END { print most }' "$trace")
  [ "$most" -eq 64 ] || fail '64 clients accepted in a row' "$most clients"
}

@test "sets no socket option but SO_REUSEADDR" {
  start_traced setsockopt
  assert_answer send "$request" read
  stop_server
  look=open_listener
  assert_trace SO_REUSEADDR
  look='the whole program'
  refute_trace TCP_
}
