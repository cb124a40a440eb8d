# What every program of the appendix does whose threads print.

load ../tests/helpers

# ThreadSanitizer ends a program at its first finding, not a second after its end.
export TSAN_OPTIONS=halt_on_error=1:atexit_sleep_ms=0

# strace delays each write, so that threads meet.
@test "does not mix the requests that two threads print" {
  local i
  look='print_request: flockfile'
  start_traced write -e inject=write:delay_exit=1000
  client -n 20 fill 5000 send '\r\n\r\n' read
  stop_server
  for i in {1..20}; do
    printf -- '-%.0s' {1..40}
    printf '\n%5000s\r\n\n' '' | tr ' ' x
  done >"$dir/expected"
  cmp -s "$dir/expected" "$out" || fail '20 requests, one after the other' \
    "lines of these lengths: $(awk '{ print length }' "$out" | uniq -c | head -n 12)"
}

# Under ThreadSanitizer, this is what finds a missing lock.
@test "survives clients of all kinds at once" {
  local i answers
  start_server
  for i in 1 2 3; do
    start_client -n 30 send "$request" read
    start_client -n 15 send 'GET / HT' finish read
    start_client -n 15 fill 3000 reset
    start_client -n 10 fill 9000 read
    start_client -n 10 fill 2000 send "$request" finish reset
    start_client -n 30
  done
  wait "${clients[@]}" || true
  answers=$(cat "$dir"/answer.* | grep -a -o 'Hello, world!' | wc -l)
  [ "$answers" -ge 90 ] || fail 'at least 90 answers' "$(what_happened || echo "$answers")"
  assert_curl_is_answered
  assert_no_leak
  stop_server
}
