# What makes example 2 itself: one client after the other.

EXAMPLE=ex2
load helpers

@test "calls accept, recv, send and close for each client" {
  start_traced accept,recvfrom,sendto,close
  look='main, read_request and send_response'
  assert_answer send "$request" read
  assert_curl_is_answered
  stop_server
  assert_calls accept recv send close accept recv send close
}

@test "lets the second client wait while the first is silent" {
  look='read_request: the loop around recv; main'
  start_server
  hold_client send 'GET / HT'
  local silent=$client
  start_client send "$request" read
  did="$did; the first client stays silent, then leaves"
  sleep 0.3
  [ ! -s "$answer" ] || fail 'the second client waits' 'it is answered'
  release "$silent"
  look='read_request: recv returns 0'
  assert_response_of "$client"
  stop_server
}

@test "uses no epoll and no socket option but SO_REUSEADDR" {
  assert_only_SO_REUSEADDR 'epoll|TCP_'
}
