# What makes appendix F itself: example 5 with HTTP/1.1 and kept connections.

EXAMPLE=f_pipelining
load ../../tests/helpers

h='Host: a\r\n'
get="GET / HTTP/1.1\r\n$h\r\n"
head="HEAD / HTTP/1.1\r\n$h\r\n"
last="GET / HTTP/1.1\r\n${h}Connection: close\r\n\r\n"

# --- Helpers ----------------------------------------------------------------

# response WORD: get, head, last (the server closes the connection after it), or
# a status: a refusal, with /head the refusal of a HEAD.
response() {
  local status='200 OK' close=$'Connection: close\r\n' body='Hello, world!'
  case $1 in
    400*) status='400 Bad Request' ;;
    405*) status=$'405 Method Not Allowed\r\nAllow: GET, HEAD' ;;
    431*) status='431 Request Header Fields Too Large' ;;
    501*) status='501 Not Implemented' ;;
    505*) status='505 HTTP Version Not Supported' ;;
  esac
  case $1 in
    get | head) close= ;;
    [45]*) body=$'Bad request.\n' ;;
  esac
  if [[ $1 == *head ]]; then body=; fi
  printf '%s\r\n' "HTTP/1.1 $status" 'Date: now' 'Content-Type: text/plain' \
    'Content-Length: 13'
  printf '%s\r\n%s' "$close" "$body"
}

# assert_responses WORDS: these responses are in $dir/answer, and nothing else.
assert_responses() {
  local word
  for word in $1; do response "$word"; done >"$dir/expected"
  sed -E 's/^Date: .* GMT/Date: now/' "$dir/answer" >"$dir/undated"
  assert_bytes_equal "$dir/expected" "$dir/undated" "the responses $1"
}

# assert_gets WORDS ACTION...: a client that does this gets these responses, and
# a clean end of the stream.
assert_gets() {
  client "${@:2}"
  assert_responses "$1"
  [ ! -s "$dir/client_err" ] ||
    fail 'a clean end of the stream' "$(cat "$dir/client_err")"
}

# count_answers FILE: how many responses are in it, each with its 13 bytes.
count_answers() {
  local heads bodies
  heads=$(grep -a -c -E '(^|world!|request\.)HTTP/1.1 200 OK' "$1" || true)
  bodies=$(grep -a -o 'Hello, world!' "$1" | wc -l)
  if [ "$heads" = "$bodies" ]; then echo "$heads"; else echo "$heads or $bodies"; fi
}
assert_answers() {
  [ "$(count_answers "$2")" = "$1" ] ||
    fail "$1 responses" "$(what_happened || count_answers "$2") responses"
}

assert_served() {
  [ "$(ask)" = 'Hello, world!' ] || fail 'the next client is served' \
    "$(what_happened || echo 'it is not')"
}

# survives [LINES]: the clients before cost the server at most LINES lines on
# stderr (default: 1), and no descriptor; the next client is served.
survives() {
  assert_lines_said "${1:-1}"
  assert_served
  assert_no_leak
  stop_server
}

# start_in_mode MODE [COMMAND...], trace_in_mode MODE CALLS [OPTION...]: as
# start_server and start_traced.
start_in_mode() {
  start_server "${@:2}" bash -c "exec \"\$@\" $1" bash
}
trace_in_mode() {
  export ASAN_OPTIONS=$ASAN_OPTIONS:detect_leaks=0
  start_in_mode "$1" strace -D -o "$trace" -e "trace=$2" -e signal=INT,TERM "${@:3}"
}

# start_impatient MODE: the clock gives a client one second instead of ten.
start_impatient() {
  PATIENCE=8
  sed 's/ PATIENCE_SECONDS 10$/ PATIENCE_SECONDS 1/' \
    "$top/${SOURCE:-$(source_of "$EXAMPLE")}" >"$dir/impatient.c"
  "${CC:-cc}" -g ${SANITIZED:+"-fsanitize=address,undefined"} \
    -o "$dir/$EXAMPLE" "$dir/impatient.c"
  bin=$dir start_in_mode "$1"
}

# times COUNT TEXT
times() { printf "${2//\\/\\\\}%.0s" $(seq "$1"); }

# The kernel adds EPOLLERR (8) and EPOLLHUP (10) to EPOLLOUT (4).
waits_to_send() { grep -q 'events: *1c ' "/proc/$server/fdinfo/"*; }

