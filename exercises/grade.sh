#!/usr/bin/env bash
# usage: grade.sh [N]
#
# Judges mine/exN/server.c stage by stage, and says what fails first. Without N:
# all that are in mine/, every stage, with a result file for Gradescope.
#
# Exit status: 0 if every test passed; 1 if one failed; 3 if none failed, but
# some could not be judged here. Whatever the program does, nothing of it is
# left running.
set -euo pipefail

cd "$(dirname "$0")/.."
. exercises/stages.sh

results=()

# json: its input as a JSON string. Bytes that are not printable ASCII go.
json() {
  printf '"'
  head -c 4000 | LC_ALL=C sed -e 's/✗ //; s/…/.../' | LC_ALL=C tr '\t' ' ' |
    LC_ALL=C tr -c -d '\n -~' | sed -e 's/[\\"]/\\&/g' |
    awk 'NR > 1 { printf "\\n" } { printf "%s", $0 }'
  printf '"'
}

# result S: adds one stage to the results; its input is the output.
result() {
  local score=0 word=failed
  if [ "${state[$1]:-}" = ✓ ]; then score=1 word=passed; fi
  results+=("{\"name\": \"ex$n, stage $1: ${sentence[$1]}\", \"score\": $score,
  \"max_score\": 1, \"status\": \"$word\", \"output\": $(json)}")
}

# grade N [all]: sets $status.
grade() {
  local s passed
  status=1 state=()
  load_stages "$1" || return 0
  if compile_all; then
    judge 0 "${2:-}"
    passed=$(printf '%s\n' "${state[@]}" | grep -c ✓) || true
    echo "ex$n: $passed of $last stages pass"
    show
    if [ "$status" -eq 1 ]; then echo "    a hint      make hint$n"; fi
  fi
  for ((s = 1; s <= last; s++)); do result "$s" < <(why "$s"); done
  if [ "$status" -eq 0 ]; then
    echo "Well done. Now compare: diff -u $source $(echo "ex$n"_*/server.c)"
  fi
}

if [ $# -gt 0 ]; then
  grade "$1"
  exit "$status"
fi
total=0
rm -f build/mine/results.json
for number in 1 2 3 4 5 6; do
  if [ ! -e "mine/ex$number/server.c" ]; then continue; fi
  grade "$number" all
  if [ "$status" -eq 1 ] || [ "$total" -eq 0 ]; then total=$status; fi
done
if [ "${#results[@]}" -eq 0 ]; then
  echo 'there is no program in mine/; make start4 begins one'
  exit 1
fi
{
  printf '{"tests": [\n%s' "${results[0]}"
  printf ',\n%s' "${results[@]:1}"
  printf '\n]}\n'
} >build/mine/results.json
echo 'results for an autograder: build/mine/results.json'
exit "$total"
