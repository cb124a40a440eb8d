# The notes as pages for any browser.

CHECKS += test-site
NEEDS_site = python3 cmark-gfm pygmentize chromium chromedriver selenium axe-core

#: make site         all documents, programs, diffs and the replay as pages

site:
	@site/build.py build/site

test-site:
	$(BATS) site/tests

.PHONY: site test-site
