# System calls that fail in the programs with epoll: examples 3 to 6.

load helpers

setup_file() { probe; }

at_start=${trait[epoll_ctls]}

@test "epoll_wait fails with EINTR: it costs nobody" {
  look='main: what follows epoll_wait'
  still_answers "$epoll_wait" EINTR
}

@test "epoll_ctl fails when it adds a client: it costs this client" {
  look='accept_connection: EPOLL_CTL_ADD'
  survives_failure epoll_ctl ENOSPC $((at_start + 1))
}

@test "epoll_ctl fails when it asks for EPOLLOUT: it costs this client" {
  look='read_request: EPOLL_CTL_MOD'
  survives_failure epoll_ctl ENOMEM $((at_start + 2))
}

@test "epoll_ctl fails after the response: the connection is closed" {
  look='send_response: EPOLL_CTL_MOD'
  survives_failure epoll_ctl ENOMEM $((at_start + 3))
}

@test "shutdown fails with ENOTCONN: the connection is closed" {
  look='send_response: shutdown'
  survives_failure shutdown ENOTCONN
}

@test "epoll_wait fails for good: the server says so and exits with status 1" {
  look='main: what follows epoll_wait'
  start_failing "$epoll_wait" EFAULT 2
  client send "$request" read
  assert_server_exits 1
  assert_said '^epoll_wait: Bad address'
}

# accept4 fails, and then a call of epoll_ctl for the listener, the WHENth.
start_with_shortage() {
  start_traced accept4,epoll_ctl -e inject=accept4:error=EMFILE:when=1 \
    -e "inject=epoll_ctl:error=ENOMEM:when=$1"
  did='strace lets accept4 fail, and then epoll_ctl for the listener'
}

@test "the listener cannot be removed in a shortage: the server says so and exits with status 1" {
  look='accept_connection: EPOLL_CTL_DEL'
  start_with_shortage $((at_start + 1))
  start_client
  assert_server_exits 1
  assert_said "^epoll_ctl: $ENOMEM"
}

@test "the listener cannot be watched again: the server tries again after a second" {
  local -x PATIENCE=$((PATIENCE + 2))
  look='retry_accept: EPOLL_CTL_ADD fails'
  start_with_shortage $((at_start + 2))
  assert_answer send "$request" read
  assert_lines_said 1
  stop_server
}
