# Example 1: what it does, a sentence each.

EXAMPLE=ex1

load helpers
load behaviour

@test "ex1: gives curl the article's 114 bytes" { gives_curl_the_response; }
@test "ex1: prints the request as the article does" { prints_the_request; }
@test "ex1: prints the request before it answers, though stdout is no terminal" { prints_before_it_answers; }
@test "ex1: prints NUL bytes, bytes that are no UTF-8 and % as they came" { prints_any_byte; }
@test "ex1: a request that comes one byte at a time is answered once" { takes_single_bytes; }
@test "ex1: a blank line may be two bare newlines" { takes_bare_newlines; }
@test "ex1: a blank line may follow a bare newline" { takes_a_blank_line_that_only_ends_in_CRLF; }
@test "ex1: a request of 8 KiB is answered" { takes_8_KiB; }
@test "ex1: a request of 8 KiB and a byte is refused" { refuses_more_than_8_KiB; }
@test "ex1: 300 KB without a blank line are refused" { refuses_300_KB; }
@test "ex1: asks recv for 1,024 bytes at most" { reads_1024_bytes_at_most; }
@test "ex1: a port that is none, or a surplus argument, is named, and the exit status is 2" { refuses_what_is_no_port; }
@test "ex1: says that the port is taken, and exits with 1" { says_that_the_port_is_taken; }
@test "ex1: a call that fails at the start is named, and the exit status is 1" {
  ends_if_a_call_fails_at_start socket setsockopt bind listen
}
@test "ex1: a client that half-closes after its request is answered" { answers_a_half_close_after_the_request; }
@test "ex1: a half-close that comes together with the request is answered" { answers_a_half_close_together_with_the_request; }
@test "ex1: a client that half-closes without a request is let go" { survives_a_half_close_without_a_request; }
@test "ex1: a client that leaves before asking is let go" { survives_a_client_that_leaves_before_asking; }
@test "ex1: a client that leaves halfway is let go" { survives_a_client_that_leaves_halfway; }
@test "ex1: a client that resets halfway is let go" { survives_a_reset_halfway; }


@test "ex1: accept fails with EINTR: the client is served all the same" { retries accept EINTR; }
@test "ex1: accept fails with ECONNABORTED: the client is served all the same" { retries accept ECONNABORTED; }
@test "ex1: accept fails with EPROTO: the client is served all the same" { retries accept EPROTO; }
@test "ex1: accept fails with EMFILE: the client is served all the same" { retries accept EMFILE; }
@test "ex1: accept fails with ENFILE: the client is served all the same" { retries accept ENFILE; }
@test "ex1: accept fails with ENOBUFS: the client is served all the same" { retries accept ENOBUFS; }
@test "ex1: recv fails with EINTR: the client is served all the same" { retries recvfrom EINTR; }
@test "ex1: send fails with EINTR: the client is served all the same" { retries sendto EINTR; }
@test "ex1: send takes a part: the rest is sent" { sends_the_rest; }

@test "ex1: uses no epoll, and calls accept once" {
  traced all
  answers
  ended 0
  run ! grep epoll "$trace"
  [ "$(grep -c '^accept(' "$trace")" -eq 1 ]
}

@test "ex1: TCP_CORK is nowhere" { has_no_option TCP_CORK; }
@test "ex1: TCP_NODELAY is nowhere" { has_no_option TCP_NODELAY; }
