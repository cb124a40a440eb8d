# Appendix A: what it does, a sentence each.

EXAMPLE=a_select

load helpers
load behaviour

@test "a_select: gives curl the article's 114 bytes" { gives_curl_the_response; }
@test "a_select: prints the request as the article does" { prints_the_request; }
@test "a_select: prints the request before it answers, though stdout is no terminal" { prints_before_it_answers; }
@test "a_select: prints NUL bytes, bytes that are no UTF-8 and % as they came" { prints_any_byte; }
@test "a_select: a request that comes one byte at a time is answered once" { takes_single_bytes; }
@test "a_select: a blank line may be two bare newlines" { takes_bare_newlines; }
@test "a_select: a blank line may follow a bare newline" { takes_a_blank_line_that_only_ends_in_CRLF; }
@test "a_select: a request of 8 KiB is answered" { takes_8_KiB; }
@test "a_select: a request of 8 KiB and a byte is refused" { refuses_more_than_8_KiB; }
@test "a_select: 300 KB without a blank line are refused" { refuses_300_KB; }
@test "a_select: asks recv for 1,024 bytes at most" { reads_1024_bytes_at_most; }
@test "a_select: a port that is none, or a surplus argument, is named, and the exit status is 2" { refuses_what_is_no_port; }
@test "a_select: says that the port is taken, and exits with 1" { says_that_the_port_is_taken; }
@test "a_select: a call that fails at the start is named, and the exit status is 1" {
  ends_if_a_call_fails_at_start socket setsockopt bind listen rt_sigaction:sigaction fcntl
}
@test "a_select: a client that half-closes after its request is answered" { answers_a_half_close_after_the_request; }
@test "a_select: a client that half-closes without a request is let go" { survives_a_half_close_without_a_request; }
@test "a_select: a client that leaves before asking is let go" { survives_a_client_that_leaves_before_asking; }
@test "a_select: a client that leaves halfway is let go" { survives_a_client_that_leaves_halfway; }
@test "a_select: a client that resets halfway is let go" { survives_a_reset_halfway; }

@test "a_select: clients that reset after the request cost nothing" { survives_resets_after_the_request; }
@test "a_select: a client that half-closes and resets costs nothing" { survives_a_half_close_and_a_reset; }
@test "a_select: serves twenty clients one after the other" { serves_one_after_the_other; }
@test "a_select: ends quietly on SIGINT, and its port is free" { ends_quietly INT; }
@test "a_select: ends quietly on SIGTERM, and its port is free" { ends_quietly TERM; }
@test "a_select: ends within a second while 100 clients stall" { ends_with_100_stalled_clients; }
@test "a_select: ends within a second under load" { ends_under_load; }
@test "a_select: ends though nobody reads its output" { ends_when_nobody_reads_its_output; }
@test "a_select: goes on after SIGSTOP and SIGCONT" { survives_a_stop_and_a_continuation; }

@test "a_select: a signal that lands just before select is not lost" { loses_no_signal select; }

@test "a_select: accept4 fails with EINTR: the client is served all the same" { retries accept4 EINTR; }
@test "a_select: accept4 fails with ECONNABORTED: the client is served all the same" { retries accept4 ECONNABORTED; }
@test "a_select: accept4 fails with EPROTO: the client is served all the same" { retries accept4 EPROTO; }
@test "a_select: accept4 fails with EMFILE: the client is served all the same" { retries accept4 EMFILE; }
@test "a_select: accept4 fails with ENFILE: the client is served all the same" { retries accept4 ENFILE; }
@test "a_select: accept4 fails with ENOBUFS: the client is served all the same" { retries accept4 ENOBUFS; }
@test "a_select: accept4 fails again and again: no spin, no flood of messages" { outlasts_a_shortage accept4; }
@test "a_select: recv fails with EINTR: the client is served all the same" { retries recvfrom EINTR; }
@test "a_select: send fails with EINTR: the client is served all the same" { retries sendto EINTR; }
@test "a_select: recv fails with EAGAIN: the client is served all the same" { retries recvfrom EAGAIN; }
@test "a_select: send fails with EAGAIN: the client is served all the same" { retries sendto EAGAIN; }
@test "a_select: send takes a part: the rest is sent" { sends_the_rest; }
@test "a_select: recv fails with ECONNRESET: it costs one client at most" { keeps_serving recvfrom ECONNRESET; }
@test "a_select: recv fails with ETIMEDOUT: it costs one client at most" { keeps_serving recvfrom ETIMEDOUT; }
@test "a_select: send fails with EPIPE: it costs one client at most" { keeps_serving sendto EPIPE; }
@test "a_select: send fails with ECONNRESET: it costs one client at most" { keeps_serving sendto ECONNRESET; }
@test "a_select: select fails with EINTR: nobody is lost" { retries '?select,pselect6' EINTR; }
@test "a_select: select fails with EINTR: nobody is taken to be ready" {
  traced '?select,pselect6,recvfrom' -e 'inject=?select,pselect6:error=EINTR:when=3'
  hold "$port" send 'GET / HT'
  answers
  stop
  grep INJECTED "$trace"
  run ! grep '^recvfrom.*EAGAIN' "$trace"
}
@test "a_select: shutdown fails with ENOTCONN: the connection is closed" { keeps_serving shutdown ENOTCONN; }

