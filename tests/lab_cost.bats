# The experiment cost, and floor, the least that a server can do.

EXAMPLE=build/floor

load helpers
load lab

tools=(ab nginx curl gnuplot column)
PATH=$PATH:/usr/sbin

# The same with all sanitizers: it is a tool.
start_floor() {
  bin=$top
  start "$@"
}

# with_ab LINE...: the experiment in a copy, with an ab that does this.
with_ab() {
  copy
  cp "$top"/ex? "$dir/kit"
  cp "$top/build/floor" "$top/build/client" "$dir/kit/build"
  fake ab "$@"
  PATH=$dir/kit:$PATH
}

@test "lab/cost: prints a question, a table and what it measured, and leaves a picture" {
  needs "${tools[@]}"
  experiment cost
  has_form cost 7
  grep -E '^   server +us/request +least +greatest +of nginx +least +greatest +KiB/silent client$' \
    <<<"$output"
  [ "$(awk -F '\t' '$2 > 0 && $5 > 0' "$dir/left/cost.tsv" | wc -l)" -ge 7 ]
  [ "$(awk -F '\t' '$1 == "nginx" { print $5 }' "$dir/left/cost.tsv")" = 1 ]
  [ "$(awk -F '\t' '$1 == "ex3" && $8 > 1' "$dir/left/cost.tsv" | wc -l)" -eq 1 ]
}

@test "lab/cost: without ab, it says so" { without ab cost; }
@test "lab/cost: without curl, it says so" { without curl cost; }

@test "lab/cost: requests that fail stop it" {
  needs "${tools[@]}"
  with_ab 'echo "Complete requests: 100"' 'echo "Failed requests: 7"'
  gives_up cost 'ab, at floor: Failed requests: 7'
}

@test "lab/cost: responses other than 200 stop it" {
  needs "${tools[@]}"
  with_ab 'echo "Complete requests: 100"' 'echo "Failed requests: 0"' \
    'echo "Non-2xx responses: 7"'
  gives_up cost 'ab, at floor: Non-2xx responses: 7'
}

@test "lab/cost: an ab that fails, sends too few requests, or says nothing stops it" {
  needs "${tools[@]}"
  with_ab 'echo "Complete requests: 99"' 'echo "Failed requests: 0"'
  gives_up cost 'ab, at floor: Complete requests: 99'
  fake ab 'echo "Complete requests: 100"' 'echo "Failed requests: 0"' 'exit 3'
  gives_up cost 'ab, at floor: *'
  fake ab
  gives_up cost 'ab, at floor: '
}

@test "lab/cost: a server that dies stops it" {
  needs "${tools[@]}"
  with_ab
  rm "$dir/kit/ab"
  fake ex4 'echo listening >&2' 'exec sleep 0.2'
  gives_up cost '@(ab, at ex4: *|ex4 has ended)'
}

@test "lab/cost: an nginx that does not start stops it" {
  needs "${tools[@]}"
  with_ab
  fake nginx 'echo "nginx: cannot" >&2' 'exit 1'
  gives_up cost 'nginx does not start (try 5): nginx: cannot'
}

@test "lab/cost: ended early, it leaves no process and no file" {
  needs "${tools[@]}"
  ended_early cost 'round 1'
}

@test "lab/cost: floor sends the article's 114 bytes" {
  start_floor
  ask -i >"$dir/answer"
  expected_response >"$dir/expected"
  same "$dir/expected" "$dir/answer"
}

@test "lab/cost: floor survives clients that end, reset and leave" {
  start_floor
  "$client" "$port" finish read
  "$client" "$port" reset
  "$client" -n 20 "$port" send 'GET / HTTP/1.0\r\n\r\n' reset
  "$client" -n 20 "$port" send 'GET / HTTP/1.0\r\n\r\n'
  "$client" -n 3 "$port" send 'GET / HTTP/1.0\r\n\r\n' read >"$dir/answers"
  [ "$(grep -o 'Hello, world!' "$dir/answers" | wc -l)" -eq 3 ]
  answers
}

@test "lab/cost: accept, recv or send fails: it costs one client of floor at most" {
  local call
  bin=$top
  for call in accept:ECONNABORTED accept:EINTR recvfrom:ECONNRESET sendto:EPIPE; do
    traced "${call%:*}" -e "inject=${call%:*}:error=${call#*:}:when=1"
    ask >"$dir/answer" || true
    answers
    grep -q INJECTED "$trace"
    kill -KILL "$server"
    wait "$server" || true
  done
}

@test "lab/cost: floor says that the port is taken, and what is no port" {
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
