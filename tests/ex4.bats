# What makes example 4 itself: edge-triggered epoll reports changes only, so
# the program goes on until nothing is left.

EXAMPLE=ex4
load helpers

@test "registers, reads, answers and closes in the article's order" {
  assert_calls_of_one_client \
    accept4,epoll_ctl,recvfrom,write,writev,sendto,shutdown,close \
    accept4 'EPOLL_CTL_ADD EPOLLIN|EPOLLET' accept4 recv recv \
    'EPOLL_CTL_MOD EPOLLOUT|EPOLLET' write send 'EPOLL_CTL_MOD EPOLLET' \
    shutdown close
}

@test "uses EPOLLET in every registration" {
  look='the fourth argument of each call of watch'
  start_traced epoll_ctl
  assert_answer send "$request" read
  assert_answer send "$request" read
  stop_server
  refute_trace '^epoll_ctl.*events=(EPOLLIN|EPOLLOUT|0),' 'no call of epoll_ctl without EPOLLET'
  assert_count 7 '^epoll_ctl' '7 calls of epoll_ctl for two clients'
}

@test "uses EPOLLET also when it watches the listener again after a shortage" {
  look='main: shortage'
  start_traced accept4,epoll_ctl -e inject=accept4:error=EMFILE:when=1
  did='strace lets accept4 fail once with EMFILE'
  start_client send "$request" read
  assert_response_of "$client"
  stop_server
  refute_trace '^epoll_ctl.*events=(EPOLLIN|EPOLLOUT),' 'no call of epoll_ctl without EPOLLET'
}

@test "reads until recv fails with EAGAIN (edge-triggered)" {
  look='read_request: the loop around recv'
  start_traced "$epoll_wait,recvfrom"
  assert_answer send "$(printf 'x%.0s' {1..5000})$request" read
  stop_server
  assert_trace '^recvfrom.*EAGAIN' 'a recv that fails with EAGAIN'
  assert_count 5 '^recvfrom.* = [0-9]' '5 calls of recv with data, for 5,018 bytes'
  assert_count 2 '^epoll_p?wait.*EPOLLIN,' \
    'two events with EPOLLIN: one for the listener, one for the client'
}

@test "accepts until accept4 fails with EAGAIN (edge-triggered)" {
  look='main: the loop around accept_connection'
  start_traced accept4
  serve_queued 5
  stop_server
  assert_count 5 '^accept4.* = [0-9]' '5 clients accepted'
  assert_trace '^accept4.*EAGAIN' 'an accept4 that fails with EAGAIN'
}

@test "sends until nothing is left, without another event (edge-triggered)" {
  look='send_response: the loop around send'
  start_traced "$epoll_wait,sendto" -e inject=sendto:retval=10:when=1
  assert_rest_is_sent
  stop_server
  calls | sed -n -E 's/^(sendto|epoll_p?wait).*/\1/p' | grep -A 1 -m 1 sendto >"$dir/calls"
  printf 'sendto\nsendto\n' >"$dir/expected"
  assert_bytes_equal "$dir/expected" "$dir/calls" 'two calls of send, one after the other'
}

@test "sets no socket option but SO_REUSEADDR" {
  assert_only_SO_REUSEADDR TCP_
}
