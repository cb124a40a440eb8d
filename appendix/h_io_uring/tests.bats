# What makes appendix H itself: the kernel does what the program asks for in a
# queue. strace does not see these operations; build/uring.so does.

EXAMPLE=h_io_uring
load ../../tests/helpers

# start_watched [VARIABLE=VALUE...]: starts the server with build/uring.so, which
# writes its operations to $trace. The variables are those of uring.c.
start_watched() {
  start_server env "LD_PRELOAD=$top/build/uring.so" "URING_TRACE=$trace" "$@"
}

# stop_watched: stop_server waits for the end of a trace of strace.
stop_watched() {
  local trace=$dir/none
  stop_server
}

# Each operation is there twice: asked for, and complete. close gives no
# completion. shutdown is a system call.
@test "asks for accept, recv, send and close in this order" {
  look='accept_connection, read_request, send_response: the first that differs'
  start_watched
  assert_answer send "$request" read
  assert_no_leak
  stop_watched
  assert_calls accept accept recv recv send send shutdown close
}

@test "serves the second client while the first is silent" {
  look='main and submit: only io_uring_enter may sleep'
  start_server
  hold_client send 'GET / HT'
  assert_curl_is_answered
  stop_server
}

@test "makes only three system calls: io_uring_enter, write and shutdown" {
  look='the whole program'
  start_traced all
  assert_answer send "$request" read
  client -n 3 send "$request" read
  stop_server
  # From the end of the first client to the signal.
  sed -n -E '/^shutdown\([^3]/,/^shutdown\(3/s/^([a-z0-9_]+)\(.*/\1/p' "$trace" |
    sed 's/^writev$/write/' | sort -u >"$dir/calls"
  printf '%s\n' io_uring_enter shutdown write >"$dir/expected"
  assert_bytes_equal "$dir/expected" "$dir/calls" 'three calls'
}

@test "serves 30 clients with fewer than 15 calls of io_uring_enter" {
  look=submit
  start_traced io_uring_enter
  serve_queued 30
  stop_server
  [ "$(count_trace '^io_uring_enter')" -lt 15 ] ||
    fail 'fewer than 15 calls' "$(count_trace '^io_uring_enter') calls"
}

@test "asks recv for 1,024 bytes at most, and never for more than 8,192 in all" {
  look='the use of READ_SIZE and MAX_REQUEST'
  start_watched
  start_client send GET wait fill 8185 send '\r\n\r\n' read
  wait_for grep -q '^recv.* = 3$' "$trace"
  release "$client"
  assert_response_of "$client"
  stop_watched
  assert_trace '^recv.*, 1024\)'
  awk -F '[ ,)]+' '/^recv.* = / { received += $3 }
    /^recv.*, / && ($2 > 1024 || received + $2 > 8192)' "$trace" >"$dir/too_much"
  [ ! -s "$dir/too_much" ] ||
    fail 'it asks for less' "$(head -n 1 "$dir/too_much")"
}

# A pipe contains 64 KiB. Full, it makes the server sleep in write.
@test "prints the request before it answers" {
  local reader socket
  look=read_request
  mkfifo "$dir/pipe"
  exec {reader}<>"$dir/pipe"
  head -c 65536 /dev/zero >"$dir/pipe"
  out=$dir/pipe start_server
  did='bash sends a request while nobody reads what the server prints'
  exec {socket}<>"/dev/tcp/127.0.0.1/$port"
  printf "$request" >&"$socket"
  wait_for grep -q -z pipe_write "/proc/$server/wchan" || skip 'no /proc/PID/wchan'
  if read -r -t 0 -u "$socket"; then
    fail 'no answer before the request is printed' 'an answer'
  fi
  head -c 65536 <&"$reader" >"$dir/zeros"
  cat <&"$socket" >"$dir/answer"
  assert_response "$dir/answer"
  stop_server
  exec {reader}<&- {socket}<&-
}

@test "asks for accept once for 20 clients (multishot)" {
  look=accept_clients
  start_watched
  client -n 20 send "$request" read
  assert_no_leak
  stop_watched
  [ "$(count_trace '^accept\(3, 0\)')" -eq 1 ] ||
    fail 'it asks for accept once' "$(count_trace '^accept\(3, 0\)') times"
}

@test "asks for accept again, when a completion says that no more will come" {
  look='main and accept_connection: accepting'
  start_watched URING_ONESHOT=1
  client -n 20 send "$request" read
  [ "$(grep -c 'Hello, world!' "$dir/answer")" -eq 20 ] ||
    fail '20 responses' "$(grep -c 'Hello, world!' "$dir/answer") responses"
  assert_no_leak
  stop_watched
  refute_trace '^accept.*more'
}

@test "begins a new request when a descriptor has its next client" {
  look='accept_connection: received'
  start_server
  client send 'GET / HT' finish read
  assert_answer send "$request" read
  assert_printed "$request"
  stop_server
}

