# The replay: real runs, recorded, and the page that shows them.

CHECKS += test-replay
# make practice-deps: what replay4 needs; check-deps takes it from NEEDS_replay.
NEEDS_practice = cc gdb python3 unshare ip
NEEDS_replay = $(NEEDS_practice) chromium chromedriver selenium axe-core

#: make record       record the scenes of the replay again, from the programs
#: make replay4      see your own mine/ex4/server.c beside the kit's (replay1 to replay6)
#: make record-play  record again what the page plays where you are the clients
#: make check-play   compare all ways of it, in some minutes; zoo: all broken programs
#: make watch4       see the calls of ./ex4 live, one at a time (PACE=0.5: seconds)

record:
	replay/record.py

record-play:
	replay/walk.py

# Whatever follows is the same on each way to a situation: some minutes.
check-play:
	replay/walk.py --check 0

replay/picture.png: replay/index.html replay/recordings/ex4-broken.js
	replay/tests/page.py picture $@

# Changed comments need no new recording.
update-recordings:
	@replay/update.py

update-notes: update-recordings

# 77: this machine does not permit namespaces or ptrace.
test-replay:
	replay/update.py --check
	replay/record.py --check || test $$? -eq 77
	$(BATS) replay/tests

# All programs of replay/tests/zoo.md: some minutes.
zoo:
	replay/tests/zoo.py

$(NUMBERS:%=replay%): replay%:
	@replay/practice.py $*

$(NUMBERS:%=watch%): watch%: ex%
	@replay/watch.sh $* $(PACE)

# An old name.
check-replay: test-replay

.PHONY: record record-play check-play update-recordings test-replay check-replay zoo \
        $(NUMBERS:%=watch%) $(NUMBERS:%=replay%)
