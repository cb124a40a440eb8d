#!/usr/bin/env bash
# usage: start.sh N
#        start.sh --print N
#
# Begins an exercise: puts the program that example N grows from into
# mine/exN/server.c, and says what has to change. Never writes over a file.
# --print only prints this program.
set -euo pipefail

cd "$(dirname "$0")/.."

begin() {
  case $1 in
    1)
      # The first comment, the includes and the response; and an empty main.
      sed '/^static void die/,$d' ex1_blocking/server.c | sed '/^\/\* For a failure/,$d'
      printf 'int main(int argc, char *argv[])\n{\n}\n'
      ;;
    2) cat ex1_blocking/server.c ;;
    3) cat ex2_loop/server.c ;;
    *) cat ex3_epoll_lt/server.c ;;
  esac
}

if [ "$1" = --print ]; then
  begin "$2"
  exit
fi
target=mine/ex$1/server.c
if [ -e "$target" ]; then
  echo "$target exists already; to begin again, move it away first" >&2
  exit 1
fi
mkdir -p "mine/ex$1"
begin "$1" >"$target"

case $1 in
  1) echo 'It has the includes, the constants, the response, and an empty main.
Let it listen on the port that its argument names (8080 if there is none), print
"listening: ..." on stderr, serve one client, and exit.' ;;
  2) echo 'It is example 1. Let it serve one client after the other, until SIGINT or
SIGTERM ends it: for this, it needs no code of its own. Let it print 40 dashes
before each request, and the request without its last two bytes.' ;;
  3) echo 'It is example 2. Let no client wait for another: make all sockets
non-blocking, register them with epoll (level-triggered), and call recv and send
only when epoll_wait reports the socket. Keep the state of each client in a table
of MAX_DESCRIPTORS entries. The tests look for these calls, for one client, in the
order of the article: accept4, EPOLL_CTL_ADD, recv, EPOLL_CTL_MOD for EPOLLOUT,
print the request, send, EPOLL_CTL_MOD for 0, shutdown; after EPOLLHUP, close.' ;;
  4) echo 'It is example 3. Add EPOLLET to the mask in every call of watch for a client,
and for the listener. Then call accept4, recv and send in loops until nothing is
left, because epoll does not report it again.' ;;
  5) echo 'It is example 3. Set TCP_CORK when a request is complete, and clear it when
the kernel has accepted the whole response. If setsockopt fails, say so and go on.' ;;
  6) echo 'It is example 3. Set TCP_NODELAY once, so that all connections have it.' ;;
esac
echo "
Edit $target, its first comment too, then type: make grade$1
Or keep make practice$1 open in another terminal: it tests whenever you save."
