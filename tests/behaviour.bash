# The behaviour that the examples share: a function for each sentence of the
# .bats files. Where example 1, which serves one client and ends, does not do
# as the others, goes_on and served know the difference.

request='GET / HTTP/1.0\r\n\r\n'

# as_printed REQUEST: what an example prints of it; REQUEST as printf takes it.
as_printed() {
  if [ "$EXAMPLE" = ex1 ]; then
    printf "$1"
  else
    printf -- '-%.0s' {1..40}
    printf '\n'
    printf "$1" | head -c -2
  fi
  printf '\n'
}

# served: after one request has been answered.
served() {
  if [ "$EXAMPLE" = ex1 ]; then ended 0; else stop; fi
}

# goes_on: after one client was lost: the next is served, example 1 has said
# why and ended with status 1. No descriptor is left open.
goes_on() {
  if [ "$EXAMPLE" = ex1 ]; then
    ended 1
    [ "$(wc -l <"$err")" -ge 2 ]
  else
    answers
    wait_for has_descriptors "$idle"
    stop
  fi
}

# fresh [COMMAND...]: start, and note how many descriptors an idle server has.
fresh() {
  start "$@"
  idle=$(descriptors)
}

gives_curl_the_response() {
  start
  ask --include --raw >"$dir/answer"
  expected_response >"$dir/expected"
  [ "$(wc -c <"$dir/expected")" -eq 114 ]
  same "$dir/expected" "$dir/answer"
  served
}

prints_the_request() {
  start
  "$client" "$port" send "$request" read >"$dir/answer"
  as_printed "$request" >"$dir/expected"
  served
  same "$dir/expected" "$out"
}

prints_before_it_answers() {
  traced write,sendto
  "$client" "$port" send "$request" read
  served
  sed -n -E 's/^(write\(1|sendto\().*/\1/p' "$trace" >"$dir/calls"
  printf '%s\n' 'write(1' 'sendto(' >"$dir/expected"
  same "$dir/expected" "$dir/calls"
}

prints_any_byte() {
  start
  local bytes='GET /%%s%%n\x00\x01\xff\xc3( \x1b HTTP/1.0\r\n\r\n'
  "$client" "$port" send "${bytes//%%/%}" read
  as_printed "$bytes" >"$dir/expected"
  served
  same "$dir/expected" "$out"
}

takes_single_bytes() {
  start
  "$client" "$port" drip "$request" read >"$dir/answer"
  expected_response >"$dir/expected"
  same "$dir/expected" "$dir/answer"
  as_printed "$request" >"$dir/expected"
  served
  same "$dir/expected" "$out"
}

takes_bare_newlines() {
  start
  "$client" "$port" drip 'GET / HTTP/1.0\n\n' read >"$dir/answer"
  expected_response >"$dir/expected"
  same "$dir/expected" "$dir/answer"
  served
}

takes_a_blank_line_that_only_ends_in_CRLF() {
  start
  "$client" "$port" drip 'GET / HTTP/1.0\n\r\n' read >"$dir/answer"
  expected_response >"$dir/expected"
  same "$dir/expected" "$dir/answer"
  served
}

takes_8_KiB() {
  start
  "$client" "$port" fill 8188 send '\r\n\r\n' read >"$dir/answer"
  expected_response >"$dir/expected"
  same "$dir/expected" "$dir/answer"
  [ "$(tr -dc x <"$out" | wc -c)" -eq 8188 ]
  served
}

refuses_more_than_8_KiB() {
  fresh
  "$client" "$port" fill 8189 send '\r\n\r\n' read >"$dir/answer"
  [ ! -s "$dir/answer" ]
  grep -q 'no complete request in 8192 bytes' "$err"
  goes_on
}

refuses_300_KB() {
  fresh
  "$client" "$port" fill 300000 read >"$dir/answer"
  [ ! -s "$dir/answer" ]
  grep -q 'no complete request in 8192 bytes' "$err"
  goes_on
}

