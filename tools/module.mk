# Other builds, and tests of the kit as a whole. A build for another library or
# with sanitizers goes to a folder of its own, and passes the same tests.

CHECKS += test-tools lint sanitize musl
NEEDS_tools = gcc clang clang-format clang-tidy shellcheck musl-gcc python3

#: make test-tools   test the neighbour diffs, sizes, the Makefile, the folders
#: make lint         warnings of gcc and clang, clang-tidy, shellcheck
#: make sanitize     all tests with AddressSanitizer, UBSan and ThreadSanitizer
#: make musl         all tests with another C library

test-tools: $(EXAMPLES) $(TEST_TOOLS)
	$(BATS) tools

WARNINGS = -Wall -Wextra -Wpedantic -Wshadow -Werror
SANITIZE = -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all
SANITIZE_THREADS = -O1 -g -fsanitize=thread
BUILT = $(EXAMPLES:%=$(O)%) $(APPENDIX:%=$(O)%) $(filter $(O)%,$(APPENDIX_TOOLS))

# ThreadSanitizer may not find room among addresses that are too random.
LESS_RANDOM = $(shell setarch $$(uname -m) -R true 2>/dev/null && \
                      echo setarch $$(uname -m) -R)

built: $(BUILT)

sanitize: $(TEST_TOOLS) $(APPENDIX_TOOLS)
	@$(MAKE) --no-print-directory O=build/sanitize/ CFLAGS='$(SANITIZE)' built
	SANITIZED=1 BIN=build/sanitize PATIENCE=10 tests/run.sh $(EXAMPLES) $(APPENDIX)
ifneq ($(THREADED),)
	@$(MAKE) --no-print-directory O=build/threads/ CFLAGS='$(SANITIZE_THREADS)' \
	  $(THREADED:%=build/threads/%)
	for program in $(sort $(notdir $(THREADED))); do EXAMPLE=$$program SANITIZED=1 \
	  BIN=build/threads PATIENCE=10 $(LESS_RANDOM) \
	  $(BATS) appendix/$$program/tests.bats appendix/threads.bats || exit 1; done
endif

# musl brings no headers of the kernel; appendix H needs them.
KERNEL_HEADERS = -idirafter /usr/include -idirafter /usr/include/$(shell uname -m)-linux-gnu

musl: $(TEST_TOOLS) $(APPENDIX_TOOLS)
	@$(MAKE) --no-print-directory O=build/musl/ CC=musl-gcc \
	  CFLAGS='-O2 $(WARNINGS) $(KERNEL_HEADERS)' built
	CC=musl-gcc BIN=build/musl PATIENCE=10 tests/run.sh $(EXAMPLES) $(APPENDIX)

SOURCES = $(wildcard ex?_*/*.c appendix/*/*.c */*.c)
SCRIPTS = .ci/run $(wildcard */*.sh */*.bash */*.bats */*/*.sh */*/*.bash */*/*.bats)

lint:
	clang-format --dry-run -Werror $(sort $(SOURCES))
	@for source in $(sort $(SOURCES)); do for cc in gcc clang; do \
	  $$cc -O2 $(WARNINGS) -c -o /dev/null "$$source" || exit 1; done; done
	clang-tidy --quiet $(sort $(SOURCES)) --
	shellcheck $(SCRIPTS)

# An old name.
test-kit: test-tools

.PHONY: test-tools test-kit built sanitize musl lint
