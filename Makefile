# Everything that a person may want to type; make help lists it.

CFLAGS ?= -O2 -g -Wall -Wextra -Wpedantic -Wshadow
BATS ?= bats
EXAMPLES = ex1 ex2 ex3 ex4 ex5 ex6
APPENDIX = a_select b_poll c_echo_queues d_event_names e_oneshot f_pipelining \
           g_time_limits h_io_uring
PROGRAMS = $(EXAMPLES) $(APPENDIX) echo_client
NUMBERS = 1 2 3 4 5 6
TEST_TOOLS = build/client build/nodelay.so build/uring.so
LAB = stall wakeups backlog scaling segments latency pipelining cost
LAB_TOOLS = build/exchange build/floor

DIFF = diff -u $(shell diff --color=auto Makefile Makefile 2>/dev/null && \
                       echo --color=auto)

.PHONY: all help clean test test-appendix test-kit test-lab check check-notes \
        update-notes mutants sanitize musl lint lab grade deps dev-deps \
        lab-deps $(NUMBERS:%=test%) $(NUMBERS:%=start%) $(NUMBERS:%=grade%) \
        $(LAB:%=lab-%)

all: $(EXAMPLES)

help:
	@sed -n 's/^#: //p' Makefile

#: make              build all six examples
#: make ex4          build one (ex1 to ex6); then ./ex4 [port]
#: make b_poll       build one of the appendix; then ./b_poll [port]

ex1: ex1_blocking/server.c
ex2: ex2_loop/server.c
ex3: ex3_epoll_lt/server.c
ex4: ex4_epoll_et/server.c
ex5: ex5_cork/server.c
ex6: ex6_nodelay/server.c
$(APPENDIX): %: appendix/%/server.c
echo_client: appendix/c_echo_queues/echo_client.c

# Before glibc 2.34, threads are a library of their own.
e_oneshot: override LDFLAGS += -pthread

$(PROGRAMS): | linux
	$(CC) $(CPPFLAGS) $(CFLAGS) $(LDFLAGS) -o $@ $<

build/client build/facts: build/%: tests/%.c | linux build
	$(CC) $(CPPFLAGS) $(CFLAGS) $(LDFLAGS) -o $@ $<

build/nodelay.so build/uring.so: build/%.so: tests/%.c | linux build
	$(CC) $(CPPFLAGS) $(CFLAGS) $(LDFLAGS) -shared -fPIC -o $@ $<

$(LAB_TOOLS): build/%: lab/%.c | linux build
	$(CC) $(CPPFLAGS) $(CFLAGS) $(LDFLAGS) -o $@ $<

build:
	@mkdir -p build

# Only building and testing need Linux.
.PHONY: linux
linux:
	@test "$$(uname -s)" = Linux || { echo 'epoll needs Linux: use the' \
	  'container of .devcontainer, or a virtual machine' >&2; exit 1; }

#: make diff4        show an example against the one it grows from (diff2 to diff6;
#:                   diffa to diffh: the appendix)

diff2: FROM = ex1_blocking ex2_loop
diff3: FROM = ex2_loop ex3_epoll_lt
diff4: FROM = ex3_epoll_lt ex4_epoll_et
diff5: FROM = ex3_epoll_lt ex5_cork
diff6: FROM = ex3_epoll_lt ex6_nodelay
diffa: FROM = ex3_epoll_lt appendix/a_select
diffb: FROM = ex3_epoll_lt appendix/b_poll
diffc: FROM = ex3_epoll_lt appendix/c_echo_queues
diffd: FROM = ex3_epoll_lt appendix/d_event_names
diffe: FROM = ex3_epoll_lt appendix/e_oneshot
difff: FROM = ex5_cork appendix/f_pipelining
diffg: FROM = ex3_epoll_lt appendix/g_time_limits
diffh: FROM = ex3_epoll_lt appendix/h_io_uring

# diff exits with 1 when it finds a difference.
.PHONY: diff2 diff3 diff4 diff5 diff6 diffa diffb diffc diffd diffe difff diffg diffh
diff2 diff3 diff4 diff5 diff6 diffa diffb diffc diffd diffe difff diffg diffh:
	@$(DIFF) $(FROM:%=%/server.c) || test $$? -eq 1

#: make test         run the tests of the six examples
#: make test4        run the tests of one (test1 to test6)

test: $(EXAMPLES) $(TEST_TOOLS)
	@tests/run.sh $(EXAMPLES)

$(NUMBERS:%=test%): test%: ex% $(TEST_TOOLS)
	@tests/run.sh ex$*

#: make start4       write example 4 yourself: begin with example 3 (start1 to start6)
#: make grade4       test what you have written (grade1 to grade6; grade: all)

$(NUMBERS:%=start%): start%:
	@tests/start.sh $*

$(NUMBERS:%=grade%): grade%: $(TEST_TOOLS)
	@tests/grade.sh $*

grade: $(TEST_TOOLS)
	@tests/grade.sh

#: make check        run everything there is, in about 20 minutes; its parts:
#:                   test-appendix test-kit test-lab check-notes check-replay
#:                   lint sanitize musl mutants

CHECKS = test test-appendix test-kit test-lab check-notes check-replay lint \
         sanitize musl mutants
check:
	@for part in $(CHECKS); do echo "== make $$part"; \
	  $(MAKE) --no-print-directory $$part || exit 1; done

test-appendix: $(APPENDIX) echo_client build/one/e_oneshot $(TEST_TOOLS)
	@tests/run.sh $(APPENDIX)

test-kit: $(EXAMPLES) $(APPENDIX) $(TEST_TOOLS)
	$(BATS) tests/kit.bats

