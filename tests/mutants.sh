#!/usr/bin/env bash
# usage: mutants.sh [N...]
#
# Makes each break of NOTES.md, or the Nth, in a copy of its own, and runs all
# tests of that example there. Prints for each how many tests failed, and
# whether the one that NOTES.md names is among them; exits with 1 if one is not.
# Expects what make builds for the tests in build/.
set -euo pipefail

cd "$(dirname "$0")/.."

# try_break N: in a folder below $work.
try_break() {
  local path number name body copy example failed
  IFS=$'\t' read -r path number name < <(
    tests/notes.sh list_breaks NOTES.md | grep -P '\t' | sed -n "$1p")
  body=$(tests/notes.sh list_breaks NOTES.md | awk -v n="$1" '
    /\t/ { count++; next } count == n')
  example=${path%%_*}
  copy=$work/$1
  mkdir "$copy"
  cp -R Makefile ex?_* tests build "$copy"
  cd "$copy"
  replace_lines "$path" "$number" "$body"
  if ! make -s "$example" >log 2>&1; then
    echo "break $1, $example: does not compile"
    return 1
  fi
  PATIENCE=2 "${BATS:-bats}" "tests/$example.bats" >log 2>&1 || true
  failed=$(grep -c '^not ok' log || true)
  if grep -q -E "^not ok [0-9]+ $(quoted "$name")( |\$)" log; then
    echo "break $1, $example: $failed tests fail, and '$name' does"
  else
    echo "break $1, $example: $failed tests fail, but '$name' does not"
    return 1
  fi
}

quoted() { sed -E 's/[][\.|$(){}?+*^]/\\&/g' <<<"$1"; }

# replace_lines FILE NUMBER BODY: puts the lines that BODY marks with + in the
# place of those that it marks with -.
replace_lines() {
  local count
  count=$(grep -c '^-' <<<"$3")
  sed -n 's/^+//p' <<<"$3" >new
  sed -e "$(($2 - 1))r new" -e "$2,$(($2 + count - 1))d" "$1" >broken
  mv broken "$1"
}

if [ "${1:-}" = --one ]; then
  try_break "$2"
  exit
fi

work=$(mktemp -d)
export work
trap 'rm -rf "$work"' EXIT
if [ $# -eq 0 ]; then
  mapfile -t all < <(seq "$(tests/notes.sh list_breaks NOTES.md | grep -c -P '\t')")
  set -- "${all[@]}"
fi
echo "$# breaks, $(nproc) at a time"
printf '%s\n' "$@" | xargs -P "$(nproc)" -n 1 tests/mutants.sh --one
