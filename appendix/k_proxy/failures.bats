# Appendix K: servers that are not there, too many clients, calls that fail.

load peer

@test "no server behind it: the client gets the end of the stream, the log a line" {
  look=refuse_client
  start_pair echo
  kill -KILL "$other"
  wait "$other" 2>/dev/null || true
  client -n 20 send hello read
  [[ $client_status -eq 0 && ! -s $dir/client_err ]] ||
    fail 'the end of the stream' "$(bytes_of "$dir/client_err")"
  [ "$(grep -c ': server: Connection refused$' "$err")" -eq 20 ] ||
    fail '20 lines: ... server: Connection refused' "$(tail -n 3 "$err")"
  assert_no_leak
  stop_server
}

@test "connect takes a second: clients that have ended meanwhile lose nothing" {
  local first
  local -x PATIENCE=$((PATIENCE + 5))
  look='open_pair, finish_connect; what asks for connecting'
  start_pair full echo
  start_client send hello finish read
  first=$client
  start_client finish read
  wait_for has_mask 1c || fail 'EPOLLOUT for the server' 'another mask'
  assert_sleeps
  kill -USR1 "$other"
  wait "$first" "$client" || true
  [ "$(<"$dir/answer.0")" = hello ] || fail 'the echo: hello' "$(what_happened || cat "$dir/answer.0" "$err")"
  assert_no_leak
  [ "$(grep -c 'both: end of stream' "$err")" -eq 2 ] || fail 'two ends of the stream' "$(cat "$err")"
  stop_server
}

@test "a server accepts and never answers: its client waits, others are served" {
  start_pair wait -- echo
  hold_client send hello
  assert_sleeps
  assert_echo
  release "$client"
  said_by_other '^leaves' # that of the echo
  kill -USR1 "$other"
  assert_closed_because '(client|both|server): .*'
  stop_server
}

@test "serves 1,000 pairs at once" {
  look='accept_connection and open_pair'
  start_other echo
  local -x PATIENCE=$((PATIENCE + 10))
  start_server bash -c 'ulimit -n 2100; exec "$@"' bash
  start_client -n 1000 send hello wait finish read
  await_ready
  wait_for has_descriptors $((descriptors_at_start + 2000)) ||
    fail '2,000 descriptors more' "$(($(descriptors) - descriptors_at_start))"
  assert_sleeps
  release "$client"
  wait "$client" || fail '1,000 echoes' "$(what_happened || cat "$answer.err")"
  [ "$(grep -o hello "$answer" | wc -l)" -eq 1000 ] || fail '1,000 echoes' "$(grep -o hello "$answer" | wc -l)"
  assert_no_leak
  stop_server
}

# It depends on the number of descriptors which call fails: socket, or accept4.
@test "descriptors run out with one half of a pair open: the client waits in the queue" {
  local first limit
  look='accept_connection: spare'
  start_other echo
  for limit in 20 21; do
    start_server bash -c "ulimit -n $limit; exec \"\$@\"" bash
    start_client send hello wait finish read
    await_ready
    first=$client
    hold_client -n 20 send hello
    assert_said "^(accept4|socket): $EMFILE"
    assert_sleeps
    release "$first"
    wait "$first" || fail 'the first client is served' 'it is not'
    [ "$(grep -c -E '^(accept4|socket)' "$err")" -le $((2 + SECONDS - started)) ] ||
      fail 'a line per second at most' "$(cat "$err")"
    release "$client"
    assert_echo
    assert_no_leak
    stop_server
  done
}

@test "survives clients and servers of all kinds at once" {
  local -x PATIENCE=$((PATIENCE + 5))
  start_pair echo -- read send bye -- send hi reset -- finish read -- reset -- \
    fill 300000 finish read -- send hi -- fill 300000 reset -- slow echo
  start_client -n 60 drip "$request" finish read
  start_client -n 60 fill 300000 reset
  start_client -n 20 fill 100000 finish read
  start_client -n 60 finish reset
  start_client -n 60
  start_client -n 20 urgent now reset
  wait "${clients[@]}" || true
  ! server_ended || fail 'the proxy still runs' "$(what_happened)"
  assert_no_leak
  [ "$(grep -c '^closing' "$err")" -eq "$(grep -c '^new' "$err")" ] ||
    fail 'one line for the end of each pair' "$(grep -c '^closing' "$err") for $(grep -c '^new' "$err")"
  stop_server
}

