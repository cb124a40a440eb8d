# What makes appendix J itself: a parent, and workers that share one port. What a
# worker has in common with example 3 is in the shared files.

EXAMPLE=j_processes
load ../../tests/helpers

# start_workers MODE COUNT [COMMAND...]: starts them; $workers are their pids.
start_workers() {
  trait[arguments]="$1 $2" trait[on_signal]=exits
  start_server "${@:3}"
  await_workers "$2"
}

# await_workers COUNT: returns when so many watch the listener, and sleep.
await_workers() {
  { wait_for all_watch "$1" && wait_for all_are S; } ||
    fail "$1 workers, asleep in epoll_wait" "the workers are ${workers[*]}"
}
find_workers() { mapfile -t workers < <(pgrep -P "$server") && [ "${#workers[@]}" -eq "$1" ]; }
all_watch() {
  local pid
  find_workers "$1" || return 1
  for pid in "${workers[@]}"; do grep -q '^tfd:' "/proc/$pid/fdinfo/"* || return 1; done
}

# all_are STATES: all workers are in one of these states: S asleep, ZX gone.
all_are() {
  local pid stat
  for pid in "${workers[@]}"; do
    stat=') X'
    { read -r stat <"/proc/$pid/stat"; } 2>/dev/null || true
    [[ ${stat##*) } == [$1]* ]] || return 1
  done
}

# end_and_count: ends the server. It says how many clients each worker had: $all
# together, $most for one.
end_and_count() {
  stop_server
  counts=$(sed -n 's/^worker [0-9]* had \([0-9]*\) clients$/\1/p' "$err" | sort -n | xargs)
  most=${counts##* } all=$((${counts// /+}))
}

# serve_100 MODE: 100 clients, one after the other. All workers sleep before each.
serve_100() {
  start_workers "$1" 4
  for _ in {1..100}; do
    wait_for all_are S
    client send "$request" read
  done
  end_and_count
  did='100 clients, one after the other'
  [ "$all" -eq 100 ] || fail 'all workers together have 100 clients' "$all"
}

@test "exclusive: one worker has more than half of the clients, if all sleep before each" {
  look='main: EPOLLEXCLUSIVE'
  serve_100 exclusive
  [ "$most" -gt 50 ] || fail 'one worker has more than 50' "$counts"
}

@test "reuseport: no worker has more than 70 of 100 clients" {
  look='open_listener: SO_REUSEPORT, and main: listeners'
  serve_100 reuseport
  [ "$most" -le 70 ] || fail 'none has more than 70' "$counts"
}

# start_with_client MODE COUNT: a client stays. Sets $holder, its worker, which has
# the most descriptors, and $idle, another one.
start_with_client() {
  local pid
  start_workers "$@"
  hold_client
  wait_for all_are S
  holder=$(for pid in "${workers[@]}"; do echo "$(find "/proc/$pid/fd" | wc -l) $pid"; done |
    sort -n | tail -n 1 | cut -d ' ' -f 2)
  for idle in "${workers[@]}"; do [ "$idle" = "$holder" ] || break; done
}

# 40 clients, so that some of them wait for the stopped worker.
@test "reuseport: clients wait for a stopped worker; if it is killed, for the next one" {
  local PATIENCE=$((PATIENCE + 4))
  look='main: the parent keeps the listeners open; supervise'
  start_with_client reuseport 2
  kill -STOP "$holder"
  start_client -n 40 send "$request" wait read
  did+='; one of two workers is stopped'
  await_ready
  [ "$(grep -c GET "$out")" -lt 40 ] || fail 'some of the clients wait' 'all 40 are served'
  kill -KILL "$holder"
  did+=', then gets SIGKILL'
  release "$client"
  wait "$client" || true
  [ "$(grep -c 'Hello, world!' "$answer")" -eq 40 ] ||
    fail '40 answers' "$(grep -c 'Hello, world!' "$answer"): $(sort "$answer.err" | uniq -c)"
}

# The kernel wakes one worker only, and this one cannot accept.
@test "exclusive: a client waits for the next one, if the woken worker has no descriptor left" {
  local waiting free=0
  start_with_client exclusive 2
  while [ -e "/proc/$holder/fd/$free" ]; do free=$((free + 1)); done
  prlimit --pid "$holder" --nofile="$free:"
  start_client send "$request" wait read
  waiting=$client
  await_ready
  assert_said "^accept4: $EMFILE"
  wait_for all_are S
  [ ! -s "$out" ] || fail 'the client waits, although a worker sleeps' 'it is served'
  release "$waiting"
  start_client send "$request" read
  wait "$client" "$waiting" || fail 'both are served' "$(what_happened || cat "$answer.err")"
}

@test "exclusive: a worker that had no descriptor left watches the listener so again" {
  look='retry_accept: arrivals'
  trait[arguments]='exclusive 0'
  start_traced accept4,epoll_ctl -e inject=accept4:error=EMFILE:when=1
  assert_answer send "$request" read
  assert_trace 'EPOLL_CTL_DEL'
  refute_trace 'EPOLL_CTL_ADD, 3, \{(events=)?EPOLLIN,'
}

@test "starts workers that died again, at most one a second" {
  local PATIENCE=$((PATIENCE + 4)) before
  look='supervise: SIGALRM; main: SA_NOCLDSTOP'
  start_with_client exclusive 3
  before=$(now)
  kill -KILL "$holder" "$idle"
  did+='; its worker and another one get SIGKILL'
  wait_for find_workers 1
  (while kill -STOP "${workers[0]}" && kill -CONT "${workers[0]}"; do sleep 0.3; done) &
  did+=', and the third one SIGSTOP and SIGCONT, three times a second'
  await_workers 3
  [ "$(since "$before")" -ge 1900 ] || fail 'in two seconds' "in $(since "$before") ms"
  end_and_count
  assert_lines_said 5
  [ "$all" -eq 1 ] || fail 'a new worker counts from 0' "$counts"
}

# ends_on SIGNAL: all processes get it, as after Ctrl-C; some clients are silent,
# others are being served.
ends_on() {
  start_workers reuseport 4 setsid
  hold_client -n 20 send 'GET / HT'
  start_client -n 40 send "$request" read
  wait_for test -s "$answer"
  kill "-$1" -- "-$server"
  did+="; all processes get SIG$1"
  assert_server_exits 0
  look='end: it waits for the workers'
  all_are ZX || fail 'no worker is left' "one of ${workers[*]} is"
  [ "$(grep -c '^worker' "$err")" -eq 4 ] || fail 'a line for each worker' "$(<"$err")"
  trait[arguments]='shared 4'
  start_on "$port"
  assert_said '^listening'
}
@test "ends with all workers on SIGTERM, and its port is free at once" { ends_on TERM; }
@test "ends with all workers on Ctrl-C, and its port is free at once" { ends_on INT; }

# assert_none_left: the workers end with their parent.
assert_none_left() {
  kill -KILL "$server"
  did+='; the parent gets SIGKILL'
  wait_for all_are ZX && return
  kill -KILL "${workers[@]}"
  fail 'the kernel ends the workers, too' 'they go on'
}

# A pipe contains 64 KiB: then the workers sleep in write.
@test "leaves no worker if the parent is killed, even while nobody reads their output" {
  local reader
  look='start_worker: PR_SET_PDEATHSIG'
  mkfifo "$dir/pipe"
  exec {reader}<>"$dir/pipe"
  out=$dir/pipe start_workers shared 4
  hold_client -n 40 fill 4000 send '\r\n\r\n'
  assert_none_left
}

@test "leaves no worker if the parent is killed before a worker calls prctl" {
  look='start_worker: getppid'
  trait[threads]=yes trait[arguments]='shared 2'
  start_traced prctl -e inject=prctl:delay_enter=1000000
  wait_for find_workers 2
  did='strace delays prctl by a second'
  assert_none_left
}

# As some C library and some kernel name it.
fork='?fork,?clone,?clone3'

@test "fork fails when a worker has died: the others serve, and it tries again" {
  local PATIENCE=$((PATIENCE + 4))
  look='supervise: fork'
  trait[arguments]='shared 2'
  start_traced "$fork" -e "inject=$fork:error=EAGAIN:when=3"
  await_workers 2
  kill -KILL "${workers[0]}"
  did='strace lets the third fork fail; one of two workers gets SIGKILL'
  assert_said '^fork: Resource temporarily unavailable'
  assert_curl_is_answered
  await_workers 2
}

@test "says what killed a worker; if it cannot start again, the others serve" {
  local PATIENCE=$((PATIENCE + 4))
  look='reap, and supervise: exited'
  start_with_client exclusive 2
  prlimit --pid "$server" --nofile=3:
  kill -USR1 "$idle"
  did+='; the other one of two gets SIGUSR1, and the parent may open nothing'
  assert_said '^it was killed: User defined signal 1'
  assert_said "^epoll_create1: $EMFILE"
  assert_curl_is_answered
  prlimit --pid "$server" --nofile=100:
  await_workers 2
}

# both_died_again: kills each worker that it finds.
both_died_again() {
  pkill -KILL -P "$server"
  [[ $(grep -c '^worker 1' "$err") -ge 2 && $(grep -c '^worker 2' "$err") -ge 2 ]]
}
@test "starts each dead worker in its turn" {
  local PATIENCE=$((PATIENCE + 4))
  look='supervise: first'
  start_workers shared 2
  did='all workers get SIGKILL, again and again'
  wait_for both_died_again || fail 'worker 1 and worker 2 start again' "$(<"$err")"
}

# fails_in_worker CALL ERROR: there, it is a failure after which nobody can serve.
# After EINVAL from accept4, musl calls accept. It writes each line in pieces, so the
# lines of several workers may mix.
fails_in_worker() {
  look='supervise: WIFEXITED'
  trait[threads]=yes trait[arguments]='shared 4'
  start_failing "$1" "$2" 1+
  start_client
  assert_server_exits 1
  assert_said "${1#accept,}"
}
@test "a worker cannot start: all end, with exit status 1" { fails_in_worker epoll_create1 ENOMEM; }
@test "the listener is gone: all end, with exit status 1" { fails_in_worker accept,accept4 EINVAL; }

@test "rejects an unknown mode, an invalid number of workers, or an extra argument" {
  local wrong
  look=port_argument
  for wrong in exclusiv '' 4; do assert_rejects "$wrong" 8080 "$wrong"; done
  for wrong in -1 8193 4x ' 4' '' 100000; do assert_rejects "$wrong" 8080 shared "$wrong"; done
  assert_rejects extra 8080 shared 4 extra
}

@test "prints a request of 5,000 bytes with one write, so that requests do not mix" {
  look='main: setvbuf'
  start_traced write,writev
  assert_answer fill 5000 send '\r\n\r\n' read
  [ "$(count_trace '^writev?\(1, ')" -eq 1 ] || fail 'one write' "$(count_trace '^writev?\(1, ')"
}

@test "survives clients of all kinds at once; requests of two workers do not mix" {
  local mode lengths
  for mode in shared exclusive reuseport; do
    start_workers "$mode" 4
    clients=()
    for _ in 1 2 3; do
      start_client -n 30 fill 5000 send '\r\n\r\n' read
      start_client -n 15 send 'GET / HT' finish read
      start_client -n 15 fill 3000 reset
      start_client -n 10 fill 9000 read
      start_client -n 30
    done
    wait "${clients[@]}" || true
    [ "$(cat "$dir"/answer.* | grep -o 'Hello, world!' | wc -l)" -eq 90 ] ||
      fail '90 answers' "$(cat "$dir"/answer.* | grep -o 'Hello, world!' | wc -l)"
    lengths=$(awk '{ print length }' "$out" | sort -n | uniq -c | xargs)
    [ "$lengths" = '90 0 90 40 90 5001' ] ||
      fail '90 requests, one after the other' "lines of these lengths: $lengths"
    await_workers 4
    stop_server
  done
}
