# Before glibc 2.34, threads are a library of their own.
$(O)i_threads: override LDFLAGS += -pthread

# make sanitize also builds it with ThreadSanitizer.
THREADED += i_threads
