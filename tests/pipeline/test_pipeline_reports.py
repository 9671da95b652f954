"""What the counts, the callbacks, the log and the health tell of delivery, in virtual time."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from server_replies import LOST, POISON, THROTTLED, UNAVAILABLE
from virtual import OK, Sent, world

from togai_shipper._engine.verdict import Reply


def test_requests_that_are_over_are_counted_by_status_with_the_seconds_they_took() -> None:
    w = world([UNAVAILABLE, LOST, THROTTLED, MemoryError("in the transport")])
    w.put(3)

    assert w.pipeline.flush(60)
    stats = w.pipeline.health.stats()
    assert stats.replies == {503: 1, None: 2, 429: 1, 202: 1}
    assert stats.request_seconds == pytest.approx(0.05)
    assert stats.requests == 5


def test_a_request_on_the_wire_has_no_reply_yet() -> None:
    w = world()
    seen = []

    def answer(sent: Sent) -> Reply:
        seen.append(w.pipeline.health.stats())
        return OK

    w.server.answer = answer
    w.put(1)
    w.pipeline.close(10)
    assert [(stats.requests, stats.replies) for stats in seen] == [(1, {})]


def test_callbacks_that_raise_are_logged_and_lose_nothing(caplog: pytest.LogCaptureFixture) -> None:
    def broken(*_: Any) -> None:
        raise ValueError("in a callback")

    w = world([OK, POISON], on_delivered=broken, on_error=broken)
    w.put(1)
    assert w.pipeline.flush(10)
    w.put(1)

    assert w.pipeline.flush(10).rejected == 1
    assert "on_delivered raised" in caplog.text
    assert "on_error raised" in caplog.text


def test_delivered_events_are_told_after_they_were_counted() -> None:
    told: list[Any] = []
    w = world(on_delivered=lambda events: told.append((events, w.pipeline.health.stats().delivered)))
    ids = w.put(3)
    w.pipeline.flush(1)

    [(events, delivered)] = told
    assert [event.id for event in events] == ids
    assert delivered == 3


def test_failing_delivery_is_logged_after_ten_seconds_and_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    w = world()
    w.server.answer = lambda sent: UNAVAILABLE
    w.put(5)
    w.pipeline.flush(9)
    assert caplog.text == ""
    w.pipeline.flush(200)

    lines = [record.getMessage() for record in caplog.records if "delivery has failed" in record.getMessage()]
    assert len(lines) == 1
    assert "5 events wait" in lines[0]
    assert {record.levelno for record in caplog.records} == {logging.WARNING}


def test_health_is_lost_after_a_minute_of_failed_attempts_alone() -> None:
    w = world()
    w.server.answer = lambda sent: UNAVAILABLE
    w.put(5)
    w.pipeline.flush(50)
    assert w.pipeline.health.complaint() is None
    w.pipeline.flush(40)

    assert "every attempt of the last minute failed" in str(w.pipeline.health.complaint())
    w.server.answer = lambda sent: OK
    w.pipeline.flush(40)
    assert w.pipeline.health.complaint() is None


def test_health_is_lost_for_a_minute_after_an_event_found_no_room() -> None:
    w = world(max_queue_size=5)
    w.server.answer = lambda sent: UNAVAILABLE
    w.put(5)
    w.pipeline.flush(3)
    for reason in ("invalid", "disabled"):
        w.pipeline.refuse(reason)
    assert w.pipeline.health.complaint() is None, "other refusals are the caller's own"
    w.pipeline.refuse("full")

    said = "the buffer is full, and 1 event was refused: HTTP 503, a page that is not Togai's"
    assert w.pipeline.health.complaint() == w.pipeline.health.stats().last_error == said
    w.server.answer = lambda sent: OK
    w.clock.now += 59
    assert "the buffer is full" in str(w.pipeline.health.complaint())
    w.pipeline.flush(20)
    w.clock.now += 2
    assert w.pipeline.health.complaint() is None


def test_health_is_lost_when_the_oldest_event_has_waited_for_five_minutes() -> None:
    w = world()
    w.put(1)
    w.clock.now += 301

    assert "the oldest pending event waits" in str(w.pipeline.health.complaint())
    assert w.pipeline.health.stats().oldest_pending_age == pytest.approx(301, abs=0.1)


def test_the_age_of_the_oldest_event_is_known_to_a_tenth_of_a_second() -> None:
    w = world(batch_size=10)
    for _ in range(30):
        w.put(1)
        w.clock.now += 0.03
    w.server.answer = lambda sent: UNAVAILABLE if len(w.server.sent) > 1 else OK
    w.pipeline.flush(0.01)

    oldest_left = 1000 + 10 * 0.03
    assert w.pipeline.health.stats().oldest_pending_age == pytest.approx(w.clock.now - oldest_left, abs=0.101)


def test_a_long_pause_after_a_single_failure_is_told_while_it_lasts(caplog: pytest.LogCaptureFixture) -> None:
    w = world([Reply(429, b"", retry_after=300.0)])
    w.put(5)
    begun = w.clock.now
    w.pipeline.flush(20)

    assert w.clock.now - begun == 20
    assert len(w.server.sent) == 1
    assert "delivery has failed for 10 s" in caplog.text
