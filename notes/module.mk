# The notes, and what keeps text and code together.

CHECKS += test-notes mutants
NEEDS_notes = python3 patch ip

#: make update-notes bring quotations and recordings up to date with the code
#: make test-notes   check the documents, and run their commands in a copy
#: make mutants      make each break of notes/breaks.md, and see a test fail

build/facts: notes/facts.c | linux
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) $(LDFLAGS) -o $@ $<

build/pool: notes/pool.c | linux
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) $(LDFLAGS) -pthread -o $@ $<

# The solution of an exercise, with a time limit of a second.
build/stop: appendix/g_time_limits/server.c notes/stop.diff | linux
	@mkdir -p $(@D)
	patch -s -o $@.c $^
	$(CC) $(CPPFLAGS) -DLIMIT_MS=1000 $(CFLAGS) $(LDFLAGS) -o $@ $@.c

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
