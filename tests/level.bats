# What level-triggered epoll does, in examples 3, 5 and 6: what is left undone
# is reported again.

load helpers

setup_file() { probe; }

@test "never uses EPOLLET" {
  look='the masks of watch'
  start_traced epoll_ctl
  assert_answer send "$request" read
  stop_server
  assert_trace EPOLLOUT
  refute_trace EPOLLET
}

# still_answers CALL: CALL fails once with EAGAIN; epoll reports it again.
still_answers() {
  start_traced "$1" -e "inject=$1:error=EAGAIN:when=1"
  did="strace lets $1 fail once with EAGAIN"
  assert_answer send "$request" read
  assert_trace INJECTED
  assert_lines_said 0
  stop_server
}

@test "recv fails with EAGAIN: the client is answered all the same" {
  look='read_request: EAGAIN'
  still_answers recvfrom
}

@test "send fails with EAGAIN: the client is answered all the same" {
  look='send_response: EAGAIN'
  still_answers sendto
}
