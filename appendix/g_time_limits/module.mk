# For its tests: a second instead of ten.
SHORT = $(or $(O),build/)short/g_time_limits
APPENDIX_TOOLS += $(SHORT)

$(SHORT): appendix/g_time_limits/server.c | linux
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) -DLIMIT_MS=1000 $(CFLAGS) $(LDFLAGS) -o $@ $<
