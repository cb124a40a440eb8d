# What makes appendix F itself: example 5 with HTTP/1.1 and kept connections.

EXAMPLE=f_pipelining
load ../../tests/helpers

get='GET / HTTP/1.1\r\nHost: a\r\n\r\n'
last='GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n'

# --- Helpers ----------------------------------------------------------------

ok() { expected_response | sed 1s/1.0/1.1/; }
refusal() {
  printf '%s\r\n' 'HTTP/1.1 400 Bad Request' 'Content-Length: 0' 'Connection: close' ''
}

# assert_gets WORDS ACTION...: a client that does this gets these responses (ok
# or refusal), and a clean end of the stream.
assert_gets() {
  local word
  client "${@:2}"
  for word in $1; do "$word"; done >"$dir/expected"
  assert_bytes_equal "$dir/expected" "$dir/answer" "the responses $1"
  [ ! -s "$dir/client_err" ] ||
    fail 'a clean end of the stream' "$(cat "$dir/client_err")"
}

# assert_answers COUNT FILE: so many responses are in it, and nothing else.
assert_answers() {
  times "$1" "$(ok)" | cmp -s - "$2" ||
    fail "$1 responses" "$(what_happened ||
      echo "$(grep -a -o 'Hello, world!' "$2" | wc -l), in $(wc -c <"$2") bytes")"
}

# survives [LINES]: the clients before cost the server at most LINES lines on
# stderr (default: 1), and no descriptor; the next client is served.
survives() {
  assert_lines_said "${1:-1}"
  assert_served
  assert_no_leak
  stop_server
}
assert_served() {
  [ "$(ask)" = 'Hello, world!' ] || fail 'the next client is served' \
    "$(what_happened || echo 'it is not')"
}

# start_in_mode MODE, trace_in_mode MODE CALLS [OPTION...]: as start_server and
# start_traced.
start_in_mode() { start_server bash -c "exec \"\$@\" $1" bash; }
trace_in_mode() { start_traced "${@:2}" bash -c "exec \"\$@\" $1" bash; }

# times COUNT TEXT
times() { printf "${2//\\/\\\\}%.0s" $(seq "$1"); }

# The kernel adds EPOLLERR (8) and EPOLLHUP (10) to EPOLLOUT (4).
waits_to_send() { grep -q 'events: *1c ' "/proc/$server/fdinfo/"*; }

# flood: a client that sends 80,000 requests and a last one, and does not read.
# $flooded is its connection.
flood() {
  did="${did:+$did; }a client sends 80,000 requests and does not read"
  exec {flooded}<>"/dev/tcp/127.0.0.1/$port"
  (yes 'GET / HTTP/1.1@Host: a@@' | head -n 80000 | tr -d '\n' | tr @ '\n'
    printf "$last") >&"$flooded" 2>"$dir/flood" 3>&- &
  flooder=$!
  wait_for waits_to_send ||
    fail 'the server stops reading' "$(what_happened || echo 'it does not')"
}

# --- Responses --------------------------------------------------------------

@test "gives curl the article's text over HTTP/1.1, twice on one connection" {
  start_server
  local url=http://127.0.0.1:$port/
  run curl -s --max-time "$PATIENCE" -w ' %{num_connects}\n' "$url" "$url"
  [ "$output" = $'Hello, world! 1\nHello, world! 0' ] ||
    fail 'two responses, and one connection' "$output"
  ask --include --raw >"$dir/answer"
  assert_answers 1 "$dir/answer"
  survives 0
  [ ! -s "$out" ] || fail 'nothing on stdout' "$(bytes_of "$out")"
}

