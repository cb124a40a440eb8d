#!/usr/bin/env bash
# usage: all.sh NAME...
#
# Runs the experiments of these names, one after the other, and prints at the
# end what became of each claim, and where the picture is. Exit status 1 means
# that one could not be run.
set -euo pipefail
cd "$(dirname "$0")/.."

out=${LAB_OUT:-lab/out}
status=0
begun=$SECONDS
mkdir -p "$out"
for name in "$@"; do
  "lab/$name.sh" || status=1
done

processor() { sed -n 's/^model name.*: //p' /proc/cpuinfo | head -n 1; }

summary() {
  echo "== In $((SECONDS - begun)) s, on $(nproc) cores of $(processor),"
  echo "   Linux $(uname -r):"
  for name in "$@"; do
    echo
    if [ -e "$out/$name.verdict" ]; then
      IFS=$'\t' read -r claim result picture <"$out/$name.verdict"
      echo "   $claim"
      echo "      $result; $picture"
    else
      echo "   $name: could not be run"
    fi
  done
}

echo
summary "$@" | tee "$out/summary.txt"
exit "$status"