# The kernel may write to the buffer of a client as long as a recv is in flight.
@test "has one operation in flight for each client, and none when it closes" {
  look='read_request, send_response, lose'
  start_watched
  start_client -n 300 send "$request" read
  client -n 100 send "$request" reset
  client -n 100 send 'GET / HT' reset
  client -n 20 drip "$request" read
  client -n 20 fill 9000 read
  client -n 20 send 'GET / HT' finish read
  wait "$client" || true
  assert_no_leak
  stop_watched
  awk -F '[(), ]+' '
    { done = / = /; if ($1 == "INJECTED" || $1 == "accept") next }
    /^(recv|send)/ { flying[$2] += done ? -1 : 1 }
    /^(recv|send)/ && (flying[$2] < 0 || flying[$2] > 1) || /^close/ && flying[$2] {
      print "line " NR ": " $0; exit }' "$trace" >"$dir/wrong"
  [ ! -s "$dir/wrong" ] || fail 'one operation at a time' "$(cat "$dir/wrong")"
}

@test "gives the kernel no reason for a second thread" {
  look=send_response
  start_server
  client -n 20 send "$request" read
  [ "$(find "/proc/$server/task" -mindepth 1 -maxdepth 1 | wc -l)" -eq 1 ] ||
    fail 'one thread' "$(cat "/proc/$server/task"/*/comm)"
  stop_server
}

# Two submissions, four completions: the program fills the first, the kernel the
# second.
@test "serves 100 clients at once when its queues are short" {
  look='ask_for: the queue is full; main'
  start_changed short -e 's/^#define MAX_SUBMISSIONS .*/#define MAX_SUBMISSIONS 2/'
  hold_client -n 100 send 'GET / HT'
  suspend_server
  release "$client"
  kill -CONT "$server"
  assert_no_leak
  serve_queued 100
  assert_no_leak
  stop_server
}

# --- The end ------------------------------------------------------------------

# An accept in flight would keep the port after the end of the program.
@test "its port is free at once, 20 times, while 50 clients are silent" {
  local i signal=TERM
  look='end: shutdown'
  start_server
  for i in {1..20}; do
    hold_client -n 50 send 'GET / HT'
    assert_answer send "$request" read
    stop_server "$signal"
    release "$client"
    did="the test starts the server on its port again, for the ${i}th time"
    start_on "$port"
    assert_said '^listening'
    if [ "$signal" = TERM ]; then signal=INT; else signal=TERM; fi
  done
  stop_server
}

# --- System calls that fail ---------------------------------------------------

