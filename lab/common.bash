# What the experiments share: each one begins with ". lab/common.bash". From the
# environment:
#   LAB_OUT     the folder for the results (default: lab/out)
#   LAB_SMALL   yes: short runs, for the tests; their numbers mean nothing
#
# An experiment exits with 1, and says why in one line, if a tool is missing or
# anything fails. It ends everything that it has started.

set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export LC_ALL=C
PATH=$PATH:/usr/sbin # Debian's nginx is there.

name=$(basename "$0" .sh)
out=${LAB_OUT:-lab/out}
mkdir -p "$out"
tsv=$out/$name.tsv

# processes PID: prints it, and those of its children, as nginx's worker.
processes() { echo "$1" && { pgrep -P "$1" || true; }; }

# stop PID: ends a process that was started here, with its children. By SIGKILL,
# because a process that has just begun may miss other signals.
stop() {
  # shellcheck disable=SC2046
  kill -KILL $(processes "$1") || true
  wait "$1" || true
} 2>/dev/null

# jobs -p, because a signal may arrive before $! is stored.
finish() {
  local job
  for job in $(jobs -p); do stop "$job"; done
  rm -rf "${work:-}"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
work=$(mktemp -d)
results=$work/results

give_up() { echo "$name: $*" >&2 && exit 1; }

# claim TEXT TOOL...: the first line of the report. Removes the results of an
# earlier run. Gives up if a tool is missing.
claim() {
  local tool
  rm -f "$out/$name".* "$out/$name"-*
  for tool in "${@:2}" python3 gnuplot column; do
    command -v "$tool" >/dev/null ||
      give_up "$tool is missing: make lab-deps installs it"
  done
  echo
  echo "== $name: $1" | say
}

# small FULL SMALL: prints the first, or in a short run the second.
small() { if [ -n "${LAB_SMALL:-}" ]; then echo "$2"; else echo "$1"; fi; }

# wait_for COMMAND...: returns when it succeeds; fails after 10 seconds.
wait_for() {
  local deadline=$((SECONDS + 10))
  until "$@" >/dev/null 2>&1; do
    if ((SECONDS > deadline)); then return 1; fi
    sleep 0.01
  done
}

# --- Servers and load ---------------------------------------------------------

# variant PROGRAM SOURCE SCRIPT: builds $work/PROGRAM from the source, after sed
# has changed it.
variant() {
  sed "$3" "$2" >"$work/$1.c"
  if cmp -s "$2" "$work/$1.c"; then give_up "$2 has no line to change"; fi
  # shellcheck disable=SC2086 # CC may have options.
  ${CC:-cc} -O2 -o "$work/$1" "$work/$1.c" || give_up "$1 does not build"
}

# says PATTERN: waits until process $! says so. Fails if it ends before.
says_or_ended() { grep -q -E "$1" "$work/said" || ! kill -0 $!; }
says() { wait_for says_or_ended "$1" && grep -q -E "$1" "$work/said"; }

# try_start PROGRAM [ARGUMENT...]: starts a server on a free port; the arguments
# follow the port. Sets $port and $server, the pid. Fails, and sets $why, if the
# server does not start.
try_start() {
  local tries
  why="${1##*/} is not built"
  command -v "$1" >/dev/null || return 1
  for tries in {1..20}; do
    port=$((10000 + RANDOM % 20000))
    rm -f "$work/said" # An earlier server may still write there.
    "$1" "$port" "${@:2}" >/dev/null 2>"$work/said" &
    server=$!
    if says '^listening|start worker process [0-9]'; then return; fi
    stop "$server"
    grep -q 'in use' "$work/said" || break
  done
  why="${1##*/} does not start (try $tries): $(tail -n 1 "$work/said")"
  return 1
}

# start PROGRAM [ARGUMENT...]: the same, or gives up. Without the program,
# which may belong to the appendix, the experiment is left out.
start() {
  try_start "$@" && return
  if command -v "$1" >/dev/null; then give_up "$why"; fi
  verdict 'left out' "$why"
  exit
}

# keep NAME: remembers $port and $server. use NAME: sets them
# again.
declare -A ports pids
keep() { ports[$1]=$port pids[$1]=$server; }
use() { port=${ports[$1]} server=${pids[$1]}; }

# nginx_on PORT: nginx with one worker. It writes only into the experiment's
# temporary folder, so it need not be root.
nginx_on() {
  sed "s/PORT/$1/" lab/nginx.conf >"$work/nginx.conf"
  exec nginx -p "$work" -c nginx.conf
}

# spend COMMAND...: runs it, with its output in $work/load. Sets $spent, the
# processor time that $server has used meanwhile, in nanoseconds, and $load_spent,
# that of the command.
spend() {
  spent=$(lab/spent.py "$(processes "$server")" "$@" 2>"$work/load") &&
    load_spent=${spent#* } spent=${spent% *}
}

# ab_asks SERVER COUNT CLIENTS: ab sends COUNT requests to $port. Sets $cost, the
# processor time of $server per request in microseconds, and $rate, the requests
# per second. Gives up if not every request gets an answer.
ab_asks() {
  spend timeout 60 ab -q -n "$2" -c "$3" "http://127.0.0.1:$port/" ||
    give_up "$1: ab failed: $(tail -n 1 "$work/load")"
  cost=$(awk "BEGIN { print $spent / 1000 / $2 }")
  rate=$(awk -v asked="$2" '
    /^Complete requests:/ { complete = $3 }
    /^(Failed requests|Non-2xx responses):/ { failed += $NF }
    /^Requests per second:/ { rate = $4 }
    END { if (complete == asked && !failed) { print rate; exit }
      print complete + 0 " of " asked " requests, " failed + 0 " failed"
      exit 1 }' "$work/load") || give_up "$1: ab reports $rate"
}

# hold_clients SERVER COUNT [ACTION...]: COUNT clients connect to $port, do this,
# and stay; then the server has $silent in all. Sets $client.
hold_clients() {
  rm -f "$work/said"
  PATIENCE=600 build/client -n "$2" "$port" "${@:3}" wait >"$work/said" 2>&1 &
  client=$!
  says '^ready' || give_up "$1: $2 silent clients: $(tail -n 1 "$work/said")"
  wait_for has_all || give_up "$1 has lost some of its $silent silent clients"
}
has_all() {
  (($(processes "$server" | sed 's,.*,/proc/&/fd/,' | xargs ls | wc -l) > silent))
}

# ask PAUSE FILE...: sends them, with pauses in between. Fails without an answer.
ask() (
  exec {fd}<>"/dev/tcp/127.0.0.1/$port"
  cat "$2" >&"$fd"
  for piece in "${@:3}"; do sleep "$1" && cat "$piece" >&"$fd"; done
  timeout 10 grep -q 'Hello, world!' <&"$fd"
)

# --- What is printed ----------------------------------------------------------

# cell COLUMN KEY...: this cell of the table's line that begins with the keys.
cell() { (IFS=$'\t'; grep -m 1 "^${*:2}"$'\t' "$tsv" | cut -f "$1"); }

# say: prints stdin, and appends it to the report.
say() { tee -a "$out/$name.txt"; }

# does TEXT: a remark. progress TEXT: one that is not in the report.
does() { echo "   $1" | say; }
progress() { echo "   $1" >&2; }

# row CELL...: appends a line to the table. new_table CELL...: its first line.
row() { (IFS=$'\t'; echo "$*") >>"$tsv"; }
new_table() { : >"$tsv"; row "$@"; }

# table [COLUMNS]: prints the table, or only these columns (as cut takes them),
# and draws the picture.
table() {
  cut -f "${1:-1-}" "$tsv" | column -t -s $'\t' |
    sed -e 's/^/   /' -e '1s/^/\n/' -e '$s/$/\n/' | say
  lab/draw.bash "$name" "$out" >"$work/drawn" 2>&1 ||
    give_up "gnuplot: $(tail -n 3 "$work/drawn")"
}

# verdict RESULT TEXT: the last line of the report. RESULT is confirmed, not
# confirmed, measured, where nothing is claimed, or left out.
verdict() {
  echo "   $1: ${2//$'\n'/ }" | say
  if [ -e "$tsv" ]; then echo "   $tsv, ${tsv%.tsv}.svg"; fi
}

# confirmed_if CONDITION TEXT: the same; a condition of Python gives the result.
confirmed_if() {
  verdict "$(python3 -c "print('confirmed' if $1 else 'not confirmed')")" "$2"
}
