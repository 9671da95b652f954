"""The façade: what goes in, what is refused, what the application is told."""

from __future__ import annotations

import asyncio
import copy
import gc
import logging
import os
import pickle
import subprocess
import sys
import threading
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import attrs
import pytest

from togai_shipper import (
    Attribute,
    ConfigurationError,
    Event,
    FlushReport,
    InvalidEvent,
    QueueFull,
    Shipper,
    ShipperClosed,
)
from togai_shipper.testing import FakeTogai, faults

Ship = Callable[..., Shipper]


class Told(list[Any]):
    """What ``on_error`` was called with."""

    def __call__(self, error: Exception, events: tuple[Event, ...]) -> None:
        self.append((error, events))


def unused(**options: Any) -> Shipper:
    """A shipper whose first batch would go in an hour."""
    return Shipper("secret", **{"base_url": "http://127.0.0.1:1", "flush_interval": 3600, **options})


def test_an_event_arrives_as_it_was_given(togai: FakeTogai, ship: Ship) -> None:
    shipper = ship()
    event_id = shipper.track(
        "api_call",
        "acme",
        {"count": 1, "latency": (12.5, "Milliseconds"), "price": Decimal("0.10"), "tiny": 1e-7},
        {"region": "eu-west-1"},
        timestamp="2026-01-31T23:59:59.9999+01:00",
    )
    assert shipper.flush(10)

    assert togai.ledger.get(event_id).event == {
        "schemaName": "api_call",
        "id": event_id,
        "timestamp": "2026-01-31T22:59:59.999Z",
        "accountId": "acme",
        "attributes": [
            {"name": "count", "value": "1"},
            {"name": "latency", "value": "12.5", "unit": "Milliseconds"},
            {"name": "price", "value": "0.10"},
            {"name": "tiny", "value": "0.0000001"},
        ],
        "dimensions": {"region": "eu-west-1"},
    }


def test_making_one_starts_nothing_and_asks_nobody() -> None:
    before = threading.active_count()
    shipper = Shipper("secret", base_url="http://127.0.0.1:1", session_factory=lambda: pytest.fail("asked"))

    assert threading.active_count() == before
    assert shipper.stats().requests == 0
    assert shipper.close() == FlushReport()


def test_what_the_caller_changes_after_the_call_changes_nothing(togai: FakeTogai, ship: Ship) -> None:
    shipper = ship()
    attributes = {"count": 1}
    event_id = shipper.track("api_call", "acme", attributes)
    attributes["count"] = 1000
    shipper.flush(10)

    assert togai.ledger.get(event_id).event["attributes"] == [{"name": "count", "value": "1"}]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("", "acme"), "schema_name: must have 1 to 50 characters"),
        (("x" * 51, "acme"), "1 to 50 characters, not 51"),
        ((None, "acme"), "1 to 50 characters, not NoneType"),
        (("api_call", ""), "account_id: must have 1 to 512 characters"),
        (("api_call", "acme", {"n": True}), "attributes['n']: must be a number, not bool"),
        (("api_call", "acme", {"n": float("nan")}), "attributes['n']: must be finite (float)"),
        (("api_call", "acme", {"n": object()}), "attributes['n']: must be a number, not object"),
        (("api_call", "acme", {}, {"d": 5}), "1 to 200 characters, not int"),
        (("api_call", "acme", {}, {"d": "\ud800"}), "surrogate"),
    ],
)
def test_an_invalid_event_is_counted_told_and_logged_and_all_others_are_untouched(
    togai: FakeTogai, ship: Ship, caplog: pytest.LogCaptureFixture, arguments: Any, says: str
) -> None:
    told = Told()
    shipper = ship(on_error=told)
    good = shipper.track("api_call", "acme")

    assert shipper.track(*arguments) is None
    assert shipper.track(*arguments) is None

    assert shipper.flush(10)
    assert togai.ledger.get(good).metered == 1
    stats = shipper.stats()
    assert (stats.accepted, stats.refused["invalid"]) == (1, 2)
    (error, events), _ = told
    assert isinstance(error, InvalidEvent)
    assert says in str(error)
    assert error.given[: len(arguments)] == arguments
    assert events == ()
    assert len([record for record in caplog.records if says in record.getMessage()]) == 1


