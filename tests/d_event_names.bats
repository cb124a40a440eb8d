# Appendix D: what it does, a sentence each.

# What bash -c is given is not for this shell, and each test has its own.
# shellcheck disable=SC2016,SC2030,SC2031

EXAMPLE=d_event_names

load helpers
load behaviour

# answers: a client comes, its text is printed, and its connection is closed
# when it has ended its stream. Every event is a line of stderr, so that one
# that is reported again and again has filled it by then.
answers() {
  local text=probe$RANDOM$RANDOM
  timeout 5 "$client" "$port" send "$text" finish read
  grep -q "$text" "$out"
}

# told: what stderr says of the first client, from its first line to its last.
told() {
  awk '$4 == "accepted" && !fd { fd = $3 }
    fd && $3 == fd { print substr($0, index($0, $4)) }
    fd && $3 == fd && $4 == "closed" { exit }' "$err"
}

has_told() { [ "$(told | wc -l)" -ge "$1" ]; }

# tells EVENTS...: of the first client, and no more than these.
tells() {
  wait_for has_told $(($# + 1))
  answers
  printf '%s\n' accepted "$@" >"$dir/expected"
  told >"$dir/told"
  same "$dir/expected" "$dir/told"
}

# stopped: start, and stop the server, so that what clients do from now on comes
# to it at once.
stopped() {
  fresh
  kill -STOP "$server"
  wait_for grep -q '^State:.T' "/proc/$server/status"
}

go_on() { kill -CONT "$server"; }

# have_keys: after it, start [COMMAND...] "${reading_keys[@]}" gives a server whose
# standard input is what type_to writes.
have_keys() {
  mkfifo "$dir/keys"
  exec {keys}<>"$dir/keys"
  reading_keys=(bash -c 'exec "$@" <"$0"' "$dir/keys")
}

# client_is_ready N: the first that is held waits for the Nth time.
client_is_ready() { [ "$(grep -c '^ready$' "$dir/client.0")" -eq "$1" ]; }

has_accepted() { [ "$(grep -c '  accepted$' "$err")" -eq "$1" ]; }

# type_to COUNT LINE: when so many clients have been accepted.
type_to() {
  wait_for has_accepted "$1"
  echo "$2" >&"$keys"
}

# says_nothing_else: nothing but events and what is said at the start.
says_nothing_else() {
  run ! grep -v -E \
    '^(listening|standard input is not|[0-9:]{8}\.[0-9]{3}  fd )' "$err"
}

# costs_one_client CALL ERROR WHEN: CALL fails with ERROR, the time that WHEN
# says, for a client that ends its stream; it is closed, and others are served.
costs_one_client() {
  traced "$1" -e "inject=$1:error=$2:when=$3"
  idle=$(descriptors)
  timeout 5 "$client" "$port" finish read >"$dir/answer" 2>&1
  wait_for grep -q INJECTED "$trace"
  answers
  wait_for has_descriptors "$idle"
  stop
}

# costs_nobody CALL ERROR: CALL fails with ERROR the first time, and no text is
# lost. Where the server pauses, strace skips the pause.
costs_nobody() {
  traced "$1,clock_nanosleep" -e "inject=$1:error=$2:when=1" \
    -e inject=clock_nanosleep:retval=0
  answers
  grep -q "$2.*INJECTED" "$trace"
  stop
}

# sends_in_the_end ERROR: what is typed, though send fails with ERROR at first.
sends_in_the_end() {
  have_keys
  traced sendto -e "inject=sendto:error=$1:when=1" "${reading_keys[@]}"
  hold "$port" wait read
  type_to 1 hello
  tells EPOLLOUT EPOLLOUT
  kill -USR1 "$held"
  stop
  wait_for grep -q '^hello$' "$dir/client.0"
}

# loses_the_receiver ERROR: send fails with ERROR for the first of two clients.
loses_the_receiver() {
  have_keys
  traced sendto -e "inject=sendto:error=$1:when=1" "${reading_keys[@]}"
  hold "$port"
  hold "$port" wait read
  type_to 2 hello
  tells EPOLLOUT closed
  grep -q '^send: ' "$err"
  kill -USR1 "$held"
  stop
  wait_for grep -q '^hello$' "$dir/client.1"
}

@test "d_event_names: EPOLLIN: a client sends" {
  fresh
  hold "$port" send hello
  tells EPOLLIN
  grep -q '^hello' "$out"
  stop
}

@test "d_event_names: EPOLLPRI: a client sends an urgent byte, which is printed" {
  fresh
  hold "$port" urgent '!'
  tells EPOLLPRI
  grep -q '^!' "$out"
  stop
}

@test "d_event_names: EPOLLOUT: a line is typed, and there is room to send it" {
  have_keys
  fresh "${reading_keys[@]}"
  hold "$port" wait read
  type_to 1 hello
  tells EPOLLOUT
  [ "$(grep -c '  fd 0  EPOLLIN$' "$err")" -eq 1 ]
  kill -USR1 "$held"
  stop
  wait_for grep -q '^hello$' "$dir/client.0"
}

@test "d_event_names: EPOLLRDHUP: a client ends its stream; EPOLLHUP: so do we" {
  fresh
  hold "$port" wait finish
  kill -USR1 "$held"
  tells 'EPOLLIN|EPOLLRDHUP' EPOLLHUP closed
  wait_for has_descriptors "$idle"
  says_nothing_else
  stop
}

@test "d_event_names: EPOLLERR and EPOLLHUP: a client resets" {
  fresh
  hold "$port" wait reset
  kill -USR1 "$held"
  tells 'EPOLLIN|EPOLLRDHUP|EPOLLERR|EPOLLHUP' closed
  grep -q '^recv: Connection reset by peer' "$err"
  wait_for has_descriptors "$idle"
  stop
}

@test "d_event_names: several events come as one, and EPOLLRDHUP only once" {
  stopped
  hold "$port" fill 2000 urgent 'y!' finish
  go_on
  tells 'EPOLLIN|EPOLLPRI|EPOLLRDHUP' EPOLLIN EPOLLIN EPOLLHUP closed
  [ "$(tr -dc 'xy!' <"$out" | tr -s x)" = '!xy' ]
  wait_for has_descriptors "$idle"
  stop
}

@test "d_event_names: level-triggered: what one recv has left is reported again" {
  stopped
  hold "$port" fill 5000
  go_on
  tells EPOLLIN EPOLLIN EPOLLIN EPOLLIN EPOLLIN
  stop
}

@test "d_event_names: what a client sent before its reset is printed" {
  stopped
  hold "$port" fill 1500 reset
  go_on
  tells 'EPOLLIN|EPOLLRDHUP|EPOLLERR|EPOLLHUP' 'EPOLLIN|EPOLLERR|EPOLLHUP' \
    'EPOLLIN|EPOLLERR|EPOLLHUP' closed
  [ "$(tr -dc x <"$out" | wc -c)" -eq 1500 ]
  stop
}

@test "d_event_names: a client that half-closes and resets costs nothing" {
  stopped
  hold "$port" finish reset
  go_on
  tells 'EPOLLIN|EPOLLRDHUP|EPOLLERR|EPOLLHUP' closed
  wait_for has_descriptors "$idle"
  stop
}

@test "d_event_names: many urgent bytes are no flood" {
  fresh
  hold "$port" urgent a urgent b urgent cd send e urgent f send g urgent hi
  wait_for grep -q h "$out"
  answers
  [ "$(told | wc -l)" -le 13 ]
  stop
}

@test "d_event_names: a bit without a name is printed in hex" {
  strace -e inject=none:poke_exit=@arg2=00 true || skip 'needs strace 5.11'
  traced epoll_wait -e inject=epoll_wait:poke_exit=@arg2=41000001:when=2
  hold "$port" send hello
  tells 'EPOLLIN|0x1000040'
  stop
}

@test "d_event_names: a line begins with the time and the descriptor" {
  export TZ=XYZ-5:30
  local before after
  before=$(date +%T.000)
  fresh
  answers
  stop
  after=$(date +%T.999)
  # Across midnight, the times do not compare.
  [[ $before < $after ]] || skip 'midnight'
  grep '  fd ' "$err" | while read -r time fd number _; do
    echo "$time $fd $number"
    [[ $time =~ ^[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}$ ]]
    [[ ! $time < $before && ! $time > $after ]]
    [[ $number =~ ^[0-9]+$ ]]
  done
}

@test "d_event_names: each line of stderr is one write" {
  traced write
  answers
  stop
  [ "$(grep -c '^write(2' "$trace")" -eq "$(wc -l <"$err")" ]
}

@test "d_event_names: sleeps when nothing happens, whatever has happened" {
  have_keys
  traced epoll_wait "${reading_keys[@]}"
  hold "$port" send hello urgent '!' wait read
  type_to 1 hello
  hold "$port" send hello finish
  hold "$port" send hello reset
  answers
  stop
  run ! grep -E '^epoll_wait.*, [0-9]+\) ' "$trace"
  [ "$(grep -c '^epoll_wait.* = [1-9]' "$trace")" -le 20 ]
}

@test "d_event_names: EPOLLET is nowhere" {
  have_keys
  traced epoll_ctl "${reading_keys[@]}"
  hold "$port"
  type_to 1 hello
  tells EPOLLOUT
  stop
  grep -q EPOLLOUT "$trace"
  run ! grep EPOLLET "$trace"
}

@test "d_event_names: prints NUL bytes, bytes that are no UTF-8 and % as they came" {
  fresh
  local bytes='%%s%%n\x00\x01\xff\xc3( \x1b no newline'
  "$client" "$port" send "${bytes//%%/%}" finish read
  stop
  printf "$bytes" >"$dir/expected"
  same "$dir/expected" "$out"
}

@test "d_event_names: prints 300 KB" {
  fresh
  "$client" "$port" fill 300000 finish read
  [ "$(tr -dc x <"$out" | wc -c)" -eq 300000 ]
  wait_for has_descriptors "$idle"
  stop
}

@test "d_event_names: prints what comes before the next event is waited for" {
  traced recvfrom,epoll_wait,write
  "$client" "$port" send hello finish read
  stop
  grep -A 1 '^recvfrom.*"hello"' "$trace" | grep -q '^write(1, "hello"'
}

@test "d_event_names: what is typed is sent to all clients" {
  have_keys
  fresh "${reading_keys[@]}"
  hold -n 3 "$port" wait read
  type_to 3 one
  type_to 3 two
  answers
  [ "$(told | tail -n +2 | uniq)" = EPOLLOUT ]
  kill -USR1 "$held"
  stop
  wait_for client_is_ready 2
  printf '%s\n' ready one two one two one two ready >"$dir/expected"
  same "$dir/expected" "$dir/client.0"
}

# Standard input is reported again before there is room to send.
@test "d_event_names: what is typed is sent whole, though it takes two reads" {
  have_keys
  fresh "${reading_keys[@]}"
  local line
  line=$(printf 'x%.0s' {1..1024})$(printf 'y%.0s' {1..1000})
  hold "$port" wait read
  type_to 1 "$line"
  tells EPOLLOUT
  kill -USR1 "$held"
  stop
  wait_for client_is_ready 2
  printf '%s\n' ready "$line" ready >"$dir/expected"
  same "$dir/expected" "$dir/client.0"
}

@test "d_event_names: what is typed is consumed when there is no client" {
  have_keys
  fresh "${reading_keys[@]}"
  type_to 0 hello
  wait_for grep -q '  fd 0  EPOLLIN$' "$err"
  answers
  [ "$(grep -c '  fd 0  ' "$err")" -eq 1 ]
  says_nothing_else
  stop
}

@test "d_event_names: a client that ends its stream still gets what was typed before" {
  have_keys
  fresh "${reading_keys[@]}"
  hold "$port" wait finish wait read
  wait_for has_accepted 1
  kill -STOP "$server"
  type_to 1 hello
  kill -USR1 "$held"
  wait_for client_is_ready 2
  go_on
  tells 'EPOLLIN|EPOLLRDHUP' EPOLLOUT EPOLLHUP closed
  kill -USR1 "$held"
  wait_for grep -q '^hello$' "$dir/client.0"
  stop
}

@test "d_event_names: a client that does not read misses what is typed, and costs nobody else" {
  have_keys
  fresh "${reading_keys[@]}"
  hold "$port"
  yes "$(printf 'x%.0s' {1..1023})" >&"$keys" 2>"$dir/yes" 3>&- &
  wait_for grep -q '  misses what was typed$' "$err"
  kill "$!"
  leave "$held"
  wait_for grep -q '  closed$' "$err"
  answers
  wait_for has_descriptors "$idle"
  stop
}

@test "d_event_names: /dev/null as standard input is refused, and served are the clients" {
  fresh
  grep -q '^standard input is not watched: Operation not permitted$' "$err"
  answers
  says_nothing_else
  stop
}

@test "d_event_names: a file as standard input is refused, and served are the clients" {
  fresh bash -c 'exec "$@" <"$0"' "$top/README.md"
  grep -q '^standard input is not watched: Operation not permitted$' "$err"
  answers
  says_nothing_else
  stop
}

@test "d_event_names: without a standard input, clients are served" {
  fresh bash -c 'exec "$@" <&-' bash
  grep -q '^standard input is not watched: File exists$' "$err"
  grep -q '^listening' "$err"
  answers
  says_nothing_else
  stop
}

@test "d_event_names: EPOLLHUP: standard input ends, and is watched no more" {
  fresh bash -c 'exec "$@" < <(:)' bash
  wait_for grep -q '^standard input is watched no more$' "$err"
  answers
  [ "$(grep -c '  fd 0  EPOLLHUP$' "$err")" -eq 1 ]
  [ "$(grep -c '  fd 0  ' "$err")" -eq 1 ]
  stop
}

@test "d_event_names: EPOLLERR: standard input cannot be read, and is watched no more" {
  fresh bash -c 'exec "$@" 0> >(:)' bash
  wait_for grep -q '^standard input is watched no more$' "$err"
  grep -q '^read: Bad file descriptor$' "$err"
  answers
  [ "$(grep -c '  fd 0  EPOLLERR$' "$err")" -eq 1 ]
  [ "$(grep -c '  fd 0  ' "$err")" -eq 1 ]
  stop
}

@test "d_event_names: read fails with EINTR: nothing typed is lost" {
  have_keys
  traced read -P "$dir/keys" -e inject=read:error=EINTR:when=1 \
    "${reading_keys[@]}"
  hold "$port" wait read
  type_to 1 hello
  tells EPOLLOUT
  grep -q 'EINTR.*INJECTED' "$trace"
  kill -USR1 "$held"
  stop
  wait_for grep -q '^hello$' "$dir/client.0"
}

@test "d_event_names: listens on port 9999 of every address, unless told otherwise" {
  run -1 timeout 5 strace -o "$trace" -e trace=bind \
    -e inject=bind:error=EADDRINUSE "$bin/$EXAMPLE"
  grep -q 'htons(9999), sin_addr=inet_addr("0.0.0.0")' "$trace"
}

@test "d_event_names: a port that is none, or a surplus argument, is named, and the exit status is 2" { refuses_what_is_no_port; }
@test "d_event_names: says that the port is taken, and exits with 1" {
  start
  run -1 timeout 5 "$bin/$EXAMPLE" "$port"
  [ "$output" = 'bind: Address already in use' ]
  answers
  stop
}
@test "d_event_names: a call that fails at the start is named, and the exit status is 1" {
  ends_if_a_call_fails_at_start socket setsockopt bind listen \
    rt_sigaction:sigaction fcntl epoll_create1 epoll_ctl
}

@test "d_event_names: a client that leaves before it sends is let go" {
  fresh
  "$client" "$port"
  tells 'EPOLLIN|EPOLLRDHUP' EPOLLHUP closed
  goes_on
}
@test "d_event_names: twenty clients that reset cost nothing" {
  fresh
  local i
  for i in {1..20}; do "$client" "$port" send hello reset; done
  goes_on
}
@test "d_event_names: serves twenty clients one after the other" {
  fresh
  local i
  for i in {1..20}; do answers; done
  goes_on
}
@test "d_event_names: 300 stalled clients do not hold up another" { serves_beside_300_stalled_clients; }

# ends_on SIGNAL: having served, so that the port is in TIME_WAIT.
ends_on() {
  start
  answers
  stop "$1"
  says_nothing_else
  start_on "$port"
  grep '^listening' "$err"
  stop
}
@test "d_event_names: ends quietly on SIGINT, and its port is free" { ends_on INT; }
@test "d_event_names: ends quietly on SIGTERM, and its port is free" { ends_on TERM; }
@test "d_event_names: ends within a second while 100 clients stall" {
  have_keys
  start "${reading_keys[@]}"
  hold -n 100 "$port" send hello
  type_to 100 hello
  within_a_second stop
  says_nothing_else
}
@test "d_event_names: ends within a second under load" {
  have_keys
  start "${reading_keys[@]}"
  hold -n 10 "$port"
  yes >&"$keys" 2>"$dir/yes" 3>&- &
  clients+=($!)
  "$client" -n 10 "$port" fill 10000000 >"$dir/load" 2>&1 3>&- &
  clients+=($!)
  wait_for grep -q xxxx "$out"
  wait_for grep -q EPOLLOUT "$err"
  within_a_second stop INT
}
@test "d_event_names: ends though nobody reads its output" {
  local reader
  mkfifo "$dir/pipe"
  exec {reader}<>"$dir/pipe"
  out=$dir/pipe start
  "$client" "$port" fill 200000 wait >"$dir/answer" 3>&- &
  clients+=($!)
  wait_for not timeout 0.3 "$client" "$port" finish read
  kill -TERM "$server"
  ended 0
  exec {reader}<&-
}
@test "d_event_names: goes on after SIGSTOP and SIGCONT" { survives_a_stop_and_a_continuation; }
@test "d_event_names: a signal that lands just before epoll_wait is not lost" { loses_no_signal epoll_wait; }

@test "d_event_names: accept4 fails with EINTR: the client is served all the same" { costs_nobody accept4 EINTR; }
@test "d_event_names: accept4 fails with ECONNABORTED: the client is served all the same" { costs_nobody accept4 ECONNABORTED; }
@test "d_event_names: accept4 fails with EPROTO: the client is served all the same" { costs_nobody accept4 EPROTO; }
@test "d_event_names: accept4 fails with EMFILE: the client is served all the same" { costs_nobody accept4 EMFILE; }
@test "d_event_names: accept4 fails with ENFILE: the client is served all the same" { costs_nobody accept4 ENFILE; }
@test "d_event_names: accept4 fails with ENOBUFS: the client is served all the same" { costs_nobody accept4 ENOBUFS; }
@test "d_event_names: accept4 fails again and again: no spin, no flood of messages" {
  traced accept4 -e inject=accept4:error=EMFILE
  "$client" "$port"
  wait_for grep -q '^accept: Too many open files' "$err"
  sleep 0.5
  [ "$(wc -l <"$err")" -le 6 ]
  within_a_second stop
}
@test "d_event_names: recv fails with EINTR: nothing is lost" { costs_nobody recvfrom EINTR; }
@test "d_event_names: recv fails with EAGAIN: nothing is lost" { costs_nobody recvfrom EAGAIN; }
@test "d_event_names: epoll_wait fails with EINTR: nobody is lost" { costs_nobody epoll_wait EINTR; }
@test "d_event_names: recv fails with ECONNRESET: it costs one client" { costs_one_client recvfrom ECONNRESET 1; }
@test "d_event_names: recv fails with ETIMEDOUT: it costs one client" { costs_one_client recvfrom ETIMEDOUT 1; }
@test "d_event_names: epoll_ctl fails with ENOMEM when a client is added: it costs that one" { costs_one_client epoll_ctl ENOMEM 3; }
@test "d_event_names: epoll_ctl fails with ENOSPC when a client is added: it costs that one" { costs_one_client epoll_ctl ENOSPC 3; }
@test "d_event_names: epoll_ctl fails when interest ends: it costs one client" { costs_one_client epoll_ctl ENOMEM 4; }
@test "d_event_names: shutdown fails with ENOTCONN: the connection is closed" { costs_one_client shutdown ENOTCONN 1; }
@test "d_event_names: epoll_ctl fails when standard input is added: clients are served" {
  traced epoll_ctl -e inject=epoll_ctl:error=ENOSPC:when=2
  grep -q '^standard input is not watched: No space left on device$' "$err"
  answers
  stop
}

@test "d_event_names: epoll_ctl fails when standard input ends: no spin" {
  traced epoll_ctl -e inject=epoll_ctl:error=ENOMEM:when=3 \
    bash -c 'exec "$@" < <(:)' bash
  ended 1
  grep -q '^epoll_ctl: Cannot allocate memory$' "$err"
}
@test "d_event_names: epoll_ctl fails when EPOLLOUT is asked for: only that text is missed" {
  have_keys
  traced epoll_ctl -e inject=epoll_ctl:error=ENOMEM:when=4 "${reading_keys[@]}"
  hold "$port" wait read
  type_to 1 one
  wait_for grep -q '  misses what was typed$' "$err"
  type_to 1 two
  tells 'misses what was typed' EPOLLOUT
  kill -USR1 "$held"
  stop
  wait_for grep -q '^two$' "$dir/client.0"
  run ! grep one "$dir/client.0"
}
@test "d_event_names: epoll_ctl fails when EPOLLOUT has done its part: it costs one client" {
  have_keys
  traced epoll_ctl -e inject=epoll_ctl:error=ENOMEM:when=5 "${reading_keys[@]}"
  hold "$port"
  type_to 1 one
  tells EPOLLOUT closed
  stop
}
@test "d_event_names: send fails with EINTR: the text is sent all the same" { sends_in_the_end EINTR; }
@test "d_event_names: send fails with EAGAIN: the text is sent all the same" { sends_in_the_end EAGAIN; }
@test "d_event_names: send fails with EPIPE: it costs one client" { loses_the_receiver EPIPE; }
@test "d_event_names: send fails with ECONNRESET: it costs one client" { loses_the_receiver ECONNRESET; }
@test "d_event_names: send takes a part: the rest is sent" {
  have_keys
  traced sendto -e inject=sendto:retval=10:when=1 "${reading_keys[@]}"
  hold "$port" wait read
  type_to 1 abcdefghijKLM
  tells EPOLLOUT EPOLLOUT
  kill -USR1 "$held"
  stop
  wait_for grep -q '^KLM$' "$dir/client.0"
}

@test "d_event_names: a client that resets before a text is sent costs nothing" {
  have_keys
  fresh "${reading_keys[@]}"
  hold "$port" wait finish reset
  wait_for has_accepted 1
  kill -STOP "$server"
  type_to 1 hello
  kill -USR1 "$held"
  wait_for client_is_ready 2
  go_on
  wait_for grep -q '^send: Broken pipe$' "$err"
  answers
  wait_for has_descriptors "$idle"
  stop
}

@test "d_event_names: the listener and the connections do not block" { has_non_blocking_sockets; }

has_dealt_with() { [ "$(grep -c -E 'turned away|  accepted$' "$err")" -eq "$1" ]; }

# The last descriptor that may be had stays free, so 38 is the last in use. Two
# lines at the start, two for a client that is turned away (the listener's event
# and the reason), and three for the others.
@test "d_event_names: more clients than descriptors: no spin, and service again when some leave" {
  fresh bash -c 'ulimit -n 40 && exec "$@"' bash
  hold -n 20 "$port" send hello
  local first=$held
  hold -n 60 "$port" send hello
  local second=$held
  wait_for has_dealt_with 80
  grep -q 'client turned away' "$err"
  test -e "/proc/$server/fd/38"
  timeout 5 "$client" "$port" read || true
  [ "$(wc -l <"$err")" -le $((2 + 81 * 3)) ]
  leave "$first"
  wait_for grep -q '  closed$' "$err"
  wait_for answers
  leave "$second"
  wait_for has_descriptors "$idle"
  answers
  stop
}
@test "d_event_names: a client that is turned away is told so at once" { tells_the_clients_it_turns_away; }
@test "d_event_names: more clients than memory: service again when some leave" { turns_away_clients_when_memory_is_short; }
