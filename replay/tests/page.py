#!/usr/bin/env python3
"""page.py CHECK: checks replay/index.html in a real browser, as page.bats asks.
page.py picture FILE.png: makes the picture of README.md.

Needs chromium, chromedriver and selenium. Exits 77 where one is missing.
PAGE in the environment is another folder that holds the page.
"""
import json
import os
import pathlib
import shutil
import sys
import tempfile

TOP = pathlib.Path(__file__).resolve().parent.parent.parent
PAGE = pathlib.Path(os.environ.get("PAGE", TOP / "replay")).absolute()
AXE = TOP / "node_modules/axe-core/axe.min.js"
PROJECTOR, LARGE, PHONE = (1280, 720), (1920, 1080), (390, 844)
OPTIONS = """--headless=new --no-sandbox --disable-gpu --disable-quic --no-first-run --hide-scrollbars
  --disable-background-networking --disable-component-update --disable-sync""".split()

# Functions for the page. go: opens an address. snapshot: all that a reader sees. views: all scenes
# and pairs, and one way of each walk. eachFrame: calls back for each step of each view.
LIBRARY = """
window.all = selector => [...document.querySelectorAll(selector)];
window.place = () => view ? view.id + "/" + (at + 1) : "list";
window.press = key => document.body.dispatchEvent(
  new KeyboardEvent("keydown", {key, bubbles: true, cancelable: true}));
window.wait = (ms = 0) => new Promise(done => setTimeout(done, ms));
window.go = async id => {
  location.hash = id;
  for (let n = 0; n < 100 && (!view || id.split("/")[0] !== view.id); n++) await wait(10);
};
window.snapshot = () => all(".sentence, .picture, .wait, .calls, #counter, #marks, #difference").map(e => e.innerHTML)
  .concat(all(".code").map(e => e.scrollTop), all(".side").map(e => e.className), all(".now").map(e => e.innerText), place());
window.views = () => listEntries().filter(e => e.kind !== "walk").map(e => e.id).concat(Object.values(replay.walks)
  .flatMap(walk => walk.questions.filter(q => q.way).slice(0, 1).map(q => walk.id + ":" + q.way.join("."))));
window.eachFrame = async visit => {
  for (const id of views()) {
    await go(id + "/1");
    for (let k = 0; k < view.frames.length; k++) {
      if (k > 0) press("ArrowDown");
      if (place() !== id + "/" + (k + 1)) throw `${id}/${k + 1}: is ${place()}`;
      await visit(place());
    }
  }
};
"""
# Lists what overlaps or is cut off in all frames, and in all situations of the walks.
FAULTS = """
const faults = [], fixed = innerWidth > innerHeight, root = document.documentElement;
const box = e => e.getBoundingClientRect();
const inside = (a, b) =>
  a.left >= b.left - 1 && a.top >= b.top - 1 && a.right <= b.right + 1 && a.bottom <= b.bottom + 1;
const apart = (a, b) =>
  a.right <= b.left + 1 || b.right <= a.left + 1 || a.bottom <= b.top + 1 || b.bottom <= a.top + 1;
const look = name => {
  const fault = (e, text) => faults.push(`${name}: ${e.id || e.className || e.tagName} ${text}: ${e.innerText}`);
  if (root.scrollWidth > innerWidth) fault(root, "scrolls sideways");
  if (fixed && root.scrollHeight > innerHeight) fault(root, "scrolls");
  const page = {left: 0, top: 0, right: innerWidth, bottom: fixed ? innerHeight : root.scrollHeight};
  const solid = all(`header, .sentence, .program, .process, .wait, .calls, .socket, .client:not(h2, i), figure,
    #questions, #path` + (fixed ? ", footer" : "")).filter(e => e.checkVisibility()).map(e => [e, box(e)]);
  solid.forEach(([a, at], i) => {
    if (!inside(at, page)) fault(a, "is outside");
    for (const [b, over] of solid.slice(i + 1)) if (!apart(at, over)) fault(a, "is over " + b.className + b.id);
  });
  for (const side of all(".side")) for (const part of side.querySelectorAll(".socket, figure, .entry"))
    if (!inside(box(part), box(side.querySelector(".kernel")))) fault(part, "is out of kernel");
  for (const part of all(`.sentence, .wait, #title, #difference, .process, .process dd, .file, .client, .entry, figure,
      .socket :is(h3, p:not(.text)), .calls [aria-current], button, #questions li`))
    if (part.clientWidth && (part.scrollWidth > part.clientWidth + 1 || part.scrollHeight > part.clientHeight + 1))
      fault(part, "is cut off");
  for (const socket of all(".socket")) for (const part of socket.querySelectorAll("h3, p, .bar"))
    if (!inside(box(part), box(socket))) fault(part, "is out of its socket");
  for (const part of all(".now, .result"))
    if (!inside(box(part), box(part.closest(".code")))) fault(part, "is out of sight");
};
await eachFrame(look);
// Dark is as wide as light, and the large screen as the projector.
for (const walk of root.className || innerWidth === 1920 ? [] : Object.values(replay.walks)) {
  const ways = {0: []}, queue = [0];
  for (const at of queue) walk.situations[at].forEach((choice, n) => {
    if (ways[choice[3]]) return;
    ways[choice[3]] = [...ways[at], n];
    queue.push(choice[3]);
  });
  for (const way of Object.values(ways)) { openView(viewOfPath(walk, way), 9999); look(place()); }
}
return faults;"""