# Only the second batch of a connection can wait, because a new connection
# acknowledges at once. One of 40 tries has to be quick: a busy machine is slow,
# but a wait for the delayed ACK is never shorter than 40 ms.
@test "does not wait for an ACK inside a batch that is longer than the buffer" {
  local mode try before took shortest
  look='open_listener: TCP_NODELAY'
  printf "$(times 320 "$get")" >"$dir/batch"
  for mode in nodelay cork gather; do
    start_in_mode "$mode"
    did="a client sends 320 requests at once, in mode $mode"
    exec {asking}<>"/dev/tcp/127.0.0.1/$port"
    shortest=1000000
    for ((try = 0; try <= 40 && shortest >= 35000; try++)); do
      before=${EPOCHREALTIME/[.,]/}
      cat "$dir/batch" >&"$asking"
      timeout "$PATIENCE" head -c $((320 * 114)) <&"$asking" >"$dir/answer"
      took=$((${EPOCHREALTIME/[.,]/} - before))
      if ((try > 0 && took < shortest)); then shortest=$took; fi
    done
    exec {asking}<&-
    assert_answers 320 "$dir/answer"
    ((shortest < 35000)) ||
      fail '320 responses in less than 35 ms' "they take $((shortest / 1000)) ms"
    stop_server
  done
}

@test "answers a GET without a body, and the request after it" {
  local right
  start_server
  look=answer_to
  for right in 'GET / HTTP/1.1\r\n' 'GET http://a/ HTTP/1.1\r\nHost: a\r\nHost: b\r\n' \
    'GET /?a HTTP/1.1\nx: Content-Length: 9\n'; do
    did=
    assert_gets 'ok ok' drip "$right\r\n$last" read
  done
  stop_server
}

@test "closes the connection after HTTP/1.0, and after Connection: close" {
  local right
  start_server
  look='answer_to: is_last'
  for right in 'GET / HTTP/1.0\n\n' 'GET / HTTP/1.0\r\nConnection: Keep-Alive\n\r\n' \
    "$last" "${last/close/CLOSE}"; do
    did=
    assert_gets ok send "$right$get" read
  done
  stop_server
  look='open_listener: SO_REUSEADDR'
  start_on "$port"
  assert_said '^listening'
  stop_server
}

# The request after a wrong one gets no response: where two programs see
# different requests in the same bytes, a client can deceive both.
@test "refuses anything else with one 400, and answers nothing after it" {
  local wrong
  start_server
  look=answer_to
  while IFS= read -r wrong; do
    did=
    assert_gets 'ok refusal' send "$get$wrong\r\n\r\n$get" read
  done <<'END'
HEAD / HTTP/1.1
get / HTTP/1.1
GET
GET /
GET  HTTP/1.1
 GET / HTTP/1.1
GET / x HTTP/1.1
GET / HTTP/1.2
GET / HTTP/1.10

GET / HTTP/1.1\r\nContent-Length: 27
GET / HTTP/1.0\r\nHost: a\r\ncontent-length : 0
GET / HTTP/1.1\r\nTransfer-Encoding: chunked
GET / HTTP/1.1\r\nx: a\rTransfer-Encoding: chunked
GET / HTTP/1.1\r\nx: \x00
END
  survives 0
}

@test "refuses more than 8,192 bytes without a blank line, and no reset overtakes the response" {
  local begin='GET / HTTP/1.0\r\nx: '
  start_server
  look='answer_to and send_responses'
  assert_gets ok send "$begin" fill 8169 send '\r\n\r\n' read
  assert_gets 'ok refusal' send "$get$begin" fill 8170 send '\r\n\r\n' read
  assert_gets refusal fill 300000 read
  survives 0
}

@test "gives the expected responses to random requests of a fixed seed" {
  command -v python3 >/dev/null || skip 'needs python3'
  local mode count=100
  # A sanitizer finds what a response does not show.
  if [ -n "${SANITIZED:-}" ]; then count=1500; fi
  for mode in cork gather; do
    start_in_mode "$mode"
    did="fuzz.py sends the random requests of $count clients, in mode $mode"
    run timeout $((PATIENCE * 30)) "$top/appendix/f_pipelining/fuzz.py" "$port" 1 "$count"
    [ "$status" -eq 0 ] ||
      fail 'the responses that fuzz.py expects' "$(what_happened || echo "$output")"
    survives "$count"
  done
}

# --- System calls -----------------------------------------------------------

