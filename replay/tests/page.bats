# The page of replay/ in a real browser. replay_page.py has the checks.

bats_require_minimum_version 1.5.0

setup() {
  top=$(cd "$BATS_TEST_DIRNAME/../.." && pwd)
}

# page CHECK [WHAT]: runs the check, or skips the test where WHAT is missing.
page() {
  local python missing=${2:-chromium, chromium-driver and python3-selenium}
  for python in python3 /usr/bin/python3; do
    if "$python" -c 'import selenium' 2>/dev/null; then break; fi
  done
  run "$python" "$top/replay/tests/page.py" "$1"
  if ((status == 77)); then skip "needs $missing"; fi
  echo "$output"
  return "$status"
}

@test "replay: the page is complete within a second, and loads only its own files" {
  page opens
}
@test "replay: every scene looks the same forwards, backwards and by the scrubber" {
  page plays
}
@test "replay: nothing overlaps and nothing is cut off, on a projector and a phone" {
  page layout
}
@test "replay: the keys move by call, line and scene, but not with a modifier" {
  page keys
}
@test "replay: there is a button for every key" {
  page buttons
}
@test "replay: an address with a scene and a step opens that step" {
  page links
}
@test "replay: p hides each sentence and result until the next key" {
  page predict
}
@test "replay: text has a contrast of 4.5 : 1, light and dark" {
  page contrast
}
@test "replay: axe-core finds no fault" {
  page axe "axe-core (npm install axe-core)"
}
@test "replay: a step is drawn within 16 ms" {
  page speed
}
@test "replay: paper shows a table of all steps, and reduced motion stops motion" {
  page media
}
@test "replay: the page works when a recording is missing" {
  page missing
}
