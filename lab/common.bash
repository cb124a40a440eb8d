# What the experiments share: each one begins with ". lab/common.bash". From the
# environment:
#   LAB_OUT     the folder for the results (default: lab/out)
#   LAB_SMALL   yes: short runs, for the tests; their numbers mean nothing
#
# An experiment exits with 1, and says why in one line, if a tool is missing, a
# server does not start, or a load tool reports a failure. It ends everything
# that it has started.

set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export LC_ALL=C

name=$(basename "$0" .sh)
out=${LAB_OUT:-lab/out}
mkdir -p "$out"
tsv=$out/$name.tsv
svg=$out/$name.svg
started=0

# jobs -p, because a signal may arrive before $! is stored. Several signals,
# because a process that has just begun may miss the first.
finish() {
  local job try
  for job in $(jobs -p); do
    for try in {1..200}; do
      kill "$job" 2>/dev/null || break
      sleep 0.01
    done
    kill -KILL "$job" 2>/dev/null || true
  done
  rm -rf "${work:-}"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
work=$(mktemp -d)

give_up() {
  echo "$name: $*" >&2
  exit 1
}

# need TOOL...: gives up if one is missing.
need() {
  local tool
  for tool in "$@"; do
    command -v "$tool" >/dev/null ||
      give_up "$tool is missing: make lab-deps installs it"
  done
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
  local compiler
  read -ra compiler <<<"${CC:-cc}"
  need "${compiler[0]}"
  sed "$3" "$2" >"$work/$1.c"
  if cmp -s "$2" "$work/$1.c"; then give_up "$2 has no line to change"; fi
  "${compiler[@]}" -O2 -o "$work/$1" "$work/$1.c" || give_up "$1 does not build"
}

listens_or_ended() { grep -q '^listening' "$said" || ! kill -0 "$server"; }

# start PROGRAM [ARGUMENT...]: starts a server of the kit on a free port; the
# arguments follow the port. Sets $port, $server and $pid.
start() {
  local tries said
  for tries in {1..20}; do
    port=$((10000 + RANDOM % 20000))
    started=$((started + 1))
    said=$work/said.$started
    "$1" "$port" "${@:2}" >/dev/null 2>"$said" &
    server=$! pid=$!
    wait_for listens_or_ended || true
    if grep -q '^listening' "$said"; then return; fi
  done
  give_up "${1##*/} does not start (try $tries): $(tail -n 1 "$said")"
}

# stop PID: ends a process that was started here.
stop() {
  kill "$1" 2>/dev/null || true
  wait "$1" 2>/dev/null || true
}

# cpu PID: prints the processor time of a process with one thread, in
# nanoseconds. Fails if it has ended.
cpu() { cut -d ' ' -f 1 "/proc/$1/schedstat" 2>/dev/null; }

# ab_asks SERVER COUNT CLIENTS: ab sends COUNT requests to $port, and prints
# into $work/ab. Sets $cost, the processor time of $pid per request in
# microseconds, and $rate, the requests per second. Gives up if not every
# request gets an answer.
ab_asks() {
  local before after
  before=$(cpu "$pid") || give_up "$1 has ended"
  timeout 60 ab -q -n "$2" -c "$3" "http://127.0.0.1:$port/" >"$work/ab" 2>&1 ||
    give_up "$1: ab failed: $(tail -n 1 "$work/ab")"
  after=$(cpu "$pid") || give_up "$1 has ended"
  cost=$(awk "BEGIN { print ($after - $before) / 1000 / $2 }")
  rate=$(awk '/^Requests per second:/ { print $4 }' "$work/ab")
  awk -v asked="$2" '
    /^Complete requests:/ { complete = $3 }
    /^(Failed requests|Non-2xx responses):/ { failed += $NF }
    END { print complete + 0 " of " asked " requests, " failed + 0 " failed"
          exit complete != asked || failed > 0 }' "$work/ab" >"$work/count" ||
    give_up "$1: ab reports $(<"$work/count")"
}

is_ready() { grep -q ready "$work/client" || ! kill -0 "$client"; }

# hold_clients SERVER COUNT [ACTION...]: COUNT clients connect to $port, do this,
# and stay. Sets $client.
hold_clients() {
  # is_ready may run before the new client has emptied the file.
  : >"$work/client"
  PATIENCE=600 build/client -n "$2" "$port" "${@:3}" wait \
    >"$work/client" 2>&1 &
  client=$!
  wait_for is_ready || true
  grep -q ready "$work/client" ||
    give_up "$1: $2 silent clients: $(tail -n 1 "$work/client")"
}

# exchanges ROUNDS COUNT: build/exchange makes COUNT exchanges in each mode, in
# turn. Each line of $work/exchanges is one of them: mode, round, number,
# milliseconds, segments, segments at once.
exchanges() {
  local round mode
  for ((round = 1; round <= $1; round++)); do
    for mode in plain cork nodelay both; do
      progress "round $round of $1: $mode"
      build/exchange "$mode" "$2" >"$work/each" 2>"$work/err" ||
        give_up "exchange $mode: $(tail -n 1 "$work/err")"
      [ "$(wc -l <"$work/each")" -eq "$2" ] ||
        give_up "exchange $mode made fewer than $2 exchanges"
      sed "s/^/$mode $round /" "$work/each" >>"$work/exchanges"
    done
  done
}

# --- Numbers ------------------------------------------------------------------

# numbers FILE NAME [COLUMN]: the column (default: 2) of all lines that begin
# with the name.
numbers() { awk -v name="$2" -v at="${3:-2}" '$1 == name { print $at }' "$1"; }

# ratios FILE NAME OTHER: NAME's numbers divided by OTHER's, line by line.
ratios() {
  paste <(numbers "$1" "$2") <(numbers "$1" "$3") | awk '{ print $1 / $2 }'
}

# median: of the numbers on stdin, one per line.
median() {
  sort -g | awk '{ at[NR] = $1 }
    END { print NR % 2 ? at[(NR + 1) / 2] : (at[NR / 2] + at[NR / 2 + 1]) / 2 }'
}

# three: rounds the numbers on stdin to three digits.
three() {
  awk '{ for (i = 1; i <= NF; i++) $i = sprintf("%.3g", $i) + 0; print }'
}

# summary: median, least and greatest of the numbers on stdin, on one line.
summary() {
  sort -g >"$work/sorted"
  { median <"$work/sorted"; sed -n '1p;$p' "$work/sorted"; } | xargs | three
}

# holds CONDITION: a condition of awk, as yes or no.
holds() { awk "BEGIN { exit !($1) }"; }

# --- What is printed ----------------------------------------------------------

# say: prints stdin, and appends it to the report.
say() { tee -a "$out/$name.txt"; }

# claim TEXT: the first line. Removes the results of an earlier run.
claim() {
  the_claim=$1
  rm -f "$out/$name".* "$out/$name"-*
  echo
  echo "== $name: $1" | say
}

# does TEXT: a remark.
does() { xargs <<<"$1" | fold -s -w 76 | sed 's/ *$//; s/^/   /' | say; }

# progress TEXT: one line on stderr; on a terminal, always the same line.
progress() {
  if [ -t 2 ]; then printf '\r\033[K   %s' "$1" >&2; else echo "   $1" >&2; fi
}

# row CELL...: appends a line to the .tsv. new_table CELL...: its first line.
row() { (IFS=$'\t'; echo "$*") >>"$tsv"; }
new_table() { : >"$tsv"; row "$@"; }

# table [COLUMNS]: prints the .tsv, or only these columns (as cut takes them).
table() {
  if [ -t 2 ]; then printf '\r\033[K' >&2; fi
  cut -f "${1:-1-}" "$tsv" | column -t -s $'\t' |
    sed -e 's/^/   /' -e '1s/^/\n/' -e '$s/$/\n/' | say
}

# picture [TITLE]: draws $svg with the commands of gnuplot on stdin, after
# lab/style.gp. Their variable file contains the name of the .tsv.
picture() {
  {
    echo "file = '$tsv'"
    echo "set output '$svg'"
    echo "the_title = \"${1:-$the_claim}\""
    echo "load 'lab/style.gp'"
    cat
  } >"$work/picture.gp"
  gnuplot "$work/picture.gp" >"$work/gnuplot.log" 2>&1 ||
    give_up "gnuplot: $(tail -n 3 "$work/gnuplot.log")"
}

# verdict RESULT TEXT: the last line. RESULT is confirmed, not confirmed, or
# measured, where nothing is claimed.
verdict() {
  echo "   $1: ${2//$'\n'/ }" | say
  echo "   $tsv, $svg"
  printf '%s\t%s\t%s\n' "$the_claim" "$1" "$svg" >"$out/$name.verdict"
}

# confirmed_if CONDITION TEXT: the same; the condition gives the result.
confirmed_if() {
  local result=confirmed
  holds "$1" || result='not confirmed'
  verdict "$result" "$2"
}
