# The experiment cost, and floor, the smallest server.

EXAMPLE=build/floor
SOURCE=lab/floor.c

load ../../tests/helpers
load helpers

# floor is not built with sanitizers: it is a tool.
start_floor() {
  bin=$top
  start_server "$@"
}

# copy_with_ab LINE...: a copy whose ab does this.
copy_with_ab() {
  needs_of cost
  copy ex2 ex3 ex4 ex5 ex6 h_io_uring ex4_epoll_et build/floor build/client
  fake ab "$@"
  PATH=$kit:$PATH
}

@test "lab/cost: prints what a request costs, as a multiple of ex3" {
  needs_of cost
  experiment cost
  has_form cost 9
  awk -F '\t' 'NR > 1 && $2 > 0 && $5 > 0 { n++ }
    $1 == "ex3" { right = $5 == 1 && $8 > 1 }
    END { exit !(n == 9 && right) }' "$dir/left/cost.tsv"
}

@test "lab/cost: ex4_level is ex4 with a level-triggered listener, and one accept4 per event" {
  copy_with_ab
  fake cc "cp \"\${4}\" '$dir/source.c'" 'exec gcc "$@"'
  experiment cost
  run diff "$top/ex4_epoll_et/server.c" "$dir/source.c"
  echo "$output"
  [ "$(grep -c '^>' <<<"$output")" -eq 4 ]
  [ "$(grep -c '^> .*listener, EPOLLIN)' <<<"$output")" -eq 3 ]
  [ "$(grep -c '^> accept_connection(epoll, listener);$' <<<"$output")" -eq 1 ]
}

@test "lab/cost: leaves out a program that is not built" {
  copy_with_ab
  rm "$kit/ab" "$kit/ex6"
  experiment cost
  has_form cost 8
  [[ $output = *'ex6 is not built: left out'* ]]
}

@test "lab/cost: exits with 1 if ab reports a failure, or too few requests" {
  copy_with_ab 'exit 3'
  gives_up cost 'floor: ab failed: '
  fake ab 'echo "Complete requests: 100"' 'echo "Failed requests: 7"'
  gives_up cost 'floor: ab reports 100 of 100 requests, 7 failed'
  fake ab 'echo "Complete requests: 99"' 'echo "Failed requests: 0"'
  gives_up cost 'floor: ab reports 99 of 100 requests, 0 failed'
}

@test "lab/cost: exits with 1 if a server ends, or nginx does not start" {
  copy_with_ab
  rm "$kit/ab"
  fake ex5 'echo listening >&2' 'exec sleep 0.2'
  gives_up cost '@(ex5: ab failed: *|ex5 has ended)'
  fake nginx 'echo "nginx: cannot" >&2' 'exit 1'
  gives_up cost 'nginx does not start (try 5): nginx: cannot'
}

@test "lab/cost: leaves no process and no file when it gets SIGTERM" {
  needs_of cost
  ended_early cost 'round 1'
}

@test "lab/cost: floor sends the article's 114 bytes" {
  start_floor
  assert_curl_is_answered
}

@test "lab/cost: floor survives clients that end, reset and leave" {
  start_floor
  client finish read
  client reset
  client -n 20 send "$request" reset
  client -n 20 send "$request"
  client -n 3 send "$request" read
  [ "$(grep -o 'Hello, world!' "$dir/answer" | wc -l)" -eq 3 ]
  assert_curl_is_answered
}

@test "lab/cost: floor loses one client at most when accept, recv or send fails" {
  local call
  bin=$top
  for call in accept:ECONNABORTED accept:EINTR recvfrom:ECONNRESET sendto:EPIPE; do
    start_traced "${call%:*}" -e "inject=${call%:*}:error=${call#*:}:when=1"
    ask >"$dir/answer" || true
    assert_curl_is_answered
    assert_trace INJECTED
    kill -KILL "$server"
    wait "$server" || true
  done
}

@test "lab/cost: floor exits with 1 if the port is taken, with 2 if it is invalid" {
  local argument
  start_floor
  run -1 "$top/build/floor" "$port"
  [[ $output = bind:* ]]
  run -2 "$top/build/floor"
  [[ $output = usage:* ]]
  for argument in '' 0 65536 80x; do
    run -2 "$top/build/floor" "$argument"
    [[ $output = usage:* ]]
  done
}
