# The kit as a whole: neighbour diffs, the Makefile, what all six share.

load helpers

names=(ex1_blocking ex2_loop ex3_epoll_lt ex4_epoll_et ex5_cork ex6_nodelay)

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

# code_of FILE: without comments and blank lines.
code_of() {
  sed -E -e '/^ *\/\*.*\*\/$/d' -e '/^ *\/\*/,/\*\//d' -e '/^ *$/d' "$@"
}

# differ OLD NEW CEILING FUNCTION...: the functions that both have are the
# same, comments included, except those named; of the code, at most CEILING
# lines differ, those added and those taken away together.
differ() {
  local old=$top/$1/server.c new=$top/$2/server.c ceiling=$3 name count
  shift 3
  for name in $(functions_of "$new"); do
    function_of "$old" "$name" >"$dir/old"
    function_of "$new" "$name" >"$dir/new"
    [ -s "$dir/new" ]
    if [ ! -s "$dir/old" ]; then continue; fi
    if [[ " $* " == *" $name "* ]]; then
      run ! cmp "$dir/old" "$dir/new"
    else
      diff -u "$dir/old" "$dir/new"
    fi
  done
  code_of "$old" >"$dir/old"
  code_of "$new" >"$dir/new"
  count=$(diff "$dir/old" "$dir/new" | grep -c '^[<>]')
  echo "$count lines differ"
  [ "$count" -le "$ceiling" ]
}

@test "ex2 differs from ex1 by its loop and its end" {
  differ ex1_blocking ex2_loop 30 print_request serve main
}
@test "ex3 differs from ex2 by epoll" {
  differ ex2_loop ex3_epoll_lt 140 main
}
@test "ex4 differs from ex3 by EPOLLET and three loops" {
  differ ex3_epoll_lt ex4_epoll_et 30 accept_connection read_request \
    send_response handle_event main
}
@test "ex5 differs from ex3 by TCP_CORK" {
  differ ex3_epoll_lt ex5_cork 8 read_request send_response
}
@test "ex6 differs from ex3 by TCP_NODELAY" {
  differ ex3_epoll_lt ex6_nodelay 6 main
}

@test "the appendix differs from ex3 and ex5 where its ideas are" {
  local handlers=(accept_connection read_request send_response handle_event main)
  differ ex3_epoll_lt appendix/a_select 100 watch close_connection "${handlers[@]}"
  differ ex3_epoll_lt appendix/b_poll 100 watch close_connection "${handlers[@]}"
  differ ex3_epoll_lt appendix/c_echo_queues 170 port_argument open_listener \
    accept_connection receive handle_event main
  differ ex3_epoll_lt appendix/d_event_names 190 port_argument \
    accept_connection receive handle_event main
  differ ex3_epoll_lt appendix/e_oneshot 160 interrupt catch_signals \
    print_request close_connection "${handlers[@]}"
  differ ex5_cork appendix/f_pipelining 330 port_argument accept_connection \
    receive handle_event main
}

@test "the examples are short: 130 lines of code, 220 with epoll, 40 a function" {
  local name function lines
  for name in "${names[@]}"; do
    lines=$(code_of "$top/$name/server.c" | wc -l)
    echo "$name: $lines"
    case $name in
      ex1* | ex2*) [ "$lines" -le 130 ] ;;
      *) [ "$lines" -le 220 ] ;;
    esac
    run ! grep -n -E '.{81}|	' "$top/$name/server.c"
    for function in $(functions_of "$top/$name/server.c"); do
      lines=$(function_of "$top/$name/server.c" "$function" | code_of | wc -l)
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

# listens_with BACKLOG: as strace sees it.
listens_with() {
  traced listen
  kill -KILL "$server"
  wait "$server" || true
  wait_for grep "^listen([0-9]*, $1)" "$trace"
}

@test "the backlog is SOMAXCONN, or what -DBACKLOG says" {
  local name most
  most=$(echo SOMAXCONN | "${CC:-cc}" -E -P -include sys/socket.h - | tail -n 1)
  for name in "${names[@]}"; do
    EXAMPLE=${name%%_*}
    listens_with "$most"
    "${CC:-cc}" -DBACKLOG=1 -o "$dir/$EXAMPLE" "$top/$name/server.c"
    bin=$dir listens_with 1
  done
}

@test "make help names every target" {
  local target
  run -0 make -s -C "$top" help
  for target in ex4 b_poll diff4 test check-notes mutants lab sanitize lint \
    deps dev-deps lab-deps clean; do
    [[ $output == *"make $target "* ]]
  done
  [[ $output == *test4* ]]
}

@test "make diffa to difff show the appendix against what it grows from" {
  local letter
  for letter in a b c d e f; do
    run -0 make -s --no-print-directory -C "$top" "diff$letter"
    [[ $output == *"--- ex"*"+++ appendix/${letter}_"* ]]
  done
}

@test "make diff2 to diff6 show each example against the one it grows from" {
  local pair
  for pair in 12 23 34 35 36; do
    run -0 make -s --no-print-directory -C "$top" "diff${pair:1}"
    [[ $output == *"--- ex${pair:0:1}_"*"+++ ex${pair:1}_"* ]]
  done
}

@test "make diff4 works with a diff that knows no colours" {
  mkdir "$dir/plain"
  cat >"$dir/plain/diff" <<EOF
#!/bin/sh
case "\$*" in *--color*) echo "what is --color?" >&2; exit 2 ;; esac
exec $(command -v diff) "\$@"
EOF
  chmod +x "$dir/plain/diff"
  PATH=$dir/plain:$PATH run -0 make -s --no-print-directory -C "$top" diff4
  [[ $output == *'--- ex3_'*'+++ ex4_'* ]]
}

@test "where the system is not Linux, make says in one line what to do" {
  mkdir "$dir/elsewhere"
  printf '#!/bin/sh\necho Darwin\n' >"$dir/elsewhere/uname"
  chmod +x "$dir/elsewhere/uname"
  PATH=$dir/elsewhere:$PATH run -2 make -C "$top" --no-print-directory ex4
  [ "${#lines[@]}" -eq 1 ]
  [[ $output == *'epoll needs Linux'* ]]
}

@test "make honours CC, CPPFLAGS, CFLAGS and LDFLAGS" {
  run -0 make -n -B -C "$top" ex4 CC=c99 CPPFLAGS=-DA CFLAGS=-Ob LDFLAGS=-Lc
  [[ $output == *'c99 -DA -Ob -Lc '* ]]
}

@test "make deps does nothing when all is there" {
  run -0 make -s --no-print-directory -C "$top" deps
  [ -z "$output" ]
}

@test "make deps says what it installs, and how" {
  mkdir "$dir/bin"
  printf '#!/bin/sh\necho "apt-get $*"\n' >"$dir/bin/apt-get"
  printf '#!/bin/sh\nexec "$@"\n' >"$dir/bin/sudo"
  chmod +x "$dir/bin/apt-get" "$dir/bin/sudo"
  PATH=$dir/bin:$PATH run -0 "$top/tests/install.sh" bash no-such-tool
  [[ $output == *'installing no-such-tool'* ]]
  [[ $output == *'apt-get install'*'no-such-tool'* ]]
}
