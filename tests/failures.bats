# System calls that fail while the program serves: strace lets them fail. The
# failure may cost one client; the next ones are served.

load helpers

setup_file() { probe; }

# The names of the calls, as strace shows them.
accept=accept4
if [ "$EXAMPLE" = ex2 ]; then accept=accept; fi

# survives_failure CALL ERROR [WHEN] [LINES]: CALL fails once, the WHENth time
# (default: the first). It costs at most one client, LINES lines (default: 1).
survives_failure() {
  look="what follows $(called "$1")"
  start_traced "$1" -e "inject=$1:error=$2:when=${3:-1}"
  did="strace lets $(called "$1") fail once with $2"
  start_client send "$request" read
  assert_trace INJECTED
  assert_curl_is_answered
  assert_curl_is_answered
  wait "$client" || true
  assert_lines_said "${4:-1}"
  assert_no_leak "$look"
  stop_server
}

# called CALL: recvfrom and sendto are recv and send in the program.
called() { case $1 in recvfrom) echo recv ;; sendto) echo send ;; *) echo "$1" ;; esac; }

# still_answers CALL ERROR: CALL fails once, and even this client is answered.
still_answers() {
  look="what follows $(called "$1")"
  start_traced "$1" -e "inject=$1:error=$2:when=1"
  did="strace lets $(called "$1") fail once with $2"
  assert_answer send "$request" read
  assert_trace INJECTED
  assert_lines_said 0
  stop_server
}

@test "accept fails with ECONNABORTED: the next client is served at once" { still_answers "$accept" ECONNABORTED; }
@test "accept fails with EPROTO: the next client is served at once" { still_answers "$accept" EPROTO; }

# The server waits a second; with epoll it also tries again after any event.
@test "accept fails with EMFILE: the client is served a second later" {
  look='what follows accept'
  start_traced "$accept" -e "inject=$accept:error=EMFILE:when=1"
  did="strace lets $accept fail once with EMFILE"
  local before=${EPOCHREALTIME/./}
  start_client send "$request" read
  assert_said "^accept4?: $EMFILE"
  assert_response_of "$client"
  local waited=$(((${EPOCHREALTIME/./} - before) / 1000))
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
    if [ "$EXAMPLE" = ex2 ]; then release "${clients[-2]}"; fi
    assert_said '^accept4?: '
    assert_sleeps
    # The first client leaves: with epoll, that wakes the server.
    [ "$EXAMPLE" = ex2 ] || release "${clients[-2]}"
    assert_response_of "$client"
    stop_server
  done
}

@test "accept fails again and again: no spin, no flood of messages" {
  look='what follows accept'
  start_traced "$accept" -e "inject=$accept:error=EMFILE"
  did="strace lets every $accept fail with EMFILE"
  start_client
  assert_said "^accept4?: $EMFILE"
  assert_sleeps
  assert_lines_said 2
  look='main: shortage, after a second'
  wait_for said_again || fail 'it says it again after a second' 'it says it only once'
  stop_server
}
said_again() { [ "$(grep -c '^accept' "$err")" -ge 2 ]; }

@test "recv fails with ECONNRESET: it costs one client" { survives_failure recvfrom ECONNRESET; }
@test "recv fails with ETIMEDOUT: it costs one client" { survives_failure recvfrom ETIMEDOUT; }
@test "send fails with EPIPE: it costs one client" { survives_failure sendto EPIPE; }
@test "send fails with ECONNRESET: it costs one client" { survives_failure sendto ECONNRESET; }
