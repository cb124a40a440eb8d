# Appendix C: the echo server with a queue for each client, and its client.

EXAMPLE=c_echo_queues
load ../../tests/helpers

peer='127\.0\.0\.1:[0-9]+'

# assert_echo: a client gets back what it sends.
assert_echo() {
  client send hello finish read
  [ "$(<"$dir/answer")" = hello ] ||
    fail 'the echo: hello' "$(what_happened || bytes_of "$dir/answer")"
}

# assert_closed_because REASON: the log says so, the next client gets its echo,
# and nothing stays open.
assert_closed_because() {
  assert_said "^closing $peer: $1\$"
  assert_echo
  assert_no_leak
  stop_server
}

# connect: $fd is a new connection of this shell, which can send and read at the
# same time.
connect() { exec {fd}<>"/dev/tcp/127.0.0.1/$port"; }

# memory: what the server uses, in KiB.
memory() { awk '/^VmRSS/ { print $2 }' "/proc/$server/status"; }

# is_stalled: the server waits for EPOLLOUT alone with some descriptor, and has
# not read or sent anything for 0.2 s. The kernel shows the mask with EPOLLERR and
# EPOLLHUP added: 4 + 8 + 10 is 1c.
is_stalled() {
  local size
  size=$(wc -c <"$err")
  grep -q -s -E '^tfd:.* events: +1c ' "/proc/$server/fdinfo/"* || return 1
  sleep 0.2
  [ "$(wc -c <"$err")" -eq "$size" ]
}

# await_stall: returns when the server no longer reads from a client that does
# not read.
await_stall() {
  local PATIENCE=$((PATIENCE + 8))
  wait_for is_stalled || fail 'the server waits for EPOLLOUT alone' 'it does not'
}

@test "writes a log of each connection, in order" {
  local name
  look='accept_connection, receive_some, send_some, close_connection'
  start_server
  assert_echo
  stop_server
  name=$(sed -n 's/^new connection from //p' "$err")
  [[ $name =~ ^$peer$ ]] || fail 'new connection from 127.0.0.1:...' "$(cat "$err")"
  printf '%s\n' "listening: try ./echo_client $port" \
    "new connection from $name" "received 5 bytes from $name" \
    "sending 5 bytes to $name" "queue empty for $name" \
    "closing $name: end of stream" >"$dir/expected"
  assert_bytes_equal "$dir/expected" "$err" 'the log'
}

@test "registers, reads, echoes and closes, with these masks" {
  look='watch_queue, read_chunk, send_chunk: the first call that differs'
  start_traced accept4,epoll_ctl,recvfrom,sendto,close
  start_client send hello wait finish read
  assert_said '^queue empty'
  release "$client"
  assert_said "^closing $peer: end of stream"
  stop_server
  assert_trace '^sendto.*MSG_NOSIGNAL'
  assert_calls accept4 'EPOLL_CTL_ADD EPOLLIN' \
    recv 'EPOLL_CTL_MOD EPOLLIN|EPOLLOUT' send 'EPOLL_CTL_MOD EPOLLIN' \
    recv close
}

@test "gives 100 clients a megabyte each at the same time, byte for byte" {
  local i fd fds=() pids=()
  start_server
  head -c 1000000 /dev/urandom >"$dir/data"
  did='100 clients send a megabyte each, and read'
  for i in {1..100}; do
    connect
    fds+=("$fd")
  done
  for i in "${fds[@]}"; do
    cat "$dir/data" >&"$i" 3>&- &
    cmp <(head -c 1000000 <&"$i") "$dir/data" 3>&- &
    pids+=($!)
  done
  for i in "${pids[@]}"; do
    wait "$i" || fail 'each gets its own bytes' 'one got others'
  done
  for i in "${fds[@]}"; do exec {i}>&-; done
  assert_no_leak
  stop_server
}

