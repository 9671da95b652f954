"""A real Chromium, Debian's, that shows the sandbox's page."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from togai_shipper.testing import FakeTogai

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

CHROMIUM = shutil.which("chromium")


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("no chromium on the path")
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])  # root has no other
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Browser, togai: FakeTogai) -> Iterator[Page]:
    """The page of the sandbox; in the end it has said nothing in the console, and asked nobody else."""
    wrong: list[str] = []
    with browser.new_context(viewport={"width": 1280, "height": 900}, accept_downloads=True) as context:
        page = context.new_page()
        page.on(
            "console", lambda said: wrong.append(said.text) if said.type in ("error", "warning") else None
        )
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("dialog", lambda dialog: (wrong.append("a dialog"), dialog.dismiss()))
        page.on(
            "request",
            lambda made: None if made.url.startswith((togai.url, "data:")) else wrong.append(made.url),
        )
        page.goto(togai.url)
        yield page
    assert wrong == []
