# What every .bats file loads: starting a server, sending it requests, and
# assertions that say what went wrong.
#
# From the environment:
#   EXAMPLE    the program under test: ex1 to ex6, or one of the appendix
#   BIN        the folder with the program (default: the top of the kit)
#   SOURCE     the file that failures point to (default: the kit's own)
#   PATIENCE   seconds to wait for something that does not come (default: 2)
#   KIT_RUN    a folder that all tests of one run share; run.sh makes it
#   NO_STRACE  why strace does not work here; run.sh tries it

: "${PATIENCE:=2}"
export PATIENCE
request='GET / HTTP/1.0\r\n\r\n'

# As strace takes it. On some machines the kernel has only the second call.
epoll_wait='?epoll_wait,epoll_pwait'

# How C libraries say it: glibc, or musl.
EMFILE='(Too many open files|No file descriptors available)'
ENOMEM='(Cannot allocate memory|Out of memory)'
EADDRINUSE='(Address already in use|Address in use)'

run_dir=${KIT_RUN:-${BATS_RUN_TMPDIR:-}}
top=$(cd "${BASH_SOURCE[0]%/*}/.." && pwd)
. "$top/tests/traits.bash"
declare -gA trait
source_of() { (traits_of "$1" && echo "$source"); }
read_traits() {
  # shellcheck disable=SC2086
  local name $traits
  traits_of "${EXAMPLE:-}"
  for name in $traits; do trait[$name]=${!name}; done
}
read_traits

setup() {
  # bats looks at every command, also inside these functions. Without that, the
  # tests are quicker; our messages do not need it.
  set +T
  dir=${BATS_TEST_TMPDIR:-$(mktemp -d)}
  : "${run_dir:=$dir}"
  bin=$top/${BIN:-.}
  out=$dir/out err=$dir/err trace=$dir/trace
  server='' clients=() did='' look='' wrong_call=''
  after_port=() # what follows the port on the server's command line
  # AddressSanitizer would refuse to run with another preloaded library. No
  # program of the kit calls malloc; under strace, the search for leaks fails.
  export ASAN_OPTIONS=verify_asan_link_order=0:detect_leaks=0
  if [ -e "$run_dir/not_run" ]; then skip "not run: $(<"$run_dir/not_run")"; fi
  local line
  while IFS= read -r line; do
    [[ $line != "$BATS_TEST_DESCRIPTION: "* ]] || skip "${line#"$BATS_TEST_DESCRIPTION: "}"
  done <<<"${trait[skips]}"
  if [ -n "${trait[refused]}" ]; then skip_where_refused "${trait[refused]}"; fi
}

teardown() {
  local pid
  for pid in $(jobs -p); do
    kill -KILL "$pid" 2>/dev/null || true
    wait "$pid" 2>/dev/null || true
  done
  # A program that is graded may have started others.
  if [ -n "${GRADED:-}" ]; then
    grep -l -s -z -x "KIT_TEST=$dir" /proc/[0-9]*/environ |
      cut -d / -f 3 | xargs -r kill -KILL 2>/dev/null || true
  fi
  [ -n "${BATS_TEST_TMPDIR:-}" ] || rm -rf "$dir"
}

# --- Failures ---------------------------------------------------------------

# fail EXPECTED HAPPENED: ends the test, and says where to look.
fail() {
  if [ -n "${FILTER:-}" ]; then echo 'another test failed' >"$run_dir/not_run"; fi
  report 'the test' "${did:-starts ${EXAMPLE:-it}}"
  report 'expected' "$1"
  report 'happened' "${2:-nothing}"
  if [ -s "$trace" ]; then report 'some calls' "$(some_calls)"; fi
  report 'look at' "${SOURCE:-${trait[source]}}, ${look:-main}$(section)"
  return 1
}

# report TITLE TEXT: a title, and beside it the lines of the text.
report() {
  local title=$1 line
  while IFS= read -r line; do
    printf '%-11s %s\n' "$title" "$line"
    title=
  done <<<"$2"
}

