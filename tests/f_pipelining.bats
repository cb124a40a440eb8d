# Example F: what it does, a sentence each.

EXAMPLE=f_pipelining

load helpers
load behaviour

get='GET / HTTP/1.1\r\nHost: a\r\n\r\n'
head='HEAD / HTTP/1.1\r\nHost: a\r\n\r\n'
last='GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n'

# headers_of STATUS: of a response on a connection that is kept.
headers_of() {
  printf '%s\r\n' "HTTP/1.1 $1" 'Date: now' 'Content-Type: text/plain' \
    'Content-Length: 13'
}

# What the request of behaviour.bash gets, which is one of HTTP/1.0.
expected_response() {
  headers_of '200 OK'
  printf 'Connection: close\r\n\r\nHello, world!'
}

expected_refusal() {
  headers_of '400 Bad Request'
  printf 'Connection: close\r\n\r\nBad request.\n'
}

expected_get() { headers_of '200 OK'; printf '\r\nHello, world!'; }
expected_head() { headers_of '200 OK'; printf '\r\n'; }

# same EXPECTED ACTUAL: but for the dates, which expected files don't have.
same() {
  sed -E 's/^Date: .* GMT/Date: now/' "$2" >"$2.undated"
  cmp "$1" "$2.undated" || { od -c "$2" | head -n 20; return 1; }
}

# in_mode MODE COMMAND...: COMMAND, which starts the example, has it started in
# this mode.
in_mode() { "${@:2}" bash -c "exec \"\$@\" $1" bash; }

# patient SECONDS: the example as -DIDLE_SECONDS makes it.
patient() {
  "${CC:-cc}" -g ${BIN:+"-fsanitize=address,undefined"} "-DIDLE_SECONDS=$1" \
    -o "$dir/$EXAMPLE" "$top/appendix/$EXAMPLE/server.c"
  bin=$dir fresh
}

responses_in() { grep -a -o 'HTTP/1.1 [0-9]*' "$1" | wc -l; }

# times COUNT TEXT
times() { printf "$2%.0s" $(seq "$1"); }

# Level-triggered epoll shows interest in the mask; the kernel adds EPOLLERR
# (8) and EPOLLHUP (10) to EPOLLOUT (4).
waits_to_send() { grep -q 'events: *1c ' "/proc/$server/fdinfo/"*; }

# flood COUNT [TEXT]: a client that sends so many requests, and a last one, and
# does not read. It can, from $flooded.
flood() {
  exec {flooded}<>"/dev/tcp/127.0.0.1/$port"
  (yes 'GET / HTTP/1.1@Host: a@@' | head -n "$1" | tr -d '\n' | tr @ '\n'
    printf "$last") >&"$flooded" 2>"$dir/flood" 3>&- &
  clients+=($!)
  wait_for waits_to_send
}

@test "f_pipelining: gives curl the article's text, with the headers of HTTP/1.1" {
  start
  ask --include --raw >"$dir/answer"
  expected_get >"$dir/expected"
  same "$dir/expected" "$dir/answer"
  ask --head >"$dir/answer"
  expected_head >"$dir/expected"
  same "$dir/expected" "$dir/answer"
  stop
  [ ! -s "$out" ]
}

# The kernel's coarse clock, which time reads, may be some milliseconds late.
@test "f_pipelining: the date is that of the answer, as HTTP wants it, not of the start" {
  start
  answers
  local began before after date
  began=$(date +%s)
  later() { [ "$(date +%s)" -ge $((began + 2)) ]; }
  wait_for later
  before=$(date +%s)
  date=$(ask --head | sed -n 's/^Date: \(.*\)\r$/\1/p')
  after=$(date +%s)
  [ "$(date -d "$date" +%s)" -ge $((before - 1)) ]
  [ "$(date -d "$date" +%s)" -le "$after" ]
  [ "$(LC_ALL=C date -u -d "$date" '+%a, %d %b %Y %H:%M:%S GMT')" = "$date" ]
  stop
}

@test "f_pipelining: curl asks for two URLs on one connection" {
  start
  local url=http://127.0.0.1:$port/
  run -0 curl -s --max-time 5 -w ' %{num_connects}\n' "$url" "$url"
  [ "$output" = $'Hello, world! 1\nHello, world! 0' ]
  stop
}