def test_strict_raises_in_the_caller_and_counts() -> None:
    told = Told()
    shipper = unused(strict=True, on_error=told)
    with pytest.raises(InvalidEvent, match="with a zone"):
        shipper.track("api_call", "acme", timestamp="2026-01-31T23:59:59")

    assert shipper.stats().refused["invalid"] == 1
    assert told == []


def test_whatever_the_callers_objects_raise_is_an_invalid_event() -> None:
    class Hostile(dict[str, int]):
        def items(self) -> Any:
            raise ZeroDivisionError

    told = Told()
    assert unused(on_error=told).track("api_call", "acme", Hostile(n=1)) is None
    [(error, _)] = told
    assert isinstance(error, InvalidEvent)
    assert isinstance(error.__cause__, ZeroDivisionError)


def test_an_event_larger_than_a_body_may_be_is_invalid() -> None:
    told = Told()
    shipper = unused(max_batch_bytes=2000, on_error=told)

    assert shipper.track("api_call", "acme", {}, {f"d{n}": "x" * 200 for n in range(10)}) is None
    assert "max_batch_bytes" in str(told[0][0])


def test_event_id_and_idempotency_key_exclude_each_other() -> None:
    told = Told()
    assert unused(on_error=told).track("api_call", "acme", event_id="a", idempotency_key="b") is None
    assert "exclude each other" in str(told[0][0])


def test_an_empty_idempotency_key_is_invalid_for_it_would_bill_every_order_once() -> None:
    told = Told()
    assert unused(on_error=told).track("api_call", "acme", idempotency_key="") is None
    assert "idempotency_key: must not be empty" in str(told[0][0])


def test_an_idempotency_key_gives_the_same_id_for_ever() -> None:
    shipper = unused(enabled=False)
    first, again, other = (
        shipper.track("job", account, idempotency_key="order-7/1") for account in ("acme", "acme", "zeta")
    )

    assert first == again != other


def test_an_event_that_was_built_before_is_tracked_under_its_own_id(togai: FakeTogai, ship: Ship) -> None:
    shipper = ship()
    event = Event("api_call", "acme", [Attribute("count", 3, "Calls")], {"region": "eu"})

    assert shipper.track_event(event) == event.id
    assert shipper.flush(10)
    assert togai.ledger.get(event.id).event["attributes"] == [
        {"name": "count", "value": "3", "unit": "Calls"}
    ]


def test_something_else_than_an_event_is_invalid() -> None:
    told = Told()
    assert unused(on_error=told).track_event({"schema_name": "api_call"}) is None  # type: ignore[arg-type]  # the point
    assert "must be an Event, not dict" in str(told[0][0])


# --- before_send -----------------------------------------------------------------------------------------


def test_before_send_may_redact_an_event(togai: FakeTogai, ship: Ship) -> None:
    shipper = ship(before_send=lambda event: attrs.evolve(event, dimensions={"user": "redacted"}))
    event_id = shipper.track("api_call", "acme", {"n": 1}, {"user": "jane"})
    kept = shipper.track("api_call", "acme", event_id="mine")
    shipper.flush(10)

    assert togai.ledger.get(event_id).event["dimensions"] == {"user": "redacted"}
    assert kept == "mine"


def test_before_send_may_leave_an_event_as_it_is_or_give_it_another_id(togai: FakeTogai, ship: Ship) -> None:
    assert ship(before_send=lambda event: event).track("api_call", "acme", event_id="mine") == "mine"
    assert (
        ship(before_send=lambda event: attrs.evolve(event, id="other")).track("api_call", "acme") == "other"
    )


def test_before_send_may_drop_an_event() -> None:
    told = Told()
    shipper = unused(before_send=lambda event: None, on_error=told)

    assert shipper.track("api_call", "acme") is None
    assert (shipper.stats().refused["filtered"], shipper.stats().accepted, told) == (1, 0, [])


@pytest.mark.parametrize(
    "hook", [lambda event: 1 / 0, lambda event: {"not": "an event"}], ids=["raises", "returns"]
)
def test_what_before_send_cannot_redact_is_not_sent(hook: Any) -> None:
    told = Told()
    shipper = unused(before_send=hook, on_error=told)

    assert shipper.track("api_call", "acme") is None
    assert (shipper.stats().refused["filtered"], shipper.stats().accepted) == (1, 0)
    assert "before_send" in str(told[0][0])