# assert_mode MODE START CALL...: the calls for three requests in one segment,
# and a part of one. TCP_NODELAY before bind: a client that connects earlier
# would not inherit the option.
assert_mode() {
  trace_in_mode "$1" accept4,bind,setsockopt,recvfrom,sendto,epoll_ctl,close
  assert_gets 'ok ok ok' send "$get$get${get}GET / HT" finish read
  assert_said '^no complete request in 8 bytes'
  stop_server
  look='open_listener: TCP_NODELAY'
  [ "$(grep -o -E '^bind|TCP_NODELAY, .1' "$trace" | tr '\n' ' ')" = "$2" ] ||
    fail "$2" "$(grep -E '^bind|TCP_NODELAY' "$trace")"
  look='accept_connection: accept4'
  assert_trace '^accept4\(.*SOCK_CLOEXEC\|SOCK_NONBLOCK\) = [0-9]'
  look='send_responses: the first call that differs'
  assert_calls accept4 'EPOLL_CTL_ADD EPOLLIN' recv "${@:3}" recv close
}

@test "cork, the default: sets TCP_CORK before a batch, and clears it after" {
  assert_mode '' 'TCP_NODELAY, [1 bind ' 'TCP_CORK 1' send send send 'TCP_CORK 0'
}
@test "nodelay: sets TCP_NODELAY for the listener, and calls send for each response" {
  assert_mode nodelay 'TCP_NODELAY, [1 bind ' send send send
}
@test "plain: sets neither option, and calls send for each response" {
  assert_mode plain 'bind ' send send send
}
@test "gather: calls send once for all responses" {
  assert_mode gather 'TCP_NODELAY, [1 bind ' send
}

# assert_goes_on MODE WHEN CALL...: the calls for four requests, if send fails
# with EAGAIN for the WHENth time.
assert_goes_on() {
  trace_in_mode "$1" accept4,sendto,epoll_ctl,setsockopt,recvfrom,close \
    -e "inject=sendto:error=EAGAIN:when=$2"
  assert_gets 'ok ok ok ok' send "$get$get$get$last" read
  stop_server
  look='send_responses: the first call that differs'
  assert_calls accept4 'EPOLL_CTL_ADD EPOLLIN' recv "${@:3}" \
    'EPOLL_CTL_MOD EPOLLIN' recv close
}
@test "cork: send fails with EAGAIN in a batch: the rest is sent after EPOLLOUT" {
  assert_goes_on cork 3 'TCP_CORK 1' send send send 'TCP_CORK 0' \
    'EPOLL_CTL_MOD EPOLLOUT' 'TCP_CORK 1' send send 'TCP_CORK 0'
}
@test "gather: send fails with EAGAIN: all is sent after EPOLLOUT" {
  assert_goes_on gather 1 send 'EPOLL_CTL_MOD EPOLLOUT' send
}

@test "send takes part of the responses: the rest is sent, and nothing twice" {
  local mode
  look=send_some
  for mode in cork gather; do
    trace_in_mode "$mode" sendto -e inject=sendto:retval=10:when=1..2
    did="strace lets two sends claim that they took 10 bytes, in mode $mode"
    client send "$get$get$last" read
    stop_server
    [ "$(wc -c <"$dir/answer")" -eq $((3 * 114 - 20)) ] ||
      fail 'all but 20 bytes' "$(bytes_of "$dir/answer")"
  done
}

@test "a call fails for one client: it costs this client, and one line" {
  local call error when
  for call in recvfrom:ECONNRESET:1 recvfrom:ETIMEDOUT:2 sendto:EPIPE:1 \
    epoll_ctl:ENOSPC:2 shutdown:ENOTCONN:1; do
    IFS=: read -r call error when <<<"$call"
    look="what follows $call"
    start_traced "$call" -e "inject=$call:error=$error:when=$when"
    did="strace lets $call fail once with $error"
    client send "$last" read
    [ "$client_status" -ne 3 ] ||
      fail 'the server closes the connection' "$(what_happened || echo 'it does not')"
    assert_trace INJECTED
    survives
  done
}