@test "stops reading from a client that never reads; the others lose nothing" {
  local before
  local -x PATIENCE=$((PATIENCE + 8))
  look='watch_queue: QUEUE_SIZE'
  start_server
  # More than the buffers of the kernel contain.
  start_client fill 50000000
  await_stall
  before=$(memory)
  assert_sleeps
  assert_echo
  [ $(($(memory) - before)) -lt 1000 ] ||
    fail 'no more memory' "$before KiB, then $(memory) KiB"
  kill -0 "$client" || fail 'the client still sends' 'it has finished'
  stop_server
}

# The trace of one connection. It reads, so count grows, where recv returns more
# than 0; a chunk is sent where send returns as much as it was asked for.
@test "watches EPOLLOUT only while the queue has data, EPOLLIN only while it has room" {
  local fd
  look=watch_queue
  start_traced epoll_ctl,recvfrom,sendto
  head -c 4000000 /dev/urandom >"$dir/data"
  connect
  cat "$dir/data" >&"$fd" 3>&- &
  await_stall
  head -c 4000000 <&"$fd" >"$dir/answer"
  cmp -s "$dir/data" "$dir/answer" || fail 'an echo of 4 MB' 'other bytes'
  assert_said '^queue empty'
  stop_server
  calls | awk '
    /^recvfrom/ && $NF > 0 { count++ }
    /^sendto.* = [0-9]+$/ {
      match($0, /, [0-9]+, MSG_NOSIGNAL/)
      if (substr($0, RSTART + 2) + 0 == $NF) count--
    }
    /^epoll_ctl.*EPOLL_CTL_MOD/ {
      if (/EPOLLOUT/ != (count > 0) || /EPOLLIN/ != (count < 16)) exit 1
      full += count == 16
      empty += count == 0
    }
    END { if (!full || !empty) exit 1 }' ||
    fail 'masks that follow the queue of 16 chunks' 'others'
}

@test "sleeps while a client has nothing to say" {
  look=watch_queue
  start_server
  hold_client send hello
  assert_said '^queue empty'
  assert_sleeps
  stop_server
}

@test "echoes 300 KB to the last byte to a client that half-closes, in chunks of 1,024" {
  look='watch_queue: ended; receive_some: READ_SIZE'
  start_server
  client fill 300000 finish read
  [ "$(tr -dc x <"$dir/answer" | wc -c)" -eq 300000 ] ||
    fail '300,000 bytes' "$(wc -c <"$dir/answer")"
  grep -q '^sending 1024 bytes' "$err" || fail 'a chunk of 1,024 bytes' "$(tail -n 3 "$err")"
  assert_said "^closing $peer: end of stream"
  stop_server
}

@test "echoes an urgent byte in its place, and sleeps after it" {
  look='open_listener: SO_OOBINLINE'
  start_server
  client send abc urgent de urgent f send gh urgent i finish read
  [ "$(<"$dir/answer")" = abcdefghi ] || fail 'abcdefghi' "$(bytes_of "$dir/answer")"
  hold_client urgent '!'
  assert_said '^received 1 bytes'
  assert_sleeps
  stop_server
}

@test "echoes any byte unchanged, and prints none" {
  start_server
  client send 'a\x00\xff\xc3(\x1b[0m%n\r\nhello' finish read
  printf 'a\x00\xff\xc3(\x1b[0m%%n\r\nhello' >"$dir/expected"
  assert_bytes_equal "$dir/expected" "$dir/answer" 'the echo'
  stop_server
  ! grep -q -P 'hello|[^ -~]' "$err" || fail 'a log without these bytes' "$(bytes_of "$err")"
}

@test "listens on port 10000 of 127.0.0.1 without an argument, and the client connects to it" {
  local program
  look='port_argument, and open_listener: INADDR_LOOPBACK'
  for program in c_echo_queues:bind echo_client:connect; do
    run timeout $((PATIENCE * 3)) strace -o "$trace" \
      -e "inject=${program#*:}:error=ENOMEM" "$bin/${program%:*}"
    assert_trace "^${program#*:}\(.*htons\(10000\).*\"127\.0\.0\.1\""
  done
}

@test "rejects an invalid port and an extra argument, and so does the client" {
  local EXAMPLE wrong
  look=port_argument
  for EXAMPLE in c_echo_queues echo_client; do
    for wrong in 0 65536 80x ' 80' ''; do assert_rejects "$wrong" "$wrong"; done
    assert_rejects extra 9000 extra
  done
}