# --- a full buffer ----------------------------------------------------------------------------------------


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


# --- closed and disabled ------------------------------------------------------------------------------------


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


# --- a thing with a life ------------------------------------------------------------------------------------


def test_a_shipper_can_be_neither_pickled_nor_copied() -> None:
    shipper = unused()
    for attempt in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="neither pickled nor copied"):
            attempt(shipper)


def test_a_shipper_that_is_collected_unclosed_warns_and_delivers(togai: FakeTogai) -> None:
    shipper = Shipper("secret", base_url=togai.url, flush_interval=0.05)
    event_id = shipper.track("api_call", "acme")
    with pytest.warns(ResourceWarning, match="unclosed <Shipper open: 1 pending"):  # noqa: PT031  collected here or there
        del shipper
        gc.collect()

    assert togai.wait(lambda: event_id in togai.ledger.ids)


def test_its_repr_tells_how_it_stands(togai: FakeTogai, ship: Ship) -> None:
    shipper = ship()
    assert repr(shipper) == "<Shipper open: 0 pending, 0 delivered, 0 rejected, 0 dropped>"
    shipper.track("api_call", "acme")
    shipper.close()

    assert repr(shipper) == "<Shipper closed: 0 pending, 1 delivered, 0 rejected, 0 dropped>"


def test_a_bad_new_key_is_refused_and_the_one_in_use_stays(togai: FakeTogai, ship: Ship) -> None:
    shipper = ship()
    with pytest.raises(ConfigurationError, match="api_key"):
        shipper.set_api_key("with blank")
    shipper.set_api_key(lambda: "secret")
    shipper.track("api_call", "acme")

    assert shipper.flush(10)


# --- records of our own doing
# --------------------------------------------------------------------------------


def test_log_records_of_our_own_requests_do_not_come_back_as_events(togai: FakeTogai, ship: Ship) -> None:
    shipper = ship()

    class Meter(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            shipper.track("log_line", "acme", {"n": 1}, {"logger": record.name})

    root, meter = logging.getLogger(), Meter()
    level = root.level
    root.addHandler(meter)
    root.setLevel(logging.DEBUG)
    try:
        event_id = shipper.track("api_call", "acme")
        shipper.track("", "acme")  # refused, and that is logged
        assert shipper.flush(10)
        shipper.close()
    finally:
        root.removeHandler(meter)
        root.setLevel(level)

    assert shipper.stats().refused["feedback"] >= 2
    assert togai.ledger.ids == {event_id}


# --- the default shipper
# -------------------------------------------------------------------------------------


DEFAULT = """
import togai_shipper

first = togai_shipper.track("api_call", "acme", {"n": 1})
assert togai_shipper.flush(10)
assert togai_shipper.stats().delivered == 1
assert togai_shipper.close(10)
assert togai_shipper.track("api_call", "acme") is None
togai_shipper.configure()
print(first, togai_shipper.track("api_call", "acme"))
togai_shipper.configure(enabled=False)  # closes the one before
"""


def test_the_default_shipper_is_made_from_the_environment_at_its_first_use(togai: FakeTogai) -> None:
    environment = {**os.environ, "TOGAI_API_KEY": "secret", "TOGAI_BASE_URL": togai.url}
    said = subprocess.check_output([sys.executable, "-c", DEFAULT], env=environment, text=True, timeout=60)

    assert togai.ledger.lost(said.split()) == set()
    assert togai.ledger.metered == 2


def test_a_log_handler_that_tracks_events_or_closes_does_not_come_back_to_itself(
    togai: FakeTogai, ship: Ship
) -> None:
    shipper = ship(flush_interval=60)
    shipper.track("api_call", "acme")

    class Closing(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            shipper.track_event(Event("log_line", "acme"))
            shipper.close(0)  # has to say that it gave up an event, and comes here again

    logger, handler = logging.getLogger("togai_shipper"), Closing()
    logger.addHandler(handler)
    try:
        shipper.track("", "acme")
    finally:
        logger.removeHandler(handler)

    stats = shipper.stats()
    assert (stats.refused["feedback"], stats.dropped) == (2, {"closed": 1})


def test_a_timeout_is_a_number(ship: Ship) -> None:
    with pytest.raises(ValueError, match="timeout"):
        ship().flush(float("nan"))


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
