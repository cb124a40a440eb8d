# What makes example 3 itself: it waits for all clients in one place, and
# level-triggered epoll reports again what is left undone.

EXAMPLE=ex3
load helpers

@test "registers, reads, answers and closes in the article's order" {
  start_traced accept4,epoll_ctl,recvfrom,write,writev,sendto,shutdown,close
  look='accept_connection, read_request, send_response, main: the first call that differs'
  assert_answer send "$request" read
  wait_for has_descriptors "$descriptors_at_start" || true
  stop_server
  assert_calls accept4 'EPOLL_CTL_ADD EPOLLIN' recv \
    'EPOLL_CTL_MOD EPOLLOUT' write send 'EPOLL_CTL_MOD 0' shutdown close
}

@test "serves the second client while the first is silent" {
  look='main and read_request: only epoll_wait may sleep'
  start_server
  hold_client send 'GET / HT'
  assert_curl_is_answered
  stop_server
}

@test "is woken again for what one recv has left (level-triggered)" {
  look='read_request: one recv per event'
  start_traced epoll_wait,epoll_pwait,recvfrom
  assert_answer send "$(printf 'x%.0s' {1..5000})$request" read
  stop_server
  [ "$(count_trace '^recvfrom')" -eq 5 ] ||
    fail '5 calls of recv for 5,018 bytes' "$(count_trace '^recvfrom')"
  [ "$(count_trace '^epoll_p?wait.*EPOLLIN,')" -ge 6 ] ||
    fail 'epoll_wait reports the client before each recv' \
      "$(count_trace '^epoll_p?wait.*EPOLLIN,') events with EPOLLIN"
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
