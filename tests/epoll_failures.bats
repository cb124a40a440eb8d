# System calls that fail in the programs with epoll: examples 3 to 6.

load helpers

setup_file() { probe; }

# What the program registers at its start: the listener; appendix G also a timer
# and the signals.
at_start=1
if [ "$EXAMPLE" = g_time_limits ]; then at_start=3; fi

# survives_failure CALL ERROR WHEN: CALL fails once, the WHENth time. It costs
# at most one client and one line.
survives_failure() {
  start_traced "$1" -e "inject=$1:error=$2:when=$3"
  did="strace lets call $3 of $1 fail with $2"
  start_client send "$request" read
  assert_trace INJECTED
  assert_curl_is_answered
  wait "$client" || true
  assert_lines_said 1
  assert_no_leak "$look"
  stop_server
}

@test "epoll_wait fails with EINTR: it costs nobody" {
  look='main: what follows epoll_wait'
  start_traced epoll_wait,epoll_pwait -e inject=epoll_wait,epoll_pwait:error=EINTR:when=1
  did='strace lets epoll_wait fail once with EINTR'
  assert_answer send "$request" read
  stop_server
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
  survives_failure shutdown ENOTCONN 1
}

@test "epoll_wait fails for good: the server says so and exits with status 1" {
  look='main: what follows epoll_wait'
  start_server strace -D -o "$trace" -e trace=epoll_wait,epoll_pwait \
    -e inject=epoll_wait,epoll_pwait:error=EFAULT:when=2
  did='strace lets epoll_wait fail with EFAULT'
  client send "$request" read
  assert_server_exits 1
  assert_said '^epoll_wait: Bad address'
}

@test "the listener cannot be watched again: the server says so and exits with status 1" {
  local when
  look='accept_connection and main: the listener, EPOLL_CTL_MOD'
  for when in $((at_start + 1)) $((at_start + 2)); do
    start_traced accept4,epoll_ctl -e inject=accept4:error=EMFILE \
      -e "inject=epoll_ctl:error=ENOMEM:when=$when"
    did='accept4 fails, and then epoll_ctl for the listener'
    start_client
    assert_server_exits 1
    assert_said "^epoll_ctl: $ENOMEM"
  done
}
