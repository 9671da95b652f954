"""When flush() and close() return, what they waited for has been told; unless the code that is told hangs."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from virtual import world

from togai_shipper import EventDropped, FlushReport, Shipper
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
