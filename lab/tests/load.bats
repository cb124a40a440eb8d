# The experiments backlog and scaling.

load ../../tests/helpers
load helpers

# copy_of NAME: a copy in which the experiment can run.
copy_of() {
  needs_of "$1"
  copy ex3_epoll_lt ex3 a_select b_poll build/client
  PATH=$kit:$PATH
}

@test "lab/backlog: 100 clients overflow a queue of 2 more often than one of SOMAXCONN" {
  needs_of backlog
  [ "$(cat /proc/sys/net/core/somaxconn)" -ge 128 ] || skip 'somaxconn is low'
  experiment backlog
  has_form backlog 2
  awk -F '\t' '{ overflows[$1] = $8 }
    END { exit !(overflows[1] > overflows["SOMAXCONN"]) }' "$dir/left/backlog.tsv"
}

@test "lab/scaling: a request costs poll more than epoll if 400 clients are silent" {
  needs_of scaling
  experiment scaling
  has_form scaling 6
  grep '<svg' "$dir/left/scaling-rates.svg"
  awk -F '\t' '$1 == 1 && $2 == 400 { found = $6 > $9 } END { exit !found }' \
    "$dir/left/scaling.tsv"
}

@test "lab/scaling: leaves out what needs more descriptors than are allowed" {
  needs_of scaling
  ulimit -n 300
  experiment scaling
  has_form scaling 4
  [[ $output = *'Only 300 descriptors are allowed here'* ]]
}

@test "lab/backlog, lab/scaling: exit with 1 if ab reports a failure, or too few requests" {
  local name
  for name in backlog scaling; do
    copy_of "$name"
    fake ab 'exit 3'
    gives_up "$name" '*: ab failed: '
    fake ab 'echo "Complete requests: 7"' 'echo "Failed requests: 0"'
    gives_up "$name" '*: ab reports 7 of * requests, 0 failed'
    fake ab 'echo "Complete requests: $3"' 'echo "Failed requests: 7"'
    gives_up "$name" '*: ab reports * 7 failed'
    fake ab 'echo "Complete requests: $3"' 'echo "Failed requests: 0"' \
      'echo "Non-2xx responses: 7"'
    gives_up "$name" '*: ab reports * 7 failed'
  done
}

@test "lab/backlog: exits with 1 if curl gets no answers although no queue overflows" {
  copy_of backlog
  fake ab 'echo "Complete requests: $3"' 'echo "Failed requests: 0"'
  fake curl 'yes "0.001 000" | head -n 300'
  gives_up backlog 'curl got no answer, although no queue overflowed'
}

@test "lab/backlog: exits with 1 if the server ends" {
  copy_of backlog
  printf '%s\n' '#include <stdio.h>' '#include <unistd.h>' \
    '/* listen(listener, BACKLOG) */' \
    'int main(void) { fputs("listening\n", stderr); return sleep(1); }' \
    >"$kit/ex3_epoll_lt/server.c"
  fake ab 'sleep 1.5'
  gives_up backlog 'ex3, backlog 1 has ended'
}

@test "lab/backlog: exits with 1 if the source has no line to change" {
  copy_of backlog
  echo 'int main(void) { return 0; }' >"$kit/ex3_epoll_lt/server.c"
  gives_up backlog 'ex3_epoll_lt/server.c has no line to change'
}

@test "lab/scaling: exits with 1 if a server ends, or loses its silent clients" {
  copy_of scaling
  fake b_poll 'echo listening >&2; exec sleep 0.1'
  gives_up scaling '*b_poll*'
  cp "$top/b_poll" "$kit"
  fake build/client 'echo ready; exec sleep 20'
  sed -i 's/SECONDS + 10/SECONDS + 1/' "$kit/lab/common.bash"
  gives_up scaling '* has lost some of its 100 silent clients'
}

@test "lab/backlog, lab/scaling: leave nothing when a terminal sends SIGTERM to all" {
  local name status
  needs_of backlog
  mkdir "$dir/tmp"
  for name in backlog scaling; do
    # In a session of its own, which gets the signal as a whole.
    LAB_SMALL='' TMPDIR=$dir/tmp LAB_OUT=$dir/left setsid "$top/lab/$name.sh" \
      >"$dir/said" 2>&1 3>&- &
    pid=$!
    PATIENCE=10 wait_for grep -q '   .*round 1' "$dir/said"
    kill -TERM -- "-$pid"
    status=0
    wait "$pid" || status=$?
    [ "$status" -eq 143 ]
    [ -z "$(ls -A "$dir/tmp")" ]
    wait_for not pgrep -s "$pid"
  done
}
