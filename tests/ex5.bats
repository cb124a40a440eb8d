# What makes example 5 itself: example 3, with TCP_CORK around the response.

EXAMPLE=ex5
load helpers

@test "sets TCP_CORK before the response, and clears it after" {
  start_traced accept4,epoll_ctl,recvfrom,setsockopt,write,writev,sendto,shutdown,close
  look='read_request and send_response: the first call that differs'
  assert_answer send "$request" read
  wait_for has_descriptors "$descriptors_at_start" || true
  stop_server
  assert_calls accept4 'EPOLL_CTL_ADD EPOLLIN' recv \
    'EPOLL_CTL_MOD EPOLLOUT' 'TCP_CORK 1' write send 'TCP_CORK 0' \
    'EPOLL_CTL_MOD 0' shutdown close
}

@test "setsockopt fails: the client is answered all the same" {
  local when
  look='read_request and send_response: setsockopt'
  for when in 2 3; do
    start_traced setsockopt -e "inject=setsockopt:error=ENOBUFS:when=$when"
    did='strace lets setsockopt for TCP_CORK fail'
    assert_answer send "$request" read
    assert_said '^setsockopt: No buffer space'
    assert_lines_said 1
    stop_server
  done
}

@test "never sets TCP_NODELAY" {
  start_traced setsockopt
  assert_answer send "$request" read
  stop_server
  look='the whole program'
  refute_trace TCP_NODELAY
}
