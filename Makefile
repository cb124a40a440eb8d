ifneq ($(shell uname -s),Linux)
$(error epoll needs Linux: use a Linux machine, a virtual machine or a container)
endif

CFLAGS ?= -O2 -g -Wall -Wextra -Wpedantic -Wshadow
BATS ?= bats
EXAMPLES = ex1 ex2 ex3 ex4 ex5 ex6
APPENDIX = a_select b_poll d_event_names
TOOLS = build/client build/facts build/preload.so
SERVERS = $(wildcard ex?_*/server.c appendix/*/server.c)
SOURCES = $(SERVERS) $(wildcard tests/*.c)
SCRIPTS = .ci/run $(wildcard tests/*.sh tests/*.bash tests/*.bats)
WARNINGS = -Wall -Wextra -Wpedantic -Wshadow -Werror
SANITIZE = -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all
DIFF = diff -u $(shell diff --color=auto Makefile Makefile 2>/dev/null && \
                       echo --color=auto)

TESTS = test1 test2 test3 test4 test5 test6
APPENDIX_TESTS = testa testb testd
DIFFS = diff2 diff3 diff4 diff5 diff6 diffa diffb diffd

.PHONY: all help test $(TESTS) $(APPENDIX_TESTS) $(DIFFS) check-notes mutants \
        lint sanitize deps dev-deps clean

all: $(EXAMPLES)

ex1: ex1_blocking/server.c
ex2: ex2_loop/server.c
ex3: ex3_epoll_lt/server.c
ex4: ex4_epoll_et/server.c
ex5: ex5_cork/server.c
ex6: ex6_nodelay/server.c

$(APPENDIX): %: appendix/%/server.c

$(EXAMPLES) $(APPENDIX):
	$(CC) $(CPPFLAGS) $(CFLAGS) $(LDFLAGS) -o $@ $<

help:
	@echo 'make              build all six examples'
	@echo 'make ex4          build one (ex1 to ex6); then ./ex4 [port]'
	@echo 'make b_poll       build one of the appendix; then ./b_poll [port]:'
	@echo '                  $(APPENDIX)'
	@echo 'make diff4        show it against the one it grows from ($(DIFFS))'
	@echo 'make test         run all tests; test4: those of example 4 (test1 to test6)'
	@echo 'make check-notes  compare NOTES.md and README.md with the code'
	@echo 'make mutants      make each break of NOTES.md, and see its test fail'
	@echo 'make sanitize     run all tests under AddressSanitizer and UBSan'
	@echo 'make lint         check formatting and code'
	@echo 'make deps         install what make test needs'
	@echo 'make dev-deps     install what make lint needs'
	@echo 'make clean        remove what was built'

build/client build/facts: build/%: tests/%.c
	@mkdir -p build
	$(CC) $(CPPFLAGS) $(CFLAGS) $(LDFLAGS) -o $@ $<

build/preload.so: tests/preload.c
	@mkdir -p build
	$(CC) $(CPPFLAGS) $(CFLAGS) $(LDFLAGS) -shared -fPIC -o $@ $<

test: all $(APPENDIX) $(TOOLS)
	$(BATS) tests

$(TESTS): test%: ex% $(TOOLS)
	$(BATS) tests/ex$*.bats

$(APPENDIX_TESTS): test%: $(APPENDIX) $(TOOLS)
	$(BATS) tests/$*_*.bats

check-notes: all $(APPENDIX) $(TOOLS)
	$(BATS) tests/notes.bats tests/checker.bats

mutants: all $(TOOLS)
	tests/mutants.sh

# What most of them grow from.
OLD = ex3_epoll_lt
diff2: OLD = ex1_blocking
diff2: NEW = ex2_loop
diff3: OLD = ex2_loop
diff3: NEW = ex3_epoll_lt
diff4: NEW = ex4_epoll_et
diff5: NEW = ex5_cork
diff6: NEW = ex6_nodelay
diffa: NEW = appendix/a_select
diffb: NEW = appendix/b_poll
diffd: NEW = appendix/d_event_names

# diff exits 1 when it finds what it is asked for.
$(DIFFS):
	@$(DIFF) $(OLD) $(NEW) || test $$? -eq 1

sanitize: $(TOOLS)
	@mkdir -p build/sanitize
	for source in $(SERVERS); do \
	  name=$$(basename "$${source%/server.c}"); \
	  case $$name in ex*) name=$${name%%_*} ;; esac; \
	  $(CC) $(CPPFLAGS) $(SANITIZE) $(LDFLAGS) \
	    -o "build/sanitize/$$name" "$$source" || exit 1; done
	BIN=build/sanitize $(BATS) tests

lint:
	clang-format --dry-run -Werror $(SOURCES)
	for source in $(SOURCES); do \
	  for cc in gcc clang; do \
	    $$cc -O2 $(WARNINGS) -c -o /dev/null "$$source" || exit 1; done; done
	clang-tidy --quiet $(SOURCES) --
	cppcheck --quiet --error-exitcode=1 --enable=warning,performance,portability \
	  --suppress=missingIncludeSystem --suppress=uninitvar \
	  --suppress=normalCheckLevelMaxBranches $(SOURCES)
	shellcheck $(SCRIPTS)

deps:
	tests/install.sh cc bats curl strace

dev-deps:
	tests/install.sh gcc clang clang-format clang-tidy cppcheck shellcheck

clean:
	rm -rf $(EXAMPLES) $(APPENDIX) build