@test "a_select: the listener and the connections do not block" { has_non_blocking_sockets; }
@test "a_select: 300 stalled clients do not hold up another" { serves_beside_300_stalled_clients; }
@test "a_select: more clients than descriptors: no spin, and service again when some leave" { turns_away_clients_beyond_its_descriptors; }
@test "a_select: a client that is turned away is told so at once" { tells_the_clients_it_turns_away; }
@test "a_select: more clients than memory: service again when some leave" { turns_away_clients_when_memory_is_short; }

@test "a_select: a first client that stalls does not hold up the second" {
  start
  hold "$port" send 'GET / HT'
  ask --max-time 0.3
  stop
}

@test "a_select: 30 clients that came while it was stopped are served" { serves_those_that_came_at_once 30 start; }
@test "a_select: 200 clients that came while it was stopped are served in batches of 64" {
  serves_those_that_came_at_once 200 traced 'accept4,?select,pselect6'
  awk '/^p?select/ { n = 0 } /^accept4.* = [0-9]/ { if (++n > most) most = n }
    END { print most; exit most != 64 }' "$trace"
}

# The response, the end of the stream, and only then the reset that the rest of
# the input causes.
@test "a_select: a client that has sent more than it should gets the whole response" {
  start
  "$client" "$port" send "$request$(printf '%3000s' x)" read \
    >"$dir/answer" 2>"$dir/complaint"
  expected_response >"$dir/expected"
  same "$dir/expected" "$dir/answer"
  [ ! -s "$dir/complaint" ]
  stop
}

# start_with_open LAST LIMIT: with all descriptors open up to LAST. A sanitizer
# would need one to look for leaks.
start_with_open() {
  export ASAN_OPTIONS=$ASAN_OPTIONS:detect_leaks=0
  run -1 timeout 5 bash -c "ulimit -S -n $2
    for fd in {3..$1}; do eval \"exec \$fd</dev/null\"; done
    exec \"\$@\"" bash "$bin/$EXAMPLE" $((10000 + RANDOM % 20000))
}

@test "a_select: started where no descriptor is left for a client, it says so" {
  start_with_open 7 10
  [ "$output" = 'socket: Too many open files' ]
}

@test "a_select: select is called, and nothing of epoll" {
  traced '/poll|select'
  answers
  stop
  grep -E '^p?select' "$trace"
  run ! grep epoll "$trace"
}

@test "a_select: the calls of one request, in their order" {
  traced '?select,pselect6,accept4,recvfrom,sendto,shutdown,close'
  "$client" "$port" send "$request" read
  wait_for grep -q '^close' "$trace"
  sed -n -E 's/^p?select.*\((in|out) \[[0-9]+\].*/select \1/
    s/^([a-z0-9]+)\(.*/\1/
    /^select [io]/,/^close/p' "$trace" >"$dir/calls"
  printf '%s\n' 'select in' accept4 accept4 'select in' recvfrom \
    'select out' sendto shutdown close >"$dir/expected"
  same "$dir/expected" "$dir/calls"
  stop
}

@test "a_select: level-triggered: select reports what one recv has left" {
  traced '?select,pselect6,recvfrom'
  "$client" "$port" send "$(printf 'x%.0s' {1..5000})$request" read
  stop
  [ "$(grep -c '^recvfrom' "$trace")" -eq 5 ]
  [ "$(grep -c '^p\?select.*(in ' "$trace")" -ge 6 ]
}

# The listener, the five that are silent and the one that asks; and once these
# have left, the listener alone, as in the first call.
@test "a_select: each select names every client, and none that has left" {
  traced '?select,pselect6'
  before=$(descriptors)
  hold -n 5 "$port"
  answers
  leave "$held"
  wait_for has_descriptors "$before"
  answers
  stop
  sed -n -E 's/^p?select6?\(([^]]*\], [^]]*\]).*/\1/p' "$trace" >"$dir/calls"
  grep -E '^[0-9]+, \[[0-9]+( [0-9]+){5}\], \[[0-9]+\]$' "$dir/calls"
  [ "$(grep -cxF "$(head -n 1 "$dir/calls")" "$dir/calls")" -ge 2 ]
}

needs_1600_descriptors() {
  [ "$(ulimit -H -n)" -ge 1600 ] ||
    skip 'the hard limit of descriptors is below 1,600'
}

has_lines() { [ "$(wc -l <"$err")" -eq "$1" ]; }

# The first 550 have descriptors below 1,023. While the others fill the sets, a
# newcomer is turned away, too; once the first have left, none is.
@test "a_select: of 1,100 clients those beyond FD_SETSIZE are turned away" {
  needs_1600_descriptors
  fresh bash -c 'ulimit -S -n 1600 && exec "$@"' bash
  local turned_away=$((1100 - (1023 - idle)))
  "$client" -n 550 "$port" send 'GET / HT' wait send 'TP/1.0\r\n\r\n' read \
    >"$dir/answers" 3>&- &
  clients+=($!)
  wait_for grep -q ready "$dir/answers"
  hold -n 550 "$port" send 'GET / HT'
  wait_for has_lines $((1 + turned_away))
  wait_for has_descriptors 1023
  not answers
  [ "$(grep -c 'client turned away' "$err")" -eq $((turned_away + 1)) ]
  kill -USR1 "${clients[0]}"
  wait "${clients[0]}"
  [ "$(grep -o 'Hello, world!' "$dir/answers" | wc -l)" -eq 550 ]
  answers
  leave "$held"
  wait_for has_descriptors "$idle"
  answers
  stop
}

# FD_SET for the listener itself would write past the end of the set.
@test "a_select: started with 1,100 descriptors in use, it says so" {
  needs_1600_descriptors
  start_with_open 1100 1600
  [ "$output" = 'socket: Too many open files' ]
}
