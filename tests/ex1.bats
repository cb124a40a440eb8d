# What makes example 1 itself: one client, and calls that sleep.

EXAMPLE=ex1
load helpers

@test "calls accept, recv, send and close, once each for a short request" {
  look='main, read_request and send_response'
  assert_calls_of_one_client accept,recvfrom,sendto,close accept recv send close
}

@test "serves one client, then exits with status 0; the second is refused" {
  start_server
  assert_answer send "$request" read
  assert_server_exits 0
  look=main
  client
  [ "$client_status" -eq 1 ] && grep -q 'connect: Connection refused' "$dir/client_err" ||
    fail 'nobody listens any more' "the client connects; $(<"$dir/client_err")"
}

@test "sleeps in recv until the client has sent a whole request" {
  look=read_request
  start_traced recvfrom,sendto
  hold_client send 'GET / HT'
  assert_trace '^recvfrom.* = 8$' 'a recv that returns 8 bytes'
  refute_trace sendto 'no send before the request is complete'
  assert_sleeps
  release "$client"
  look='read_request: recv returns 0; main: the exit status'
  assert_server_exits 1
}

@test "uses no epoll and no socket option but SO_REUSEADDR" {
  assert_only_SO_REUSEADDR 'epoll|TCP_'
}

@test "accept fails: says so and exits with status 1" {
  look='main: accept'
  start_failing accept EMFILE
  start_client
  assert_server_exits 1
  assert_said "^accept: $EMFILE"
}

@test "recv or send fails: says so and exits with status 1" {
  local call
  for call in recvfrom sendto; do
    look='read_request, send_response and what they call when a call fails'
    start_failing "$call" ECONNRESET
    client send "$request" read
    assert_server_exits 1
    assert_said '^(recv|send): Connection reset by peer'
    assert_lines_said 1
  done
}
