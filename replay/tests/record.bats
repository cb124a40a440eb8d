# The recorder of the replay page, and its recordings. `make test-replay`
# records all scenes again; here, one.

setup() {
  top=$(cd "$BATS_TEST_DIRNAME/../.." && pwd)
  dir=$(mktemp -d)
}

teardown() {
  rm -rf "$dir"
}

# needs_recorder: skips the test where the recorder cannot work.
needs_recorder() {
  run "$top/replay/record.py" --check ex1-one
  if [ "$status" -eq 77 ]; then skip "$output"; fi
}

needs_appendix() { [ -d "$top/appendix" ] || skip 'appendix/ was taken out'; }

# practice EXAMPLE [SED]: shows this example, changed by sed, as mine/ex3.
practice() {
  needs_recorder
  mkdir -p "$dir/kit/mine/ex3"
  cp -r "$top"/ex?_* "$top/replay" "$dir/kit"
  sed "${2:-}" "$top/$1/server.c" >"$dir/kit/mine/ex3/server.c"
  TMPDIR=$dir run "$dir/kit/replay/practice.py" 3
}

# recorder ARGUMENT...: runs the recorder in a copy of the kit, and leaves its
# output and exit status in $output and $status.
recorder() {
  mkdir -p "$dir/kit/replay"
  cp -r "$top"/ex?_* "$dir/kit"
  if [ -d "$top/appendix" ]; then cp -r "$top/appendix" "$dir/kit"; fi
  cp -r "$top"/replay/*.py "$top/replay/recordings" "$dir/kit/replay"
  if [ -n "${changed:-}" ]; then sed -i "$changed" "$dir/kit/$file"; fi
  run "$dir/kit/replay/record.py" "$@"
  if [ "$status" -eq 77 ]; then skip "$output"; fi
}

# recordings CODE: runs Python with each recording as r, and its steps with
# complete states.
recordings() {
  python3 - "$top/replay/recordings" "$1" <<'PYTHON'
import json, pathlib, sys
for path in sorted(pathlib.Path(sys.argv[1]).glob("*.js")):
    text, state = path.read_text(), {}
    r = json.loads(text.removeprefix("replay.add(").removesuffix(");\n"))
    steps = r["steps"]
    for step in steps:
        state = step["state"] = {**state, **step["state"]}
    reports = [e for s in steps for e in s.get("call", {}).get("events", [])]
    exec(sys.argv[2])
PYTHON
}

@test "replay: recording a scene again gives the same events" {
  recorder --check ex4-broken
  [ "$output" = 'ex4-broken: the same events' ]
}

@test "replay: a slow machine leaves out a scene that has 35 ms" {
  needs_appendix
  file=replay/stepper.py changed='s/in_time(0.035)/in_time(0)/'
  recorder --check f-plain ex1-one
  [ "$status" -eq 0 ]
  [[ $output == 'f-plain: left as it is,'*'ex1-one: the same events' ]]
}

@test "replay: a recording of an older program is found" {
  file=ex3_epoll_lt/server.c changed='s/MAX_REQUEST 8192/MAX_REQUEST 8000/'
  recorder --check ex3-reset
  [ "$status" -eq 1 ]
  [[ $output == *'ex3_epoll_lt/server.c has changed'* ]]
}

@test "replay: update.py writes changed comments without gdb, and no changed code" {
  mkdir "$dir/kit"
  cp -r "$top"/ex?_* "$top/replay" "$dir/kit"
  cd "$dir/kit"
  line=$(grep -o '"line":[0-9]*' replay/recordings/ex4-long.js | head -n 1)
  line=${line#*:}
  sed -i '1a\ * A new line.' ex4_epoll_et/server.c
  run replay/update.py --check
  [ "$status" -eq 1 ]
  [[ $output == *'ex4-long: the comments have changed: make update-notes'* ]]
  replay/update.py
  run replay/update.py --check
  [ "$status $output" = '0 ' ]
  grep -q -F '"/*"," * A new line."' replay/recordings/ex4-long.js
  [ "$(grep -o '"line":[0-9]*' replay/recordings/ex4-long.js | head -n 1)" = \
    "\"line\":$((line + 1))" ]
  replay/record.py --check ex4-long || [ $? -eq 77 ]
  sed -i 's/MAX_REQUEST 8192/MAX_REQUEST 8000/' ex4_epoll_et/server.c
  run replay/update.py
  [[ $output == *'ex4-long: the code of ex4_epoll_et/server.c has changed: make record'* ]]
}

@test "replay: a client that acts otherwise is found" {
  file=replay/scenes.py changed='s/REQUEST\[:18\]/REQUEST[:17]/'
  recorder --check ex3-reset
  [ "$status" -eq 1 ]
  [[ $output == *'sends 18 bytes'*'sends 17 bytes'* ]]
}

@test "replay: an epoll_wait that returns something unexpected fails" {
  file=replay/kernel.py changed='s/interests(epoll)\[fd\]\[0\])/1)/'
  recorder ex4-long
  [ "$status" -eq 1 ]
  [[ $output == *'but ready:'* ]]
}

@test "replay: a rule of sentences.py that no line fits is found" {
  needs_appendix
  file=replay/sentences.py changed='s/"while (n > 0"/"while (n > 1"/'
  recorder --check ex1-one
  [ "$status" -eq 1 ]
  [[ $output == *'no line fits the rule read_request: while (n > 1'* ]]
}

@test "replay: the kit's example 3 has no fault beside itself, and the page is one file" {
  practice ex3_epoll_lt
  [ "$(grep -c '^✓' <<<"$output")" -eq 6 ]
  [[ $output == *'open mine/ex3/replay.html'* ]]
  run grep -E '<(script|link)[^>]* (src|href)="[^d]' "$dir/kit/mine/ex3/replay.html"
  [ "$output" = '' ]
  grep -q '"pair":"ex3-stall"' "$dir/kit/mine/ex3/replay.html"
}

@test "replay: what does not compile shows the compiler's words, and no page" {
  practice ex3_epoll_lt 's/int listener = socket/int 1listener = socket/'
  [ "$status" -eq 1 ]
  [[ $output == *'server.c:'*'error:'*'1listener'* ]]
  [ ! -e "$dir/kit/mine/ex3/replay.html" ]
}

@test "replay: nothing is left of a program that spins, loops or crashes" {
  practice ex3_epoll_lt 's/fflush(stdout);/for (;;) length++;/'
  [[ $output == *'✗ stall '*'makes no system call.'* ]]
  run pgrep -f -l "^$dir"
  [ "$output" = '' ]
}

@test "replay: without gdb, make replay3 says so in one line" {
  mkdir -p "$dir/kit/mine/ex3"
  cp -r "$top"/ex?_* "$top/replay" "$dir/kit"
  touch "$dir/kit/mine/ex3/server.c"
  run env PATH="$dir" "$(python3 -c 'import sys; print(sys.executable)')" \
    "$dir/kit/replay/practice.py" 3
  [ "$status" -eq 1 ]
  [ "$output" = 'make replay3 cannot run here: gdb is missing (make practice-deps). The tests do not need it.' ]
}

@test "replay: programs of other styles are shown as zoo.md says" {
  run "$top/replay/tests/zoo.py" one_main edge union 'ex3: nobody closes'
  if [ "$status" -eq 77 ]; then skip "$output"; fi
  echo "$output"
  [ "$status" -eq 0 ]
  [[ $output == *[34]' as in zoo.md' ]]
}

@test "replay: what can follow in a situation is the same on each way to it: 10 ways" {
  if [ ! -d "$top/replay/play" ]; then skip 'no play/ (make record-play)'; fi
  run "$top/replay/walk.py" --check 5 ex2 ex4-broken
  if [ "$status" -eq 77 ]; then skip "$output"; fi
  echo "$output"
  [ "$status" -eq 0 ]
  [ "$(grep -c '^ex.*: 5 other ways, and [1-9][0-9]* continuations are the same$' <<<"$output")" -eq 2 ]
}

@test "replay: a recording has less than 50 KB, and 15 to 120 steps" {
  recordings 'assert len(text) < 50_000 and 15 <= len(steps) <= 120, path'
}

@test "replay: a sentence has at most 16 words, and ends" {
  recordings 'for s in steps:
    words = s["sentence"].split()
    assert 3 < len(words) <= 16 and words[-1][-1] in ".?", s["sentence"]'
}

@test "replay: one long request is three events in ex3, one in ex4" {
  recordings 'if r["id"][3:] == "-long":
    assert reports.count([5, "EPOLLIN"]) == (3 if r["id"] == "ex3-long" else 1)'
}

@test "replay: the broken ex4 ends with unread bytes that are no news" {
  recordings 'if r["id"] == "ex4-broken":
    assert state["epoll"]["entries"][1]["noNews"]
    assert [s["recv"]["bytes"] for s in state["sockets"][1:]] == [1976]
    assert state["wait"] == [["A", "waits for", "ex4"], ["ex4", "waits for", "A"],
                             ["ex4", "waits for", "the next client"]]'
}

@test "replay: no variable is shown before it is set, and no wrapper hides its caller" {
  recordings 'for s in steps:
    assert s["fn"] != "watch", path
    if s["kind"] == "call" and s["fn"] in ("send_some", "receive_some"):
        assert "n" not in dict(s["state"]["process"]["vars"]), path'
}

@test "replay: an old event costs B its connection only where pairs are closed at once" {
  recordings 'if r["program"] == "k_proxy":
    assert [6, "EPOLLERR|EPOLLHUP"] in reports
    assert state["clients"][2]["state"] == ("reset" if "change" in r else "open")'
}