@test "passes an urgent byte on in its place; all sockets have the same options" {
  look='set_options; SOCK_NONBLOCK and SOCK_CLOEXEC'
  start_other echo
  start_traced socket,accept4,epoll_create1,setsockopt,bind,connect
  client send abc urgent de urgent f send gh finish read
  [ "$(<"$dir/answer")" = abcdefgh ] || fail abcdefgh "$(bytes_of "$dir/answer")"
  stop_server
  [[ $(calls) == *NODELAY*bind*NODELAY*connect* ]] ||
    fail 'TCP_NODELAY before bind and before connect' "$(calls)"
  [ "$(count_trace 'CLOEXEC')" -eq 4 ] || fail '4 descriptors, all are close-on-exec' "$(calls)"
  [ "$(count_trace 'SOCK_NONBLOCK')" -eq 3 ] || fail '3 sockets, all are non-blocking' "$(calls)"
}

@test "rejects wrong arguments, and names what fails at the start" {
  local wrong
  look='port_argument and server_argument'
  for wrong in 0 65536 80x ' 80' ''; do assert_rejects "$wrong" "$wrong" 127.0.0.1:9000; done
  assert_rejects extra 8080 127.0.0.1:9000 extra
  for wrong in 127.0.0.1 127.0.0.1: 127.0.0.1:+9 127.0.0.1:65536 ''; do assert_rejects "$wrong" 8080 "$wrong"; done
  assert_rejects '' 8080
  run timeout $((PATIENCE * 3)) "$bin/$EXAMPLE" 8080 ::1:9000
  assert_exits 1 '::1: .*'
  look=open_listener
  after_port=(127.0.0.1:9000)
  assert_names_failures socket setsockopt bind listen epoll_create1 epoll_ctl
  start_server
  assert_port_taken
  stop_server
}

# costs_one_client CALL ERROR WHEN PATTERN: the call fails once, and the log says
# so. The next client is served, and nothing stays open.
costs_one_client() {
  look=''
  start_failing "$1" "$2" "$3"
  client send hello finish read
  assert_trace INJECTED
  assert_said "^closing $peer: $4\$"
  assert_echo
  assert_no_leak
  stop_server
}

@test "a call fails: it costs one client" {
  start_other echo
  costs_one_client connect EADDRNOTAVAIL 1 'server: (Cannot assign requested address|Address not available)'
  costs_one_client setsockopt ENOMEM 4 "server: $ENOMEM"
  costs_one_client epoll_ctl ENOSPC 3 'client: No space left on device'
  costs_one_client epoll_ctl ENOMEM 4 "server: $ENOMEM"
  costs_one_client recvfrom ETIMEDOUT 1 'client: (Connection|Operation) timed out'
  costs_one_client sendto ECONNRESET 1 'server: Connection reset by peer'
  costs_one_client shutdown ENOTCONN 1 'server: .* not connected'
}

@test "a call fails once, and the client is served; the listener is gone, and the proxy exits" {
  local failure call error when
  local -x PATIENCE=$((PATIENCE + 2))
  start_other echo
  for failure in accept4:ECONNABORTED:1 socket:EMFILE:2 recvfrom:EAGAIN:1 sendto:EAGAIN:1 \
    "$epoll_wait:EINTR:1"; do
    look=''
    IFS=: read -r call error when <<<"$failure"
    start_failing "$call" "$error" "$when"
    assert_echo
    assert_trace INJECTED
    stop_server
  done
  start_traced sendto -e inject=sendto:retval=10:when=1
  did='strace lets the first send claim that it sent 10 bytes'
  client send 'ten bytes and the rest' finish read
  [ "$(<"$dir/answer")" = 'and the rest' ] || fail 'and the rest' "$(bytes_of "$dir/answer")"
  stop_server
  look=accept_connection
  # After EINVAL, accept4 of musl calls accept.
  start_failing accept,accept4 EINVAL
  client
  assert_server_exits 1
  assert_said '^accept4: Invalid argument'
}
