# Before glibc 2.34, threads are a library of their own.
$(O)e_oneshot: override LDFLAGS += -pthread

# With one worker, the order of its calls is known: some tests need that.
ONE_WORKER = $(or $(O),build/)one/e_oneshot
APPENDIX_TOOLS += $(ONE_WORKER)

$(ONE_WORKER): appendix/e_oneshot/server.c | linux
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) -DWORKERS=1 $(CFLAGS) $(LDFLAGS) -pthread -o $@ $<

# make sanitize also builds these with ThreadSanitizer.
THREADED += e_oneshot one/e_oneshot
