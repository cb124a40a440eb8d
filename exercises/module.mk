# The exercises: a student writes mine/exN/server.c, and the kit's tests judge it.

CHECKS += test-exercises
NEEDS_exercises = python3

#: make start4       write example 4 yourself: begin with example 3 (start1 to start6)
#: make practice4    test it whenever you save it, stage by stage (practice1 to practice6)
#: make hint4        the next hint for the first stage that fails (hint1 to hint6)
#: make grade4       test it once (grade1 to grade6; grade: all, for an autograder)

$(NUMBERS:%=start%): start%:
	@exercises/start.sh $*

$(NUMBERS:%=practice%): practice%: $(TEST_TOOLS)
	@exercises/practice.sh $*

$(NUMBERS:%=hint%): hint%: $(TEST_TOOLS)
	@exercises/practice.sh --hint $*

$(NUMBERS:%=grade%): grade%: $(TEST_TOOLS)
	@exercises/grade.sh $*

grade: $(TEST_TOOLS)
	@exercises/grade.sh

test-exercises: $(TEST_TOOLS)
	$(BATS) exercises/tests

.PHONY: grade test-exercises $(NUMBERS:%=start%) $(NUMBERS:%=practice%) \
        $(NUMBERS:%=hint%) $(NUMBERS:%=grade%)