# flood COUNT: a client that sends so many requests and a last one, and does not
# read. $flooded is its connection.
flood() {
  did="${did:+$did; }a client sends $1 requests and does not read"
  exec {flooded}<>"/dev/tcp/127.0.0.1/$port"
  (yes 'GET / HTTP/1.1@Host: a@@' | head -n "$1" | tr -d '\n' | tr @ '\n'
    printf "$last") >&"$flooded" 2>"$dir/flood" 3>&- &
  flooder=$!
  wait_for waits_to_send ||
    fail 'the server stops reading' "$(what_happened || echo 'it does not')"
}

resident() { awk '/^VmRSS/ { print $2 }' "/proc/$server/status"; }

# --- Responses --------------------------------------------------------------

@test "gives curl the article's text, with the headers of HTTP/1.1" {
  start_server
  ask --include --raw >"$dir/answer"
  assert_responses get
  ask --head >"$dir/answer"
  assert_responses head
  stop_server
  [ ! -s "$out" ] || fail 'nothing on stdout' "$(bytes_of "$out")"
}

# The kernel's coarse clock, which time uses, may be some milliseconds late.
@test "sends the date of the response, not of the start" {
  local start before after date
  start_server
  start=$(date +%s)
  two_seconds_later() { [ "$(date +%s)" -ge $((start + 2)) ]; }
  PATIENCE=4 wait_for two_seconds_later
  before=$(date +%s)
  date=$(ask --head | sed -n 's/^Date: \(.*\)\r$/\1/p')
  after=$(date +%s)
  look=write_common_fields
  [[ $(date -d "$date" +%s) -ge $((before - 1)) && $(date -d "$date" +%s) -le $after ]] ||
    fail "the date of second $after" "$date"
  [ "$(LC_ALL=C date -u -d "$date" '+%a, %d %b %Y %H:%M:%S GMT')" = "$date" ] ||
    fail 'a date as HTTP defines it' "$date"
  stop_server
}

@test "serves two URLs of curl on one connection" {
  start_server
  local url=http://127.0.0.1:$port/
  run curl -s --max-time "$PATIENCE" -w ' %{num_connects}\n' "$url" "$url"
  [ "$output" = $'Hello, world! 1\nHello, world! 0' ] ||
    fail 'two responses, and one connection' "$output"
  stop_server
}

@test "answers all requests of one segment in their order, in each mode" {
  local mode
  for mode in plain nodelay cork gather; do
    start_in_mode "$mode"
    assert_gets 'get head get' send "$get$head$get" finish read
    assert_lines_said 0
    stop_server
  done
}

@test "answers requests that arrive byte by byte" {
  start_server
  assert_gets 'get head last' drip "$get$head$last" read
  assert_gets last drip 'GET / HTTP/1.0\nHost: a\r\n\n' read
  assert_gets last drip 'GET / HTTP/1.0\n\n' read
  assert_gets last drip 'GET / HTTP/1.0\n\r\n' read
  stop_server
}

@test "answers a batch that is longer than the buffer, in each mode" {
  local mode
  for mode in plain nodelay cork gather; do
    start_in_mode "$mode"
    client send "$(times 2000 "$get")$last" read
    assert_answers 2001 "$dir/answer"
    stop_server
  done
}

# Only the second batch of a connection can wait, because a new connection
# acknowledges at once. The shortest of five tries: a busy machine is slow, but
# a wait for the delayed ACK is never shorter than 40 ms.
@test "does not wait for an ACK inside a batch that is longer than the buffer" {
  local mode try before took shortest
  look=turn_off_nagle
  printf "$(times 320 "$get")" >"$dir/batch"
  for mode in nodelay cork gather; do
    start_in_mode "$mode"
    did="a client sends 320 requests at once, in mode $mode"
    exec {asking}<>"/dev/tcp/127.0.0.1/$port"
    shortest=1000000
    for try in 0 1 2 3 4 5; do
      before=${EPOCHREALTIME/./}
      cat "$dir/batch" >&"$asking"
      timeout "$PATIENCE" head -c $((320 * 115)) <&"$asking" >"$dir/answer"
      took=$((${EPOCHREALTIME/./} - before))
      if ((try > 0 && took < shortest)); then shortest=$took; fi
    done
    exec {asking}<&-
    assert_answers 320 "$dir/answer"
    ((shortest < 35000)) ||
      fail '320 responses in less than 35 ms' "they take $((shortest / 1000)) ms"
    stop_server
  done
}

