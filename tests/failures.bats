# System calls that fail while the program serves: strace lets them fail. The
# failure may cost one client; the next ones are served.

load helpers

setup_file() { probe; }

accept=${trait[accept]}

@test "accept fails with ECONNABORTED: the next client is served at once" { still_answers "$accept" ECONNABORTED; }
@test "accept fails with EPROTO: the next client is served at once" { still_answers "$accept" EPROTO; }

# The server waits a second; with epoll it also tries again after any event.
@test "accept fails with EMFILE: the client is served a second later" {
  local before waited
  before=$(now)
  start_failing "$accept" EMFILE
  # Where accept waits for clients, it has failed at the start.
  [ "$accept" = accept ] || before=$(now)
  start_client send "$request" read
  assert_said "^accept4?: $EMFILE"
  assert_response_of "$client"
  waited=$(since "$before")
  [ "$waited" -ge 900 ] ||
    fail 'the server waits a second before it tries again' "it waited $waited ms"
  assert_lines_said 1
  stop_server
}

@test "accept fails with ENFILE, ENOBUFS or ENOMEM: no spin, and the client is served later" {
  local error
  for error in ENFILE ENOBUFS ENOMEM; do
    look='what follows accept'
    start_traced "$accept" -e "inject=$accept:error=$error:when=2"
    hold_client send 'GET / HT'
    did="$did; strace lets the next $accept fail with $error"
    start_client send "$request" read
    # Where accept waits for the first client, it has to leave before that.
    if [ "$accept" = accept ]; then release "${clients[-2]}"; fi
    assert_said '^accept4?: '
    assert_sleeps
    # With epoll, an event wakes the server before the second is over.
    [ "$accept" = accept ] || release "${clients[-2]}"
    assert_response_of "$client"
    stop_server
  done
}

@test "accept fails again and again: no spin, no flood of messages" {
  start_failing "$accept" EMFILE 1+
  start_client
  assert_said "^accept4?: $EMFILE"
  assert_sleeps
  assert_lines_said 2
  look='main: shortage, after a second'
  wait_for said_again || fail 'it says it again after a second' 'it says it only once'
  stop_server
}
said_again() { [ "$(grep -c '^accept' "$err")" -ge 2 ]; }

# accept4 of musl tries accept, too.
@test "accept fails with EINVAL, because the listener is gone: says so and exits with status 1" {
  start_failing accept,accept4 EINVAL 1+
  start_client
  assert_server_exits 1
  assert_said '^accept4?: Invalid argument'
  assert_lines_said 1
}

@test "recv fails with ECONNRESET: it costs one client" { survives_failure recvfrom ECONNRESET; }
@test "recv fails with ETIMEDOUT: it costs one client" { survives_failure recvfrom ETIMEDOUT; }
@test "send fails with EPIPE: it costs one client" { survives_failure sendto EPIPE; }
@test "send fails with ECONNRESET: it costs one client" { survives_failure sendto ECONNRESET; }
