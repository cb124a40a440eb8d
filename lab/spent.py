#!/usr/bin/env python3
"""usage: spent.py "PID..." COMMAND...

Runs the command. Prints how many nanoseconds of processor time these processes
have used meanwhile, with all their threads, and then how many the command has used.
What the command prints goes to stderr. The exit status is the command's.
"""
import resource
import subprocess
import sys
import time


def processor_time():
    try:
        # A process has a clock of its own: clock_getcpuclockid(3).
        return sum(time.clock_gettime_ns(~int(pid) << 3 | 2)
                   for pid in sys.argv[1].split())
    except OSError:
        sys.exit("the server has ended")


before = processor_time()
status = subprocess.run(sys.argv[2:], stdout=sys.stderr).returncode
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(processor_time() - before, int((used.ru_utime + used.ru_stime) * 1e9))
sys.exit(status)