@test "closes the connection after Connection: close, in any list" {
  local value
  start_server
  for value in close CLOSE 'keep-alive, Close' 'close,x' 'x ,,close , y' \
    'x\r\nConnection: close' 'close\r\nConnection: keep-alive'; do
    assert_gets last send "${last/close/"$value"}$get" read
  done
  stop_server
}

@test "answers HTTP/1.0, with a Host field or without, and closes the connection" {
  local fields
  start_server
  for fields in '' "$h" 'Connection: Keep-Alive\r\n'; do
    assert_gets last send "GET / HTTP/1.0\r\n$fields\r\n$get" read
  done
  stop_server
}

@test "accepts what HTTP/1.1 allows, and answers the next request" {
  local e='\r\n\r\n' right
  start_server
  look='check_request_line and check_field'
  while IFS= read -r right; do
    did=
    assert_gets 'get last' send "$right$last" read
  done <<END
\r\n$get
\n$get
GET / HTTP/1.1\n$h\r\n
GET / HTTP/1.1\nHost: a\n\n
GET / HTTP/1.1\r\nHost: a\n\r\n
GET /?a:b@c HTTP/1.1\r\n$h\r\n
GET HTTP://a/ HTTP/1.1\r\n$h\r\n
GET / HTTP/1.1\r\nhost:a$e
GET / HTTP/1.1\r\nHOST: \x09 [::1]:80 \x09 $e
GET / HTTP/1.1\r\nHost:$e
GET / HTTP/1.1\r\n${h}!#\$%&'*+-.^_\`|~09AZaz: a$e
GET / HTTP/1.1\r\nx: Host: b\r\n$h\r\n
GET / HTTP/1.1\r\n${h}x:$e
GET / HTTP/1.1\r\n${h}x: a\x09b \xff c$e
GET / HTTP/1.1\r\n${h}Content-Length: 0$e
GET / HTTP/1.1\r\n${h}Content-Length:0 \x09$e
GET / HTTP/1.1\r\n${h}Connection: keep-alive$e
GET / HTTP/1.1\r\n${h}Connection: closed, enclose$e
GET / HTTP/1.1\r\n${h}x: close$e
END
  stop_server
}

# --- Refusals ---------------------------------------------------------------

# refuses STATUS: each line of stdin is a request that gets this refusal. The
# request after it gets no response: where two programs see different requests
# in the same bytes, a client can deceive both.
refuses() {
  local wrong
  start_server
  look='check_request, check_request_line and check_field'
  while IFS= read -r wrong; do
    did=
    assert_gets "$1" send "$wrong$get" read
  done
  survives 0
}

