#!/usr/bin/env bash
# usage: install.sh TOOL...
#
# Installs the tools that are missing, with apt-get on Debian and Ubuntu, and says
# which. With another package manager it prints what is missing, and exits with 1.
set -euo pipefail

# is_here TOOL
is_here() {
  case $1 in
    # Not commands: a library of Python, and a package of Node.js.
    selenium)
      python3 -c 'import selenium' 2>/dev/null ||
        /usr/bin/python3 -c 'import selenium' 2>/dev/null
      ;;
    axe-core) test -e node_modules/axe-core/axe.js ;;
    ab | nginx | ip) PATH=$PATH:/usr/sbin:/sbin command -v "$1" ;;
    *) command -v "$1" ;;
  esac >/dev/null
}

missing=()
for tool in $(printf '%s\n' "$@" | awk '!seen[$0]++'); do
  is_here "$tool" || missing+=("$tool")
done
if [ ${#missing[@]} -eq 0 ]; then
  echo 'nothing is missing'
  exit
fi
if ! command -v apt-get >/dev/null; then
  echo "please install: ${missing[*]}" >&2
  exit 1
fi

# The Debian package that contains a tool, where it has another name.
packages=() modules=()
for tool in "${missing[@]}"; do
  case $tool in
    cc) packages+=(gcc libc6-dev) ;;
    ab) packages+=(apache2-utils) ;;
    gnuplot) packages+=(gnuplot-nox) ;;
    column) packages+=(bsdextrautils) ;;
    musl-gcc) packages+=(musl-tools) ;;
    chromedriver) packages+=(chromium-driver) ;;
    selenium) packages+=(python3-selenium) ;;
    ip) packages+=(iproute2) ;;
    pgrep) packages+=(procps) ;;
    unshare) packages+=(util-linux) ;;
    pygmentize) packages+=(python3-pygments) ;;
    axe-core)
      modules+=("$tool")
      command -v npm >/dev/null || packages+=(npm)
      ;;
    *) packages+=("$tool") ;;
  esac
done

sudo=()
if [ "$(id -u)" -ne 0 ]; then sudo=(sudo); fi

echo "installing ${packages[*]} ${modules[*]}"
if [ ${#packages[@]} -gt 0 ]; then
  "${sudo[@]}" apt-get update -q
  "${sudo[@]}" apt-get install -q -y --no-install-recommends "${packages[@]}"
fi
if [ ${#modules[@]} -gt 0 ]; then
  npm install --no-save --no-package-lock "${modules[@]}"
fi
