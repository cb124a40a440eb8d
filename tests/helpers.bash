# What every .bats file loads: starting a server, sending it requests, and
# assertions that say what went wrong. tests/README.md explains how to use it.
#
# From the environment:
#   EXAMPLE   the program under test: ex1 to ex6, or one of the appendix
#   BIN       the folder with the program (default: the top of the kit)
#   SOURCE    the file that failures point to (default: the kit's own)
#   PATIENCE  seconds to wait for something that does not come (default: 2)

: "${PATIENCE:=2}"
export PATIENCE
request='GET / HTTP/1.0\r\n\r\n'

# How C libraries say it: glibc, or musl.
EMFILE='(Too many open files|No file descriptors available)'
ENOMEM='(Cannot allocate memory|Out of memory)'
EADDRINUSE='(Address already in use|Address in use)'

setup() {
  # bats looks at every command, also inside these functions. Without that, the
  # tests are quicker; our messages do not need it.
  set +T
  top=$(cd "${BASH_SOURCE[0]%/*}/.." && pwd)
  . "$top/tests/traits.bash"
  bin=$top/${BIN:-.}
  dir=$BATS_TEST_TMPDIR
  out=$dir/out err=$dir/err trace=$dir/trace
  server='' clients=() did='' look=main
  # AddressSanitizer would refuse to run with another preloaded library.
  export ASAN_OPTIONS=verify_asan_link_order=0
  # It ends by exit: the search for leaks would read its table of 513 MiB.
  if [ "$EXAMPLE" = g_time_limits ]; then ASAN_OPTIONS+=:detect_leaks=0; fi
  # A time limit for read that never reads: sleeps without another process.
  exec {never}<> <(:)
  if [ -e "$BATS_RUN_TMPDIR/not_run" ]; then
    skip "not run: $(<"$BATS_RUN_TMPDIR/not_run")"
  fi
  if [ "$EXAMPLE" = h_io_uring ]; then need_io_uring; fi
}

teardown() {
  local pid
  for pid in $(jobs -p); do
    kill -KILL "$pid" 2>/dev/null || true
    wait "$pid" 2>/dev/null || true
  done
  # A program that is graded may have started others.
  if [ -n "${GRADED:-}" ]; then
    grep -l -s -z -x "KIT_TEST=$BATS_TEST_TMPDIR" /proc/[0-9]*/environ |
      cut -d / -f 3 | xargs -r kill -KILL 2>/dev/null || true
  fi
}

# --- Failures ---------------------------------------------------------------

# fail EXPECTED HAPPENED: ends the test, and says where to look.
fail() {
  report 'the client' "${did:-did nothing}"
  report 'expected' "$1"
  report 'happened' "$2"
  if [ -s "$trace" ]; then
    report 'last calls' "$(last_calls)"
  fi
  report 'look at' "${SOURCE:-$(source_of "$EXAMPLE")}, $look; $(section)"
  return 1
}

# last_calls: the end of the trace, from the first connection on; a call that has
# not returned is an open line.
last_calls() {
  local from=1
  if grep -q '^accept4*(' "$trace"; then from='/^accept4*(/'; fi
  sed -n -e "$from,\$p" "$trace" | grep -v -e '^---' -e '^+++' | tail -n 8 |
    sed -E 's/^(.{87}).+/\1…/'
  if [ -n "$(tail -c 1 "$trace")" ]; then echo '  ... (this call has not returned)'; fi
}

# function_of_call CALL: where the examples make it.
function_of_call() {
  case $1 in
    accept* | 'EPOLL_CTL_ADD'*) echo accept_connection ;;
    recv* | *EPOLLOUT* | write* | 'TCP_CORK 1') echo read_request ;;
    send* | *'CTL_MOD 0' | *'CTL_MOD EPOLLET' | shutdown* | 'TCP_CORK 0')
      echo send_response ;;
    *) echo main ;;
  esac
}

# end_of_connection: where the examples end a connection after its response.
end_of_connection() {
  case $EXAMPLE in
    ex1 | ex2) echo 'main: close' ;;
    *) echo 'send_response: shutdown, in both directions; main: close' ;;
  esac
}