@test "refuses with 400 what it does not understand, and answers nothing after it" {
  local e='\r\n\r\n'
  refuses 400 <<END
GET /$e
GET$e
\r\n$e
\n\n
 GET / HTTP/1.1\r\n$h\r\n
GET  / HTTP/1.1\r\n$h\r\n
G@T / HTTP/1.1\r\n$h\r\n
 / HTTP/1.1\r\n$h\r\n
GET / HTTP/1.1 \r\n$h\r\n
GET\x09/\x09HTTP/1.1\r\n$h\r\n
GET /\x09 HTTP/1.1\r\n$h\r\n
GET / x HTTP/1.1\r\n$h\r\n
GET  HTTP/1.1\r\n$h\r\n
GET a HTTP/1.1\r\n$h\r\n
GET * HTTP/1.1\r\n$h\r\n
GET / HTTP/1.2\r\n$h\r\n
GET / HTTP/1.10\r\n$h\r\n
GET / HTTP/2\r\n$h\r\n
GET / HTTP/x.0\r\n$h\r\n
GET / http/1.1\r\n$h\r\n
GET / HTTP/1.1$e
GET / HTTP/1.1\r\nx: a$e
GET / HTTP/1.1\r\n$h$h\r\n
GET / HTTP/1.1\r\n${h}x: y\r\nhOST: b$e
GET / HTTP/1.0\r\n$h$h\r\n
GET / HTTP/1.1\r\nHost: a b$e
GET / HTTP/1.1\r\nHost: a/b$e
GET / HTTP/1.1\r\n${h}Content-Length: 1$e
GET / HTTP/1.1\r\n${h}content-length: 27$e
GET / HTTP/1.1\r\n${h}Content-Length:$e
GET / HTTP/1.1\r\n${h}Content-Length: 0x$e
GET / HTTP/1.1\r\n${h}Content-Length: 0, 27$e
GET / HTTP/1.1\r\n${h}Content-Length: -0$e
GET / HTTP/1.1\r\n${h}Content-Length: 0\r\nContent-Length: 27$e
GET / HTTP/1.1\r\n${h}Transfer-Encoding: chunked$e
GET / HTTP/1.1\r\n${h}TRANSFER-ENCODING: identity$e
GET / HTTP/1.1\r\n${h}Transfer-Encoding:$e
GET / HTTP/1.1\r\n${h}x: a\r\n b$e
GET / HTTP/1.1\r\n${h}x: a\r\n\x09b$e
GET / HTTP/1.1\r\n x: a\r\n$h\r\n
GET / HTTP/1.1\r\n${h}x : a$e
GET / HTTP/1.1\r\n${h}x\x09: a$e
GET / HTTP/1.1\r\n${h}Transfer-Encoding : chunked$e
GET / HTTP/1.1\r\n${h}Transfer-Encoding\xa0: chunked$e
GET / HTTP/1.1\r\n${h}(Transfer-Encoding): chunked$e
GET / HTTP/1.1\r\n${h}Content-Length\x7f: 27$e
GET / HTTP/1.1\r\n${h}Content-Length;x=: 27$e
GET / HTTP/1.1\r\nHost: a@b$e
GET / HTTP/1.1\r\nHost: a\x7f\xff$e
GET / HTTP/1.1\r\nHost: <a>$e
GET http:// HTTP/1.1\r\n$h\r\n
GET http:///x HTTP/1.1\r\n$h\r\n
GET http://:80/ HTTP/1.1\r\n$h\r\n
GET / HTTP/1.1\r\n$h: a$e
GET / HTTP/1.1\r\n${h}x$e
GET / HTTP/1.1\r\n$h \r\n\r\n
GET / HTTP/1.1\r\n${h}x: \x00$e
GET /\x00 HTTP/1.1\r\n$h\r\n
GET / HTTP/1.1\r\n${h}x: a\rb$e
GET / HTTP/1.1\r\n${h}x: a\rContent-Length: 27$e
GET / HTTP/1.1\r\n${h}x: a\r$e
GET / HTTP/1.1\r\r\n$h\r\n
GET / HTTP/1.1\r\n${h}x: \x1b$e
GET / HTTP/1.1\r\n$h\r\r\n\r\n
END
}

@test "refuses with 405 a method of HTTP that it does not serve, and names GET and HEAD" {
  refuses 405 <<END
POST / HTTP/1.1\r\n${h}Content-Length: 27\r\n\r\n
POST / HTTP/1.0\r\n\r\n
PUT / HTTP/1.1\r\n${h}Transfer-Encoding: chunked\r\n\r\n
DELETE / HTTP/1.1\r\n$h\r\n
CONNECT a:80 HTTP/1.1\r\n$h\r\n
OPTIONS * HTTP/1.1\r\n$h\r\n
TRACE / HTTP/1.1\r\n$h\r\n
\r\nPATCH / HTTP/1.1\r\n$h\r\n
END
}

@test "refuses with 501 a method that HTTP does not define" {
  refuses 501 <<END
GETS / HTTP/1.1\r\n$h\r\n
GE / HTTP/1.1\r\n$h\r\n
get / HTTP/1.1\r\n$h\r\n
M-SEARCH * HTTP/1.1\r\n$h\r\n
END
}

@test "refuses with 505 a version of HTTP other than 1" {
  refuses 505 <<END
PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n
GET / HTTP/3.0\r\n$h\r\n
GET / HTTP/0.9\r\n$h\r\n
FOO / HTTP/9.9\r\n$h\r\n
END
}

@test "accepts 8,192 bytes before the end of a request, and refuses 8,193 with 431" {
  local begin='GET / HTTP/1.0\r\nx: '
  start_server
  assert_gets last send "$begin" fill 8169 send '\r\n\r\n' read
  assert_gets 'get 431' send "$get$begin" fill 8170 send '\r\n\r\n' read
  stop_server
}

