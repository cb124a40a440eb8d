# The kit as a whole: neighbour diffs, sizes, the Makefile, the runner.

bats_require_minimum_version 1.8.0

setup() {
  top=${BATS_TEST_DIRNAME%/*}
  dir=$BATS_TEST_TMPDIR
  names=(ex1_blocking ex2_loop ex3_epoll_lt ex4_epoll_et ex5_cork ex6_nodelay)
}

# function_of FILE NAME: the function, with the comment above it.
function_of() {
  awk -v name="$2" '
    /^$/ && !inside { text = ""; next }
    { text = text $0 "\n" }
    /^[a-z].*\(/ && $0 ~ "[ *]" name "\\(" { wanted = 1 }
    /^{/ { inside = 1 }
    /^}/ { if (wanted) printf "%s", text; inside = wanted = 0; text = "" }
  ' "$1"
}

functions_of() { sed -n -E 's/^[a-z].*[ *]([a-z_]+)\(.*[^;]$/\1/p' "$1"; }

# code_of [FILE]: without comments and blank lines.
code_of() {
  sed -E -e '/^ *\/\*.*\*\/$/d' -e '/^ *\/\*/,/\*\//d' -e '/^ *$/d' "$@"
}

# differ OLD NEW CEILING FUNCTION...: the functions that both have stand in the
# same order and are the same, comments included, except those named. At most
# CEILING lines of code differ, added and removed ones together.
differ() {
  local old=$top/$1/server.c new=$top/$2/server.c ceiling=$3 name shared count
  shift 3
  functions_of "$old" >"$dir/names.old"
  functions_of "$new" >"$dir/names.new"
  diff <(grep -x -f "$dir/names.new" "$dir/names.old") \
    <(grep -x -f "$dir/names.old" "$dir/names.new")
  mapfile -t shared < <(grep -x -f "$dir/names.old" "$dir/names.new")
  for name in "${shared[@]}"; do
    function_of "$old" "$name" >"$dir/old"
    function_of "$new" "$name" >"$dir/new"
    [ -s "$dir/new" ]
    if [[ " $* " != *" $name "* ]]; then diff -u "$dir/old" "$dir/new"; fi
  done
  code_of "$old" >"$dir/old"
  code_of "$new" >"$dir/new"
  count=$(diff "$dir/old" "$dir/new" | grep -c '^[<>]')
  echo "$count lines differ, at most $ceiling may"
  [ "$count" -le "$ceiling" ]
}

@test "ex2 differs from ex1 by the loop and the signal handler" {
  differ ex1_blocking ex2_loop 40 print_request main
}
@test "ex3 differs from ex2 by epoll" {
  differ ex2_loop ex3_epoll_lt 135 open_listener accept_connection \
    read_request send_response main
}
@test "ex4 differs from ex3 by EPOLLET and three loops" {
  differ ex3_epoll_lt ex4_epoll_et 30 accept_connection read_request \
    send_response main
}
@test "ex5 differs from ex3 by TCP_CORK" {
  differ ex3_epoll_lt ex5_cork 7 read_request send_response
}
@test "ex6 differs from ex3 by TCP_NODELAY" {
  differ ex3_epoll_lt ex6_nodelay 3 open_listener
}

@test "the appendix differs from ex3 and ex5 where its ideas are" {
  local handlers=(accept_connection read_request send_response main)
  differ ex3_epoll_lt appendix/a_select 100 watch lose "${handlers[@]}"
  differ ex3_epoll_lt appendix/b_poll 100 watch lose "${handlers[@]}"
  differ ex3_epoll_lt appendix/c_echo_queues 150 open_listener port_argument \
    lose receive_some send_some "${handlers[@]}"
  differ ex3_epoll_lt appendix/d_event_names 190 port_argument lose \
    receive_some send_some "${handlers[@]}"
  differ ex3_epoll_lt appendix/e_oneshot 110 watch lose print_request \
    "${handlers[@]}"
  differ ex3_epoll_lt appendix/g_time_limits 110 catch_signals lose \
    "${handlers[@]}"
  differ ex5_cork appendix/f_pipelining 330 open_listener port_argument lose \
    receive_some send_some "${handlers[@]}"
}

@test "the six are short, and so are their functions" {
  local ceilings=(105 130 190 200 197 193) i name function lines
  for i in "${!names[@]}"; do
    name=${names[i]}
    lines=$(code_of "$top/$name/server.c" | wc -l)
    echo "$name: $lines lines of code, at most ${ceilings[i]}"
    [ "$lines" -le "${ceilings[i]}" ]
  done
  for name in "$top"/ex?_*/server.c "$top"/appendix/*/*.c; do
    run grep -n -E '.{81}|	' "$name"
    [ -z "$output" ]
    for function in $(functions_of "$name"); do
      lines=$(function_of "$name" "$function" | code_of | wc -l)
      echo "$name $function: $lines"
      [ "$lines" -lt 40 ]
    done
  done
}

@test "each example is one file that compiles alone" {
  local name
  for name in "${names[@]}"; do
    [ "$(ls "$top/$name")" = server.c ]
    run -0 "${CC:-cc}" -Wall -Wextra -o "$dir/alone" "$top/$name/server.c"
    [ -z "$output" ]
  done
}

# --- The Makefile ------------------------------------------------------------

make_here() { make -s --no-print-directory -C "$top" "$@"; }

@test "make help names every target" {
  local target
  run -0 make_here help
  for target in ex4 b_poll diff4 test test4 start4 grade4 test-appendix \
    test-lab check update-notes check-notes lab sanitize lint deps dev-deps \
    lab-deps replay-deps record check-replay watch4 mutants clean; do
    grep -q -w -e "$target" <<<"$output" || { echo "$target"; return 1; }
  done
}

@test "make diffN shows each example against the one it grows from" {
  local pair
  for pair in 12 23 34 35 36; do
    run -0 make_here "diff${pair:1}"
    [[ $output == *"--- ex${pair:0:1}_"*"+++ ex${pair:1}_"* ]]
  done
  for pair in a b c d e f g h; do
    run -0 make_here "diff$pair"
    [[ $output == *"--- ex"*"+++ appendix/${pair}_"* ]]
  done
}

@test "make diff4 works with a diff that knows no colours" {
  mkdir "$dir/plain"
  cat >"$dir/plain/diff" <<END
#!/bin/sh
case "\$*" in *--color*) echo "what is --color?" >&2; exit 2 ;; esac
exec $(command -v diff) "\$@"
END
  chmod +x "$dir/plain/diff"
  PATH=$dir/plain:$PATH run -0 make_here diff4
  [[ $output == *'--- ex3_'*'+++ ex4_'* ]]
}

@test "on a system that is not Linux, make help and diff4 work; building says in one line what to do" {
  mkdir "$dir/elsewhere"
  printf '#!/bin/sh\necho Darwin\n' >"$dir/elsewhere/uname"
  chmod +x "$dir/elsewhere/uname"
  PATH=$dir/elsewhere:$PATH run -0 make_here help
  PATH=$dir/elsewhere:$PATH run -0 make_here diff4
  PATH=$dir/elsewhere:$PATH run make_here -B ex4
  [ "$status" -ne 0 ]
  [[ ${lines[0]} == *'epoll needs Linux'*'.devcontainer'* ]]
}

@test "make honours CC, CPPFLAGS, CFLAGS and LDFLAGS" {
  run -0 make -n -B -C "$top" ex4 CC=c99 CPPFLAGS=-DA CFLAGS=-Ob LDFLAGS=-Lc
  [[ $output == *'c99 -DA -Ob -Lc '* ]]
}

@test "make deps does nothing when all is there" {
  run -0 make_here deps
  [ -z "$output" ]
}

@test "make deps says what it installs, and how" {
  mkdir "$dir/bin"
  printf '#!/bin/sh\necho "apt-get $*"\n' >"$dir/bin/apt-get"
  printf '#!/bin/sh\nexec "$@"\n' >"$dir/bin/sudo"
  chmod +x "$dir/bin/apt-get" "$dir/bin/sudo"
  PATH=$dir/bin:$PATH run -0 "$top/tools/install.sh" bash no-such-tool
  [[ $output == *'installing no-such-tool'* ]]
  [[ $output == *'apt-get install'*'no-such-tool'* ]]
}

# --- The runner ----------------------------------------------------------------

@test "a bats that is too old gets one clear line" {
  printf '#!/bin/sh\necho Bats 1.2.1\n' >"$dir/bats"
  chmod +x "$dir/bats"
  BATS=$dir/bats run -2 "$top/tests/run.sh" ex1
  [ "$output" = 'the tests need bats 1.8 or later, and here is: Bats 1.2.1 (make deps)' ]
}
