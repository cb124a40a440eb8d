#!/usr/bin/env bash
# usage: practice.sh N
#        practice.sh --hint N
#
# Judges mine/exN/server.c as grade.sh does, waits until it is saved, and begins
# again, with the stage that failed. Without a terminal: once. --hint prints the
# next hint for the first stage that fails, from hints.md.
set -euo pipefail

cd "$(dirname "$0")/.."
. exercises/stages.sh

saved() { stat -c '%y %s %i' "$source" 2>/dev/null; }

# hint: the next one for stage $failed; after the last, this one again.
hint() {
  local hints stage=0 given=0 file=build/mine/hints$n
  if [ "$failed" -eq 0 ]; then echo 'No stage has failed.' && return; fi
  # Each hint as one line.
  mapfile -t hints < <(awk -v heading="### ${sentence[failed]}" '
    /^#/ { on = $0 == heading; next }
    on && /^[0-9]\. / { if (text) print text; text = substr($0, 4) }
    on && /^   / { text = text " " substr($0, 4) }
    END { print text }' exercises/hints.md)
  read -r stage given 2>/dev/null <"$file" || true
  if [ "$stage" != "$failed" ]; then given=0; fi
  if [ "$given" -lt "${#hints[@]}" ]; then given=$((given + 1)); fi
  echo "$failed $given" >"$file"
  echo
  echo "Stage $failed: ${sentence[failed]}. Hint $given of ${#hints[@]}:"
  sed -n 's/^✗ \(not true: ex.: \)*/Failed: /p' "$built.$failed" | head -n 1
  fold -s -w 76 <<<"${hints[given - 1]}" | sed 's/ $//'
  if [ "$given" -eq "${#hints[@]}" ]; then
    echo "This was the last one. NOTES.md, example $n, explains the step."
  fi
}

replay() {
  if ! has_replay; then
    echo 'This kit has no folder replay/, or its replay cannot show your program.'
  elif "${MAKE:-make}" --no-print-directory "replay$n" &&
    [ -n "${DISPLAY:-}${WAYLAND_DISPLAY:-}" ]; then
    xdg-open "mine/ex$n/replay.html" >/dev/null 2>&1 || true
  fi
}

# wait_for_save: returns when the file has changed; until then, serves the keys.
wait_for_save() {
  local now key status
  echo
  echo "Save $source to go on. Keys: h hint, r replay, d your changes, q quit"
  until now=$(saved) && [ "$now" != "$before" ]; do
    status=0
    IFS= read -r -s -n 1 -t 0.3 key || status=$?
    if [ "$status" -gt 128 ]; then continue; fi # nobody has typed
    if [ "$status" -ne 0 ]; then exit; fi       # the terminal is gone
    case $key in
      h) hint ;;
      r) replay ;;
      d) exercises/start.sh --print "$n" | diff -u --label start - --label yours "$source" || true ;;
      q) exit ;;
    esac
  done
}

if [ "$1" = --hint ]; then
  load_stages "$2"
  if [ ! "$built.failed" -nt "$source" ]; then
    compile_all || exit 1
    judge 0
  fi
  failed=$(<"$built.failed")
  hint
  exit
fi

load_stages "$1"
failed=0
while true; do
  before=$(saved) || true
  status=1
  if compile_all; then
    judge "$failed"
    show
  fi
  if [ "$status" -eq 0 ]; then echo "All stages pass. Now compare: diff -u $source $(echo "ex$n"_*/server.c)"; fi
  if [ ! -t 0 ] || [ ! -t 1 ]; then exit "$status"; fi
  wait_for_save
done