try:
    from selenium import webdriver
    from selenium.webdriver import ActionChains
    from selenium.webdriver.chrome.service import Service
    from selenium.webdriver.common.keys import Keys
except ImportError:
    sys.exit(77)


class Browser:
    """A new Chromium, with a profile of its own, and the page open."""

    def __init__(self, address="", page=PAGE / "index.html"):
        chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
        if not chromium or not driver:
            sys.exit(77)
        self.page, self.profile = page, tempfile.mkdtemp(prefix="replay-page.")
        options = webdriver.ChromeOptions()
        options.binary_location = chromium
        for option in OPTIONS + ["--user-data-dir=" + self.profile]:
            options.add_argument(option)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        self.driver = webdriver.Chrome(service=Service(driver), options=options)
        self.driver.set_script_timeout(150)
        self.js = self.driver.execute_script
        self.show(address, PROJECTOR)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.driver.quit()
        shutil.rmtree(self.profile, ignore_errors=True)

    def show(self, address="", size=None, theme="light", medium=""):
        """Opens an address. All walks are loaded, and nothing moves by itself."""
        command = self.driver.execute_cdp_cmd
        if size:
            command("Emulation.setDeviceMetricsOverride", dict(
                width=size[0], height=size[1], deviceScaleFactor=1, mobile=False))
        command("Emulation.setEmulatedMedia", dict(media=medium, features=[
            {"name": "prefers-color-scheme", "value": theme},
            {"name": "prefers-reduced-motion", "value": "reduce"}]))
        self.driver.get("about:blank")
        self.driver.get(self.page.as_uri() + address)
        self.js(LIBRARY)
        for walk in sorted((self.page.parent / "play").glob("*.js")):
            self.wait(f"await new Promise(go => withWalk('play-{walk.stem}', go))")

    def wait(self, code):
        """Runs code that may await, and returns what it returns."""
        result = self.driver.execute_async_script(
            f"const done = arguments[0]; (async () => {{ {code} }})()"
            ".then(x => done([x]), error => done(String(error.stack || error)));")
        assert isinstance(result, list), result[:2000]
        return result[0]

    def keys(self, *keys, held=None):
        chain = ActionChains(self.driver)
        if held:
            chain.key_down(held).send_keys(*keys).key_up(held).perform()
        else:
            chain.send_keys(*keys).perform()

    def click(self, selector):
        self.driver.find_element("css selector", selector).click()

    def is_at(self, place):
        now = self.wait(f"for (let n = 0; n < 500 && place() !== '{place}'; n++) await wait(10);"
                        "return place();")
        assert now == place, f"{now}, not {place}"

    def text(self, selector):
        return self.js("return document.querySelector(arguments[0]).innerText", selector)

    def has_no_errors(self):
        found = [entry["message"] for entry in self.driver.get_log("browser")
                 if entry["level"] in ("SEVERE", "WARNING")
                 and "ERR_FILE_NOT_FOUND" not in entry["message"]]
        assert not found, found


