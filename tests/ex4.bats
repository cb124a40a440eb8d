# Example 4: what it does, a sentence each.

EXAMPLE=ex4

load helpers
load behaviour

@test "ex4: gives curl the article's 114 bytes" { gives_curl_the_response; }
@test "ex4: prints the request as the article does" { prints_the_request; }
@test "ex4: prints the request before it answers, though stdout is no terminal" { prints_before_it_answers; }
@test "ex4: prints NUL bytes, bytes that are no UTF-8 and % as they came" { prints_any_byte; }
@test "ex4: a request that comes one byte at a time is answered once" { takes_single_bytes; }
@test "ex4: a blank line may be two bare newlines" { takes_bare_newlines; }
@test "ex4: a blank line may follow a bare newline" { takes_a_blank_line_that_only_ends_in_CRLF; }
@test "ex4: a request of 8 KiB is answered" { takes_8_KiB; }
@test "ex4: a request of 8 KiB and a byte is refused" { refuses_more_than_8_KiB; }
@test "ex4: 300 KB without a blank line are refused" { refuses_300_KB; }
@test "ex4: asks recv for 1,024 bytes at most" { reads_1024_bytes_at_most; }
@test "ex4: a port that is none, or a surplus argument, is named, and the exit status is 2" { refuses_what_is_no_port; }
@test "ex4: says that the port is taken, and exits with 1" { says_that_the_port_is_taken; }
@test "ex4: a call that fails at the start is named, and the exit status is 1" {
  ends_if_a_call_fails_at_start socket setsockopt bind listen \
    rt_sigaction:sigaction fcntl epoll_create1 epoll_ctl
}
@test "ex4: a client that half-closes after its request is answered" { answers_a_half_close_after_the_request; }
@test "ex4: a half-close that comes together with the request is answered" { answers_a_half_close_together_with_the_request; }
@test "ex4: a client that half-closes without a request is let go" { survives_a_half_close_without_a_request; }
@test "ex4: a client that leaves before asking is let go" { survives_a_client_that_leaves_before_asking; }
@test "ex4: a client that leaves halfway is let go" { survives_a_client_that_leaves_halfway; }
@test "ex4: a client that resets halfway is let go" { survives_a_reset_halfway; }

@test "ex4: clients that reset after the request cost nothing" { survives_resets_after_the_request; }
@test "ex4: a client that half-closes and resets costs nothing" { survives_a_half_close_and_a_reset; }
@test "ex4: serves twenty clients one after the other" { serves_one_after_the_other; }
@test "ex4: ends quietly on SIGINT, and its port is free" { ends_quietly INT; }
@test "ex4: ends quietly on SIGTERM, and its port is free" { ends_quietly TERM; }
@test "ex4: ends within a second while 100 clients stall" { ends_with_100_stalled_clients; }
@test "ex4: ends within a second under load" { ends_under_load; }
@test "ex4: ends though nobody reads its output" { ends_when_nobody_reads_its_output; }
@test "ex4: goes on after SIGSTOP and SIGCONT" { survives_a_stop_and_a_continuation; }

@test "ex4: a signal that lands just before epoll_wait is not lost" { loses_no_signal epoll_wait; }