@test "says so in one line where io_uring is missing, too old or forbidden" {
  local error words
  look=open_ring
  for error in 'EPERM Operation not permitted' 'EINVAL Invalid argument' \
    'ENOSYS Function not implemented'; do
    words=${error#* } error=${error%% *}
    did="strace lets io_uring_setup fail with $error"
    start_with_failure "io_uring_setup:error=$error"
    [[ $status -eq 1 && $output == "io_uring_setup (needs Linux 6.1 and permission): $words" ]] ||
      fail "status 1, and: io_uring_setup ...: $words" "status $status: $output"
  done
}

# The last three calls of mmap are those of the ring.
@test "names mmap if it fails at the start, and exits with status 1" {
  local last when
  look=map
  start_traced mmap
  stop_server
  last=$(count_trace '^mmap.*MAP_SHARED\|MAP_POPULATE')
  [ "$last" -eq 3 ] || fail 'three calls of mmap for the ring' "$last"
  last=$(count_trace '^mmap')
  for when in $((last - 2)) $((last - 1)) "$last"; do
    did='strace lets mmap fail with ENOMEM'
    start_with_failure "mmap:error=ENOMEM:when=$when"
    [[ $status -eq 1 && $output =~ ^mmap:\ $ENOMEM$ ]] ||
      fail 'status 1, and: mmap: Cannot allocate memory' "status $status: $output"
  done
}

# enter_fails ERROR WHEN: io_uring_enter fails once; everybody is served.
enter_fails() {
  look=submit
  start_traced io_uring_enter -e "inject=io_uring_enter:error=$1:when=$2"
  did="strace lets io_uring_enter fail with $1, the call number $2"
  assert_answer send "$request" read
  assert_curl_is_answered
  assert_trace INJECTED
  assert_lines_said 0
  assert_no_leak
  stop_server
}

@test "io_uring_enter fails with EINTR: it costs nobody" { enter_fails EINTR 2; }
@test "io_uring_enter fails with EAGAIN: it tries again a second later" {
  local before=${EPOCHREALTIME/./}
  enter_fails EAGAIN 2
  [ $((${EPOCHREALTIME/./} - before)) -ge 900000 ] || fail 'it waits' 'it did not'
}

@test "io_uring_enter fails with EAGAIN again and again: no spin" {
  look='submit: EAGAIN'
  start_traced io_uring_enter -e inject=io_uring_enter:error=EAGAIN:when=2+
  did='strace lets io_uring_enter fail with EAGAIN'
  hold_client
  assert_sleeps
  stop_server
}

@test "io_uring_enter fails for good: the server says so and exits with status 1" {
  look=submit
  start_traced io_uring_enter -e inject=io_uring_enter:error=EFAULT:when=2
  did='strace lets io_uring_enter fail with EFAULT'
  client send "$request" read
  assert_server_exits 1
  assert_said '^io_uring_enter: Bad address'
}

# --- Operations that fail -----------------------------------------------------

# survives_failure OPERATION NUMBER: the first fails with this error. It costs
# at most one client, and one line.
survives_failure() {
  look="what follows $1"
  start_watched "URING_FAIL=$1" "URING_RESULT=-$2" URING_WHEN=1
  start_client send "$request" read
  did="build/uring.so lets $1 fail with error $2; $did"
  assert_trace INJECTED
  assert_said "^$1: "
  assert_curl_is_answered
  wait "$client" || true
  assert_lines_said 1
  assert_no_leak
  stop_watched
}

@test "recv fails with ECONNRESET: it costs one client" { survives_failure recv 104; }
@test "recv fails with ETIMEDOUT: it costs one client" { survives_failure recv 110; }
@test "recv fails with ENOMEM: it costs one client" { survives_failure recv 12; }
@test "send fails with EPIPE: it costs one client" { survives_failure send 32; }
@test "send fails with ECONNRESET: it costs one client" { survives_failure send 104; }

@test "close fails with EIO: it costs nobody" {
  look=main
  start_watched URING_FAIL=close URING_RESULT=-5 URING_WHEN=1
  assert_answer send "$request" read
  assert_trace INJECTED
  assert_curl_is_answered
  assert_lines_said 0
  stop_watched
}

@test "sends the rest of the response when send accepts only part of it" {
  look='send_response: what follows send'
  did='build/uring.so lets the first send claim that it sent 10 bytes'
  start_watched URING_FAIL=send URING_RESULT=10 URING_WHEN=1
  client send "$request" read
  expected_response | tail -c +11 >"$dir/expected"
  assert_bytes_equal "$dir/expected" "$dir/answer" 'the rest of the response'
  stop_watched
}

# accept_fails NUMBER: the client is served at once.
accept_fails() {
  look='accept_connection'
  start_watched URING_FAIL=accept "URING_RESULT=-$1" URING_WHEN=1
  assert_answer send "$request" read
  assert_trace INJECTED
  assert_lines_said 0
  stop_watched
}

@test "accept fails with ECONNABORTED: the next client is served at once" { accept_fails 103; }
@test "accept fails with EPROTO: the next client is served at once" { accept_fails 71; }

@test "accept fails with EMFILE, ENFILE, ENOBUFS or ENOMEM: served a second later" {
  local error before waited
  look='accept_connection and main: shortage'
  for error in 24 23 105 12; do
    before=${EPOCHREALTIME/./}
    rm -f "$trace"
    start_watched URING_FAIL=accept "URING_RESULT=-$error" URING_WHEN=1
    start_client send "$request" read
    did="build/uring.so lets accept fail with error $error; $did"
    assert_said '^accept: '
    assert_response_of "$client"
    waited=$(((${EPOCHREALTIME/./} - before) / 1000))
    [ "$waited" -ge 900 ] ||
      fail 'the server waits a second before it tries again' "it waited $waited ms"
    assert_lines_said 1
    stop_watched
  done
}

@test "accept fails again and again: no spin, no flood of messages" {
  look='accept_connection and main: shortage'
  start_watched URING_FAIL=accept URING_RESULT=-24 URING_WHEN=0
  did='build/uring.so lets every accept fail with EMFILE'
  start_client
  assert_said "^accept: $EMFILE"
  assert_sleeps
  assert_lines_said 2
  stop_watched
}

# The first accept takes one client only, the second fails.
@test "accept fails with ENFILE: it tries again as soon as a client leaves" {
  look='close_connection: accepting'
  start_watched URING_ONESHOT=1 URING_FAIL=accept URING_RESULT=-23 URING_WHEN=2
  hold_client send 'GET / HT'
  start_client send "$request" read
  assert_said '^accept: '
  local before=${EPOCHREALTIME/./}
  release "${clients[0]}"
  assert_response_of "$client"
  [ $((${EPOCHREALTIME/./} - before)) -lt 700000 ] ||
    fail 'the waiting client is served at once' 'it waited longer than 0.7 s'
  stop_watched
}

@test "more clients than descriptors: says it once, also when some of them leave" {
  local i
  look='accept_connection: shortage'
  start_server bash -c 'ulimit -n 20; exec "$@"' bash
  for i in {1..5}; do hold_client; done
  hold_client -n 30
  assert_said "^accept: $EMFILE"
  for i in {0..4}; do
    release "${clients[i]}"
    assert_said_times "$((i + 1))" '^no complete request'
  done
  # A slow machine may take a second for that.
  [ "$(grep -c '^accept' "$err")" -le 2 ] ||
    fail 'the server says it once' "$(grep -c '^accept' "$err") times"
  stop_server
}

# assert_said_times N PATTERN: N lines of stderr match.
assert_said_times() {
  wait_for has_lines "$@" || fail "$1 lines: $(plain "$2")" "$(cat "$err")"
}
has_lines() { [ "$(grep -c -E -e "$2" "$err")" -ge "$1" ]; }
