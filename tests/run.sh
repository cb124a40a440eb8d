#!/usr/bin/env bash
# usage: run.sh PROGRAM...
#
# Runs the tests of each program (ex1 to ex6, or one of the appendix) side by
# side. Prints what failed, in order; for a single program also what passed. At
# the end, why tests were skipped, and one line: how many passed, failed, and
# were skipped. Exit status 0 if none failed. Expects the programs and
# build/client to be built.
#
# From the environment: BIN, SOURCE and PATIENCE, see tests/helpers.bash (without
# PATIENCE, it depends on how quick the machine is at the start); BATS; and
# PART_SECONDS, how long each part may take. FILTER: a regular expression; only
# tests whose names match are run, in each part up to the first that fails.
set -euo pipefail

cd "$(dirname "$0")/.."
top=$PWD
. tests/traits.bash

# A shell that runs something in the background lets it ignore SIGINT. The tests
# send SIGINT.
if [ -n "$(trap -p INT)" ] && env --default-signal=INT true 2>/dev/null; then
  exec env --default-signal=INT "$top/tests/run.sh" "$@"
fi

# Inside of bats: its PATH may have the parts of bats first, and its folders are
# not for the tests that run here.
unset BATS_TEST_TMPDIR BATS_FILE_TMPDIR BATS_RUN_TMPDIR
bats=$(PATH=${BATS_SAVED_PATH:-$PATH} type -P "${BATS:-bats}") || bats=${BATS:-bats}
version=$("$bats" --version 2>/dev/null) || version=none
if [ "$version" = none ] || [ "$(printf '%s\n' 1.2 "${version#* }" | sort -V | head -n 1)" != 1.2 ]; then
  echo "the tests need bats 1.2 or later, and here is: $version (make deps)" >&2
  exit 2
fi

work=$(mktemp -d)
pids=()
# Each part is a process group of its own.
trap '{ pkill -P "$(IFS=, && echo "${pids[*]}")"; kill "${pids[@]}"; } 2>/dev/null; exit 130' INT TERM
trap 'rm -rf "$work"' EXIT

if ! strace -o /dev/null true 2>"$work/strace"; then
  NO_STRACE="strace does not work here: $(head -n 1 "$work/strace")"
  export NO_STRACE
  echo "$NO_STRACE; the tests that need it are skipped" >&2
fi

# 300 processes take 0.2 s on a quick machine; each 0.2 s more is a second more,
# or two, if the parts share a single processor; and so is each process that
# already waits for one.
if [ -z "${PATIENCE:-}" ]; then
  before=${EPOCHREALTIME/[.,]/}
  for _ in {1..300}; do (:); done
  IFS=. read -r load _ </proc/loadavg
  slow=$(((${EPOCHREALTIME/[.,]/} - before) / 200000))
  PATIENCE=$((2 + slow * ($(nproc) == 1 ? 2 : 1) + load / $(nproc)))
  if [ "$PATIENCE" -gt 4 ]; then echo "a slow or busy machine: the tests wait $PATIENCE s" >&2; fi
fi
export PATIENCE

# run_part PROGRAM FILES: writes what bats prints to $work/N.tap. It runs in the
# background: in bash 5.3 it would ignore SIGINT, because there is a trap.
run_part() {
  local files=() name output=$work/$started
  trap - INT
  for name in $2; do
    case $name in
      in:*) export BIN=${BIN:-build}/${name#in:} ;;
      */*) files+=("$name") ;;
      *) files+=("tests/$name.bats") ;;
    esac
  done
  mkdir "$output"
  EXAMPLE=$1 KIT_RUN=$output timeout -k 5 "${PART_SECONDS:-$((PATIENCE * 100))}" \
    "$bats" --tap ${FILTER:+--filter "$FILTER"} "${files[@]}" >"$output.out" 2>&1 </dev/null ||
    [[ $? != @(124|137) ]] || echo "not ok 0 ends in time: ${files[*]}" >>"$output.out"
  rm -rf "$output"
  # An old bats knows no prefix.
  sed -E "s/^((not )?ok [0-9]+ )/\1$1: /" "$output.out" >"$output.tmp"
  mv "$output.tmp" "$output.tap"
}

# Prints a part for people. bats says first in which line a test failed; if the
# test has said more than that, its own words are enough.
readable='
function flush() {
  if (failed == "") return
  print "✗ not true: " failed
  for (i = 1; i <= lines; i++) if (!own || !internal[i]) print "    " text[i]
  failed = ""
}
/^not ok / { flush(); sub(/^not ok [0-9]+ /, ""); failed = $0; lines = own = 0; next }
/^ok .* # skip/ { flush(); sub(/^ok [0-9]+ /, ""); sub(/ # skip /, ": "); if (all) print "- " $0; next }
/^ok / { flush(); sub(/^ok [0-9]+ /, ""); if (all) print "✓ " $0; next }
/^#/ && failed != "" {
  text[++lines] = substr($0, 3)
  internal[lines] = /^# (\(from|\(in test| from| in test|  `|.*helpers\.bash: line [0-9]+:)/
  if (!internal[lines]) own = 1
  next
}
/^1\.\./ { next }
failed == "" { print }
END { flush() }'

# show_ended: prints the parts that have ended, up to the first that has not.
shown=0 started=0 names=()
show_ended() {
  while [ "$shown" -lt "$started" ] && ! kill -0 "${pids[shown]}" 2>/dev/null; do
    if [ ! -e "$work/$shown.tap" ]; then
      echo "not ok 0 ${names[shown]}: the shell of this part lives to its end" >"$work/$shown.tap"
    fi
    awk -v all=$(($# == 1)) "$readable" "$work/$shown.tap"
    shown=$((shown + 1))
  done
}

# The tests often wait, so that more of them than processors can run at once.
at_once=$(($(nproc) + 7))
for program in "$@"; do
  traits_of "$program"
  IFS='|' read -r -a parts <<<"$parts"
  for part in "${parts[@]}"; do
    while [ "$(jobs -r -p | wc -l)" -ge "$at_once" ]; do
      wait -n || true
      show_ended "$@"
    done
    run_part "$program" "$part" &
    pids+=($!) names+=("$program, $part")
    started=$((started + 1))
  done
done
while [ "$shown" -lt "$started" ]; do
  wait "${pids[shown]}" || true
  show_ended "$@"
done

cat "$work"/*.tap >"$work/all"
count() { grep -c -E "$1" "$work/all" || true; }
passed=$(count '^ok [0-9]+ [^#]*$')
failed=$(count '^not ok ')
skipped=$(count '^ok .* # skip')
echo
sed -n -E 's/^not ok [0-9]+ /failed: /p' "$work/all"
sed -n -E 's/^ok .* # skip //p' "$work/all" | sort | uniq -c | sed -E 's/^ *([0-9]+) /skipped: \1, because: /'
echo "$passed passed, $failed failed, $skipped skipped"
[ "$passed" -gt 0 ] && [ "$failed" -eq 0 ] && ! grep -q 'skip not run' "$work/all"
