# The appendix: one folder for each program. What a program needs beyond the
# rules here stands in its own folder: a module.mk, and the file traits.

APPENDIX := $(patsubst appendix/%/server.c,%,$(wildcard appendix/*/server.c))
LETTERS := $(foreach program,$(APPENDIX),$(firstword $(subst _, ,$(program))))
PROGRAMS += $(APPENDIX)
CHECKS += test-appendix

#: make b_poll       build one of the appendix; then ./b_poll [port]
#: make diffb        show it against the example it grows from
#: make testb        run its tests; test-appendix: those of all its programs

# May take its program out of APPENDIX.
-include appendix/*/module.mk

$(APPENDIX:%=$(O)%): $(O)%: appendix/%/server.c | linux
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) $(LDFLAGS) -o $@ $<

$(LETTERS:%=diff%): diff%:
	@. ./appendix/$*_*/traits; \
	$(DIFF) "$$grows_from/server.c" appendix/$*_*/server.c || test $$? -eq 1

test-appendix: $(APPENDIX) $(APPENDIX_TOOLS) $(TEST_TOOLS)
	@tests/run.sh $(APPENDIX)

$(foreach program,$(APPENDIX),test$(firstword $(subst _, ,$(program)))): \
  test%: $(APPENDIX) $(APPENDIX_TOOLS) $(TEST_TOOLS)
	@tests/run.sh $(filter $*_%,$(APPENDIX))

.PHONY: test-appendix $(LETTERS:%=diff%) $(LETTERS:%=test%)
