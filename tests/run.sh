#!/usr/bin/env bash
# usage: run.sh PROGRAM...
#
# Runs the tests of each program (ex1 to ex6, or one of the appendix) side by
# side. Prints what failed, in order; for a single program also what passed. At
# the end, one line: how many passed, failed, and were not run. Exit status 0 if
# all passed. Expects the programs and build/client to be built.
#
# From the environment: BIN, SOURCE and PATIENCE, see tests/helpers.bash.
set -euo pipefail

cd "$(dirname "$0")/.."
. tests/traits.bash

bats=${BATS:-bats}
version=$("$bats" --version 2>/dev/null) || version='Bats 0'
if [ "$(printf '%s\n' 1.8 "${version#* }" | sort -V | head -n 1)" != 1.8 ]; then
  echo "the tests need bats 1.8 or later, and here is: $version (make deps)" >&2
  exit 2
fi

# parts_of PROGRAM: its test files, a line for each part; the parts run at once.
parts_of() {
  local top=. parts
  traits_of "$1"
  tr '|' '\n' <<<"$parts"
}

# run_part PROGRAM N: writes what bats prints to $work.
run_part() {
  local files=() name
  for name in $(parts_of "$1" | sed -n "$2p"); do
    case $name in */*) files+=("$name") ;; *) files+=("tests/$name.bats") ;; esac
  done
  if [ "$1" = e_oneshot ]; then
    export THREADS=yes
    # With one worker, the order of its calls is known.
    if [ "$2" = 2 ]; then export BIN=${BIN:-build}/one; fi
  fi
  EXAMPLE=$1 BATS_TEST_NAME_PREFIX="$1: " "$bats" --tap "${files[@]}" \
    >"$work/$1.$2.running" 2>&1 </dev/null || true
  mv "$work/$1.$2.running" "$work/$1.$2"
}

if [ "${1:-}" = --part ]; then
  run_part "$2" "$3"
  exit
fi

work=$(mktemp -d)
export work
trap 'rm -rf "$work"' EXIT

# Prints a part for people. bats says first in which line a test failed; if the
# test has said more than that, its own words are enough.
readable='
function flush() {
  if (failed == "") return
  print "✗ " failed
  for (i = 1; i <= lines; i++) if (!own || !internal[i]) shown(text[i])
  failed = ""
}
function shown(line) { print "    " line }
/^not ok / { flush(); sub(/^not ok [0-9]+ /, ""); failed = $0; lines = own = 0; next }
/^ok .* # skip/ { flush(); sub(/^ok [0-9]+ /, ""); sub(/ # skip /, ": "); print "- " $0; next }
/^ok / { flush(); sub(/^ok [0-9]+ /, ""); if (all) print "✓ " $0; next }
/^#/ && failed != "" {
  text[++lines] = substr($0, 3)
  internal[lines] = /^# (\(from|\(in test| from| in test|  `)/
  if (!internal[lines]) own = 1
  next
}
/^1\.\./ { next }
failed == "" { print }
END { flush() }'

jobs=()
for program in "$@"; do
  for ((part = 1; part <= $(parts_of "$program" | wc -l); part++)); do
    jobs+=("$program" "$part")
  done
done
# The tests often wait, so that more of them than processors can run at once.
printf '%s\n' "${jobs[@]}" | xargs -P $(($(nproc) + 7)) -n 2 tests/run.sh --part &

for ((i = 0; i < ${#jobs[@]}; i += 2)); do
  part=$work/${jobs[i]}.${jobs[i + 1]}
  until [ -e "$part" ]; do sleep 0.05; done
  awk -v all=$(($# == 1)) "$readable" "$part"
done
wait

count() { cat "$work"/*.[123] | grep -c -E "$1" || true; }
passed=$(count '^ok [0-9]+ [^#]*$')
failed=$(count '^not ok ')
skipped=$(count '^ok .* # skip')
echo
grep -h '^not ok ' "$work"/*.[123] | sed -E 's/^not ok [0-9]+ /failed: /' || true
echo "$passed passed, $failed failed, $skipped skipped"
[ "$passed" -gt 0 ] && [ "$failed" -eq 0 ] && ! grep -q 'skip not run' "$work"/*.[123]