# look_at_last_call: makes $look the function with the last call of the trace.
look_at_last_call() {
  local last
  if grep -s -q '^connect: ' "$dir/client_err" && ! server_ended; then
    look=open_listener
    return
  fi
  if [ ! -s "$trace" ]; then return; fi
  last=$(grep -o -E '^(accept|recv|send|shutdown)' "$trace" | tail -n 1) || return 0
  look="$(function_of_call "$last") (the last calls above end there)"
}

# report TITLE TEXT: a title, and beside it the lines of the text.
report() {
  local title=$1 line
  while IFS= read -r line; do
    printf '%-11s %s\n' "$title" "$line"
    title=
  done <<<"$2"
}

source_of() {
  local source
  traits_of "$1"
  echo "$source"
}

section() {
  case $EXAMPLE in
    ex?) echo "NOTES.md, example ${EXAMPLE#ex}" ;;
    *) echo "appendix/$EXAMPLE/README.md" ;;
  esac
}

# timed_out: counts; after the fourth time, the rest of the suite is not run,
# because it would only wait again and again.
timed_out() {
  echo "$BATS_TEST_DESCRIPTION" >>"$BATS_RUN_TMPDIR/timeouts"
  if [ "$(sort -u "$BATS_RUN_TMPDIR/timeouts" | wc -l)" -ge 4 ]; then
    echo 'four tests before this one waited in vain' >"$BATS_RUN_TMPDIR/not_run"
  fi
}

# wait_for COMMAND...: returns when it succeeds; fails after PATIENCE seconds.
wait_for() {
  local deadline=$((${EPOCHREALTIME/./} + PATIENCE * 1000000))
  until "$@" >/dev/null 2>&1; do
    if [ "${EPOCHREALTIME/./}" -gt "$deadline" ]; then
      timed_out
      return 1
    fi
    read -r -t 0.01 -u "$never" || true
  done
}

# --- The server -------------------------------------------------------------

server_ended() { ! kill -0 "$server" 2>/dev/null; }
listens_or_ended() {
  local line=''
  while read -r line; do
    if [[ $line == listening* ]]; then return; fi
  done <"$err"
  server_ended
}

# start_on PORT [COMMAND...]: starts the program on PORT, as the argument of
# COMMAND if there is one. Its stdout may not grow beyond 20 MB.
start_on() {
  : >"$err" # An earlier server may have written here.
  (
    ulimit -S -f 20480
    export KIT_TEST=$BATS_TEST_TMPDIR
    exec "${@:2}" "$bin/$EXAMPLE" "$1"
  ) >"$out" 2>"$err" 3>&- &
  server=$!
  wait_for listens_or_ended || true
}

# start_server [COMMAND...]: the same on a free port. Sets $server and $port.
start_server() {
  local tries
  for tries in {1..20}; do
    port=$((10000 + RANDOM % 20000))
    start_on "$port" "$@"
    if grep -q '^listening' "$err"; then
      descriptors_at_start=$(descriptors)
      return
    fi
    grep -q -E "^bind: $EADDRINUSE" "$err" || break
  done
  local look='open_listener and main'
  fail "the server prints 'listening: ...' within $PATIENCE s" \
    "$(what_happened || echo "it did not")"
}

# start_with_failure INJECTION [ARGUMENT...]: the same, where strace lets a call
# fail at the start, as INJECTION says: socket:error=ENOMEM. Sets $status and
# $output.
start_with_failure() {
  local tries
  for tries in {1..20}; do
    ASAN_OPTIONS=$ASAN_OPTIONS:detect_leaks=0 run timeout -s KILL 5 strace \
      -o "$trace" -e "inject=$1" "$bin/$EXAMPLE" $((10000 + RANDOM % 20000)) "${@:2}"
    [[ $output =~ ^(bind|listen):\ $EADDRINUSE$ ]] || return 0
  done
}

