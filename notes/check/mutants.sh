#!/usr/bin/env bash
# usage: mutants.sh [N...]
#
# Makes each break of notes/breaks.md, or the Nth, in a copy of the kit, and runs
# the tests of its program there. Prints whether the test that notes/breaks.md
# names fails, after how many seconds, and which test fails first. The exit
# status is 1 if one break is not caught or takes too long. Expects build/.
#
# From the environment:
#   MUTANT_SECONDS  how long the tests of one break may take (default: 15)
set -euo pipefail

cd "$(dirname "$0")/../.."
limit=${MUTANT_SECONDS:-15}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# failed_tests: the names of the tests that failed, from what make testN prints.
failed_tests() { sed -n -E 's/^(not ok [0-9]+|✗) //p'; }

# try_break N PROGRAM TEST: in the current folder.
try_break() {
  local target=${2#ex} began=${EPOCHREALTIME/./} verdict='caught' failed tenths
  notes/check/notes.py break "$1"
  if ! make -s "$2" >log 2>&1; then
    echo "$1 $2: DOES NOT COMPILE"
    return 1
  fi
  PATIENCE=2 timeout $((limit * 2)) make -s "test${target%%_*}" >log 2>&1 || true
  tenths=$(((${EPOCHREALTIME/./} - began) / 100000))
  failed=$(failed_tests <log)
  if [ "$tenths" -gt $((limit * 10)) ]; then verdict='TOO SLOW'; fi
  if ! grep -q -F -x -e "$3" <<<"$failed"; then verdict="NOT CAUGHT by '$3'"; fi
  echo "$1 $2: $verdict, $((tenths / 10)).$((tenths % 10)) s;" \
    "fails first: ${failed%%$'\n'*}"
  [ "$verdict" = caught ]
}

status=0
while IFS=$'\t' read -r number program test _; do
  if [ $# -gt 0 ] && [[ " $* " != *" $number "* ]]; then continue; fi
  mkdir "$work/$number"
  cp -R -p Makefile ex?_* appendix exercises notes tests tools build "$work/$number"
  (cd "$work/$number" && try_break "$number" "$program" "$test") </dev/null ||
    status=1
done < <(notes/check/notes.py breaks)
exit "$status"