@test "ex4: accept4 fails with EINTR: the client is served all the same" { retries accept4 EINTR; }
@test "ex4: accept4 fails with ECONNABORTED: the client is served all the same" { retries accept4 ECONNABORTED; }
@test "ex4: accept4 fails with EPROTO: the client is served all the same" { retries accept4 EPROTO; }
@test "ex4: accept4 fails with EMFILE: the client is served all the same" { retries accept4 EMFILE; }
@test "ex4: accept4 fails with ENFILE: the client is served all the same" { retries accept4 ENFILE; }
@test "ex4: accept4 fails with ENOBUFS: the client is served all the same" { retries accept4 ENOBUFS; }
@test "ex4: accept4 fails again and again: no spin, no flood of messages" { outlasts_a_shortage accept4; }
@test "ex4: recv fails with EINTR: the client is served all the same" { retries recvfrom EINTR; }
@test "ex4: send fails with EINTR: the client is served all the same" { retries sendto EINTR; }
@test "ex4: send takes a part: the rest is sent" { sends_the_rest; }
@test "ex4: recv fails with ECONNRESET: it costs one client at most" { keeps_serving recvfrom ECONNRESET; }
@test "ex4: recv fails with ETIMEDOUT: it costs one client at most" { keeps_serving recvfrom ETIMEDOUT; }
@test "ex4: send fails with EPIPE: it costs one client at most" { keeps_serving sendto EPIPE; }
@test "ex4: send fails with ECONNRESET: it costs one client at most" { keeps_serving sendto ECONNRESET; }
@test "ex4: epoll_wait fails with EINTR: nobody is lost" { retries epoll_wait EINTR; }
@test "ex4: epoll_ctl fails with ENOMEM when a client is added: it costs that one at most" { keeps_serving epoll_ctl ENOMEM 2; }
@test "ex4: epoll_ctl fails with ENOSPC when a client is added: it costs that one at most" { keeps_serving epoll_ctl ENOSPC 2; }
@test "ex4: epoll_ctl fails when EPOLLOUT is asked for: it costs one client at most" { keeps_serving epoll_ctl ENOMEM 3; }
@test "ex4: epoll_ctl fails when interest ends: it costs one client at most" { keeps_serving epoll_ctl ENOMEM 4; }
@test "ex4: shutdown fails with ENOTCONN: the connection is closed" { keeps_serving shutdown ENOTCONN; }

@test "ex4: the listener and the connections do not block" { has_non_blocking_sockets; }
@test "ex4: 300 stalled clients do not hold up another" { serves_beside_300_stalled_clients; }
@test "ex4: more clients than descriptors: no spin, and service again when some leave" { turns_away_clients_beyond_its_descriptors; }
@test "ex4: a client that is turned away is told so at once" { tells_the_clients_it_turns_away; }
@test "ex4: more clients than memory: service again when some leave" { turns_away_clients_when_memory_is_short; }

@test "ex4: EPOLLET is with every registration" {
  traced epoll_ctl
  answers
  answers
  stop
  [ "$(grep -c '^epoll_ctl' "$trace")" -eq 7 ]
  run ! grep -v -e EPOLLET -e '^+++' "$trace"
}

@test "ex4: edge-triggered: recv is called until it fails with EAGAIN" {
  traced epoll_wait,recvfrom
  "$client" "$port" send "$(printf 'x%.0s' {1..5000})$request" read
  stop
  [ "$(grep -c '^recvfrom.* = [0-9]' "$trace")" -eq 5 ]
  [ "$(grep -c '^epoll_wait.*EPOLLIN' "$trace")" -eq 2 ]
  grep '^recvfrom' "$trace" | tail -n 1 | grep EAGAIN
}

@test "ex4: edge-triggered: accept4 is called until it fails with EAGAIN" {
  traced accept4
  hold -n 5 "$port"
  answers
  stop
  [ "$(grep -c '^accept4.* = [0-9]' "$trace")" -eq 6 ]
  grep '^accept4' "$trace" | tail -n 1 | grep EAGAIN
}

@test "ex4: 30 clients that came while it was stopped are served" { serves_those_that_came_at_once 30 start; }
@test "ex4: 200 clients that came while it was stopped are served in batches of 64" {
  serves_those_that_came_at_once 200 traced accept4,epoll_wait
  awk '/^epoll_wait/ { n = 0 } /^accept4.* = [0-9]/ { if (++n > most) most = n }
    END { print most; exit most != 64 }' "$trace"
}

@test "ex4: recv fails with EAGAIN: it costs one client at most" {
  keeps_serving recvfrom EAGAIN
}
@test "ex4: send fails with EAGAIN: it costs one client at most" {
  keeps_serving sendto EAGAIN
}

@test "ex4: TCP_CORK is nowhere" { has_no_option TCP_CORK; }
@test "ex4: TCP_NODELAY is nowhere" { has_no_option TCP_NODELAY; }
