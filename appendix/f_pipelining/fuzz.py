#!/usr/bin/env python3
"""usage: fuzz.py PORT SEED COUNT

COUNT random clients of f_pipelining, one after the other. Each sends requests,
right and wrong ones, in random pieces. Some leave without reading, with a reset
or without. All others must get the responses that this script expects.
"""
import random
import re
import socket
import struct
import sys
import time

port, seed, count = map(int, sys.argv[1:])
chance = random.Random(seed)
OK = (b"HTTP/1.1 200 OK\r\nDate: Mon, 1 Jan 1996 01:01:01 GMT\r\n"
      b"Content-Type: text/plain\r\nContent-Length: 13\r\n\r\nHello, world!")
BAD = (b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n"
       b"Connection: close\r\n\r\n")
PIECES = [b"GET ", b"/", b" HTTP/1.0", b" HTTP/1.1", b" ", b"\0", b"\n", b"\r",
          b"\r\n", b"Host: a", b"\nConnection: close\r", b"x" * 8100,
          b"\rconnection: CLOSE\n", b"\nContent-Length: 9", b"transfer-encoding:",
          b"\r\nTransfer-Encoding: x\r\n"]


def request(wrong):
    """A right request, or with this chance one that has random pieces."""
    end = chance.choice([b"\n", b"\r\n"])
    text = b"GET /" + b"x" * chance.choice([0, 50]) + b" HTTP/1.1" + end
    text += b"Host: a" + end + end
    if chance.random() < wrong:
        at = chance.randrange(len(text))
        new = bytes([chance.randrange(256)]) if chance.random() < 0.3 else \
            b"".join(chance.choices(PIECES, k=chance.choice([1, 1, 9])))
        text = text[:at] + new + text[at + chance.randrange(2):]
    return text


def expected(stream):
    """The responses to all that a client sends."""
    answer = b""
    while (end := re.search(rb"\n\r?\n", stream)) or len(stream) >= 8192:
        head = stream[:end.end()] if end else stream
        stream = stream[len(head):]
        line, *fields = re.split(rb"[\r\n]+", head)
        right = re.fullmatch(rb"GET [^ ]+ HTTP/1\.([01])", line)
        if len(head) > 8192 or not right or b"\0" in head or any(
                re.match(rb"content-length|transfer-encoding", field, re.I)
                for field in fields):
            return answer + BAD
        answer += OK
        if right[1] == b"0" or b"connection: close" in map(bytes.lower, fields):
            break
    return answer


def client(stream):
    """Sends the stream in pieces. Returns what it gets; None: it has left."""
    leaves = chance.random() < 0.1
    with socket.create_connection(("127.0.0.1", port), 10) as peer:
        try:
            while stream:
                n = chance.choice([1, 20, 1000, 8192, 100000])
                peer.sendall(stream[:n])
                stream = stream[n:]
                if chance.random() < 0.1:
                    time.sleep(0.001)
            if leaves:
                peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                                struct.pack("ii", chance.randrange(2), 0))
                return None
            peer.shutdown(socket.SHUT_WR)
            return b"".join(iter(lambda: peer.recv(65536), b""))
        except ConnectionError as error:
            return repr(error).encode()


for i in range(count):
    wrong = chance.choice([0, 0.01, 0.3])
    length = chance.choice([1, 3, 10, 30, 100, 300, 2000])
    sent = b"".join(request(wrong) for _ in range(length))
    got = client(sent)
    if got not in (None, expected(sent)):
        sys.exit(f"client {i} of seed {seed}: {len(expected(sent))} bytes"
                 f" expected, {len(got)} came: {got[-100:]}; sent {sent[:300]}")
