# What all six examples do, and the programs of the appendix that serve the
# same way. Example 1 serves one client and ends: served and survives know that.

load helpers

setup_file() { probe; }

# served: after one request was answered.
served() {
  if [ "${trait[serves]}" = one ]; then assert_server_exits 0; else stop_server; fi
}

# survives [LINES]: the client before cost the server at most LINES lines on
# stderr (default: 1), and no descriptor; the next client is served.
survives() {
  assert_lines_said "${1:-1}"
  if [ "${trait[serves]}" = one ]; then
    assert_server_exits 1
  else
    assert_curl_is_answered
    assert_no_leak
    stop_server
  fi
}

# costs_nothing_else LINE ACTION...: a client that does this gets no answer; the
# server writes this line.
costs_nothing_else() {
  start_server
  client "${@:2}"
  assert_no_answer
  assert_said "$1"
  survives
}

@test "answers curl with the article's 114 bytes" {
  look='send_response, and the response itself'
  start_server
  assert_curl_is_answered
  served
}

@test "prints the request as the article does" {
  start_server
  assert_answer send "$request" read
  assert_printed "$request"
  served
}

@test "prints the request before it answers, also into a file or a pipe" {
  look=print_request
  start_traced write,writev,sendto
  assert_answer send "$request" read
  served
  calls | sed -n -E 's/^(write|send)(v?\(1,|to).*/\1/p' | uniq >"$dir/calls"
  [ "$(paste -s -d ' ' "$dir/calls")" = 'write send' ] ||
    fail 'the calls write, then send' "$(paste -s -d ' ' "$dir/calls")"
}

@test "prints NUL bytes, invalid UTF-8 and % unchanged" {
  local bytes='GET /%%s%%n\x00\x01\xff\xc3( \x1b HTTP/1.0\r\n\r\n'
  start_server
  assert_answer send "${bytes//%%/%}" read
  assert_printed "$bytes"
  served
}

# is_answered ACTION...: a client that does this is answered.
is_answered() {
  start_server
  assert_answer "$@"
  served
}

@test "answers a request that arrives byte by byte, once" {
  look='read_request and is_complete'
  start_server
  assert_answer drip "$request" read
  assert_printed "$request"
  served
}

@test "accepts a blank line without carriage returns" {
  look=is_complete
  is_answered drip 'GET / HTTP/1.0\n\n' read
}

@test "accepts a blank line with a carriage return after a bare newline" {
  look=is_complete
  is_answered drip 'GET / HTTP/1.0\n\r\n' read
}

@test "answers a request of 8,192 bytes" {
  look='the use of MAX_REQUEST'
  start_server
  assert_answer fill 8188 send '\r\n\r\n' read
  [ "$(tr -dc x <"$out" | wc -c)" -eq 8188 ] ||
    fail 'the server prints all 8,188 letters' "$(tr -dc x <"$out" | wc -c) letters"
  served
}

@test "refuses a request of 8,193 bytes" {
  look='the use of MAX_REQUEST'
  costs_nothing_else '^no complete request in 8192 bytes' fill 8189 send '\r\n\r\n' read
}

@test "refuses 300,000 bytes without a blank line" {
  look='the use of MAX_REQUEST'
  costs_nothing_else '^no complete request in 8192 bytes' fill 300000 read
}

@test "asks recv for 1,024 bytes at most, and never for more than 8,192 in all" {
  look='the use of READ_SIZE and MAX_REQUEST'
  start_traced recvfrom
  start_client send GET wait fill 8185 send '\r\n\r\n' read
  assert_trace '^recvfrom.* = 3$' 'a recv that returns 3 bytes'
  release "$client"
  assert_response_of "$client"
  served
  assert_trace ', 1024, ' 'a recv that asks for 1,024 bytes'
  calls | awk -F ', ' '/recvfrom/ { split($NF, result, "= ")
    if ($(NF - 3) > 1024 || received + $(NF - 3) > 8192) print
    if (result[2] > 0) received += result[2] }' >"$dir/too_much"
  [ ! -s "$dir/too_much" ] ||
    fail 'it asks for less' "$(head -n 1 "$dir/too_much")"
}

@test "listens on port 8080 of all addresses, if no port is given" {
  look='port_argument and open_listener'
  did="starts $EXAMPLE without an argument"
  need_strace
  # bind fails at once, so that a port that is taken does not matter.
  run timeout $((PATIENCE * 3)) strace -o "$trace" -e inject=bind:error=EADDRINUSE \
    "$bin/$EXAMPLE"
  assert_trace 'bind\(.*htons\(8080\).*"0\.0\.0\.0"' 'bind to port 8080 of 0.0.0.0'
}

@test "rejects an invalid port or an extra argument with exit status 2" {
  local wrong
  look=port_argument
  for wrong in hello -1 0 65536 70000 80x ' 80' +80 '' 99999999999999999999; do
    assert_rejects "$wrong" "$wrong"
  done
  assert_rejects extra 8080 extra
}

@test "says that the port is taken, and exits with status 1" {
  look=open_listener
  start_server
  assert_port_taken
  assert_curl_is_answered
  served
}

@test "names the call that fails at the start, and exits with status 1" {
  look='the call itself, in open_listener or main'
  # shellcheck disable=SC2086
  assert_names_failures socket setsockopt bind listen ${trait[start_calls]}
}

@test "answers a client that half-closes after its request" {
  look=read_request
  is_answered send "$request" finish read
}

@test "answers a request that arrives together with the half-close" {
  look='read_request: what it does first after recv'
  start_server
  suspend_server
  start_client send "$request" finish wait read
  did="while the server is stopped, $did"
  await_ready
  kill -CONT "$server"
  release "$client"
  assert_response_of "$client"
  served
}

@test "closes the connection of a client that half-closes without a request" {
  look='read_request: recv returns 0'
  costs_nothing_else '^no complete request in 8 bytes' send 'GET / HT' finish read
}

@test "closes the connection of a client that leaves before its request" {
  look='read_request: recv returns 0'
  costs_nothing_else '^no complete request in 0 bytes'
}

@test "closes the connection of a client that leaves in its request" {
  look='read_request: recv returns 0'
  costs_nothing_else '^no complete request in 8 bytes' send 'GET / HT'
}

@test "prints one line for a client that resets in its request" {
  look='read_request: recv returns -1'
  start_server
  client_resets send 'GET / HT'
  assert_said '^recv: Connection reset by peer'
  survives
}

@test "sends the rest of the response when send accepts only part of it" {
  look='send_response: what follows send'
  start_traced sendto -e inject=sendto:retval=10:when=1
  assert_rest_is_sent
  served
}
