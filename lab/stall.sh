#!/usr/bin/env bash
# Three clients: the first sends half a request, and the rest two seconds later.
# Prints when each asked and when it was answered, in ex2 and in ex3.
. "$(dirname "$0")/common.bash"
claim 'A blocking server waits for its slowest client'
pause=$(small 2 1)

now() { echo $(((${EPOCHREALTIME/[.,]/} - begun) / 1000)); }

printf 'GET / HT' >"$work/half"
printf 'TP/1.0\r\n\r\n' >"$work/rest"

# client PAUSE: prints when it asked and when it was answered.
client() { now && ask "$1" "$work/half" "$work/rest" && now; }

new_table server client 'asked (ms)' 'answered (ms)' 'waited (ms)'
for example in ex2 ex3; do
  progress "$example: client 1 stalls for $pause s"
  start "./$example"
  begun=${EPOCHREALTIME/[.,]/}
  client "$pause" >"$work/1" &
  clients=($!)
  sleep 0.2
  for i in 2 3; do
    client 0 >"$work/$i" &
    clients+=($!)
  done
  for i in 1 2 3; do
    wait "${clients[i - 1]}" ||
      give_up "a client of $example got no answer"
    { read -r asked && read -r answered; } <"$work/$i"
    row "$example" "$i" "$asked" "$answered" $((answered - asked))
  done
  stop "$server"
done
table

ex2=$(cell 5 ex2 2) ex3=$(cell 5 ex3 2)
confirmed_if "$ex2 > 500 * $pause > $ex3" \
  "client 2 waits $ex2 ms in ex2, $ex3 ms in ex3"
