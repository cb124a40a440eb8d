# shellcheck shell=bash
# For grade.sh and practice.sh, which load this file: the stages of an exercise,
# and how they are judged.

LIMIT=${LIMIT:-180} # seconds for one stage

# load_stages N: sets sentence[S], filter[S] and scene[S], from 1 to $last.
load_stages() {
  local line name
  local -A group
  n=$1 source=mine/ex$1/server.c built=build/mine/ex$1 last=0
  while IFS= read -r line; do
    if [[ $line =~ ^[1-6]*${n}[1-6]*\ +([^ ]+)\ +([^ ]+)\ +(.*) ]]; then
      last=$((last + 1))
      filter[last]='' scene[last]=${BASH_REMATCH[2]#-} sentence[last]=${BASH_REMATCH[3]}
      for name in ${BASH_REMATCH[1]//,/ }; do filter[last]+="|${group[$name]}"; done
      filter[last]=${filter[last]#|}
    elif [[ $line =~ ^([a-z-]+)\ +(.*) ]]; then
      group[${BASH_REMATCH[1]}]=${BASH_REMATCH[2]}
    fi
  done <exercises/stages
  if [ ! -e "$source" ]; then
    echo "ex$n: there is no $source; make start$n begins it"
    return 1
  fi
}

# compile FOLDER [FLAG...]: builds the student's program into a folder.
compile() {
  mkdir -p "$1"
  rm -f "$1/ex$n"
  # shellcheck disable=SC2086
  ${CC:-cc} ${CPPFLAGS:-} -O2 -g -Wall -Wextra -Wpedantic -Wshadow "${@:2}" \
    ${LDFLAGS:-} -o "$1/ex$n" "$source"
}

# compile_all: for the student, and a copy for the tests.
compile_all() {
  if ! compile build/mine; then
    echo "ex$n: $source does not compile"
    return 1
  fi
  mkdir -p build/mine/tested
  cp "$built" build/mine/tested/
}

# sanitize: fails if a program with the sanitizers does not run here.
sanitize() {
  local flags=(-fsanitize=address -fsanitize=undefined -fno-sanitize-recover=all)
  # shellcheck disable=SC2086
  ${CC:-cc} "${flags[@]}" -o build/mine/try -x c - <<<'int main(void) { return 0; }' &&
    build/mine/try && compile build/mine/sanitized "${flags[@]}"
}

# left_over: the processes of the stages that run, and what they have started.
left_over() {
  local exe
  grep -l -s -z -x "KIT_STAGE=$$" /proc/[0-9]*/environ | cut -d / -f 3 || true
  for exe in /proc/[0-9]*/exe; do
    if [ "$exe" -ef "build/mine/tested/ex$n" ] || [ "$exe" -ef "build/mine/sanitized/ex$n" ]; then
      cut -d / -f 3 <<<"$exe"
    fi
  done
}

# stop: ends them all.
stop() {
  local try left
  for try in {1..50}; do
    left=$(left_over)
    # shellcheck disable=SC2086
    if [ -n "$left" ]; then kill -KILL $left 2>/dev/null || true; else break; fi
  done
  wait
  rm -rf "$work"
}

# start_stage S: begins to run its tests; their output goes to $built.S.
start_stage() {
  local settings=(BIN=build/mine/tested)
  if [ "$1" -eq "$last" ]; then
    tool=' (without the sanitizers: this compiler has none)'
    if sanitize >/dev/null 2>&1; then
      tool=' (AddressSanitizer and UBSan)' settings=(BIN=build/mine/sanitized SANITIZED=yes)
    fi
  fi
  env "${settings[@]}" SOURCE="$source" GRADED=1 FILTER="${filter[$1]}" KIT_STAGE=$$ \
    TMPDIR="$work" timeout -k 5 "$LIMIT" tests/run.sh "ex$n" >"$built.$1" 2>&1 </dev/null &
  job[$1]=$!
}

# finish_stage S: waits for them. Sets state[S] to ✓, ✗, or ? if it could not be
# judged.
finish_stage() {
  local log=$built.$1 status=0
  if [ -t 2 ]; then printf 'stage %d of %d ...' "$1" "$last" >&2; fi
  wait "${job[$1]}" 2>/dev/null || status=$?
  if [ -t 2 ]; then printf '\r\e[K' >&2; fi
  state[$1]='?'
  if [ "$status" -ge 124 ]; then
    echo "✗ ex$n: its tests do not end within $LIMIT s" >"$log"
  fi
  if grep -q '^✗ ' "$log"; then
    state[$1]=✗
  elif grep -q -E '^[1-9][0-9]* passed, 0 failed' "$log" && ! grep -q '^- ' "$log"; then
    state[$1]=✓
  fi
}

# judge FIRST [all]: runs stage FIRST, if it is not 0, then the others in order,
# three at a time, until one fails; with "all", goes on after a failure, unless
# the program made the tests wait. Sets state[]; $failed, the first stage that
# failed (0: none); $status, 0, 1, or 3 if some could not be judged.
judge() {
  local s next=1
  state=() job=() failed=0 status=0 tool=''
  rm -f "$built".*
  work=$(mktemp -d)
  trap 'stop 2>/dev/null; exit 130' INT TERM HUP
  if [ "$1" -gt 0 ]; then start_stage "$1"; fi
  for s in ${1#0} $(seq "$last" | grep -v -x "$1"); do
    for (( ; s != $1 && next <= last && next <= s + 2; next++)); do
      if [ "$next" -ne "$1" ]; then start_stage "$next"; fi
    done
    finish_stage "$s"
    if [ "${state[s]}" = ✗ ]; then
      if [ "$failed" -eq 0 ]; then failed=$s; fi
      status=1
      if [ "${2:-}" != all ] || grep -q 'waited in vain' "$built.$s"; then break; fi
    elif [ "${state[s]}" = '?' ] && [ "$status" -eq 0 ]; then
      status=3
    fi
  done
  stop 2>/dev/null # the shell would say what was killed
  trap - INT TERM HUP
  echo "$failed" >"$built.failed"
}

# why S: why the stage failed, could not be judged, or was not reached.
why() {
  case ${state[$1]:-} in
    ✗) awk '/^✗/ { n++ } n == 1 && /^(✗|    )/' "$built.$1" ;;
    '?')
      echo "? $1 could not be judged:"
      grep -m 3 '^- ' "$built.$1" || cat "$built.$1"
      ;;
    '') echo 'not reached' ;;
  esac
}

# show: the stages, and the first failure.
show() {
  local s note
  for ((s = 1; s <= last; s++)); do
    note=
    if [ "$s" -eq "$last" ]; then note=$tool; fi
    if [ -z "${state[s]:-}" ]; then note=': not reached'; fi
    if [ -z "${state[s]:-}" ] && [ "$s" -lt "$failed" ]; then note=': later'; fi
    echo "${state[s]:--} $s ${sentence[s]}$note"
  done
  for ((s = 1; s <= last; s++)); do
    if [ "${state[s]:-}" = '?' ]; then echo && why "$s"; fi
  done
  if [ "$failed" -eq 0 ]; then return; fi
  echo
  why "$failed"
  if [ -n "${scene[failed]}" ] && has_replay; then
    echo "    see it      make replay$n: scene ${scene[failed]} may show it"
  fi
}

has_replay() { "${MAKE:-make}" -n "replay$n" >/dev/null 2>&1; }
