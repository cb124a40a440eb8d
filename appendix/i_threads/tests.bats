# What makes appendix I itself: a thread for each client. What it has in common
# with example 2, and with servers of many clients, is in the shared files.

EXAMPLE=i_threads
load ../../tests/helpers

# ThreadSanitizer ends a program at its first finding.
export TSAN_OPTIONS=halt_on_error=1:atexit_sleep_ms=0

threads() { set -- "/proc/$server/task/"* && echo $#; }
at_least() { [ "$(threads)" -ge "$1" ]; }
at_most() { [ "$(threads)" -le "$1" ]; }

# callers PATTERN: the numbers of the threads that make such a call, in the trace
# since the first accept.
callers() { sed -n -E "/accept\\(/,\$ s/^([0-9]+) +$1.*/\1/p" "$trace" | sort -u | paste -s -d ' '; }

@test "accepts in the first thread; another one receives, prints, answers and closes" {
  local call first serving
  look='main and serve'
  start_traced accept,recvfrom,write,writev,sendto,close
  first=$server
  assert_answer send "$request" read
  assert_no_leak
  stop_server
  [ "$(callers 'accept\(')" = "$first" ] ||
    fail "only the first thread, $first, calls accept" "$(callers 'accept\(')"
  serving=$(callers 'recvfrom\(')
  [[ $serving =~ ^[0-9]+$ && $serving != "$first" ]] ||
    fail "another thread than $first calls recv" "$serving"
  for call in 'writev?\(1,' 'sendto\(' "close\($(sed -n 's/.*recvfrom(\([0-9]*\).*/\1/p' "$trace")\)"; do
    [ "$(callers "$call")" = "$serving" ] ||
      fail "the same thread, $serving, calls $(plain "$call")" "$(callers "$call")"
  done
}

@test "has a thread for each client, which ends with its client" {
  local at_start
  look='main: pthread_create; serve'
  start_server
  at_start=$(threads)
  hold_client -n 40 send 'GET / HT'
  wait_for at_least $((at_start + 40)) ||
    fail '40 threads for 40 clients' "$(($(threads) - at_start))"
  release "$client"
  # ThreadSanitizer has created one, too.
  wait_for at_most $((at_start + 1)) ||
    fail 'no thread without a client' "$(($(threads) - at_start))"
  stop_server
}

# A stack takes 8 MiB, or what ulimit -s says.
@test "keeps no stack of a thread that has ended" {
  local before
  look='serve: pthread_detach'
  # Otherwise, glibc may give 64 MiB of addresses to several threads.
  start_server env MALLOC_ARENA_MAX=1
  addresses() { awk '/^VmSize/ { print $2 }' "/proc/$server/status"; }
  before=$(addresses)
  client -n 100 send "$request" read
  # The C library frees a stack when a later thread ends.
  little_more() {
    "$top/build/client" "$port" send "$request" read
    [ $(($(addresses) - before)) -lt 400000 ]
  }
  wait_for little_more ||
    fail 'at most 400,000 KiB more of virtual memory, after 100 clients' "$(($(addresses) - before)) KiB"
  stop_server
}

@test "a thread cannot be created: it costs this client and one line" {
  local first
  if [ -n "${SANITIZED:-}" ]; then skip 'a sanitizer creates threads itself'; fi
  start_failing clone,clone3 EAGAIN 2
  did='strace lets the second pthread_create fail with EAGAIN'
  start_client send 'GET / HT' wait drip 'TP/1.0\r\n\r\n' read
  await_ready
  first=$client
  look='main: pthread_create'
  client send "$request" read
  assert_no_answer
  assert_said '^pthread_create: Resource temporarily unavailable'
  assert_curl_is_answered
  release "$first"
  answer=$dir/answer.0
  assert_response_of "$first"
  assert_lines_said 1
  assert_no_leak "$look"
  stop_server
}
