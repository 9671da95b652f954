"""``POST /events/correction`` of the sandbox: what it undoes, what it ingests again, and what it refuses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import requests
from bare_client import DAY, DUPLICATE, METERED, batch, event, get, single

from togai_shipper.testing import FakeTogai, faults

if TYPE_CHECKING:
    from manual_clock import ManualClock

ACCOUNT_NOT_FOUND = "INGESTION_FAILED_ACCOUNT_NOT_FOUND"
REVERTED = "REVERTED"


def correct(
    session: requests.Session, togai: FakeTogai, action: str = "UNDO", body: Any = None, **query: Any
) -> requests.Response:
    parameters = {"action": action, "account_id": "acme"} | query
    return session.post(togai.url + "/events/correction", params=parameters, json=body, timeout=10)


def done(reply: requests.Response) -> list[tuple[str, str]]:
    """Of each event: what was done, and why."""
    assert reply.status_code == 200, reply.text
    return [(each["status"], each["reason"]) for each in reply.json()["data"]]


def test_undo_takes_an_event_off_the_bill_and_shows_what_it_was(
    togai: FakeTogai, session: requests.Session
) -> None:
    single(session, togai, event())

    reply = correct(session, togai, event_id="e-1")

    assert reply.json() == {
        "data": [
            {
                "referenceId": "event.000000000001",
                "eventPayload": event(),
                "ingestionStatus": {
                    "status": METERED,
                    "statusDescription": "Ingestion completed successfully",
                },
                "createdAt": "2024-01-01T00:00:00.000Z",
                "status": "REVERTED",
                "reason": "Event Reverted",
            }
        ]
    }
    assert (togai.ledger.metered, togai.ledger.bill, togai.ledger.reverted) == (0, [], 1)
    assert togai.ledger.totals.not_billed == 0
    (record,) = get(session, togai, "/events/e-1").json()["events"]
    assert record["ingestionStatus"]["status"] == REVERTED
    assert record["eventPipelineInfo"]["statusBeforeReverting"] == METERED


def test_after_undo_the_same_id_may_come_again(togai: FakeTogai, session: requests.Session) -> None:
    single(session, togai, event())
    correct(session, togai, event_id="e-1")
    batch(session, togai, event(), event())

    assert togai.ledger.get("e-1").statuses == (REVERTED, METERED, DUPLICATE)
    assert (togai.ledger.metered, togai.ledger.billed_twice) == (1, set())


def test_redo_ingests_the_same_event_by_what_exists_now(togai: FakeTogai, session: requests.Session) -> None:
    togai.accounts = set()
    single(session, togai, event())
    togai.accounts = {"acme"}

    assert done(correct(session, togai, "REDO", event_id="e-1")) == [
        ("REVERTED_AND_REINGESTED", "Event Reverted and Reingested")
    ]
    assert togai.ledger.get("e-1").statuses == (REVERTED, METERED)
    assert togai.ledger.lost(["e-1"]) == set()


def test_redo_event_ingests_another_in_its_place(togai: FakeTogai, session: requests.Session) -> None:
    togai.schemas = ["api_call"]
    single(session, togai, event(schemaName="api_calls"))

    correct(session, togai, "REDO_EVENT", {"event": event()}, event_id="e-1")

    assert togai.ledger.get("e-1").statuses == (REVERTED, METERED)
    assert [row.schema for row in togai.ledger.bill] == ["api_call"]


def test_an_event_that_is_undone_and_billed_again_is_not_billed_twice(
    togai: FakeTogai, session: requests.Session, clock: ManualClock
) -> None:
    single(session, togai, event())
    clock.now += 46 * DAY
    single(session, togai, event())
    assert togai.ledger.billed_twice == {"e-1"}

    correct(session, togai, id="event.000000000001")
    assert (togai.ledger.metered, togai.ledger.billed_twice) == (1, set())
    single(session, togai, event())
    assert togai.ledger.get("e-1").statuses == (REVERTED, METERED, DUPLICATE)


def test_an_event_that_is_billed_three_times_and_undone_once_is_billed_twice(
    togai: FakeTogai, session: requests.Session
) -> None:
    togai.dedupe_window = 0.0
    batch(session, togai, event(), event(), event())
    correct(session, togai, id="event.000000000003")

    assert (togai.ledger.get("e-1").metered, togai.ledger.billed_twice) == (2, {"e-1"})


def test_an_id_stays_taken_by_a_billed_copy_that_is_no_longer_kept_whole(
    togai: FakeTogai, session: requests.Session, clock: ManualClock
) -> None:
    togai.event_history = 1
    single(session, togai, event())
    clock.now += 46 * DAY
    single(session, togai, event())
    correct(session, togai, id="event.000000000002")
    single(session, togai, event())

    assert (togai.ledger.metered, togai.ledger.duplicates) == (1, 1)


def test_an_id_that_was_forgotten_and_came_again_is_not_less_than_unbilled(
    togai: FakeTogai, session: requests.Session
) -> None:
    togai.id_history = 1
    single(session, togai, event())
    single(session, togai, event("other"))
    togai.script(faults.Refuse(503))
    single(session, togai, event())
    correct(session, togai, id="event.000000000001")

    assert togai.ledger.get("e-1").metered == 0
    assert togai.ledger.lost(["e-1"]) == {"e-1"}


def test_the_bill_keeps_what_other_events_have_added(togai: FakeTogai, session: requests.Session) -> None:
    batch(session, togai, event("a"), event("b", attributes=[{"name": "count", "value": "2.5"}]))
    correct(session, togai, event_id="a")

    assert [(row.events, row.sums) for row in togai.ledger.bill] == [(1, (("count", "", "2.5"),))]


def test_an_event_without_an_id_is_corrected_by_togais_own(
    togai: FakeTogai, session: requests.Session
) -> None:
    single(session, togai, event(None))

    assert done(correct(session, togai, id="event.000000000001")) == [("REVERTED", "Event Reverted")]


# --- which events -----------------------------------------------------------------------------------------


def ids(reply: requests.Response) -> list[str]:
    assert reply.status_code == 200, reply.text
    return [each["eventPayload"]["id"] for each in reply.json()["data"]]


def test_an_account_alone_means_all_its_events_the_30_newest_of_them(
    togai: FakeTogai, session: requests.Session
) -> None:
    times = [f"2023-12-{day:02d}T00:00:00Z" for day in range(1, 32)]
    batch(session, togai, *(event(time, timestamp=time) for time in times), event("x", accountId="other"))

    assert ids(correct(session, togai)) == times[:0:-1]
    assert togai.ledger.lost([times[0], "x"]) == set()


def test_of_events_of_one_moment_the_ids_say_the_order(togai: FakeTogai, session: requests.Session) -> None:
    batch(session, togai, event("b"), event("a"), event("c"))

    assert ids(correct(session, togai)) == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"event_id": "a"}, ["a"]),
        ({"id": "event.000000000002"}, ["b"]),
        ({"event_source_time": "2023-12-31T12:00:00Z"}, ["b"]),
        ({"event_source_time": "2023-12-31T13:00:00+01:00"}, ["b"]),
        ({"event_id": "b", "event_source_time": "2023-12-31T12:00:00Z"}, ["b"]),
        ({"event_id": "b", "created_at": "2024-01-01T00:00:00.000Z"}, ["b"]),
        ({"event_id": "a", "event_source_time": "2023-12-31T12:00:00Z"}, None),
        ({"event_id": "b", "created_at": "2024-01-01T00:00:01.000Z"}, None),
        ({"event_id": "nothing"}, None),
        ({"id": "event.000000000009"}, None),
        ({"id": "event.2"}, None),
        ({"event_id": "a", "account_id": "other"}, None),
    ],
)
def test_events_are_named_in_the_ways_that_togai_documents(
    *, togai: FakeTogai, session: requests.Session, query: dict[str, str], found: list[str] | None
) -> None:
    batch(session, togai, event("a"), event("b", timestamp="2023-12-31T12:00:00Z"))

    reply = correct(session, togai, **query)

    if found is None:
        assert (reply.status_code, reply.json()) == (404, {"message": "no event is found"})
        togai.unknown_event = 200
        assert correct(session, togai, **query).json() == {"data": []}
    else:
        assert ids(reply) == found


@pytest.mark.parametrize(
    ("query", "why"),
    [
        ({"action": None}, "action: is required"),
        ({"account_id": None}, "account_id: is required"),
        ({"action": "REMOVE"}, "action: must be one of UNDO, REDO, REDO_EVENT"),
        (
            {"id": "event.1", "event_id": "a"},
            "account_id: may come alone, with one of id, event_id and event_",
        ),
        (
            {"created_at": "2024-01-01T00:00:00.000Z"},
            "account_id: may come alone, with one of id, event_id an",
        ),
        ({"event_source_time": "noon"}, "event_source_time: must be an ISO 8601 date and time"),
        ({"async": "true"}, "async: the sandbox corrects at once, and asks nobody"),
        (
            {"require_confirmation": "true"},
            "require_confirmation: the sandbox corrects at once, and asks nobody",
        ),
        ({"action": "REDO_EVENT"}, "event: is required for REDO_EVENT"),
    ],
)
def test_a_correction_that_makes_no_sense_is_refused(
    togai: FakeTogai, session: requests.Session, query: Any, why: str
) -> None:
    single(session, togai, event())

    parameters = {"action": "UNDO", "account_id": "acme"} | query
    reply = session.post(togai.url + "/events/correction", params=parameters, timeout=10)

    assert reply.status_code == 400
    assert reply.json()["message"].startswith(why)
    assert togai.ledger.metered == 1


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ({"event": {}}, "event.accountId: is required"),
        ({"events": [event()]}, "event: is required"),
        ([], "body: must be an object"),
    ],
)
def test_an_event_in_its_place_must_be_one(
    togai: FakeTogai, session: requests.Session, body: Any, why: str
) -> None:
    single(session, togai, event())

    reply = correct(session, togai, "REDO_EVENT", body, event_id="e-1")

    assert (reply.status_code, reply.json()) == (400, {"message": why})
    assert correct(session, togai, "REDO_EVENT", {}, event_id="e-1").status_code == 400


def test_a_body_that_is_no_json_is_refused(togai: FakeTogai, session: requests.Session) -> None:
    url = togai.url + "/events/correction"

    reply = session.post(url, params={"action": "UNDO", "account_id": "acme"}, data=b"{", timeout=10)

    assert reply.status_code == 400


def test_an_alias_names_the_account_too(togai: FakeTogai, session: requests.Session) -> None:
    togai.accounts = [{"id": "acme", "aliases": [{"alias": "acme-eu"}]}]
    single(session, togai, event(accountId="acme-eu"))

    assert ids(correct(session, togai, event_id="e-1")) == ["e-1"]


def test_whether_an_unknown_account_is_named_by_the_text_that_was_sent_is_a_switch(
    togai: FakeTogai, session: requests.Session
) -> None:
    togai.accounts, togai.unknown_account_corrects = ["acme"], False
    batch(session, togai, event("a", accountId="who"), event("b"))
    assert correct(session, togai, account_id="who", event_id="a").status_code == 404
    assert correct(session, togai, event_id="b").status_code == 200

    togai.unknown_account_corrects = True
    assert ids(correct(session, togai, account_id="who", event_id="a")) == ["a"]


# --- what cannot be corrected -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "actions"),
    [
        (METERED, ["UNDO", "REDO", "REDO_EVENT"]),
        ("INGESTION_FAILED_SCHEMA_NOT_DEFINED", ["UNDO", "REDO", "REDO_EVENT"]),
        (ACCOUNT_NOT_FOUND, ["UNDO", "REDO"]),
        ("INGESTION_FAILED_UNITS_INVALID", ["UNDO"]),
        ("INGESTION_FAILED_PAST_GRACE_PERIOD", ["UNDO"]),
        ("INGESTION_FAILED_INSUFFICIENT_CREDITS", ["REDO", "REDO_EVENT"]),
        (DUPLICATE, []),
        (REVERTED, []),
    ],
)
@pytest.mark.parametrize("action", ["UNDO", "REDO", "REDO_EVENT"])
def test_which_statuses_can_be_corrected(
    *, togai: FakeTogai, session: requests.Session, status: str, actions: list[str], action: str
) -> None:
    togai.ends_in = lambda event: status
    single(session, togai, event())

    ((what, why),) = done(correct(session, togai, action, {"event": event()}, event_id="e-1"))

    assert (what != "FAILED") == (action in actions)
    assert action in actions or why == f"Event with status {status} cannot be corrected"


def test_an_event_in_progress_cannot_be_corrected(togai: FakeTogai, session: requests.Session) -> None:
    togai.settle_after = 60.0
    single(session, togai, event())

    assert done(correct(session, togai, event_id="e-1"))[0][0] == "FAILED"
    assert togai.ledger.metered == 1


def test_an_event_of_a_past_cycle_cannot_be_corrected(
    togai: FakeTogai, session: requests.Session, clock: ManualClock
) -> None:
    togai.grace_period = 2 * DAY
    single(session, togai, event(timestamp="2024-01-01T00:00:00Z"))
    clock.now += 33 * DAY
    single(session, togai, event("late"))

    assert done(correct(session, togai, event_id="e-1")) == [("REVERTED", "Event Reverted")]
    single(session, togai, event(timestamp="2024-01-31T00:00:00Z"))
    clock.now += 30 * DAY
    assert done(correct(session, togai, event_id="late")) == [
        ("FAILED", "Event was ingested in past pricing cycle")
    ]


# --- what follows -----------------------------------------------------------------------------------------


def counted(session: requests.Session, togai: FakeTogai) -> dict[str, int]:
    statuses = [METERED, ACCOUNT_NOT_FOUND, REVERTED, "INGESTION_IN_PROGRESS"]
    query = {
        "id": "m",
        "name": "EVENTS",
        "aggregationPeriod": "DAY",
        "groupBy": "RAW_EVENT_STATUS",
        "filters": [{"fieldName": "EVENT_STATUS", "fieldValues": statuses}],
    }
    body = {"startTime": "2023-12-31T00:00:00Z", "endTime": "2024-01-01T00:00:00Z", "metricQueries": [query]}
    reply = session.post(togai.url + "/metrics", json=body, timeout=10).json()
    return {each["groupedBy"]["fieldValue"]: each["metricValues"][0] for each in reply["results"][0]["data"]}


@pytest.mark.parametrize(
    ("follow", "after"), [(True, {METERED: 1, REVERTED: 1}), (False, {ACCOUNT_NOT_FOUND: 1})]
)
def test_whether_the_counts_follow_a_correction_is_a_switch(
    *, togai: FakeTogai, session: requests.Session, follow: bool, after: dict[str, int]
) -> None:
    togai.metrics_follow, togai.accounts = follow, set()
    single(session, togai, event())
    assert counted(session, togai) == {ACCOUNT_NOT_FOUND: 1}

    togai.accounts = None
    correct(session, togai, "REDO", event_id="e-1")
    assert counted(session, togai) == after


def test_counts_that_do_not_follow_do_not_wait_either(togai: FakeTogai, session: requests.Session) -> None:
    togai.metrics_follow = False
    single(session, togai, event())
    correct(session, togai, "REDO", event_id="e-1")
    togai.settle_after = 60.0

    assert counted(session, togai) == {METERED: 1}


def test_what_an_id_gets_that_comes_again_after_a_failure_is_a_switch(
    togai: FakeTogai, session: requests.Session
) -> None:
    togai.accounts, togai.repeat_after_failure = set(), "processed"
    single(session, togai, event())
    single(session, togai, event())
    togai.accounts = None
    batch(session, togai, event(), event())

    assert togai.ledger.get("e-1").statuses == (ACCOUNT_NOT_FOUND, ACCOUNT_NOT_FOUND, METERED, DUPLICATE)


def test_an_event_that_the_ledger_has_forgotten_is_not_found(
    togai: FakeTogai, session: requests.Session
) -> None:
    togai.event_history, togai.id_history = 1, 1
    single(session, togai, event("a"))
    single(session, togai, event("b"))

    assert correct(session, togai, event_id="a").status_code == 404
    assert correct(session, togai, id="event.000000000001").status_code == 404


def test_an_event_whose_id_is_forgotten_can_be_undone(togai: FakeTogai, session: requests.Session) -> None:
    togai.id_history = 1
    batch(session, togai, event("a", accountId="other"))
    batch(session, togai, event("b"))

    assert ids(correct(session, togai, account_id="other")) == ["a"]
    assert togai.ledger.metered == 1
    assert [row.account for row in togai.ledger.bill] == ["acme"]
