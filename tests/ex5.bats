# Example 5: what it does, a sentence each.

EXAMPLE=ex5

load helpers
load behaviour

@test "ex5: gives curl the article's 114 bytes" { gives_curl_the_response; }
@test "ex5: prints the request as the article does" { prints_the_request; }
@test "ex5: prints the request before it answers, though stdout is no terminal" { prints_before_it_answers; }
@test "ex5: prints NUL bytes, bytes that are no UTF-8 and % as they came" { prints_any_byte; }
@test "ex5: a request that comes one byte at a time is answered once" { takes_single_bytes; }
@test "ex5: a blank line may be two bare newlines" { takes_bare_newlines; }
@test "ex5: a blank line may follow a bare newline" { takes_a_blank_line_that_only_ends_in_CRLF; }
@test "ex5: a request of 8 KiB is answered" { takes_8_KiB; }
@test "ex5: a request of 8 KiB and a byte is refused" { refuses_more_than_8_KiB; }
@test "ex5: 300 KB without a blank line are refused" { refuses_300_KB; }
@test "ex5: asks recv for 1,024 bytes at most" { reads_1024_bytes_at_most; }
@test "ex5: a port that is none, or a surplus argument, is named, and the exit status is 2" { refuses_what_is_no_port; }
@test "ex5: says that the port is taken, and exits with 1" { says_that_the_port_is_taken; }
@test "ex5: a call that fails at the start is named, and the exit status is 1" {
  ends_if_a_call_fails_at_start socket setsockopt bind listen \
    rt_sigaction:sigaction fcntl epoll_create1 epoll_ctl
}
@test "ex5: a client that half-closes after its request is answered" { answers_a_half_close_after_the_request; }
@test "ex5: a half-close that comes together with the request is answered" { answers_a_half_close_together_with_the_request; }
@test "ex5: a client that half-closes without a request is let go" { survives_a_half_close_without_a_request; }
@test "ex5: a client that leaves before asking is let go" { survives_a_client_that_leaves_before_asking; }
@test "ex5: a client that leaves halfway is let go" { survives_a_client_that_leaves_halfway; }
@test "ex5: a client that resets halfway is let go" { survives_a_reset_halfway; }

@test "ex5: clients that reset after the request cost nothing" { survives_resets_after_the_request; }
@test "ex5: a client that half-closes and resets costs nothing" { survives_a_half_close_and_a_reset; }
@test "ex5: serves twenty clients one after the other" { serves_one_after_the_other; }
@test "ex5: ends quietly on SIGINT, and its port is free" { ends_quietly INT; }
@test "ex5: ends quietly on SIGTERM, and its port is free" { ends_quietly TERM; }
@test "ex5: ends within a second while 100 clients stall" { ends_with_100_stalled_clients; }
@test "ex5: ends within a second under load" { ends_under_load; }
@test "ex5: ends though nobody reads its output" { ends_when_nobody_reads_its_output; }
@test "ex5: goes on after SIGSTOP and SIGCONT" { survives_a_stop_and_a_continuation; }

@test "ex5: a signal that lands just before epoll_wait is not lost" { loses_no_signal epoll_wait; }

@test "ex5: accept4 fails with EINTR: the client is served all the same" { retries accept4 EINTR; }
@test "ex5: accept4 fails with ECONNABORTED: the client is served all the same" { retries accept4 ECONNABORTED; }
@test "ex5: accept4 fails with EPROTO: the client is served all the same" { retries accept4 EPROTO; }
@test "ex5: accept4 fails with EMFILE: the client is served all the same" { retries accept4 EMFILE; }
@test "ex5: accept4 fails with ENFILE: the client is served all the same" { retries accept4 ENFILE; }
@test "ex5: accept4 fails with ENOBUFS: the client is served all the same" { retries accept4 ENOBUFS; }
@test "ex5: accept4 fails again and again: no spin, no flood of messages" { outlasts_a_shortage accept4; }
@test "ex5: recv fails with EINTR: the client is served all the same" { retries recvfrom EINTR; }
@test "ex5: send fails with EINTR: the client is served all the same" { retries sendto EINTR; }
@test "ex5: recv fails with EAGAIN: the client is served all the same" { retries recvfrom EAGAIN; }
@test "ex5: send fails with EAGAIN: the client is served all the same" { retries sendto EAGAIN; }
@test "ex5: send takes a part: the rest is sent" { sends_the_rest; }
@test "ex5: recv fails with ECONNRESET: it costs one client at most" { keeps_serving recvfrom ECONNRESET; }
@test "ex5: recv fails with ETIMEDOUT: it costs one client at most" { keeps_serving recvfrom ETIMEDOUT; }
@test "ex5: send fails with EPIPE: it costs one client at most" { keeps_serving sendto EPIPE; }
@test "ex5: send fails with ECONNRESET: it costs one client at most" { keeps_serving sendto ECONNRESET; }
@test "ex5: epoll_wait fails with EINTR: nobody is lost" { retries epoll_wait EINTR; }
@test "ex5: epoll_ctl fails with ENOMEM when a client is added: it costs that one at most" { keeps_serving epoll_ctl ENOMEM 2; }
@test "ex5: epoll_ctl fails with ENOSPC when a client is added: it costs that one at most" { keeps_serving epoll_ctl ENOSPC 2; }
@test "ex5: epoll_ctl fails when EPOLLOUT is asked for: it costs one client at most" { keeps_serving epoll_ctl ENOMEM 3; }
@test "ex5: epoll_ctl fails when interest ends: it costs one client at most" { keeps_serving epoll_ctl ENOMEM 4; }
@test "ex5: shutdown fails with ENOTCONN: the connection is closed" { keeps_serving shutdown ENOTCONN; }

@test "ex5: the listener and the connections do not block" { has_non_blocking_sockets; }
@test "ex5: 300 stalled clients do not hold up another" { serves_beside_300_stalled_clients; }
@test "ex5: more clients than descriptors: no spin, and service again when some leave" { turns_away_clients_beyond_its_descriptors; }
@test "ex5: a client that is turned away is told so at once" { tells_the_clients_it_turns_away; }
@test "ex5: more clients than memory: service again when some leave" { turns_away_clients_when_memory_is_short; }

@test "ex5: TCP_CORK is set before the response and cleared after it" {
  traced setsockopt,recvfrom,sendto,shutdown
  answers
  stop
  sed -n -E 's/.*(TCP_CORK, \[[01]\]).*/\1/p; s/^(recvfrom|sendto|shutdown).*/\1/p' \
    "$trace" >"$dir/calls"
  printf '%s\n' recvfrom 'TCP_CORK, [1]' sendto 'TCP_CORK, [0]' shutdown \
    >"$dir/expected"
  same "$dir/expected" "$dir/calls"
}

@test "ex5: setsockopt fails when the cork goes in: it costs one client at most" {
  keeps_serving setsockopt ENOBUFS 2
}
@test "ex5: setsockopt fails when the cork comes out: it costs one client at most" {
  keeps_serving setsockopt ENOBUFS 3
}

@test "ex5: EPOLLET is nowhere" { asks_for_no_edges; }
@test "ex5: TCP_NODELAY is nowhere" { has_no_option TCP_NODELAY; }