def check_opens():
    """The list and a walk within a second, with all recordings and own files only."""
    with Browser() as browser:
        browser.driver.get_log("performance")
        for address in ("#play-ex4-broken", ""):
            browser.show(address)
            time = browser.js("return performance.getEntriesByType('navigation')[0].loadEventEnd")
            print(f"{address} complete after {time:.0f} ms")
            assert time < 1000 and bool(browser.js("return view")) == bool(address)
        stored = {path.stem for path in (PAGE / "recordings").glob("*.js")}
        assert stored == set(browser.js("return replay.scenes.map(s => s.id)"))
        links = browser.js("return all('#list a').map(a => a.hash.slice(1))")
        assert stored < set(links) and len(links) == len(set(links))
        browser.wait("await eachFrame(() => {})")
        for entry in browser.driver.get_log("performance"):
            if '"Network.requestWillBeSent"' in entry["message"]:
                address = entry["message"].split('"url":"')[-1].split('"')[0]
                assert address.startswith((PAGE.as_uri() + "/", "data:", "about:")), address
        browser.has_no_errors()


def check_plays():
    """Forwards, backwards and by the scrubber: the same."""
    with Browser() as browser:
        for size in (PROJECTOR, PHONE):
            browser.show("", size)
            steps = browser.wait("""
              let steps = 0;
              for (const id of views()) {
                await go(id + "/1");
                const seen = [], same = (k, how) => snapshot().forEach((line, n) => {
                  if (line !== seen[k][n]) throw `${id}/${k + 1} ${how}: ${line}, not ${seen[k][n]}`;
                });
                view.frames.forEach((frame, k) => {
                  if (k > 0) press("ArrowDown");
                  seen.push(snapshot());
                  frame.forEach((s, n) => {
                    if (!all(".sentence")[n].innerText.startsWith(view.runs[n].steps[s.k].sentence)) throw place();
                  });
                });
                if (new Set(seen.map(String)).size !== seen.length) throw id;
                for (let k = seen.length - 2; k >= 0; k--) { press("ArrowUp"); same(k, "backwards"); }
                press("End");
                same(seen.length - 1, "End");
                $("scrubber").value = 3;
                $("scrubber").dispatchEvent(new Event("input"));
                same(2, "scrubber");
                steps += seen.length;
              }
              return steps;""")
            print(f"{size}: {steps} steps")
        browser.has_no_errors()


def check_turns():
    """Two runs begin each turn of the clients together, and no step is left out."""
    with Browser() as browser:
        turns = browser.wait("""
          let turns = 0;
          for (const id of views().filter(id => id.includes("+"))) {
            await go(id);
            const turn = (frame, n) => view.runs[n].steps[frame[n].k].turn;
            view.frames.forEach((frame, k) => frame.forEach((s, n) => {
              const before = view.frames[k - 1] || frame, place = `${id}/${k + 1}: `;
              if (k && s.k !== before[n].k + s.moved) throw place + "a step is left out";
              if (turn(frame, n) === turn(before, n)) return;
              turns += 0.5;
              if (!frame.every(s => s.moved) || turn(frame, 0) !== turn(frame, 1)) throw place + "not together";
            }));
            if (view.frames.at(-1).some((s, n) => s.k !== view.runs[n].steps.length - 1)) throw id + " ends early";
          }
          return turns;""")
        print(f"{turns} turns")
        assert turns > 15


def check_layout():
    """Nothing overlaps or is cut off, and the page does not scroll sideways. Light
    and dark differ in colours only."""
    with Browser() as browser:
        for size, theme in ((PROJECTOR, "light"), (LARGE, "dark"), (PHONE, "light")):
            browser.show("", size, theme)
            found = browser.wait(FAULTS)
            print(f"{size}, {theme}: {len(found)} faults", *found[:12], sep="\n  ")
            assert not found


