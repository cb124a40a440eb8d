#!/usr/bin/env bash
# usage: notes.sh FUNCTION DOCUMENT [ARGUMENT...]
#
# What ties NOTES.md and README.md to the code. Each function that begins with
# check_ prints what is wrong with the document, a line each, as
# DOCUMENT:LINE: ...; so does run_commands. Exit status 1 means that something
# is. Paths in a document are those of the current folder.
#
# A script, and not for bats to load: bats looks at every command that a test
# runs, and there are many here.
set -euo pipefail

# wrong LINE TEXT: says what is wrong, and remembers that something is.
wrong() {
  echo "$document:$1: $2"
  status=1
}

reference='^`([a-z0-9_/]+\.(c|txt)):([0-9]+)`$'

# read_document FILE: sets $document, and $text[N] to its line N.
read_document() {
  document=$1
  status=0
  mapfile -t -O 1 text <"$1"
}

# read_fence LINE: sets $block to what stands in the fence that opens at LINE,
# and $end to the line that closes it.
read_fence() {
  block=
  end=$(($1 + 1))
  while ((end < ${#text[@]})) && [[ ${text[end]} != '```' ]]; do
    block+=${text[end]}$'\n'
    end=$((end + 1))
  done
}

# lines_of FILE LINE BLOCK: as many lines of FILE as BLOCK has, from LINE on.
lines_of() {
  local count
  count=$(printf '%s' "$3" | wc -l)
  sed -n "$2,$(($2 + count - 1))p" "$1"
}

# place_of BLOCK FILE: says in which line of FILE the block begins.
place_of() {
  local first line
  first=${1%%$'\n'*}
  while IFS=: read -r line _; do
    if [ "$(lines_of "$2" "$line" "$1")" = "${1%$'\n'}" ]; then
      echo "it is at line $line"
      return
    fi
  done < <(grep -n -F -x -e "$first" "$2")
  echo "it is not in the file"
}

# check_block LINE FILE NUMBER BLOCK: the block is what FILE has there.
check_block() {
  if [ ! -f "$2" ]; then
    wrong "$1" "there is no $2"
  elif [ "$(lines_of "$2" "$3" "$4")" != "${4%$'\n'}" ]; then
    wrong "$1" "$2:$3 is something else: $(place_of "$4" "$2")"
  fi
}

# A fence of C, or of text that the lab has printed, stands directly under its
# reference and holds those lines; a reference stands directly above such a
# fence, or above a break.
check_quotations() {
  local i path number under
  read_document "$1"
  for ((i = 1; i <= ${#text[@]}; i++)); do
    if [[ ${text[i]} =~ $reference ]]; then
      path=${BASH_REMATCH[1]} number=${BASH_REMATCH[3]}
      under=${text[i + 1]:-}
      if [[ $under == '```c' || $under == '```text' ]]; then
        read_fence $((i + 1))
        check_block "$i" "$path" "$number" "$block"
        [[ $block == *[![:space:]]* ]] || wrong "$i" "an empty quotation"
        i=$end
      elif [ "$under" != '```diff' ]; then
        wrong "$i" "a reference without a fence directly under it"
      fi
    elif [[ ${text[i]} == '```c' || ${text[i]} == '```text' ]]; then
      wrong "$i" "a fence without a reference directly above it"
    fi
  done
  return "$status"
}

# check_examples DOCUMENT FILE...: each file is quoted at least once.
check_examples() {
  local file
  read_document "$1"
  shift
  for file in "$@"; do
    grep -A 1 -F -- "\`$file:" "$document" | grep -q -F -x '```c' ||
      wrong 1 "nothing is quoted from $file"
  done
  return "$status"
}

# A fence of diff that does not stand under a reference is what diff -u prints
# for the two files that it names, less the times.
check_diffs() {
  local i old new fresh
  read_document "$1"
  for ((i = 1; i <= ${#text[@]}; i++)); do
    [[ ${text[i]} == '```diff' ]] || continue
    read_fence "$i"
    if ! [[ ${text[i - 1]:-} =~ $reference ]]; then
      old=$(sed -n '1s/^--- //p' <<<"$block")
      new=$(sed -n '2s/^+++ //p' <<<"$block")
      if [ ! -f "$old" ] || [ ! -f "$new" ]; then
        wrong "$i" "a diff that does not begin with the names of two files"
      else
        fresh=$(diff -u --label "$old" --label "$new" "$old" "$new" || true)
        [ "$fresh" = "${block%$'\n'}" ] ||
          wrong "$i" "not what diff -u $old $new prints"
      fi
    fi
    i=$end
  done
  return "$status"
}

# A table whose first column is headed exN.py and whose third bears the name of
# a file: the line of the file that a row names holds the row's last cell, and
# the rows name every line of exN.py once, empty ones aside.
#
# The number of lines in each of the article's programs, and the empty ones;
# tests of this script have a program of their own.
article_lines=${ARTICLE_LINES-'
ex1.py 22 2 8 13 21
ex2.py 24 2 8 13
ex3.py 48 2 8 14 17
ex4.py 60 2 8 14 17
ex5.py 50 2 8 14 17
ex6.py 49 2 8 15 18'}

check_tables() {
  local i program file seen from to cells fragment at
  read_document "$1"
  for ((i = 1; i <= ${#text[@]}; i++)); do
    [[ ${text[i]} =~ ^'| '(ex[1-6]\.py)' | '[^|]*'| '([a-z0-9_/]+\.c)' |' ]] ||
      continue
    program=${BASH_REMATCH[1]} file=${BASH_REMATCH[2]}
    seen=' '
    for ((i += 2; i <= ${#text[@]}; i++)); do
      [[ ${text[i]} == '|'* ]] || break
      # An escaped bar is no border.
      IFS='|' read -r -a cells <<<"${text[i]//'\|'/$'\x01'}"
      from=${cells[1]//[^0-9-]/} at=${cells[3]//[^0-9]/}
      to=${from#*-} from=${from%-*}
      seen+="$(seq -s ' ' "$from" "$to") "
      fragment=$(sed -E 's/^ `(.*)` $/\1/; s/\x01/|/g' <<<"${cells[4]}")
      sed -n "${at}p" "$file" | grep -q -F -e "$fragment" ||
        wrong "$i" "$file:$at does not hold '$fragment'; these do: $(
          grep -n -F -e "$fragment" "$file" | cut -d : -f 1 | tr '\n' ' ')"
    done
    check_coverage "$i" "$program" "$seen"
  done
  return "$status"
}

# check_coverage LINE PROGRAM SEEN: the numbers seen are the lines of PROGRAM.
check_coverage() {
  local n count empty
  read -r count empty < <(sed -n "s/^$2 //p" <<<"$article_lines")
  for ((n = 1; n <= count; n++)); do
    case " $empty " in *" $n "*) continue ;; esac
    [ "$(grep -o " $n " <<<"${3// /  }" | wc -l)" -eq 1 ] ||
      wrong "$1" "line $n of $2 is not in one row of the table"
  done
}

# check_names DOCUMENT WORD...: what stands alone in backticks and could be the
# name of a function is a word of some .c file, or one of these words.
check_names() {
  local i name known
  read_document "$1"
  shift
  known=$(find . -name '*.c' -exec grep -o -h -E '[A-Za-z_][A-Za-z0-9_]*' {} + |
    sort -u)
  while IFS=: read -r i name; do
    name=${name//[\`()]/}
    grep -q -x -e "$name" <<<"$known" || [[ " $* " == *" $name "* ]] ||
      wrong "$i" "no file has the name $name"
  done < <(grep -n -o -E '`[a-z_][a-z0-9_]*(\(\))?`' "$document")
  return "$status"
}

# has_anchor FILE ANCHOR: one of its headings makes this anchor.
has_anchor() {
  sed -n -E 's/^#+ //p' "$1" | tr '[:upper:]' '[:lower:]' |
    sed -E 's/[^a-z0-9 _-]//g; s/ /-/g' | grep -q -x -e "$2"
}

# check_links DOCUMENT: what stands in brackets leads somewhere.
check_links() {
  local i target
  read_document "$1"
  while IFS=: read -r i target; do
    target=${target:2:-1}
    case $target in
      http*) ;;
      '#'*) has_anchor "$document" "${target#?}" ;;
      *'#'*) has_anchor "${target%#*}" "${target#*#}" ;;
      *) [ -e "$target" ] ;;
    esac || wrong "$i" "nothing is at $target"
  done < <(grep -n -o -E '\]\([^) ]*\)' "$1")
  return "$status"
}

# list_breaks DOCUMENT: for each break, FILE, LINE and the test that it fails,
# with tabs between; and after each the lines of its diff. A break is a fence
# of diff directly under a reference, and the next "Caught by `...`".
list_breaks() {
  awk -v reference="$reference" '
    $0 ~ reference { split($0, at, /[`:]/); referenced = NR }
    /^```diff$/ && referenced == NR - 1 { inside = 1; body = ""; next }
    /^```$/ { inside = 0 }
    inside { body = body $0 "\n" }
    body != "" && match($0, /Caught by `[^`]*`/) {
      print at[2] "\t" at[3] "\t" substr($0, RSTART + 11, RLENGTH - 12)
      printf "%s", body
      body = ""
    }' "$1"
}

# check_breaks DOCUMENT LEAST: it has at least that many; each takes away lines
# that are where it says, and names a test of that example.
check_breaks() {
  local i old count=0 path number
  read_document "$1"
  for ((i = 2; i <= ${#text[@]}; i++)); do
    [[ ${text[i]} == '```diff' && ${text[i - 1]} =~ $reference ]] || continue
    path=${BASH_REMATCH[1]} number=${BASH_REMATCH[3]}
    read_fence "$i"
    old=$(sed -n 's/^-//p' <<<"$block")
    check_block "$i" "$path" "$number" "$old"$'\n'
    count=$((count + 1))
  done
  check_break_tests
  [ "$count" -ge "$2" ] || wrong 1 "$count breaks, fewer than $2"
  return "$status"
}

check_break_tests() {
  local path number name listed=0
  while IFS=$'\t' read -r path number name; do
    listed=$((listed + 1))
    grep -q -F -e "@test \"$name\"" "tests/${path%%_*}.bats" ||
      wrong 1 "tests/${path%%_*}.bats has no test '$name'"
  done < <(list_breaks "$document" | grep -P '\t')
  [ "$listed" -eq "$count" ] || wrong 1 "a break without a test that it fails"
}

# pattern_of TEXT: as a regular expression, in which a line "..." stands for
# any lines, and "..." in a line for anything in it. Spaces may be more.
pattern_of() {
  local line pattern=
  while IFS= read -r line; do
    if [ "$line" = ... ]; then
      pattern+='([^'$'\n'']*'$'\n'')*'
    else
      line=$(sed -E -e 's/[][\.|$(){}?+*^]/\\&/g' \
        -e 's/(\\\.){3}/[^\n]*/g' -e 's/ +/ +/g' <<<"$line")
      pattern+=$line$'\n'
    fi
  done <<<"$1"
  printf '%s' "^$pattern\$"
}

# looks_like FILE TEXT: what the file holds, CRs aside, is what the text shows.
looks_like() {
  [[ "$(tr -d '\r' <"$1")"$'\n' =~ $(pattern_of "$2") ]]
}

# run_commands DOCUMENT COMMAND...: runs all commands of the document one after
# the other, in this shell, except those named. One that has nothing under it
# has to succeed; otherwise what it prints has to look like that. A command
# that starts one of the programs runs in the background, as in a terminal of
# its own, until the next one is started; and on a port of its own, which
# stands in for 8080, 9999 and 10000.
run_commands() {
  local i command shown
  read_document "$1"
  shift
  for command in "$@"; do
    grep -q -F -x -e "\$ $command" "$document" ||
      wrong 1 "'$command' is not a command of $document"
  done
  server=
  port=8080
  dir=$(mktemp -d)
  trap abandon EXIT
  export LC_ALL=C
  # What make hands down to a make below it is nothing a reader has.
  unset MAKEFLAGS MFLAGS MAKELEVEL
  for ((i = 1; i <= ${#text[@]}; i++)); do
    [[ ${text[i]} == '$ '* ]] || continue
    command=${text[i]#'$ '}
    at=$i
    shown=
    while [[ ${text[i + 1]-'```'} != '```' && ${text[i + 1]} != '$ '* ]]; do
      i=$((i + 1))
      shown+=${text[i]}$'\n'
    done
    if is_one_of "$command" "$@"; then continue; fi
    run_command "$command" "${shown%$'\n'}"
  done
  end_server
  return "$status"
}

# abandon: leaves nothing behind, however this script ends.
abandon() {
  local pid
  for pid in $(programs_below "${server:-$$}"); do kill "$pid" || true; done
  rm -rf "$dir"
}

# In a terminal curl shows no progress of what it prints there.
curl() { command curl --silent --show-error "$@"; }

# wait_for COMMAND...: until it succeeds, or patience ends.
wait_for() {
  local deadline=$((SECONDS + ${PATIENCE:-10}))
  until "$@" >/dev/null 2>&1; do
    if ((SECONDS > deadline)); then return 1; fi
    sleep 0.01
  done
}

is_one_of() {
  local word
  for word in "${@:2}"; do [ "$word" = "$1" ] && return; done
  return 1
}

with_port() { sed -E "s/\b(8080|9999|10000)\b/$port/g" <<<"$1"; }

program='\./(ex[1-6]|[a-f]_[a-z_]+)'

# run_command COMMAND SHOWN
run_command() {
  local result=0
  if [[ $1 =~ (^|[ \'])$program([ \'\)\;]|$) ]]; then
    start_server "$1" "$2"
    return
  fi
  # A reader's shell does not mind an unset variable.
  set +u
  eval "$(with_port "$1")" >"$dir/printed" 2>&1 </dev/null || result=$?
  set -u
  if [ -z "$2" ]; then
    [ "$result" -eq 0 ] ||
      wrong "$at" "$1 fails: $(cat "$dir/printed")"
  elif ! looks_like "$dir/printed" "$(with_port "$2")"; then
    wrong "$at" "$1 prints something else:"$'\n'"$(cat "$dir/printed")"
  fi
}

listens_or_ended() {
  grep -q 'listening:' "$dir/served" || ! kill -0 "$server"
}

# start_server COMMAND SHOWN: waits until it listens, or has ended.
start_server() {
  local tries line
  end_server
  server_command=$1 server_at=$at server_shown=$2
  for tries in {1..20}; do
    port=$((10000 + RANDOM % 20000))
    line=$(with_port "$1")
    if ! [[ $line =~ $program' '[0-9]{2,} ]]; then
      line=$(sed -E "s#$program#& $port#g" <<<"$line")
    fi
    : >"$dir/served"
    # Without the descriptors that bats has open, or strace would show others.
    bash -c "$line" >>"$dir/served" 2>&1 3>&- 4>&- </dev/null &
    server=$!
    wait_for listens_or_ended
    grep -q "^bind: ${taken=Address already in use}" "$dir/served" || return 0
    [[ $2 != *"$taken"* ]] || return 0
  done
}

# programs_below PID: it and its descendants, as far as they are programs of
# the kit.
programs_below() {
  local child
  if [[ $(readlink "/proc/$1/exe") == "$PWD"/* ]]; then echo "$1"; fi
  for child in $(pgrep -P "$1"); do programs_below "$child"; done
}

ended() { ! kill -0 "$server"; }

# end_server: as Ctrl-C would; what it printed has to look like what is shown.
end_server() {
  local pid
  [ -n "$server" ] || return 0
  if [ -n "$server_shown" ]; then
    server_shown=$(with_port "$server_shown")
    wait_for looks_like "$dir/served" "$server_shown" || true
  fi
  # What started it, a shell or strace, ends when it does.
  for pid in $(programs_below "$server"); do kill -TERM "$pid" || true; done
  wait_for ended
  wait "$server" || true
  server=
  if [ -n "$server_shown" ] && ! looks_like "$dir/served" "$server_shown"; then
    wrong "$server_at" "$server_command prints something else:
$(cat "$dir/served")"
  fi
}

"$@"
