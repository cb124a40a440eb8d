#!/usr/bin/env bash
# usage: mutants.sh [N...]
#
# Makes each break of notes/breaks.md, or the Nth, in a copy of the kit. There it
# runs the test that notes/breaks.md names: it must pass before the break, and
# fail after it. Exit status 1 if that is not so. Expects build/.
set -euo pipefail

cd "$(dirname "$0")/../.."

# The tests mostly wait, so that more of them than processors can run at once.
if [ "${1:-}" != --break ]; then
  notes/check/notes.py breaks |
    awk -F '\t' -v only=" $* " 'only ~ /^ *$/ || index(only, " " $1 " ")' | tr '\t' '\n' |
    xargs -r -d '\n' -n 3 -P $((2 * $(nproc))) notes/check/mutants.sh --break
  exit
fi

number=$2 program=$3 name=$4
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
for part in Makefile ex?_* appendix notes tests build; do
  if [ -e "$part" ]; then cp -R -p "$part" "$work"; fi
done
cd "$work"
# bats knows the test without the name of the program, and wants a pattern.
FILTER=^$(sed "s/^$program: //; "'s/[][\.*^$(){}?+|/]/\\&/g' <<<"$name")\$
export FILTER
passes() { make -s "$program" && tests/run.sh "$program"; } >log 2>&1

if ! passes; then
  verdict='fails without the break:'
elif notes/check/notes.py break "$number" 2>log && passes; then
  verdict='NOT CAUGHT by'
elif grep -q '^failed: ' log; then
  verdict='caught by'
else
  verdict="does not run ($(tail -n 1 log)):"
fi
echo "$number $program: $verdict '$name'"
[ "$verdict" = 'caught by' ]
