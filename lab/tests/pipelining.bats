# The experiment pipelining, and the requests that wrk sends for it.

EXAMPLE=f_pipelining

load ../../tests/helpers
load helpers

# with_wrk LINE...: the experiment in a copy, with a wrk that does this.
with_wrk() {
  needs_of pipelining
  copy f_pipelining lab/pipeline.lua
  fake wrk "$@"
  PATH=$kit:$PATH
}

@test "lab/pipelining: prints a claim, a table and a verdict, and leaves a picture" {
  needs_of pipelining
  experiment pipelining
  has_form pipelining 10
  grep -E '^   server +in flight +thousand requests/s +least +greatest +processor ns/request$' \
    <<<"$output"
}

@test "lab/pipelining: with 16 in flight, cork answers more than plain" {
  needs_of pipelining
  experiment pipelining
  awk -F '\t' '$2 == 16 { rate[$1] = $3 }
    END { exit !(rate["cork"] > rate["plain"]) }' "$dir/left/pipelining.tsv"
}

@test "lab/pipelining: without wrk, it says so" { without wrk pipelining; }
@test "lab/pipelining: without column, it says so" { without column pipelining; }

@test "lab/pipelining: responses other than 200 stop it" {
  with_wrk 'echo "  Non-2xx or 3xx responses: 7"' 'echo "Requests/sec: 9.00"'
  gives_up pipelining 'wrk, at plain: Non-2xx or 3xx responses: 7'
}

@test "lab/pipelining: errors of a socket stop it" {
  with_wrk 'echo "  Socket errors: connect 0, read 3"' 'echo "Requests/sec: 9.00"'
  gives_up pipelining 'wrk, at plain: Socket errors: connect 0, read 3'
}

@test "lab/pipelining: a wrk that fails, counts no request, or says nothing stops it" {
  with_wrk 'echo "Requests/sec: 9.00"' 'exit 3'
  gives_up pipelining 'wrk, at plain: Requests/sec: 9.00'
  fake wrk 'echo "Requests/sec: 0.00"'
  gives_up pipelining 'wrk, at plain: Requests/sec: 0.00'
  fake wrk
  gives_up pipelining 'wrk, at plain: '
}

@test "lab/pipelining: a server that dies stops it" {
  needs_of pipelining
  copy lab/pipeline.lua
  fake f_pipelining "exec timeout 0.4 '$top/f_pipelining' \"\$@\""
  gives_up pipelining 'wrk, at @(plain|nodelay|cork|gather): @(Socket errors:|unable)*'
}

@test "lab/pipelining: an nginx that does not start stops it" {
  with_wrk
  fake nginx 'echo "nginx: cannot" >&2' 'exit 1'
  gives_up pipelining 'nginx does not start (try 5): nginx: cannot'
}

@test "lab/pipelining: ended early, it leaves no process and no file" {
  needs_of pipelining
  ended_early pipelining 'round 1'
}

@test "lab/pipelining: wrk sends all its requests at once" {
  needs wrk
  start_traced setsockopt,sendto
  timeout --preserve-status -s INT 0.2 wrk -t1 -c1 -d1s \
    -s "$top/lab/pipeline.lua" "http://127.0.0.1:$port/" -- 5
  stop_server
  awk '/TCP_CORK, \[1\]/ { n = 0 } /^sendto/ { n++ }
    /TCP_CORK, \[0\]/ { count[n]++ }
    END { for (n in count) print n, count[n]; exit !(count[5] > 1) }' "$trace"
}
