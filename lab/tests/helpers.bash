# What the tests of the lab share. They run an experiment small, and check what
# noise cannot change; not its numbers.

# skip_without NAME: skips the test if a tool or a program that the experiment
# needs is missing.
skip_without() {
  local missing
  missing=$(grep -o -E "($1: .* is missing: .*|left out: .*)" <<<"$output") || return 0
  skip "$missing"
}

# experiment NAME ROWS: runs it; its results are in $left. It prints a claim, a
# table with a row for each server that is not left out, and a verdict, and draws a
# picture.
experiment() {
  left=$dir/left
  LAB_SMALL=yes LAB_OUT=$left run timeout 120 "$top/lab/$1.sh"
  skip_without "$1"
  echo "$output"
  [ "$status" -eq 0 ]
  [[ $output == *"== $1: "* ]]
  grep -E '^   ((not )?confirmed|measured): ' "$left/$1.txt"
  [ "$(tail -n +2 "$left/$1.tsv" | wc -l)" -eq $(($2 - $(grep -c 'is left out' <<<"$output"))) ]
  [ "$(awk -F '\t' '{ print NF }' "$left/$1.tsv" | sort -u | wc -l)" -eq 1 ]
  grep -q '</svg>' "$left/$1.svg"
}

# holds CONDITION: a condition of awk about the last table. cell[R,C] is a cell:
# R is the first column of its line, or the first two with a space between them.
holds() {
  awk -F '\t' '{ for (i = 1; i <= NF; i++) cell[$1,i] = cell[$1" "$2,i] = $i }
    END { exit !('"$1"') }' "$left"/*.tsv
}

# small NAME COMMAND...: an experiment of these commands, in bash.
small() {
  left=$dir/left
  printf '%s\n' ". '$top/lab/common.bash'" "${@:2}" >"$dir/$1.sh"
  LAB_SMALL=yes LAB_OUT=$left run timeout 60 bash "$dir/$1.sh"
  echo "$output"
}
