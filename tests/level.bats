# What level-triggered epoll does, in examples 3, 5 and 6: what is left undone
# is reported again.

load helpers

setup_file() { probe; }

@test "never uses EPOLLET" {
  look='the fourth argument of each call of watch'
  start_traced epoll_ctl
  assert_answer send "$request" read
  stop_server
  assert_trace EPOLLIN
  refute_trace EPOLLET
}

@test "recv fails with EAGAIN: the client is answered all the same" {
  look='read_request: EAGAIN'
  still_answers recvfrom EAGAIN
}

@test "send fails with EAGAIN: the client is answered all the same" {
  look='send_response: EAGAIN'
  still_answers sendto EAGAIN
}
