# What makes example 3 itself: it waits for all clients in one place, and
# level-triggered epoll reports again what is left undone.

EXAMPLE=ex3
load helpers

@test "registers, reads, answers and closes in the article's order" {
  assert_calls_of_one_client \
    accept4,epoll_ctl,recvfrom,write,writev,sendto,shutdown,close \
    accept4 'EPOLL_CTL_ADD EPOLLIN' recv 'EPOLL_CTL_MOD EPOLLOUT' write send \
    'EPOLL_CTL_MOD 0' shutdown close
}

@test "serves the second client while the first is silent" {
  look='main and read_request: only epoll_wait may sleep'
  start_server
  hold_client send 'GET / HT'
  assert_curl_is_answered
  stop_server
}

@test "is woken again for what one recv has left (level-triggered)" {
  look='read_request: one recv per event'
  start_traced "$epoll_wait,recvfrom"
  assert_answer send "$(printf 'x%.0s' {1..5000})$request" read
  stop_server
  assert_count 5 '^recvfrom' '5 calls of recv for 5,018 bytes'
  [ "$(count_trace '^epoll_p?wait.*EPOLLIN,')" -ge 6 ] ||
    fail 'epoll_wait reports the client before each recv' \
      "$(count_trace '^epoll_p?wait.*EPOLLIN,') events with EPOLLIN"
}

@test "sets no socket option but SO_REUSEADDR" {
  assert_only_SO_REUSEADDR TCP_
}
