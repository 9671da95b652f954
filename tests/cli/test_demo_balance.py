"""The balance ledger: it balances, or says why not."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest

from togai_shipper import Event, EventDropped, EventRejected, InvalidEvent, Stats
from togai_shipper.cli.demo.balance import Balance, ToldErrors, balance_of
from togai_shipper.cli.demo.report import as_json, show
from togai_shipper.cli.screen import Screen
from togai_shipper.testing import Answered, BillingLedger, Switches

WHY = "latency: there is no unit Fortnights (HTTP 400)"


def event(event_id: str) -> dict[str, Any]:
    return {
        "id": event_id,
        "schemaName": "api_call",
        "accountId": "acme",
        "timestamp": "2024-05-01T12:00:00Z",
        "attributes": [],
        "dimensions": {},
    }


def billed(*ids: str, **switches: Any) -> BillingLedger:
    ledger = BillingLedger(Switches(**switches))
    ledger.accept(map(event, ids))
    return ledger


def told(kind: type[EventRejected | EventDropped], event_id: str, status: int | None, why: str) -> ToldErrors:
    book = ToldErrors()
    book(kind(status, why), (Event("api_call", "acme", id=event_id),))
    return book


def answered(number: int, status: int | None, *ids: str) -> Answered:
    return Answered(
        at=0.0,
        method="POST",
        path="/ingestBatch",
        headers={},
        events=[],
        ids=ids,
        number=number,
        size=0,
        status=status,
    )


def text(balance: Balance, past: dict[str, int] | None = None) -> str:
    page = io.StringIO()
    show(Screen(file=page, width=80), balance, 1.5, past or {})
    return page.getvalue()


# --- reckoning --------------------------------------------------------------------------------------------


def test_it_balances_where_everything_is_billed_once() -> None:
    balance = balance_of(
        ["a", "b"], ToldErrors(), Stats(accepted=2, delivered=2), ledger=billed("a", "b"), requests=()
    )

    assert (balance.tracked, balance.delivered, balance.lost, balance.billed_twice) == (2, 2, 0, 0)
    assert balance.balances


def test_an_event_that_was_told_of_is_rejected_and_not_lost() -> None:
    book = told(EventRejected, "b", 400, "latency: there is no unit Fortnights")
    stats = Stats(accepted=2, delivered=1, rejected=1)

    balance = balance_of(["a", "b"], book, stats, ledger=billed("a"), requests=())

    assert balance.rejected == {WHY: 1}
    assert balance.lost == 0
    assert balance.balances


def test_an_event_that_is_neither_billed_nor_told_of_is_lost() -> None:
    balance = balance_of(
        ["a", "b"], ToldErrors(), Stats(accepted=2, delivered=2), ledger=billed("a"), requests=()
    )

    assert balance.problems == [
        "1 lost",
        "2 tracked are not 1 delivered + 0 rejected",
        "the library counts 2 delivered, not 1",
    ]


def test_an_event_billed_twice_is_seen() -> None:
    ledger = billed("a", "a", dedupe_window=0.0)

    balance = balance_of(["a"], ToldErrors(), Stats(accepted=1, delivered=1), ledger=ledger, requests=())

    assert balance.problems == ["1 billed twice"]


def test_a_copy_that_was_known_by_its_id_is_no_problem() -> None:
    balance = balance_of(
        ["a"], ToldErrors(), Stats(accepted=1, delivered=1), ledger=billed("a", "a"), requests=()
    )

    assert balance.copies == 1
    assert balance.balances


def test_an_event_given_up_is_a_problem_though_it_was_told() -> None:
    stats = Stats(accepted=2, delivered=1, dropped={"closed": 1})

    balance = balance_of(
        ["a", "b"], told(EventDropped, "b", None, "closed"), stats, ledger=billed("a"), requests=()
    )

    assert balance.dropped == {"closed": 1}
    assert balance.lost == 0
    assert balance.problems == ["1 given up", "2 tracked are not 1 delivered + 0 rejected"]


def test_an_event_told_of_as_rejected_must_not_be_billed() -> None:
    book = told(EventRejected, "a", 400, "no")

    balance = balance_of(["a"], book, Stats(accepted=1, delivered=1), ledger=billed("a"), requests=())

    assert balance.problems == ["1 reported as rejected, but billed"]


def test_a_call_that_was_not_accepted_is_a_problem() -> None:
    balance = balance_of(
        ["a", None], ToldErrors(), Stats(accepted=1, delivered=1), ledger=billed("a"), requests=()
    )

    assert balance.problems == ["1 not accepted"]


def test_requests_are_counted_by_their_replies_and_those_that_repeat_events_are_retries() -> None:
    requests = [
        answered(0, 503, "a", "b"),
        answered(1, 202, "a"),
        answered(2, None, "b"),
        answered(3, 202, "c"),
    ]

    balance = balance_of((), ToldErrors(), Stats(), ledger=billed(), requests=requests)

    assert balance.requests == {503: 1, 202: 2, None: 1}
    assert balance.retries == 2


def test_errors_that_end_no_event_leave_no_trace() -> None:
    book = ToldErrors()

    book(InvalidEvent("event", "must be an Event"), ())

    assert not book.rejected
    assert not book.dropped


# --- whether it balances ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("balance", "balances"),
    [
        (Balance(handed=2, tracked=2, delivered=2), True),
        (Balance(handed=2, tracked=2, delivered=1, rejected={"why": 1}), True),
        (Balance(handed=2, tracked=2, delivered=1, lost=1), False),
        (Balance(handed=2, tracked=2, delivered=2, billed_twice=1), False),
        (Balance(handed=2, tracked=2, delivered=1), False),
        (Balance(handed=2, tracked=2, delivered=2, disagreements=["the library counts otherwise"]), False),
    ],
)
def test_it_balances_only_if_every_event_is_accounted_for_once(balance: Balance, balances: bool) -> None:  # noqa: FBT001  a row's column
    assert balance.balances is balances


# --- shown ------------------------------------------------------------------------------------------------


def test_a_person_reads_what_was_tracked_and_what_became_of_it() -> None:
    balance = Balance(
        handed=40_000,
        tracked=40_000,
        delivered=39_999,
        rejected={WHY: 1},
        requests={None: 3, 503: 8, 202: 90},
        retries=20,
        copies=2_000,
    )

    shown = text(balance, {"503: Togai is down": 8})

    assert "tracked       40,000" in shown
    assert "delivered     39,999" in shown
    assert f"rejected           1  reason: {WHY}" in shown
    assert "lost               0" in shown
    assert "billed twice       0" in shown
    assert "requests         101  90 x 202, 8 x 503, 3 x no reply" in shown
    assert "8  503: Togai is down" in shown
    assert "It balances: 40,000 tracked = 39,999 delivered + 1 rejected, and stats() agrees." in shown


def test_a_person_reads_why_it_does_not_balance() -> None:
    shown = text(Balance(handed=3, tracked=3, delivered=1, lost=1, dropped={"closed": 1}))

    assert "rejected      0" in shown
    assert "given up      1  reason: closed" in shown
    assert "It does not balance: 1 given up; 1 lost; 3 tracked are not 1 delivered" in shown
    assert "What went wrong" not in shown


def test_brackets_in_a_reason_are_shown_as_they_are() -> None:
    shown = text(Balance(handed=1, tracked=1, delivered=0, rejected={"events[0].attributes[/]: no": 1}))

    assert "events[0].attributes[/]: no" in shown


def test_a_program_reads_the_same() -> None:
    balance = Balance(handed=2, tracked=2, delivered=2, requests={202: 1, None: 1})

    facts = json.loads(json.dumps(as_json(balance, 1.23456)))

    assert facts["tracked"] == 2
    assert facts["requests"] == {"202": 1, "no reply": 1}
    assert facts["seconds"] == 1.235
    assert facts["balances"] is True
