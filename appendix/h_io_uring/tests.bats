# What makes appendix H itself: the kernel does what the program asks for in a
# queue. strace does not see these operations; build/uring.so does.

EXAMPLE=h_io_uring
load ../../tests/helpers

# start_watched [VARIABLE=VALUE...]: starts the server with build/uring.so, which
# writes its operations to $trace. The variables are those of uring.c. LD_PRELOAD
# splits at spaces, so it gets a path without one.
start_watched() {
  ln -sf "$top/build/uring.so" "$dir"
  start_server env LD_PRELOAD=./uring.so "URING_TRACE=$trace" "$@"
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

# Both go through one pipe, so the order is seen.
@test "prints the request before it answers" {
  look=read_request
  mkfifo "$dir/pipe"
  cat "$dir/pipe" >"$trace" 3>&- &
  out=$dir/pipe start_watched URING_TRACE=/dev/stdout
  assert_answer send "$request" read
  stop_watched
  wait_for grep -q '^close' "$trace"
  [ "$(grep -o -E '^(GET|send)' "$trace" | head -n 1)" = GET ] ||
    fail 'the request, then send' "$(grep -n -E '^(GET|send)' "$trace")"
}

@test "asks for accept once for 20 clients (multishot)" {
  look=accept_clients
  start_watched
  client -n 20 send "$request" read
  assert_no_leak
  stop_watched
  assert_count 1 '^accept\(3, 0\)' 'it asks for accept once'
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

@test "make leaves it out, and says so, where the headers are older than Linux 6.1" {
  look=module.mk
  did='make finds an empty linux/io_uring.h'
  mkdir "$dir/linux" && : >"$dir/linux/io_uring.h"
  run env -u MAKEFLAGS -u MAKELEVEL make -n -C "$top" CPPFLAGS="-I'$dir'" test-appendix
  [[ $output == *'h_io_uring needs the headers of Linux 6.1'* &&
    $output == *run.sh* && $output != *run.sh*h_io_uring* ]] ||
    fail 'one line about it, and the other programs' "$output"
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
  local error
  look=open_ring
  for error in 'EPERM Operation not permitted' 'EINVAL Invalid argument' \
    'ENOSYS Function not implemented'; do
    did="strace lets io_uring_setup fail with $error"
    start_with_failure "io_uring_setup:error=${error%% *}"
    assert_exits 1 "io_uring_setup \(needs Linux 6.1 and permission\): ${error#* }"
  done
}

# The last three calls of mmap are those of the ring.
@test "names mmap if it fails at the start, and exits with status 1" {
  local when
  look=map
  start_traced mmap
  stop_server
  assert_count 3 '^mmap.*MAP_SHARED\|MAP_POPULATE' 'three calls of mmap for the ring'
  for when in $(count_trace '^mmap' | awk '{ print $1 - 2, $1 - 1, $1 }'); do
    did='strace lets mmap fail with ENOMEM'
    start_with_failure "mmap:error=ENOMEM:when=$when"
    assert_exits 1 "mmap: $ENOMEM"
  done
}

@test "io_uring_enter fails with EINTR: it costs nobody" { still_answers io_uring_enter EINTR 2; }
@test "io_uring_enter fails with EAGAIN: it tries again a second later" {
  local before
  before=$(now)
  still_answers io_uring_enter EAGAIN 2
  [ "$(since "$before")" -ge 900 ] || fail 'it waits' 'it did not'
}

@test "io_uring_enter fails for good: the server says so and exits with status 1" {
  look=submit
  start_failing io_uring_enter EFAULT 2
  client send "$request" read
  assert_server_exits 1
  assert_said '^io_uring_enter: Bad address'
}

# --- Operations that fail -----------------------------------------------------

# costs_one_client OPERATION NUMBER: the first fails with this error. It costs
# at most one client, and one line.
costs_one_client() {
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

@test "recv fails with ETIMEDOUT: it costs one client" { costs_one_client recv 110; }
@test "send fails with EPIPE: it costs one client" { costs_one_client send 32; }

@test "sends the rest of the response when send accepts only part of it" {
  look='send_response: what follows send'
  start_watched URING_FAIL=send URING_RESULT=10 URING_WHEN=1
  assert_rest_is_sent
  stop_watched
}

@test "accept fails with ECONNABORTED or EPROTO: the next client is served at once" {
  local error
  look=accept_connection
  for error in 103 71; do
    start_watched URING_FAIL=accept "URING_RESULT=-$error" URING_WHEN=1
    assert_answer send "$request" read
    assert_trace INJECTED
    assert_lines_said 0
    stop_watched
  done
}

@test "accept fails with EMFILE: the client is served a second later" {
  local before
  look='accept_connection and main: refused'
  before=$(now)
  start_watched URING_FAIL=accept URING_RESULT=-24 URING_WHEN=1
  start_client send "$request" read
  did="build/uring.so lets accept fail with EMFILE; $did"
  assert_said "^accept: $EMFILE"
  assert_response_of "$client"
  [ "$(since "$before")" -ge 900 ] ||
    fail 'the server waits a second before it tries again' 'it tries again earlier'
  assert_lines_said 1
  stop_watched
}

@test "accept fails with EINVAL, because the listener is gone: the server says so and exits with status 1" {
  look=accept_connection
  start_watched URING_FAIL=accept URING_RESULT=-22 URING_WHEN=1
  did='build/uring.so lets accept fail with EINVAL'
  assert_server_exits 1
  assert_said '^accept: Invalid argument'
  assert_lines_said 1
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

# So there is a completion every millisecond.
@test "more clients than descriptors, and one drips: the others are served when the limit is raised" {
  look='main: refused'
  start_server bash -c 'ulimit -S -n 20; exec "$@"' bash
  start_client drip "$(printf 'x%.0s' {1..8000})"
  hold_client -n 30
  assert_said "^accept: $EMFILE"
  did="$did; the test raises the limit of descriptors"
  prlimit --pid "$server" --nofile=100:
  assert_curl_is_answered
  stop_server
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
    wait_for has_lines "$((i + 1))" ||
      fail "$((i + 1)) clients have left" "$(cat "$err")"
  done
  [ "$(grep -c '^accept' "$err")" -le $((1 + SECONDS - started)) ] ||
    fail 'the server says it once' "$(grep -c '^accept' "$err") times"
  stop_server
}
has_lines() { [ "$(grep -c '^no complete request' "$err")" -ge "$1" ]; }
