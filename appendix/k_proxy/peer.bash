# What both test files of the proxy load.

EXAMPLE=k_proxy
load ../../tests/helpers

peer='127\.0\.0\.1:[0-9]+'
peer_py=$top/appendix/k_proxy/peer.py

# start_other ACTION...: a server behind the proxy. Its output is in $dir/other,
# its errors are in $dir/other.err, its pid is $other.
start_other() {
  local PATIENCE=$((PATIENCE + 5))
  : >"$dir/other.err"
  "$peer_py" listen "$@" >"$dir/other" 2>>"$dir/other.err" 3>&- &
  other=$!
  wait_for grep -q '^listening on [0-9]' "$dir/other.err"
  after_port=("127.0.0.1:$(sed -n 's/^listening on //p' "$dir/other.err")")
  did="the other server does with each client: $*"
}
# start_pair ACTION...: such a server, and the proxy.
start_pair() {
  start_other "$@"
  start_server
}

# said_by_other PATTERN: a line of its output or of its errors.
said_by_other() {
  wait_for grep -q -a -E "$1" "$dir/other" "$dir/other.err" ||
    fail "the other server gets: $1" "$(tail -n 3 "$dir/other" "$dir/other.err")"
}
# assert_other_got FILE: it got these bytes.
assert_other_got() {
  wait_for cmp "$1" "$dir/other" ||
    fail "the server gets what the client sent: $(wc -c <"$1") bytes" "$(cmp "$1" "$dir/other" 2>&1)"
}

assert_echo() {
  client send hello finish read
  [ "$(<"$dir/answer")" = hello ] ||
    fail 'the echo: hello' "$(what_happened || bytes_of "$dir/answer")"
}

# assert_closed_because PATTERN: the log says so, and no descriptor stays open.
assert_closed_because() {
  assert_said "^closing $peer: $1\$"
  assert_no_leak
}

# has_mask MASK: some descriptor is watched with it. The kernel shows it with
# EPOLLERR and EPOLLHUP added: 18. EPOLLIN is 1, EPOLLOUT 4, EPOLLONESHOT 40000000.
has_mask() { grep -q -s -E "^tfd:.* events: +$1 " "/proc/$server/fdinfo/"*; }
