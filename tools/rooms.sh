#!/usr/bin/env bash
# usage: rooms.sh [SUITE...]        for a maintainer, as root
#
# Tries the kit, as it is committed, in a fresh system of each SUITE of Debian
# (default: bullseye bookworm trixie sid): as an ordinary user, in a folder with a
# space, with a German locale. First the README's commands, then make check
# without the lab and the replay's page. Prints one line for each room: its last
# line, and how long it took. Exit status 1 if one failed.
#
# From the environment:
#   MIRROR  where the packages come from (default: as in the system's own list)
#   ROOMS   a folder for the systems, which are kept there (default: none is kept)
#   CHECKS  what to run of make check
set -euo pipefail

cd "$(dirname "$0")/.."
: "${MIRROR:=$(sed -n -E 's/^(URIs: *|deb +(\[[^]]*\] *)?)(http[^ ]*\/debian)( .*|$)/\3/p' \
  /etc/apt/sources.list /etc/apt/sources.list.d/* 2>/dev/null | head -n 1)}"
: "${CHECKS:=test test-appendix test-exercises test-notes test-replay test-tools musl sanitize}"
if [ -z "${ROOMS:-}" ]; then
  ROOMS=$(mktemp -d)
  trap 'rm -rf --one-file-system "$ROOMS"' EXIT
fi
status=0

# furnish: in the room, as root. A mirror may be some weeks behind; apt would then
# refuse sid, whose lists expire.
furnish='
set -e
export DEBIAN_FRONTEND=noninteractive
echo "Acquire::Check-Valid-Until false;" >/etc/apt/apt.conf.d/99mirror
apt-get update -q
apt-get install -q -y --no-install-recommends gcc libc6-dev make sudo locales
echo "de_DE.UTF-8 UTF-8" >/etc/locale.gen
locale-gen
id student 2>/dev/null || useradd -m student
echo "student ALL=(ALL) NOPASSWD: ALL" >/etc/sudoers.d/student
rm -rf "/home/student/the kit"'

# visit: in the room, as the user.
visit='
set -e
export LANG=de_DE.UTF-8 LC_ALL=de_DE.UTF-8
cd "$HOME/the kit"
make ex4
timeout 1 ./ex4 18080 || [ $? -eq 124 ]
make deps test
rm -r lab
make tools-deps notes-deps practice-deps
make check CHECKS="'$CHECKS'"'

# within ROOM COMMAND...: in namespaces of its own, so that its mounts end with it.
within() {
  unshare --mount --pid --fork --kill-child bash -c '
    room=$1
    mount -t proc proc "$room/proc"
    mount --rbind /dev "$room/dev"
    mount --make-rslave "$room/dev"
    mount -t tmpfs tmpfs "$room/dev/shm"
    exec chroot "$room" "${@:2}"' within "$@"
}

# visit_room SUITE
visit_room() {
  local room=$ROOMS/$1
  [ -e "$room/bin/sh" ] || debootstrap --variant=minbase "$1" "$room" "$MIRROR"
  cp /etc/resolv.conf /etc/hosts "$room/etc"
  within "$room" sh -c "$furnish"
  mkdir "$room/home/student/the kit"
  git archive HEAD | tar -x -C "$room/home/student/the kit"
  within "$room" chown -R student: /home/student
  within "$room" su - student -c "$visit" </dev/null
}

if [ $# -eq 0 ]; then set -- bullseye bookworm trixie sid; fi
for suite in "$@"; do
  began=$SECONDS verdict=green
  # In the background, because set -e does not hold before ||.
  visit_room "$suite" >"$ROOMS/$suite.log" 2>&1 &
  wait $! || { verdict=red status=1; }
  echo "$suite: $verdict after $((SECONDS - began)) s:" \
    "$(grep . "$ROOMS/$suite.log" | tail -n 1)"
done
exit "$status"
