# What makes appendix D itself: it prints the events of epoll by their names.

# What bash -c gets is not for this shell, and each test has its own.
# shellcheck disable=SC2016,SC2030,SC2031

EXAMPLE=d_event_names
load ../../tests/helpers

# The calls of epoll_wait, as strace names them.
waits='?epoll_wait,epoll_pwait'

# --- Helpers ------------------------------------------------------------------

# What it says when descriptors are short: glibc's words, and musl's.
shortage='^accept4: (Too many open files|No file descriptors available)$'

# What it says if standard input is /dev/null or a file.
stdin_refused='^standard input is not watched: Operation not permitted$'

# have_keys: after it, start_server [COMMAND...] "${reading_keys[@]}" starts a
# server whose standard input is what type_line writes.
have_keys() {
  mkfifo "$dir/keys"
  exec {keys}<>"$dir/keys"
  reading_keys=(bash -c 'exec "$@" <"$0"' "$dir/keys")
}

# type_line COUNT LINE: when so many clients have been accepted.
type_line() {
  wait_for has_accepted "$1" || fail "the server accepts $1 clients" "$(log)"
  did="${did:+$did; }somebody types ${2:0:60}"
  echo "$2" >&"$keys"
}
has_accepted() { [ "$(grep -c '  accepted$' "$err")" -eq "$1" ]; }

log() { what_happened || grep -v '^listening' "$err" | tail -n 8; }

# assert_serves: a client comes, the server prints its text and closes its
# connection. An event that is reported again and again is in $err by then.
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

# events: what stderr says of the first client, from its first line to its last.
events() {
  awk '$4 == "accepted" && !fd { fd = $3 }
    fd && $3 == fd { print substr($0, index($0, $4)) }
    fd && $3 == fd && $4 == "closed" { exit }' "$err"
}
has_events() { [ "$(events | wc -l)" -ge "$1" ]; }