@test "refuses 300,000 bytes without a blank line, and no reset overtakes the response" {
  start_server
  assert_gets 'head 431' send "$head" fill 300000 read
  survives 0
}

@test "sends no body when it refuses a HEAD" {
  local wrong
  start_server
  for wrong in 'HEAD * HTTP/1.1\r\nHost: a' 'HEAD /' 'HEAD / HTTP/1.1' \
    'HEAD / HTTP/1.1\r\nHost: a\r\nx: \x01' '\r\nHEAD / HTTP/1.1'; do
    assert_gets 400/head send "$wrong\r\n\r\n" read
  done
  assert_gets 505/head send '\nHEAD / HTTP/2.0\r\n\r\n' read
  assert_gets 431/head send 'HEAD / HTTP/1.1\r\nx: ' fill 9000 read
  stop_server
}

# --- System calls -----------------------------------------------------------

# assert_mode MODE CALL...: the calls for three requests in one segment.
assert_mode() {
  trace_in_mode "$1" accept4,setsockopt,recvfrom,sendto,epoll_ctl,close
  assert_gets 'get get get' send "$get$get$get" finish read
  stop_server
  look='send_responses: the first call that differs'
  assert_calls accept4 'EPOLL_CTL_ADD EPOLLIN' recv "${@:2}" recv close
}

@test "cork: sets TCP_CORK before a batch, and clears it after" {
  assert_mode cork 'TCP_CORK 1' send send send 'TCP_CORK 0'
  look=turn_off_nagle
  [ "$(count_trace TCP_NODELAY)" -eq 1 ] ||
    fail 'TCP_NODELAY once, for the listener' "$(count_trace TCP_NODELAY) times"
}

@test "nodelay: sets TCP_NODELAY for the listener, and calls send for each response" {
  assert_mode nodelay send send send
  assert_trace '^setsockopt\(3, .*TCP_NODELAY, \[1\], 4\) = 0'
  refute_trace TCP_CORK
}

@test "plain: sets neither option, and calls send for each response" {
  assert_mode plain send send send
  refute_trace 'TCP_(CORK|NODELAY)'
}

@test "gather: calls send once for all responses" {
  assert_mode gather send
  assert_trace '^sendto\(.* = 345$'
  refute_trace TCP_CORK
}

@test "gather: calls send once for 64 requests" {
  trace_in_mode gather sendto
  assert_gets "$(times 64 'get ')" send "$(times 64 "$get")" finish read
  stop_server
  [ "$(count_trace sendto)" -eq 1 ] || fail 'one send' "$(count_trace sendto) sends"
}

@test "uses mode cork, if no mode is given" {
  start_traced setsockopt
  assert_gets last send "$last" read
  stop_server
  assert_trace 'TCP_CORK, \[1\]'
}

@test "answers over connections that have inherited TCP_NODELAY" {
  start_preloaded tests/nodelay.c
  assert_gets last send "$last" read
  assert_said '^accepted: TCP_NODELAY is on'
  stop_server
}

@test "sends nothing, and sets no option, before a request is complete" {
  start_traced setsockopt,sendto
  client drip 'GET / HTTP/1.1\r\nHost' finish read
  stop_server
  refute_trace '(TCP_CORK|sendto)'
}

@test "send fails with EAGAIN in a batch: the rest is sent after EPOLLOUT" {
  start_traced accept4,sendto,epoll_ctl,setsockopt,recvfrom,close \
    -e inject=sendto:error=EAGAIN:when=3
  assert_gets 'get head get head last' send "$get$head$get$head$last" read
  stop_server
  look='send_responses: the first call that differs'
  assert_calls accept4 'EPOLL_CTL_ADD EPOLLIN' recv 'TCP_CORK 1' send send send \
    'TCP_CORK 0' 'EPOLL_CTL_MOD EPOLLOUT' 'TCP_CORK 1' send send send \
    'TCP_CORK 0' 'EPOLL_CTL_MOD EPOLLIN' recv close
}

