# What every program does that serves more than one client: examples 2 to 6,
# and those of the appendix that serve the same way.

load helpers

setup_file() { probe; }

@test "serves twenty clients one after the other" {
  local i look='accept_connection: the state of a new client; print_request'
  start_server
  for i in {1..20}; do
    did="number $i of 20 clients; earlier ones were answered"
    # Every second request comes in parts: nothing of an earlier client may be left.
    if ((i % 2)); then assert_answer send "$request" read; else assert_answer drip "$request" read; fi
  done
  assert_no_leak
  [ "$(grep -c 'GET / HTTP/1.0' "$out")" -eq 20 ] ||
    fail 'it prints 20 requests' "$(grep -c 'GET / HTTP/1.0' "$out") requests"
  stop_server
}

@test "closes the connection of a client that reads the response and stays" {
  start_server
  start_client send "$request" read wait
  did+=", and stays"
  await_ready
  assert_no_leak 'main and send_response: what ends a connection'
  stop_server
}

@test "loses nothing when clients reset after their request" {
  start_server
  client -n 20 send "$request" reset
  assert_curl_is_answered
  assert_no_leak
  stop_server
}

# The server, stopped meanwhile, finds the request, and a connection that it
# can no longer answer.
@test "survives a client that is gone when it answers: EPIPE, not SIGPIPE" {
  look='send_response (MSG_NOSIGNAL), or read_request'
  start_server
  suspend_server
  client send "$request" finish reset
  kill -CONT "$server"
  # A program that is graded may close the connection without a send.
  [ -n "${GRADED:-}" ] || assert_said '^send: Broken pipe'
  assert_curl_is_answered
  assert_lines_said 1
  assert_no_leak
  stop_server
}

# ends_on SIGNAL: after it has closed a connection first, so that the port is in
# TIME_WAIT.
ends_on() {
  start_server
  assert_answer send "$request" read
  stop_server "$1"
  assert_lines_said 0
  look='open_listener: SO_REUSEADDR'
  did="$did; the test starts the server again on the same port"
  start_on "$port"
  assert_said '^listening'
  stop_server
}

@test "ends quietly on SIGINT, and its port is free at once" { ends_on INT; }
@test "ends quietly on SIGTERM, and its port is free at once" { ends_on TERM; }

@test "ends at once while 100 clients are silent" {
  start_server
  hold_client -n 100 send 'GET / HT'
  stop_server
  assert_lines_said 0
}

@test "goes on after SIGSTOP and SIGCONT" {
  look='main: EINTR'
  start_server
  did='the test stops the server and lets it go on'
  suspend_server
  kill -CONT "$server"
  assert_curl_is_answered
  stop_server
}