@test "f_pipelining: requests in one segment are answered in their order" {
  start
  "$client" "$port" send "$get$head$get" finish read >"$dir/answer"
  (expected_get; expected_head; expected_get) >"$dir/expected"
  same "$dir/expected" "$dir/answer"
  stop
  [ "$(wc -l <"$err")" -eq 1 ]
}

@test "f_pipelining: requests may be cut anywhere" {
  start
  "$client" "$port" drip "$get$head$last" read >"$dir/answer"
  (expected_get; expected_head; expected_response) >"$dir/expected"
  same "$dir/expected" "$dir/answer"
  "$client" "$port" drip 'GET / HTTP/1.0\nHost: a\r\n\n' read >"$dir/answer"
  expected_response >"$dir/expected"
  same "$dir/expected" "$dir/answer"
  stop
}

@test "f_pipelining: a batch longer than the buffer is answered" {
  start
  "$client" "$port" send "$(times 2000 "${get//\\/\\\\}")$last" read \
    >"$dir/answer"
  [ "$(responses_in "$dir/answer")" -eq 2001 ]
  [ "$(grep -a -o 'Hello, world!' "$dir/answer" | wc -l)" -eq 2001 ]
  run ! grep -a '400' "$dir/answer"
  stop
}

@test "f_pipelining: the headers of a request may have 8 KiB, not a byte more" {
  start
  local begin='GET / HTTP/1.0\r\nx: '
  "$client" "$port" send "$begin" fill 8169 send '\r\n\r\n' read >"$dir/answer"
  expected_response >"$dir/expected"
  same "$dir/expected" "$dir/answer"
  "$client" "$port" send "$get$begin" fill 8170 send '\r\n\r\n' read \
    >"$dir/answer"
  (expected_get; expected_refusal) >"$dir/expected"
  same "$dir/expected" "$dir/answer"
  stop
}

@test "f_pipelining: 300 KB without a blank line are refused, and no reset overtakes the response" {
  fresh
  "$client" "$port" send "$head" fill 300000 read >"$dir/answer" 2>"$dir/said"
  (expected_head; expected_refusal) >"$dir/expected"
  same "$dir/expected" "$dir/answer"
  [ ! -s "$dir/said" ]
  goes_on
  # Nothing of the rest was taken for a request, nor the connection closed
  # before the client had ended it.
  [ "$(wc -l <"$err")" -eq 1 ]
}

# Were a request mistaken for another, or for two, the one that follows would
# be answered as well, or the number of responses would differ.
@test "f_pipelining: what it does not understand is refused, and nothing after it answered" {
  fresh
  local h='Host: a\r\n' e='\r\n\r\n' wrong
  expected_refusal >"$dir/expected"
  while IFS= read -r wrong; do
    echo "request: $wrong"
    "$client" "$port" send "$wrong$get" read >"$dir/answer" 2>"$dir/said"
    same "$dir/expected" "$dir/answer"
    [ ! -s "$dir/said" ]
  done <<END
GET /$e
GET$e
\r\n$e
\n\n
 GET / HTTP/1.1\r\n$h\r\n
GET  / HTTP/1.1\r\n$h\r\n
GET / HTTP/1.1 \r\n$h\r\n
GET\x09/\x09HTTP/1.1\r\n$h\r\n
GET /\x09 HTTP/1.1\r\n$h\r\n
GET / x HTTP/1.1\r\n$h\r\n
GET  HTTP/1.1\r\n$h\r\n
GET a HTTP/1.1\r\n$h\r\n
GET * HTTP/1.1\r\n$h\r\n
get / HTTP/1.1\r\n$h\r\n
GETS / HTTP/1.1\r\n$h\r\n
POST / HTTP/1.1\r\n$h\r\n
OPTIONS * HTTP/1.1\r\n$h\r\n
GET / HTTP/1.2\r\n$h\r\n
GET / HTTP/0.9\r\n$h\r\n
GET / HTTP/2.0\r\n$h\r\n
GET / HTTP/1.10\r\n$h\r\n
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
  goes_on
}

@test "f_pipelining: a HEAD that is refused gets no body" {
  start
  local wrong
  expected_refusal | head -c -13 >"$dir/expected"
  for wrong in 'HEAD * HTTP/1.1\r\nHost: a' 'HEAD /' 'HEAD / HTTP/1.1' \
    'HEAD / HTTP/1.1\r\nHost: a\r\nx: \x01' '\r\nHEAD / HTTP/1.1'; do
    "$client" "$port" send "$wrong\r\n\r\n" read >"$dir/answer"
    same "$dir/expected" "$dir/answer"
  done
  "$client" "$port" send 'HEAD / HTTP/1.1\r\nx: ' fill 9000 read >"$dir/answer"
  same "$dir/expected" "$dir/answer"
  stop
}

@test "f_pipelining: what HTTP/1.1 allows is answered, and the next request after it" {
  start
  local h='Host: a\r\n' e='\r\n\r\n' right
  (expected_get; expected_response) >"$dir/expected"
  while IFS= read -r right; do
    echo "request: $right"
    "$client" "$port" send "$right$last" read >"$dir/answer"
    same "$dir/expected" "$dir/answer"
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
  stop
}

@test "f_pipelining: Connection: close is honoured, in any case and any list" {
  start
  local value
  expected_response >"$dir/expected"
  for value in close CLOSE 'keep-alive, Close' 'close,x' 'x ,,close , y' \
    'x\r\nConnection: close' 'close\r\nConnection: keep-alive'; do
    "$client" "$port" send "${last/close/"$value"}$get" read >"$dir/answer"
    same "$dir/expected" "$dir/answer"
  done
  stop
}

@test "f_pipelining: HTTP/1.0 is answered, with a Host field or without, and closed" {
  start
  local fields
  expected_response >"$dir/expected"
  for fields in '' 'Host: a\r\n' 'Connection: Keep-Alive\r\n'; do
    "$client" "$port" send "GET / HTTP/1.0\r\n$fields\r\n$get" read \
      >"$dir/answer"
    same "$dir/expected" "$dir/answer"
  done
  stop
}

# calls_of MODE: for three requests in one segment.
calls_of() {
  in_mode "$1" traced setsockopt,recvfrom,sendto,epoll_ctl
  "$client" "$port" send "$get$get$get" finish read >"$dir/answer"
  stop
  [ "$(responses_in "$dir/answer")" -eq 3 ]
  sed -n -E 's/.*(SO_REUSEADDR|TCP_[A-Z]+, \[[01]\]).*/\1/p
    s/^epoll_ctl\([0-9]+, ([A-Z_]+), [0-9]+, \{events=([A-Z|]+).*/\1 \2/p
    s/^(recvfrom|sendto).* = ([0-9]*)/\1 \2/p' "$trace" >"$dir/calls"
}

@test "f_pipelining: cork: the cork goes in before a batch and comes out after it" {
  calls_of cork
  printf '%s\n' SO_REUSEADDR 'EPOLL_CTL_ADD EPOLLIN' 'EPOLL_CTL_ADD EPOLLIN' \
    'recvfrom 81' 'TCP_CORK, [1]' 'sendto 115' 'sendto 115' 'sendto 115' \
    'TCP_CORK, [0]' 'recvfrom 0' >"$dir/expected"
  same "$dir/expected" "$dir/calls"
}

@test "f_pipelining: cork is what it does unless told otherwise" {
  traced setsockopt
  answers
  stop
  grep -q 'TCP_CORK, \[1\]' "$trace"
  run ! grep TCP_NODELAY "$trace"
}

@test "f_pipelining: nodelay: set on the listener, once; as many sends, and no cork" {
  calls_of nodelay
  printf '%s\n' SO_REUSEADDR 'TCP_NODELAY, [1]' 'EPOLL_CTL_ADD EPOLLIN' \
    'EPOLL_CTL_ADD EPOLLIN' 'recvfrom 81' 'sendto 115' 'sendto 115' \
    'sendto 115' 'recvfrom 0' >"$dir/expected"
  same "$dir/expected" "$dir/calls"
}

@test "f_pipelining: nodelay: the connections inherit it" {
  in_mode nodelay start env "LD_PRELOAD=$top/build/preload.so"
  answers
  grep -q 'accepted: TCP_NODELAY is on' "$err"
  stop
}

@test "f_pipelining: plain: as many sends, and neither option" {
  calls_of plain
  printf '%s\n' SO_REUSEADDR 'EPOLL_CTL_ADD EPOLLIN' 'EPOLL_CTL_ADD EPOLLIN' \
    'recvfrom 81' 'sendto 115' 'sendto 115' 'sendto 115' 'recvfrom 0' \
    >"$dir/expected"
  same "$dir/expected" "$dir/calls"
}

@test "f_pipelining: a mode that is none, or a surplus argument, is named, and the exit status is 2" {
  local wrong
  for wrong in corks '' 80; do
    run -2 timeout 5 "$bin/$EXAMPLE" 8080 "$wrong"
    [[ $output == usage:*'[port [plain|nodelay|cork]]'*"'$wrong'"* ]]
    [ "${#lines[@]}" -eq 1 ]
  done
  run -2 timeout 5 "$bin/$EXAMPLE" 8080 cork surplus
  [[ $output == usage:*"'surplus'"* ]]
  run -2 timeout 5 "$bin/$EXAMPLE" 0 cork
  [[ $output == usage:*"'0'"* ]]
}

@test "f_pipelining: send fails with EAGAIN in a batch: the rest is sent when it may be" {
  traced sendto,epoll_ctl,setsockopt,recvfrom \
    -e inject=sendto:error=EAGAIN:when=3
  "$client" "$port" send "$get$head$get$head$last" read >"$dir/answer"
  (expected_get; expected_head; expected_get; expected_head
    expected_response) >"$dir/expected"
  same "$dir/expected" "$dir/answer"
  stop
  sed -n -E '/^recvfrom/,/^recvfrom.* = 0$/ {
    s/.*(TCP_CORK, \[[01]\]).*/\1/p
    s/^epoll_ctl\([0-9]+, ([A-Z_]+), [0-9]+, \{events=([A-Z|]+).*/\1 \2/p
    s/^(recvfrom|sendto).*/\1/p
  }' "$trace" >"$dir/calls"
  printf '%s\n' recvfrom 'TCP_CORK, [1]' sendto sendto sendto 'TCP_CORK, [0]' \
    'EPOLL_CTL_MOD EPOLLOUT' 'TCP_CORK, [1]' sendto sendto sendto \
    'TCP_CORK, [0]' 'EPOLL_CTL_MOD EPOLLIN' recvfrom >"$dir/expected"
  same "$dir/expected" "$dir/calls"
}

@test "f_pipelining: send takes parts in a batch: the rest is sent, and nothing twice" {
  traced sendto -e inject=sendto:retval=10:when=2..3
  "$client" "$port" send "$get$get$last" read >"$dir/answer"
  stop
  [ "$(grep -c INJECTED "$trace")" -eq 2 ]
  # What was claimed and never sent are the first 20 bytes of the second.
  [ "$(responses_in "$dir/answer")" -eq 2 ]
  [ "$(grep -a -o 'Hello, world!' "$dir/answer" | wc -l)" -eq 3 ]
  [ "$(wc -c <"$dir/answer")" -eq $((115 + 115 - 20 + 134)) ]
}

@test "f_pipelining: a client that does not read costs no memory, holds up nobody, and gets all in the end" {
  fresh
  local before after
  answers
  before=$(awk '/^VmRSS/ { print $2 }' "/proc/$server/status")
  flood 80000
  answers
  after=$(awk '/^VmRSS/ { print $2 }' "/proc/$server/status")
  [ $((after - before)) -lt 1000 ]
  [ "$(cpu_ticks_of_a_while)" -le 5 ]
  cat <&"$flooded" >"$dir/answer"
  exec {flooded}<&-
  [ "$(responses_in "$dir/answer")" -eq 80001 ]
  [ "$(grep -a -o 'Hello, world!' "$dir/answer" | wc -l)" -eq 80001 ]
  wait_for has_descriptors "$idle"
  stop
}

cpu_ticks_of_a_while() {
  local before
  before=$(cpu_ticks)
  sleep 0.3
  echo $(($(cpu_ticks) - before))
}

@test "f_pipelining: a client that does not read, and resets, costs nothing" {
  fresh
  flood 80000
  leave "${clients[0]}"
  exec {flooded}<&-
  wait_for has_descriptors "$idle"
  answers
  stop
}

# One client of each kind, all at the same time: silent, answered, refused,
# dribbling, and deaf. All of them still hold their connections in the end.
@test "f_pipelining: the clock ends connections whose clients take no responses" {
  patient 1
  hold "$port"
  hold "$port" send "$get"
  hold "$port" send 'GET /\r\n\r\n'
  "$client" "$port" drip "$(times 9000 x)" >"$dir/said" 2>&1 3>&- &
  clients+=($!)
  local pids=("${clients[@]}") pid
  flood 80000
  wait_for has_descriptors "$idle"
  for pid in "${pids[@]}"; do kill -0 "$pid"; done
  exec {flooded}<&-
  answers
  stop
}

@test "f_pipelining: the clock runs while nothing else happens" {
  patient 1
  hold "$port"
  wait_for has_descriptors $((idle + 1))
  wait_for has_descriptors "$idle"
  kill -0 "$held"
  stop
}

@test "f_pipelining: the clock spares a connection that goes on asking" {
  patient 1
  # The older one, so that its time would be up first.
  exec {asking}<>"/dev/tcp/127.0.0.1/$port"
  hold "$port"
  local asked=0
  wait_for has_descriptors $((idle + 2))
  until has_descriptors $((idle + 1)); do
    printf "$get" >&"$asking"
    asked=$((asked + 1))
    sleep 0.05
  done
  kill -0 "$held"
  printf "$last" >&"$asking"
  timeout 5 cat <&"$asking" >"$dir/answer"
  exec {asking}<&-
  [ "$(responses_in "$dir/answer")" -eq $((asked + 1)) ]
  stop
}

@test "f_pipelining: a blank line may be two bare newlines" { takes_bare_newlines; }
@test "f_pipelining: a blank line may follow a bare newline" { takes_a_blank_line_that_only_ends_in_CRLF; }
@test "f_pipelining: a port that is none, or a surplus argument, is named, and the exit status is 2" { refuses_what_is_no_port; }
@test "f_pipelining: says that the port is taken, and exits with 1" { says_that_the_port_is_taken; }
@test "f_pipelining: a call that fails at the start is named, and the exit status is 1" {
  ends_if_a_call_fails_at_start socket setsockopt bind listen \
    rt_sigaction:sigaction fcntl epoll_create1 epoll_ctl
}
@test "f_pipelining: nodelay: a setsockopt that fails at the start is named, and the exit status is 1" {
  export ASAN_OPTIONS=$ASAN_OPTIONS:detect_leaks=0
  run -1 timeout 5 strace -o "$trace" -e inject=setsockopt:error=ENOMEM:when=2 \
    "$bin/$EXAMPLE" $((10000 + RANDOM % 20000)) nodelay
  [ "$output" = 'setsockopt: Cannot allocate memory' ]
}
@test "f_pipelining: a client that half-closes after its request is answered" { answers_a_half_close_after_the_request; }
@test "f_pipelining: a client that half-closes after two requests and a half gets two answers" {
  fresh
  "$client" "$port" send "$get${get}GET / HT" finish read >"$dir/answer"
  (expected_get; expected_get) >"$dir/expected"
  same "$dir/expected" "$dir/answer"
  grep -q 'no complete request in 8 bytes' "$err"
  goes_on
}
@test "f_pipelining: a client that half-closes without a request is let go" { survives_a_half_close_without_a_request; }
@test "f_pipelining: a client that leaves before asking is let go, in silence" {
  fresh
  "$client" -n 20 "$port"
  goes_on
  [ "$(wc -l <"$err")" -eq 1 ]
}
@test "f_pipelining: a client that leaves halfway is let go" { survives_a_client_that_leaves_halfway; }
@test "f_pipelining: a client that resets halfway is let go" { survives_a_reset_halfway; }

@test "f_pipelining: clients that reset after the request cost nothing" { survives_resets_after_the_request; }
@test "f_pipelining: clients that reset among many requests cost nothing" {
  request=$(times 500 "${get//\\/\\\\}")
  survives_resets_after_the_request
}
@test "f_pipelining: a client that half-closes and resets costs nothing" { survives_a_half_close_and_a_reset; }
@test "f_pipelining: a client that resets after it was refused costs nothing" {
  request='GET /\r\n\r\n'
  survives_resets_after_the_request
}
@test "f_pipelining: ends quietly on SIGINT, and its port is free" { ends_quietly INT; }
@test "f_pipelining: ends quietly on SIGTERM, and its port is free" { ends_quietly TERM; }
@test "f_pipelining: ends within a second while 100 clients stall" { ends_with_100_stalled_clients; }
@test "f_pipelining: ends within a second while a client takes no responses" {
  start
  flood 80000
  within_a_second stop
  exec {flooded}<&-
}
@test "f_pipelining: ends within a second under load" { ends_under_load; }
@test "f_pipelining: goes on after SIGSTOP and SIGCONT" { survives_a_stop_and_a_continuation; }

@test "f_pipelining: a signal that lands just before epoll_wait is not lost" { loses_no_signal epoll_wait; }

@test "f_pipelining: accept4 fails with EINTR: the client is served all the same" { retries accept4 EINTR; }
@test "f_pipelining: accept4 fails with ECONNABORTED: the client is served all the same" { retries accept4 ECONNABORTED; }
@test "f_pipelining: accept4 fails with EPROTO: the client is served all the same" { retries accept4 EPROTO; }
@test "f_pipelining: accept4 fails with EMFILE: the client is served all the same" { retries accept4 EMFILE; }
@test "f_pipelining: accept4 fails with ENFILE: the client is served all the same" { retries accept4 ENFILE; }
@test "f_pipelining: accept4 fails with ENOBUFS: the client is served all the same" { retries accept4 ENOBUFS; }
@test "f_pipelining: accept4 fails again and again: no spin, no flood of messages" { outlasts_a_shortage accept4; }
@test "f_pipelining: recv fails with EINTR: the client is served all the same" { retries recvfrom EINTR; }
@test "f_pipelining: send fails with EINTR: the client is served all the same" { retries sendto EINTR; }
@test "f_pipelining: recv fails with EAGAIN: the client is served all the same" { retries recvfrom EAGAIN; }
@test "f_pipelining: send fails with EAGAIN: the client is served all the same" { retries sendto EAGAIN; }
@test "f_pipelining: send takes a part: the rest is sent" { sends_the_rest; }
@test "f_pipelining: recv fails with ECONNRESET: it costs one client at most" { keeps_serving recvfrom ECONNRESET; }
@test "f_pipelining: recv fails with ETIMEDOUT: it costs one client at most" { keeps_serving recvfrom ETIMEDOUT; }
@test "f_pipelining: recv fails after the last response: it costs one client at most" { keeps_serving recvfrom ECONNRESET 2; }
@test "f_pipelining: send fails with EPIPE: it costs one client at most" { keeps_serving sendto EPIPE; }
@test "f_pipelining: send fails with ECONNRESET: it costs one client at most" { keeps_serving sendto ECONNRESET; }
@test "f_pipelining: epoll_wait fails with EINTR: nobody is lost" { retries epoll_wait EINTR; }
@test "f_pipelining: epoll_ctl fails with ENOMEM when a client is added: it costs that one at most" { keeps_serving epoll_ctl ENOMEM 2; }
@test "f_pipelining: epoll_ctl fails with ENOSPC when a client is added: it costs that one at most" { keeps_serving epoll_ctl ENOSPC 2; }

# full_and_then WHEN: send fails with EAGAIN once; then epoll_ctl fails.
full_and_then() {
  traced sendto,epoll_ctl -e inject=sendto:error=EAGAIN:when=1 \
    -e "inject=epoll_ctl:error=ENOMEM:when=$1"
  idle=$(descriptors)
  "$client" "$port" send "$get$get" read >"$dir/answer"
  answers
  grep -q '^epoll_ctl: Cannot allocate memory' "$err"
  wait_for has_descriptors "$idle"
  stop
}
@test "f_pipelining: epoll_ctl fails when EPOLLOUT is asked for: it costs one client at most" { full_and_then 3; }
@test "f_pipelining: epoll_ctl fails when EPOLLIN is asked for again: it costs one client at most" { full_and_then 4; }
@test "f_pipelining: setsockopt fails when the cork goes in: it costs one client at most" { keeps_serving setsockopt ENOBUFS 2; }
@test "f_pipelining: setsockopt fails when the cork comes out: it costs one client at most" { keeps_serving setsockopt ENOBUFS 3; }
@test "f_pipelining: shutdown fails with ENOTCONN: the connection is closed" { keeps_serving shutdown ENOTCONN; }

@test "f_pipelining: the listener and the connections do not block" { has_non_blocking_sockets; }
@test "f_pipelining: 300 stalled clients do not hold up another" { serves_beside_300_stalled_clients; }
@test "f_pipelining: more clients than descriptors: no spin, and service again when some leave" { turns_away_clients_beyond_its_descriptors; }
@test "f_pipelining: a client that is turned away is told so at once" { tells_the_clients_it_turns_away; }
@test "f_pipelining: more clients than memory: service again when some leave" { turns_away_clients_when_memory_is_short; }
@test "f_pipelining: 200 clients that came at once are served" { serves_those_that_came_at_once 200 start; }