@test "gather: send fails with EAGAIN: all is sent after EPOLLOUT" {
  trace_in_mode gather accept4,sendto,epoll_ctl,recvfrom,close \
    -e inject=sendto:error=EAGAIN:when=1
  assert_gets 'get head get head last' send "$get$head$get$head$last" read
  stop_server
  look='send_responses: the first call that differs'
  assert_calls accept4 'EPOLL_CTL_ADD EPOLLIN' recv send \
    'EPOLL_CTL_MOD EPOLLOUT' send 'EPOLL_CTL_MOD EPOLLIN' recv close
}

# sends_the_rest MODE LENGTH: two sends claim 10 bytes each, which are missing in
# the answer to three requests.
sends_the_rest() {
  trace_in_mode "$1" sendto -e inject=sendto:retval=10:when="$2"
  client send "$get$get$last" read
  stop_server
  [ "$(count_trace INJECTED)" -eq 2 ]
  [ "$(wc -c <"$dir/answer")" -eq $((115 + 115 + 134 - 20)) ] ||
    fail 'all but 20 bytes' "$(bytes_of "$dir/answer")"
}
@test "send takes part of a response: the rest is sent, and nothing twice" { sends_the_rest cork 2..3; }
@test "gather: send takes part of the responses: the rest is sent" { sends_the_rest gather 1..2; }

# costs_one_client CALL ERROR WHEN [MODE]: CALL fails once, the WHENth time.
costs_one_client() {
  trace_in_mode "${4:-cork}" "$1" -e "inject=$1:error=$2:when=$3"
  did="strace lets $1 fail once with $2"
  start_client send "$last" read
  assert_trace INJECTED
  assert_served
  wait "$client" || true
  survives
}
@test "recv fails: it costs one client" { costs_one_client recvfrom ECONNRESET 1; }
@test "recv fails after the last response: it costs one client" { costs_one_client recvfrom ETIMEDOUT 2; }
@test "send fails with EPIPE: it costs one client" { costs_one_client sendto EPIPE 1; }
@test "gather: send fails with ECONNRESET: it costs one client" { costs_one_client sendto ECONNRESET 1 gather; }
@test "epoll_ctl fails when it adds a client: it costs this client" { costs_one_client epoll_ctl ENOSPC 2; }
@test "setsockopt fails when it sets TCP_CORK: it costs one client" { costs_one_client setsockopt ENOBUFS 3; }
@test "setsockopt fails when it clears TCP_CORK: it costs one client" { costs_one_client setsockopt ENOBUFS 4; }
@test "shutdown fails: the connection is closed" { costs_one_client shutdown ENOTCONN 1; }

# loses_a_blocked_client WHEN: send fails with EAGAIN, and then epoll_ctl.
loses_a_blocked_client() {
  start_traced sendto,epoll_ctl -e inject=sendto:error=EAGAIN:when=1 \
    -e "inject=epoll_ctl:error=ENOMEM:when=$1"
  client send "$get$get" read
  assert_said "^epoll_ctl: $ENOMEM"
  survives
}
@test "epoll_ctl fails when it asks for EPOLLOUT: it costs this client" { loses_a_blocked_client 3; }
@test "epoll_ctl fails when it asks for EPOLLIN again: it costs this client" { loses_a_blocked_client 4; }

# still_answers CALL ERROR: CALL fails once, and even this client is answered.
still_answers() {
  start_traced "$1" -e "inject=$1:error=$2:when=1"
  did="strace lets $1 fail once with $2"
  assert_gets last send "$last" read
  assert_trace INJECTED
  stop_server
}
@test "recv fails with EAGAIN: the client is answered all the same" { still_answers recvfrom EAGAIN; }
@test "accept4 fails with ECONNABORTED or EPROTO: the next client is served" {
  still_answers accept4 ECONNABORTED
  still_answers accept4 EPROTO
}
@test "epoll_wait fails with EINTR: it costs nobody" { still_answers epoll_wait,epoll_pwait EINTR; }

@test "accept4 fails with EMFILE or ENOMEM: the client is served a second later" {
  local error
  look=accept_connection
  for error in EMFILE ENOMEM; do
    still_answers accept4 "$error"
    assert_said '^accept4: '
    assert_lines_said 1
  done
}

@test "accept4 fails again and again: no spin, no flood of messages" {
  start_traced accept4 -e inject=accept4:error=EMFILE
  start_client
  assert_said "^accept4: $EMFILE"
  assert_sleeps
  assert_lines_said 1
  stop_server
}