@test "names the call that fails at the start, and exits with status 1" {
  look=open_listener
  assert_names_failures socket setsockopt bind listen epoll_create1 epoll_ctl
  start_with_failure setsockopt:error=ENOMEM:when=2
  assert_exits 1 "setsockopt: $ENOMEM"
}

# The server, stopped meanwhile, reads data that it can no longer echo.
@test "survives a client that is gone when it echoes: EPIPE, not SIGPIPE" {
  look='send_some: MSG_NOSIGNAL'
  start_server
  suspend_server
  client send hello finish reset
  kill -CONT "$server"
  assert_closed_because 'Broken pipe'
}

@test "its port is free at once, after it has closed a connection first" {
  look='open_listener: SO_REUSEADDR'
  start_server
  hold_client send hello
  assert_said '^queue empty'
  stop_server
  start_on "$port"
  assert_said '^listening'
  stop_server
}

# The kernel shows the flags in octal: O_NONBLOCK is 04000, O_CLOEXEC 02000000.
@test "has only non-blocking sockets, and passes no descriptor on to other programs" {
  local fd flags
  look='open_listener, accept_connection and main: NONBLOCK, CLOEXEC'
  start_server
  hold_client
  wait_for has_descriptors $((descriptors_at_start + 1))
  for fd in "/proc/$server/fd/"*; do
    # The shell or bats may have passed some on.
    if [ "$fd" -ef "/proc/$BASHPID/fd/${fd##*/}" ]; then continue; fi
    flags=$(sed -n 's/^flags:\t//p' "/proc/$server/fdinfo/${fd##*/}")
    [[ ${fd##*/} -le 2 || $((flags & 02000000)) -ne 0 ]] ||
      fail 'every descriptor is close-on-exec' "not descriptor ${fd##*/}: $(readlink "$fd")"
    [[ $(readlink "$fd") != socket:* || $((flags & 04000)) -ne 0 ]] ||
      fail 'every socket is non-blocking' "descriptor ${fd##*/} blocks"
  done
  stop_server
}

# After EINVAL, musl's accept4 calls accept.
@test "the listener is gone: the server says so and exits with status 1" {
  look=accept_connection
  start_failing accept,accept4 EINVAL
  client
  assert_server_exits 1
  assert_said '^accept4: Invalid argument'
}

@test "more clients than descriptors: they wait until others leave" {
  local first
  look='accept_connection: EMFILE, and main'
  start_server bash -c 'ulimit -n 20; exec "$@"' bash
  start_client send hello wait finish read
  await_ready
  first=$client
  hold_client -n 30
  assert_said "^accept4: $EMFILE"
  assert_sleeps
  [ "$(grep -c '^accept4' "$err")" -le $((2 + SECONDS - started)) ] ||
    fail 'a line per second at most about it' "$(grep -c '^accept4' "$err") lines"
  release "$first"
  wait "$first"
  grep -q hello "$dir/answer.0" || fail 'an echo for a client accepted before' 'none'
  release "$client"
  assert_echo
  assert_no_leak
  stop_server
}

# --- System calls that fail: strace lets them fail --------------------------

@test "accept4, recv, send or epoll_wait fails once: the client is served" {
  local failure
  local -x PATIENCE=$((PATIENCE + 3))
  for failure in accept4:ECONNABORTED accept4:EMFILE recvfrom:EAGAIN sendto:EAGAIN "$epoll_wait:EINTR"; do
    look=''
    start_failing "${failure%:*}" "${failure#*:}"
    assert_echo
    assert_trace INJECTED
    stop_server
  done
}

# costs_one_client CALL ERROR WHEN: CALL fails once, the WHENth time. The log
# says why that connection is closed.
costs_one_client() {
  start_failing "$1" "$2" "$3"
  start_client send hello read
  assert_trace INJECTED
  wait "$client" || true
  assert_said "^closing $peer: $4"
  [ "$(grep -c '^closing' "$err")" -eq 1 ] || fail 'one line' "$(grep '^closing' "$err")"
  assert_echo
  assert_no_leak
  stop_server
}

@test "recv fails with ETIMEDOUT: it costs one client" { costs_one_client recvfrom ETIMEDOUT 1 '(Connection|Operation) timed out'; }
@test "send fails with ECONNRESET: it costs one client" { costs_one_client sendto ECONNRESET 1 'Connection reset by peer'; }
@test "epoll_ctl fails when it adds a client: it costs this client" { costs_one_client epoll_ctl ENOSPC 2 'No space left on device'; }
@test "epoll_ctl fails when it asks for EPOLLOUT: it costs this client" { costs_one_client epoll_ctl ENOMEM 3 "$ENOMEM"; }
@test "epoll_ctl fails when the queue is empty: it costs this client" { costs_one_client epoll_ctl ENOMEM 4 "$ENOMEM"; }

@test "sends the rest of a chunk when send accepts only part of it" {
  look='send_some: what follows send'
  start_traced sendto -e inject=sendto:retval=10:when=1
  did='strace lets the first send claim that it sent 10 bytes'
  client send 'ten bytes and the rest' finish read
  [ "$(<"$dir/answer")" = 'and the rest' ] || fail 'and the rest' "$(bytes_of "$dir/answer")"
  assert_said "^sending 10 bytes to $peer"
  assert_said "^sending 12 bytes to $peer"
  stop_server
}

# The first client resets while strace holds the server in its first send.
@test "forgets what it has not sent when a client resets" {
  look='accept_connection: sent'
  start_traced sendto -e inject=sendto:retval=10:delay_exit=500000:when=1
  start_client send 'ten bytes and the rest' wait reset
  await_ready
  assert_said "^received 22 bytes from $peer"
  release "$client"
  did="$did; strace lets the first send claim that it sent 10 bytes"
  assert_said "^closing $peer: Connection reset by peer"
  assert_echo
  stop_server
}

# --- The client: echo_client.c ----------------------------------------------

@test "the client says what it sends and receives, and exits with status 0" {
  local names part
  start_server
  "$bin/echo_client" "$port" 2>"$dir/said" || fail 'exit status 0' "$(cat "$dir/said")"
  stop_server
  mapfile -t names < <(sed -n 's/^new connection from //p' "$err")
  for part in 'An echo server gives back ' 'what it gets, in parts ' \
    'of its own choosing.'; do
    printf '%s: sending "%s"\n' "${names[0]}" "$part" "${names[1]}" "$part"
    printf '%s: received "%s"\n' "${names[0]}" "$part" "${names[1]}" "$part"
  done >"$dir/expected"
  printf '%s: closing\n' "${names[@]}" >>"$dir/expected"
  assert_bytes_equal "$dir/expected" "$dir/said" 'the client says'
}

# assert_client_says TEXT [STRACE-OPTION...]: its last line, and exit status 1.
assert_client_says() {
  need_strace
  run timeout $((PATIENCE + 6)) strace -o "$trace" "${@:2}" "$bin/echo_client" "$port"
  [[ $status -eq 1 && $output == *"$1" ]] || fail "status 1: $1" "status $status: $output"
}

# Instead of a wrong server, strace changes what the client's recv returns.
@test "the client says what is wrong, and exits with status 1" {
  look='receive_echo and finish, in echo_client.c'
  start_server
  assert_client_says 'what came back is not what was sent' -e inject=recvfrom:retval=26:when=2
  assert_client_says 'the server ended the stream too early' -e inject=recvfrom:retval=0:when=3
  assert_client_says 'more came back than was sent' -e inject=recvfrom:retval=1:when=7
  stop_server
  assert_client_says 'connect: Connection refused'
}

@test "the client does not wait forever for a server that does not answer" {
  look='main, in echo_client.c: alarm'
  need_strace
  start_server
  run strace -o "$trace" -e trace=alarm,setitimer "$bin/echo_client" "$port"
  assert_trace '^(alarm\(5\)|setitimer\(ITIMER_REAL, .*tv_sec=5,)'
  trace=$dir/none stop_server
}
