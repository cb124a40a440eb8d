# What makes example 6 itself: example 3, with TCP_NODELAY for the listener.

EXAMPLE=ex6
load helpers

@test "sets TCP_NODELAY once, for the listener" {
  start_traced setsockopt,listen,accept4
  look=open_listener
  assert_answer send "$request" read
  stop_server
  assert_trace '^setsockopt\(3, .*TCP_NODELAY, \[1\], 4\) = 0'
  [ "$(count_trace TCP_NODELAY)" -eq 1 ] ||
    fail 'one call of setsockopt with TCP_NODELAY' "$(count_trace TCP_NODELAY) calls"
}

@test "answers over connections that have inherited TCP_NODELAY" {
  look='open_listener: TCP_NODELAY before the first accept4'
  start_server env "LD_PRELOAD=$top/build/nodelay.so"
  assert_answer send "$request" read
  assert_said '^accepted: TCP_NODELAY is on'
  stop_server
}

@test "setsockopt fails for TCP_NODELAY: says so and exits with status 1" {
  look=open_listener
  did='setsockopt fails the second time'
  ASAN_OPTIONS=$ASAN_OPTIONS:detect_leaks=0 run timeout 5 strace -o "$trace" \
    -e inject=setsockopt:error=ENOPROTOOPT:when=2 "$bin/$EXAMPLE" 9000
  [[ $status -eq 1 && $output == 'setsockopt: Protocol not available' ]] ||
    fail 'status 1: setsockopt: Protocol not available' "status $status: $output"
}

@test "registers, reads, answers and closes as example 3 does" {
  start_traced accept4,epoll_ctl,recvfrom,write,writev,sendto,shutdown,close
  look='accept_connection, read_request, send_response, main: the first call that differs'
  assert_answer send "$request" read
  wait_for has_descriptors "$descriptors_at_start" || true
  stop_server
  assert_calls accept4 'EPOLL_CTL_ADD EPOLLIN' recv \
    'EPOLL_CTL_MOD EPOLLOUT' write send 'EPOLL_CTL_MOD 0' shutdown close
}

@test "never sets TCP_CORK" {
  start_traced setsockopt
  assert_answer send "$request" read
  stop_server
  look='the whole program'
  refute_trace TCP_CORK
}
