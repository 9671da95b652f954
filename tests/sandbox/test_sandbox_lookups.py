"""What a client can look up of events in the sandbox, and the tokens it can look up with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import requests

from togai_shipper.testing import FakeTogai

if TYPE_CHECKING:
    from manual_clock import ManualClock

from bare_client import DAY, DUPLICATE, METERED, batch, event, get, single


def listed(session: requests.Session, togai: FakeTogai, **query: Any) -> list[str]:
    """The ids of a list's first page."""
    return [each["eventPayload"]["id"] for each in get(session, togai, "/events", **query).json()["events"]]


def shown(session: requests.Session, togai: FakeTogai, event_id: str = "e-1") -> dict[str, Any]:
    """The first record of an id."""
    found: dict[str, Any] = get(session, togai, f"/events/{event_id}").json()["events"][0]
    return found


# --- one id -----------------------------------------------------------------------------------------------


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
                "eventPipelineInfo": {
                    "eventSchema": {"name": "api_call", "version": 1},
                    "account": {"id": "acme", "name": "account acme"},
                    "customer": {"id": "acme", "name": "customer acme"},
                    "usageMeters": [
                        {
                            "id": "usage_meter.api_call count",
                            "name": "api_call count",
                            "version": 1,
                            "status": "PROCESSED_UNITS_COMPUTED",
                            "units": 1.0,
                        }
                    ],
                },
            },
            {
                "referenceId": "event.000000000002",
                "eventPayload": event(),
                "ingestionStatus": {
                    "status": DUPLICATE,
                    "statusDescription": "An event with the same id was ingested before.",
                },
                "createdAt": "2024-01-01T00:00:00.000Z",
                "eventPipelineInfo": {},
            },
        ]
    }


def test_the_order_of_an_ids_records_is_a_switch(togai: FakeTogai, session: requests.Session) -> None:
    togai.newest_record_first = True
    batch(session, togai, event(), event())

    found = get(session, togai, "/events/e-1").json()["events"]
    assert [each["ingestionStatus"]["status"] for each in found] == [DUPLICATE, METERED]


@pytest.mark.parametrize(
    ("status", "parts"),
    [
        ("INGESTION_COMPLETED_NO_MATCHING_METERS", {"eventSchema", "account", "customer"}),
        ("INGESTION_COMPLETED_EVENT_NOT_METERED", {"eventSchema", "account", "customer", "usageMeters"}),
        ("INGESTION_FAILED_ACCOUNT_NOT_FOUND", {"eventSchema"}),
        ("INGESTION_FAILED", {"eventSchema"}),
        ("INGESTION_FAILED_SCHEMA_NOT_DEFINED", set()),
        ("UNKNOWN", set()),
    ],
)
def test_the_pipeline_information_ends_where_the_event_did(
    togai: FakeTogai, session: requests.Session, status: str, parts: set[str]
) -> None:
    togai.ends_in = lambda event: status
    single(session, togai, event())

    assert shown(session, togai)["ingestionStatus"]["status"] == status
    assert shown(session, togai)["eventPipelineInfo"].keys() == parts


def test_a_meter_that_counted_nothing_has_no_units(togai: FakeTogai, session: requests.Session) -> None:
    togai.ends_in = lambda event: "INGESTION_COMPLETED_EVENT_NOT_METERED"
    single(session, togai, event(attributes=[]))

    (meter,) = shown(session, togai)["eventPipelineInfo"]["usageMeters"]
    assert meter == {
        "id": "usage_meter.api_call events",
        "name": "api_call events",
        "version": 1,
        "status": "PROCESSED_FILTERED_OUT",
    }


def test_units_that_json_cannot_say_are_left_out(togai: FakeTogai, session: requests.Session) -> None:
    single(session, togai, event(attributes=[{"name": "count", "value": "9" * 512}]))

    assert "units" not in shown(session, togai)["eventPipelineInfo"]["usageMeters"][0]


def test_an_alias_is_shown_with_the_account_and_customer_that_it_is_of(
    togai: FakeTogai, session: requests.Session
) -> None:
    togai.accounts = [{"id": "acme", "customerId": "acme_inc", "aliases": [{"alias": "ops@acme.example"}]}]
    single(session, togai, event(accountId="ops@acme.example"))

    record = shown(session, togai)
    assert record["customerId"] == "acme_inc"
    assert record["eventPipelineInfo"]["account"] == {
        "id": "acme",
        "name": "account acme",
        "alias": "ops@acme.example",
    }


