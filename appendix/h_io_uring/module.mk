# The program needs the headers of Linux 6.1. Where they are older, make leaves
# it out of everything, and says so in one line.
HAS_RING = $(shell $(CC) $(CPPFLAGS) $(CFLAGS) -x c -E -dM \
  -include linux/io_uring.h /dev/null 2>/dev/null | grep -c SETUP_DEFER_TASKRUN)

ifeq ($(HAS_RING),1)
# Shows the operations of io_uring, which strace cannot see, and lets them fail.
APPENDIX_TOOLS += build/uring.so

build/uring.so: appendix/h_io_uring/uring.c | linux
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) $(LDFLAGS) -shared -fPIC -o $@ $<
else
APPENDIX := $(filter-out h_io_uring,$(APPENDIX))
APPENDIX_TOOLS += without_h_io_uring

without_h_io_uring:
	@echo 'h_io_uring needs the headers of Linux 6.1' >&2

h_io_uring testh: without_h_io_uring
	@false

.PHONY: without_h_io_uring
endif