def check_keys():
    """Keys do what the help says, and so does a button for each; not with a
    modifier or in a field. An address opens its step."""
    with Browser("#ex2-stall") as browser:
        ids = browser.js("return listEntries().map(e => e.id)")
        number = ids.index("ex2-stall")
        kinds = browser.js("return view.runs[0].steps.map(s => s.kind)")
        calls = [k + 1 for k, kind in enumerate(kinds) if kind != "line"]
        line = calls[2] + 1  # there, the next line is no call
        assert kinds[line - 1] == "line", kinds
        for start, name, key, wanted in (
                (1, "next", Keys.ARROW_RIGHT, calls[1]), (line, "next", Keys.ARROW_RIGHT, calls[3]),
                (line, "back", Keys.ARROW_LEFT, calls[2]), (line - 1, "down", Keys.ARROW_DOWN, line),
                (line + 1, "up", Keys.ARROW_UP, line), (line, "last", Keys.END, len(kinds)),
                (line, "first", Keys.HOME, 1), (1, "first", Keys.ARROW_UP, 1),
                (line, "next-scene", Keys.PAGE_DOWN, ids[number + 1] + "/1"),
                (line, "prev-scene", Keys.PAGE_UP, ids[number - 1] + "/1"),
                (line, "to-list", "l", "list"), (line, None, "0", ids[9] + "/1")):
            wanted = wanted if isinstance(wanted, str) else f"ex2-stall/{wanted}"
            for act in [lambda: browser.keys(key)] + [lambda: browser.click("#" + name)] * bool(name):
                browser.show(f"#ex2-stall/{start}")
                act()
                browser.is_at(wanted)
        browser.show(f"#ex2-stall/{line}")
        for held in (Keys.CONTROL, Keys.ALT, Keys.SHIFT, Keys.META):
            browser.keys(Keys.ARROW_DOWN, held=held)
        browser.keys("?", Keys.ARROW_RIGHT)
        assert browser.js("return $('about').open")
        browser.keys("?", "d")
        assert browser.js("return !$('about').open && document.documentElement.className === 'dark'")
        browser.js("document.querySelector('.code').focus()")
        browser.keys(Keys.PAGE_DOWN, Keys.ARROW_DOWN)
        browser.is_at(f"ex2-stall/{line}")
        browser.js("$('scrubber').focus()")
        browser.keys(Keys.ARROW_RIGHT, "3")
        browser.is_at(f"ex2-stall/{line + 1}")
        browser.wait("await wait(200)")
        assert browser.js("return location.hash === '#' + place()")
        for address, wanted in (("ex3-long+ex4-long/7", "ex3-long+ex4-long/7"),
                                ("ex4-broken+ex4-long", "ex4-broken+ex4-long/1"),
                                ("ex2-stall/99999", f"ex2-stall/{len(kinds)}"),
                                ("nothing/7", "list"), ("ex3-long+nothing", "list")):
            browser.show("#" + address)
            browser.is_at(wanted)


def check_predict():
    """p hides each sentence and result until the next key."""
    with Browser() as browser:
        browser.keys("p")
        hidden = browser.wait("""
          let hidden = 0;
          for (const id of views()) {
            await go(id + "/1");
            while (at < view.frames.length - 1) {
              const before = all(".net").map(e => e.innerText), k = at + 1;
              press("ArrowDown");
              const steps = view.frames[k].map((s, n) => s.moved && view.runs[n].steps[s.k]);
              if (steps.some(step => step.call)) {
                hidden++;
                all(".side").forEach((side, n) => {
                  const text = side.innerText, { call, sentence } = steps[n];
                  if (call && (text.includes(sentence) || !text.includes("= ?") ||
                      all(".net")[n].innerText !== before[n])) throw place();
                });
                press("ArrowRight");
              }
              if (place() !== id + "/" + (k + 1) || $("sides").innerText.includes("= ?")) throw place();
            }
          }
          return hidden;""")
        print(f"{hidden} times a result was hidden")
        assert hidden > 100


