#!/usr/bin/env bash
# Sends ex3 and ex4 a request of 6 KB, in one piece and in ten. Prints how often
# epoll_wait returns and recv is called until the connection is closed. strace
# counts.
. "$(dirname "$0")/common.bash"
claim 'Edge-triggered epoll reports each arrival once' strace
rounds=$(small 3 1)

printf 'GET / HTTP/1.0\r\nX: %6121s\r\n\r\n' x >"$work/one.1"
split -b 615 "$work/one.1" "$work/ten."

# start appends the port.
traced() {
  exec strace -D -o "$work/trace" -s 0 -e signal=none \
    -e 'trace=/epoll_p?wait,accept4,recvfrom,close' "./$example" "$1"
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
      ask 0.03 "$work/$pieces".* || give_up "$example gave no answer"
      wait_for count || give_up "$example did not close the connection"
      echo "$example $pieces $(count)" >>"$results"
      stop "$server"
    done
  done
done

new_table server pieces epoll_wait least greatest recv least greatest EAGAIN
lab/summary.py 2 <"$results" | cut -f 1-9 >>"$tsv"
table

one="$(cell 3 ex3 one) times in ex3 and $(cell 3 ex4 one) in ex4"
ten="$(cell 3 ex3 ten) and $(cell 3 ex4 ten)"
confirmed_if "$(cell 3 ex4 one) < $(cell 3 ex3 one) and
  abs($(cell 3 ex4 ten) - $(cell 3 ex3 ten)) <= 2" \
  "epoll_wait returns $one; in ten pieces $ten"