# assert_events LINE...: of the first client, after "accepted"; and no more.
assert_events() {
  wait_for has_events $(($# + 1)) || true
  assert_serves
  printf '%s\n' accepted "$@" >"$dir/expected"
  events >"$dir/events"
  look='handle_event, receive_some, send_some: the mask'
  assert_bytes_equal "$dir/expected" "$dir/events" 'these lines of the client'
}

# start_stopped: the server is stopped, so that all that a client does next
# arrives together. `kill -CONT "$server"` lets it go on.
start_stopped() {
  start_server
  suspend_server
}

# assert_only_events: stderr contains nothing but events, and the lines of the
# start.
assert_only_events() {
  local others
  others=$(grep -v -E '^(listening|standard input is not|[0-9:]{8}\.[0-9]{3}  fd )' "$err" || true)
  [ -z "$others" ] || fail 'only lines of events on stderr' "$others"
}

# count_events PATTERN: how many lines of stderr match.
count_events() { grep -c -E -e "$1" "$err" || true; }
assert_count() {
  [ "$(count_events "$2")" -eq "$1" ] ||
    fail "$1 lines: $(plain "$2")" "$(count_events "$2") lines"
}

# assert_received TEXT: what the last client got, between two times "ready".
assert_received() {
  release "$client"
  wait_for grep -q -x -F -- "${1##*$'\n'}" "$answer" || true
  printf 'ready\n%s\n' "$1" >"$dir/expected"
  assert_bytes_equal "$dir/expected" "$answer" 'the client gets'
}

# hold_reader [-n COUNT] ACTION...: starts a client that will get what is typed; it
# reads after its release, until the server ends.
hold_reader() {
  start_client "$@" wait read
  await_ready
}

# --- Each event ---------------------------------------------------------------

@test "EPOLLIN: a client sends" {
  start_server
  hold_client send hello
  assert_events EPOLLIN
  grep -q '^hello' "$out" || fail 'the server prints hello' "$(bytes_of "$out")"
  stop_server
}

@test "EPOLLPRI: a client sends an urgent byte, which is printed" {
  start_server
  hold_client urgent '!'
  assert_events EPOLLPRI
  grep -q '^!' "$out" || fail 'the server prints !' "$(bytes_of "$out")"
  stop_server
}

@test "EPOLLOUT: a line is typed, and there is room to send it" {
  have_keys
  start_server "${reading_keys[@]}"
  hold_reader
  type_line 1 hello
  assert_events EPOLLOUT
  assert_count 1 '  fd 0  EPOLLIN$'
  stop_server
  assert_received hello
}

@test "EPOLLRDHUP: a client ends its stream; EPOLLHUP: so does the server" {
  start_server
  start_client wait finish
  await_ready
  release "$client"
  assert_events 'EPOLLIN|EPOLLRDHUP' EPOLLHUP closed
  assert_only_events
  assert_no_leak
  stop_server
}

@test "EPOLLERR and EPOLLHUP: a client resets" {
  start_server
  client_resets
  assert_events 'EPOLLIN|EPOLLRDHUP|EPOLLERR|EPOLLHUP' closed
  assert_said '^recv: Connection reset by peer$'
  assert_no_leak
  stop_server
}

# --- Several events -----------------------------------------------------------

@test "prints several events in one line, and EPOLLRDHUP only once" {
  start_stopped
  hold_client fill 2000 urgent 'y!' finish
  kill -CONT "$server"
  assert_events 'EPOLLIN|EPOLLPRI|EPOLLRDHUP' EPOLLIN EPOLLIN EPOLLHUP closed
  tr -dc 'xy!' <"$out" | tr -s x >"$dir/printed"
  printf '!xy' >"$dir/expected"
  assert_bytes_equal "$dir/expected" "$dir/printed" 'the urgent byte first'
  assert_no_leak
  stop_server
}

@test "prints EPOLLIN again for what one recv has left (level-triggered)" {
  start_stopped
  hold_client fill 5000
  kill -CONT "$server"
  assert_events EPOLLIN EPOLLIN EPOLLIN EPOLLIN EPOLLIN
  stop_server
}

@test "prints what a client sent before its reset" {
  start_stopped
  hold_client fill 1500 reset
  kill -CONT "$server"
  assert_events 'EPOLLIN|EPOLLRDHUP|EPOLLERR|EPOLLHUP' \
    'EPOLLIN|EPOLLERR|EPOLLHUP' 'EPOLLIN|EPOLLERR|EPOLLHUP' closed
  [ "$(tr -dc x <"$out" | wc -c)" -eq 1500 ] ||
    fail 'the server prints 1,500 bytes' "$(tr -dc x <"$out" | wc -c) bytes"
  stop_server
}

@test "survives a client that half-closes and resets" {
  start_stopped
  hold_client finish reset
  kill -CONT "$server"
  assert_events 'EPOLLIN|EPOLLRDHUP|EPOLLERR|EPOLLHUP' closed
  assert_no_leak
  stop_server
}

@test "prints few lines for many urgent bytes" {
  start_server
  hold_client urgent a urgent b urgent cd send e urgent f send g urgent hi
  wait_for grep -q h "$out"
  assert_serves
  [ "$(events | wc -l)" -le 13 ] || fail 'at most 13 lines' "$(events | wc -l) lines"
  stop_server
}

@test "prints a bit without a name in hexadecimal" {
  strace -e inject=none:poke_exit=@arg2=00 true || skip 'needs strace 5.11'
  start_traced "$waits" -e "inject=$waits:poke_exit=@arg2=41000001:when=2"
  did='strace sets two more bits in an event'
  hold_client send hello
  assert_events 'EPOLLIN|0x1000040'
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
  [[ $before < $after ]] || skip 'midnight'
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

@test "prints NUL bytes, invalid UTF-8 and % unchanged" {
  local bytes='%%s%%n\x00\x01\xff\xc3( \x1b no newline'
  look=receive_some
  start_server
  client send "${bytes//%%/%}" finish read
  stop_server
  printf "$bytes" >"$dir/expected"
  assert_bytes_equal "$dir/expected" "$out" 'the server prints'
}

@test "prints 300,000 bytes" {
  look=receive_some
  start_server
  client fill 300000 finish read
  [ "$(tr -dc x <"$out" | wc -c)" -eq 300000 ] ||
    fail '300,000 bytes' "$(tr -dc x <"$out" | wc -c)"
  assert_no_leak
  stop_server
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
  have_keys
  start_traced "$waits" "${reading_keys[@]}"
  hold_reader send hello urgent '!'
  type_line 1 hello
  hold_client send hello finish
  hold_client send hello reset
  assert_serves
  stop_server
  look='handle_event, receive_some, send_some: the mask'
  refute_trace '^epoll_p?wait.*, 64, [0-9]'
  [ "$(count_trace '^epoll_p?wait.* = [1-9]')" -le 20 ] ||
    fail 'at most 20 events' "$(count_trace '^epoll_p?wait.* = [1-9]')"
}

@test "never uses EPOLLET" {
  look='the masks of watch'
  have_keys
  start_traced epoll_ctl "${reading_keys[@]}"
  hold_client
  type_line 1 hello
  assert_events EPOLLOUT
  stop_server
  assert_trace EPOLLOUT
  refute_trace EPOLLET
}

# --- Standard input -----------------------------------------------------------

@test "sends what is typed to all clients" {
  look='read_typed and keep_text'
  have_keys
  start_server "${reading_keys[@]}"
  hold_reader -n 3
  type_line 3 one
  type_line 3 two
  assert_serves
  [ "$(events | tail -n +2 | uniq)" = EPOLLOUT ] || fail 'only EPOLLOUT' "$(events)"
  stop_server
  assert_received "$(printf '%s\n' one two one two one two)"
}

@test "keeps what is typed apart for each client" {
  look='keep_text: unsent'
  have_keys
  start_server "${reading_keys[@]}"
  hold_reader
  type_line 1 first
  wait_for has_events 2
  hold_client finish
  type_line 2 second
  assert_serves
  stop_server
  answer=$dir/answer.0 client=${clients[0]}
  assert_received "$(printf '%s\n' first second)"
}

# Standard input is reported again before there is room to send.
@test "sends all of a line that takes two reads" {
  local line
  line=$(printf 'x%.0s' {1..1024})$(printf 'y%.0s' {1..1000})
  have_keys
  start_server "${reading_keys[@]}"
  hold_reader
  type_line 1 "$line"
  assert_events EPOLLOUT
  stop_server
  assert_received "$line"
}

@test "sends NUL bytes that are typed" {
  look='send_some: the length'
  have_keys
  start_server "${reading_keys[@]}"
  hold_reader
  wait_for has_accepted 1
  printf 'a\0b\n' >&"$keys"
  assert_events EPOLLOUT
  stop_server
  release "$client"
  wait "$client" || true
  printf 'ready\na\0b\n' >"$dir/expected"
  assert_bytes_equal "$dir/expected" "$answer" 'the client gets'
}

@test "reads what is typed while there is no client" {
  look=read_typed
  have_keys
  start_server "${reading_keys[@]}"
  type_line 0 hello
  wait_for grep -q '  fd 0  EPOLLIN$' "$err"
  assert_serves
  assert_count 1 '  fd 0  '
  assert_only_events
  stop_server
}

@test "sends what was typed to a client that has ended its stream" {
  have_keys
  start_server "${reading_keys[@]}"
  start_client wait finish wait read
  await_ready
  wait_for has_accepted 1
  suspend_server
  type_line 1 hello
  release "$client"
  wait_for is_ready_again
  kill -CONT "$server"
  assert_events 'EPOLLIN|EPOLLRDHUP' EPOLLOUT EPOLLHUP closed
  release "$client"
  wait "$client" || true
  printf '%s\n' ready ready hello >"$dir/expected"
  assert_bytes_equal "$dir/expected" "$answer" 'the client gets'
  stop_server
}
is_ready_again() { [ "$(grep -c '^ready$' "$answer")" -eq 2 ]; }

nothing_is_typed() { ! read -r -t 0 -u "$keys"; }

@test "keeps 8 KiB for a client that does not read, and no more" {
  local writer
  look=keep_text
  have_keys
  start_server "${reading_keys[@]}"
  hold_client
  yes "$(printf 'x%.0s' {1..1023})" >&"$keys" 2>"$dir/yes" 3>&- &
  writer=$!
  assert_said '  misses what was typed$'
  kill "$writer"
  # What is still in the pipe would go to the next client.
  wait_for nothing_is_typed
  release "$client"
  assert_said '  closed$'
  survives
}

@test "serves clients when standard input is /dev/null" {
  look='main: standard input'
  start_server bash -c 'exec "$@" </dev/null' bash
  assert_said "$stdin_refused"
  assert_serves
  assert_only_events
  stop_server
}

@test "serves clients when standard input is a file" {
  look='main: standard input'
  start_server bash -c 'exec "$@" <"$0"' "$top/README.md"
  assert_said "$stdin_refused"
  assert_serves
  assert_only_events
  stop_server
}

@test "serves clients when standard input is closed" {
  look='main: standard input'
  start_server bash -c 'exec "$@" <&-' bash
  assert_said '^standard input is not watched: File exists$'
  assert_serves
  assert_only_events
  stop_server
}

@test "EPOLLHUP: standard input ends, and is not watched from then on" {
  look='read_typed: EPOLL_CTL_DEL'
  start_server bash -c 'exec "$@" < <(:)' bash
  assert_said '^standard input is watched no more$'
  assert_serves
  assert_count 1 '  fd 0  '
  assert_count 1 '  fd 0  EPOLLHUP$'
  stop_server
}

@test "EPOLLERR: standard input cannot be read, and is not watched from then on" {
  look='read_typed: EPOLL_CTL_DEL'
  start_server bash -c 'exec "$@" 0> >(:)' bash
  assert_said '^standard input is watched no more$'
  assert_said '^read: Bad file descriptor$'
  assert_serves
  assert_count 1 '  fd 0  '
  assert_count 1 '  fd 0  EPOLLERR$'
  stop_server
}

# --- The command line, and the start ------------------------------------------

@test "listens on port 9999 of all addresses, if no port is given" {
  look='port_argument and open_listener'
  did="the test starts $EXAMPLE without an argument"
  ASAN_OPTIONS=$ASAN_OPTIONS:detect_leaks=0 run timeout 5 strace -o "$trace" \
    -e inject=bind:error=EADDRINUSE "$bin/$EXAMPLE"
  assert_trace 'bind\(.*htons\(9999\).*"0\.0\.0\.0"'
}

@test "rejects an invalid port or an extra argument with exit status 2" {
  local wrong
  look=port_argument
  for wrong in hello -1 0 70000 80x ' 80' +80 '' 99999999999999999999; do
    assert_rejects "$wrong" "$wrong"
  done
  assert_rejects extra 8080 extra
}

# assert_rejects WORD ARGUMENT...: with one line that names the word.
assert_rejects() {
  did="the test starts $EXAMPLE with the arguments: ${*:2}"
  run timeout 5 "$bin/$EXAMPLE" "${@:2}"
  [[ $status -eq 2 && $output == usage:*"'$1'" && ${#lines[@]} -eq 1 ]] ||
    fail "exit status 2, and one line: usage: ... '$1'" "status $status: $output"
}

@test "says that the port is taken, and exits with status 1" {
  look=open_listener
  start_server
  did='the test starts a second server on the same port'
  run timeout 5 "$bin/$EXAMPLE" "$port"
  [[ $status -eq 1 && $output == bind:\ Address*in\ use ]] ||
    fail 'status 1: bind: Address already in use' "status $status: $output"
  assert_serves
  stop_server
}

@test "names the call that fails at the start, and exits with status 1" {
  local call calls=(socket setsockopt bind listen epoll_create1 epoll_ctl)
  look='the call itself, in open_listener, catch_signals or main'
  # A sanitizer uses signal calls of its own.
  if [ -z "${SANITIZED:-}" ]; then
    calls+=(rt_sigaction:sigaction rt_sigprocmask:sigprocmask)
  fi
  for call in "${calls[@]}"; do
    did="${call%:*} fails with ENOMEM"
    start_with_failure "${call%:*}:error=ENOMEM"
    [[ $status -eq 1 && $output =~ ^${call#*:}:\ (Cannot allocate|Out of)\ memory$ ]] ||
      fail "status 1: ${call#*:}: Cannot allocate memory" "status $status: $output"
  done
}

# --- Many clients, and the end ------------------------------------------------

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

@test "closes the connection of a client that leaves before it sends" {
  start_server
  client
  assert_events 'EPOLLIN|EPOLLRDHUP' EPOLLHUP closed
  survives
}

@test "survives twenty clients that send and reset" {
  start_server
  client -n 20 send hello reset
  survives
}

@test "serves twenty clients one after the other" {
  local i
  start_server
  for i in {1..20}; do assert_serves; done
  survives
}

@test "serves a client beside 300 silent ones" {
  start_server
  hold_client -n 150
  local first=$client
  hold_client -n 150 send hello
  assert_serves
  release "$first" "$client"
  assert_no_leak
  stop_server
}

# ends_on SIGNAL: after it has closed a connection first, so that the port is in
# TIME_WAIT.
ends_on() {
  start_server
  assert_serves
  stop_server "$1"
  assert_only_events
  look='open_listener: SO_REUSEADDR'
  start_on "$port"
  assert_said '^listening'
  stop_server
}
@test "ends quietly on SIGINT, and its port is free at once" { ends_on INT; }
@test "ends quietly on SIGTERM, and its port is free at once" { ends_on TERM; }

@test "ends at once while 100 clients are silent" {
  have_keys
  start_server "${reading_keys[@]}"
  hold_client -n 100 send hello
  type_line 100 hello
  stop_server
  assert_only_events
}

@test "ends at once under load" {
  have_keys
  start_server "${reading_keys[@]}"
  hold_client -n 10
  yes >&"$keys" 2>"$dir/yes" 3>&- &
  start_client -n 10 fill 1000000
  wait_for grep -q xxxx "$out"
  wait_for grep -q EPOLLOUT "$err"
  stop_server INT
}

@test "ends at once when its parent has blocked SIGINT, SIGTERM and others" {
  start_server env --block-signal=INT,TERM,ALRM,USR1
  hold_client send hello
  stop_server INT
}

# A pipe contains 64 KiB; then the server sleeps in write.
@test "ends at once while nobody reads its output" {
  local reader
  mkfifo "$dir/pipe"
  exec {reader}<>"$dir/pipe"
  out=$dir/pipe start_server
  start_client fill 200000
  wait_for grep -q -z pipe_write "/proc/$server/wchan" || sleep 0.3
  stop_server
  exec {reader}<&-
}

@test "goes on after SIGSTOP and SIGCONT" {
  look='main: EINTR'
  start_stopped
  did='the test stops the server and lets it go on'
  kill -CONT "$server"
  survives
}

# --- More clients than descriptors --------------------------------------------

# outlasts_crowd: 30 clients want to stay, and the limit of descriptors is 20.
outlasts_crowd() {
  look='accept_connection: EMFILE, and main'
  hold_client send hello
  local first=$client
  hold_client -n 30
  assert_said "$shortage"
  assert_sleeps
  [ "$(grep -c '^accept4: ' "$err")" -le 2 ] ||
    fail 'at most one message per second' "$(grep -c '^accept4: ' "$err") messages"
  start_client send waited finish read
  release "$first" "${clients[1]}"
  wait "$client" || timed_out
  grep -q waited "$out" || fail 'the server prints what the last client sends' "$(log)"
  survives
}

@test "more clients than descriptors: they wait until others leave" {
  start_server bash -c 'ulimit -n 20; exec "$@"' bash
  outlasts_crowd
}

@test "the highest descriptor is taken from the start: the same" {
  start_server bash -c 'ulimit -n 20; exec "$@" 19</dev/null' bash
  outlasts_crowd
}

# --- System calls that fail ---------------------------------------------------

# costs_nobody CALL ERROR: CALL fails once, and the client is served.
costs_nobody() {
  look="what follows $1"
  start_traced "$1" -e "inject=$1:error=$2:when=1"
  did="strace lets $1 fail once with $2"
  assert_serves
  assert_trace "$2.*INJECTED"
  stop_server
}

# costs_one_client CALL ERROR WHEN: CALL fails once, the WHENth time, for a
# client that ends its stream. The server closes it, and serves others.
costs_one_client() {
  look="what follows $1"
  start_traced "$1" -e "inject=$1:error=$2:when=$3"
  did="strace lets $1 fail with $2, the call number $3"
  client finish read
  assert_trace INJECTED
  survives
}

@test "accept4 fails with ECONNABORTED: the client is served all the same" { costs_nobody accept4 ECONNABORTED; }
@test "accept4 fails with EPROTO: the client is served all the same" { costs_nobody accept4 EPROTO; }
@test "accept4 fails with EMFILE: the client is served a second later" { costs_nobody accept4 EMFILE; }
@test "accept4 fails with ENFILE: the client is served a second later" { costs_nobody accept4 ENFILE; }
@test "accept4 fails with ENOBUFS: the client is served a second later" { costs_nobody accept4 ENOBUFS; }
@test "accept4 fails with ENOMEM: the client is served a second later" { costs_nobody accept4 ENOMEM; }
@test "accept4 fails again and again: no spin, no flood of messages" {
  look='accept_connection: EMFILE, and main'
  start_traced accept4 -e inject=accept4:error=EMFILE
  did='strace lets every accept4 fail with EMFILE'
  start_client
  assert_said "$shortage"
  assert_sleeps
  assert_lines_said 5
  stop_server
}

@test "recv fails with EAGAIN: nothing is lost" { costs_nobody recvfrom EAGAIN; }
@test "epoll_wait fails with EINTR: it costs nobody" { costs_nobody "$waits" EINTR; }
@test "recv fails with ECONNRESET: it costs one client" { costs_one_client recvfrom ECONNRESET 1; }
@test "recv fails with ETIMEDOUT: it costs one client" { costs_one_client recvfrom ETIMEDOUT 1; }
@test "epoll_ctl fails with ENOMEM when it adds a client: it costs this client" { costs_one_client epoll_ctl ENOMEM 3; }
@test "epoll_ctl fails with ENOSPC when it adds a client: it costs this client" { costs_one_client epoll_ctl ENOSPC 3; }
@test "epoll_ctl fails when the mask changes: it costs this client" { costs_one_client epoll_ctl ENOMEM 4; }
@test "shutdown fails with ENOTCONN: the connection is closed" { costs_one_client shutdown ENOTCONN 1; }

@test "read fails with EAGAIN: nothing typed is lost" {
  look='read_typed: EAGAIN'
  have_keys
  start_traced read -P "$dir/keys" -e inject=read:error=EAGAIN:when=1 \
    "${reading_keys[@]}"
  hold_reader
  type_line 1 hello
  assert_events EPOLLOUT
  assert_trace 'EAGAIN.*INJECTED'
  stop_server
  assert_received hello
}

@test "epoll_ctl fails when it adds standard input: clients are served" {
  look='main: standard input'
  start_traced epoll_ctl -e inject=epoll_ctl:error=ENOSPC:when=2
  assert_said '^standard input is not watched: No space left on device$'
  assert_serves
  stop_server
}

@test "epoll_ctl fails when standard input ends: exit status 1, no spin" {
  look='read_typed: EPOLL_CTL_DEL'
  start_traced epoll_ctl -e inject=epoll_ctl:error=ENOMEM:when=3 \
    bash -c 'exec "$@" < <(:)' bash
  assert_server_exits 1
  assert_said '^epoll_ctl: (Cannot allocate|Out of) memory$'
}

@test "epoll_ctl fails when it asks for EPOLLOUT: only this line is lost" {
  have_keys
  start_traced epoll_ctl -e inject=epoll_ctl:error=ENOMEM:when=4 "${reading_keys[@]}"
  hold_reader
  type_line 1 one
  assert_said '  misses what was typed$'
  type_line 1 two
  assert_events 'misses what was typed' EPOLLOUT
  stop_server
  assert_received two
}

@test "epoll_ctl fails after the text was sent: it costs one client" {
  have_keys
  start_traced epoll_ctl -e inject=epoll_ctl:error=ENOMEM:when=5 "${reading_keys[@]}"
  hold_client
  type_line 1 one
  assert_events EPOLLOUT closed
  stop_server
}

@test "send fails with EAGAIN: the text is sent all the same" {
  have_keys
  start_traced sendto -e inject=sendto:error=EAGAIN:when=1 "${reading_keys[@]}"
  hold_reader
  type_line 1 hello
  assert_events EPOLLOUT EPOLLOUT
  stop_server
  assert_received hello
}

# loses_receiver ERROR: send fails with ERROR for the first of two clients.
loses_receiver() {
  have_keys
  start_traced sendto -e "inject=sendto:error=$1:when=1" "${reading_keys[@]}"
  hold_client
  hold_reader
  type_line 2 hello
  assert_events EPOLLOUT closed
  assert_said '^send: '
  stop_server
  assert_received hello
}
@test "send fails with EPIPE: it costs one client" { loses_receiver EPIPE; }
@test "send fails with ECONNRESET: it costs one client" { loses_receiver ECONNRESET; }

@test "sends the rest of a text when send accepts only part of it" {
  have_keys
  start_traced sendto -e inject=sendto:retval=10:when=1 "${reading_keys[@]}"
  hold_reader
  type_line 1 abcdefghijKLM
  assert_events EPOLLOUT EPOLLOUT
  stop_server
  assert_received KLM
}

@test "survives a client that is gone when its text is sent: EPIPE, not SIGPIPE" {
  look='send_some: MSG_NOSIGNAL'
  have_keys
  start_server "${reading_keys[@]}"
  start_client wait finish reset wait
  await_ready
  wait_for has_accepted 1
  suspend_server
  type_line 1 hello
  release "$client"
  wait_for is_ready_again
  kill -CONT "$server"
  assert_said '^send: Broken pipe$'
  survives
}