reads_1024_bytes_at_most() {
  traced recvfrom
  "$client" "$port" fill 5000 send '\r\n\r\n' read
  served
  grep -q ', 1024, ' "$trace"
  run ! grep -E ', (102[5-9]|10[3-9][0-9]|1[1-9][0-9]{2}|[2-9][0-9]{3}), ' \
    "$trace"
}

refuses_what_is_no_port() {
  local wrong
  for wrong in hello -1 0 70000 80x ' 80' +80 '' 99999999999999999999; do
    run -2 timeout 5 "$bin/$EXAMPLE" "$wrong"
    [[ $output == usage:*"'$wrong'"* ]]
    [ "${#lines[@]}" -eq 1 ]
  done
  run -2 timeout 5 "$bin/$EXAMPLE" 8080 surplus
  [[ $output == usage:*"'surplus'"* ]]
}

says_that_the_port_is_taken() {
  start
  run -1 timeout 5 "$bin/$EXAMPLE" "$port"
  [ "$output" = 'bind: Address already in use' ]
  answers
  served
}

# ends_if_a_call_fails_at_start CALL...: as strace names them. A second name,
# after a colon, is the one in the message, where they differ.
ends_if_a_call_fails_at_start() {
  local call
  export ASAN_OPTIONS=$ASAN_OPTIONS:detect_leaks=0
  for call in "$@"; do
    # A sanitizer makes this call itself, before main.
    if [ -n "${BIN:-}" ] && [ "$call" = rt_sigaction:sigaction ]; then
      continue
    fi
    run -1 timeout 5 strace -o "$trace" -e "inject=${call%:*}:error=ENOMEM" \
      "$bin/$EXAMPLE" $((10000 + RANDOM % 20000))
    [ "$output" = "${call#*:}: Cannot allocate memory" ]
  done
}

answers_a_half_close_after_the_request() {
  start
  "$client" "$port" send "$request" finish read >"$dir/answer"
  expected_response >"$dir/expected"
  same "$dir/expected" "$dir/answer"
  served
}

# The server, stopped meanwhile, finds both at once.
answers_a_half_close_together_with_the_request() {
  start
  kill -STOP "$server"
  "$client" "$port" send "$request" finish wait read >"$dir/answer" 3>&- &
  clients+=($!)
  wait_for grep -q ready "$dir/answer"
  kill -CONT "$server"
  kill -USR1 "${clients[0]}"
  wait "${clients[0]}"
  grep -q 'Hello, world!' "$dir/answer"
  served
}

survives_a_half_close_without_a_request() {
  fresh
  "$client" "$port" send 'GET / HT' finish read >"$dir/answer"
  [ ! -s "$dir/answer" ]
  grep -q 'no complete request in 8 bytes' "$err"
  goes_on
}

survives_a_client_that_leaves_before_asking() {
  fresh
  "$client" "$port"
  wait_for grep -q 'no complete request in 0 bytes' "$err"
  goes_on
}

survives_a_client_that_leaves_halfway() {
  fresh
  "$client" "$port" send 'GET / HT'
  wait_for grep -q 'no complete request in 8 bytes' "$err"
  goes_on
}

survives_a_reset_halfway() {
  fresh
  "$client" "$port" send 'GET / HT' reset
  wait_for grep -q 'no complete request' "$err"
  goes_on
}

# Examples 2 to 6 only.

survives_resets_after_the_request() {
  fresh
  local i
  for i in {1..20}; do "$client" "$port" send "$request" reset; done
  answers
  wait_for has_descriptors "$idle"
  stop
}

# The server, stopped meanwhile, finds the request and can no longer answer:
# send fails with EPIPE, and would raise SIGPIPE.
survives_a_half_close_and_a_reset() {
  fresh
  kill -STOP "$server"
  "$client" "$port" send "$request" finish reset
  kill -CONT "$server"
  wait_for grep -q '^send: Broken pipe' "$err"
  answers
  wait_for has_descriptors "$idle"
  stop
}

