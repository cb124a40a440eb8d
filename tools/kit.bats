# The kit as a whole: neighbour diffs, sizes, the Makefile, the folders.

setup() {
  top=$(cd "$BATS_TEST_DIRNAME/.." && pwd)
  dir=$(mktemp -d)
  names=(ex1_blocking ex2_loop ex3_epoll_lt ex4_epoll_et ex5_cork ex6_nodelay)
}
teardown() { rm -rf "$dir"; }

make_here() { make -s --no-print-directory -C "$top" "$@"; }

# has_exit_status N: of the command that `run` ran.
has_exit_status() {
  if [ "$status" -ne "$1" ]; then
    echo "exit status $status instead of $1: $output"
    return 1
  fi
}

# --- The programs -------------------------------------------------------------

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

# differ OLD NEW LIMIT FUNCTION...: the functions that both have stand in the
# same order and are the same, comments included, except those named. At most
# LIMIT lines of code differ, added and removed ones together.
differ() {
  local old=$top/$1/server.c new=$top/$2/server.c limit=$3 name shared count
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
  echo "$new: $count lines differ, at most $limit may"
  [ "$count" -le "$limit" ]
}

@test "ex2 differs from ex1 by the loop" {
  differ ex1_blocking ex2_loop 24 print_request main
}
@test "ex3 differs from ex2 by epoll" {
  differ ex2_loop ex3_epoll_lt 137 open_listener accept_connection \
    read_request send_response main
}
@test "ex4 differs from ex3 by its masks and three loops" {
  differ ex3_epoll_lt ex4_epoll_et 20 retry_accept accept_connection \
    read_request send_response main
}
@test "ex5 differs from ex3 by TCP_CORK" {
  differ ex3_epoll_lt ex5_cork 7 read_request send_response
}
@test "ex6 differs from ex3 by TCP_NODELAY" {
  differ ex3_epoll_lt ex6_nodelay 3 open_listener
}

@test "a program of the appendix differs from its example where its idea is" {
  local traits name grows_from diff_limit changes
  for traits in "$top"/appendix/*/traits; do
    if [ ! -e "$traits" ]; then skip 'there is no appendix'; fi
    # shellcheck disable=SC1090
    . "$traits"
    name=${traits%/traits}
    # shellcheck disable=SC2086
    differ "$grows_from" "appendix/${name##*/}" "$diff_limit" $changes
  done
}

@test "appendix/README.md has a row for each program" {
  local source name
  for source in "$top"/appendix/*/server.c; do
    if [ ! -e "$source" ]; then skip 'there is no appendix'; fi
    name=$(basename "${source%/server.c}")
    grep -q -F "| [$name]($name/README.md) | " "$top/appendix/README.md" ||
      { echo "no row for $name"; return 1; }
  done
}

@test "the six are short, and so are their functions" {
  local ceilings=(100 112 178 183 185 181) i name function lines
  for i in "${!names[@]}"; do
    name=${names[i]}
    lines=$(code_of "$top/$name/server.c" | wc -l)
    echo "$name: $lines lines of code, at most ${ceilings[i]}"
    [ "$lines" -le "${ceilings[i]}" ]
  done
  for name in "$top"/ex?_*/server.c "$top"/appendix/*/*.c; do
    if [ ! -e "$name" ]; then continue; fi
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
    run "${CC:-cc}" -Wall -Wextra -o "$dir/alone" "$top/$name/server.c"
    has_exit_status 0
    [ -z "$output" ]
  done
}

# --- The Makefile ---------------------------------------------------------------

@test "make help names every target, and make check every part" {
  local target
  run make_here help
  has_exit_status 0
  # The .PHONY lines, without variables.
  # shellcheck disable=SC2013
  for target in $(awk '/^\.PHONY/ { on = 1 } on { print } !/\\$/ { on = 0 }' \
    "$top/Makefile" "$top"/*/module.mk |
    sed -E 's/\$\([^)]*\)//g; s/^\.PHONY:|\\$//g'); do
    case $target in
      linux | all | help | built | update-recordings | diff? | check-notes | check-replay | test-kit) ;;
      *) grep -q -w -e "$target" <<<"$output" || { echo "$target"; return 1; } ;;
    esac
  done
}

