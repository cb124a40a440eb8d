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
  local PATIENCE=10
  wait_for is_stalled || fail 'the server waits for EPOLLOUT alone' 'it does not'
}

# fill_the_queue: a client, $greedy, sends 50 MB, more than the buffers of the
# kernel contain, and never reads.
fill_the_queue() {
  local -x PATIENCE=10
  look='watch_queue: QUEUE_SIZE'
  start_server
  assert_echo
  start_client fill 50000000
  greedy=$client
  await_stall
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

@test "echoes a long text in chunks of 1,024 bytes at most" {
  local call
  look='receive_some: READ_SIZE'
  start_server
  client fill 5000 finish read
  [ "$(wc -c <"$dir/answer")" -eq 5000 ] ||
    fail 'an echo of 5,000 bytes' "$(wc -c <"$dir/answer") bytes"
  stop_server
  for call in received sending; do
    [ "$(grep -c "^$call 1024 bytes" "$err"),$(grep -c "^$call 904 bytes" "$err")" = 4,1 ] ||
      fail "$call: 4 chunks of 1,024 bytes and one of 904" "$(grep "^$call" "$err")"
  done
}

# TCP has no messages: two calls of send, one chunk.
@test "reads as one chunk what a client has sent in two calls" {
  start_server
  suspend_server
  start_client send hel send lo finish wait read
  did="while the server is stopped, $did"
  await_ready
  kill -CONT "$server"
  release "$client"
  assert_said "^received 5 bytes from $peer"
  stop_server
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
  fill_the_queue
  before=$(memory)
  assert_sleeps
  assert_echo
  [ $(($(memory) - before)) -lt 1000 ] ||
    fail 'no more memory' "$before KiB, then $(memory) KiB"
  kill -0 "$greedy" || fail 'the client still sends' 'it has finished'
  stop_server
}

@test "loses nothing when a client with a full queue is killed" {
  fill_the_queue
  kill -KILL "$greedy"
  look=send_chunk
  assert_closed_because 'Connection reset by peer'
}

@test "ends at once while a queue is full" {
  fill_the_queue
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
  awk '
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
    END { if (!full || !empty) exit 1 }' "$trace" ||
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

@test "echoes 300 KB to the last byte to a client that half-closes" {
  look='watch_queue: ended'
  start_server
  client fill 300000 finish read
  [ "$(tr -dc x <"$dir/answer" | wc -c)" -eq 300000 ] ||
    fail '300,000 bytes' "$(wc -c <"$dir/answer")"
  assert_said "^closing $peer: end of stream"
  stop_server
}

@test "echoes what is in the queue when the client half-closes" {
  look='watch_queue: ended'
  start_traced epoll_ctl,sendto -e inject=sendto:error=EAGAIN:when=1..40
  did='strace lets send fail 40 times with EAGAIN'
  client fill 5000 finish read
  [ "$(tr -dc x <"$dir/answer" | wc -c)" -eq 5000 ] ||
    fail '5,000 bytes' "$(wc -c <"$dir/answer")"
  assert_said "^closing $peer: end of stream"
  assert_trace '\{events=EPOLLOUT, '
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

@test "listens on 127.0.0.1 only" {
  look='open_listener: INADDR_LOOPBACK'
  start_server
  run bash -c "exec 3<>/dev/tcp/127.0.0.2/$port"
  [[ $status -ne 0 && $output == *refused* ]] || fail 'no connection to 127.0.0.2' "$output"
  stop_server
}

@test "uses port 10000 without an argument, and so does the client" {
  local program
  look=port_argument
  export ASAN_OPTIONS=$ASAN_OPTIONS:detect_leaks=0
  for program in c_echo_queues:bind echo_client:connect; do
    run timeout 5 strace -o "$trace" \
      -e "inject=${program#*:}:error=ENOMEM" "$bin/${program%:*}"
    assert_trace "^${program#*:}\(.*htons\(10000\)"
  done
}

@test "rejects an invalid port and an extra argument, and so does the client" {
  local program arguments
  look=port_argument
  for program in c_echo_queues echo_client; do
    for arguments in 0 65536 80x +80 ' 80' -1 '' '9000 9001'; do
      did="$program $arguments"
      if [ "$arguments" = '9000 9001' ]; then set -- 9000 9001; else set -- "$arguments"; fi
      run timeout 5 "$bin/$program" "$@"
      [[ $status -eq 2 && $output == usage:*"'${*: -1}'" ]] ||
        fail "status 2: usage: ... '${*: -1}'" "status $status: $output"
    done
  done
}

@test "says that the port is taken, and exits with status 1" {
  start_server
  run timeout 5 "$bin/$EXAMPLE" "$port"
  [[ $status -eq 1 && $output =~ ^bind:\ $EADDRINUSE$ ]] ||
    fail 'status 1: bind: Address already in use' "status $status: $output"
  stop_server
}

@test "names the call that fails at the start, and exits with status 1" {
  local call calls='socket setsockopt bind listen epoll_create1 epoll_ctl'
  # A sanitizer uses signal calls of its own.
  if [ -z "${SANITIZED:-}" ]; then
    calls+=' rt_sigaction:sigaction rt_sigprocmask:sigprocmask'
  fi
  for call in $calls; do
    did="${call%:*} fails with ENOMEM"
    start_with_failure "${call%:*}:error=ENOMEM"
    [[ $status -eq 1 && $output =~ ^${call#*:}:\ $ENOMEM$ ]] ||
      fail "status 1: ${call#*:}: Cannot allocate memory" "status $status: $output"
  done
}

@test "SO_OOBINLINE fails: the server says so and exits with status 1" {
  start_with_failure setsockopt:error=ENOMEM:when=2
  [[ $status -eq 1 && $output =~ ^setsockopt:\ $ENOMEM$ ]] ||
    fail 'status 1: setsockopt: Cannot allocate memory' "status $status: $output"
}

@test "closes the connection of a client that leaves without a word" {
  start_server
  client
  assert_closed_because 'end of stream'
}

@test "closes the connection of a client that resets, and says why" {
  start_server
  client_resets send hello
  assert_closed_because 'Connection reset by peer'
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

# ends_on SIGNAL: without a word, and its port is free.
ends_on() {
  start_server
  hold_client send hello
  assert_said '^queue empty'
  stop_server "$1"
  tail -n 1 "$err" | grep -q '^queue empty' ||
    fail 'no line after "queue empty"' "$(tail -n 1 "$err")"
  look='open_listener: SO_REUSEADDR'
  start_on "$port"
  assert_said '^listening'
  stop_server
}

@test "ends quietly on SIGINT, and its port is free at once" { ends_on INT; }
@test "ends quietly on SIGTERM, and its port is free at once" { ends_on TERM; }

@test "ends at once while 100 clients are silent" {
  start_server
  hold_client -n 100 send hello
  stop_server
  ! grep -q '^closing' "$err" || fail 'no closing line' "$(grep -c '^closing' "$err")"
}

@test "ends at once under load" {
  local i
  start_server
  for i in 1 2 3; do start_client -n 300 fill 20000 finish read; done
  wait_for test -s "$answer"
  stop_server INT
}

@test "ends at once when its parent has blocked SIGINT, SIGTERM and others" {
  look='catch_signals: sigprocmask'
  start_server env --block-signal=INT,TERM,ALRM,USR1
  hold_client send hello
  stop_server INT
}

# A pipe contains 64 KiB; then the server sleeps in write. Where the kernel does
# not say so, other clients get no echo.
sleeps_in_write() {
  grep -q pipe_write "/proc/$server/wchan" ||
    ! timeout 0.3 "$top/build/client" "$port" send hello finish read
}

@test "ends at once while nobody reads its log" {
  local line log
  mkfifo "$dir/pipe"
  exec {log}<>"$dir/pipe"
  while
    port=$((10000 + RANDOM % 20000))
    "$bin/$EXAMPLE" "$port" 2>"$dir/pipe" 3>&- &
    server=$!
    read -r -t 5 line <&"$log"
    [[ $line =~ ^bind:\ $EADDRINUSE$ ]]
  do :; done
  [[ $line == listening* ]] || fail 'listening: ...' "$line"
  start_client -n 100 fill 20000 finish read
  wait_for sleeps_in_write || fail 'the server sleeps in write' 'it does not'
  stop_server
  exec {log}<&-
}

@test "goes on after SIGSTOP and SIGCONT" {
  look='main: EINTR'
  start_server
  suspend_server
  kill -CONT "$server"
  assert_echo
  stop_server
}

# O_NONBLOCK is 04000 in the flags that the kernel shows, in octal.
@test "has only non-blocking sockets" {
  local fd
  look='open_listener and accept_connection: SOCK_NONBLOCK'
  start_server
  hold_client
  wait_for has_descriptors $((descriptors_at_start + 1))
  for fd in "/proc/$server/fd/"*; do
    if [[ $(readlink "$fd") != socket:* ]]; then continue; fi
    grep -q -E '^flags:.*[4-7][0-7]{3}$' "/proc/$server/fdinfo/${fd##*/}" ||
      fail 'every socket is non-blocking' "descriptor ${fd##*/} blocks"
  done
  stop_server
}

@test "serves a client beside 300 silent ones" {
  start_server
  hold_client -n 300 send hello
  assert_echo
  release "$client"
  assert_no_leak
  stop_server
}

@test "never uses EPOLLET" {
  start_traced epoll_ctl
  assert_echo
  stop_server
  assert_trace EPOLLOUT
  refute_trace EPOLLET
}

# more_clients_than_descriptors: they wait until others leave.
more_clients_than_descriptors() {
  local first
  look='accept_connection: EMFILE, and main'
  start_client send hello wait finish read
  await_ready
  first=$client
  hold_client -n 30
  assert_said "^accept4: $EMFILE"
  assert_sleeps
  [ "$(grep -c '^accept4' "$err")" -le 2 ] ||
    fail 'at most 2 lines about it' "$(grep -c '^accept4' "$err")"
  release "$first"
  wait "$first"
  grep -q hello "$dir/answer.0" || fail 'an echo for a client accepted before' 'none'
  release "$client"
  assert_echo
  assert_no_leak
  stop_server
}

@test "more clients than descriptors: they wait until others leave" {
  start_server bash -c 'ulimit -n 20; exec "$@"' bash
  more_clients_than_descriptors
}

@test "the highest descriptor is taken from the start: the same" {
  start_server bash -c 'ulimit -n 20; exec "$@" 19</dev/null' bash
  more_clients_than_descriptors
}

# --- System calls that fail: strace lets them fail --------------------------

# still_echoes CALL ERROR: CALL fails once, and even this client gets its echo.
still_echoes() {
  local -x PATIENCE=5
  look="what follows $1"
  start_traced "$1" -e "inject=$1:error=$2:when=1"
  did="strace lets $1 fail once with $2"
  assert_echo
  assert_trace INJECTED
  stop_server
}

@test "accept4 fails with ECONNABORTED: the client is served" { still_echoes accept4 ECONNABORTED; }
@test "accept4 fails with EPROTO: the client is served" { still_echoes accept4 EPROTO; }
@test "recv fails with EAGAIN: the client is served" { still_echoes recvfrom EAGAIN; }
@test "send fails with EAGAIN: the client is served" { still_echoes sendto EAGAIN; }
@test "epoll_wait fails with EINTR: the client is served" { still_echoes epoll_wait,epoll_pwait EINTR; }

@test "accept4 fails with EMFILE or ENOBUFS: the client is served a second later" {
  local error
  for error in EMFILE ENOBUFS; do
    still_echoes accept4 "$error"
    [ "$(grep -c '^accept4: ' "$err")" -eq 1 ] || fail 'one line' "$(cat "$err")"
  done
}

@test "accept4 fails again and again: no spin, no flood of messages" {
  look='accept_connection: EMFILE, and main'
  start_traced accept4 -e inject=accept4:error=EMFILE
  did='strace lets every accept4 fail with EMFILE'
  start_client
  assert_said "^accept4: $EMFILE"
  assert_sleeps
  assert_lines_said 2
  stop_server
}

# costs_one_client CALL ERROR WHEN: CALL fails once, the WHENth time. The log
# says why that connection is closed.
costs_one_client() {
  look="what follows $1"
  start_traced "$1" -e "inject=$1:error=$2:when=$3"
  did="strace lets $1 fail with $2, the call number $3"
  start_client send hello read
  assert_trace INJECTED
  wait "$client" || true
  assert_said "^closing $peer: $4"
  [ "$(grep -c '^closing' "$err")" -eq 1 ] || fail 'one line' "$(grep '^closing' "$err")"
  assert_echo
  assert_no_leak
  stop_server
}

@test "recv fails with ECONNRESET: it costs one client" { costs_one_client recvfrom ECONNRESET 1 'Connection reset by peer'; }
@test "recv fails with ETIMEDOUT: it costs one client" { costs_one_client recvfrom ETIMEDOUT 1 '(Connection|Operation) timed out'; }
@test "send fails with EPIPE: it costs one client" { costs_one_client sendto EPIPE 1 'Broken pipe'; }
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
  export ASAN_OPTIONS=$ASAN_OPTIONS:detect_leaks=0
  run timeout 8 strace -o "$trace" "${@:2}" "$bin/echo_client" "$port"
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
  local status=0
  look='main, in echo_client.c: alarm'
  start_server
  suspend_server
  strace -D -o "$trace" -e trace=alarm,setitimer "$bin/echo_client" "$port" 2>"$dir/said" 3>&- &
  wait_for grep -q sending "$dir/said"
  assert_trace '5'
  kill -ALRM $!
  wait $! || status=$?
  [ "$status" -eq $((128 + 14)) ] || fail 'SIGALRM ends it' "status $status"
  kill -CONT "$server"
  stop_server
}
