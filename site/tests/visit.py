"""usage: visit.py links|pages|scenes FOLDER: prints what is wrong with the site."""
import html
import re
import sys
from pathlib import Path
from urllib.parse import unquote

what, folder = sys.argv[1], Path(sys.argv[2]).resolve()
pages = sorted(p for p in folder.glob("**/*.html") if p.parent.name != "replay" or p.name != "index.html")
text = {p: p.read_text(encoding="utf-8") for p in folder.glob("**/*.html")}
problems = []


def links(page):
    return sorted(set(html.unescape(t) for t in re.findall(r'(?:href|src)="([^"]*)"', text[page])))


def check_links():
    for page in text:
        for link in links(page):
            name, _, anchor = link.partition("#")
            there = (page.parent / unquote(name)).resolve() if name else page
            is_scene = there.parent.name == "replay" and there.suffix == ".html" and there not in pages
            if re.match("[a-z]+:", link):
                continue
            if not there.is_file() or (anchor and not is_scene and f'id="{unquote(anchor)}"' not in text.get(there, "")
                                       and f'name="{anchor}"' not in text.get(there, "")):
                problems.append(f"{page.relative_to(folder)}: {link}")


def browser():
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service
    options = webdriver.ChromeOptions()
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
                     "--window-size=1280,720"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    return webdriver.Chrome(options=options, service=Service("/usr/bin/chromedriver"))


def complain(driver, where):
    problems.extend(f"{where}: {entry['message']}" for entry in driver.get_log("browser") if entry["level"] == "SEVERE")


def check_pages(driver):
    axe = Path("node_modules/axe-core/axe.js")
    if not axe.exists():
        print("axe-core is missing: make site-deps")
    for page in pages:
        driver.get(page.as_uri())
        complain(driver, page.relative_to(folder))
        # The programs are all alike.
        if axe.exists() and (page.suffixes != [".c", ".html"] or "ex4" in str(page)):
            for scheme in ("light", "dark"):
                driver.execute_cdp_cmd("Emulation.setEmulatedMedia",
                                       {"features": [{"name": "prefers-color-scheme", "value": scheme}]})
                driver.execute_script(axe.read_text(encoding="utf-8"))
                for found in driver.execute_async_script("axe.run({preload: false}).then(r => arguments[0](r.violations))"):
                    problems.append(f"{page.relative_to(folder)}, {scheme}: {found['id']}: {found['nodes'][0]['html'][:100]}")


def check_scenes(driver):
    scenes = {}
    for page in pages:
        scenes.update({link.rpartition("/")[2]: page for link in links(page) if re.search(r"replay/index\.html#", link)})
    for scene, page in sorted(scenes.items()):
        driver.get(page.as_uri())
        driver.execute_script("for (const d of document.querySelectorAll('details')) d.open = true")
        driver.find_element("css selector", f'main a[href$="{scene}"]').click()
        driver.switch_to.frame(driver.find_element("css selector", "#scene iframe"))
        shown = driver.execute_async_script("""const done = arguments[0]; let tries = 0;
            (function look() { const h = document.querySelector("h1");
              if (h && h.textContent || ++tries > 200) done(location.hash + " " + (h && h.textContent));
              else setTimeout(look, 20); })();""")
        if not shown.startswith("#" + scene.partition("#")[2]):
            problems.append(f"{page.relative_to(folder)}: {scene} shows {shown}")
        driver.switch_to.default_content()
        complain(driver, scene)
    if not scenes and (folder / "replay").exists():
        problems.append("no page has a link to a scene")


if what == "links":
    check_links()
else:
    driver = browser()
    driver.set_script_timeout(30)
    try:
        (check_pages if what == "pages" else check_scenes)(driver)
    finally:
        driver.quit()
print(*problems, sep="\n", end="\n" if problems else "")
sys.exit(1 if problems else 0)
