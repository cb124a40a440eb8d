# Example 2: what it does, a sentence each.

EXAMPLE=ex2

load helpers
load behaviour

@test "ex2: gives curl the article's 114 bytes" { gives_curl_the_response; }
@test "ex2: prints the request as the article does" { prints_the_request; }
@test "ex2: prints the request before it answers, though stdout is no terminal" { prints_before_it_answers; }
@test "ex2: prints NUL bytes, bytes that are no UTF-8 and % as they came" { prints_any_byte; }
@test "ex2: a request that comes one byte at a time is answered once" { takes_single_bytes; }
@test "ex2: a blank line may be two bare newlines" { takes_bare_newlines; }
@test "ex2: a blank line may follow a bare newline" { takes_a_blank_line_that_only_ends_in_CRLF; }
@test "ex2: a request of 8 KiB is answered" { takes_8_KiB; }
@test "ex2: a request of 8 KiB and a byte is refused" { refuses_more_than_8_KiB; }
@test "ex2: 300 KB without a blank line are refused" { refuses_300_KB; }
@test "ex2: asks recv for 1,024 bytes at most" { reads_1024_bytes_at_most; }
@test "ex2: a port that is none, or a surplus argument, is named, and the exit status is 2" { refuses_what_is_no_port; }
@test "ex2: says that the port is taken, and exits with 1" { says_that_the_port_is_taken; }
@test "ex2: a call that fails at the start is named, and the exit status is 1" {
  ends_if_a_call_fails_at_start socket setsockopt bind listen \
    rt_sigaction:sigaction
}
@test "ex2: a client that half-closes after its request is answered" { answers_a_half_close_after_the_request; }
@test "ex2: a half-close that comes together with the request is answered" { answers_a_half_close_together_with_the_request; }
@test "ex2: a client that half-closes without a request is let go" { survives_a_half_close_without_a_request; }
@test "ex2: a client that leaves before asking is let go" { survives_a_client_that_leaves_before_asking; }
@test "ex2: a client that leaves halfway is let go" { survives_a_client_that_leaves_halfway; }
@test "ex2: a client that resets halfway is let go" { survives_a_reset_halfway; }

@test "ex2: clients that reset after the request cost nothing" { survives_resets_after_the_request; }
@test "ex2: a client that half-closes and resets costs nothing" { survives_a_half_close_and_a_reset; }
@test "ex2: serves twenty clients one after the other" { serves_one_after_the_other; }
@test "ex2: ends quietly on SIGINT, and its port is free" { ends_quietly INT; }
@test "ex2: ends quietly on SIGTERM, and its port is free" { ends_quietly TERM; }
@test "ex2: ends within a second while 100 clients stall" { ends_with_100_stalled_clients; }
@test "ex2: ends within a second under load" { ends_under_load; }
@test "ex2: ends though nobody reads its output" { ends_when_nobody_reads_its_output; }
@test "ex2: goes on after SIGSTOP and SIGCONT" { survives_a_stop_and_a_continuation; }

@test "ex2: a signal that lands just before accept is not lost" { loses_no_signal accept; }
@test "ex2: a signal that lands just before recv is not lost" { loses_no_signal recv; }

@test "ex2: accept fails with EINTR: the client is served all the same" { retries accept EINTR; }
@test "ex2: accept fails with ECONNABORTED: the client is served all the same" { retries accept ECONNABORTED; }
@test "ex2: accept fails with EPROTO: the client is served all the same" { retries accept EPROTO; }
@test "ex2: accept fails with EMFILE: the client is served all the same" { retries accept EMFILE; }
@test "ex2: accept fails with ENFILE: the client is served all the same" { retries accept ENFILE; }
@test "ex2: accept fails with ENOBUFS: the client is served all the same" { retries accept ENOBUFS; }
@test "ex2: accept fails again and again: no spin, no flood of messages" { outlasts_a_shortage accept; }
@test "ex2: recv fails with EINTR: the client is served all the same" { retries recvfrom EINTR; }
@test "ex2: send fails with EINTR: the client is served all the same" { retries sendto EINTR; }
@test "ex2: send takes a part: the rest is sent" { sends_the_rest; }
@test "ex2: recv fails with ECONNRESET: it costs one client at most" { keeps_serving recvfrom ECONNRESET; }
@test "ex2: recv fails with ETIMEDOUT: it costs one client at most" { keeps_serving recvfrom ETIMEDOUT; }
@test "ex2: send fails with EPIPE: it costs one client at most" { keeps_serving sendto EPIPE; }
@test "ex2: send fails with ECONNRESET: it costs one client at most" { keeps_serving sendto ECONNRESET; }

@test "ex2: uses no epoll" {
  traced all
  answers
  stop
  run ! grep epoll "$trace"
}

@test "ex2: a first client that stalls holds up the second until it leaves" {
  start
  hold "$port" send 'GET / HT'
  run -28 ask --max-time 0.3
  ask >"$dir/answer" &
  local second=$!
  leave "$held"
  wait "$second"
  [ "$(cat "$dir/answer")" = 'Hello, world!' ]
  stop
}

@test "ex2: TCP_CORK is nowhere" { has_no_option TCP_CORK; }
@test "ex2: TCP_NODELAY is nowhere" { has_no_option TCP_NODELAY; }
