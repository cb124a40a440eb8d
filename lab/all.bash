#!/usr/bin/env bash
# usage: all.bash NAME...
#
# Runs these experiments, one after the other. Then prints each claim, and
# whether it is confirmed. Exits with 1 if an experiment could not be run.
set -euo pipefail
cd "$(dirname "$0")/.."

out=${LAB_OUT:-lab/out}
status=0
for name in "$@"; do
  rm -f "$out/$name.txt"
  "lab/$name.sh" || status=1
  touch "$out/$name.txt"
done

echo
processor=$(sed -n 's/^model name.*: //p' /proc/cpuinfo | head -n 1)
{
  echo "== In $SECONDS s, on $(nproc) cores of ${processor:-an unknown model},"
  echo "   Linux $(uname -r):"
  for name in "$@"; do
    claim=$(sed -n "s/^== $name: //p" "$out/$name.txt")
    verdict=$(sed -n '$s/^   \([a-z ]*: \)/\1/p' "$out/$name.txt")
    printf '\n   %s\n' "${claim:-$name}"
    fold -s -w 70 <<<"${verdict:-could not be run}" | sed 's/^/      /; s/ *$//'
  done
  printf '\n   lab/README.md explains them.\n'
} | tee "$out/summary.txt"
exit "$status"
