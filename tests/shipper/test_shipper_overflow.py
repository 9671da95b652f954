"""What a full buffer does to the caller and to the event."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest
from shippers import Ship, Told, unused

from togai_shipper import (
    QueueFull,
)
from togai_shipper.testing import FakeTogai


def test_a_full_buffer_refuses_the_new_event_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    told = Told()
    shipper = unused(max_queue_size=2, on_error=told)

    assert [bool(shipper.track("api_call", "acme")) for _ in range(4)] == [True, True, False, False]
    stats = shipper.stats()
    assert (stats.accepted, stats.pending, stats.refused["full"]) == (2, 2, 2)
    error, events = told[0]
    assert isinstance(error, QueueFull)
    assert (error.given.schema_name, events) == ("api_call", ())
    shipper.close(0)


def test_a_full_buffer_is_one_that_is_full_in_bytes_too() -> None:
    shipper = unused(max_queue_bytes=500)
    accepted = [shipper.track("api_call", "acme") for _ in range(10)]

    assert 0 < len([event_id for event_id in accepted if event_id]) < 5
    shipper.close(0)


def test_overflow_raise_raises_in_the_caller() -> None:
    shipper = unused(max_queue_size=1, overflow="raise")
    shipper.track("api_call", "acme")
    with pytest.raises(QueueFull):
        shipper.track("api_call", "acme")

    assert shipper.stats().refused["full"] == 1
    shipper.close(0)


def test_overflow_block_waits_for_room(togai: FakeTogai, ship: Ship) -> None:
    shipper = ship(max_queue_size=5, overflow="block", block_timeout=30, batch_size=5)
    ids = [shipper.track("api_call", "acme") for _ in range(50)]

    assert all(ids)
    assert shipper.flush(10)
    assert togai.ledger.metered == 50


def test_overflow_block_gives_up_after_block_timeout() -> None:
    shipper = unused(max_queue_size=1, overflow="block", block_timeout=0.05)
    shipper.track("api_call", "acme")

    assert shipper.track("api_call", "acme") is None
    assert shipper.stats().refused["full"] == 1
    shipper.close(0)


def test_overflow_block_never_blocks_an_event_loop() -> None:
    shipper = unused(max_queue_size=1, overflow="block", block_timeout=3600)

    async def track_two() -> list[str | None]:
        return [shipper.track("api_call", "acme"), shipper.track("api_call", "acme")]

    first, second = asyncio.run(track_two())
    assert first
    assert second is None
    shipper.close(0)


def test_overflow_block_never_blocks_a_flusher(togai: FakeTogai, ship: Ship) -> None:
    inside: list[Any] = []

    def fill(events: Any) -> None:
        inside.extend(shipper.track("again", "acme") for _ in range(9))

    shipper = ship(max_queue_size=5, overflow="block", block_timeout=3600, on_delivered=fill)
    shipper.track("api_call", "acme")
    shipper.close(10)

    assert None in inside


def test_many_threads_that_wait_for_little_room_all_get_in(togai: FakeTogai, ship: Ship) -> None:
    shipper = ship(max_queue_size=1, batch_size=1, overflow="block", block_timeout=60)
    ids: list[str | None] = []
    threads = [
        threading.Thread(target=lambda: ids.extend(shipper.track("api_call", "acme") for _ in range(20)))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert all(ids)
    assert shipper.flush(10)
    assert togai.ledger.metered == 160