def test_every_status_has_a_description(togai: FakeTogai, session: requests.Session) -> None:
    statuses = [
        "INGESTION_FAILED_ENRICHMENT_FAILED",
        "INGESTION_FAILED_UNITS_INVALID",
        "INGESTION_FAILED_INSUFFICIENT_CREDITS",
        "UNKNOWN",
    ]
    togai.ends_in = lambda event: statuses[int(event["id"])]
    batch(session, togai, *(event(str(n)) for n in range(len(statuses))))

    told = [shown(session, togai, str(n))["ingestionStatus"] for n in range(len(statuses))]
    assert [each["status"] for each in told] == statuses
    assert len({each["statusDescription"] for each in told}) == len(statuses)


def test_a_status_that_togai_does_not_know_is_refused(session: requests.Session) -> None:
    togai = FakeTogai(ends_in=lambda event: "LOST").start()
    assert single(session, togai, event()).status_code == 500

    with pytest.raises(ValueError, match="ends_in: must return a status of Togai's or None, not 'LOST'"):
        togai.stop()


def test_an_id_with_a_slash_can_be_looked_up(togai: FakeTogai, session: requests.Session) -> None:
    single(session, togai, event("a/b"))

    assert len(get(session, togai, "/events/a%2Fb").json()["events"]) == 1


@pytest.mark.parametrize(("switch", "body"), [(404, {"message": "no event is found"}), (200, {"events": []})])
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


def test_a_record_can_be_shown_later_than_it_was_accepted(
    togai: FakeTogai, session: requests.Session, clock: ManualClock
) -> None:
    togai.events_lag = 60.0
    single(session, togai, event())
    assert get(session, togai, "/events/e-1").status_code == 404
    assert get(session, togai, "/events").status_code == 404

    clock.now += 60.0
    assert len(get(session, togai, "/events/e-1").json()["events"]) == 1
    assert listed(session, togai) == ["e-1"]


# --- a list -----------------------------------------------------------------------------------------------


def test_a_list_comes_in_pages_of_50_and_the_filters_need_not_be_repeated(
    togai: FakeTogai, session: requests.Session
) -> None:
    batch(session, togai, *(event(f"e-{n}", accountId=("acme", "other")[n % 2]) for n in range(120)))

    first = get(session, togai, "/events", account_id="acme").json()
    second = get(session, togai, "/events", nextToken=first["nextToken"]).json()

    ids = [record["eventPayload"]["id"] for record in first["events"] + second["events"]]
    assert len(first["events"]) == 50
    assert ids == [f"e-{n}" for n in range(118, -2, -2)]
    assert "nextToken" not in second


@pytest.mark.parametrize(
    ("order", "ids"),
    [
        ("newest", ["noon", "eleven", "ten, again", "ten"]),
        ("oldest", ["ten", "ten, again", "eleven", "noon"]),
        ("received", ["noon", "ten", "ten, again", "eleven"]),
    ],
)
@pytest.mark.parametrize("size", [1, 2, 50])
def test_the_order_of_a_list_is_a_switch_and_no_page_repeats_or_leaves_out_a_record(
    *, togai: FakeTogai, session: requests.Session, order: Any, ids: list[str], size: int
) -> None:
    togai.list_order = order
    hours = {"noon": "12:00:00.5Z", "ten": "10:00:00Z", "ten, again": "15:30:00+05:30", "eleven": "11:00:00"}
    batch(session, togai, *(event(name, timestamp=f"2024-01-01T{hour}") for name, hour in hours.items()))

    page = get(session, togai, "/events", pageSize=size).json()
    found = page["events"]
    while "nextToken" in page:
        page = get(session, togai, "/events", nextToken=page["nextToken"]).json()
        found += page["events"]

    assert [record["eventPayload"]["id"] for record in found] == ids


def test_events_that_come_between_two_pages_move_none_of_the_others(
    togai: FakeTogai, session: requests.Session
) -> None:
    batch(session, togai, *(event(str(n), timestamp=f"2024-01-01T00:00:0{n}Z") for n in (1, 3, 5)))
    first = get(session, togai, "/events", pageSize=2).json()
    batch(session, togai, *(event(str(n), timestamp=f"2024-01-01T00:00:0{n}Z") for n in (2, 4, 6)))
    second = get(session, togai, "/events", nextToken=first["nextToken"]).json()

    assert [record["eventPayload"]["id"] for record in second["events"]] == ["2", "1"]


def test_the_last_page_can_lead_to_an_empty_one(togai: FakeTogai, session: requests.Session) -> None:
    togai.trailing_page = True
    single(session, togai, event())

    last = get(session, togai, "/events").json()
    beyond = get(session, togai, "/events", nextToken=last["nextToken"]).json()

    assert (len(last["events"]), beyond) == (1, {"events": []})


