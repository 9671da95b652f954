"""A shipper that is closed, disabled, or closed by its own callbacks."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from shippers import Ship, Told, unused

from togai_shipper import (
    Event,
    FlushReport,
    Shipper,
    ShipperClosed,
)
from togai_shipper.testing import FakeTogai, faults


def test_track_after_close_is_refused_and_told(caplog: pytest.LogCaptureFixture) -> None:
    told = Told()
    shipper = unused(on_error=told)
    shipper.close()

    assert shipper.track("api_call", "acme") is None
    assert (shipper.stats().refused["closed"], shipper.stats().state) == (1, "closed")
    assert isinstance(told[0][0], ShipperClosed)
    assert "after close()" in caplog.text


def test_a_disabled_shipper_checks_its_events_and_sends_nothing() -> None:
    shipper = Shipper(enabled=False)

    assert shipper.track("api_call", "acme", {"n": 1})
    assert shipper.track("", "acme") is None
    stats = shipper.stats()
    assert (stats.accepted, stats.refused["disabled"], stats.refused["invalid"]) == (0, 1, 1)
    assert shipper.flush()
    assert shipper.close()
    assert shipper.healthy


def test_a_second_close_waits_for_the_first_and_returns_its_report(togai: FakeTogai, ship: Ship) -> None:
    togai.script(faults.Slow(0.3))
    shipper = ship()
    for _ in range(10):
        shipper.track("api_call", "acme")
    reports: list[FlushReport] = []
    threads = [threading.Thread(target=lambda: reports.append(shipper.close(10))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert reports == [FlushReport(delivered=10)] * 4


def test_flush_and_close_inside_a_callback_do_not_wait(togai: FakeTogai, ship: Ship) -> None:
    reports: list[FlushReport] = []

    def end(events: Any) -> None:
        reports.extend((shipper.flush(60), shipper.close(60)))

    shipper = ship(on_delivered=end, batch_size=1, max_in_flight=1)
    first, second = shipper.track("api_call", "acme"), shipper.track("api_call", "acme")

    assert shipper.flush(10)
    assert shipper.close(10)
    assert reports[0].pending == 1
    assert togai.ledger.lost([first, second]) == set()


def test_a_callback_may_close_the_shipper_for_good(togai: FakeTogai, ship: Ship) -> None:
    closed = threading.Event()

    def end(events: Any) -> None:
        shipper.close(60)
        closed.set()

    shipper = ship(on_delivered=end, batch_size=2)
    ids = [shipper.track("api_call", "acme") for _ in range(3)]
    assert closed.wait(10)

    assert shipper.close(10)
    assert shipper.stats().state == "closed"
    assert togai.ledger.lost([event_id for event_id in ids if event_id]) == set()


def test_a_callback_may_track(togai: FakeTogai, ship: Ship) -> None:
    again: list[str | None] = []

    def more(events: tuple[Event, ...]) -> None:
        if events[0].schema_name == "api_call":
            again.append(shipper.track("follow_up", "acme"))

    shipper = ship(on_delivered=more)
    shipper.track("api_call", "acme")

    assert togai.wait(lambda: togai.ledger.metered == 2)
    assert togai.ledger.get(again[0]).metered == 1


def test_a_with_block_delivers_what_is_pending(togai: FakeTogai, ship: Ship) -> None:
    with ship(flush_interval=60) as shipper:
        event_id = shipper.track("api_call", "acme")

    assert togai.ledger.get(event_id).metered == 1
