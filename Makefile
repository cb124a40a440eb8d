ifneq ($(shell uname -s),Linux)
$(error epoll needs Linux: use a Linux machine, a virtual machine or a container)
endif

CFLAGS ?= -O2 -g -Wall -Wextra -Wpedantic -Wshadow
BATS ?= bats
EXAMPLES = ex1 ex2 ex3 ex4 ex5 ex6
APPENDIX = a_select b_poll c_echo_queues d_event_names e_oneshot f_pipelining
TOOLS = build/client build/facts build/preload.so build/one_at_a_time.so \
        build/one/e_oneshot build/exchange build/floor
SERVERS = $(wildcard ex?_*/server.c appendix/*/server.c)
SOURCES = $(wildcard ex?_*/*.c appendix/*/*.c lab/*.c tests/*.c)
SCRIPTS = .ci/run $(wildcard lab/*.sh lab/*.bash tests/*.sh tests/*.bash \
            tests/*.bats)
WARNINGS = -Wall -Wextra -Wpedantic -Wshadow -Werror
SANITIZE = -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all
SANITIZE_THREADS = -O1 -g -fsanitize=thread
# ThreadSanitizer may not find room among addresses that are too random.
LESS_RANDOM = $(shell setarch $$(uname -m) -R true 2>/dev/null && \
                      echo setarch $$(uname -m) -R)
DIFF = diff -u $(shell diff --color=auto Makefile Makefile 2>/dev/null && \
                       echo --color=auto)

LAB = stall wakeups backlog scaling segments latency pipelining cost
TESTS = test1 test2 test3 test4 test5 test6
APPENDIX_TESTS = testa testb testc testd teste testf
DIFFS = diff2 diff3 diff4 diff5 diff6 diffa diffb diffc diffd diffe difff

.PHONY: all help test $(TESTS) $(APPENDIX_TESTS) $(DIFFS) check-notes mutants \
        lab $(LAB:%=lab-%) lint sanitize deps dev-deps lab-deps clean

all: $(EXAMPLES)

ex1: ex1_blocking/server.c
ex2: ex2_loop/server.c
ex3: ex3_epoll_lt/server.c
ex4: ex4_epoll_et/server.c
ex5: ex5_cork/server.c
ex6: ex6_nodelay/server.c

$(APPENDIX): %: appendix/%/server.c

echo_client: appendix/c_echo_queues/echo_client.c

# Before glibc 2.34, threads are a library of their own.
e_oneshot build/one/e_oneshot: override LDFLAGS += -pthread

$(EXAMPLES) $(APPENDIX) echo_client:
	$(CC) $(CPPFLAGS) $(CFLAGS) $(LDFLAGS) -o $@ $<

help:
	@echo 'make              build all six examples'
	@echo 'make ex4          build one (ex1 to ex6); then ./ex4 [port]'
	@echo 'make b_poll       build one of the appendix; then ./b_poll [port]'
	@echo '                  ($(APPENDIX))'
	@echo 'make diff4        show it against the one it grows from (diff2 to diff6;'
	@echo '                  diffa to difff: the appendix)'
	@echo 'make test         run all tests; test4: those of example 4 (test1 to test6;'
	@echo '                  testa to testf: the appendix)'
	@echo 'make check-notes  compare NOTES.md and README.md with the code'
	@echo 'make mutants      make each break of NOTES.md, and see its test fail'
	@echo 'make lab          measure what the article claims; lab-stall: one of'
	@echo '                  $(LAB)'
	@echo 'make sanitize     run the tests of all programs under AddressSanitizer, UBSan'
	@echo '                  and ThreadSanitizer'
	@echo 'make lint         check formatting and code'
	@echo 'make deps         install what make test needs'
	@echo 'make dev-deps     install what make lint needs'
	@echo 'make lab-deps     install what make lab needs'
	@echo 'make clean        remove what was built'

build/client build/facts: build/%: tests/%.c
	@mkdir -p build
	$(CC) $(CPPFLAGS) $(CFLAGS) $(LDFLAGS) -o $@ $<

build/preload.so build/one_at_a_time.so: build/%.so: tests/%.c
	@mkdir -p build
	$(CC) $(CPPFLAGS) $(CFLAGS) $(LDFLAGS) -shared -fPIC -o $@ $<

# With one worker, the order of its calls is known.
build/one/e_oneshot: appendix/e_oneshot/server.c
	@mkdir -p build/one
	$(CC) $(CPPFLAGS) -DWORKERS=1 $(CFLAGS) $(LDFLAGS) -o $@ $<

test: all $(APPENDIX) echo_client $(TOOLS)
	$(BATS) tests

$(TESTS): test%: ex% $(TOOLS)
	$(BATS) tests/ex$*.bats

$(APPENDIX_TESTS): test%: $(APPENDIX) echo_client $(TOOLS)
	$(BATS) tests/$*_*.bats

check-notes: all $(APPENDIX) echo_client $(TOOLS)
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
diffc: NEW = appendix/c_echo_queues
diffd: NEW = appendix/d_event_names
diffe: NEW = appendix/e_oneshot
difff: OLD = ex5_cork
difff: NEW = appendix/f_pipelining

# diff exits 1 when it finds what it is asked for.
$(DIFFS):
	@$(DIFF) $(OLD) $(NEW) || test $$? -eq 1

LAB_TOOLS = all $(APPENDIX) build/client build/exchange build/floor

lab: $(LAB_TOOLS)
	lab/all.sh $(LAB)

$(LAB:%=lab-%): lab-%: $(LAB_TOOLS)
	lab/$*.sh

build/exchange build/floor: build/%: lab/%.c
	@mkdir -p build
	$(CC) $(CPPFLAGS) $(CFLAGS) $(LDFLAGS) -o $@ $<

sanitize: $(TOOLS)
	@mkdir -p build/sanitize/one build/threads/one
	for source in $(SERVERS); do \
	  name=$$(basename "$${source%/server.c}"); \
	  case $$name in ex*) name=$${name%%_*} ;; esac; \
	  $(CC) $(CPPFLAGS) $(SANITIZE) $(LDFLAGS) -pthread \
	    -o "build/sanitize/$$name" "$$source" || exit 1; done
	$(CC) $(CPPFLAGS) $(SANITIZE) $(LDFLAGS) \
	  -o build/sanitize/echo_client appendix/c_echo_queues/echo_client.c
	$(CC) $(CPPFLAGS) $(SANITIZE) -DWORKERS=1 $(LDFLAGS) -pthread \
	  -o build/sanitize/one/e_oneshot appendix/e_oneshot/server.c
	$(CC) $(CPPFLAGS) $(SANITIZE_THREADS) $(LDFLAGS) -pthread \
	  -o build/threads/e_oneshot appendix/e_oneshot/server.c
	$(CC) $(CPPFLAGS) $(SANITIZE_THREADS) -DWORKERS=1 $(LDFLAGS) -pthread \
	  -o build/threads/one/e_oneshot appendix/e_oneshot/server.c
	BIN=build/sanitize $(BATS) tests/ex?.bats tests/[a-f]_*.bats
	BIN=build/threads $(LESS_RANDOM) $(BATS) tests/e_oneshot.bats

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
	tests/install.sh cc bats curl strace pgrep

dev-deps:
	tests/install.sh gcc clang clang-format clang-tidy cppcheck shellcheck

lab-deps:
	tests/install.sh ab wrk nginx gnuplot column curl strace

clean:
	rm -rf $(EXAMPLES) $(APPENDIX) echo_client build lab/out
