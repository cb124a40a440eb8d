#!/usr/bin/env python3
"""usage: stop.py PROGRAM

Does a server lose a client when SIGTERM ends it? PROGRAM gets a listener as
descriptor 3, and LISTEN_FDS=1 in its environment, as from systemd. It says
"listening" on stderr when it can serve. Prints a line for each test. Exit
status 1: one has failed.
"""
import os
import select
import socket
import subprocess
import sys
import threading
import time

listener = socket.create_server(("127.0.0.1", 0), backlog=128)
if listener.fileno() != 3:
    os.dup2(listener.fileno(), 3)
address, failed = listener.getsockname(), False


def told(text, result, expected=True):
    global failed
    failed |= result != expected
    print(f"{text}: {'yes' if result == expected else f'NO ({result})'}", flush=True)


def start():
    server = subprocess.Popen(
        [sys.argv[1], str(address[1])], pass_fds=(3,), stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE, text=True, env={**os.environ, "LISTEN_FDS": "1"})
    line = server.stderr.readline()
    if "listening" not in line:
        sys.exit(f"{sys.argv[1]} does not take descriptor 3: {line.strip()}")
    return server


def end(server):
    """Waits until it ends. Returns its exit status."""
    try:
        return server.wait(25)
    except subprocess.TimeoutExpired:
        server.kill()
        return "it does not end"


def client(text="GET / HTTP/1.0\r\n\r\n"):
    connection = socket.socket()
    connection.settimeout(5)
    if connection.connect_ex(address) == 0:
        connection.sendall(text.encode())
    return connection


def answer(connection):
    try:
        return b"Hello, world!" in connection.makefile("rb").read()
    except OSError as error:
        return error


server, early = start(), client("GET / HT")
time.sleep(0.2)  # until the server has accepted it
server.terminate()
time.sleep(0.2)
late = client()
told("a client comes after SIGTERM: it waits", not select.select([late], [], [], 0.2)[0])
early.sendall(b"TP/1.0\r\n\r\n")
told("a client that had sent half of its request is answered", answer(early))
told("the process ends with status 0", end(server), 0)
server = start()
told("the next process answers the client that waited", answer(late))

silent = client("")
time.sleep(0.2)
server.terminate()
told("a client stays silent: the process ends all the same", end(server), 0)

server, begun = start(), time.monotonic()
server.terminate()
end(server)
told("nobody is there: the process ends at once", time.monotonic() - begun < 0.5)

server, answers = start(), []
load = threading.Thread(target=lambda: answers.extend(answer(client()) for _ in range(500)))
load.start()
while load.is_alive():
    time.sleep(0.05)
    server.terminate()
    end(server)
    server = start()
server.kill()
told("500 clients, and many restarts: all are answered", answers.count(True), 500)
sys.exit(failed)