@test "more clients than descriptors: they wait until others leave" {
  start_server bash -c 'ulimit -n 20; exec "$@"' bash
  start_client send 'GET / HTTP/1.1\r\n' wait send "$h\r\n" finish read
  await_ready
  local early=$client early_answer=$answer
  hold_client -n 30
  assert_said "^accept4: $EMFILE"
  assert_sleeps
  release "$early"
  wait "$early"
  sed '/^ready$/d' "$early_answer" >"$dir/answer"
  assert_responses get
  release "$client"
  survives 2
}

# --- Clients that misbehave -------------------------------------------------

@test "answers two requests of a client that half-closes in the third" {
  start_server
  assert_gets 'get get' send "$get${get}GET / HT" finish read
  assert_said '^no complete request in 8 bytes'
  survives
}

@test "says nothing of clients that leave between requests" {
  start_server
  client -n 20
  client -n 20 send "$get" finish read
  survives 0
}

@test "prints one line for a client that leaves, or resets, in its request" {
  start_server
  client send 'GET / HT'
  assert_said '^no complete request in 8 bytes'
  client_resets send 'GET / HT'
  assert_said '^recv: Connection reset by peer'
  survives 2
}

@test "loses nothing when clients reset: after a request, a batch, a refusal" {
  local requests mode
  for mode in cork gather; do
    start_in_mode "$mode"
    for requests in "$get" "$(times 500 "$get")" 'GET /\r\n\r\n'; do
      client -n 20 send "$requests" reset
    done
    survives 60
  done
}

@test "survives a client that is gone when it answers: EPIPE, not SIGPIPE" {
  start_server
  suspend_server
  client send "$get" finish reset
  kill -CONT "$server"
  assert_said '^send: Broken pipe'
  survives
}

@test "serves others while a client does not read, and bounds its memory, in each mode" {
  local before grown mode
  for mode in plain nodelay cork gather; do
    start_in_mode "$mode"
    assert_served
    before=$(resident)
    flood 80000
    assert_served
    grown=$(($(resident) - before))
    [ "$grown" -lt 1000 ] || fail 'less than 1,000 KiB more memory' "$grown KiB"
    assert_sleeps
    timeout 20 cat <&"$flooded" >"$dir/answer"
    exec {flooded}<&-
    wait "$flooder"
    assert_answers 80001 "$dir/answer"
    assert_no_leak
    stop_server
  done
}

@test "loses nothing when a client that does not read resets" {
  local mode
  for mode in cork gather; do
    start_in_mode "$mode"
    flood 80000
    kill "$flooder" 2>/dev/null || true
    wait "$flooder" || true
    exec {flooded}<&-
    survives
  done
}

@test "serves a client beside 300 silent ones" {
  start_server
  hold_client -n 150
  hold_client -n 150 send 'GET / HT'
  assert_served
  release "${clients[@]}"
  survives 150
}

@test "serves 120 clients that were in the queue together" {
  local request=$last
  start_server
  serve_queued 120
  stop_server
}

# --- The clock --------------------------------------------------------------

# A silent client, an answered one, a refused one, a slow one, and one that does
# not read. All of them still have their end of the connection open.
@test "closes the connections of clients that take no responses" {
  start_impatient gather
  hold_client
  hold_client send "$get"
  hold_client send 'GET /\r\n\r\n'
  start_client drip "$(times 9000 x)" wait
  local kept=("${clients[@]}") pid
  flood 80000
  look=count_seconds
  assert_no_leak
  for pid in "${kept[@]}"; do kill -0 "$pid"; done
  exec {flooded}<&-
  assert_served
  stop_server
}

# ask_until_alone: goes on asking on a connection until all others are closed.
ask_until_alone() {
  local asked=0
  exec {asking}<>"/dev/tcp/127.0.0.1/$port"
  hold_client
  wait_for has_descriptors $((descriptors_at_start + 2))
  until has_descriptors $((descriptors_at_start + 1)); do
    printf "$get" >&"$asking"
    asked=$((asked + 1))
    sleep 0.05
  done
  kill -0 "$client"
  printf "$last" >&"$asking"
  timeout 5 cat <&"$asking" >"$dir/answer"
  exec {asking}<&-
  assert_answers $((asked + 1)) "$dir/answer"
}

