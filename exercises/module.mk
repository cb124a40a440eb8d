# The exercises: a student writes mine/exN/server.c, and the kit's tests judge it.

CHECKS += test-exercises

#: make start4       write example 4 yourself: begin with example 3 (start1 to start6)
#: make grade4       test what you have written (grade1 to grade6; grade: all)

$(NUMBERS:%=start%): start%:
	@exercises/start.sh $*

$(NUMBERS:%=grade%): grade%: $(TEST_TOOLS)
	@exercises/grade.sh $*

grade: $(TEST_TOOLS)
	@exercises/grade.sh

test-exercises: $(TEST_TOOLS)
	$(BATS) exercises/tests

.PHONY: grade $(NUMBERS:%=start%) $(NUMBERS:%=grade%) test-exercises