# start_traced CALLS [OPTION...]: the same under strace; its output is in
# $trace. OPTIONs are those of strace.
start_traced() {
  if [[ $EXAMPLE == h_io_uring && $1 =~ recv|send ]]; then
    skip 'strace does not see the operations of io_uring'
  fi
  export ASAN_OPTIONS=$ASAN_OPTIONS:detect_leaks=0
  start_server strace -D ${THREADS:+-f} -o "$trace" -e "trace=$1" \
    -e signal=none "${@:2}"
}

# need_io_uring: skips the test where the kernel has no io_uring, or forbids it.
need_io_uring() {
  local file=$BATS_RUN_TMPDIR/no_io_uring
  if [ ! -e "$file" ]; then
    start_on $((10000 + RANDOM % 20000))
    grep '^io_uring_setup' "$err" >"$file" || true
    kill -KILL "$server" 2>/dev/null || true
    wait "$server" 2>/dev/null || true
  fi
  if [ -s "$file" ]; then skip "$(<"$file")"; fi
}

# start_changed NAME SED_OPTION...: the same, built from a changed source.
start_changed() {
  local source=$top/${SOURCE:-$(source_of "$EXAMPLE")} bin=$BATS_RUN_TMPDIR/$1
  if [ ! -e "$bin/$EXAMPLE" ]; then
    mkdir -p "$bin"
    {
      sed "${@:2}" "$source" >"$bin/server.c"
      "${CC:-cc}" -o "$bin/$EXAMPLE" "$bin/server.c"
    } 2>"$dir/log" || not_changed "$(head -n 1 "$dir/log")"
    ! cmp -s "$source" "$bin/server.c" || not_changed 'sed finds no such line'
  fi
  start_server
}

# not_changed WHY: the test needs a line that the program does not have.
not_changed() {
  rm -rf "${bin:?}"
  [ -n "${GRADED:-}" ] || skip "a changed program cannot be built: $1"
  did='the test builds the program with another response, or a shorter table'
  fail 'one file, with `static const char response[] =` and `#define MAX_DESCRIPTORS`' "$1"
}

# start_with_20_MB: the same, with a response of 20,000,000 bytes instead.
start_with_20_MB() {
  start_changed big -e '/^static const char response\[\]/,/;$/d' \
    -e '/^#define _GNU_SOURCE/a\
#include <string.h>\
static char response[20000001];\
__attribute__((constructor)) static void fill_response(void)\
{ memset(response, 120, sizeof response - 1); }'
}

# exit_status: the status of a server that has ended.
exit_status() {
  local status=0
  wait "$server" 2>/dev/null || status=$?
  echo "$status"
}

# what_happened: says how the server ended; fails if it runs.
what_happened() {
  local status words
  server_ended || return 1
  status=$(exit_status)
  if [ "$status" -gt 128 ] && kill -l "$status" >/dev/null 2>&1; then
    status="SIG$(kill -l "$status")"
  else
    status="exit status $status"
  fi
  words=$(grep -v '^listening' "$err" | head -n 5)
  echo "the server ended with $status${words:+, and said: $words}"
}

# assert_server_exits STATUS [SECONDS]: it ends by itself, with this status,
# within SECONDS (default: PATIENCE).
assert_server_exits() {
  local PATIENCE=${2:-$PATIENCE} status=0
  wait_for server_ended ||
    fail "the server ends within $PATIENCE s" 'it still runs'
  wait "$server" || status=$?
  if [ "$status" -ne "$1" ]; then
    fail "the server ends with exit status $1" "$(status_of "$status")"
  fi
  if [ -e "$trace" ]; then wait_for grep -q '+++ exited' "$trace" || true; fi
  server=
}

status_of() {
  if [ "$1" -gt 128 ]; then
    echo "SIG$(kill -l "$1") ended it"
  else
    echo "it ended with $1: $(grep -v '^listening' "$err" | head -n 5)"
  fi
}

# stop_server [SIGNAL]: the signal (default: TERM) ends it at once: status 0.
stop_server() {
  local look='end() and catch_signals()' did="${did:+$did; }the server gets SIG${1:-TERM}"
  kill "-${1:-TERM}" "$server" || fail 'the server still runs' "$(what_happened)"
  assert_server_exits 0
}

