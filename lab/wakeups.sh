#!/usr/bin/env bash
# usage: wakeups.sh
#
# Sends ex3 and ex4 a request of 6 KB, in one piece and in ten. Prints how often
# epoll_wait returns and recv is called until the connection is closed. strace
# counts.
. "$(dirname "$0")/common.bash"
need strace split gnuplot column
claim 'Edge-triggered epoll reports each arrival once'
rounds=$(small 3 1)

printf 'GET / HTTP/1.0\r\nX: %6121s\r\n\r\n' x >"$work/one.1"
split -b 615 "$work/one.1" "$work/ten."

# start appends the port.
traced() {
  exec strace -D -o "$work/trace" -s 0 -e signal=none \
    -e 'trace=?epoll_wait,epoll_pwait,accept4,recvfrom,close' "./$example" "$1"
}

# ask FILE...: sends each with one write, and reads the response.
ask() {
  local piece fd answer=
  { exec {fd}<>"/dev/tcp/127.0.0.1/$port"; } 2>/dev/null ||
    give_up "$example has ended"
  for piece in "$@"; do
    { cat "$piece" >&"$fd"; } 2>/dev/null || give_up "$example closed early"
    sleep 0.03
  done
  IFS= read -r -d '' -t 10 -u "$fd" answer || true
  exec {fd}>&-
  [[ $answer = *'Hello, world!' ]] || give_up "$example gave no answer"
}

# count: prints the returns of epoll_wait, the calls of recv, and how many of
# them end in EAGAIN. Fails if the connection is not closed.
count() {
  awk '/^epoll_p?wait.* = [1-9]/ { waits++ }
    /^accept4.* = [0-9]+$/ { fd = $NF }
    /^recvfrom/ { recvs++ }
    /^recvfrom.*EAGAIN/ { again++ }
    fd != "" && index($0, "close(" fd ")") == 1 { closed = 1; exit }
    END { print waits + 0, recvs + 0, again + 0; exit !closed }' "$work/trace"
}

for ((round = 1; round <= rounds; round++)); do
  for pieces in one ten; do
    for example in ex3 ex4; do
      progress "round $round of $rounds: $example, $pieces"
      start traced
      ask "$work/$pieces".*
      wait_for count || give_up "$example did not close the connection"
      echo "$example.$pieces $(count)" >>"$work/counts"
      stop "$server"
    done
  done
done

# of COLUMN EXAMPLE PIECES: the median, and the range.
of() { numbers "$work/counts" "$2.$3" "$1" | summary; }

new_table server pieces epoll_wait range recv range EAGAIN
for pieces in one ten; do
  for example in ex3 ex4; do
    read -r waits least most < <(of 2 "$example" "$pieces")
    read -r recvs fewest greatest < <(of 3 "$example" "$pieces")
    read -r again _ < <(of 4 "$example" "$pieces")
    row "$example" "$pieces" "$waits" "$least-$most" \
      "$recvs" "$fewest-$greatest" "$again"
  done
done
table

picture <<'END'
set style data histograms
set style histogram clustered gap 1
set boxwidth 0.9
set yrange [0:*]
set offsets 0, 0, graph 0.15, 0
set ylabel "per request of 6 KB"
set key top left Left reverse samplen 1.5
set bmargin 4.5
text(n, pieces) = n . "\n" . pieces . (pieces eq "one" ? " piece" : " pieces")
plot file every ::1 using 3:xtic(text(stringcolumn(1), stringcolumn(2))) \
    lc rgb blue title "epoll_wait returns", \
  '' every ::1 using 5 lc rgb green title "recv is called", \
  '' every ::1 using 7 lc rgb orange title "recv ends in EAGAIN", \
  '' every ::1 using ($0 - 0.25):3:3 with labels offset 0, 0.7 notitle, \
  '' every ::1 using ($0):5:5 with labels offset 0, 0.7 notitle, \
  '' every ::1 using ($0 + 0.25):7:7 with labels offset 0, 0.7 notitle
END

waits() { of 2 "$@" | cut -d ' ' -f 1; }
confirmed_if "$(waits ex4 one) < $(waits ex3 one) &&
  ($(waits ex4 ten) - $(waits ex3 ten)) ^ 2 <= 4" \
  "epoll_wait returns $(waits ex3 one) times in ex3 and $(waits ex4 one) in ex4;
in ten pieces $(waits ex3 ten) and $(waits ex4 ten)"
