#!/usr/bin/env bash
# usage: wakeups.sh
#
# A request of 6 KB, whole and in ten pieces, to ex3 and to ex4. Prints how
# often epoll_wait returns and recv is called for it, as strace sees them.
. "$(dirname "$0")/common.bash"
need strace split gnuplot

claim 'Edge-triggered epoll reports each arrival once'
rounds=$(small 3 1)
pause=0.03
does "One client sends 6,144 bytes: whole, or in ten pieces $pause s apart. recv
takes 1,024 at most. Counted until the server closes the connection: all returns
of epoll_wait (one of them for the listener, one for EPOLLOUT, one for
EPOLLHUP), all calls of recv, and those of them that say EAGAIN. Medians and
range; rounds: $rounds, with a new server for each request."

printf 'GET / HTTP/1.0\r\nX: %6121s\r\n\r\n' x >"$work/whole.1"
split -b 615 "$work/whole.1" "$work/pieces."

# For start, which adds the port.
traced() {
  exec strace -D -o "$work/trace" -s 0 -e signal=none \
    -e 'trace=?epoll_wait,epoll_pwait,accept4,recvfrom,close' "./$example" "$1"
}

# ask FILE...: sends each with a write of its own, and reads the response.
ask() {
  local piece fd answer
  { exec {fd}<>"/dev/tcp/127.0.0.1/$port"; } 2>/dev/null ||
    give_up "$example has ended"
  for piece in "$@"; do
    { cat "$piece" >&"$fd"; } 2>/dev/null ||
      give_up "$example left in the middle"
    sleep "$pause"
  done
  IFS= read -r -d '' -t 10 -u "$fd" answer || true
  exec {fd}>&-
  [[ $answer = *'Hello, world!' ]] || give_up "$example gave no answer"
}

# count: the returns of epoll_wait, the calls of recv, and those of them that
# say EAGAIN, until the connection is closed; fails if it is not.
count() {
  awk '/^epoll_p?wait.* = [1-9]/ { waits++ }
    /^accept4.* = [0-9]+$/ { fd = $NF }
    /^recvfrom/ { recvs++ }
    /^recvfrom.*EAGAIN/ { again++ }
    fd != "" && index($0, "close(" fd ")") == 1 { closed = 1; exit }
    END { print waits + 0, recvs + 0, again + 0; exit !closed }' "$work/trace"
}

for ((round = 1; round <= rounds; round++)); do
  for request in whole pieces; do
    for example in ex3 ex4; do
      progress "round $round of $rounds: $example, $request"
      start traced
      ask "$work/$request".*
      wait_for count || give_up "$example did not close the connection"
      count >>"$work/$example $request"
      stop "$server"
    done
  done
done

# of COLUMN EXAMPLE REQUEST: all its counts, a line each.
of() { cut -d ' ' -f "$1" "$work/$2 $3"; }
range() { spread | tr ' ' -; }

new_table server request epoll_wait range recv range EAGAIN
for request in whole pieces; do
  for example in ex3 ex4; do
    set -- "$example" "$request"
    row "$@" "$(of 1 "$@" | median)" "$(of 1 "$@" | range)" \
      "$(of 2 "$@" | median)" "$(of 2 "$@" | range)" "$(of 3 "$@" | median)"
  done
done
table

# The rows are ex3 and ex4, whole; ex3 and ex4, in pieces. The first pair of
# bars is of epoll_wait, the second of recv.
picture <<'END'
set datafile separator "\t"
stats file every ::1 using 5 nooutput
set xrange [-1:11.5]
set yrange [0:1.25 * STATS_max]
set bmargin 4.5
unset xtics
set ylabel "calls for one request"
x(row, pair) = int(row) / 2 * 6 + int(row) % 2 + pair * 2.5
do for [row = 0:3] {
  do for [pair = 0:1] {
    set label sprintf("ex%d", 3 + row % 2) at x(row, pair), 0 \
      center offset 0, -0.9
  }
}
do for [row = 0:2:2] {
  set label "epoll_wait" at x(row, 0) + 0.5, 0 center offset 0, -2.2
  set label "recv" at x(row, 1) + 0.5, 0 center offset 0, -2.2
}
set label "6 KB in one piece" at 1.75, graph 0.94 center
set label "in ten pieces" at 7.75, graph 0.94 center
set arrow from 4.75, graph 0 to 4.75, graph 1 nohead lc rgb "#aaaaaa" lw 1.5
colour(row) = int(row) % 2 ? 0xd55e00 : 0x0072b2
numbers(column) = sprintf("%g", column)
plot file every ::1 using (x($0, 0)):3:(colour($0)) \
    with boxes lc rgb variable, \
  "" every ::1 using (x($0, 1)):5:(0xf3c7a5) with boxes lc rgb variable, \
  "" every ::1 using (x($0, 1)):($5 - $7):(colour($0)) \
    with boxes lc rgb variable, \
  "" every ::1 using (x($0, 0)):3:(numbers($3)) with labels offset 0, 0.8, \
  "" every ::1 using (x($0, 1)):5:(numbers($5)) with labels offset 0, 0.8, \
  "" every ::3 using (x($0 + 2, 1)):($7 > 0 ? $5 - $7 / 2 : NaN):("EAGAIN") \
    with labels left offset 2.2, 0
END

waits() { of 1 "$@" | median; }
recvs() { of 2 "$@" | median; }
if holds "$(waits ex4 whole) < $(waits ex3 whole) &&
    $(waits ex4 pieces) - $(waits ex3 pieces) <= 2 &&
    $(waits ex3 pieces) - $(waits ex4 pieces) <= 2 &&
    $(recvs ex4 pieces) > $(recvs ex3 pieces)"; then
  result=confirmed
else
  result='not confirmed'
fi
verdict "$result" "for a request in one piece, epoll_wait returns
$(waits ex3 whole) times in ex3 and $(waits ex4 whole) times in ex4; in ten
pieces, $(waits ex3 pieces) and $(waits ex4 pieces) times, and recv is called
$(recvs ex3 pieces) and $(recvs ex4 pieces) times."
