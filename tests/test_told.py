"""When flush() and close() return, what they waited for has been told; unless the code that is told hangs."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from virtual import Clock, World, world

from togai_shipper import Event, EventDropped, FlushReport, Shipper
from togai_shipper._engine.verdict import Reply
from togai_shipper.testing import FakeTogai, faults

Ship = Callable[..., Shipper]
SOON = 2.5  # seconds within which a call returns that waits one second for a callback that hangs


class Gate:
    """A callback that returns when it is let go, and notes that it has."""

    def __init__(self) -> None:
        self.entered, self.let_go = threading.Event(), threading.Event()
        self.returned = 0

    def __call__(self, *_: Any) -> None:
        self.entered.set()
        self.let_go.wait(60)
        self.returned += 1


@pytest.fixture
def hanging() -> Iterator[Gate]:
    """A callback that hangs until the test is over."""
    gate = Gate()
    yield gate
    gate.let_go.set()


def seconds(call: Callable[[], object]) -> float:
    began = time.monotonic()
    call()
    return time.monotonic() - began


def called_back(gate: Gate) -> dict[str, Any]:
    return {"on_delivered": gate, "on_error": gate}


@pytest.mark.parametrize("call", ["flush", "close"])
@pytest.mark.parametrize("kind", ["delivered", "rejected", "receipt"])
def test_the_callbacks_have_returned(togai: FakeTogai, ship: Ship, call: str, kind: str) -> None:
    slow = Gate()
    shipper = ship(**({} if kind == "receipt" else called_back(slow)))
    if kind == "rejected":
        togai.poison(lambda event: True)
    receipt = shipper.submit("api_call", "acme")
    if kind == "receipt":
        receipt.add_done_callback(slow)
    late = threading.Timer(0.3, slow.let_go.set)
    late.start()

    report = getattr(shipper, call)(10)

    assert (report.pending, slow.returned) == (0, 1)
    late.join()


@pytest.mark.parametrize("call", ["flush", "close"])
@pytest.mark.parametrize("kind", ["delivered", "receipt"])
def test_a_callback_that_hangs_keeps_nobody_for_more_than_a_second(
    togai: FakeTogai, ship: Ship, call: str, kind: str, hanging: Gate
) -> None:
    shipper = ship(**({} if kind == "receipt" else called_back(hanging)))
    receipt = shipper.submit("api_call", "acme")
    if kind == "receipt":
        receipt.add_done_callback(hanging)
    reports: list[FlushReport] = []

    assert seconds(lambda: reports.append(getattr(shipper, call)(30))) < SOON
    assert reports == [FlushReport(delivered=1)]


def test_a_flush_waits_for_a_callback_no_longer_than_its_own_deadline(
    togai: FakeTogai, ship: Ship, hanging: Gate
) -> None:
    shipper = ship(on_delivered=hanging)
    shipper.track("api_call", "acme")

    assert seconds(lambda: shipper.flush(0.3)) < 0.8


def test_a_flush_does_not_wait_for_a_callback_of_events_before_its_own(
    togai: FakeTogai, ship: Ship, hanging: Gate
) -> None:
    told: list[Any] = []
    shipper = ship(on_delivered=lambda events: told.append(events) if hanging.entered.is_set() else hanging())
    shipper.track("api_call", "acme")
    assert hanging.entered.wait(10)
    shipper.track("api_call", "acme")

    assert seconds(lambda: shipper.flush(30)) < 0.9
    assert len(told) == 1


def test_a_flush_inside_a_callback_does_not_wait_for_that_callback(togai: FakeTogai, ship: Ship) -> None:
    took: list[float] = []
    shipper = ship(on_error=lambda *_: took.append(seconds(lambda: shipper.flush(5))))
    togai.poison(lambda event: True)
    shipper.track("api_call", "acme")
    shipper.flush(10)
    shipper.track("", "acme")  # invalid: on_error is called in track()

    assert len(took) == 2
    assert max(took) < 0.9


@pytest.mark.parametrize("flushes", [1, 0])
def test_a_receipts_callback_that_hangs_hides_no_other_outcome(
    ship: Ship, hanging: Gate, flushes: int, caplog: pytest.LogCaptureFixture
) -> None:
    told: list[Any] = []
    options: dict[str, Any] = {"flush_interval": 60, "single_ingest_limit": 0}
    shipper = ship(on_delivered=lambda events: told.append(len(events)), **options)
    receipts = [shipper.submit("api_call", "acme") for _ in range(4)]
    receipts[0].add_done_callback(hanging)
    receipts[1].add_done_callback(hanging)
    receipts[2].add_done_callback(lambda receipt: told.append(receipt.result(0).status))
    for _ in range(flushes):
        shipper.flush(5)
        assert hanging.entered.is_set()

    assert shipper.close(5)
    assert [receipt.result(0).status for receipt in receipts] == ["delivered"] * 4
    assert sorted(map(str, told)) == ["4", "delivered"]
    lines = [record.getMessage() for record in caplog.records]
    assert "1 call of a receipt's callback not made, with 1 event: an earlier one has not returned" in lines
    assert "1 call of a receipt's callback has not returned, and close() waits no longer" in lines


def test_what_close_tells_last_of_keeps_it_for_a_second_at_most(
    togai: FakeTogai, ship: Ship, hanging: Gate
) -> None:
    togai.on_request = lambda received: faults.Refuse(503)
    shipper = ship(on_error=hanging)
    shipper.track("api_call", "acme")

    assert seconds(lambda: shipper.close(0.5)) < 0.5 + SOON
    assert hanging.entered.is_set()


def test_what_close_tells_last_of_is_told_on_this_thread_where_no_other_can_be_started() -> None:
    def refuse(*_: Any) -> None:
        raise RuntimeError("can't start new thread")

    told: list[int] = []
    w = world(on_error=lambda error, events: told.append(threading.get_ident()), thread=refuse)
    w.server.answer = lambda sent: Reply(503)
    w.put(1)
    w.pipeline.close(1)

    assert told == [threading.get_ident()]


def test_no_flusher_makes_the_last_calls_which_close_waits_for() -> None:
    told: list[Exception] = []
    w = world(on_error=lambda error, events: told.append(error))
    given_up = EventDropped(None, "closed", 1, maybe_delivered=False)
    w.pipeline.callbacks.keep_for_last([(given_up, [])])

    assert not w.pipeline.callbacks.make_deferred()
    assert told == []
    w.pipeline.close(1)
    assert told == [given_up]


def test_what_a_last_callback_raises_comes_out_of_close(togai: FakeTogai, ship: Ship) -> None:
    def leave(*_: Any) -> None:
        raise SystemExit(3)

    togai.on_request = lambda received: faults.Refuse(503)
    shipper = ship(on_error=leave)
    shipper.track("api_call", "acme")

    with pytest.raises(SystemExit):
        shipper.close(0.5)
    assert shipper.stats().state == "closed"


def undeliverable(count: int, answer: int = 503, **options: Any) -> World:
    """A world in which ``count`` events are pending, and all is answered with that status."""
    w = world(**options)
    w.server.answer = lambda sent: Reply(answer)
    w.put(count)
    return w


class Slow(list[int]):
    """An ``on_error`` that takes its time, by a clock that is set later; it notes how many events it got."""

    clock: Clock

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self._seconds = seconds

    def __call__(self, error: Exception, events: tuple[Event, ...]) -> None:
        assert all(isinstance(event, Event) for event in events)
        self.append(len(events))
        self.clock.now += self._seconds


def test_a_call_of_on_error_is_given_500_events_at_most() -> None:
    told = Slow(0.0)
    w = undeliverable(1200, on_error=told)
    told.clock = w.clock
    w.pipeline.close(1)

    assert sum(told) == 1200
    assert max(told) == 500


def test_what_close_has_no_time_to_tell_is_counted_and_said_in_one_line(
    caplog: pytest.LogCaptureFixture,
) -> None:
    told = Slow(0.2)
    w = undeliverable(5000, on_error=told)
    told.clock = w.clock
    begun = w.clock.now

    assert w.pipeline.close(1) == FlushReport(dropped=5000)
    assert w.clock.now - begun < 2
    assert told == [500, 500, 500]
    lines = [record.getMessage() for record in caplog.records if "on_error" in record.getMessage()]
    assert lines == [
        "7 calls of on_error not made, with 3500 events: close() has no more time for them",
    ]


def test_what_is_given_up_before_the_deadline_is_told_until_the_deadline(
    caplog: pytest.LogCaptureFixture,
) -> None:
    told = Slow(0.5)
    w = undeliverable(5000, answer=401, on_error=told, single_ingest_limit=0)
    told.clock = w.clock
    begun = w.clock.now
    w.pipeline.close(30)

    assert w.clock.now - begun < 10
    assert sum(told) == 5000
    assert "not made" not in caplog.text


def test_who_gives_up_at_once_does_not_tell_until_a_deadline_that_is_far_away(
    caplog: pytest.LogCaptureFixture,
) -> None:
    told = Slow(0.2)
    w = undeliverable(5000, on_error=told)
    told.clock = w.clock
    w.pipeline.begin_closing(60)
    begun = w.clock.now
    w.pipeline.give_up()

    assert w.clock.now - begun < 1
    assert told == [500, 500, 500]
    assert "7 calls of on_error not made, with 3500 events" in caplog.text


def test_what_close_has_yet_to_tell_is_not_told_behind_a_call_that_hangs(
    togai: FakeTogai, ship: Ship, hanging: Gate, caplog: pytest.LogCaptureFixture
) -> None:
    togai.on_request = lambda received: faults.Refuse(503)
    shipper = ship(on_error=hanging)
    for _ in range(1200):
        shipper.track("api_call", "acme")

    assert seconds(lambda: shipper.close(0.5)) < 0.5 + SOON
    assert "of on_error not made, with " in caplog.text
    assert "events: close() has no more time for them" in caplog.text


def test_close_waits_for_calls_that_go_on_for_as_long_as_it_has_time(
    togai: FakeTogai, ship: Ship, caplog: pytest.LogCaptureFixture
) -> None:
    told: list[int] = []
    togai.script(*[faults.Refuse(401)] * 10)

    def slowly(error: Exception, events: tuple[Event, ...]) -> None:
        if events:
            threading.Event().wait(0.2)
            told.append(len(events))

    shipper = ship(on_error=slowly)
    for _ in range(4000):
        shipper.track("api_call", "acme")
    shipper.close(30)

    assert sum(told) == 4000
    assert "not made" not in caplog.text