@test "epoll_ctl fails when it asks for EPOLLOUT, or for EPOLLIN again: it costs this client" {
  local when
  for when in 3 4; do
    start_traced sendto,epoll_ctl -e inject=sendto:error=EAGAIN:when=1 \
      -e "inject=epoll_ctl:error=ENOMEM:when=$when"
    client send "$get$get" read
    assert_said "^epoll_ctl: $ENOMEM"
    survives
  done
}

@test "a call fails for a moment: even this client is answered" {
  local call error when
  for call in recvfrom:EAGAIN accept4:EPROTO accept4:ENOMEM setsockopt:ENOBUFS:3 \
    setsockopt:ENOBUFS:4 '?epoll_wait,epoll_pwait:EINTR'; do
    IFS=: read -r call error when <<<"$call"
    start_traced "$call" -e "inject=$call:error=$error:when=${when:-1}"
    did="strace lets $call fail once with $error"
    assert_gets ok send "$last" read
    assert_trace INJECTED
    assert_lines_said 1
    stop_server
  done
}

@test "accept4 fails with EINVAL, because the listener is gone: one message, status 1" {
  look='accept_connection: EINVAL'
  # After EINVAL, accept4 of musl calls accept.
  start_traced accept4,accept -e inject=accept4,accept:error=EINVAL
  start_client
  assert_server_exits 1
  assert_said '^accept4: Invalid argument'
  assert_lines_said 1
}

# --- Clients that misbehave -------------------------------------------------

@test "survives a client that is gone when it answers: EPIPE, not SIGPIPE" {
  look='send_some: MSG_NOSIGNAL'
  start_server
  suspend_server
  client send "$get" finish reset
  kill -CONT "$server"
  assert_said '^send: Broken pipe'
  survives
}

resident() { awk '/^VmRSS/ { print $2 }' "/proc/$server/status"; }

@test "serves others while a client does not read, and bounds its memory, in each mode" {
  local before grown mode
  for mode in plain nodelay cork gather; do
    start_in_mode "$mode"
    assert_served
    before=$(resident)
    flood
    assert_served
    grown=$(($(resident) - before))
    [ "$grown" -lt 1000 ] || fail 'less than 1,000 KiB more memory' "$grown KiB"
    assert_sleeps
    timeout $((PATIENCE * 10)) cat <&"$flooded" >"$dir/answer"
    exec {flooded}<&-
    wait "$flooder"
    assert_answers 80001 "$dir/answer"
    survives 0
  done
}

@test "loses nothing when a client that does not read resets" {
  start_server
  flood
  kill "$flooder" 2>/dev/null || true
  wait "$flooder" || true
  exec {flooded}<&-
  survives
}

@test "serves 120 clients that were in the queue together, beside 100 silent ones" {
  local request=$last
  start_server
  hold_client -n 100 send 'GET / HT'
  serve_queued 120
  stop_server
}

@test "more clients than descriptors: they wait until others leave, and the server sleeps" {
  look='accept_connection: EMFILE, and main'
  start_server bash -c 'ulimit -n 20; exec "$@"' bash
  hold_client -n 30
  assert_said "^accept4: $EMFILE"
  assert_sleeps
  start_client send "$last" read
  release "${clients[0]}"
  wait "$client" || timed_out
  assert_answers 1 "$answer"
  survives 2
}

# --- Start and end ----------------------------------------------------------

@test "rejects a wrong port, a wrong mode or an extra argument with exit status 2" {
  local wrong words
  look=port_argument
  for wrong in hello 0 70000 80x '' '8080 corks' '8080 80' '8080 cork extra'; do
    read -r -a words <<<"$wrong"
    did="the test starts $EXAMPLE with the arguments: $wrong"
    run timeout $((PATIENCE * 3)) "$bin/$EXAMPLE" "${words[@]-}"
    [[ $status -eq 2 && ${#lines[@]} -eq 1 &&
      $output == usage:*'[port [plain|nodelay|cork|gather]]'* ]] ||
      fail 'exit status 2, and one line: usage: ...' "status $status: $output"
  done
}