def test_an_empty_page_can_have_no_list_and_the_last_one_a_token_that_is_null(
    togai: FakeTogai, session: requests.Session
) -> None:
    togai.unknown_event, togai.empty_list, togai.null_token = 200, "no key", True

    assert get(session, togai, "/events").json() == {"nextToken": None}


@pytest.mark.parametrize(
    ("query", "ids"),
    [
        ({}, ["a", "b", "a"]),
        ({"status": "PROCESSED"}, ["a"]),
        ({"status": "UNPROCESSED"}, ["a", "b"]),
        ({"status": DUPLICATE}, ["a"]),
        ({"schema_name": "sms"}, ["b"]),
        ({"account_id": "acme", "schema_name": "api_call", "status": "PROCESSED"}, ["a"]),
    ],
)
def test_a_list_is_filtered(togai: FakeTogai, session: requests.Session, query: Any, ids: list[str]) -> None:
    togai.schemas = ["api_call"]
    batch(session, togai, event("a"), event("b", schemaName="sms"), event("a"))

    assert listed(session, togai, **query) == ids


def test_reverted_and_unknown_events_are_neither_processed_nor_unprocessed(
    togai: FakeTogai, session: requests.Session
) -> None:
    togai.unknown_event = 200
    togai.ends_in = lambda event: {"u": "UNKNOWN", "r": "REVERTED"}.get(event["id"])
    batch(session, togai, event("u"), event("r"), event("m"))

    by_status = {
        status: listed(session, togai, status=status)
        for status in ("PROCESSED", "UNPROCESSED", "IN_PROGRESS", "UNKNOWN", "REVERTED")
    }
    assert by_status == {
        "PROCESSED": ["m"],
        "UNPROCESSED": [],
        "IN_PROGRESS": [],
        "UNKNOWN": ["u"],
        "REVERTED": ["r"],
    }


def test_a_list_is_filtered_by_an_account_whichever_of_its_names_an_event_has(
    togai: FakeTogai, session: requests.Session
) -> None:
    togai.accounts = [{"id": "acme", "aliases": [{"alias": "acme-eu"}]}, "globex"]
    batch(session, togai, event("a"), event("b", accountId="acme-eu"), event("c", accountId="globex"))

    assert listed(session, togai, account_id="acme") == ["b", "a"]
    assert listed(session, togai, account_id="acme-eu") == ["b", "a"]


@pytest.mark.parametrize(("switch", "body"), [(404, {"message": "no event is found"}), (200, {"events": []})])
@pytest.mark.parametrize("query", [{"status": "IN_PROGRESS"}, {"account_id": "nobody"}])
def test_a_list_of_nothing_is_answered_as_the_lookup_of_an_unknown_id(
    togai: FakeTogai, session: requests.Session, query: Any, switch: Any, body: Any
) -> None:
    togai.unknown_event = switch
    single(session, togai, event())

    reply = get(session, togai, "/events", **query)

    assert (reply.status_code, reply.json()) == (switch, body)


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


def test_a_list_of_more_records_than_are_looked_at_at_once_is_whole(
    togai: FakeTogai, session: requests.Session
) -> None:
    for start in range(0, 4500, 500):
        batch(session, togai, *(event(f"{n}", accountId=f"a{n}") for n in range(start, start + 500)))

    assert listed(session, togai, account_id="a0") == ["0"]
    togai.list_order = "received"
    assert listed(session, togai, account_id="a4499") == ["4499"]


# --- who may look up --------------------------------------------------------------------------------------


def test_lookups_need_the_key(togai: FakeTogai, session: requests.Session) -> None:
    session.headers["Authorization"] = "Bearer other"

    assert get(session, togai, "/events").status_code == 401
    assert get(session, togai, "/events/e-1").status_code == 401
    assert session.post(togai.url + "/authenticate", timeout=10).status_code == 401


@pytest.mark.parametrize(
    ("method", "path", "right"),
    [
        ("GET", "/events", "list events"),
        ("GET", "/events/e-1", "get events"),
        ("POST", "/events/correction", "correct events"),
        ("POST", "/metrics", "get metrics"),
        ("GET", "/event_schema", "list event schemas"),
        ("GET", "/accounts", "list accounts"),
    ],
)
def test_a_key_can_be_one_that_brings_events_and_looks_nothing_up(
    *, togai: FakeTogai, session: requests.Session, method: str, path: str, right: str
) -> None:
    togai.may_look_up = False

    reply = session.request(method, togai.url + path, timeout=10)

    assert (reply.status_code, reply.json()) == (
        403,
        {"message": f"Credential does not have access to {right}."},
    )
    assert single(session, togai, event()).status_code == 202


# --- tokens -----------------------------------------------------------------------------------------------


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
