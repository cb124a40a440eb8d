# What makes appendix D itself: it prints the events of epoll by their names.

EXAMPLE=d_event_names
load ../../tests/helpers

# The calls of epoll_wait, as strace names them.
waits='?epoll_wait,epoll_pwait'

# --- Helpers ------------------------------------------------------------------

log() { what_happened || grep -v '^listening' "$err" | tail -n 8; }

# events: what stderr says of the first client, from its first line to its last.
events() {
  awk '$4 == "accepted" && !fd { fd = $3 }
    fd && $3 == fd { print substr($0, index($0, $4)) }
    fd && $3 == fd && $4 == "closed" { exit }' "$err"
}

# assert_events LINE...: of the first client, after "accepted"; and no more: an
# event that is reported again and again is there when the next client leaves.
assert_events() {
  has_events() { [ "$(events | wc -l)" -gt $# ]; }
  wait_for has_events "$@" || true
  assert_serves
  printf '%s\n' accepted "$@" >"$dir/expected"
  events >"$dir/events"
  look='handle_event: the mask'
  assert_bytes_equal "$dir/expected" "$dir/events" 'these lines of the client'
}

# assert_serves: a client comes, the server prints its text and closes its
# connection.
assert_serves() {
  local text=probe$RANDOM$RANDOM
  client send "$text" finish read
  assert_no_answer
  grep -q -a "$text" "$out" || fail "the server prints $text" "$(log)"
}

# survives: the next client is served, and no descriptor is left open.
survives() {
  assert_serves
  assert_no_leak
  stop_server
}

# start_stopped, go_on: the server is stopped until go_on, so that all that a
# client does between arrives together.
start_stopped() {
  start_server
  suspend_server
}
go_on() { kill -CONT "$server"; }

# count_events PATTERN: how many lines of stderr match.
count_events() { grep -c -E -e "$1" "$err" || true; }

# --- Each event ---------------------------------------------------------------

@test "EPOLLOUT: a client connects, and there is room to send; only once" {
  start_server
  hold_client
  assert_events EPOLLOUT
  stop_server
}

@test "EPOLLIN: a client sends" {
  start_server
  start_client wait send hello wait
  await_ready
  wait_for grep -q EPOLLOUT "$err"
  release "$client"
  assert_events EPOLLOUT EPOLLIN
  grep -q '^hello' "$out" || fail 'the server prints hello' "$(bytes_of "$out")"
  stop_server
}

@test "EPOLLPRI: a client sends an urgent byte, which is printed" {
  start_stopped
  hold_client urgent '!'
  go_on
  assert_events 'EPOLLPRI|EPOLLOUT'
  grep -q '^!' "$out" || fail 'the server prints !' "$(bytes_of "$out")"
  stop_server
}

@test "EPOLLRDHUP: a client ends its stream; EPOLLHUP: so does the server" {
  start_stopped
  hold_client finish
  go_on
  assert_events 'EPOLLIN|EPOLLOUT|EPOLLRDHUP' EPOLLHUP closed
  assert_no_leak
  stop_server
  look=main
  ! grep -v -E '^(listening|[0-9:]{8}\.[0-9]{3}  fd )' "$err" >"$dir/others" ||
    fail 'only lines of events on stderr' "$(<"$dir/others")"
}

@test "EPOLLERR and EPOLLHUP: a client resets" {
  start_stopped
  hold_client reset
  go_on
  assert_events 'EPOLLIN|EPOLLOUT|EPOLLRDHUP|EPOLLERR|EPOLLHUP' closed
  assert_said '^recv: Connection reset by peer$'
  survives
}

@test "prints several events in one line, and EPOLLRDHUP only once" {
  start_stopped
  hold_client fill 2000 urgent 'y!' finish
  go_on
  assert_events 'EPOLLIN|EPOLLPRI|EPOLLOUT|EPOLLRDHUP' EPOLLIN EPOLLIN EPOLLHUP closed
  tr -dc 'xy!' <"$out" | tr -s x >"$dir/printed"
  printf '!xy' >"$dir/expected"
  assert_bytes_equal "$dir/expected" "$dir/printed" 'the urgent byte first'
  survives
}

@test "prints EPOLLIN again for what one recv has left (level-triggered)" {
  start_stopped
  hold_client fill 5000
  go_on
  assert_events 'EPOLLIN|EPOLLOUT' EPOLLIN EPOLLIN EPOLLIN EPOLLIN
  stop_server
}

@test "prints what a client sent before its reset" {
  start_stopped
  hold_client fill 1500 reset
  go_on
  assert_events 'EPOLLIN|EPOLLOUT|EPOLLRDHUP|EPOLLERR|EPOLLHUP' \
    'EPOLLIN|EPOLLERR|EPOLLHUP' 'EPOLLIN|EPOLLERR|EPOLLHUP' closed
  [ "$(tr -dc x <"$out" | wc -c)" -eq 1500 ] ||
    fail 'the server prints 1,500 bytes' "$(tr -dc x <"$out" | wc -c) bytes"
  survives
}

@test "prints few lines for many urgent bytes" {
  start_server
  hold_client urgent a urgent b urgent cd send e urgent f send g urgent hi
  wait_for grep -q h "$out"
  assert_serves
  [ "$(events | wc -l)" -le 14 ] || fail 'at most 14 lines' "$(events | wc -l) lines"
  stop_server
}

@test "prints a bit without a name in hexadecimal" {
  strace -e inject=none:poke_exit=@arg2=00 true || skip 'needs strace 5.11'
  start_traced "$waits" -e "inject=$waits:poke_exit=@arg2=41000001:when=2"
  did='strace sets two more bits in an event'
  hold_client send hello
  assert_said '  EPOLLIN\|0x1000040$'
  stop_server
}

# --- The output ---------------------------------------------------------------

@test "begins a line with the time and the descriptor" {
  export TZ=XYZ-5:30
  local before after time fd number
  look=start_line
  before=$(date +%T.000)
  start_server
  assert_serves
  stop_server
  after=$(date +%T.999)
  # Across midnight, the times do not compare.
  [[ $before < $after ]] || skip midnight
  grep '  fd ' "$err" >"$dir/lines"
  while read -r time fd number _; do
    [[ $time =~ ^[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}$ && $fd == fd &&
      $number =~ ^[0-9]+$ && ! $time < $before && ! $time > $after ]] ||
      fail "a time between $before and $after, and a descriptor" "$time $fd $number"
  done <"$dir/lines"
}

@test "prints each line on stderr with one write" {
  look='main: setvbuf'
  start_traced write,writev
  assert_serves
  stop_server
  [ "$(count_trace '^writev?\(2')" -eq "$(wc -l <"$err")" ] ||
    fail "$(wc -l <"$err") calls of write" "$(count_trace '^writev?\(2')"
}

@test "prints NUL bytes, invalid UTF-8 and % unchanged, and 300,000 bytes" {
  local bytes='%%s%%n\x00\x01\xff\xc3( \x1b no newline'
  look=receive_some
  start_server
  client send "${bytes//%%/%}" fill 300000 finish read
  stop_server
  { printf "$bytes" && printf '%300000s' '' | tr ' ' x; } >"$dir/expected"
  assert_bytes_equal "$dir/expected" "$out" 'the server prints'
}

@test "prints what a client sends before it waits again" {
  look='receive_some: fflush'
  start_traced "recvfrom,write,writev,$waits"
  client send hello finish read
  stop_server
  grep -A 1 '^recvfrom.*"hello"' "$trace" | grep -q '^write.*(1, .*"hello"' ||
    fail 'recv, then write' "$(grep -A 1 '^recvfrom.*"hello"' "$trace")"
}

@test "sleeps when nothing happens, whatever has happened before" {
  start_traced "accept4,epoll_ctl,$waits"
  hold_client send hello urgent '!'
  hold_client send hello finish
  hold_client send hello reset
  assert_serves
  stop_server
  look='handle_event: the mask'
  refute_trace '^epoll_p?wait.*, 64, [0-9]'
  [ "$(count_trace '^epoll_p?wait.* = [1-9]')" -le 20 ] ||
    fail 'at most 20 events' "$(count_trace '^epoll_p?wait.* = [1-9]')"
  look='the masks of watch'
  refute_trace EPOLLET
  look='accept_connection: accept4'
  assert_trace '^accept4\(.*SOCK_CLOEXEC\|SOCK_NONBLOCK\) = [0-9]'
}

# --- Start and end ------------------------------------------------------------

@test "listens on port 9999 of all addresses, if no port is given" {
  look='port_argument and open_listener'
  did="the test starts $EXAMPLE without an argument"
  ASAN_OPTIONS=$ASAN_OPTIONS:detect_leaks=0 run timeout $((PATIENCE * 3)) strace -o "$trace" \
    -e inject=bind:error=EADDRINUSE "$bin/$EXAMPLE"
  assert_trace 'bind\(.*htons\(9999\).*"0\.0\.0\.0"'
}

@test "rejects an invalid port or an extra argument with exit status 2" {
  local wrong
  look=port_argument
  for wrong in hello 0 70000 80x '8080 extra'; do
    # shellcheck disable=SC2086
    run timeout $((PATIENCE * 3)) "$bin/$EXAMPLE" $wrong
    [[ $status -eq 2 && $output == usage:*"'${wrong#* }'" && ${#lines[@]} -eq 1 ]] ||
      fail "exit status 2, and one line: usage: ... '${wrong#* }'" "status $status: $output"
  done
}

@test "more clients than descriptors: they wait until others leave" {
  look='accept_connection: EMFILE, and main'
  start_server bash -c 'ulimit -n 20; exec "$@"' bash
  hold_client -n 30
  assert_said "^accept4: $EMFILE"
  assert_sleeps
  [ "$(count_events '^accept4: ')" -le 2 ] ||
    fail 'at most one message per second' "$(count_events '^accept4: ') messages"
  start_client send waited finish read
  release "${clients[0]}"
  wait "$client" || timed_out
  grep -q waited "$out" || fail 'the server prints what the last client sends' "$(log)"
  survives
}

# --- System calls that fail ---------------------------------------------------

# fails CALL ERROR WHEN: CALL fails once, the WHENth time, for a client that
# sends its text and ends its stream. The next one is served.
fails() {
  look="what follows $1"
  start_traced "$1" -e "inject=$1:error=$2:when=$3"
  did="strace lets $1 fail with $2, the call number $3"
  client send hello finish read
  assert_trace INJECTED
}

@test "a call fails for a moment: the client is served all the same" {
  local failure
  for failure in 'accept4 ECONNABORTED' 'accept4 EPROTO' 'accept4 EMFILE' \
    'accept4 ENOMEM' 'recvfrom EAGAIN' "$waits EINTR"; do
    # shellcheck disable=SC2086
    fails $failure 1
    grep -q hello "$out" || fail 'the server prints hello' "$(log)"
    survives
  done
}

@test "a call fails for one client: it costs this client" {
  local failure
  for failure in 'recvfrom ECONNRESET 1' 'recvfrom ETIMEDOUT 1' 'epoll_ctl ENOSPC 2' \
    'epoll_ctl ENOMEM 3' 'shutdown ENOTCONN 1'; do
    # shellcheck disable=SC2086
    fails $failure
    survives
  done
}

@test "accept4 fails with EINVAL, because the listener is gone: one message, status 1" {
  look='accept_connection: EINVAL'
  # After EINVAL, accept4 of musl calls accept.
  start_traced accept4,accept -e inject=accept4,accept:error=EINVAL
  start_client
  assert_server_exits 1
  assert_said '^accept4: Invalid argument'
  [ "$(count_events .)" -eq 3 ] || fail 'listening, an event, a message' "$(log)"
}
