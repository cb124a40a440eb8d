# What the tests of the lab share. An experiment is run small: its form is
# tested, and what no noise can turn; not its numbers.

setup_file() { export LAB_SMALL=yes; }

needs() {
  local tool
  for tool in "$@"; do
    command -v "$tool" >/dev/null || skip "$tool is missing: make lab-deps"
  done
}

# experiment NAME: runs it; what it leaves behind is in $dir/left.
experiment() {
  LAB_OUT=$dir/left run timeout 20 "$top/lab/$1.sh"
  echo "$output"
}

# has_form NAME ROWS: it printed a claim, a table and a verdict, and left behind
# a table with so many rows, a picture and a verdict.
has_form() {
  [ "$status" -eq 0 ]
  [[ $output = *"== $1: "* ]]
  grep -E '^   ((not )?confirmed|measured) on this machine: ' <<<"$output"
  [ "$(wc -l <"$dir/left/$1.tsv")" -eq $(($2 + 1)) ]
  [ "$(awk -F '\t' '{ print NF }' "$dir/left/$1.tsv" | sort -u | wc -l)" -eq 1 ]
  grep -q '<svg' "$dir/left/$1.svg"
  grep -q '</svg>' "$dir/left/$1.svg"
  awk -F '\t' 'NF != 3 || $2 !~ /^((not )?confirmed|measured)$/ || !/\.svg$/ { exit 1 }' \
    "$dir/left/$1.verdict"
}

# copy: the experiments in a folder of their own, where programs can be faked.
copy() {
  mkdir -p "$dir/kit/lab" "$dir/kit/build"
  cp "$top"/lab/*.sh "$top"/lab/*.bash "$top"/lab/*.gp "$dir/kit/lab"
}

# fake PROGRAM LINE...: a script of these lines.
fake() {
  printf '%s\n' '#!/bin/sh' "${@:2}" >"$dir/kit/$1"
  chmod +x "$dir/kit/$1"
}

# gives_up NAME LINE: in the copy, it ends with 1 and this line, and no table.
gives_up() {
  LAB_OUT=$dir/left run timeout 20 "$dir/kit/lab/$1.sh"
  echo "$output"
  [ "$status" -eq 1 ]
  [[ ${lines[-1]} = "$1: "$2 ]]
  run ! grep -E '^   (server|mode) ' <<<"$output"
  [ ! -e "$dir/left/$1.verdict" ]
}

# without TOOL NAME: the experiment where there is no such tool, but all others.
without() {
  # shellcheck disable=SC2046
  needs $(sed -n 's/^need \([a-z ]*\)$/\1/p' "$top/lab/$2.sh")
  mkdir "$dir/path"
  ln -s /usr/local/bin/* /usr/bin/* /bin/* "$dir/path" 2>/dev/null || true
  rm "$dir/path/$1"
  LAB_OUT=$dir/left PATH=$dir/path run "$top/lab/$2.sh"
  [ "$status" -eq 1 ]
  [ "$output" = "$2: $1 is missing: make lab-deps installs it" ]
}

# ended_early NAME SIGN: ended by a signal once it has printed the sign, it
# leaves no process and no file.
ended_early() {
  local status=0 experiment
  mkdir "$dir/tmp"
  LAB_SMALL='' TMPDIR=$dir/tmp LAB_OUT=$dir/left "$top/lab/$1.sh" \
    >"$out" 2>&1 3>&- &
  experiment=$!
  wait_for grep -q "$2" "$out"
  kill -TERM "$experiment"
  wait "$experiment" || status=$?
  [ "$status" -eq 143 ]
  [ -z "$(ls -A "$dir/tmp")" ]
  # What it has started has its environment, or like nginx, its folder as an
  # argument.
  wait_for not grep -l -s -a "$dir/tmp" /proc/[0-9]*/{environ,cmdline}
}
