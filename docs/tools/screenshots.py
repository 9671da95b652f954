"""Takes pictures of every page in headless Chromium, wide and narrow, light and dark, and says what is wrong.

``pip install playwright``, a Chromium on the path (or ``playwright install chromium``), then: ``python
docs/tools/screenshots.py FOLDER``. It builds the site into ``site``. The pictures are in the folder. Exit
status 1 where a page asks for anything from elsewhere, misses a file, says something in the console, or is
wider than the screen.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, sync_playwright

SCREENS = {"wide": (1280, 900, "light"), "narrow": (390, 844, "dark")}


class Quiet(SimpleHTTPRequestHandler):
    """Serves files, and says nothing."""

    def log_message(self, *_: Any) -> None:
        """Nothing."""


def main(folder: Path) -> int:
    """Build, take pictures, tell."""
    site = Path("site")
    for command in ([sys.executable, "docs/tools/pages.py"], ["zensical", "build", "--strict"]):
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)  # noqa: S603  ours
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(site)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    home = f"http://127.0.0.1:{server.server_port}/"
    wrong = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        for screen, (width, height, colors) in SCREENS.items():
            context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=colors)
            for path in sorted(site.rglob("*.html")):
                name = str(path.relative_to(site))
                with context.new_page() as page:
                    wrong += [f"{screen} {name}: {what}" for what in look(page, home, name)]
                    picture = name.removesuffix(".html").replace("/", "-") + ".png"
                    page.screenshot(path=folder / screen / picture, full_page=True)
        browser.close()
    print(*wrong, f"{len(wrong)} things are wrong; the pictures are in {folder}", sep="\n")  # noqa: T201  its result
    return 1 if wrong else 0


def look(page: Page, home: str, name: str) -> Iterator[str]:
    """What is wrong with a page."""
    ours = (home, "data:", "blob:")
    heard: list[str] = []
    page.on("console", lambda said: heard.append(said.text) if said.type == "error" else None)
    page.on("pageerror", lambda error: heard.append(str(error)))
    page.on("request", lambda asked: heard.append(asked.url) if not asked.url.startswith(ours) else None)
    page.goto(home + name, wait_until="networkidle")
    yield from heard
    if page.evaluate("[...document.images].some(image => !image.naturalWidth)"):
        yield "an image is missing"
    if page.evaluate("document.documentElement.scrollWidth > window.innerWidth"):
        yield "wider than the screen"


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
