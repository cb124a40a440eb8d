# What every program does that serves many clients at once with epoll: examples
# 3 to 6. A program that does the same with select or poll passes them too.

load helpers

setup_file() { probe; }

# assert_flag OCTAL NAME WHAT: the kernel shows this flag for every
# descriptor that the server has opened, if its link begins with NAME.
assert_flag() {
  local fd flags
  start_server
  hold_client
  wait_for has_descriptors $((descriptors_at_start + 1)) ||
    fail 'the connection of a client stays open while it is silent' \
      "$(what_happened || echo 'the server has closed it')"
  for fd in "/proc/$server/fd/"*; do
    # The terminal may have passed one on, with exec 9<>/dev/tcp/...
    if [[ ${fd##*/} -le 2 || $(readlink "$fd") != $2* ]] ||
      [ "$fd" -ef "/proc/$BASHPID/fd/${fd##*/}" ]; then continue; fi
    flags=$(awk '/^flags:/ { print $2 }' "/proc/$server/fdinfo/${fd##*/}")
    [ $((8#$flags & 8#$1)) -ne 0 ] ||
      fail "$3" "descriptor ${fd##*/} is not: $(readlink "$fd")"
  done
  stop_server
}

@test "has only non-blocking sockets" {
  look='open_listener and accept_connection: SOCK_NONBLOCK'
  assert_flag 4000 socket: 'every socket is non-blocking'
}

@test "passes no descriptor on to a program that it starts (close-on-exec)" {
  look='open_listener, accept_connection and main: SOCK_CLOEXEC, EPOLL_CLOEXEC'
  assert_flag 2000000 '' 'every descriptor is close-on-exec'
}

@test "serves a client beside 300 silent ones" {
  start_server
  hold_client -n 150
  local first=$client
  hold_client -n 150 send 'GET / HT'
  look='main: the time-out of epoll_wait'
  assert_sleeps
  assert_curl_is_answered
  release "$first" "$client"
  did="$did; the 300 silent clients leave"
  assert_no_leak 'read_request: recv returns 0'
  stop_server
}

@test "serves 30 clients that were in the queue together" {
  look=accept_connection
  start_server
  serve_queued 30
  stop_server
}

@test "ends the stream cleanly for a client that sends 20,000 bytes too many" {
  look='send_response: shutdown before close'
  start_server
  client -n 20 send "$request$(printf 'x%.0s' {1..20000})" read
  [ ! -s "$dir/client_err" ] ||
    fail '20 responses, each followed by a clean end of the stream' \
      "the clients say: $(sort "$dir/client_err" | uniq -c)"
  [ "$(grep -c 'Hello, world!' "$dir/answer")" -eq 20 ] ||
    fail '20 responses' "$(grep -c 'Hello, world!' "$dir/answer") responses"
  assert_no_leak
  stop_server
}

@test "serves others while a client does not read a response of 20 MB" {
  look='send_response: EAGAIN'
  start_with_20_MB
  hold_client send "$request"
  PATIENCE=$((PATIENCE * 3)) client send "$request" read
  [ "$(wc -c <"$dir/answer")" -eq 20000000 ] ||
    fail 'a second client gets 20,000,000 bytes' \
      "$(what_happened || echo "it gets $(wc -c <"$dir/answer")")"
  stop_server
}

@test "refuses clients beyond the end of its table" {
  look='accept_connection: MAX_DESCRIPTORS'
  start_changed table -e 's/^#define MAX_DESCRIPTORS .*/#define MAX_DESCRIPTORS 12/'
  hold_client -n 20
  assert_said '^table full: client refused'
  release "$client"
  assert_no_leak
  assert_curl_is_answered
  stop_server
}

# --- More clients than descriptors: only these clients may suffer ----------

# assert_shortage_is_bearable: while it lasts, the server sleeps, says it once,
# and serves the clients that it has.
assert_shortage_is_bearable() {
  look='accept_connection: the shortage; main and retry_accept'
  assert_sleeps
  local before
  before=$(now)
  release "$accepted"
  assert_response_of "$accepted"
  # A slow machine needs longer than a server that pauses for a second.
  [ "$(since "$before")" -lt $((PATIENCE * (PATIENCE > 4 ? 1000 : 250))) ] ||
    fail 'a client accepted before is served at once' "it waited $(since "$before") ms"
  assert_lines_said 2
}

# fill_up PATTERN: takes clients until the server writes this. The first of them,
# $accepted, still has to send the end of its request.
fill_up() {
  look='accept_connection: EMFILE'
  start_client send 'GET / HT' wait drip 'TP/1.0\r\n\r\n' read
  await_ready
  accepted=$client
  local accepted_answer=$answer
  hold_client -n 30
  crowd=$client
  assert_said "$1"
  answer=$accepted_answer
}

@test "more clients than descriptors: they wait until others leave" {
  did='the server may have 20 descriptors'
  start_server bash -c 'ulimit -n 20; exec "$@"' bash
  fill_up "^accept4?: $EMFILE"
  assert_shortage_is_bearable
  release "$crowd"
  assert_curl_is_answered
  assert_no_leak
  stop_server
}

@test "more clients than descriptors, the highest one in use from the start: they wait" {
  did='the server may have 20 descriptors, and inherits the last one'
  start_server bash -c 'ulimit -n 20; exec "$@" 19</dev/null' bash
  fill_up "^accept4?: $EMFILE"
  assert_shortage_is_bearable
  release "$crowd"
  assert_curl_is_answered
  assert_no_leak
  stop_server
}

@test "more clients than descriptors, because the limit was lowered: they wait" {
  start_server
  hold_client -n 5
  prlimit --pid "$server" --nofile=$((descriptors_at_start + 10)):100
  did="$did; the test lowers the limit of descriptors"
  fill_up "^accept4?: $EMFILE"
  assert_shortage_is_bearable
  did="$did; the test raises the limit again"
  prlimit --pid "$server" --nofile=100:100
  assert_curl_is_answered
  stop_server
}

@test "a full table, and clients that come without end: others are served" {
  change table -e 's/^#define MAX_DESCRIPTORS .*/#define MAX_DESCRIPTORS 12/'
  start_traced accept4 -e inject=accept4:retval=50:when=2+
  did='the table has 12 entries; strace lets each accept4 but the first return 50'
  fill_up '^table full'
  assert_shortage_is_bearable
  stop_server
}
