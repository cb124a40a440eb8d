#!/usr/bin/env bash
# usage: install.sh TOOL...
#
# Installs the tools that are missing with the system's package manager, and says
# which. Exits with 1 if it knows no package manager here.
set -euo pipefail

missing=()
for tool in "$@"; do
  case $tool in
    # A library of Python, not a command.
    selenium)
      python3 -c 'import selenium' 2>/dev/null ||
        /usr/bin/python3 -c 'import selenium' 2>/dev/null ||
        missing+=(python3-selenium)
      ;;
    *) command -v "$tool" >/dev/null || missing+=("$tool") ;;
  esac
done
if [ ${#missing[@]} -eq 0 ]; then exit 0; fi

if command -v apt-get >/dev/null; then
  manager=apt-get
elif command -v dnf >/dev/null; then
  manager=dnf
elif command -v pacman >/dev/null; then
  manager=pacman
elif command -v apk >/dev/null; then
  manager=apk
else
  echo "no apt-get, dnf, pacman or apk here; please install: ${missing[*]}" >&2
  exit 1
fi

# The package that contains a tool, where it has another name.
packages=()
for tool in "${missing[@]}"; do
  case $manager:$tool in
    apt-get:cc) packages+=(gcc libc6-dev) ;;
    apk:cc | apk:gcc) packages+=(gcc musl-dev) ;;
    *:cc) packages+=(gcc) ;;
    pacman:bats) packages+=(bash-bats) ;;
    dnf:clang-format | dnf:clang-tidy) packages+=(clang-tools-extra) ;;
    apk:clang-format | apk:clang-tidy) packages+=(clang-extra-tools) ;;
    pacman:clang-format | pacman:clang-tidy) packages+=(clang) ;;
    dnf:shellcheck) packages+=(ShellCheck) ;;
    apt-get:ab | apk:ab) packages+=(apache2-utils) ;;
    dnf:ab) packages+=(httpd-tools) ;;
    pacman:ab) packages+=(apache) ;;
    apt-get:gnuplot) packages+=(gnuplot-nox) ;;
    apt-get:column) packages+=(bsdextrautils) ;;
    apt-get:musl-gcc) packages+=(musl-tools) ;;
    dnf:musl-gcc | apk:musl-gcc) packages+=(musl-gcc) ;;
    pacman:musl-gcc) packages+=(musl) ;;
    apt-get:chromedriver) packages+=(chromium-driver) ;;
    *:ip) packages+=(iproute2) ;;
    dnf:pgrep | pacman:pgrep) packages+=(procps-ng) ;;
    *:pgrep) packages+=(procps) ;;
    *:column | *:unshare) packages+=(util-linux) ;;
    *) packages+=("$tool") ;;
  esac
done

sudo=()
if [ "$(id -u)" -ne 0 ]; then sudo=(sudo); fi

echo "installing ${packages[*]} with $manager"
case $manager in
  apt-get)
    "${sudo[@]}" apt-get update -q
    "${sudo[@]}" apt-get install -q -y --no-install-recommends "${packages[@]}"
    ;;
  dnf) "${sudo[@]}" dnf install -y "${packages[@]}" ;;
  pacman) "${sudo[@]}" pacman -S --needed --noconfirm "${packages[@]}" ;;
  apk) "${sudo[@]}" apk add "${packages[@]}" ;;
esac
