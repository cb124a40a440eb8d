# The pages: every link leads somewhere, and a browser opens every page and every
# scene without an error.

setup() {
  cd "$BATS_TEST_DIRNAME/../.."
  for tool in cmark-gfm pygmentize; do
    command -v "$tool" >/dev/null || skip "$tool is missing: make site-deps"
  done
  pages=$(mktemp -d)
  site/build.py "$pages"
}
teardown() { rm -rf "${pages:-}"; }

# visit WHAT: runs site/tests/visit.py with a Python that has selenium.
visit() {
  local python
  for python in python3 /usr/bin/python3; do
    if [ "$1" = links ] || "$python" -c 'import selenium' 2>/dev/null; then
      "$python" site/tests/visit.py "$1" "$pages"
      return
    fi
  done
  skip 'selenium is missing: make site-deps'
}

@test "every link of every page leads somewhere" { visit links; }

@test "a link that leads nowhere is named" {
  sed -i 's/href="NOTES.html"/href="NOTHING.html"/' "$pages/LICENSE.html"
  run visit links
  [ "$status" -eq 1 ]
  [ "$output" = 'LICENSE.html: NOTHING.html' ]
}

@test "a browser opens every page without an error, and axe-core finds nothing" {
  visit pages
}

@test "a link to a scene opens it beside the text" { visit scenes; }
