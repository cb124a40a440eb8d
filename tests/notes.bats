# NOTES.md and README.md: nothing in them has drifted from the code, and every
# command does what they say.

load helpers

# The commands work in a copy, for they build.
setup_file() {
  cd "$BATS_TEST_DIRNAME/.."
  mkdir "$BATS_FILE_TMPDIR/kit"
  cp -R LICENSE Makefile README.md NOTES.md ex?_* appendix lab tests \
    "$BATS_FILE_TMPDIR/kit"
}

setup() {
  cd "$BATS_FILE_TMPDIR/kit"
  notes=tests/notes.sh
}

@test "NOTES.md quotes the code as it is" { "$notes" check_quotations NOTES.md; }
@test "NOTES.md quotes every program" { "$notes" check_examples NOTES.md ex?_*/server.c appendix/*/server.c; }
@test "NOTES.md: the whole diffs are those of today" { "$notes" check_diffs NOTES.md; }
@test "NOTES.md: each line of the article has its place in the C program" { "$notes" check_tables NOTES.md; }
@test "NOTES.md: the breaks can be made, and name their tests" { "$notes" check_breaks NOTES.md 15; }

# Names in backticks that no program of the kit has: of folders, of commands,
# and of calls and words that the text explains.
elsewhere="$(echo ex?_*) curl ab echo grep main top nstat
  epoll_pwait recvfrom sendto finally fork writev sendfile"

@test "NOTES.md names no function that does not exist" {
  # shellcheck disable=SC2086
  "$notes" check_names NOTES.md $elsewhere
}
@test "README.md names no function that does not exist" {
  # shellcheck disable=SC2086
  "$notes" check_names README.md $elsewhere
}

@test "NOTES.md: every link leads somewhere" { "$notes" check_links NOTES.md; }
@test "README.md: every link leads somewhere" { "$notes" check_links README.md; }

@test "every command of NOTES.md does what it says" {
  # It installs packages, and takes minutes; tests/lab_*.bats run it small.
  "$notes" run_commands NOTES.md 'make lab-deps lab'
}

@test "every command of README.md does what it says" {
  # The first and the last install packages, and the second runs this test.
  "$notes" run_commands README.md 'sudo apt-get install gcc libc6-dev make' \
    'make deps test' 'make lab-deps lab'
}
