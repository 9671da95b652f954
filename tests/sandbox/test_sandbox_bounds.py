"""What the sandbox keeps, and what stays exact when it forgets."""

from __future__ import annotations

import time

import requests
from bare_client import batch, event, get, single

from togai_shipper.sandbox.bill import MOST_ROWS, MOST_SUMS, Bill, BillRow
from togai_shipper.sandbox.ledger import BillingLedger
from togai_shipper.sandbox.switches import Switches
from togai_shipper.testing import FakeTogai, faults


def test_an_event_that_is_no_longer_kept_whole_is_still_billed_once(
    togai: FakeTogai, session: requests.Session
) -> None:
    togai.event_history = 2
    batch(session, togai, event("a"), event(None), event("b"))
    batch(session, togai, event("a"), event("a"), event("c"))

    assert [record.event.get("id") for record in togai.ledger.records] == ["a", "c"]
    assert (togai.ledger.accepted, togai.ledger.metered, togai.ledger.duplicates) == (6, 3, 2)
    assert togai.ledger.billed_twice == togai.ledger.lost(["a", "b", "c"]) == set()
    assert togai.ledger.get("b").metered == 1
    assert togai.ledger.get("b").event is None


def test_requests_are_kept_until_their_events_are_too_many(
    togai: FakeTogai, session: requests.Session
) -> None:
    togai.event_history = 3
    batch(session, togai, event("a"), event("b"))
    batch(session, togai, event("c"))
    batch(session, togai, event("d"))

    assert [request.ids for request in togai.requests] == [("c",), ("d",)]

    batch(session, togai, *(event(f"{n}") for n in range(9)))
    assert [len(request.ids) for request in togai.requests] == [9]


def test_an_id_that_is_forgotten_counts_as_new(togai: FakeTogai, session: requests.Session) -> None:
    togai.id_history = 2
    for event_id in ("a", "b", "a", "c", "a"):
        single(session, togai, event(event_id))

    assert (togai.ledger.metered, togai.ledger.duplicates) == (4, 1)
    assert togai.ledger.totals.forgotten == 2


def test_ids_that_are_forgotten_before_they_are_accepted_are_accepted(
    togai: FakeTogai, session: requests.Session
) -> None:
    togai.id_history = 1
    batch(session, togai, event("a"), event("b"))

    assert togai.ledger.metered == 2


def test_pages_of_a_list_go_on_though_the_ledger_forgets(togai: FakeTogai, session: requests.Session) -> None:
    togai.event_history, togai.list_order = 4, "received"
    batch(session, togai, *(event(f"e-{n}") for n in range(4)))
    first = get(session, togai, "/events", pageSize=2).json()
    batch(session, togai, event("e-4"))
    second = get(session, togai, "/events", nextToken=first["nextToken"]).json()

    assert [each["eventPayload"]["id"] for each in second["events"]] == ["e-2", "e-3", "e-4"]


def test_an_event_is_undelivered_until_it_is_accepted_or_refused_for_good(
    togai: FakeTogai, session: requests.Session
) -> None:
    def counts() -> tuple[int, int, int]:
        totals = togai.ledger.totals
        return totals.undelivered, totals.refused, totals.billed

    togai.script(faults.Refuse(503), faults.Throttle(), faults.Refuse(400), faults.Refuse(503))
    for _ in range(2):
        batch(session, togai, event("a"), event("b"))
        assert counts() == (2, 0, 0)
    batch(session, togai, event("a"), event("b"))
    assert counts() == (0, 2, 0)
    single(session, togai, event("b"))
    assert counts() == (1, 1, 0)
    single(session, togai, event("b"))
    assert counts() == (0, 1, 1)

    togai.script(faults.Refuse(400, ingest="all"), faults.Refuse(400))
    single(session, togai, event("a"))
    single(session, togai, event("a"))
    assert counts() == (0, 0, 2)


def test_a_request_is_joined_to_the_one_that_it_repeats(togai: FakeTogai, session: requests.Session) -> None:
    togai.script(faults.Refuse(503), faults.Refuse(503))
    batch(session, togai, event("a"), event("b"))
    batch(session, togai, event("new"), event("b"), event("b"))
    batch(session, togai, event("a"))

    assert [request.repeats for request in togai.requests] == [None, 0, 0]


def test_a_bill_adds_up_each_attribute_by_account_and_schema(
    togai: FakeTogai, session: requests.Session
) -> None:
    def counted(event_id: str, value: str, account: str = "acme") -> dict[str, object]:
        attributes = [{"name": "ms", "value": value, "unit": "ms"}, {"name": "n", "value": "1"}]
        return event(event_id, accountId=account, attributes=attributes)

    long = f"{10**500}.5"
    batch(session, togai, counted("a", "0.1"), counted("b", long), counted("c", "-3", "other"))
    single(session, togai, counted("a", "7"))

    assert togai.ledger.bill == [
        BillRow("acme", "api_call", 2, (("ms", "ms", f"{10**500}.6"), ("n", "", "2"))),
        BillRow("other", "api_call", 1, (("ms", "ms", "-3"), ("n", "", "1"))),
    ]


def test_a_bill_has_a_last_row_for_all_further_accounts() -> None:
    bill = Bill()
    for number in range(MOST_ROWS + 2):
        bill.add(event(accountId=f"{number}"))

    rows = bill.rows()
    assert (len(rows), rows[-1]) == (MOST_ROWS + 1, BillRow(None, None, 2, (("count", "", "2"),)))


def test_a_row_of_the_bill_has_a_bounded_number_of_sums() -> None:
    bill = Bill()
    for number in range(MOST_SUMS + 5):
        bill.add(event(attributes=[{"name": f"{number}", "value": "1"}]))

    assert len(bill.rows()[0].sums) == MOST_SUMS

    bill.remove(event(attributes=[{"name": f"{MOST_SUMS}", "value": "1"}]))
    assert bill.rows()[0].events == MOST_SUMS + 4
    assert {value for _, _, value in bill.rows()[0].sums} == {"1"}


def test_an_event_costs_no_more_once_the_oldest_ids_are_forgotten() -> None:
    most, events = 100_000, 50_000

    def seconds_for(ledger: BillingLedger, begin: int) -> float:
        start = time.thread_time()
        for number in range(begin, begin + events):
            ledger.receive((str(number),), number)
        return time.thread_time() - start

    ledger = BillingLedger(Switches(id_history=most))
    remembered = min(seconds_for(ledger, number) for number in range(0, most, events))
    assert ledger.totals.forgotten == 0
    assert seconds_for(ledger, most) < 5 * remembered
    assert ledger.totals.forgotten == events