def check_differences():
    """The first difference of each pair, in words; and a student's page."""
    told = {
        "ex3-long+ex4-long": "example 3 calls epoll_ctl(4, ADD, 5, EPOLLIN); example 4"
                             " calls epoll_ctl(4, ADD, 5, EPOLLIN|EPOLLET).",
        "ex4-long+ex4-broken": "example 4 calls recv again; example 4 without the receive"
                               " loop sleeps in epoll_wait.",
        "f-plain+f-nodelay": "the same calls, but A has got 114 bytes in the run with"
                             " Nagle's algorithm, and 228 bytes in the run with TCP_NODELAY."}
    with Browser() as browser:
        for pair, wanted in told.items():
            browser.show("#" + pair)
            shown = browser.text("#difference")
            assert shown == "First difference: " + wanted, shown
            browser.click("#difference")
            assert browser.js("return at === view.difference.frame && at > 0")
    sys.path.insert(0, str(TOP / "replay"))
    import practice
    kit, accept = "ex4-long", "calls accept4(3, SOCK_NONBLOCK|SOCK_CLOEXEC)"
    for mine, old, new, wanted in (
            ("ex4-broken", "", "", "example 4 calls recv again; yours sleeps in epoll_wait."),
            (kit, "accept4(3, SOCK_NONBLOCK|SOCK_CLOEXEC)", "accept(3)", f"example 4 {accept}; yours calls accept(3)."),
            (kit, "SHUT_RDWR", "SHUT_WR", "example 4 calls shutdown(5, SHUT_RDWR); yours calls shutdown(5, SHUT_WR)."),
            (kit, "recv(5", "read(5", "none is visible here.")):
        runs = [json.loads((PAGE / f"recordings/{name}.js").read_text()[11:-3]) for name in (mine, kit)]
        for step in runs[0]["steps"]:
            call = step.get("call", {"text": "", "fn": ""})
            call.update(text=call["text"].replace(old, new))
            call.update(fn=call["text"].split("(")[0])
        runs[0].update(id="mine-ex4-long", pair=kit, good=False, ending="A waits.",
                       notes=["The compiler is old."], change="")
        with tempfile.TemporaryDirectory(prefix="replay-page.") as folder:
            page = pathlib.Path(folder) / "replay.html"
            page.write_text(practice.page(runs))
            with Browser("", page) as browser:
                text = browser.text("#list")
                for part in ("✗ ", "A waits.", "The compiler is old.", "First difference: " + wanted):
                    assert part in text, text
                browser.click("#list a")
                browser.is_at("mine-ex4-long+ex4-long/1")
                browser.has_no_errors()


def check_clients():
    """You are the clients: choices, undo, situations, questions, predict."""
    if not (PAGE / "play/ex2.js").exists():
        sys.exit(77)
    with Browser("#play-ex2") as browser:
        def is_seen(number, actions):
            text = browser.text("#path")
            assert f"situations seen: {number} of {size}" in text, text
            assert browser.js("return view.runs[0].taken.length") == actions

        size = browser.js("return view.walk.situations.length")
        way = browser.js("return view.walk.questions.find(q => q.way).way")
        is_seen(1, 0)
        for n, choice in enumerate(way, 1):
            before = browser.js("return all('.choices button').length")
            browser.click(f"[data-choice='{choice}']")
            assert browser.js("return all('.choices :disabled').length") == before, "the buttons move"
            assert "End skips" in browser.text(".sentence")
            browser.keys(Keys.END)
            is_seen(n + 1, n)
        assert browser.text("#questions").count("✓") == 1
        browser.keys("u")
        browser.click("#undo")
        is_seen(len(way) + 1, len(way) - 2)
        browser.click("#again")
        browser.is_at("play-ex2/1")
        browser.click("[data-way]")
        browser.wait("await wait(200)")
        way = ".".join(map(str, way))
        assert browser.js("return location.hash").startswith("#play-ex2:" + way)
        # A choice at an earlier situation forgets what followed it.
        browser.keys(Keys.HOME)
        browser.click("[data-choice]")
        assert browser.js("return view.runs[0].taken.length") == 1
        # A situation counts once, although two ways lead to it.
        one, two = browser.js("""
          const ways = [[0, []]], found = {};
          for (const [at, way] of ways) {
            if (found[at]) return [found[at], way].map(way => way.join("."));
            found[at] = way;
            view.walk.situations[at].forEach((choice, n) => ways.push([choice[3], [...way, n]]));
          }""")
        counts = [browser.wait(f"await go('play-ex2:{way}/999'); return seen[view.walk.id].size")
                  for way in (one, two)]
        assert counts[0] == counts[1] and one != two, (one, two, counts)
        # Predict: the choice is made, the next call is shown without its result.
        browser.click("#again")
        browser.keys("p")
        browser.click("[data-choice]")
        browser.keys(Keys.ARROW_RIGHT)
        assert "= ?" in browser.text("#sides")


