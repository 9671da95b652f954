"""What the sandbox's ledger says of what was sent, over HTTP."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest
import requests

from togai_shipper import testing
from togai_shipper.testing import Entry, FakeTogai, faults

if TYPE_CHECKING:
    from manual_clock import ManualClock

from bare_client import DAY, DUPLICATE, INVALID_LICENSE, METERED, batch, event, get, single

# --- ids --------------------------------------------------------------------------------------------------


def test_an_accepted_event_is_metered_once(togai: FakeTogai, session: requests.Session) -> None:
    single(session, togai, event())

    assert togai.ledger.get("e-1") == Entry(
        receipts=1, accepted=1, metered=1, statuses=(METERED,), event=event(), altered=0
    )
    assert togai.ledger.get("unheard-of") == Entry(0, 0, 0, (), None, 0)
    assert repr(togai.ledger) == "<BillingLedger [1 ids, 1 accepted, 1 metered]>"


def test_a_repeated_id_is_accepted_recorded_as_a_duplicate_and_not_metered(
    togai: FakeTogai, session: requests.Session
) -> None:
    assert single(session, togai, event()).status_code == 202
    assert batch(session, togai, event()).status_code == 202

    assert togai.ledger.get("e-1") == Entry(2, 2, 1, (METERED, DUPLICATE), event(), 0)
    assert (len(togai.ledger), togai.ledger.accepted, togai.ledger.metered, togai.ledger.duplicates) == (
        1,
        2,
        1,
        1,
    )
    assert togai.ledger.billed_twice == set()


def test_an_id_repeated_inside_one_batch_is_metered_once(togai: FakeTogai, session: requests.Session) -> None:
    batch(session, togai, event("a"), event("b"), event("a"))

    assert togai.ledger.get("a").statuses == (METERED, DUPLICATE)
    assert togai.ledger.metered == 2


def test_a_changed_event_under_a_known_id_changes_nothing_and_shows(
    togai: FakeTogai, session: requests.Session
) -> None:
    single(session, togai, event())
    single(session, togai, event(accountId="other"))

    entry = togai.ledger.get("e-1")
    assert entry.event == event()
    assert entry.altered == 1


def test_an_id_is_remembered_for_45_days_from_when_it_was_taken(
    togai: FakeTogai, session: requests.Session, clock: ManualClock
) -> None:
    single(session, togai, event())
    clock.now += 45 * DAY - 1
    single(session, togai, event())
    assert togai.ledger.billed_twice == set()

    clock.now += 1
    single(session, togai, event())
    assert togai.ledger.get("e-1").statuses == (METERED, DUPLICATE, METERED)
    assert togai.ledger.billed_twice == {"e-1"}

    clock.now += 44 * DAY
    single(session, togai, event())
    assert togai.ledger.get("e-1").metered == 2


def test_an_id_can_be_remembered_for_ever(
    togai: FakeTogai, session: requests.Session, clock: ManualClock
) -> None:
    togai.dedupe_window = None
    single(session, togai, event())
    clock.now += 10_000 * DAY
    single(session, togai, event())

    assert togai.ledger.metered == 1


def test_an_id_is_one_event_whatever_its_account_and_schema(
    togai: FakeTogai, session: requests.Session
) -> None:
    batch(session, togai, event(), event(accountId="other"), event(schemaName="mail"))

    assert togai.ledger.metered == 1


def test_what_is_lost_is_told_from_what_is_billed(togai: FakeTogai, session: requests.Session) -> None:
    togai.script(faults.Refuse(503), faults.Refuse(503, ingest="all"))
    single(session, togai, event("lost"))
    single(session, togai, event("kept"))

    assert togai.ledger.lost(["lost", "kept", "never sent"]) == {"lost", "never sent"}
    assert togai.ledger.ids == {"kept"}
    assert togai.ledger.get("lost") == Entry(1, 0, 0, (), None, 0)


def test_events_without_an_id_are_accepted_and_fail(togai: FakeTogai, session: requests.Session) -> None:
    assert batch(session, togai, event(None), event(None)).status_code == 202

    assert [record.status for record in togai.ledger.records] == ["INGESTION_FAILED_NO_EVENT_ID"] * 2
    assert (len(togai.ledger), togai.ledger.accepted, togai.ledger.metered) == (0, 2, 0)


def test_a_repeat_can_be_answered_409_or_400_and_then_nothing_of_the_request_is_taken(
    togai: FakeTogai, session: requests.Session
) -> None:
    togai.duplicate_reply = 409
    assert single(session, togai, event("a")).status_code == 202

    refused = batch(session, togai, event("b"), event("a"), event("c"))
    assert refused.status_code == 409
    assert refused.json() == {"message": "duplicate event id: it was ingested before"}
    assert single(session, togai, event("a")).status_code == 409
    togai.duplicate_reply = 400
    assert batch(session, togai, event("b"), event("b")).status_code == 400
    assert (togai.ledger.accepted, togai.ledger.get("b").receipts) == (1, 3)

    assert batch(session, togai, event("b"), event("c"), event(None), event(None)).status_code == 202


def test_a_repeat_can_be_answered_207_and_is_then_the_only_one_named(
    togai: FakeTogai, session: requests.Session
) -> None:
    togai.duplicate_reply, togai.partial_shape = 207, "details"
    single(session, togai, event("a"))

    reply = batch(session, togai, event("b"), event("a"))

    assert reply.status_code == 207
    assert reply.json() == {
        "success": False,
        "statusCode": 207,
        "name": "PartialFailure",
        "message": "duplicate event id: it was ingested before",
        "details": {
            "errors": [{"message": "duplicate event id: it was ingested before", "eventPayload": event("a")}]
        },
    }
    assert togai.ledger.get("a").statuses == (METERED, DUPLICATE)
    assert togai.ledger.get("b").statuses == (METERED,)


def test_clear_forgets_ledger_and_requests(togai: FakeTogai, session: requests.Session) -> None:
    single(session, togai, event())
    single(session, togai, event())
    togai.clear()
    assert (len(togai.ledger), togai.ledger.accepted, togai.ledger.duplicates, togai.requests) == (
        0,
        0,
        0,
        (),
    )

    single(session, togai, event())
    assert togai.ledger.metered == 1
    assert [request.number for request in togai.requests] == [0]


def test_the_ledger_may_be_read_from_any_thread_while_it_is_written(
    togai: FakeTogai, session: requests.Session
) -> None:
    failures = []

    def read() -> None:
        try:
            while togai.ledger.metered < 2000:
                assert togai.ledger.lost(togai.ledger.ids) == set()
        except Exception as failure:
            failures.append(failure)

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    for start in range(0, 2000, 100):
        batch(session, togai, *(event(f"e-{n}") for n in range(start, start + 100)))
    for reader in readers:
        reader.join(10)

    assert failures == []


def test_the_ledger_s_older_name_still_works() -> None:
    assert testing.Ledger is testing.BillingLedger


# --- what becomes of an event after the 202 ---------------------------------------------------------------


def test_unknown_schemas_and_accounts_fail_after_they_were_accepted(
    togai: FakeTogai, session: requests.Session
) -> None:
    togai.schemas, togai.accounts = {"api_call"}, {"acme"}

    assert (
        batch(session, togai, event("a"), event("b", schemaName="x"), event("c", accountId="y")).status_code
        == 202
    )

    assert togai.ledger.get("a").statuses == (METERED,)
    assert togai.ledger.get("b").statuses == ("INGESTION_FAILED_SCHEMA_NOT_DEFINED",)
    assert togai.ledger.get("c").statuses == ("INGESTION_FAILED_ACCOUNT_NOT_FOUND",)
    assert togai.ledger.metered == 1


def test_a_failed_event_keeps_its_id(togai: FakeTogai, session: requests.Session) -> None:
    togai.accounts = set()
    single(session, togai, event())
    togai.accounts = None
    single(session, togai, event())

    assert togai.ledger.get("e-1").statuses == ("INGESTION_FAILED_ACCOUNT_NOT_FOUND", DUPLICATE)
    assert togai.ledger.lost(["e-1"]) == {"e-1"}


def test_an_event_without_what_its_schema_needs_fails(togai: FakeTogai, session: requests.Session) -> None:
    togai.schemas = {"api_call": ("count", "region")}

    batch(session, togai, event("a"), event("b", attributes=[]), event("c", dimensions={}))

    assert togai.ledger.get("a").statuses == (METERED,)
    assert togai.ledger.get("b").statuses == togai.ledger.get("c").statuses == ("INGESTION_FAILED",)


@pytest.mark.parametrize(
    ("schema", "attribute", "dimensions", "status"),
    [
        ("togai-usage", ("usage", "5"), ("usage_meter_id",), METERED),
        ("togai-usage", ("use", "5"), ("usage_meter_id",), "INGESTION_FAILED_SCHEMA_NOT_DEFINED"),
        ("togai-named-license", ("action", "-1"), ("license_id", "name"), METERED),
        ("togai-named-license", ("action", "2"), ("license_id", "name"), INVALID_LICENSE),
        ("togai-named-license", ("action", "1"), ("license_id",), INVALID_LICENSE),
    ],
)
def test_the_predefined_schemas_need_no_definition_and_have_needs_of_their_own(
    *, togai: FakeTogai, session: requests.Session, schema: str, attribute: Any, dimensions: Any, status: str
) -> None:
    togai.schemas = ()
    attributes = [dict(zip(("name", "value"), attribute, strict=True))]

    single(
        session,
        togai,
        event(schemaName=schema, attributes=attributes, dimensions=dict.fromkeys(dimensions, "x")),
    )

    assert togai.ledger.get("e-1").statuses == (status,)


def test_an_event_counts_until_its_month_and_the_grace_period_are_over(
    togai: FakeTogai, session: requests.Session, clock: ManualClock
) -> None:
    togai.grace_period = 2 * DAY
    clock.now += 2 * DAY
    single(session, togai, event("in time"))
    clock.now += 1
    batch(
        session,
        togai,
        event("late"),
        event("next month", timestamp="2024-01-01T00:00:00Z"),
        event("first", timestamp="0001-01-01T00:00:00+01:00"),
        event("last", timestamp="9999-12-31T23:59:59Z"),
    )

    clock.now += DAY / 2
    single(session, togai, event("this month in UTC", timestamp="2023-12-31T23:59:59-01:00"))

    assert togai.ledger.ids - togai.ledger.lost(togai.ledger.ids) == {
        "in time",
        "next month",
        "this month in UTC",
        "last",
    }
    assert togai.ledger.get("late").statuses == ("INGESTION_FAILED_PAST_GRACE_PERIOD",)


def test_a_record_is_in_progress_until_it_settles(
    togai: FakeTogai, session: requests.Session, clock: ManualClock
) -> None:
    togai.settle_after = 60.0
    single(session, togai, event())
    assert togai.ledger.get("e-1").statuses == ("INGESTION_IN_PROGRESS",)
    assert get(session, togai, "/events/e-1").json()["events"][0]["ingestionStatus"] == {
        "status": "INGESTION_IN_PROGRESS",
        "statusDescription": "Event ingestion is in progress",
    }

    clock.now += 60.0
    assert togai.ledger.get("e-1").statuses == (METERED,)