test-lab: $(EXAMPLES) $(APPENDIX) $(TEST_TOOLS) $(LAB_TOOLS)
	$(BATS) tests/lab_*.bats

#: make update-notes bring the quotations of the documents up to date

update-notes:
	@tests/notes.py update
	@echo 'If a program has changed, even a comment only: make record'

check-notes: $(EXAMPLES) $(APPENDIX) echo_client $(TEST_TOOLS) $(LAB_TOOLS) build/facts
	$(BATS) tests/notes.bats tests/checker.bats

mutants: $(TEST_TOOLS)
	tests/mutants.sh

# --- Other builds: each goes to a folder of its own, and passes the tests -----

SANITIZE = -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all
SANITIZE_THREADS = -O1 -g -fsanitize=thread
WARNINGS = -Wall -Wextra -Wpedantic -Wshadow -Werror

# build_all FOLDER,CC AND FLAGS: builds all programs into the folder.
define build_all
	@mkdir -p $1/one
	@for source in ex?_*/server.c appendix/*/server.c; do \
	  name=$$(basename "$${source%/server.c}"); \
	  case $$name in ex*) name=$${name%%_*} ;; esac; \
	  $2 $(CPPFLAGS) $(LDFLAGS) -pthread -o $1/$$name $$source || exit 1; done
	$2 $(CPPFLAGS) $(LDFLAGS) -o $1/echo_client \
	  appendix/c_echo_queues/echo_client.c
	$2 $(CPPFLAGS) $(LDFLAGS) -DWORKERS=1 -pthread -o $1/one/e_oneshot \
	  appendix/e_oneshot/server.c
endef

build/one/e_oneshot: appendix/e_oneshot/server.c | linux
	@mkdir -p build/one
	$(CC) $(CPPFLAGS) -DWORKERS=1 $(CFLAGS) $(LDFLAGS) -pthread -o $@ $<

# ThreadSanitizer may not find room among addresses that are too random.
LESS_RANDOM = $(shell setarch $$(uname -m) -R true 2>/dev/null && \
                      echo setarch $$(uname -m) -R)

sanitize: $(TEST_TOOLS)
	$(call build_all,build/sanitize,$(CC) $(SANITIZE))
	@mkdir -p build/threads/one
	$(CC) $(CPPFLAGS) $(SANITIZE_THREADS) $(LDFLAGS) -pthread \
	  -o build/threads/e_oneshot appendix/e_oneshot/server.c
	$(CC) $(CPPFLAGS) $(SANITIZE_THREADS) $(LDFLAGS) -pthread -DWORKERS=1 \
	  -o build/threads/one/e_oneshot appendix/e_oneshot/server.c
	SANITIZED=1 BIN=build/sanitize PATIENCE=10 tests/run.sh $(EXAMPLES) $(APPENDIX)
	EXAMPLE=e_oneshot SANITIZED=1 BIN=build/threads PATIENCE=10 $(LESS_RANDOM) \
	  $(BATS) tests/e_oneshot.bats

# musl brings no headers of the kernel; appendix H needs them.
KERNEL_HEADERS = -idirafter /usr/include -idirafter /usr/include/$(shell uname -m)-linux-gnu

musl: $(TEST_TOOLS)
	$(call build_all,build/musl,musl-gcc -O2 $(WARNINGS) $(KERNEL_HEADERS))
	BIN=build/musl PATIENCE=10 tests/run.sh $(EXAMPLES) $(APPENDIX)

SOURCES = $(wildcard ex?_*/*.c appendix/*/*.c lab/*.c tests/*.c)
SCRIPTS = .ci/run $(wildcard lab/*.sh lab/*.bash tests/*.sh tests/*.bash \
            tests/*.bats replay/*.sh)

lint:
	clang-format --dry-run -Werror $(SOURCES)
	@for source in $(SOURCES); do for cc in gcc clang; do \
	  $$cc -O2 $(WARNINGS) -c -o /dev/null "$$source" || exit 1; done; done
	clang-tidy --quiet $(SOURCES) --
	shellcheck $(SCRIPTS)

#: make lab          measure what the article claims; lab-stall: one of
#:                   stall wakeups backlog scaling segments latency pipelining cost

LAB_NEEDS = $(EXAMPLES) $(APPENDIX) build/client $(LAB_TOOLS)

lab: $(LAB_NEEDS)
	lab/all.sh $(LAB)

$(LAB:%=lab-%): lab-%: $(LAB_NEEDS)
	lab/$*.sh

#: make record       record the scenes of the replay again, from the programs
#: make watch4       see the calls of ./ex4 live, one at a time (PACE=0.5: seconds)

.PHONY: record check-replay $(NUMBERS:%=watch%)
record:
	replay/record.py

replay/picture.png: replay/index.html replay/recordings/ex4-broken.js
	tests/replay_page.py picture $@

# 77: this machine does not permit namespaces or ptrace.
check-replay:
	replay/record.py --check || test $$? -eq 77
	$(BATS) tests/replay_*.bats

$(NUMBERS:%=watch%): watch%: ex%
	@replay/watch.sh $* $(PACE)

#: make deps         install what make test needs; for make check also
#:                   dev-deps lab-deps replay-deps
#: make clean        remove what was built (mine/ stays)

deps:
	@tests/install.sh cc bats curl strace pgrep

dev-deps:
	@tests/install.sh gcc clang clang-format clang-tidy shellcheck \
	  musl-gcc python3

lab-deps:
	@tests/install.sh ab wrk nginx gnuplot column curl strace

replay-deps:
	@tests/install.sh cc gdb python3 unshare ip chromium chromedriver selenium

clean:
	rm -rf $(PROGRAMS) build lab/out
