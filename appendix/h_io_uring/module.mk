# Shows the operations of io_uring, which strace cannot see, and lets them fail.
APPENDIX_TOOLS += build/uring.so

build/uring.so: appendix/h_io_uring/uring.c | linux
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) $(LDFLAGS) -shared -fPIC -o $@ $<