# some_calls: the calls around the wrong one, or the last ones.
some_calls() {
  calls | awk -v wrong="${wrong_call:-0}" '
    { call[NR] = length($0) > 98 ? substr($0, 1, 97) "…" : $0 }
    END {
      last = wrong && wrong + 3 < NR ? wrong + 3 : NR
      first = last > 8 ? last - 7 : 1
      print first " to " last " of the " NR " traced (recvfrom is recv, sendto is send):"
      for (i = first; i <= last; i++) print (i == wrong ? "→ " : "  ") call[i]
    }'
  if [ -z "$wrong_call" ] && [ -n "$(tail -c 1 "$trace")" ]; then
    echo '  ... (this call has not returned)'
  fi
}

# calls: the trace in one form, without the numbers of threads: strace 5.10 says
# {EPOLLIN, {u32=5 where later ones say {events=EPOLLIN, data={u32=5.
calls() {
  [ ! -e "$trace" ] || sed -E -e 's/^[0-9]+ +//; s/\) +=/) =/; /^(---|\+\+\+)/d' \
    -e 's/\{(EPOLL[A-Z_|]*|0), \{/{events=\1, data={/g' "$trace"
}

# function_of_call CALL: where the examples make it.
function_of_call() {
  case $1 in
    accept*) echo 'main: the loop around accept, and accept_connection' ;;
    EPOLL_CTL_ADD*) echo accept_connection ;;
    recv* | *EPOLLOUT* | 'TCP_CORK 1') echo read_request ;;
    write*) echo print_request ;;
    send* | *'CTL_MOD 0' | *'CTL_MOD EPOLLET' | shutdown* | 'TCP_CORK 0')
      echo send_response ;;
    *) echo main ;;
  esac
}

# look_at_last_call: makes $look the function with the last call of the trace.
look_at_last_call() {
  local last
  last=$(calls | grep -o -E '^(accept|recv|send|shutdown)' | tail -n 1)
  case $last in
    '') return ;;
    recv) look='read_request and is_complete' ;;
    *) look=$(function_of_call "$last") ;;
  esac
  look+=' (the calls above end there)'
}

# section: where the text explains it; not for an exercise, which has hints.
section() {
  if [ -n "${GRADED:-}" ]; then return; fi
  case $EXAMPLE in
    ex?) echo "; NOTES.md, example ${EXAMPLE#ex}" ;;
    *) echo "; appendix/$EXAMPLE/README.md" ;;
  esac
}

# timed_out: counts; after the fourth time, the rest of the suite is not run,
# because it would only wait again and again.
timed_out() {
  echo "$BATS_TEST_DESCRIPTION" >>"$run_dir/timeouts"
  if [ "$(sort -u "$run_dir/timeouts" | wc -l)" -ge 4 ]; then
    echo 'four tests before this one waited in vain' >"$run_dir/not_run"
  fi
}

# now: milliseconds; a locale may put a comma into EPOCHREALTIME. since MS: how
# many have passed.
now() { echo $((${EPOCHREALTIME/[.,]/} / 1000)); }
since() { echo $(($(now) - $1)); }

# wait_for COMMAND...: returns when it succeeds; fails after PATIENCE seconds, or
# if the time cannot be told.
wait_for() {
  local deadline=$((${EPOCHREALTIME/[.,]/} + PATIENCE * 1000000))
  until "$@" >/dev/null 2>&1; do
    [ "${EPOCHREALTIME/[.,]/}" -lt "$deadline" ] || { timed_out && return 1; }
    sleep 0.01
  done
}

# --- The server -------------------------------------------------------------

