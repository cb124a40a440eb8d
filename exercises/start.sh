#!/usr/bin/env bash
# usage: start.sh N
#
# Begins an exercise: puts the program that example N grows from into
# mine/exN/server.c, and says what has to change. Never writes over a file.
set -euo pipefail

cd "$(dirname "$0")/.."

target=mine/ex$1/server.c
if [ -e "$target" ]; then
  echo "$target exists already; to begin again, move it away first" >&2
  exit 1
fi
mkdir -p "mine/ex$1"

case $1 in
  1)
    # The first comment, the includes and the response; and an empty main.
    {
      sed '/^static void die/,$d' ex1_blocking/server.c | sed '/^\/\* For a failure/,$d'
      printf 'int main(int argc, char *argv[])\n{\n}\n'
    } >"$target"
    echo 'It has the includes, the constants, the response, and an empty main.
Let it listen on the port that its argument names (8080 if there is none), print
"listening: ..." on stderr, serve one client, and exit.'
    ;;
  2)
    cp ex1_blocking/server.c "$target"
    echo 'It is example 1. Let it serve one client after the other, and end with
status 0 on SIGINT and SIGTERM. Let it print 40 dashes before each request, and
the request without its last two bytes.'
    ;;
  3)
    cp ex2_loop/server.c "$target"
    echo 'It is example 2. Let no client wait for another: make all sockets
non-blocking, register them with epoll (level-triggered), and call recv and send
only when epoll_wait reports the socket. Keep the state of each client in a table.'
    ;;
  4)
    cp ex3_epoll_lt/server.c "$target"
    echo 'It is example 3. Add EPOLLET to the mask in every call of watch for a client,
and for the listener. Then call accept4, recv and send in loops until nothing is
left, because epoll does not report it again; accept at most 64 clients per event.'
    ;;
  5)
    cp ex3_epoll_lt/server.c "$target"
    echo 'It is example 3. Set TCP_CORK when a request is complete, and clear it when
the kernel has accepted the whole response. If setsockopt fails, say so and go on.'
    ;;
  6)
    cp ex3_epoll_lt/server.c "$target"
    echo 'It is example 3. Set TCP_NODELAY once, so that all connections have it.'
    ;;
esac
echo "
Edit $target, then type: make grade$1"
