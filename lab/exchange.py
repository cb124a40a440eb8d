#!/usr/bin/env python3
"""How long a response in two small sends takes, and in how many segments.

usage: exchange.py ROUNDS COUNT

Opens both ends of a connection over loopback, and plays both. COUNT times, the
client end sends a request, the server end sends the head and the body of a
response with one send each, and the client end reads both. It does so ROUNDS
times in each mode, with a new connection. The server end sets:

  plain    nothing
  cork     TCP_CORK before the two sends, cleared after them
  nodelay  TCP_NODELAY, once, at the beginning
  both     TCP_NODELAY, and TCP_CORK around the two sends

Prints a line for each exchange: mode, round, number, milliseconds from the
request to the whole response, segments with data that the server end sent, and
how many of them it had sent when the second send (and the cork) was done.
"""
import struct
import sys
import time
from socket import (IPPROTO_TCP, MSG_WAITALL, TCP_CORK, TCP_INFO, TCP_NODELAY,
                    create_connection, create_server)

REQUEST = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
HEAD = (b"HTTP/1.1 200 OK\r\nDate: Mon, 1 Jan 1996 01:01:01 GMT\r\n"
        b"Content-Type: text/plain\r\nContent-Length: 13\r\n\r\n")
BODY = b"Hello, world!"

# Where struct tcp_info of linux/tcp.h has tcpi_data_segs_out, since Linux 4.6.
DATA_SEGS_OUT = 156


def segments(server):
    """The number of segments with data that this end has sent."""
    info = server.getsockopt(IPPROTO_TCP, TCP_INFO, DATA_SEGS_OUT + 4)
    return struct.unpack_from("I", info, DATA_SEGS_OUT)[0]


def exchange(client, server, cork):
    """Returns milliseconds, segments, and segments sent at once."""
    before = segments(server)
    begun = time.perf_counter()
    client.send(REQUEST)
    server.recv(len(REQUEST), MSG_WAITALL)
    if cork:
        server.setsockopt(IPPROTO_TCP, TCP_CORK, 1)
    server.send(HEAD)
    server.send(BODY)
    if cork:
        server.setsockopt(IPPROTO_TCP, TCP_CORK, 0)
    at_once = segments(server) - before
    client.recv(len(HEAD) + len(BODY), MSG_WAITALL)
    took = (time.perf_counter() - begun) * 1000
    return f"{took:.4f}", segments(server) - before, at_once


rounds, count = map(int, sys.argv[1:])
for number in range(1, rounds + 1):
    for mode in "plain", "cork", "nodelay", "both":
        with create_server(("127.0.0.1", 0)) as listener:
            client = create_connection(listener.getsockname())
            server = listener.accept()[0]
        with client, server:
            if mode in ("nodelay", "both"):
                server.setsockopt(IPPROTO_TCP, TCP_NODELAY, 1)
            for i in range(1, count + 1):
                print(mode, number, i, *exchange(client, server,
                      mode in ("cork", "both")), sep="\t")
