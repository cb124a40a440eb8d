# What a person types; make help lists it. A folder with a module.mk adds its
# own: targets, help lines, tests, and the tools that it needs.

CFLAGS ?= -O2 -g -Wall -Wextra -Wpedantic -Wshadow
BATS ?= bats
NUMBERS = 1 2 3 4 5 6
EXAMPLES = $(NUMBERS:%=ex%)
TEST_TOOLS = build/client

# What a module.mk adds to: programs that make clean removes, parts of make
# check, and NEEDS_part: the tools that a part needs.
PROGRAMS = $(EXAMPLES)
CHECKS = test
NEEDS = cc bats curl strace pgrep

# Programs are built here: at the top, or with O=build/musl/ in another folder.
O ?=

DIFF = diff -u $(shell diff --color=auto Makefile Makefile 2>/dev/null && \
                       echo --color=auto)

all: $(EXAMPLES:%=$(O)%)

# Another make takes the | of a rule below for a file.
|:
	@echo 'this Makefile needs GNU make: gmake' >&2; false

#: make              build all six examples
#: make ex4          build one (ex1 to ex6); then ./ex4 [port]

$(O)ex1: ex1_blocking/server.c
$(O)ex2: ex2_loop/server.c
$(O)ex3: ex3_epoll_lt/server.c
$(O)ex4: ex4_epoll_et/server.c
$(O)ex5: ex5_cork/server.c
$(O)ex6: ex6_nodelay/server.c

$(EXAMPLES:%=$(O)%): | linux
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) $(LDFLAGS) -o $@ $<

build/client: tests/client.c | linux
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) $(LDFLAGS) -o $@ $<

# Only building and testing need Linux.
linux:
	@test "$$(uname -s)" = Linux || { echo 'epoll needs Linux: use the' \
	  'container of .devcontainer, or a virtual machine' >&2; exit 1; }

#: make diff4        show an example against the one it grows from (diff2 to diff6)

diff2: FROM = ex1_blocking ex2_loop
diff3: FROM = ex2_loop ex3_epoll_lt
diff4: FROM = ex3_epoll_lt ex4_epoll_et
diff5: FROM = ex3_epoll_lt ex5_cork
diff6: FROM = ex3_epoll_lt ex6_nodelay

# diff exits with 1 when it finds a difference.
diff2 diff3 diff4 diff5 diff6:
	@$(DIFF) $(FROM:%=%/server.c) || test $$? -eq 1

#: make test         run the tests of the six examples
#: make test4        run the tests of one (test1 to test6)

test: $(EXAMPLES) $(TEST_TOOLS)
	@tests/run.sh $(EXAMPLES)

$(NUMBERS:%=test%): test%: ex% $(TEST_TOOLS)
	@tests/run.sh ex$*

-include */module.mk

#: make check        run all tests of all parts that are here, and other builds
#: make deps         install what make test needs; check-deps: what make check needs;
#:                   lab-deps, replay-deps, ...: what one part needs
#: make clean        remove what was built (mine/ stays)

check:
	@for part in $(CHECKS); do echo "== make $$part"; \
	  $(MAKE) --no-print-directory $$part || exit 1; done

INSTALL = $(or $(wildcard tools/install.sh),echo please install:)

deps:
	@$(INSTALL) $(NEEDS)

check-deps: NEEDS += $(foreach part,$(wildcard */module.mk),$(NEEDS_$(part:/module.mk=)))
check-deps: deps

%-deps:
	@$(INSTALL) $(NEEDS_$*)

clean:
	rm -rf $(PROGRAMS) build

help:
	@sed -n 's/^#: //p' Makefile $(wildcard */module.mk)
	@echo 'The parts of make check: $(CHECKS)'

.PHONY: all linux diff2 diff3 diff4 diff5 diff6 test $(NUMBERS:%=test%) check \
        deps check-deps clean help
