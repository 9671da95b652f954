"""A receipt is a future of the standard library to all who use one."""

from __future__ import annotations

import asyncio
import copy
import pickle
import threading
import time
from concurrent.futures import Future, TimeoutError, as_completed, wait  # noqa: A004  3.10 has its own

import pytest

from togai_shipper import Outcome
from togai_shipper._engine.receipt import Receipt

DELIVERED = Outcome("x", "delivered")


def settle(receipt: Receipt) -> None:
    if not receipt.settle_unseen(DELIVERED):
        receipt.set_result(DELIVERED)


def test_a_receipt_is_running_until_it_is_settled_and_cannot_be_cancelled() -> None:
    receipt = Receipt()

    assert isinstance(receipt, Future)
    assert (receipt.running(), receipt.done(), receipt.cancel(), receipt.cancelled()) == (
        True,
        False,
        False,
        False,
    )
    with pytest.raises(TimeoutError):
        receipt.result(0)


def test_a_receipt_that_nobody_has_asked_is_settled_without_running_anybodys_code() -> None:
    receipt, told = Receipt(), []

    assert receipt.settle_unseen(DELIVERED)
    assert (receipt.done(), receipt.running(), receipt.cancel()) == (True, False, False)
    assert (receipt.result(0), receipt.exception(0)) == (DELIVERED, None)
    receipt.add_done_callback(told.append)
    assert told == [receipt]
    assert wait([receipt], 0).done == {receipt}
    assert list(as_completed([receipt], 0)) == [receipt]
    assert "finished" in repr(receipt)


def test_a_receipt_with_a_callback_is_left_to_who_may_run_it() -> None:
    receipt, told = Receipt(), []
    receipt.add_done_callback(told.append)

    assert not receipt.settle_unseen(DELIVERED)
    assert (told, receipt.done()) == ([], False)
    receipt.set_result(DELIVERED)
    assert (told, receipt.result(0)) == ([receipt], DELIVERED)


def test_a_receipt_may_be_made_with_its_outcome() -> None:
    refused = Outcome(None, "refused", "full")

    assert Receipt(refused).result(0) is refused


def test_a_receipt_can_be_copied_as_little_as_a_future_that_somebody_waits_for() -> None:
    for receipt in (Receipt(), Receipt(DELIVERED)):
        for make in (copy.copy, copy.deepcopy, pickle.dumps):
            with pytest.raises(TypeError, match="cannot be copied"):
                make(receipt)


def test_who_waits_for_a_receipt_already_is_woken_once_it_is_settled() -> None:
    receipt, seen = Receipt(), []
    waiter = threading.Thread(target=lambda: seen.append(wait([receipt], 60).done))
    waiter.start()
    while not receipt._waiters:  # noqa: SLF001  the standard library's own: somebody waits
        time.sleep(0.001)  # between looks at what rings for nobody

    receipt.settle_watched(DELIVERED)

    waiter.join()
    assert seen == [{receipt}]


def test_who_waits_for_many_receipts_sees_each_once_while_they_are_settled() -> None:
    receipts = [Receipt() for _ in range(2000)]
    seen: list[list[Future[Outcome]]] = []
    threads = [
        threading.Thread(target=lambda: seen.append(list(as_completed(receipts, 60)))),
        threading.Thread(target=lambda: seen.append([*wait(receipts, 60).done])),
        threading.Thread(target=lambda: seen.append([each for each in receipts if each.result(60)])),
        threading.Thread(target=lambda: [settle(each) for each in receipts]),
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert [len(each) for each in seen] == [2000] * 3
    assert all(set(each) == set(receipts) for each in seen)


def test_a_receipt_can_be_awaited() -> None:
    async def main() -> Outcome:
        receipt = Receipt()
        threading.Thread(target=settle, args=(receipt,)).start()
        return await asyncio.wrap_future(receipt)

    assert asyncio.run(main()) is DELIVERED


def test_a_receipt_has_no_attributes_that_a_future_has_not() -> None:
    with pytest.raises(AttributeError, match="outcome"):
        _ = Receipt().outcome
