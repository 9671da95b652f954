"""What a client can look up in the sandbox, and the tokens it can look up with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import requests

from togai_shipper.testing import FakeTogai

if TYPE_CHECKING:
    from manual_clock import ManualClock

from bare_client import DAY, DUPLICATE, METERED, batch, event, get, single

# --- lookups ----------------------------------------------------------------------------------------------


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
