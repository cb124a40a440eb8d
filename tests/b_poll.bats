# Appendix B: what it does, a sentence each.

EXAMPLE=b_poll

load helpers
load behaviour

@test "b_poll: gives curl the article's 114 bytes" { gives_curl_the_response; }
@test "b_poll: prints the request as the article does" { prints_the_request; }
@test "b_poll: prints the request before it answers, though stdout is no terminal" { prints_before_it_answers; }
@test "b_poll: prints NUL bytes, bytes that are no UTF-8 and % as they came" { prints_any_byte; }
@test "b_poll: a request that comes one byte at a time is answered once" { takes_single_bytes; }
@test "b_poll: a blank line may be two bare newlines" { takes_bare_newlines; }
@test "b_poll: a blank line may follow a bare newline" { takes_a_blank_line_that_only_ends_in_CRLF; }
@test "b_poll: a request of 8 KiB is answered" { takes_8_KiB; }
@test "b_poll: a request of 8 KiB and a byte is refused" { refuses_more_than_8_KiB; }
@test "b_poll: 300 KB without a blank line are refused" { refuses_300_KB; }
@test "b_poll: asks recv for 1,024 bytes at most" { reads_1024_bytes_at_most; }
@test "b_poll: a port that is none, or a surplus argument, is named, and the exit status is 2" { refuses_what_is_no_port; }
@test "b_poll: says that the port is taken, and exits with 1" { says_that_the_port_is_taken; }
@test "b_poll: a call that fails at the start is named, and the exit status is 1" {
  ends_if_a_call_fails_at_start socket setsockopt bind listen rt_sigaction:sigaction fcntl
}
@test "b_poll: a client that half-closes after its request is answered" { answers_a_half_close_after_the_request; }
@test "b_poll: a client that half-closes without a request is let go" { survives_a_half_close_without_a_request; }
@test "b_poll: a client that leaves before asking is let go" { survives_a_client_that_leaves_before_asking; }
@test "b_poll: a client that leaves halfway is let go" { survives_a_client_that_leaves_halfway; }
@test "b_poll: a client that resets halfway is let go" { survives_a_reset_halfway; }

@test "b_poll: clients that reset after the request cost nothing" { survives_resets_after_the_request; }
@test "b_poll: a client that half-closes and resets costs nothing" { survives_a_half_close_and_a_reset; }
@test "b_poll: serves twenty clients one after the other" { serves_one_after_the_other; }
@test "b_poll: ends quietly on SIGINT, and its port is free" { ends_quietly INT; }
@test "b_poll: ends quietly on SIGTERM, and its port is free" { ends_quietly TERM; }
@test "b_poll: ends within a second while 100 clients stall" { ends_with_100_stalled_clients; }
@test "b_poll: ends within a second under load" { ends_under_load; }
@test "b_poll: ends though nobody reads its output" { ends_when_nobody_reads_its_output; }
@test "b_poll: goes on after SIGSTOP and SIGCONT" { survives_a_stop_and_a_continuation; }

@test "b_poll: a signal that lands just before poll is not lost" { loses_no_signal poll; }

@test "b_poll: accept4 fails with EINTR: the client is served all the same" { retries accept4 EINTR; }
@test "b_poll: accept4 fails with ECONNABORTED: the client is served all the same" { retries accept4 ECONNABORTED; }
@test "b_poll: accept4 fails with EPROTO: the client is served all the same" { retries accept4 EPROTO; }
@test "b_poll: accept4 fails with EMFILE: the client is served all the same" { retries accept4 EMFILE; }
@test "b_poll: accept4 fails with ENFILE: the client is served all the same" { retries accept4 ENFILE; }
@test "b_poll: accept4 fails with ENOBUFS: the client is served all the same" { retries accept4 ENOBUFS; }
@test "b_poll: accept4 fails again and again: no spin, no flood of messages" { outlasts_a_shortage accept4; }
@test "b_poll: recv fails with EINTR: the client is served all the same" { retries recvfrom EINTR; }
@test "b_poll: send fails with EINTR: the client is served all the same" { retries sendto EINTR; }
@test "b_poll: recv fails with EAGAIN: the client is served all the same" { retries recvfrom EAGAIN; }
@test "b_poll: send fails with EAGAIN: the client is served all the same" { retries sendto EAGAIN; }
@test "b_poll: send takes a part: the rest is sent" { sends_the_rest; }
@test "b_poll: recv fails with ECONNRESET: it costs one client at most" { keeps_serving recvfrom ECONNRESET; }
@test "b_poll: recv fails with ETIMEDOUT: it costs one client at most" { keeps_serving recvfrom ETIMEDOUT; }
@test "b_poll: send fails with EPIPE: it costs one client at most" { keeps_serving sendto EPIPE; }
@test "b_poll: send fails with ECONNRESET: it costs one client at most" { keeps_serving sendto ECONNRESET; }
@test "b_poll: poll fails with EINTR: nobody is lost" { retries '?poll,ppoll' EINTR; }
@test "b_poll: poll fails with EINTR: nobody is taken to be ready" {
  traced '?poll,ppoll,recvfrom' -e 'inject=?poll,ppoll:error=EINTR:when=3'
  hold "$port" send 'GET / HT'
  answers
  stop
  grep INJECTED "$trace"
  run ! grep '^recvfrom.*EAGAIN' "$trace"
}
@test "b_poll: shutdown fails with ENOTCONN: the connection is closed" { keeps_serving shutdown ENOTCONN; }

