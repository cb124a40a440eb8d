# What makes example 5 itself: example 3, with TCP_CORK around the response.

EXAMPLE=ex5
load helpers

@test "sets TCP_CORK before the response, and clears it after" {
  assert_calls_of_one_client \
    accept4,epoll_ctl,recvfrom,setsockopt,write,writev,sendto,shutdown,close \
    accept4 'EPOLL_CTL_ADD EPOLLIN' recv 'EPOLL_CTL_MOD EPOLLOUT' 'TCP_CORK 1' \
    write send 'TCP_CORK 0' 'EPOLL_CTL_MOD 0' shutdown close
}

@test "setsockopt fails: the client is answered all the same" {
  local when
  for when in 2 3; do
    look='read_request and send_response: setsockopt'
    start_failing setsockopt ENOBUFS "$when"
    assert_answer send "$request" read
    assert_said '^setsockopt: No buffer space'
    assert_lines_said 1
    stop_server
  done
}

@test "never sets TCP_NODELAY" {
  assert_only_SO_REUSEADDR TCP_NODELAY
}
