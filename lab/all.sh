#!/usr/bin/env bash
# usage: all.sh NAME...
#
# Runs these experiments, one after the other. Then prints for each claim if it
# is confirmed, and where the picture is. Exits with 1 if an experiment could not
# be run.
set -euo pipefail
cd "$(dirname "$0")/.."

out=${LAB_OUT:-lab/out}
mkdir -p "$out"
status=0
for name in "$@"; do
  rm -f "$out/$name.verdict"
  "lab/$name.sh" || status=1
done

processor=$(sed -n 's/^model name.*: //p' /proc/cpuinfo | head -n 1)
{
  echo "== In $SECONDS s, on $(nproc) cores of ${processor:-an unknown model},"
  echo "   Linux $(uname -r):"
  for name in "$@"; do
    claim=$name result='could not be run' picture=
    if [ -e "$out/$name.verdict" ]; then
      IFS=$'\t' read -r claim result picture <"$out/$name.verdict"
    fi
    printf '\n   %s\n      %s%s\n' "$claim" "$result" "${picture:+; $picture}"
  done
  printf '\n   lab/README.md explains them.\n'
} >"$out/summary.txt"
echo
cat "$out/summary.txt"
exit "$status"
