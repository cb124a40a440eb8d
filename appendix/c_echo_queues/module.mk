# Its second program: a client for the echo server.
PROGRAMS += echo_client
APPENDIX_TOOLS += $(O)echo_client

$(O)echo_client: appendix/c_echo_queues/echo_client.c | linux
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(CFLAGS) $(LDFLAGS) -o $@ $<
