# The page of replay/ in a real browser. page.py has the checks.

# page CHECK [WHAT]: runs the check, or skips the test where WHAT is missing.
page() {
  local python missing=${2:-chromium, chromium-driver and python3-selenium}
  for python in python3 /usr/bin/python3; do
    if "$python" -c 'import selenium' 2>/dev/null; then break; fi
  done
  run timeout 400 "$python" "$BATS_TEST_DIRNAME/page.py" "$1"
  if ((status == 77)); then skip "needs $missing"; fi
  echo "$output"
  return "$status"
}

@test "replay: the list opens within a second, and loads only its own files" {
  page opens
}
@test "replay: every step looks the same forwards, backwards and by the scrubber" {
  page plays
}
@test "replay: two runs begin each turn of the clients together" {
  page turns
}
@test "replay: the first difference of two runs is said in words" {
  page differences
}
@test "replay: the reader can be the clients, undo, and answer questions" {
  page clients "the recordings in play/, a browser and selenium"
}
@test "replay: nothing overlaps or is cut off, on projectors and a phone" {
  page layout
}
@test "replay: keys and buttons move by call, line and scene; an address opens a step" {
  page keys
}
@test "replay: p hides each sentence and result until the next key" {
  page predict
}
@test "replay: axe-core finds no fault" {
  page axe "axe-core, a browser and selenium: make replay-deps"
}
@test "replay: a step is drawn within 16 ms" {
  page speed
}
@test "replay: paper shows all steps, and a recording that is missing costs its scene only" {
  page media
}
