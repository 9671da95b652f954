"""The sandbox's page in a real Chromium: what a user sees of what their application sends."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from togai_shipper import Shipper
from togai_shipper.testing import FakeTogai, faults

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.browser
Ship = Callable[..., Shipper]
IMG = "<img src=x onerror=alert(1)>"


def sees(page: Page, selector: str, text: str) -> None:
    """Wait until an element has this text."""
    page.locator(selector, has_text=text).first.wait_for(timeout=10_000)


def wait_for_count(page: Page, selector: str, number: int) -> None:
    page.wait_for_function(
        "([selector, number]) => document.querySelectorAll(selector).length === number",
        arg=[selector, number],
    )


def test_events_appear_as_they_come_with_what_became_of_them(
    page: Page, togai: FakeTogai, ship: Ship
) -> None:
    togai.schemas = ["api_call"]
    shipper = ship()
    shipper.track("api_call", "acme", {"count": 7}, event_id="mine")
    shipper.track("unheard_of", "acme")

    sees(page, "#events-table tr", "✓ billed")
    sees(page, "#events-table tr", "no schema named 'unheard_of'")
    sees(page, "#bill-table tr", "count 7")
    assert page.inner_text("#billed_twice") == page.inner_text("#undelivered") == "0"


def test_what_strangers_wrote_is_text(page: Page, togai: FakeTogai, ship: Ship) -> None:
    ship().track(IMG, IMG, {IMG: (1, IMG)}, {IMG: IMG}, event_id=IMG)

    page.locator("#events-table .open").first.click()

    sees(page, "#opened-json", IMG)
    sees(page, "#bill-table", IMG)
    assert page.locator("img").count() == 0  # the fixture has seen no dialog, either


def test_an_opened_event_shows_every_copy_and_escape_closes_it(
    page: Page, togai: FakeTogai, ship: Ship
) -> None:
    togai.script(faults.Html(502, ingest="all"))
    ship().track("api_call", "acme", event_id="e-1")
    wait_for_count(page, "#requests-table tbody tr", 2)
    sees(page, "#requests-table tr.again", "↻ 0")

    page.locator("#events-table .open").first.focus()
    page.keyboard.press("Enter")

    wait_for_count(page, "#opened-copies li", 2)
    sees(page, "#opened-counts", "2 came, 2 accepted, 1 billed")
    page.keyboard.press("Escape")
    page.locator("#opened").wait_for(state="hidden")


def test_down_shows_what_is_not_delivered_until_it_is_off_again(
    page: Page, togai: FakeTogai, ship: Ship
) -> None:
    down = page.get_by_role("button", name="Down")
    down.click()
    sees(page, "#fault-state", "on: Down")
    ship().track("api_call", "acme")
    sees(page, "#undelivered", "1")

    assert down.get_attribute("aria-pressed") == "true"
    down.click()
    sees(page, "#undelivered", "0")
    sees(page, "#billed", "1")


def test_poison_is_refused_and_the_others_are_delivered(page: Page, togai: FakeTogai, ship: Ship) -> None:
    page.get_by_label("Poison what matches").fill("bad one")
    page.keyboard.press("Enter")
    sees(page, "#poisons", "“bad one”")
    shipper = ship(flush_interval=5)
    for event_id in ("a", "bad one", "c"):
        shipper.track("api_call", "acme", event_id=event_id)
    shipper.flush(10)

    sees(page, "#billed", "2")
    sees(page, "#refused", "1")


def test_a_filter_shows_what_matches_and_an_export_holds_it(
    page: Page, togai: FakeTogai, ship: Ship, tmp_path: Path
) -> None:
    shipper = ship()
    for account in ("acme", "globex", "acme"):
        shipper.track("api_call", account)
    wait_for_count(page, "#events-table tbody tr", 3)

    page.get_by_label("Filter events").fill("globex")
    wait_for_count(page, "#events-table tbody tr", 1)
    with page.expect_download() as download:
        page.get_by_role("link", name="Export").click()
    download.value.save_as(tmp_path / "file")
    assert (tmp_path / "file").read_text("utf-8").count("\n") == 1


def test_pause_and_clear(page: Page, togai: FakeTogai, ship: Ship) -> None:
    shipper = ship()
    shipper.track("api_call", "acme")
    wait_for_count(page, "#events-table tbody tr", 1)
    page.get_by_role("button", name="Pause").click()
    sees(page, "#connection", "paused")
    shipper.track("api_call", "acme")
    shipper.flush(10)
    assert page.locator("#events-table tbody tr").count() == 1

    page.get_by_role("button", name="Go on").click()
    wait_for_count(page, "#events-table tbody tr", 2)
    page.get_by_role("button", name="Clear").click()
    wait_for_count(page, "#events-table tbody tr", 0)
    assert togai.ledger.accepted == 0


def test_a_new_filter_ends_a_pause(page: Page, togai: FakeTogai, ship: Ship) -> None:
    pause = page.locator("#pause")
    pause.click()
    sees(page, "#connection", "paused")

    page.get_by_label("Filter events").fill("acme")
    sees(page, "#connection", "live")
    assert (pause.inner_text(), pause.get_attribute("aria-pressed")) == ("Pause", "false")

    ship().track("api_call", "acme")
    wait_for_count(page, "#events-table tbody tr", 1)
    pause.click()
    sees(page, "#connection", "paused")


def test_207_brings_the_refused_event_again_alone_and_it_is_billed_once(
    page: Page, togai: FakeTogai, ship: Ship
) -> None:
    page.get_by_role("button", name="207", exact=True).click()
    sees(page, "#fault-state", "on: 207")
    shipper = ship(flush_interval=60)
    for _ in range(10):
        shipper.track("api_call", "acme")

    assert shipper.flush(10).delivered == 10
    assert [request.status for request in togai.requests] == [207, 202]
    sees(page, "#billed", "10")
    sees(page, "#billed_twice", "0")


@pytest.mark.parametrize("width", [360, 768, 1280])
def test_nothing_is_wider_than_the_screen(page: Page, togai: FakeTogai, ship: Ship, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 800})
    ship().track("s" * 50, "a" * 500, {"n" * 50: 10**40}, event_id="i" * 50)
    wait_for_count(page, "#events-table tbody tr", 1)

    too_wide = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert page.evaluate(too_wide) == 0


def test_a_page_of_another_origin_neither_posts_nor_reads_nor_drives_faults(
    browser: Browser, togai: FakeTogai
) -> None:
    attack = """async (url) => {
      const results = [];
      const event = {id: "x", schemaName: "s", accountId: "a", timestamp: "2026-01-01T00:00:00Z",
                     attributes: [], dimensions: {}};
      for (const [path, init] of [
        ["/ingest", {method: "POST", mode: "no-cors", body: JSON.stringify({event})}],
        ["/page/clear", {method: "POST", mode: "no-cors", body: "{}"}],
        ["/page/faults", {method: "POST", body: "{}", headers: {"X-Sandbox-Page": "1"}}],
        ["/page/event?request=0&index=0", {}], ["/page/export", {}], ["/", {}],
      ]) {
        try {
          const reply = await fetch(url + path, init);
          results.push(reply.type === "opaque" ? "" : await reply.text());
        } catch { results.push(""); }
      }
      return results;
    }"""
    ledger: Any = togai.ledger
    with FakeTogai(port=0) as other, browser.new_context(bypass_csp=True) as context:
        page = context.new_page()
        page.goto(other.url)
        assert page.evaluate(attack, togai.url) == [""] * 6
    assert (ledger.accepted, togai.requests) == (0, ())