def check_axe():
    """The rules of axe-core, contrast among them."""
    if not AXE.exists():
        sys.exit(77)
    with Browser() as browser:
        for size in (PROJECTOR, PHONE):
            for theme in ("light", "dark"):
                for address in ("", "#ex2-stall/12", "#ex4-broken/19", "#f-cork/18",
                                "#ex4-long+ex4-broken/20", "#k-stale+k-stale-broken/28",
                                "#play-ex2:0"):
                    browser.show(address, size, theme)
                    browser.js(AXE.read_text())
                    found = browser.wait(
                        "if (!location.hash) $('help').click(); return (await axe.run()).violations"
                        ".map(v => v.id + ': ' + v.nodes.map(n => n.html).join(' '))")
                    assert not found, "\n".join([f"{size} {theme} {address}"] + found)
        print("axe-core", browser.js("return axe.version"))


def check_speed():
    """A step is drawn within 16 ms: script, style and layout. Other programs may
    run meanwhile: what counts is the best of a few, and a share of a processor."""
    share = min(1, os.cpu_count() / max(os.getloadavg()[0], 0.01))
    with Browser() as browser:
        best, name = browser.wait("""
          let worst = [0, ""];
          await eachFrame(async name => {
            let best = 99;
            for (let again = 0; at > 0 && best >= 16 && again < 20; again++) {
              await wait(again);
              press("ArrowUp");
              const before = performance.now();
              press("ArrowDown");
              document.body.getBoundingClientRect();
              best = Math.min(best, performance.now() - before);
            }
            if (at > 0 && best > worst[0]) worst = [best, name];
          });
          return worst;""")
        print(f"at most {best:.1f} ms ({name}), with {share:.0%} of a processor")
        assert best * share < 16


def check_media():
    """Paper gets a table of all steps; reduced motion means none; the page says
    which recordings or walks are missing."""
    with Browser("#ex2-stall") as browser:
        assert not browser.wait("let moving = 0; await eachFrame(() => {"
                                "moving += document.getAnimations().length; }); return moving;")
        browser.show("#ex2-stall", medium="print")
        browser.js("dispatchEvent(new Event('beforeprint'))")
        assert browser.js("return all('#paper tr:has(td)').length === view.frames.length")
        assert browser.js("return all('body > *').filter(e => e.checkVisibility())"
                          ".map(e => e.id).join()") == "paper"
    with tempfile.TemporaryDirectory(prefix="replay-page.") as folder:
        copy = pathlib.Path(folder) / "replay"
        shutil.copytree(PAGE, copy, ignore=shutil.ignore_patterns("play", "ex2-stall.js"))
        with Browser("#ex3-long/2", copy / "index.html") as browser:
            browser.is_at("ex3-long/2")
            assert "ex2-stall" not in browser.js("return views().join()")
            browser.show("#play-ex3")
            browser.wait("await wait(300)")
            assert "play/ex3.js is missing" in browser.text("body")
        shutil.rmtree(copy / "recordings")
        with Browser("", copy / "index.html") as browser:
            browser.keys(Keys.ARROW_RIGHT, "2", "d")
            assert "run make record" in browser.text("body")
            browser.has_no_errors()


if __name__ == "__main__":
    if sys.argv[1:2] == ["picture"]:
        with Browser("#ex4-broken/99999") as shown:
            shown.driver.save_screenshot(sys.argv[2])
    elif len(sys.argv) == 2 and "check_" + sys.argv[1] in globals():
        globals()["check_" + sys.argv[1]]()
    else:
        sys.exit(__doc__)
