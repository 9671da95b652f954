"""What the sandbox's ledger says of what was sent, over HTTP, and what the lookups show of it."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest
import requests

from togai_shipper import testing
from togai_shipper.testing import Entry, FakeTogai, faults

if TYPE_CHECKING:
    from collections.abc import Iterator

    from manual_clock import ManualClock

DAY = 86_400.0
METERED = "INGESTION_COMPLETED_EVENT_METERED"
DUPLICATE = "INGESTION_FAILED_DUPLICATE_EVENT"
INVALID_LICENSE = "INGESTION_FAILED_INVALID_NAMED_LICENSE_EVENT"


@pytest.fixture
def togai(clock: ManualClock) -> Iterator[FakeTogai]:
    with FakeTogai(clock=clock, rate_limit=None, other_rate_limit=None) as togai:
        yield togai


def event(event_id: str | None = "e-1", **changes: Any) -> dict[str, Any]:
    return {
        **({} if event_id is None else {"id": event_id}),
        "schemaName": "api_call",
        "timestamp": "2023-12-31T23:59:59.999Z",
        "accountId": "acme",
        "attributes": [{"name": "count", "value": "1"}],
        "dimensions": {"region": "eu"},
    } | changes


def single(session: requests.Session, togai: FakeTogai, one: dict[str, Any]) -> requests.Response:
    return session.post(togai.url + "/ingest", json={"event": one}, timeout=10)


def batch(session: requests.Session, togai: FakeTogai, *events: dict[str, Any]) -> requests.Response:
    return session.post(togai.url + "/ingestBatch", json={"events": events}, timeout=10)


def get(session: requests.Session, togai: FakeTogai, path: str, **query: Any) -> requests.Response:
    return session.get(togai.url + path, params=query, timeout=10)


# --- ids ---


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


# --- what becomes of an event after the 202 ---


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
        "status": "INGESTION_IN_PROGRESS"
    }

    clock.now += 60.0
    assert togai.ledger.get("e-1").statuses == (METERED,)


# --- lookups ---


def test_the_lookup_of_an_id_shows_every_record_of_it(togai: FakeTogai, session: requests.Session) -> None:
    single(session, togai, event())
    single(session, togai, event())

    reply = get(session, togai, "/events/e-1")

    assert reply.status_code == 200
    assert reply.json() == {
        "events": [
            {
                "referenceId": "event.000000000001",
                "eventPayload": event(),
                "ingestionStatus": {
                    "status": METERED,
                    "statusDescription": "Ingestion completed successfully",
                },
                "createdAt": "2024-01-01T00:00:00.000Z",
                "eventPipelineInfo": {},
            },
            {
                "referenceId": "event.000000000002",
                "eventPayload": event(),
                "ingestionStatus": {"status": DUPLICATE, "statusDescription": "Ingestion failed"},
                "createdAt": "2024-01-01T00:00:00.000Z",
                "eventPipelineInfo": {},
            },
        ]
    }


def test_an_id_with_a_slash_can_be_looked_up(togai: FakeTogai, session: requests.Session) -> None:
    single(session, togai, event("a/b"))

    assert len(get(session, togai, "/events/a%2Fb").json()["events"]) == 1


@pytest.mark.parametrize(
    ("switch", "body"), [(404, {"message": "event is not known"}), (200, {"events": []})]
)
def test_the_lookup_of_an_unknown_id_is_answered_as_a_switch_says(
    togai: FakeTogai, session: requests.Session, switch: Any, body: Any
) -> None:
    togai.unknown_event = switch

    reply = get(session, togai, "/events/e-1")

    assert (reply.status_code, reply.json()) == (switch, body)


@pytest.mark.parametrize("event_id", ["", "i" * 51])
def test_an_id_of_more_than_50_characters_cannot_be_looked_up(
    togai: FakeTogai, session: requests.Session, event_id: str
) -> None:
    single(session, togai, event(event_id))

    assert get(session, togai, "/events/" + event_id).status_code == 400


def test_a_list_comes_in_pages_of_50_and_the_filters_need_not_be_repeated(
    togai: FakeTogai, session: requests.Session
) -> None:
    batch(session, togai, *(event(f"e-{n}", accountId=("acme", "other")[n % 2]) for n in range(120)))

    first = get(session, togai, "/events", account_id="acme").json()
    second = get(session, togai, "/events", nextToken=first["nextToken"]).json()

    ids = [record["eventPayload"]["id"] for record in first["events"] + second["events"]]
    assert len(first["events"]) == 50
    assert ids == [f"e-{n}" for n in range(0, 120, 2)]
    assert "nextToken" not in second


def test_the_last_page_can_lead_to_an_empty_one(togai: FakeTogai, session: requests.Session) -> None:
    togai.trailing_page = True
    single(session, togai, event())

    last = get(session, togai, "/events").json()
    beyond = get(session, togai, "/events", nextToken=last["nextToken"]).json()

    assert (len(last["events"]), beyond) == (1, {"events": []})


@pytest.mark.parametrize(
    ("query", "ids"),
    [
        ({}, ["a", "b", "a"]),
        ({"status": "PROCESSED"}, ["a"]),
        ({"status": "UNPROCESSED"}, ["b", "a"]),
        ({"status": "IN_PROGRESS"}, []),
        ({"status": DUPLICATE}, ["a"]),
        ({"schema_name": "sms"}, ["b"]),
        ({"account_id": "nobody"}, []),
        ({"account_id": "acme", "schema_name": "api_call", "status": "PROCESSED"}, ["a"]),
    ],
)
def test_a_list_is_filtered(togai: FakeTogai, session: requests.Session, query: Any, ids: list[str]) -> None:
    togai.schemas = ["api_call"]
    batch(session, togai, event("a"), event("b", schemaName="sms"), event("a"))

    reply = get(session, togai, "/events", **query)

    assert [record["eventPayload"]["id"] for record in reply.json()["events"]] == ids


def test_a_page_is_as_small_as_it_is_asked_to_be(togai: FakeTogai, session: requests.Session) -> None:
    batch(session, togai, event("a"), event("b"), event("c"))

    page = get(session, togai, "/events", pageSize="2").json()

    assert len(page["events"]) == 2


@pytest.mark.parametrize(
    "query",
    [
        {"pageSize": "0"},
        {"pageSize": "51"},
        {"pageSize": "0050"},
        {"pageSize": "9" * 5000},
        {"pageSize": "-1"},
        {"pageSize": "²"},
        {"pageSize": "many"},
        {"status": "LOST"},
        {"nextToken": "made up"},
    ],
)
def test_a_query_that_makes_no_sense_is_refused(
    togai: FakeTogai, session: requests.Session, query: Any
) -> None:
    reply = get(session, togai, "/events", **query)

    assert reply.status_code == 422
    assert reply.json()["message"].startswith(next(iter(query)) + ": ")


def test_lookups_need_the_key(togai: FakeTogai, session: requests.Session) -> None:
    session.headers["Authorization"] = "Bearer other"

    assert get(session, togai, "/events").status_code == 401
    assert get(session, togai, "/events/e-1").status_code == 401
    assert session.post(togai.url + "/authenticate", timeout=10).status_code == 401


# --- tokens ---


def test_the_key_is_traded_for_a_token_that_lasts_24_hours_and_cannot_renew_itself(
    togai: FakeTogai, session: requests.Session, clock: ManualClock
) -> None:
    token = session.post(togai.url + "/authenticate", timeout=10).json()["token"]
    session.headers["Authorization"] = f"Bearer {token}"
    assert single(session, togai, event("a")).status_code == 202

    clock.now += DAY - 1
    assert session.post(togai.url + "/authenticate", timeout=10).json() == {"token": token}
    assert single(session, togai, event("b")).status_code == 202

    clock.now += 1
    assert single(session, togai, event("c")).status_code == 401


def test_a_changed_key_ends_the_tokens_of_the_old_one(togai: FakeTogai, session: requests.Session) -> None:
    token = session.post(togai.url + "/authenticate", timeout=10).json()["token"]
    togai.set_api_key("newer")
    session.headers["Authorization"] = f"Bearer {token}"

    assert single(session, togai, event()).status_code == 401


# --- elsewhere ---


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", "/", 404),
        ("POST", "/v1/ingest", 404),
        ("POST", "/ingest/", 404),
        ("POST", "/ingestbatch", 404),
        ("GET", "/ingest", 405),
        ("PUT", "/ingestBatch", 405),
        ("POST", "/events", 405),
    ],
)
def test_there_is_nothing_elsewhere(
    togai: FakeTogai, session: requests.Session, method: str, path: str, status: int
) -> None:
    reply = session.request(method, togai.url + path, json={"event": event()}, timeout=10)

    assert reply.status_code == status
    assert list(reply.json()) == ["message"]
    assert (togai.requests[-1].path, togai.requests[-1].status) == (path, status)
    assert togai.ledger.get("e-1").receipts == 0


def test_requests_are_remembered_as_they_came(togai: FakeTogai, session: requests.Session) -> None:
    single(session, togai, event("a"))
    batch(session, togai, event("b"), event(None), event("c"))
    get(session, togai, "/events")

    first, second, third = togai.requests
    assert (first.number, first.method, first.path, first.ids, first.status) == (
        0,
        "POST",
        "/ingest",
        ("a",),
        202,
    )
    assert first.events == [event("a")]
    assert first.headers["authorization"] == "Bearer secret"
    assert first.size == int(first.headers["Content-Length"])
    assert "secret" not in repr(first)
    assert (second.number, second.path, second.ids, second.fault) == (1, "/ingestBatch", ("b", "c"), None)
    assert (third.method, third.path, third.events, third.status) == ("GET", "/events", [], 200)
    assert first.at <= second.at <= third.at


def test_only_so_many_requests_are_remembered_as_history_says(
    togai: FakeTogai, session: requests.Session
) -> None:
    togai.history = 2
    for n in range(3):
        single(session, togai, event(f"e-{n}"))

    assert [request.number for request in togai.requests] == [1, 2]
    assert repr(togai) == f"<FakeTogai [{togai.url}, 3 requests, 3 metered]>"


def test_replies_carry_the_date_of_the_clock_and_the_headers_of_a_switch(
    togai: FakeTogai, session: requests.Session
) -> None:
    togai.headers = {"X-Request-Id": "7", "Date": "never"}
    reply = single(session, togai, event())
    assert (reply.headers["Date"], reply.headers["X-Request-Id"]) == ("Mon, 01 Jan 2024 00:00:00 GMT", "7")
    assert "Server" not in reply.headers