@test "keeps a connection that goes on asking" {
  start_impatient cork
  look=count_seconds
  ask_until_alone
  stop_server
}

# Every call of time is a minute later.
@test "keeps silent connections when the system clock is set" {
  look=count_seconds
  "${CC:-cc}" -shared -fPIC -x c -o "$dir/set_clock.so" - <<'END'
#include <time.h>
time_t time(time_t *result) { static time_t now; (void)result; return now += 60; }
END
  start_server env "LD_PRELOAD=$dir/set_clock.so"
  hold_client
  did="$did; then others send 40 requests, and the clock is set for each"
  for _ in {1..40}; do client send "$last" read; done
  assert_responses last
  has_descriptors $((descriptors_at_start + 1)) ||
    fail 'the silent client keeps its connection' 'the server has closed it'
  stop_server
}

@test "goes on after SIGSTOP and SIGCONT" {
  start_server
  suspend_server
  kill -CONT "$server"
  assert_served
  stop_server
}

# --- Start and end ----------------------------------------------------------

@test "rejects a wrong port, a wrong mode or an extra argument with exit status 2" {
  local wrong
  look='port_argument and mode_argument'
  for wrong in hello -1 0 70000 80x ' 80' +80 '' 99999999999999999999; do
    assert_rejects "$wrong" "$wrong"
  done
  for wrong in corks '' 80; do assert_rejects "$wrong" 8080 "$wrong"; done
  assert_rejects extra 8080 cork extra
  assert_rejects 0 0 cork
}

assert_rejects() {
  did="the test starts $EXAMPLE with the arguments: ${*:2}"
  run timeout 5 "$bin/$EXAMPLE" "${@:2}"
  [[ $status -eq 2 && ${#lines[@]} -eq 1 &&
    $output == usage:*'[port [plain|nodelay|cork|gather]]'*"'$1'" ]] ||
    fail "exit status 2, and one line: usage: ... '$1'" "status $status: $output"
}

@test "says that the port is taken, and exits with status 1" {
  start_server
  run timeout 5 "$bin/$EXAMPLE" "$port"
  [[ $status -eq 1 && $output =~ ^bind:\ $EADDRINUSE$ ]] ||
    fail 'status 1: bind: Address already in use' "status $status: $output"
  survives 0
}

# names_failure CALL NAME [WHEN] [MODE]: CALL fails at the start.
names_failure() {
  did="$1 fails at the start"
  start_with_failure "$1:error=ENOMEM:when=${3:-1}" "${4:-plain}"
  [[ $status -eq 1 && $output =~ ^$2:\ $ENOMEM$ ]] ||
    fail "status 1: $2: Cannot allocate memory" "status $status: $output"
}

@test "names the call that fails at the start, and exits with status 1" {
  local call
  for call in socket setsockopt bind listen epoll_create1 epoll_ctl; do
    names_failure "$call" "$call"
  done
  names_failure setsockopt setsockopt 2 nodelay
  # A sanitizer uses these calls itself.
  if [ -n "${SANITIZED:-}" ]; then return; fi
  names_failure rt_sigaction sigaction
  names_failure rt_sigprocmask sigprocmask 1+
}

# ends_on SIGNAL: after it has closed a connection first, so that the port is in
# TIME_WAIT.
ends_on() {
  start_server
  assert_gets last send "$last" read
  stop_server "$1"
  assert_lines_said 0
  start_on "$port"
  assert_said '^listening'
  stop_server
}
@test "ends quietly on SIGINT, and its port is free at once" { ends_on INT; }
@test "ends quietly on SIGTERM, and its port is free at once" { ends_on TERM; }

@test "ends at once while 100 clients are silent" {
  start_server
  hold_client -n 100 send 'GET / HT'
  stop_server
  assert_lines_said 0
}

@test "ends at once while a client does not read" {
  start_in_mode gather
  flood 80000
  stop_server
  exec {flooded}<&-
}

@test "ends at once under load" {
  local i
  start_server
  for i in 1 2 3; do start_client -n 900 send "$last" read; done
  wait_for test -s "$answer"
  stop_server INT
}

@test "ends at once when its parent has blocked SIGINT and SIGTERM" {
  start_server env --block-signal=INT,TERM
  hold_client
  stop_server INT
}

@test "has only non-blocking sockets" {
  local fd
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
