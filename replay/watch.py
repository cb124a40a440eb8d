"""Inside gdb, for watch.sh: shows the calls of the program, one at a time."""
import os
import signal
import sys
import time

import gdb

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import calls


def pause():
    signal.signal(signal.SIGINT, signal.default_int_handler)  # gdb takes it
    if os.environ["REPLAY_PACE"]:
        time.sleep(float(os.environ["REPLAY_PACE"]))
    else:
        os.read(0, 1000)


def line(source):
    """The line that makes the call, with its function."""
    frames = calls.frames()
    if not frames:
        return ""
    frame, number = frames[0]
    return f"{frame.name()}:{number}  {source[number - 1].strip()}"


def main():
    calls.start("")
    path = gdb.selected_frame().find_sal().symtab.fullname()
    with open(path) as file:
        source = file.read().split("\n")
    program = calls.Calls()
    while True:
        gdb.execute("continue", to_string=True)
        call = program.entry()
        print(f"\n{line(source)}\n    {call['text']} ", end="", flush=True)
        gdb.execute("continue", to_string=True)
        if not gdb.selected_inferior().pid:
            return
        program.back(call)
        print(call["result"], flush=True)
        if "EINTR" not in call["result"]:  # Ctrl-C: do not ask again
            pause()


try:
    main()
except gdb.error as why:  # it cannot start, or trace, the program
    print(f"watch: gdb may not trace a program here ({str(why).strip('.')});"
          " the tests do not need it")
    gdb.execute("quit 1")
except KeyboardInterrupt:
    gdb.execute("kill", to_string=True)
