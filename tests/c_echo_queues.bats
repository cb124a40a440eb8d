# Appendix C: the echo server and its client, a sentence each.

EXAMPLE=c_echo_queues

load helpers
load behaviour

# answers: in the place of that of the six.
answers() { [ "$("$client" "$port" send hello finish read)" = hello ]; }

# logged TEXT: the log has this line; PEER in it is any client's name.
logged() { grep -qxE "${1//PEER/127\\.0\\.0\\.1:[0-9]+}" "$err"; }

# closed_because WHY: the next client is served, and nothing is left open.
closed_because() {
  wait_for logged "closing PEER: $1"
  answers
  wait_for has_descriptors "$idle"
  stop
}

# echoes_despite CALL ERROR: CALL fails with ERROR the first time, and the
# client is served all the same. Where the server pauses, strace skips it.
echoes_despite() {
  traced "$1,clock_nanosleep" -e "inject=$1:error=$2:when=1" \
    -e inject=clock_nanosleep:retval=0
  answers
  grep -q "$2.*INJECTED" "$trace"
  stop
}

# connect: $fd is a new connection of this shell, which sends and reads at the
# same time where the client could not.
connect() { exec {fd}<>"/dev/tcp/127.0.0.1/$port"; }

# background COMMAND...: without what bats waits for. $! is its pid.
background() { "$@" >/dev/null 2>&1 3>&- & }

# The last interest was in EPOLLOUT alone.
is_full() {
  tail -n 1 "$trace" | grep -q '^epoll_ctl.*{events=EPOLLOUT, '
}

# fill_the_queue: of $greedy, which sends 50 MB, more than the kernel's buffers
# hold, and never reads.
fill_the_queue() {
  traced epoll_ctl
  answers
  idle=$(descriptors)
  before=$(memory)
  background "$client" "$port" fill 50000000
  greedy=$!
  wait_for is_full
}

# memory: what the server takes up, in KiB.
memory() { awk '/^VmRSS/ { print $2 }' "/proc/$server/status"; }

# run_echo_client [STRACE-OPTION...]: $output is what it says.
run_echo_client() {
  export ASAN_OPTIONS=$ASAN_OPTIONS:detect_leaks=0
  run timeout 8 strace -o "$dir/client.trace" "$@" "$bin/echo_client" "$port"
}

@test "c_echo_queues: the log of one connection, in its order" {
  start
  "$client" "$port" send hello finish read
  stop
  local peer
  peer=$(sed -n 's/^new connection from //p' "$err")
  [[ $peer =~ ^127\.0\.0\.1:[0-9]+$ ]]
  printf '%s\n' "listening: try ./echo_client $port" \
    "new connection from $peer" "received 5 bytes from $peer" \
    "sending 5 bytes to $peer" "queue empty for $peer" \
    "closing $peer: end of stream" >"$dir/expected"
  same "$dir/expected" "$err"
}