# server_ended: also when it is a zombie that its parent has not noticed.
server_ended() {
  local stat
  ! { read -r stat <"/proc/$server/stat"; } 2>/dev/null || [[ ${stat##*) } == [ZX]* ]]
}
is_asleep() {
  local stat
  { read -r stat <"/proc/$server/stat"; } 2>/dev/null && [[ ${stat##*) } == S* ]]
}
listens_or_ended() {
  local line=''
  while read -r line; do
    if [[ $line == listening* ]]; then return; fi
  done <"$err"
  server_ended
}

# try_ports FUNCTION ARGUMENT...: gives it a $port; another one if it is in use.
try_ports() {
  local tries
  for tries in {1..20}; do
    port=$((10000 + RANDOM % 20000))
    "$1" "$port" "${@:2}"
    [[ $(<"$err") =~ ^(bind|listen):\ $EADDRINUSE ]] || return 0
  done
}

# start_on PORT [COMMAND...]: starts the program on PORT, as the argument of
# COMMAND if there is one. Its stdout may not grow beyond 20 MB.
start_on() {
  : >"$err" # An earlier server may have written here.
  (
    trap - INT
    cd "$dir"
    ulimit -S -f 20480
    export KIT_TEST=$dir
    # shellcheck disable=SC2086
    exec "${@:2}" "$bin/$EXAMPLE" "$1" ${trait[arguments]} "${after_port[@]}"
  ) >"$out" 2>"$err" 3>&- &
  server=$!
  started=$SECONDS
  wait_for listens_or_ended || true
}

# start_server [COMMAND...]: the same on a free port. Sets $server and $port.
start_server() {
  try_ports start_on "$@"
  if [[ $(<"$err") != *listening* ]]; then
    local look='open_listener and main'
    fail "the server prints 'listening: ...' within $PATIENCE s" \
      "$(what_happened || echo 'it did not')"
    return 1
  fi
  # What calls more after it has said that it listens may not have opened all.
  local i
  for ((i = 0; i < 100 && ${#trait[start_calls]} == 0; i++)); do
    if is_asleep; then break; fi
    sleep 0.01
  done
  descriptors_at_start=$(descriptors)
}

# need_strace: skips the test where strace does not work.
need_strace() { [ -z "${NO_STRACE:-}" ] || skip "$NO_STRACE"; }

# start_traced CALLS [OPTION...]: the same under strace; its output is in
# $trace. OPTIONs are those of strace.
start_traced() {
  need_strace
  if [ -n "${trait[untraced]}" ] && [[ $1 =~ ${trait[untraced]} ]]; then
    skip "strace does not see these calls of $EXAMPLE: ${trait[untraced]}"
  fi
  start_server strace -D ${trait[threads]:+-f} -o "$trace" -e "trace=$1" \
    -e signal=INT,TERM "${@:2}"
}

# start_with_failure INJECTION [ARGUMENT...]: runs the program, where strace lets
# a call fail at the start, as INJECTION says: socket:error=ENOMEM. Sets $status
# and $output.
start_with_failure() {
  need_strace
  try_ports fail_at_start "$@"
}
fail_at_start() {
  run timeout -s KILL $((PATIENCE * 3)) strace -o "$trace" -e "inject=$2" \
    "$bin/$EXAMPLE" "$1" "${after_port[@]}" "${@:3}"
  echo "$output" >"$err"
}

# assert_exits STATUS PATTERN: after run: this status, and one line.
assert_exits() {
  if [[ $status -eq $1 && $output =~ ^$2$ && ${#lines[@]} -eq 1 ]]; then return; fi
  if [ "$status" -eq 137 ]; then status='none: it goes on. Did it make the call?'; fi
  fail "exit status $1, and one line: $(plain "$2")" "exit status $status: $output"
}

# assert_names_failures CALL...: each CALL fails at the start; the program says
# so, and exits with 1. CALL is strace's name; after a colon, the program's.
assert_names_failures() {
  local call
  for call in "$@"; do
    did="strace lets ${call%:*} fail with ENOMEM at the start"
    start_with_failure "${call%:*}:error=ENOMEM"
    assert_exits 1 "${call#*:}: $ENOMEM"
  done
}

# assert_rejects WORD ARGUMENT...: with one line that names the word.
assert_rejects() {
  did="starts $EXAMPLE with the arguments: ${*:2}"
  run timeout $((PATIENCE * 3)) "$bin/$EXAMPLE" "${@:2}"
  [[ $status -eq 2 && $output == usage:*"'$1'" && ${#lines[@]} -eq 1 ]] ||
    fail "exit status 2, and one line: usage: ... '$1'" "exit status $status: $output"
}

# assert_port_taken: a second server on the same port says so, and exits with 1.
assert_port_taken() {
  did='starts a second server on the same port'
  run timeout $((PATIENCE * 3)) "$bin/$EXAMPLE" "$port" "${after_port[@]}"
  assert_exits 1 "bind: $EADDRINUSE"
}

# skip_where_refused CALL: skips the test where the kernel does not let the
# program run, so that its first line names this call.
skip_where_refused() {
  local file=$run_dir/refused
  if [ ! -e "$file" ]; then
    try_ports start_on
    grep "^$1" "$err" >"$file" || true
    kill -KILL "$server" 2>/dev/null || true
    wait "$server" 2>/dev/null || true
  fi
  if [ -s "$file" ]; then skip "$(<"$file")"; fi
}

# start_changed NAME SED_OPTION...: starts the program, built from a changed
# source. change NAME SED_OPTION... only builds it.
start_changed() {
  change "$@"
  start_server
}
change() {
  local source=$top/${SOURCE:-${trait[source]}}
  bin=$run_dir/$1
  if [ -e "$bin/$EXAMPLE" ]; then return; fi
  mkdir -p "$bin"
  {
    sed "${@:2}" "$source" >"$bin/server.c"
    "${CC:-cc}" ${trait[threads]:+-pthread} -o "$bin/$EXAMPLE" "$bin/server.c"
  } 2>"$dir/log" || not_changed "$(head -n 1 "$dir/log")"
  ! cmp -s "$source" "$bin/server.c" || not_changed 'sed finds no such line'
}

# not_changed WHY: the test needs a line that the program does not have.
not_changed() {
  rm -rf "${bin:?}"
  [ -n "${GRADED:-}" ] || skip "a changed program cannot be built: $1"
  did='builds the program with another response, or a shorter table'
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

# start_preloaded SOURCE [COMMAND...]: starts the program with a library, built
# from SOURCE for the same C library. LD_PRELOAD splits at spaces, so the path is
# relative: launch starts the program in $dir.
start_preloaded() {
  "${CC:-cc}" -shared -fPIC -o "$dir/preloaded.so" "$top/$1"
  start_server env LD_PRELOAD=./preloaded.so "${@:2}"
}

# ended_with STATUS: how the server ended, and what it wrote.
ended_with() {
  local words
  words=$(grep -v '^listening' "$err" | head -n 5)
  if [ "$1" -le 128 ] || ! kill -l "$1" >/dev/null 2>&1; then
    echo "with exit status $1${words:+, and wrote on stderr: $words}"
  elif [ "$(kill -l "$1")" = SEGV ] && [ ! -s "$err" ]; then
    echo 'with SIGSEGV before its first line: a null pointer, or the kernel refuses' \
      'the memory for its table (ulimit -v)'
  else
    echo "with SIG$(kill -l "$1")${words:+, and wrote on stderr: $words}"
  fi
}

# what_happened: says how the server ended; fails if it runs.
what_happened() {
  local status=0
  server_ended || return 1
  wait "$server" 2>/dev/null || status=$?
  echo "the server ended $(ended_with "$status")"
}

# assert_server_exits STATUS [SECONDS]: it ends by itself, with this status,
# within SECONDS (default: PATIENCE). 128 + N is death by the signal N.
assert_server_exits() {
  local PATIENCE=${2:-$PATIENCE} status=0
  wait_for server_ended || fail "the server ends within $PATIENCE s" 'it still runs'
  wait "$server" || status=$?
  # A program that is graded may catch a signal, and exit with 0.
  if [ "$status" -ne "$1" ] && ! [[ -n ${GRADED:-} && $1 -gt 128 && $status -eq 0 ]]; then
    fail "the server ends $(ended_with "$1" | sed 's/, and.*//')" \
      "it ended $(ended_with "$status")"
  fi
  if [ -e "$trace" ]; then wait_for grep -q '+++ \(exited\|killed\)' "$trace" || true; fi
  server=
}

# stop_server [SIGNAL]: the signal (default: TERM) ends it at once.
stop_server() {
  local signal=${1:-TERM} look="main: nothing may catch, block or ignore SIG${1:-TERM}"
  local did="${did:+$did; }the server gets SIG$signal" expected=0
  if [ "${trait[on_signal]}" = dies ]; then expected=$((128 + $(kill -l "$signal"))); fi
  kill "-$signal" "$server" 2>/dev/null || fail 'the server still runs' "$(what_happened)"
  assert_server_exits "$expected"
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

cpu_ticks() { awk '{ print $14 + $15 }' "/proc/$server/stat" 2>/dev/null || echo 0; }
wants_processor() { cat "/proc/$server/task/"*/stat 2>/dev/null | grep -q ') [Rt] '; }

# assert_sleeps: the server sleeps for 0.3 s. On a busy machine, a server that
# never sleeps may get little processor time, but it always wants some. Where this
# takes longer, a server may wake up each second: it may have a fifth of the time,
# and may be awake more often.
assert_sleeps() {
  local before awake=0 i began took
  began=$(now)
  before=$(cpu_ticks)
  for i in {1..10}; do
    sleep 0.03
    ! wants_processor || awake=$((awake + 1))
  done
  if server_ended; then fail 'the server sleeps' "$(what_happened)"; fi
  took=$(since "$began")
  if [ "$awake" -gt $((took < 1000 ? 5 : 8)) ] ||
    [ $(($(cpu_ticks) - before)) -gt $((took / 50)) ]; then
    fail 'the server sleeps while there is nothing to do' \
      "it is busy all the time: ${trait[waits]} returns again and again"
  fi
}

# suspend_server: stops it with SIGSTOP, and returns when it has stopped.
suspend_server() {
  kill -STOP "$server"
  wait_for grep -q '^State:.[Tt]' "/proc/$server/status"
}

# --- Clients ----------------------------------------------------------------

# client [-n COUNT] ACTION...: runs tests/client.c against the server. Its
# output is in $dir/answer.
client() {
  local arguments=()
  with_port "$@"
  client_status=0
  "$top/build/client" "${arguments[@]}" >"$dir/answer" 2>"$dir/client_err" 3>&- ||
    client_status=$?
  if [ "$client_status" -eq 3 ]; then timed_out; fi
}

# start_client [-n COUNT] ACTION...: the same in the background. Its output is
# in $answer, its pid is $client.
start_client() {
  local arguments=()
  with_port "$@"
  answer=$dir/answer.${#clients[@]}
  "$top/build/client" "${arguments[@]}" >"$answer" 2>"$answer.err" 3>&- &
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

# with_port [-n COUNT] ACTION...: puts the arguments of build/client into
# $arguments, and what the client does into $did, in words.
with_port() {
  local text='' who='a client connects' i
  if [ "$1" = -n ]; then
    arguments=(-n "$2" "$port" "${@:3}") who="$2 clients connect" && shift 2
  else
    arguments=("$port" "$@")
  fi
  while [ $# -gt 0 ]; do
    case $1 in
      send) text+=", sends $(quoted "$2")" && shift ;;
      drip) text+=", sends $(quoted "$2") byte by byte" && shift ;;
      fill) text+=", sends $2 bytes" && shift ;;
      urgent) text+=", sends urgent data: $2" && shift ;;
      finish) text+=', half-closes' ;;
      read) text+=', reads until the server closes' ;;
      reset) text+=', resets the connection' ;;
    esac
    shift
  done
  if [[ $who == *clients* && -n $text ]]; then who+='; each'; text=${text#,}; fi
  did="${did:+$did; }$who$text"
}
quoted() {
  if [ ${#1} -gt 60 ]; then
    echo "'${1:0:30}…' ($(printf "$1" | wc -c) bytes)"
  else
    echo "'$1'"
  fi
}

# ask [OPTION...]: curl.
ask() {
  did="${did:+$did; }curl sends a request"
  curl --silent --show-error --max-time "$PATIENCE" "$@" "http://127.0.0.1:$port/"
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
    "$(what_happened || echo "$answered, then none for $PATIENCE s")"
}

# --- Assertions -------------------------------------------------------------

expected_response() {
  printf '%s\r\n' 'HTTP/1.0 200 OK' 'Date: Mon, 1 Jan 1996 01:01:01 GMT' \
    'Content-Type: text/plain' 'Content-Length: 13' ''
  printf 'Hello, world!'
}

# bytes_of FILE [LINE]: its first lines, with \r and other invisible bytes
# visible; an arrow marks the LINE.
bytes_of() {
  if [ -s "$1" ]; then
    echo "these $(wc -c <"$1") bytes:"
    head -c 400 "$1" | cat -v | head -n 12 |
      awk -v marked="${2:-0}" '{ print (NR == marked ? "→ " : "  ") $0 }'
  else
    echo 'no bytes'
  fi
}

# assert_bytes_equal EXPECTED ACTUAL WHO: two files contain the same bytes.
assert_bytes_equal() {
  local line
  if cmp -s "$1" "$2"; then return; fi
  line=$(LC_ALL=C cmp "$1" "$2" 2>&1 | sed -n 's/.* line \([0-9]*\).*/\1/p')
  fail "$3: $(bytes_of "$1" "${line:-0}")" "$(bytes_of "$2" "${line:-0}")"
}

# assert_response FILE: the article's 114 bytes, and nothing else.
assert_response() {
  expected_response >"$dir/expected"
  if cmp -s "$dir/expected" "$1"; then
    if [ -z "${client_status:-}" ] || [ "$client_status" -eq 0 ]; then return; fi
    look='what ends a connection: close in main; in send_response, shutdown'
    fail 'the server ends the connection after its response' "$(unanswered)"
  fi
  if [ -s "$1" ]; then
    look='send_response, and what it calls'
    assert_bytes_equal "$dir/expected" "$1" 'the response'
  fi
  # A server that crashes closes its connections a moment before it has ended.
  local i
  for i in {1..20}; do ! server_ended || break; sleep 0.01; done
  look_at_last_call
  fail 'a response' "$(unanswered)"
}

# unanswered: why there is no response, or no end of it.
unanswered() {
  what_happened && return
  if [ "${client_status:-0}" -eq 3 ] && [ -s "$dir/answer" ]; then
    bytes_of "$dir/answer"
    echo "then nothing for $PATIENCE s, and no end"
  elif [ -s "$dir/client_err" ] && ! grep -q '^no end' "$dir/client_err"; then
    echo "the client says: $(<"$dir/client_err")"
  elif [ "${client_status:-0}" -eq 3 ]; then
    echo "no byte came within $PATIENCE s, and the connection is still open"
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
  client_status=0
  ask --include --raw >"$dir/answer" 2>"$dir/client_err" || client_status=$?
  if [ "$client_status" -eq 28 ]; then client_status=3 && timed_out; fi
  assert_response "$dir/answer"
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
  if [ "${trait[prints_line]}" = yes ]; then
    { printf -- '-%.0s' {1..40} && printf '\n' && printf "$1" | head -c -2 &&
      printf '\n'; } >"$dir/expected"
  else
    printf "$1\n" >"$dir/expected"
  fi
  assert_bytes_equal "$dir/expected" "$out" "the server prints"
}

# assert_said PATTERN: a line of stderr matches, within PATIENCE seconds.
assert_said() {
  wait_for grep -q -E -e "$1" "$err" ||
    fail "the server writes on stderr: $(plain "$1")" \
      "$(what_happened || echo "it writes: $(grep -v '^listening' "$err" || echo nothing)")"
}

# assert_lines_said N: besides 'listening', at most N lines are on stderr; for a
# shortage, one more in each second.
assert_lines_said() {
  local line lines=0 most=$1
  while IFS= read -r line; do
    [[ $line == listening* ]] || lines=$((lines + 1))
    [[ $line != accept* && $line != 'table full'* ]] || most=$(($1 + SECONDS - started))
  done <"$err"
  [ "$lines" -le "$most" ] || fail "at most $most lines on stderr" \
    "$lines lines, the first: $(grep -v '^listening' "$err" | head -n 4)"
}

# assert_trace PATTERN [WORDS]: some line of the trace matches; refute_trace: no
# line. WORDS say what is looked for.
assert_trace() {
  wait_for traced "$1" || fail "${2:-a call with $(plain "$1")}" 'there is none'
}
refute_trace() {
  ! traced "$1" ||
    fail "${2:-no call with $(plain "$1")}" "$(calls | grep -E -e "$1" | head -n 3)"
}
traced() { calls | grep -q -E -e "$1"; }

# plain PATTERN: for people who do not read regular expressions.
plain() { sed -E 's/\.\*/.../g; s/[\\^]//g; s/\|/ or /g' <<<"$1"; }

# count_trace PATTERN: how many lines of the trace match.
count_trace() { calls | grep -c -E -e "$1" || true; }

# assert_count N PATTERN WORDS: N lines of the trace match.
assert_count() {
  [ "$(count_trace "$2")" -eq "$1" ] || fail "$3" "$(count_trace "$2")"
}

# assert_calls CALL...: the calls in $trace since the first connection, one
# word each: the name, or for some the arguments that matter.
assert_calls() {
  local name='[a-z0-9_]+' number='^([0-9]+) '
  calls | awk '{ print NR " " $0 }' | sed -n -E "
    s/${number}epoll_ctl\(.*(EPOLL_CTL_[A-Z]+), [0-9]+, \{events=([A-Z|0]+).*/\1 \2 \3/
    s/${number}setsockopt\(.*(TCP_[A-Z]+), \[([01])\].*/\1 \2 \3/
    s/${number}writev?\(1, .*/\1 write/
    s/${number}writev?\(2, \"([^\"]*).*/\1 message: \2/
    s/${number}($name)\(.*/\1 \2/
    s/${number}(recv|send)(from|to)/\1 \2/
    / accept4?\$/,/ close\$/p" |
    awk '$2 != "write" || last != "write"; { last = $2 }' >"$dir/calls"
  local lines call other before=accept i=0
  mapfile -t lines <"$dir/calls"
  for call in "$@"; do
    if [ "$call" != "$(cut -d ' ' -f 2- <<<"${lines[i]-}")" ]; then
      break
    fi
    before=$call
    i=$((i + 1))
  done
  if [ "$i" -eq $# ]; then return; fi
  other=${lines[i]#* } wrong_call=${lines[i]%% *}
  look=$(function_of_call "$call")
  # The call is missing, if the next one is right.
  if [ -n "$other" ] && [ "$other" != "${*:i+2:1}" ] &&
    [ "$(function_of_call "${other#message: }")" != "$look" ]; then
    look+=", or $(function_of_call "${other#message: }")"
  fi
  [ "$call" != "$before" ] || call+=' again'
  fail "after $before: $call" "after $before: ${other:-nothing more}"
}

# assert_calls_of_one_client CALLS CALL...: strace shows CALLS (as it names
# them); a client makes the program call these, in this order.
assert_calls_of_one_client() {
  start_traced "$1"
  assert_answer send "$request" read
  if [ "${trait[serves]}" = one ]; then
    assert_server_exits 0
  else
    wait_for has_descriptors "$descriptors_at_start" || true
    stop_server
  fi
  assert_calls "${@:2}"
}

# assert_only_SO_REUSEADDR PATTERN: this option is set, and while a client is
# served, no call matches PATTERN.
assert_only_SO_REUSEADDR() {
  start_traced "epoll_create1,epoll_ctl,$epoll_wait,setsockopt"
  assert_answer send "$request" read
  if [ "${trait[serves]}" = one ]; then assert_server_exits 0; else stop_server; fi
  look=open_listener
  assert_trace SO_REUSEADDR
  look='the whole program'
  refute_trace "$1"
}

# assert_rest_is_sent: if strace lets the first send claim that it sent 10 bytes.
assert_rest_is_sent() {
  client send "$request" read
  did='strace lets the first send claim that it sent 10 bytes'
  expected_response | tail -c +11 >"$dir/expected"
  assert_bytes_equal "$dir/expected" "$dir/answer" 'the rest of the response'
}

# --- System calls that fail ---------------------------------------------------

# called CALL: recvfrom and sendto are recv and send in the program.
called() { case $1 in recvfrom) echo recv ;; sendto) echo send ;; *) echo "$1" ;; esac; }

# start_failing CALL ERROR [WHEN]: strace lets CALL fail, once, the WHENth time
# (default: the first); with WHEN 1+, always.
start_failing() {
  look=${look:-what follows $(called "${1#\?}")}
  start_traced "$1" -e "inject=$1:error=$2:when=${3:-1}"
  did="strace lets call ${3:-1} of $(called "${1#\?}") fail with $2"
  did=${did/call 1+/each call}
}

# survives_failure CALL ERROR [WHEN]: that costs at most one client and one line;
# the next ones are served.
survives_failure() {
  start_failing "$@"
  start_client send "$request" read
  assert_trace INJECTED
  assert_answer send "$request" read
  assert_curl_is_answered
  wait "$client" || true
  assert_lines_said 1
  assert_no_leak "$look"
  stop_server
}

# still_answers CALL ERROR: even this client is answered.
still_answers() {
  start_failing "$@"
  assert_answer send "$request" read
  assert_trace INJECTED
  assert_lines_said 0
  stop_server
}

# probe: for setup_file. If the program does not answer one simple request, the
# tests of this file are not run. With FILTER, the caller chooses the order.
probe() {
  if [ -z "$run_dir" ] || [ -e "$run_dir/probed" ] || [ -n "${FILTER:-}" ]; then return; fi
  touch "$run_dir/probed"
  local BATS_TEST_DESCRIPTION=probe
  (
    setup
    trap teardown EXIT
    start_server && assert_answer send "$request" read
  ) >/dev/null 2>&1 ||
    echo 'the server does not answer a simple request as it should' \
      >"$run_dir/not_run"
}
