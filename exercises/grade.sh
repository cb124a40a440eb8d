#!/usr/bin/env bash
# usage: grade.sh [N]
#
# Builds mine/exN/server.c, or all that are there, runs the tests of example N
# against it, and says how many pass, what fails first, and what comes next.
# Exit status 0 only if all tests pass. Whatever the program does, nothing of it
# is left running.
set -euo pipefail

cd "$(dirname "$0")/.."

# grade N
grade() {
  local source=mine/ex$1/server.c log=build/mine/ex$1.log passed failed skipped
  if [ ! -e "$source" ]; then
    echo "ex$1: there is no $source; make start$1 begins it"
    return 1
  fi
  mkdir -p build/mine
  rm -f "build/mine/ex$1"
  # shellcheck disable=SC2086
  if ! ${CC:-cc} ${CPPFLAGS:-} -O2 -g -Wall -Wextra -Wpedantic -Wshadow \
    ${LDFLAGS:-} -o "build/mine/ex$1" "$source"; then
    echo "ex$1: $source does not compile"
    return 1
  fi
  BIN=build/mine SOURCE=$source GRADED=1 tests/run.sh "ex$1" >"$log" 2>&1 || true
  read -r passed failed skipped < <(
    sed -n -E 's/^([0-9]+) passed, ([0-9]+) failed, ([0-9]+) skipped$/\1 \2 \3/p' "$log")
  echo "ex$1: $passed of $((passed + failed + skipped)) tests pass"
  if [ "$skipped" -gt 0 ]; then echo "($skipped were not run, because others failed)"; fi
  if [ "$failed" -eq 0 ] && ! grep -q ': not run: ' "$log"; then
    echo 'Well done. Here is the example of the kit, against yours:'
    diff -u "$source" "ex$1"_*/server.c || true
    return 0
  fi
  echo
  awk '/^✗/ { n++ } n == 1 && /^(✗|    )/' "$log"
  if [ "$(grep -c '^[✗-] ' "$log")" -gt 1 ]; then
    echo
    echo 'The next ones:'
    grep -E '^(✗|-) ' "$log" | sed -n -E '2,4s/^(✗|-) ([^:]*: .*)/  \2/p' |
      sed -E 's/: not run: .*//'
  fi
  return 1
}

if [ $# -gt 0 ]; then
  grade "$1"
  exit
fi
if ! compgen -G 'mine/ex[1-6]/server.c' >/dev/null; then
  echo 'there is no program in mine/; make start4 begins one'
  exit 1
fi
status=0
for n in 1 2 3 4 5 6; do
  if [ -e "mine/ex$n/server.c" ]; then grade "$n" || status=1; fi
done
exit "$status"
