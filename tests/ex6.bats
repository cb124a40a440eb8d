# What makes example 6 itself: example 3, with TCP_NODELAY for the listener.

EXAMPLE=ex6
load helpers

@test "sets TCP_NODELAY once, for the listener" {
  look=open_listener
  start_traced setsockopt
  assert_answer send "$request" read
  stop_server
  assert_trace '^setsockopt\(3, .*TCP_NODELAY, \[1\], 4\) = 0' \
    'setsockopt for descriptor 3, the listener, with TCP_NODELAY'
  assert_count 1 TCP_NODELAY 'one call of setsockopt with TCP_NODELAY'
}

@test "sets TCP_NODELAY before it listens, so that every client inherits it" {
  look='open_listener: the order of the calls'
  start_traced setsockopt,listen
  stop_server
  calls | sed '/^listen/q' | grep -q TCP_NODELAY ||
    fail 'setsockopt with TCP_NODELAY, then listen' 'listen comes first'
}

@test "answers over connections that have inherited TCP_NODELAY" {
  look='open_listener: TCP_NODELAY before the first accept4'
  start_preloaded tests/nodelay.c
  assert_answer send "$request" read
  assert_said '^accepted: TCP_NODELAY is on'
  stop_server
}

@test "setsockopt fails for TCP_NODELAY: says so and exits with status 1" {
  look=open_listener
  did='strace lets setsockopt fail the second time'
  start_with_failure setsockopt:error=ENOPROTOOPT:when=2
  assert_exits 1 'setsockopt: Protocol not available'
}

@test "registers, reads, answers and closes as example 3 does" {
  assert_calls_of_one_client \
    accept4,epoll_ctl,recvfrom,write,writev,sendto,shutdown,close \
    accept4 'EPOLL_CTL_ADD EPOLLIN' recv 'EPOLL_CTL_MOD EPOLLOUT' write send \
    'EPOLL_CTL_MOD 0' shutdown close
}

@test "never sets TCP_CORK" {
  assert_only_SO_REUSEADDR TCP_CORK
}