serves_one_after_the_other() {
  fresh
  local i
  for i in {1..20}; do answers; done
  wait_for has_descriptors "$idle"
  [ "$(grep -c 'GET / HTTP/1.1' "$out")" -eq 20 ]
  stop
}

# ends_quietly SIGNAL: having closed a connection before its client did, so that
# the port is in TIME_WAIT.
ends_quietly() {
  start
  "$client" "$port" send "$request" read
  stop "$1"
  [ "$(wc -l <"$err")" -eq 1 ]
  start_on "$port"
  grep '^listening' "$err"
  stop
}

# within_a_second COMMAND...: with half a second's grace for a busy machine.
within_a_second() {
  local began=${EPOCHREALTIME/./}
  "$@"
  [ $((${EPOCHREALTIME/./} - began)) -lt 1500000 ]
}

ends_with_100_stalled_clients() {
  start
  hold -n 100 "$port" send 'GET / HT'
  within_a_second stop
  [ "$(wc -l <"$err")" -eq 1 ]
}

ends_under_load() {
  start
  local i pids=()
  for i in 1 2 3 4; do
    (while "$client" -n 20 "$port" send "$request" read; do :; done) \
      >"$dir/load.$i" 2>&1 3>&- &
    pids+=($!)
  done
  wait_for test -s "$dir/load.4"
  within_a_second stop INT
  for i in "${pids[@]}"; do wait "$i" || true; done
  [ "$(grep -vc '^listening' "$err")" -eq 0 ]
}

# loses_no_signal CALL: one that lands just before this call blocks.
loses_no_signal() {
  start env "LD_PRELOAD=$top/build/preload.so" "SIGNAL_BEFORE=$1"
  if [ "$1" = recv ]; then hold "$port"; fi
  within_a_second ended 0
}

# A pipe holds 64 KiB; then the server blocks in write.
ends_when_nobody_reads_its_output() {
  local reader
  mkfifo "$dir/pipe"
  exec {reader}<>"$dir/pipe"
  out=$dir/pipe start
  "$client" -n 12 "$port" fill 8188 send '\r\n\r\n' read \
    >"$dir/answer" 2>&1 3>&- &
  clients+=($!)
  wait_for not ask --max-time 0.3
  kill -TERM "$server"
  ended 0
  exec {reader}<&-
}

survives_a_stop_and_a_continuation() {
  fresh
  kill -STOP "$server"
  wait_for grep -q '^State:.T' "/proc/$server/status"
  kill -CONT "$server"
  answers
  stop
}

# keeps_serving CALL ERROR [WHEN]: CALL fails with ERROR, once, the first time
# or the one that WHEN says; whatever becomes of that client, later ones are
# served, and no descriptor is left open.
keeps_serving() {
  traced "$1" -e "inject=$1:error=$2:when=${3:-1}"
  idle=$(descriptors)
  "$client" "$port" send "$request" read >"$dir/answer" 3>&- &
  clients+=($!)
  wait_for grep -q INJECTED "$trace"
  answers
  answers
  leave "${clients[0]}"
  wait_for has_descriptors "$idle"
  stop
}

# outlasts_a_shortage CALL: CALL fails with EMFILE every time.
outlasts_a_shortage() {
  traced "$1" -e "inject=$1:error=EMFILE"
  "$client" "$port"
  wait_for grep -q '^accept: Too many open files' "$err"
  sleep 0.5
  [ "$(wc -l <"$err")" -le 3 ]
  within_a_second stop
}

# retries CALL ERROR: CALL fails with ERROR the first time, and the client is
# served all the same. Where the server pauses, strace skips the pause.
retries() {
  traced "$1,clock_nanosleep" -e "inject=$1:error=$2:when=1" \
    -e inject=clock_nanosleep:retval=0
  "$client" "$port" send "$request" read >"$dir/answer"
  expected_response >"$dir/expected"
  same "$dir/expected" "$dir/answer"
  grep -q "$2.*INJECTED" "$trace"
  served
}

