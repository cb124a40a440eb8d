#!/usr/bin/env bash
# watch.sh N [PACE]: runs ./exN, and shows its system calls one at a time, each
# with its source line and its result: on Enter, or every PACE seconds. Ctrl-C
# ends it and the server.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
if ! command -v gdb >/dev/null; then
  echo 'watch: gdb is missing (make practice-deps)' >&2
  exit 1
fi
export REPLAY_PACE=${2-}
exec gdb -nx -q -batch -x replay/watch.py "./ex${1:?usage: watch.sh N [PACE]}"