@test "c_echo_queues: the calls of one message, in their order" {
  traced accept4,epoll_ctl,recvfrom,sendto,close
  background "$client" "$port" send hello wait finish read
  wait_for logged 'queue empty for PEER'
  kill -USR1 $!
  wait_for logged 'closing PEER: end of stream'
  stop
  sed -n -E 's/^epoll_ctl\([0-9]+, ([A-Z_]+), [0-9]+, \{events=([A-Z|]+).*/\1 \2/
    s/^([a-z0-9]+)\(.*/\1/
    /^accept4/,/^close/p' "$trace" >"$dir/calls"
  printf '%s\n' accept4 'EPOLL_CTL_ADD EPOLLIN|EPOLLPRI' \
    recvfrom 'EPOLL_CTL_MOD EPOLLIN|EPOLLPRI|EPOLLOUT' \
    sendto 'EPOLL_CTL_MOD EPOLLIN|EPOLLPRI' recvfrom close >"$dir/expected"
  same "$dir/expected" "$dir/calls"
  grep -q '^sendto.*MSG_NOSIGNAL' "$trace"
}

@test "c_echo_queues: what one recv returned, 1,024 bytes at most, is one message" {
  start
  "$client" "$port" fill 5000 finish read >"$dir/answer"
  [ "$(wc -c <"$dir/answer")" -eq 5000 ]
  stop
  local call
  for call in received sending; do
    [ "$(grep -c "^$call 1024 bytes" "$err")" -eq 4 ]
    [ "$(grep -c "^$call 904 bytes" "$err")" -eq 1 ]
  done
}

@test "c_echo_queues: 100 clients get a megabyte each, at the same time, byte for byte" {
  start
  local i fd fds=() pids=()
  head -c 1000000 /dev/urandom >"$dir/data"
  idle=$(descriptors)
  for i in {1..100}; do
    connect
    fds+=("$fd")
  done
  wait_for has_descriptors $((idle + 100))
  for i in "${fds[@]}"; do
    cat "$dir/data" >&"$i" 3>&- &
    cmp <(head -c 1000000 <&"$i") "$dir/data" 3>&- &
    pids+=($!)
  done
  for i in "${pids[@]}"; do wait "$i"; done
  for i in "${fds[@]}"; do exec {i}>&-; done
  wait_for has_descriptors "$idle"
  stop
}

@test "c_echo_queues: a client that never reads is no longer read from, and costs the others nothing" {
  fill_the_queue
  answers
  "$bin/echo_client" "$port"
  [ $(($(memory) - before)) -lt 4000 ]
  kill -0 "$greedy"
  stop
}

@test "c_echo_queues: a client that leaves with its queue full costs nothing" {
  fill_the_queue
  kill -KILL "$greedy"
  closed_because 'Connection reset by peer'
}

@test "c_echo_queues: ends within a second with a full queue" {
  fill_the_queue
  within_a_second stop
}

# The rule, for the trace of one connection: EPOLLOUT while the queue holds
# something, EPOLLIN while it has room.
@test "c_echo_queues: asks for EPOLLOUT only while the queue holds something, for EPOLLIN only while it has room" {
  traced epoll_ctl,recvfrom,sendto
  head -c 4000000 /dev/urandom >"$dir/data"
  local fd
  connect
  cat "$dir/data" >&"$fd" 3>&- &
  wait_for is_full
  head -c 4000000 <&"$fd" >"$dir/answer"
  wait_for logged 'queue empty for PEER'
  stop
  same "$dir/data" "$dir/answer"
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
    END { if (!full || !empty) exit 1 }' "$trace"
}

@test "c_echo_queues: does not wake for a client that has nothing to say" {
  traced epoll_wait
  hold "$port" send hello
  wait_for logged 'queue empty for PEER'
  local before
  before=$(wc -l <"$trace")
  sleep 0.3
  [ "$(wc -l <"$trace")" -eq "$before" ]
  stop
}

@test "c_echo_queues: 300 KB and a half-close are echoed to the last byte" {
  start
  "$client" "$port" fill 300000 finish read >"$dir/answer"
  [ "$(tr -dc x <"$dir/answer" | wc -c)" -eq 300000 ]
  wait_for logged 'closing PEER: end of stream'
  stop
}

# The first 40 times, send claims that there is no room.
@test "c_echo_queues: what is queued when the client half-closes is echoed all the same" {
  traced epoll_ctl,sendto -e inject=sendto:error=EAGAIN:when=1..40
  "$client" "$port" fill 5000 finish read >"$dir/answer"
  [ "$(tr -dc x <"$dir/answer" | wc -c)" -eq 5000 ]
  wait_for logged 'closing PEER: end of stream'
  grep -q '{events=EPOLLOUT, ' "$trace"
  stop
}

@test "c_echo_queues: urgent data is echoed in its place, and does not make it spin" {
  traced epoll_wait
  "$client" "$port" send abc urgent de urgent f send gh urgent i finish read \
    >"$dir/answer"
  [ "$(cat "$dir/answer")" = abcdefghi ]
  hold "$port" urgent '!'
  wait_for logged 'received 1 bytes from PEER'
  sleep 0.3
  grep -q EPOLLPRI "$trace"
  [ "$(wc -l <"$trace")" -le 30 ]
  stop
}

# So it is while a segment before the urgent byte is missing.
@test "c_echo_queues: an urgent byte that cannot be read yet does not make it spin" {
  traced epoll_ctl,recvfrom -e inject=recvfrom:error=EAGAIN:when=1
  "$client" "$port" urgent '!' wait finish read >"$dir/answer" 3>&- &
  wait_for logged 'queue empty for PEER'
  kill -USR1 $!
  wait $!
  stop
  sed -n -E 's/^epoll_ctl\([0-9]+, EPOLL_CTL_MOD, .*events=([A-Z|]+).*/\1/p
    s/^recvfrom.* = ([-0-9]+).*/\1/p' "$trace" >"$dir/calls"
  printf '%s\n' -1 EPOLLIN 1 'EPOLLIN|EPOLLPRI|EPOLLOUT' 'EPOLLIN|EPOLLPRI' 0 \
    >"$dir/expected"
  same "$dir/expected" "$dir/calls"
}

@test "c_echo_queues: what clients send is not in the log" {
  start
  "$client" "$port" send '\x1b[31mhello\x00\xff' finish read
  stop
  [ "$(tr -d '\n -~' <"$err" | wc -c)" -eq 0 ]
  run ! grep hello "$err"
}

@test "c_echo_queues: NUL bytes, escapes and bytes that are no UTF-8 come back as they were" {
  start
  "$client" "$port" send 'a\x00\xff\xc3(\x1b[0m%n\r\n' finish read \
    >"$dir/answer"
  printf 'a\x00\xff\xc3(\x1b[0m%%n\r\n' >"$dir/expected"
  same "$dir/expected" "$dir/answer"
  stop
}

@test "c_echo_queues: listens on 127.0.0.1 only" {
  start
  answers
  run ! bash -c "exec 3<>/dev/tcp/127.0.0.2/$port"
  [[ $output == *refused* ]]
  stop
}

@test "c_echo_queues: port 10000 unless the argument says otherwise" {
  export ASAN_OPTIONS=$ASAN_OPTIONS:detect_leaks=0
  local program
  for program in c_echo_queues:bind echo_client:connect; do
    run -1 timeout 5 strace -o "$trace" \
      -e "inject=${program#*:}:error=ENOMEM" "$bin/${program%:*}"
    grep "^${program#*:}(.*htons(10000)" "$trace"
  done
}

@test "c_echo_queues: a port that is none, or a surplus argument, is named, and the exit status is 2" { refuses_what_is_no_port; }
@test "c_echo_queues: says that the port is taken, and exits with 1" { says_that_the_port_is_taken; }
@test "c_echo_queues: a call that fails at the start is named, and the exit status is 1" {
  ends_if_a_call_fails_at_start socket setsockopt bind listen \
    rt_sigaction:sigaction fcntl epoll_create1 epoll_ctl
}

@test "c_echo_queues: a client that leaves without a word is let go" {
  fresh
  "$client" "$port"
  closed_because 'end of stream'
}

@test "c_echo_queues: a client that resets is let go, and the log says why" {
  fresh
  "$client" "$port" send hello reset
  closed_because 'Connection reset by peer'
}

@test "c_echo_queues: a client that half-closes and resets is let go, and the log says why" {
  fresh
  kill -STOP "$server"
  "$client" "$port" send hello finish reset
  kill -CONT "$server"
  closed_because 'Broken pipe'
}

# As if the error had been fetched before.
@test "c_echo_queues: a HUP without an error is logged as such" {
  traced getsockopt -e inject=getsockopt:retval=0
  idle=$(descriptors)
  "$client" "$port" send hello reset
  closed_because HUP
}

@test "c_echo_queues: ends on SIGINT, with nothing more to say, and its port is free" {
  start
  hold "$port" send hello
  wait_for logged 'queue empty for PEER'
  stop INT
  tail -n 1 "$err" | grep -q '^queue empty'
  start_on "$port"
  grep '^listening' "$err"
  stop
}

@test "c_echo_queues: ends within a second while 100 clients stall" {
  start
  hold -n 100 "$port" send hello
  within_a_second stop
  run ! grep ^closing "$err"
}

@test "c_echo_queues: ends within a second under load" {
  start
  local i
  for i in 1 2 3 4; do
    (while "$client" -n 20 "$port" fill 20000 finish read; do :; done) \
      >"$dir/load.$i" 2>&1 3>&- &
  done
  wait_for test -s "$dir/load.4"
  within_a_second stop INT
}

# unread COMMAND...: with a reader of stderr that is content with the first
# line, and stays for as long as COMMAND.
unread() {
  local pid=$BASHPID line
  exec "$@" 2> >(
    read -r line
    echo "$line" >&2
    exec tail -s 0.1 --pid="$pid" -f /dev/null
  )
}

# A pipe holds 64 KiB; then the server blocks in write.
@test "c_echo_queues: ends though nobody reads its log" {
  start unread
  background "$client" "$port" fill 3000000
  wait_for not timeout 0.3 "$client" "$port" send hello finish read
  kill -TERM "$server"
  ended 0
}

@test "c_echo_queues: goes on after SIGSTOP and SIGCONT" { survives_a_stop_and_a_continuation; }
@test "c_echo_queues: a signal that lands just before epoll_wait is not lost" { loses_no_signal epoll_wait; }

@test "c_echo_queues: accept4 fails with EINTR: the client is served all the same" { echoes_despite accept4 EINTR; }
@test "c_echo_queues: accept4 fails with ECONNABORTED: the client is served all the same" { echoes_despite accept4 ECONNABORTED; }
@test "c_echo_queues: accept4 fails with EPROTO: the client is served all the same" { echoes_despite accept4 EPROTO; }
@test "c_echo_queues: accept4 fails with EMFILE: the client is served all the same" { echoes_despite accept4 EMFILE; }
@test "c_echo_queues: accept4 fails with ENFILE: the client is served all the same" { echoes_despite accept4 ENFILE; }
@test "c_echo_queues: accept4 fails with ENOBUFS: the client is served all the same" { echoes_despite accept4 ENOBUFS; }
@test "c_echo_queues: accept4 fails again and again: no spin, no flood of messages" { outlasts_a_shortage accept4; }
@test "c_echo_queues: recv fails with EINTR: the client is served all the same" { echoes_despite recvfrom EINTR; }
@test "c_echo_queues: send fails with EINTR: the client is served all the same" { echoes_despite sendto EINTR; }
@test "c_echo_queues: recv fails with EAGAIN: the client is served all the same" { echoes_despite recvfrom EAGAIN; }
@test "c_echo_queues: send fails with EAGAIN: the client is served all the same" { echoes_despite sendto EAGAIN; }
@test "c_echo_queues: epoll_wait fails with EINTR: nobody is lost" { echoes_despite epoll_wait EINTR; }
@test "c_echo_queues: recv fails with ECONNRESET: it costs one client at most" { keeps_serving recvfrom ECONNRESET; }
@test "c_echo_queues: recv fails with ETIMEDOUT: it costs one client at most" { keeps_serving recvfrom ETIMEDOUT; }
@test "c_echo_queues: send fails with EPIPE: it costs one client at most" { keeps_serving sendto EPIPE; }
@test "c_echo_queues: send fails with ECONNRESET: it costs one client at most" { keeps_serving sendto ECONNRESET; }
@test "c_echo_queues: epoll_ctl fails when a client is added: it costs that one at most" { keeps_serving epoll_ctl ENOSPC 2; }
@test "c_echo_queues: epoll_ctl fails when EPOLLOUT is asked for: it costs one client at most" { keeps_serving epoll_ctl ENOMEM 3; }
@test "c_echo_queues: epoll_ctl fails when EPOLLOUT is no longer asked for: it costs one client at most" { keeps_serving epoll_ctl ENOMEM 4; }

# The call claims to have sent 10 bytes, and has sent none.
@test "c_echo_queues: send takes a part of a message: the rest is sent" {
  traced sendto -e inject=sendto:retval=10:when=1
  "$client" "$port" send 'ten bytes and the rest' finish read >"$dir/answer"
  [ "$(cat "$dir/answer")" = 'and the rest' ]
  logged 'sending 10 bytes to PEER'
  logged 'sending 12 bytes to PEER'
  stop
}

@test "c_echo_queues: the listener and the connections do not block" { has_non_blocking_sockets; }
@test "c_echo_queues: 300 stalled clients do not hold up another" { serves_beside_300_stalled_clients; }
@test "c_echo_queues: a client that is turned away is told so at once" { tells_the_clients_it_turns_away; }
@test "c_echo_queues: more clients than memory: service again when some leave" { turns_away_clients_when_memory_is_short; }

# The last descriptor that may be had stays free, so 38 is the last in use.
@test "c_echo_queues: more clients than descriptors: no spin, and service again when some leave" {
  fresh bash -c 'ulimit -n 40 && exec "$@"' bash
  hold -n 80 "$port"
  wait_for grep -q 'client turned away' "$err"
  test -e "/proc/$server/fd/38"
  local before
  before=$(cpu_ticks)
  sleep 0.3
  [ $(($(cpu_ticks) - before)) -le 5 ]
  leave "$held"
  closed_because 'end of stream'
}

@test "c_echo_queues: EPOLLET is nowhere" { asks_for_no_edges; }

@test "c_echo_queues: the client says what it sends and receives, and exits with 0" {
  start
  "$bin/echo_client" "$port" 2>"$dir/said"
  stop
  local peers line
  mapfile -t peers < <(sed -n 's/^new connection from //p' "$err")
  [ "${#peers[@]}" -eq 2 ]
  for line in 'An echo server gives back ' 'what it gets, in parts ' \
    'of its own choosing.'; do
    printf '%s: sending "%s"\n' "${peers[0]}" "$line" "${peers[1]}" "$line"
    printf '%s: received "%s"\n' "${peers[0]}" "$line" "${peers[1]}" "$line"
  done >"$dir/expected"
  printf '%s: closing\n' "${peers[@]}" >>"$dir/expected"
  same "$dir/expected" "$dir/said"
}

# In the place of a server that is wrong, the client's own calls are.
@test "c_echo_queues: the client says what is wrong, and exits with 1" {
  start
  run_echo_client -e inject=recvfrom:retval=26:when=2
  [ "$status" -eq 1 ]
  [[ $output == *'what came back is not what was sent' ]]
  run_echo_client -e inject=recvfrom:retval=0:when=3
  [ "$status" -eq 1 ]
  [[ $output == *'the server ended the stream too early' ]]
  run_echo_client -e inject=recvfrom:retval=1:when=7
  [ "$status" -eq 1 ]
  [[ $output == *'more came back than was sent' ]]
  stop
  run_echo_client
  [ "$status" -eq 1 ]
  [[ $output == *'connect: Connection refused' ]]
}

@test "c_echo_queues: the client does not wait for ever" {
  start
  kill -STOP "$server"
  "$bin/echo_client" "$port" 2>"$dir/said" 3>&- &
  wait_for grep -q sending "$dir/said"
  kill -ALRM $!
  local status=0
  wait $! || status=$?
  [ "$status" -eq 1 ]
  grep -q '^not done in 5 seconds: recv: ' "$dir/said"
  kill -CONT "$server"
  stop
  run_echo_client
  grep -q '^alarm(5)' "$dir/client.trace"
}

@test "c_echo_queues: the client's port that is none is named, and the exit status is 2" {
  EXAMPLE=echo_client
  refuses_what_is_no_port
}