@test "make diffN shows each example against the one it grows from" {
  local pair program
  for pair in 12 23 34 35 36; do
    run make_here "diff${pair:1}"
    has_exit_status 0
    [[ $output == *"--- ex${pair:0:1}_"*"+++ ex${pair:1}_"* ]]
  done
  for program in "$top"/appendix/?_*/server.c; do
    if [ ! -e "$program" ]; then continue; fi
    program=${program#"$top/appendix/"}
    run make_here "diff${program:0:1}"
    has_exit_status 0
    [[ $output == *"--- "*"+++ appendix/$program"* ]]
  done
}

# stub NAME TEXT: puts a command of this name before the real one in PATH.
stub() {
  mkdir -p "$dir/bin"
  printf '#!/bin/sh\n%s\n' "$2" >"$dir/bin/$1"
  chmod +x "$dir/bin/$1"
  PATH=$dir/bin:$PATH
}

@test "make diff4 works with a diff that knows no colours" {
  stub diff "case \"\$*\" in *--color*) echo 'what is --color?' >&2; exit 2 ;; esac
exec $(command -v diff) \"\$@\""
  run make_here diff4
  has_exit_status 0
  [[ $output == *'--- ex3_'*'+++ ex4_'* ]]
}

@test "on a system that is not Linux, make help and diff4 work; building says in one line what to do" {
  stub uname 'echo Darwin'
  make_here help
  make_here diff4
  run make_here -B ex4
  [ "$status" -ne 0 ]
  [[ ${lines[0]} == *'epoll needs Linux'*'.devcontainer'* ]]
}

@test "make honours CC, CPPFLAGS, CFLAGS and LDFLAGS" {
  run make -n -B -C "$top" ex4 CC=c99 CPPFLAGS=-DA CFLAGS=-Ob LDFLAGS=-Lc
  has_exit_status 0
  [[ $output == *'c99 -DA -Ob -Lc '* ]]
}

@test "another make than GNU's says so in one line" {
  command -v bmake >/dev/null || skip 'there is no bmake here'
  cd "$top"
  run env -u MAKEFLAGS -u MAKELEVEL bmake ex4
  [ "$status" -ne 0 ]
  [[ ${lines[0]} == *'GNU make'* ]]
}

@test "make deps says that nothing is missing, or what it installs and how" {
  run make_here deps
  has_exit_status 0
  [ "$output" = 'nothing is missing' ]
  stub apt-get 'echo "apt-get $*"'
  stub sudo 'exec "$@"'
  run "$top/tools/install.sh" bash no-such-tool
  has_exit_status 0
  [[ $output == *'installing no-such-tool'*'apt-get install'*'no-such-tool'* ]]
}

# --- The folders ------------------------------------------------------------------

@test "README.md names every folder, and tests/README.md every file of tests/" {
  local file
  for file in "$top"/*/; do
    file=$(basename "$file")
    case $file in build | mine | node_modules | ex?_*) continue ;; esac
    grep -q -F "$file/" "$top/README.md" || { echo "README.md: $file/"; return 1; }
  done
  for file in "$top"/tests/*; do
    case ${file##*/} in ex[1-6].bats) continue ;; esac
    grep -q -F "\`${file##*/}\`" "$top/tests/README.md" ||
      { echo "tests/README.md: ${file##*/}"; return 1; }
  done
}

# works_without PART...: in a copy without these folders.
works_without() {
  local part
  mkdir "$dir/kit"
  tar -C "$top" --exclude=./.git --exclude=./build --exclude=./mine \
    --exclude=./node_modules -c . | tar -C "$dir/kit" -x
  cd "$dir/kit"
  for part in "$@"; do rm -r "${part:?}"; done
  make -s
  run make -s help
  has_exit_status 0
  for part in "$@"; do
    run grep -w -e "test-$part" -e "$part/" <<<"$output"
    [ -z "$output" ]
  done
  run make -n check
  has_exit_status 0
  run make -s check-deps INSTALL='echo needs'
  has_exit_status 0
  [[ $output == *'bats'* ]]
  make -s test1
}

@test "make, make help, make check and make test1 work without any one part" {
  local part
  for part in appendix exercises lab notes replay site tools; do
    if [ ! -d "$top/$part" ]; then continue; fi
    echo "without $part:"
    (works_without "$part")
    rm -r "$dir/kit"
  done
}

@test "without all of them, the six, their tests and NOTES.md are left" {
  local parts=()
  for part in "$top"/*/module.mk; do parts+=("$(basename "${part%/module.mk}")"); done
  works_without "${parts[@]}"
  [ "$(cd "$dir/kit" && echo */)" = \
    'build/ ex1_blocking/ ex2_loop/ ex3_epoll_lt/ ex4_epoll_et/ ex5_cork/ ex6_nodelay/ tests/' ]
  run make -s deps
  [ "$output" = 'please install: cc bats curl strace pgrep' ]
}
