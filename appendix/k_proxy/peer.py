#!/usr/bin/env python3
"""The other side of a connection: it misbehaves on request.

usage: peer.py listen ACTION...          does the actions with each client
       peer.py connect PORT ACTION...    does them with one server

A server listens on a free port of 127.0.0.1, and prints it. The actions:

  send TEXT   sends TEXT
  fill N      sends N times the letter x
  flood       sends without end, until SIGUSR1
  read        prints what arrives until the other side ends its stream
  echo        sends back what arrives, until the other side ends its stream
  swap FILE   sends FILE and half-closes; meanwhile, prints what arrives
  slow, fast  from now on, reads 64 KiB every 2 ms, or as fast as it can
  finish      half-closes
  wait        waits for SIGUSR1
  full        as the very first action: the queue is full, until SIGUSR1
  reset       leaves with a reset
  --          what follows is for the next client; after the last --, the first
              actions are for the client after that, and so on

With wait, a server has a small receive buffer. It says on stderr when it leaves,
and why if a call failed.
"""
import itertools
import os
import signal
import socket
import struct
import sys
import threading
import time

go_on = threading.Event()
signal.signal(signal.SIGUSR1, lambda *_: go_on.set())


def receive(s, slow, use):
    while data := s.recv(65536):
        use(data)
        if slow:
            time.sleep(0.002)


def show(data):
    sys.stdout.buffer.write(data)
    sys.stdout.flush()


def flood(s):
    s.settimeout(0.02)
    while not go_on.is_set():
        try:
            s.send(b"x" * 65536)
        except socket.timeout:
            pass
    s.settimeout(None)


def swap(s, name, slow):
    def send():
        with open(name, "rb") as file:
            s.sendall(file.read())
        s.shutdown(socket.SHUT_WR)
    sender = threading.Thread(target=send)
    sender.start()
    receive(s, slow, show)
    sender.join()


def act(s, actions):
    slow, actions = False, list(actions)
    while actions:
        action = actions.pop(0)
        if action == "send":
            s.sendall(actions.pop(0).encode())
        elif action == "fill":
            s.sendall(b"x" * int(actions.pop(0)))
        elif action == "flood":
            flood(s)
        elif action == "read":
            receive(s, slow, show)
        elif action == "echo":
            receive(s, slow, s.sendall)
        elif action == "swap":
            swap(s, actions.pop(0), slow)
        elif action in ("slow", "fast"):
            slow = action == "slow"
        elif action == "finish":
            s.shutdown(socket.SHUT_WR)
        elif action == "wait":
            go_on.wait()
        elif action == "full":
            pass
        elif action == "reset":
            s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        else:
            sys.exit(f"peer.py: {action}?")


def talk(s, actions):
    why = "leaves"
    try:
        with s:
            act(s, actions)
    except OSError as error:
        why = os.strerror(error.errno)
    print(why, file=sys.stderr, flush=True)


def serve(lists):
    listener = socket.socket()
    if "wait" in lists[0]:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    listener.bind(("127.0.0.1", 0))
    full = lists[0][0] == "full"
    # The queue has room for one more than listen says.
    listener.listen(1 if full else 4096)
    own = [socket.create_connection(listener.getsockname())
           for _ in range(2 if full else 0)]
    print(f"listening on {listener.getsockname()[1]}", file=sys.stderr, flush=True)
    if full:
        go_on.wait()
    for _ in own:
        listener.accept()
    for actions in itertools.cycle(lists):
        connection, _ = listener.accept()
        threading.Thread(target=talk, args=(connection, actions), daemon=True).start()


if sys.argv[1] == "connect":
    talk(socket.create_connection(("127.0.0.1", int(sys.argv[2]))), sys.argv[3:])
else:
    serve([text.split("\n") for text in "\n".join(sys.argv[2:]).split("\n--\n")])