descriptors() { set -- "/proc/$server/fd/"* && echo $#; }
has_descriptors() { [ "$(descriptors)" -eq "$1" ]; }

# assert_no_leak [PLACE]: the server has as many descriptors as after its start;
# if not, look at PLACE (default: the calls of close).
assert_no_leak() {
  local look=${1:-the calls of close}
  wait_for has_descriptors "$descriptors_at_start" ||
    fail "the server has $descriptors_at_start open descriptors, as after its start" \
      "$(what_happened || echo "it has $(descriptors)")"
}

cpu_ticks() { awk '{ print $14 + $15 }' "/proc/$server/stat"; }

# assert_sleeps: the server sleeps for 0.3 s. On a busy machine, a server that
# never sleeps may get little processor time, but it always wants some.
assert_sleeps() {
  local before awake=0 i waits=epoll_wait
  if [ "$EXAMPLE" = ex1 ] || [ "$EXAMPLE" = ex2 ]; then waits='accept or recv'; fi
  before=$(cpu_ticks)
  for i in {1..10}; do
    read -r -t 0.03 -u "$never" || true
    ! wants_processor || awake=$((awake + 1))
  done
  if [ "$awake" -gt 5 ] || [ $(($(cpu_ticks) - before)) -gt 6 ]; then
    fail 'the server sleeps while there is nothing to do' \
      "it is busy all the time: $waits returns again and again"
  fi
}
wants_processor() { cat "/proc/$server/task/"*/stat 2>/dev/null | grep -q ') [Rt] '; }

# --- Clients ----------------------------------------------------------------

# client [-n COUNT] ACTION...: runs tests/client.c against the server. Its
# output is in $dir/answer.
client() {
  remember "$@"
  if [ "$1" = -n ]; then set -- "$1" "$2" "$port" "${@:3}"; else set -- "$port" "$@"; fi
  client_status=0
  "$top/build/client" "$@" >"$dir/answer" 2>"$dir/client_err" 3>&- || client_status=$?
  if [ "$client_status" -eq 3 ]; then timed_out; fi
}

# start_client [-n COUNT] ACTION...: the same in the background. Its output is
# in $answer, its pid is $client.
start_client() {
  remember "$@"
  if [ "$1" = -n ]; then set -- "$1" "$2" "$port" "${@:3}"; else set -- "$port" "$@"; fi
  answer=$dir/answer.${#clients[@]}
  "$top/build/client" "$@" >"$answer" 2>"$answer.err" 3>&- &
  client=$!
  clients+=("$client")
}

# hold_client [-n COUNT] ACTION...: starts a client that stays after its last
# action, and returns when it has arrived there.
hold_client() {
  start_client "$@" wait
  await_ready
}

# await_ready: returns when the last client has arrived at `wait`.
await_ready() {
  wait_for grep -q ready "$answer" ||
    fail 'the server takes what the client sends' "$(what_happened || cat "$answer.err")"
}

# release PID...: such clients leave, or go on with what follows `wait`.
release() { kill -USR1 "$@"; }

# remember [-n COUNT] ACTION...: puts what a client does into words, in $did.
remember() {
  local text='' who='a client'
  if [ "$1" = -n ]; then who="$2 clients" && shift 2; fi
  while [ $# -gt 0 ]; do
    case $1 in
      send) text+=", sends '${2:0:60}'" && shift ;;
      drip) text+=", sends '${2:0:60}' byte by byte" && shift ;;
      fill) text+=", sends $2 bytes" && shift ;;
      urgent) text+=", sends urgent data: $2" && shift ;;
      finish) text+=', half-closes' ;;
      read) text+=', reads until the server closes' ;;
      reset) text+=', resets the connection' ;;
    esac
    shift
  done
  did="${did:+$did; }$who: connects$text"
}

# ask [OPTION...]: curl.
ask() {
  did="${did:+$did; }curl sends a request"
  curl --silent --show-error --max-time "$PATIENCE" "$@" "http://127.0.0.1:$port/"
}

# suspend_server: stops it with SIGSTOP, and returns when it has stopped.
suspend_server() {
  kill -STOP "$server"
  wait_for grep -q '^State:.[Tt]' "/proc/$server/status"
}

