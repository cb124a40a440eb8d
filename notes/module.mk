# The notes, and what keeps text and code together.

CHECKS += test-notes mutants
NEEDS_notes = python3

#: make update-notes bring quotations and recordings up to date with the code
#: make test-notes   check the documents, and run their commands in a copy
#: make mutants      make each break of notes/breaks.md, and see a test fail

build/facts: notes/facts.c | linux
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) $(LDFLAGS) -o $@ $<

update-notes:
	@notes/check/notes.py update

test-notes:
	notes/check/notes.py check
	$(BATS) notes/check
	notes/check/notes.py run

mutants: $(TEST_TOOLS) $(APPENDIX_TOOLS)
	notes/check/mutants.sh

# An old name.
check-notes: test-notes

.PHONY: update-notes test-notes check-notes mutants