@test "b_poll: the listener and the connections do not block" { has_non_blocking_sockets; }
@test "b_poll: 300 stalled clients do not hold up another" { serves_beside_300_stalled_clients; }
@test "b_poll: more clients than descriptors: no spin, and service again when some leave" { turns_away_clients_beyond_its_descriptors; }
@test "b_poll: a client that is turned away is told so at once" { tells_the_clients_it_turns_away; }
@test "b_poll: more clients than memory: service again when some leave" { turns_away_clients_when_memory_is_short; }

@test "b_poll: a first client that stalls does not hold up the second" {
  start
  hold "$port" send 'GET / HT'
  ask --max-time 0.3
  stop
}

@test "b_poll: 30 clients that came while it was stopped are served" { serves_those_that_came_at_once 30 start; }
@test "b_poll: 200 clients that came while it was stopped are served in batches of 64" {
  serves_those_that_came_at_once 200 traced 'accept4,?poll,ppoll'
  awk '/^p?poll/ { n = 0 } /^accept4.* = [0-9]/ { if (++n > most) most = n }
    END { print most; exit most != 64 }' "$trace"
}

# The response, the end of the stream, and only then the reset that the rest of
# the input causes.
@test "b_poll: a client that has sent more than it should gets the whole response" {
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

@test "b_poll: started where no descriptor is left for a client, it says so" {
  start_with_open 7 10
  [ "$output" = 'socket: Too many open files' ]
}

@test "b_poll: poll is called, and nothing of epoll" {
  traced '/poll|select'
  answers
  stop
  grep -E '^p?poll' "$trace"
  run ! grep epoll "$trace"
}

@test "b_poll: the calls of one request, in their order" {
  traced '?poll,ppoll,accept4,recvfrom,sendto,shutdown,close'
  "$client" "$port" send "$request" read
  wait_for grep -q '^close' "$trace"
  sed -n -E 's/^p?poll.*revents=([A-Z|]+).*/poll \1/
    s/^([a-z0-9]+)\(.*/\1/
    /^poll POLL/,/^close/p' "$trace" >"$dir/calls"
  printf '%s\n' 'poll POLLIN' accept4 accept4 'poll POLLIN' recvfrom \
    'poll POLLOUT' sendto shutdown 'poll POLLHUP' close >"$dir/expected"
  same "$dir/expected" "$dir/calls"
  stop
}

@test "b_poll: level-triggered: poll reports what one recv has left" {
  traced '?poll,ppoll,recvfrom'
  "$client" "$port" send "$(printf 'x%.0s' {1..5000})$request" read
  stop
  [ "$(grep -c '^recvfrom' "$trace")" -eq 5 ]
  [ "$(grep -c '^p\?poll.*revents=POLLIN' "$trace")" -ge 6 ]
}

# The listener, the five that are silent and the one that asks; and once these
# have left, the listener alone, as in the first call.
@test "b_poll: each poll names every client, and none that has left" {
  traced '?poll,ppoll'
  before=$(descriptors)
  hold -n 5 "$port"
  answers
  leave "$held"
  wait_for has_descriptors "$before"
  answers
  stop
  sed -n -E 's/^p?poll\((\[.*\], [0-9]+), .*= .*/\1/p' "$trace" >"$dir/calls"
  grep -E '(events=POLLIN.*){6}, \{fd=[0-9]+, events=POLLOUT\}\]' "$dir/calls"
  [ "$(grep -cxF "$(head -n 1 "$dir/calls")" "$dir/calls")" -ge 2 ]
}

@test "b_poll: serves beside 1,500 silent clients" {
  [ "$(ulimit -H -n)" -ge 1600 ] ||
    skip 'the hard limit of descriptors is below 1,600'
  fresh bash -c 'ulimit -S -n 1600 && exec "$@"' bash
  hold -n 500 "$port"
  hold -n 500 "$port"
  hold -n 500 "$port"
  wait_for has_descriptors $((idle + 1500))
  answers
  [ "$(wc -l <"$err")" -eq 1 ]
  kill -USR1 "${clients[@]}"
  wait_for has_descriptors "$idle"
  answers
  stop
}
