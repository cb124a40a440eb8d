# The documents: they agree with the code, and every command does what they say.

bats_require_minimum_version 1.8.0

# The commands build programs, so they run in a copy.
setup_file() {
  export BATS_NO_PARALLELIZE_WITHIN_FILE=true
  cd "$BATS_TEST_DIRNAME/../.."
  mkdir "$BATS_FILE_TMPDIR/kit"
  for part in LICENSE Makefile ./*.md ex?_* appendix exercises lab notes replay tests tools; do
    if [ -e "$part" ]; then cp -R "$part" "$BATS_FILE_TMPDIR/kit"; fi
  done
}

setup() { cd "$BATS_FILE_TMPDIR/kit"; }

runs() {
  if [ ! -e "$1" ]; then skip "there is no $1"; fi
  notes/check/notes.py run "$1"
}

@test "the documents agree with the code (make test-notes)" { notes/check/notes.py check; }

@test "README.md: every command does what it says" { runs README.md; }
@test "NOTES.md: every command does what it says" { runs NOTES.md; }
@test "CONTRIBUTING.md: every command does what it says" { runs CONTRIBUTING.md; }
@test "notes/breaks.md: every command does what it says" { runs notes/breaks.md; }
@test "notes/beyond.md: every command does what it says" { runs notes/beyond.md; }
@test "appendix/README.md: every command does what it says" { runs appendix/README.md; }
@test "lab/README.md: every command does what it says" { runs lab/README.md; }
@test "tests/README.md: every command does what it says" { runs tests/README.md; }
@test "replay/README.md: every command does what it says" { runs replay/README.md; }
