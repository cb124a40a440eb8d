# What the tests of the lab share. They run an experiment small, and check what
# noise cannot change; not its numbers.

bats_require_minimum_version 1.8.0

setup_file() { export LAB_SMALL=yes; }

not() { ! "$@"; }

needs() {
  local tool
  for tool in "$@"; do
    command -v "$tool" >/dev/null || skip "$tool is missing: make lab-deps"
  done
}

# needs_of NAME: skips the test if a tool of this experiment is missing.
needs_of() {
  PATH=$PATH:/usr/sbin
  if grep -q nginx.bash "$top/lab/$1.sh"; then needs nginx; fi
  # shellcheck disable=SC2046
  needs $(sed -n 's/^need \([a-z ]*\)$/\1/p' "$top/lab/$1.sh")
}

# experiment NAME: runs it; its results are in $dir/left.
experiment() {
  LAB_OUT=$dir/left run timeout 30 "${kit:-$top}/lab/$1.sh"
  echo "$output"
}

# has_form NAME ROWS: it printed a claim, a table and a verdict, and left a
# table with this many rows, a picture and a verdict.
has_form() {
  [ "$status" -eq 0 ]
  [[ $output = *"== $1: "* ]]
  grep -E '^   ((not )?confirmed|measured): ' <<<"$output"
  [ "$(wc -l <"$dir/left/$1.tsv")" -eq $(($2 + 1)) ]
  [ "$(awk -F '\t' '{ print NF }' "$dir/left/$1.tsv" | sort -u | wc -l)" -eq 1 ]
  grep -q '<svg' "$dir/left/$1.svg"
  grep -q '</svg>' "$dir/left/$1.svg"
  awk -F '\t' 'NF != 3 || $2 !~ /^((not )?confirmed|measured)$/ ||
    !/\.svg$/ { exit 1 }' "$dir/left/$1.verdict"
}

# copy [FILE...]: copies the experiments to a folder $kit, where programs can be
# replaced, and these files of the kit as well.
copy() {
  local file
  kit=$dir/kit
  mkdir -p "$kit/lab" "$kit/build"
  cp "$top"/lab/*.sh "$top"/lab/*.bash "$top"/lab/*.gp "$kit/lab"
  for file in "$@"; do cp -r "$top/$file" "$kit/$file"; done
}

# fake PROGRAM LINE...: a script of these lines, in the copy.
fake() {
  rm -f "$kit/$1"
  printf '%s\n' '#!/bin/sh' "${@:2}" >"$kit/$1"
  chmod +x "$kit/$1"
}

# gives_up NAME LINE: in the copy, the experiment exits with 1 and this line,
# without a table.
gives_up() {
  experiment "$1"
  [ "$status" -eq 1 ]
  [[ ${lines[-1]} = "$1: "$2 ]]
  run ! grep -E '^   (server|mode|backlog|asking) ' <<<"$output"
  [ ! -e "$dir/left/$1.verdict" ]
}

# without TOOL NAME: the experiment, where only this tool is missing.
without() {
  needs_of "$2"
  mkdir -p "$dir/path"
  ln -sf /usr/local/bin/* /usr/bin/* /bin/* "$dir/path" 2>/dev/null || true
  rm "$dir/path/$1"
  LAB_OUT=$dir/left PATH=$dir/path run "$top/lab/$2.sh"
  echo "$output"
  [ "$status" -eq 1 ]
  [ "$output" = "$2: $1 is missing: make lab-deps installs it" ]
}

# ended_early NAME SIGN: it gets SIGTERM when it has printed the sign. Then it
# leaves no process and no file.
ended_early() {
  local status=0 experiment
  mkdir "$dir/tmp"
  LAB_SMALL='' TMPDIR=$dir/tmp LAB_OUT=$dir/left "$top/lab/$1.sh" \
    >"$out" 2>&1 3>&- &
  experiment=$!
  PATIENCE=10 wait_for grep -q "$2" "$out"
  kill -TERM "$experiment"
  wait "$experiment" || status=$?
  [ "$status" -eq 143 ]
  [ -z "$(ls -A "$dir/tmp")" ]
  # Its processes have TMPDIR in their environment, or as an argument.
  wait_for not grep -l -s -a "$dir/tmp" /proc/[0-9]*/{environ,cmdline}
}
