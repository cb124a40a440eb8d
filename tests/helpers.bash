# What every .bats file loads. Each file sets EXAMPLE, ex1 to ex6.
#
# After start, $server is the server's pid, $port its port, and $out and $err
# are the files that hold its stdout and stderr. $clients are the pids of those
# in the background. Nothing outlives a test.
#
# PATIENCE in the environment is how many seconds a test waits for what does not
# come: 10 unless it says less, as make mutants does.

bats_require_minimum_version 1.8.0

setup() {
  top=$(cd "$BATS_TEST_DIRNAME/.." && pwd)
  bin=$(cd "$top/${BIN:-.}" && pwd)
  client=$top/build/client
  dir=$BATS_TEST_TMPDIR
  out=$dir/out
  err=$dir/err
  trace=$dir/trace
  server=
  clients=()
  # The library goes before the sanitizer's; leaks can't be looked for below
  # strace, and are found by all the tests that run without it.
  export ASAN_OPTIONS=verify_asan_link_order=0
}

teardown() {
  local pid
  for pid in $(jobs -p); do
    kill -KILL "$pid" 2>/dev/null || true
    wait "$pid" 2>/dev/null || true
  done
}

# wait_for COMMAND...: until it succeeds, or patience ends.
wait_for() {
  local deadline=$((SECONDS + ${PATIENCE:-10}))
  until "$@" >/dev/null 2>&1; do
    if ((SECONDS > deadline)); then
      echo "waited in vain for: $*"
      return 1
    fi
    sleep 0.01
  done
}

listens_or_ended() { grep -q '^listening' "$err" || ! kill -0 "$server"; }

# start_on PORT [COMMAND...]: starts the example on PORT, as the argument of
# COMMAND if one is given.
start_on() {
  : >"$err" # or what an earlier server said would count
  "${@:2}" "$bin/$EXAMPLE" "$1" >"$out" 2>"$err" 3>&- &
  server=$!
  wait_for listens_or_ended
}

# start [COMMAND...]: the same, on a port that is free.
start() {
  local tries
  for tries in {1..20}; do
    port=$((10000 + RANDOM % 20000))
    start_on "$port" "$@"
    if grep -q '^listening' "$err"; then return; fi
    grep -q '^bind: Address already in use' "$err" || break
  done
  echo "the server does not start (try $tries):"
  cat "$err"
  return 1
}

# traced CALLS [OPTION...]: start below strace; its record is in $trace. Where
# the example has $THREADS, each line begins with the thread's id.
traced() {
  export ASAN_OPTIONS=$ASAN_OPTIONS:detect_leaks=0
  start strace -D ${THREADS:+-f} -o "$trace" -e "trace=$1" -e signal=none \
    "${@:2}"
}

# ended STATUS: the server ends by itself, with this exit status.
ended() {
  local status=0 exit="^($server +)?\+\+\+ exited"
  wait_for not kill -0 "$server" || return 1
  wait "$server" || status=$?
  server=
  if [ -e "$trace" ]; then wait_for grep -q -E "$exit" "$trace"; fi
  if [ "$status" -ne "$1" ]; then
    echo "exit status $status instead of $1; stderr:"
    cat "$err"
    return 1
  fi
}

# stop [SIGNAL]: the server ends with status 0 when told to.
stop() {
  kill "-${1:-TERM}" "$server"
  ended 0
}

not() { ! "$@"; }

# hold ARGUMENT...: starts the client in the background, with a last action
# that waits; returns when it has come there. $held is its pid.
hold() {
  local said=$dir/client.${#clients[@]}
  "$client" "$@" wait >"$said" 2>"$said.err" 3>&- &
  held=$!
  clients+=("$held")
  wait_for grep -q ready "$said"
}

# leave PID: ends a client that was held.
leave() {
  kill -TERM "$1" 2>/dev/null || true
  wait "$1" || true
}

descriptors() { find "/proc/$server/fd" -mindepth 1 | wc -l; }

# has_descriptors N: the server holds as many as it should.
has_descriptors() { [ "$(descriptors)" -eq "$1" ]; }

# same EXPECTED ACTUAL: two files hold the same bytes.
same() { cmp "$1" "$2" || { od -c "$2" | head -n 20; return 1; }; }

expected_response() {
  printf '%s\r\n' 'HTTP/1.0 200 OK' 'Date: Mon, 1 Jan 1996 01:01:01 GMT' \
    'Content-Type: text/plain' 'Content-Length: 13' ''
  printf 'Hello, world!'
}

# ask [ARGUMENT...]: curl, which gives up in the end.
ask() {
  curl --silent --show-error --max-time "${PATIENCE:-5}" "$@" \
    "http://127.0.0.1:$port/"
}

# answers: the server answers curl as it should.
answers() { [ "$(ask)" = 'Hello, world!' ]; }
