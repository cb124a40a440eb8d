# The lab: each experiment is a script, lab/NAME.sh.

LAB = stall wakeups backlog scaling segments latency pipelining cost
LAB_TOOLS = build/exchange build/floor
LAB_NEEDS = $(EXAMPLES) $(APPENDIX) build/client $(LAB_TOOLS)
CHECKS += test-lab
NEEDS_lab = ab wrk nginx gnuplot column curl strace

#: make lab          measure what the article claims; lab-stall: one of
#:                   stall wakeups backlog scaling segments latency pipelining cost

lab: $(LAB_NEEDS)
	lab/all.sh $(LAB)

$(LAB:%=lab-%): lab-%: $(LAB_NEEDS)
	lab/$*.sh

$(LAB_TOOLS): build/%: lab/%.c | linux
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) $(LDFLAGS) -o $@ $<

test-lab: $(LAB_NEEDS) $(APPENDIX_TOOLS) $(TEST_TOOLS)
	$(BATS) lab/tests

.PHONY: lab $(LAB:%=lab-%) test-lab