# The call claims to have sent 10 bytes, and has sent none.
sends_the_rest() {
  traced sendto -e inject=sendto:retval=10:when=1
  "$client" "$port" send "$request" read >"$dir/answer"
  expected_response | tail -c +11 >"$dir/expected"
  same "$dir/expected" "$dir/answer"
  served
}

# Examples 3 to 6 only.

serves_beside_300_stalled_clients() {
  fresh
  hold -n 150 "$port"
  hold -n 150 "$port" send 'GET / HT'
  answers
  kill -USR1 "${clients[@]}"
  wait_for has_descriptors "$idle"
  stop
}

# serves_those_that_came_at_once COUNT COMMAND...: while the server, which
# COMMAND has started, was stopped.
serves_those_that_came_at_once() {
  "${@:2}"
  kill -STOP "$server"
  "$client" -n "$1" "$port" send "$request" wait read >"$dir/answers" 3>&- &
  clients+=($!)
  wait_for grep -q ready "$dir/answers"
  kill -CONT "$server"
  kill -USR1 "${clients[0]}"
  wait "${clients[0]}"
  [ "$(grep -o 'Hello, world!' "$dir/answers" | wc -l)" -eq "$1" ]
  stop
}

# Of the open file's flags, in octal, the kernel shows O_NONBLOCK as 04000.
has_non_blocking_sockets() {
  local fd sockets=0
  fresh
  hold "$port"
  wait_for has_descriptors $((idle + 1))
  for fd in "/proc/$server/fd/"*; do
    if [[ $(readlink "$fd") == socket:* ]]; then
      grep -E '^flags:.*[4-7][0-7]{3}$' "/proc/$server/fdinfo/${fd##*/}"
      sockets=$((sockets + 1))
    fi
  done
  [ "$sockets" -ge 2 ]
  stop
}

cpu_ticks() { awk '{ print $14 + $15 }' "/proc/$server/stat"; }

# The last descriptor that may be had stays free, so 38 is the last in use.
turns_away_clients_beyond_its_descriptors() {
  fresh bash -c 'ulimit -n 40 && exec "$@"' bash
  hold -n 20 "$port" send 'GET / HT'
  local first=$held
  hold -n 60 "$port" send 'GET / HT'
  local second=$held
  wait_for grep -q 'client turned away' "$err"
  test -e "/proc/$server/fd/38"
  local before
  before=$(cpu_ticks)
  sleep 0.3
  [ $(($(cpu_ticks) - before)) -le 5 ]
  [ "$(wc -l <"$err")" -le 61 ]
  leave "$first"
  wait_for grep -q 'no complete request' "$err"
  wait_for answers
  leave "$second"
  wait_for has_descriptors "$idle"
  answers
  stop
}

tells_the_clients_it_turns_away() {
  start bash -c 'ulimit -n 10 && exec "$@"' bash
  hold -n 20 "$port"
  wait_for grep -q 'client turned away' "$err"
  timeout 5 "$client" -n 20 "$port" read >"$dir/answer" 2>&1
  leave "$held"
  wait_for answers
  stop
}

turns_away_clients_when_memory_is_short() {
  [ -z "${BIN:-}" ] || skip 'a sanitizer needs more memory than this test gives'
  fresh
  local size
  size=$(awk '/^VmSize/ { print $2 }' "/proc/$server/status")
  stop
  fresh bash -c "ulimit -v $((size + 300)) && exec \"\$@\"" bash
  hold -n 200 "$port" send 'GET / HT'
  wait_for grep -q 'client turned away' "$err"
  leave "$held"
  wait_for has_descriptors "$idle"
  answers
  stop
}

asks_for_no_edges() {
  traced epoll_ctl
  answers
  stop
  grep -q EPOLLOUT "$trace"
  run ! grep EPOLLET "$trace"
}

# has_no_option NAME: not set, and not inherited.
has_no_option() {
  traced setsockopt
  answers
  served
  grep -q SO_REUSEADDR "$trace"
  run ! grep "$1" "$trace"
}
