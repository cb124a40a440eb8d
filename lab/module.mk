# The lab: each script lab/NAME.sh is an experiment.

LAB = $(patsubst lab/%.sh,%,$(wildcard lab/*.sh))
LAB_NEEDS = $(EXAMPLES) $(APPENDIX) build/client
CHECKS += test-lab
NEEDS_lab = ab wrk nginx gnuplot column curl strace pgrep python3

#: make lab          measure what the article claims
#: make lab-stall    one experiment: each lab/NAME.sh has such a target

lab: $(LAB_NEEDS)
	lab/all.bash $(LAB)

$(LAB:%=lab-%): lab-%: $(LAB_NEEDS)
	lab/$*.sh

test-lab: $(LAB_NEEDS) $(TEST_TOOLS)
	$(BATS) lab/tests

.PHONY: lab $(LAB:%=lab-%) test-lab
