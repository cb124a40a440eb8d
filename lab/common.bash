# What the experiments share; each begins with ". lab/common.bash". In the
# environment, LAB_OUT is the folder for what they leave behind, lab/out unless
# told otherwise, and LAB_SMALL=yes makes them short: their form is right then,
# and their numbers are worth nothing.
#
# An experiment ends with status 1 and a line that says why if a tool is
# missing, a server does not start, or a load tool reports a failure. Whatever
# it has started ends with it.

set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

name=$(basename "$0" .sh)
out=${LAB_OUT:-lab/out}
mkdir -p "$out"
tsv=$out/$name.tsv
svg=$out/$name.svg
report=$out/$name.txt
work=
pids=()
export LC_ALL=C

# The shell's own list of what runs: a signal may have come before $! was put
# down. And more than once: what has only just begun may miss the first.
finish() {
  local pid try
  for pid in $(jobs -p); do
    for try in {1..200}; do
      kill "$pid" 2>/dev/null || break
      sleep 0.01
    done
    kill -KILL "$pid" 2>/dev/null || true
  done
  rm -rf "$work"
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

# small FULL SMALL: the first number, or the second in a short run.
small() { if [ -n "${LAB_SMALL:-}" ]; then echo "$2"; else echo "$1"; fi; }

# say: prints stdin, and keeps it in $report.
say() { tee -a "$report"; }

# claim TEXT, does TEXT: the beginning of what is printed.
claim() {
  the_claim=$1
  rm -f "$out/$name".*
  echo
  echo "== $name: $1" | say
}
does() {
  fold -s -w 76 <<<"$(tr -s ' \n' ' ' <<<"$1")" | sed 's/ *$//; s/^/   /' | say
}

# progress TEXT: a sign of life, in place of the one before if this is a
# terminal.
progress() {
  if [ -t 2 ]; then printf '\r\033[K   %s' "$1" >&2; else echo "   $1" >&2; fi
}
progress_ends() { if [ -t 2 ]; then printf '\r\033[K' >&2; fi; }

# wait_for COMMAND...: until it succeeds, for 10 seconds at most.
wait_for() {
  local deadline=$((SECONDS + 10))
  until "$@" >/dev/null 2>&1; do
    if ((SECONDS > deadline)); then return 1; fi
    sleep 0.01
  done
}

listens_or_ended() {
  grep -q '^listening' "$work/$1.err" || ! kill -0 "${pids[-1]}"
}

# start PROGRAM [ARGUMENT...]: a server of the kit, on a free port; the
# arguments follow the port. Sets $port and $server, its pid.
start() {
  local tries label
  for tries in {1..20}; do
    port=$((10000 + RANDOM % 20000))
    # A file of its own, or what an earlier server said would count.
    label=$(basename "$1").${#pids[@]}
    "$1" "$port" "${@:2}" >/dev/null 2>"$work/$label.err" &
    pids+=($!)
    server=$!
    wait_for listens_or_ended "$label" || true
    if grep -q '^listening' "$work/$label.err"; then return; fi
  done
  give_up "$1 does not start (try $tries): $(tail -n 1 "$work/$label.err")"
}

# stop PID: ends a process that was started here.
stop() {
  kill "$1" 2>/dev/null || true
  wait "$1" 2>/dev/null || true
}

# cpu PID: the nanoseconds of processor time that a process with one thread has
# used. Fails if it has ended.
cpu() { cut -d ' ' -f 1 "/proc/$1/schedstat" 2>/dev/null; }

# median: of the numbers on stdin, a line each.
median() {
  sort -g | awk '{ at[NR] = $1 }
    END { print NR % 2 ? at[(NR + 1) / 2] : (at[NR / 2] + at[NR / 2 + 1]) / 2 }'
}

# spread: the least and the greatest of the numbers on stdin.
spread() { sort -g | sed -n '1p;$p' | paste -s -d ' '; }

# digits: the numbers on stdin, a line each, with the three digits that count.
digits() {
  awk '$1 == "nan" { print; next }
    { size = 1; while ($1 / size >= 1000) size *= 10
      places = $1 >= 100 || $1 == int($1) ? 0 : $1 >= 10 ? 1 : $1 >= 1 ? 2 : 3
      printf("%." places "f\n", size == 1 ? $1 : int($1 / size + 0.5) * size) }'
}

# ab_asks COUNT CLIENTS [OPTION...]: ab asks the server at $port, and says what
# it found in $work/ab. Fails if that is not an answer to each request;
# $complaint says why then.
ab_asks() {
  local failed answered
  complaint=
  timeout 60 ab -q -n "$1" -c "$2" "${@:3}" "http://127.0.0.1:$port/" \
    >"$work/ab" 2>"$work/ab.err" ||
    complaint="ab failed: $(tail -n 1 "$work/ab.err")"
  failed=$(awk '/^(Failed requests|Non-2xx responses):/ { n += $NF }
    END { print n + 0 }' "$work/ab")
  answered=$(awk '/^Complete requests:/ { print $3 }' "$work/ab")
  if [ -n "$complaint" ]; then return 1; fi
  if [ "$failed" -ne 0 ]; then
    complaint="ab reports $failed failed requests"
  elif [ "$answered" != "$1" ]; then
    complaint="ab reports ${answered:-no} complete requests in place of $1"
  fi
  [ -z "$complaint" ]
}

# numbers FILE NAME: those of one server, a line for each round; the lines of
# FILE are "NAME NUMBER", in the order of the rounds.
numbers() { awk -v name="$2" '$1 == name { print $2 }' "$1"; }

# ratios FILE NAME OTHER: its numbers over the other's, round by round.
ratios() {
  paste <(numbers "$1" "$2") <(numbers "$1" "$3") | awk '{ print $1 / $2 }'
}

# three: the numbers on stdin, rounded to three digits.
three() {
  awk '{ for (i = 1; i <= NF; i++) $i = sprintf("%.3g", $i) + 0; print }'
}

# summary: median, least and greatest of the numbers on stdin, in three digits.
summary() {
  sort -g >"$work/sorted"
  echo "$(median <"$work/sorted")" "$(spread <"$work/sorted")" | three
}

# row CELL...: a line of the .tsv; the first one is the head.
row() { (IFS=$'\t'; echo "$*") >>"$tsv"; }
new_table() { : >"$tsv"; row "$@"; }

# table [FILE]: prints the .tsv, or another file of that kind.
table() {
  progress_ends
  { echo; column -t -s $'\t' <"${1:-$tsv}" | sed 's/^/   /'; echo; } | say
}

# picture: draws the .svg with the commands of gnuplot on stdin. $tsv is known
# to them as file, and lab/style.gp is done before them.
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

# verdict confirmed|'not confirmed'|measured TEXT: the end of what is printed;
# measured, where the article claims nothing.
verdict() {
  does "$1 on this machine: $2"
  echo "   $tsv, $svg"
  printf '%s\t%s\t%s\n' "$the_claim" "$1" "$svg" >"$out/$name.verdict"
}

# holds CONDITION: awk's arithmetic, as a yes or no.
holds() { awk "BEGIN { exit !($1) }"; }
