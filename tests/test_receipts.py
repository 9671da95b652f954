"""Receipts: what becomes of an event, for the one who asked."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest
from virtual import world

from togai_shipper import (
    Event,
    EventDropped,
    EventRejected,
    InvalidEvent,
    Outcome,
    PayloadTooLarge,
    QueueFull,
    Shipper,
    ShipperClosed,
)
from togai_shipper._engine.receipt import Receipt
from togai_shipper._engine.receipts import Receipts
from togai_shipper._engine.verdict import Reply
from togai_shipper._outcome import Delivered, Dropped
from togai_shipper.testing import FakeTogai, faults

Ship = Callable[..., Shipper]


def test_each_receipt_says_what_became_of_its_event(togai: FakeTogai, ship: Ship) -> None:
    def refuse_the_bad(received: Any) -> Any:
        return faults.Refuse(400, "no such schema") if "bad" in received.ids else None

    togai.on_request = refuse_the_bad
    shipper = ship()
    good = shipper.submit("api_call", "acme", {"count": 1})
    bad = shipper.submit("api_call", "acme", event_id="bad")
    for _ in range(20):
        shipper.track("api_call", "acme")

    delivered, rejected = good.result(10), bad.result(10)
    assert delivered == Outcome(delivered.event_id, "delivered")
    assert delivered
    assert togai.ledger.get(delivered.event_id).event["attributes"] == [{"name": "count", "value": "1"}]
    assert (rejected.event_id, rejected.status, bool(rejected)) == ("bad", "rejected", False)
    assert isinstance(rejected.error, EventRejected)
    assert rejected.error.message == "no such schema"


def test_an_event_that_is_known_already_is_delivered_as_a_duplicate(togai: FakeTogai, ship: Ship) -> None:
    togai.duplicate_reply = 409
    shipper = ship()

    first = shipper.submit("order", "acme", idempotency_key="7").result(10)
    again = shipper.submit("order", "acme", idempotency_key="7").result(10)

    assert (first.status, first.duplicate) == ("delivered", False)
    assert (again.status, again.duplicate) == ("delivered", True)
    assert first.event_id == again.event_id
    assert togai.ledger.metered == 1


def test_one_id_submitted_twice_has_two_receipts_and_both_are_answered(togai: FakeTogai, ship: Ship) -> None:
    shipper = ship(flush_interval=60)
    receipts = [shipper.submit("order", "acme", event_id="7") for _ in range(3)]
    assert shipper.flush(10)

    assert [receipt.result(10) for receipt in receipts] == [Outcome("7", "delivered")] * 3


def test_an_id_that_is_refused_here_and_accepted_there_has_as_many_outcomes_as_receipts(
    togai: FakeTogai, ship: Ship
) -> None:
    shipper = ship(max_queue_size=3, flush_interval=0.001)
    answered: list[Future[Outcome]] = []

    def work() -> None:
        answered.extend([shipper.submit("order", "acme", event_id="7") for _ in range(2000)])

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert shipper.close(20)

    counts = Counter(receipt.result(0).status for receipt in answered)
    assert counts == {"delivered": shipper.stats().delivered, "refused": shipper.stats().refused["full"]}


def test_what_is_not_accepted_says_so_at_once_and_why(togai: FakeTogai, ship: Ship) -> None:
    shipper = ship(max_queue_size=1, flush_interval=60)
    filtered = ship(before_send=lambda event: None).submit("a", "b")
    redacted = ship(before_send=lambda event: 1 / 0).submit("a", "b")
    disabled = Shipper(enabled=False).submit("a", "b", event_id="x")
    invalid = shipper.submit("a", "b", {"count": "many"})
    accepted = shipper.submit("a", "b")
    full = shipper.submit("a", "b", event_id="y")
    assert shipper.close(10)
    closed = shipper.submit("a", "b")

    refused = [receipt.result(0) for receipt in (filtered, redacted, disabled, invalid, full, closed)]
    assert {outcome.status for outcome in refused} == {"refused"}
    reasons = [outcome.reason for outcome in refused]
    assert reasons == ["filtered", "filtered", "disabled", "invalid", "full", "closed"]
    kinds = [type(outcome.error) for outcome in refused]
    assert kinds == [type(None), InvalidEvent, type(None), InvalidEvent, QueueFull, ShipperClosed]
    assert disabled.result().event_id == "x"
    assert accepted.result(0).status == "delivered"


def test_a_log_handler_that_submits_for_a_line_of_ours_is_refused(ship: Ship) -> None:
    shipper = ship(flush_interval=60)
    receipts: list[Future[Outcome]] = []

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            receipts.append(shipper.submit("log_line", "acme"))

    logger, handler = logging.getLogger("togai_shipper"), Handler()
    logger.addHandler(handler)
    shipper.track("", "acme")
    logger.removeHandler(handler)

    assert [receipt.result(0).reason for receipt in receipts] == ["feedback"]


def test_strict_and_raise_raise_and_leave_no_receipt_behind(togai: FakeTogai, ship: Ship) -> None:
    shipper = ship(strict=True, overflow="raise", max_queue_size=1, flush_interval=60)
    with pytest.raises(InvalidEvent):
        shipper.submit("a", "b", {"count": "many"})
    accepted = shipper.submit("a", "b", event_id="x")
    with pytest.raises(QueueFull):
        shipper.submit("a", "b", event_id="x")

    assert shipper.flush(10)
    assert accepted.result(10)
    assert shipper.submit("a", "b", event_id="x").done() is False  # and not answered by what was left


def test_a_receipt_is_answered_by_close_where_time_is_up(togai: FakeTogai, ship: Ship) -> None:
    togai.on_request = lambda received: faults.Hang()
    shipper = ship()
    receipt = shipper.submit("api_call", "acme")

    assert not shipper.close(0.2)
    outcome = receipt.result(0)
    assert (outcome.status, outcome.reason) == ("dropped", "closed")
    assert isinstance(outcome.error, EventDropped)


def test_close_says_pending_of_what_the_spool_keeps_and_the_next_process_delivers_it(
    togai: FakeTogai, ship: Ship, tmp_path: Path
) -> None:
    togai.on_request = lambda received: faults.Refuse(503)
    before = ship(spool=tmp_path)
    receipt = before.submit("api_call", "acme", event_id="x")
    assert before.sync(10)
    before.close(0.2)
    assert receipt.result(0) == Outcome("x", "pending")

    togai.on_request = None
    after = ship(spool=tmp_path)
    after.track("api_call", "acme", event_id="y")
    assert togai.wait(lambda: togai.ledger.ids == {"x", "y"})


def test_with_a_spool_a_receipt_is_found_though_the_event_went_by_disk_alone(
    togai: FakeTogai, ship: Ship, tmp_path: Path
) -> None:
    shipper = ship(spool=tmp_path, max_queue_size=3, overflow="block", block_timeout=20, flush_interval=60)
    receipts = [shipper.submit("api_call", "acme", event_id=f"{n}") for n in range(20)]

    assert shipper.flush(10)
    assert [receipt.result(0) for receipt in receipts] == [Outcome(f"{n}", "delivered") for n in range(20)]


def test_a_receipt_can_be_awaited_and_giving_up_on_it_recalls_nothing(togai: FakeTogai, ship: Ship) -> None:
    shipper = ship(flush_interval=60)

    async def main() -> Outcome:
        receipt = shipper.submit("api_call", "acme")
        awaited = asyncio.wrap_future(receipt)
        awaited.cancel()
        assert not receipt.cancelled()
        assert await shipper.aflush(10)
        return await asyncio.wrap_future(receipt)

    assert asyncio.run(main()).status == "delivered"
    assert togai.ledger.metered == 1


def test_what_a_receipts_callback_does_is_its_own_affair(
    togai: FakeTogai, ship: Ship, caplog: pytest.LogCaptureFixture
) -> None:
    shipper = ship(flush_interval=60)
    ends: list[object] = []
    first, second = shipper.submit("api_call", "acme"), shipper.submit("api_call", "acme")
    first.add_done_callback(lambda receipt: 1 / 0)
    second.add_done_callback(lambda receipt: ends.append(shipper.close(10)))  # does not wait for itself
    third = shipper.submit("api_call", "acme")

    shipper.flush(0)
    assert third.result(10)
    assert shipper.close(10)
    assert len(ends) == 1
    assert togai.ledger.metered == 3


def end_this_thread(receipt: Future[Outcome]) -> None:
    raise SystemExit(3)


def test_a_receipts_callback_that_ends_its_thread_holds_up_no_other_receipt(
    togai: FakeTogai, ship: Ship
) -> None:
    shipper = ship(flush_interval=60)
    receipts = [shipper.submit("api_call", "acme") for _ in range(3)]
    for given in receipts[:2]:
        given.add_done_callback(end_this_thread)

    shipper.flush(0)
    assert [receipt.result(10).status for receipt in receipts] == ["delivered"] * 3


def test_receipts_and_callbacks_are_called_at_close_though_one_ends_it() -> None:
    told: list[Exception] = []
    w = world([Reply(503)] * 1000, on_error=lambda error, events: told.append(error))
    receipts = [Receipt() for _ in range(3)]
    for number, held in enumerate(receipts):
        w.pipeline.put(Event("api_call", "acme", id=f"{number}").encode(), held, f"{number}")
    for held in receipts[:2]:
        held.add_done_callback(end_this_thread)

    with pytest.raises(SystemExit):
        w.pipeline.close(1)
    assert [held.result(0).status for held in receipts] == ["dropped"] * 3
    assert {type(error) for error in told} == {EventDropped}


def test_every_receipt_of_four_threads_is_answered_when_close_returns(togai: FakeTogai, ship: Ship) -> None:
    shipper = ship(flush_interval=60)
    answered: list[Future[Outcome]] = []

    def work() -> None:
        answered.extend([shipper.submit("api_call", "acme") for _ in range(200)])

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert shipper.close(20)

    assert {receipt.result(0).status for receipt in answered} == {"delivered"}
    assert {receipt.result(0).event_id for receipt in answered} == togai.ledger.ids
    assert togai.ledger.metered == 800


def test_a_receipt_that_is_waited_for_and_one_that_is_not_are_both_answered(
    togai: FakeTogai, ship: Ship
) -> None:
    shipper = ship(flush_interval=60)
    receipts = [shipper.submit("api_call", "acme") for _ in range(9)]
    told: list[Future[Outcome]] = []
    for given in receipts[::2]:
        given.add_done_callback(told.append)

    assert shipper.flush(10)
    assert [given.result(0).status for given in receipts] == ["delivered"] * 9
    assert set(told) == set(receipts[::2])


def test_an_event_too_large_for_togai_says_so(togai: FakeTogai, ship: Ship) -> None:
    togai.on_request = lambda received: faults.Refuse(413)
    receipt = ship().submit("api_call", "acme")

    assert isinstance(receipt.result(10).error, PayloadTooLarge)


def test_a_damaged_event_answers_no_receipt_and_hurts_nobody() -> None:
    receipts = Receipts()
    held = Receipt()
    receipts.expect("x", held)
    damaged = EventDropped(None, "corrupt", 0)

    receipts.record(Dropped([b"", b"\xff", b"{}", b"7"], "corrupt", damaged))
    receipts.record(Delivered([b'{"schemaName":"a","id":"of nobody"}']))
    assert not held.done()
    receipts.record(Delivered([b'{"schemaName":"a","id":"x"}']))
    assert held.result(0) == Outcome("x", "delivered")


def test_receipts_of_one_id_whose_events_stay_on_disk_are_all_pending() -> None:
    receipts = Receipts()
    held = [Receipt() for _ in range(3)]
    for each in held:
        receipts.expect("x", each)
    receipts.end_pending()

    assert [each.result(0) for each in held] == [Outcome("x", "pending")] * 3