# client_resets [ACTION...]: a client connects, does the actions and resets,
# while the server is stopped. Otherwise the server, on another processor, may
# look while the kernel is still at it, see EPOLLERR alone, and close at once.
client_resets() {
  suspend_server
  client "$@" reset
  did="while the server is stopped, $did"
  kill -CONT "$server"
}

# serve_queued N: N clients connect and send requests while the server is
# stopped; when it goes on, all are answered.
serve_queued() {
  local answered
  suspend_server
  start_client -n "$1" send "$request" wait read
  did="while the server is stopped, $did"
  await_ready
  kill -CONT "$server"
  release "$client"
  wait "$client" || timed_out
  answered=$(grep -o 'Hello, world!' "$answer" | wc -l)
  if server_ended; then look=main; fi
  [ "$answered" -eq "$1" ] || fail "$1 answers" \
    "$(what_happened || echo "$answered answers, then none for $PATIENCE s")"
}

# --- Assertions -------------------------------------------------------------

expected_response() {
  printf '%s\r\n' 'HTTP/1.0 200 OK' 'Date: Mon, 1 Jan 1996 01:01:01 GMT' \
    'Content-Type: text/plain' 'Content-Length: 13' ''
  printf 'Hello, world!'
}

# bytes_of FILE: its first lines, with \r and other invisible bytes visible.
bytes_of() {
  if [ -s "$1" ]; then
    echo "these $(wc -c <"$1") bytes: $(head -c 300 "$1" | cat -v | head -n 8)"
  else
    echo 'no bytes'
  fi
}

# assert_bytes_equal EXPECTED ACTUAL WHO: two files contain the same bytes.
assert_bytes_equal() {
  cmp -s "$1" "$2" || fail "$3: $(bytes_of "$1")" "$(bytes_of "$2")"
}

# assert_response FILE: the article's 114 bytes, and nothing else.
assert_response() {
  expected_response >"$dir/expected"
  if cmp -s "$dir/expected" "$1"; then
    if [ -z "${client_status:-}" ] || [ "$client_status" -eq 0 ]; then return; fi
    look=$(end_of_connection)
    fail 'the server ends the connection after its response' "$(unanswered)"
  fi
  if [ -s "$1" ]; then
    look='send_response, and what it calls'
    fail "the response: $(bytes_of "$dir/expected")" "$(bytes_of "$1")"
  fi
  look_at_last_call
  fail 'a response' "$(unanswered)"
}

# unanswered: why there is no response, or no end of it.
unanswered() {
  what_happened && return
  if [ "${client_status:-0}" -eq 3 ] && [ -s "$dir/answer" ]; then
    echo "$(bytes_of "$dir/answer"); then nothing for $PATIENCE s, and no end"
  elif [ "${client_status:-0}" -eq 3 ]; then
    echo "no byte came within $PATIENCE s, and the connection is still open"
  elif [ -s "$dir/client_err" ]; then
    cat "$dir/client_err"
  else
    echo 'the server closed the connection without a response'
  fi
}

# assert_answer ACTION...: a client that does this gets the response.
assert_answer() {
  client "$@"
  assert_response "$dir/answer"
}

# assert_response_of PID: a client in the background gets the response.
assert_response_of() {
  client_status=0
  wait "$1" || client_status=$?
  sed '/^ready$/d' "$answer" >"$dir/answer"
  cp "$answer.err" "$dir/client_err"
  assert_response "$dir/answer"
}

# assert_curl_is_answered: curl gets the response within PATIENCE seconds.
assert_curl_is_answered() {
  client_status=
  ask --include --raw >"$dir/answer" 2>"$dir/client_err" || timed_out_if $?
  assert_response "$dir/answer"
}
timed_out_if() {
  client_status=$1
  if [ "$1" -eq 28 ]; then
    client_status=3
    timed_out
  fi
}

# assert_no_answer: the last client got no byte, and the connection was closed.
assert_no_answer() {
  [ ! -s "$dir/answer" ] || fail 'no response' "$(bytes_of "$dir/answer")"
  [ "$client_status" -ne 3 ] || look+=', and close'
  [ "$client_status" -ne 3 ] || fail 'the server closes the connection' "$(unanswered)"
}

