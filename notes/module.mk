# The notes, and what keeps text and code together.

CHECKS += test-notes mutants
NEEDS_notes = python3 unshare

#: make update-notes bring the quotations of the documents up to date
#: make test-notes   check the documents, and run their commands
#: make mutants      make each break of notes/breaks.md, and see a test fail

build/facts: notes/facts.c | linux
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) $(LDFLAGS) -o $@ $<

update-notes:
	@notes/check/notes.py update

NOTES_TOOLS = $(EXAMPLES) $(APPENDIX) $(APPENDIX_TOOLS) $(LAB_TOOLS) build/facts

test-notes: $(NOTES_TOOLS) $(TEST_TOOLS)
	$(BATS) notes/check

mutants: $(TEST_TOOLS) $(APPENDIX_TOOLS)
	notes/check/mutants.sh

# An old name.
check-notes: test-notes

.PHONY: update-notes test-notes check-notes mutants