# assert_printed REQUEST: the program's stdout; REQUEST as printf takes it.
assert_printed() {
  local look=print_request
  if [ "$EXAMPLE" = ex1 ]; then
    printf "$1\n" >"$dir/expected"
  else
    { printf -- '-%.0s' {1..40} && printf '\n' && printf "$1" | head -c -2 &&
      printf '\n'; } >"$dir/expected"
  fi
  assert_bytes_equal "$dir/expected" "$out" "the server prints"
}

# assert_said PATTERN: a line of stderr matches, within PATIENCE seconds.
assert_said() {
  wait_for grep -q -E -e "$1" "$err" ||
    fail "the server says on stderr: $(plain "$1")" \
      "$(what_happened || echo "it says: $(grep -v '^listening' "$err" || echo nothing)")"
}

# assert_lines_said N: besides 'listening', at most N lines are on stderr.
assert_lines_said() {
  local lines
  lines=$(grep -v -c '^listening' "$err" || true)
  [ "$lines" -le "$1" ] ||
    fail "at most $1 lines on stderr" "$lines lines, the first: $(sed -n 2,5p "$err")"
}

# assert_trace PATTERN, refute_trace PATTERN: some line, no line of the trace.
assert_trace() {
  wait_for grep -q -E -e "$1" "$trace" || fail "a call with $(plain "$1")" 'there is none'
}
refute_trace() {
  ! grep -q -E -e "$1" "$trace" ||
    fail "no call with $(plain "$1")" "$(grep -E -e "$1" "$trace" | head -n 3)"
}

# plain PATTERN: for people who do not read regular expressions.
plain() { sed -E 's/\.\*/.../g; s/\\//g; s/\^//g; s/\|/ or /g' <<<"$1"; }

# count_trace PATTERN: how many lines of the trace match.
count_trace() { grep -c -E -e "$1" "$trace" || true; }

# assert_calls CALL...: the calls in $trace since the first connection, one
# word each: the name, or for some the arguments that matter.
assert_calls() {
  local name='[a-z0-9_]+'
  sed -n -E "s/^epoll_ctl\(.*(EPOLL_CTL_[A-Z]+), [0-9]+, \{events=([A-Z|0]+).*/\1 \2/
    s/^setsockopt\(.*(TCP_[A-Z]+), \[([01])\].*/\1 \2/
    s/^writev?\(1, .*/write/
    s/^writev?\(2, \"([^\"]*).*/message: \1/
    s/^($name)\(.*/\1/
    s/^(recv|send)(from|to)/\1/
    /^[+-]{3}/d
    /^accept4?\$/,/^close\$/p" "$trace" |
    awk '$0 != "write" || last != "write"; { last = $0 }' >"$dir/calls"
  local calls call other before=accept i=0
  mapfile -t calls <"$dir/calls"
  for call in "$@"; do
    if [ "$call" != "${calls[i]-}" ]; then
      look=$(function_of_call "$call")
      other=$(function_of_call "${calls[i]#message: }")
      if [ "$i" -lt "${#calls[@]}" ] && [ "$other" != "$look" ]; then
        look+=", or $other"
      fi
      [ "$call" != "$before" ] || call+=' again'
      fail "after $before: $call" "after $before: ${calls[i]:-nothing more}"
    fi
    before=$call
    i=$((i + 1))
  done
}

# probe: for setup_file. If the program does not answer one simple request, the
# tests of this file are not run.
probe() {
  if [ -e "$BATS_RUN_TMPDIR/probed" ]; then return; fi
  touch "$BATS_RUN_TMPDIR/probed"
  local BATS_TEST_TMPDIR=$BATS_RUN_TMPDIR BATS_TEST_DESCRIPTION=probe
  (
    setup
    trap teardown EXIT
    start_server && assert_answer send "$request" read
  ) >/dev/null 2>&1 ||
    echo 'the server does not answer a simple request as it should' \
      >"$BATS_RUN_TMPDIR/not_run"
}
