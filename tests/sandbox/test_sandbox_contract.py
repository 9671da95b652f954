"""What the sandbox takes and refuses, over HTTP, as the contract has it."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
import requests

from togai_shipper.sandbox import contract
from togai_shipper.testing import FakeTogai


def event(**changes: Any) -> dict[str, Any]:
    """A valid event; a field changed to ``...`` is left out."""
    fields = {
        "schemaName": "api_call",
        "id": "e-1",
        "timestamp": "2022-06-15T07:30:35.123Z",
        "accountId": "acme",
        "attributes": [{"name": "count", "value": "1", "unit": "None"}],
        "dimensions": {"region": "eu-west-1"},
    }
    return {name: value for name, value in (fields | changes).items() if value is not ...}


def attribute(**changes: Any) -> dict[str, Any]:
    fields = {"name": "count", "value": "1"} | changes
    return event(attributes=[{name: value for name, value in fields.items() if value is not ...}])


def send(session: requests.Session, togai: FakeTogai, body: Any, path: str = "/ingest") -> requests.Response:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return session.post(togai.url + path, data, headers={"Content-Type": "application/json"}, timeout=10)


VALID = [
    event(),
    event(id=...),
    event(id=""),
    event(id="i" * 512),
    event(schemaName="s" * 50),
    event(accountId=""),
    event(accountId="é" * 512),
    event(attributes=[]),
    event(attributes=[{"name": f"n{n}", "value": "0"} for n in range(10)]),
    event(attributes=[{"name": "twice", "value": "0"}, {"name": "twice", "value": "1"}]),
    event(dimensions={}),
    event(dimensions={"": "v" * 200}),
    event(dimensions={f"d{n}": "v" for n in range(101)}),
    event(dimensions={"pair": "\U0001f600"}),
    attribute(name="n" * 50, unit="u" * 50),
    attribute(value="-0"),
    attribute(value="-12.50"),
    attribute(value="9" * 512 + "." + "9" * 1000),
    event(timestamp="2022-06-15T07:30:35.123"),
    event(timestamp="2022-06-15T07:30:35"),
    event(timestamp="2022-06-15T07:30:35Z"),
    event(timestamp="2022-06-15t07:30:35.123456789z"),
    event(timestamp="2022-06-15T07:30:35+05:30"),
    event(timestamp="2024-02-29T23:59:59.999-23:59"),
    event(timestamp="2022-06-15 07:30:35 UTC"),
    event(timestamp="2022-06-15 07:30:35 +0530"),
]

INVALID = [
    ("event", None),
    ("event", []),
    ("event", "event"),
    ("event.schemaName", event(schemaName=...)),
    ("event.timestamp", event(timestamp=...)),
    ("event.accountId", event(accountId=...)),
    ("event.attributes", event(attributes=...)),
    ("event.dimensions", event(dimensions=...)),
    ("event.'colour'", event(colour="red")),
    ("event.'Id'", event(Id="e-1")),
    ("event.schemaName", event(schemaName="")),
    ("event.schemaName", event(schemaName="s" * 51)),
    ("event.schemaName", event(schemaName=1)),
    ("event.schemaName", event(schemaName=None)),
    ("event.id", event(id=None)),
    ("event.id", event(id=7)),
    ("event.id", event(id="i" * 513)),
    ("event.id", event(id="\ud800")),
    ("event.accountId", event(accountId=1)),
    ("event.accountId", event(accountId="a" * 513)),
    ("event.timestamp", event(timestamp=1655278235)),
    ("event.timestamp", event(timestamp=None)),
    ("event.timestamp", event(timestamp="")),
    ("event.timestamp", event(timestamp="1655278235")),
    ("event.timestamp", event(timestamp="2022-06-15")),
    ("event.timestamp", event(timestamp="2022-06-15 07:30:35")),
    ("event.timestamp", event(timestamp="2022-06-15 07:30:35 CET")),
    ("event.timestamp", event(timestamp="2022-06-15 07:30:35 +05:30")),
    ("event.timestamp", event(timestamp="2022-06-15T07:30:35 UTC")),
    ("event.timestamp", event(timestamp="2022-06-15T07:30")),
    ("event.timestamp", event(timestamp="2022-06-15T07:30:35.Z")),
    ("event.timestamp", event(timestamp="2022-06-15T07:30:35Z\n")),
    ("event.timestamp", event(timestamp="2022-06-15T07:30:35+0530")),
    ("event.timestamp", event(timestamp="2022-06-15T07:30:35+24:00")),
    ("event.timestamp", event(timestamp="2023-02-29T07:30:35Z")),
    ("event.timestamp", event(timestamp="2022-06-15T24:00:00Z")),
    ("event.timestamp", event(timestamp="2022-06-15T07:30:60Z")),
    ("event.timestamp", event(timestamp="٢٠٢٢-06-15T07:30:35Z")),
    ("event.attributes", event(attributes={})),
    ("event.attributes", event(attributes=None)),
    ("event.attributes", event(attributes=[{"name": f"n{n}", "value": "0"} for n in range(11)])),
    ("event.attributes[0]", event(attributes=["count"])),
    ("event.attributes[1].value", event(attributes=[{"name": "a", "value": "1"}, {"name": "b"}])),
    ("event.attributes[0].name", attribute(name=...)),
    ("event.attributes[0].name", attribute(name="")),
    ("event.attributes[0].name", attribute(name="n" * 51)),
    ("event.attributes[0].name", attribute(name=5)),
    ("event.attributes[0].unit", attribute(unit="")),
    ("event.attributes[0].unit", attribute(unit="u" * 51)),
    ("event.attributes[0].unit", attribute(unit=None)),
    ("event.attributes[0].'scale'", attribute(scale="1")),
    *(
        ("event.attributes[0].value", attribute(value=value))
        for value in (
            1,
            1.5,
            True,
            None,
            "",
            "+1",
            ".5",
            "5.",
            "1e3",
            "1E3",
            "NaN",
            "Infinity",
            " 1",
            "1\n",
            "1,5",
        )
    ),
    ("event.attributes[0].value", attribute(value="9" * 513)),
    ("event.attributes[0].value", attribute(value="٣")),
    ("event.dimensions", event(dimensions=[])),
    ("event.dimensions", event(dimensions=None)),
    ("event.dimensions['region']", event(dimensions={"region": ""})),
    ("event.dimensions['region']", event(dimensions={"region": "v" * 201})),
    ("event.dimensions['region']", event(dimensions={"region": 1})),
    ("event.dimensions['region']", event(dimensions={"region": None})),
    ("event.dimensions['region']", event(dimensions={"region": "\udfff"})),
    ("event.dimensions['\\ud800'] (the name)", event(dimensions={"\ud800": "v"})),
]


@pytest.mark.parametrize("valid", VALID)
def test_a_valid_event_is_accepted_by_both_endpoints(
    togai: FakeTogai, session: requests.Session, valid: Any
) -> None:
    single = send(session, togai, {"event": valid})
    batch = send(session, togai, {"events": [valid]}, "/ingestBatch")

    for reply in (single, batch):
        assert (reply.status_code, reply.json()) == (202, {"success": True})
        assert reply.headers["Content-Type"] == "application/json"
    assert togai.ledger.accepted == 2


@pytest.mark.parametrize(("field", "invalid"), INVALID)
def test_an_invalid_event_is_refused_by_both_endpoints_and_the_field_is_named(
    togai: FakeTogai, session: requests.Session, field: str, invalid: Any
) -> None:
    single = send(session, togai, {"event": invalid})
    batch = send(session, togai, {"events": [event(), invalid]}, "/ingestBatch")

    assert (single.status_code, batch.status_code) == (400, 400)
    assert single.json()["message"].startswith(f"{field}: ")
    assert batch.json()["message"].startswith(field.replace("event", "events[1]", 1) + ": ")
    assert togai.ledger.accepted == 0


@pytest.mark.parametrize(
    ("message", "body"),
    [
        ("body: is not valid JSON", b""),
        ("body: is not valid JSON", b"{"),
        ("body: is not valid JSON", b'{"events": []} x'),
        ("body: is not valid JSON", b"\xff"),
        ("body: is not valid JSON", b'\xef\xbb\xbf{"events": []}'),
        ("body: is not valid JSON", '{"events": []}'.encode("utf-16")),
        ("body: is not valid JSON (an object repeats a key)", b'{"events": [], "events": []}'),
        ("body: is not valid JSON (NaN is not JSON)", b'{"events": NaN}'),
        ("body: is not valid JSON", b"[" * 100_000),
        ("body: must be an object", b"[]"),
        ("body: must be an object", b"null"),
        ("events: is required", b"{}"),
        ("events: is required", b'{"event": {}}'),
        ("'more': is not a known field", b'{"events": [], "more": 1}'),
        ("events: must be an array", b'{"events": {}}'),
        ("events: must be an array", b'{"events": null}'),
        ("events: must hold at least 1 event", b'{"events": []}'),
    ],
)
def test_a_batch_that_is_no_batch_is_refused(
    togai: FakeTogai, session: requests.Session, message: str, body: Any
) -> None:
    reply = send(session, togai, body, "/ingestBatch")

    assert reply.status_code == 400
    assert reply.json()["message"].startswith(message)
    assert togai.requests[-1].events == []


def test_a_single_event_does_not_go_to_the_batch_endpoint_nor_a_batch_to_the_single_one(
    togai: FakeTogai, session: requests.Session
) -> None:
    assert send(session, togai, {"event": event()}, "/ingestBatch").status_code == 400
    assert send(session, togai, {"events": [event()]}, "/ingest").status_code == 400
    assert send(session, togai, {"event": [event()]}, "/ingest").status_code == 400


def test_a_message_is_never_longer_than_500_characters(togai: FakeTogai, session: requests.Session) -> None:
    reply = send(session, togai, {"event": event(**{"x" * 1000: 1})})

    assert len(reply.json()["message"]) == 500


# --- limits, and what stands in for what nobody knows ---


def test_a_batch_holds_500_events_and_not_one_more(togai: FakeTogai, session: requests.Session) -> None:
    full = [event(id=f"e-{n}") for n in range(500)]

    assert send(session, togai, {"events": full}, "/ingestBatch").status_code == 202
    assert send(session, togai, {"events": [*full, event()]}, "/ingestBatch").status_code == 400
    assert togai.ledger.accepted == 500


def test_the_batch_limit_is_a_switch(togai: FakeTogai, session: requests.Session) -> None:
    togai.batch_limit = 1

    reply = send(session, togai, {"events": [event(), event()]}, "/ingestBatch")

    assert reply.status_code == 400
    assert reply.json() == {"message": "events: must hold at most 1 events"}


def test_a_body_over_the_size_limit_is_refused_with_422(togai: FakeTogai, session: requests.Session) -> None:
    body = json.dumps({"event": event()}).encode()
    togai.max_body_bytes = len(body)
    assert send(session, togai, body).status_code == 202

    togai.max_body_bytes -= 1
    assert send(session, togai, body).status_code == 422
    assert togai.ledger.accepted == 1


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Content-Type": "text/plain"},
        {"Content-Type": "application/x-www-form-urlencoded"},
        {"Content-Type": "application/json; charset=latin-1"},
        {"Content-Type": "application/json", "Content-Encoding": "gzip"},
    ],
)
def test_what_is_not_plain_json_is_refused(togai: FakeTogai, session: requests.Session, headers: Any) -> None:
    body = json.dumps({"event": event()}).encode()

    assert session.post(togai.url + "/ingest", body, headers=headers, timeout=10).status_code == 415
    assert togai.ledger.accepted == 0


@pytest.mark.parametrize("media", ["application/json; charset=utf-8", 'Application/JSON;charset="UTF-8"'])
def test_json_may_say_that_it_is_utf_8(togai: FakeTogai, session: requests.Session, media: str) -> None:
    body = json.dumps({"event": event()}).encode()

    assert (
        session.post(togai.url + "/ingest", body, headers={"Content-Type": media}, timeout=10).status_code
        == 202
    )


def test_lengths_are_counted_in_characters(togai: FakeTogai, session: requests.Session) -> None:
    assert send(session, togai, {"event": event(schemaName="\U0001f600" * 50)}).status_code == 202
    assert send(session, togai, {"event": event(schemaName="\U0001f600" * 51)}).status_code == 400


@pytest.mark.parametrize(
    ("what", "invalid"),
    [
        (".attributes: must not repeat a name", event(attributes=[{"name": "a", "value": "1"}] * 2)),
        (".timestamp: must have a zone", event(timestamp="2022-06-15T07:30:35")),
        (
            ".timestamp: must be an ISO 8601 date and time",
            event(timestamp="2022-06-15 07:30:35 UTC"),
        ),
    ],
)
def test_what_togai_leaves_open_passes_unless_it_is_read_strictly(what: str, invalid: Any) -> None:
    contract.check(invalid, "event")

    with pytest.raises(contract.Breach, match=f"^event{re.escape(what)}$"):
        contract.check(invalid, "event", strict=True)


@pytest.mark.parametrize("zone", ["Z", "+02:00", "-11:00"])
def test_a_strict_reading_takes_every_zone(zone: str) -> None:
    contract.check(event(timestamp="2022-06-15T07:30:35" + zone), "event", strict=True)


def test_a_switch_that_cannot_be_is_an_error_at_once() -> None:
    with pytest.raises(ValueError, match="partial_shape"):
        FakeTogai(partial_shape="D")


# --- the key ---


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": ""},
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer "},
        {"Authorization": "Bearer other"},
        {"Authorization": "Basic secret"},
        {"Authorization": "secret"},
        {"X-API-Key": "secret"},
    ],
)
def test_only_the_bearer_key_opens_the_door(togai: FakeTogai, headers: Any) -> None:
    with requests.Session() as session:
        session.trust_env = False
        reply = session.post(togai.url + "/ingest", json={"event": event()}, headers=headers, timeout=10)

    assert (reply.status_code, reply.json()) == (401, {"message": "credential is not valid"})
    assert togai.ledger.get("e-1").receipts == 1
    assert togai.ledger.get("e-1").accepted == 0


def test_the_scheme_is_read_without_regard_to_case(togai: FakeTogai, session: requests.Session) -> None:
    session.headers["Authorization"] = "bearer secret"

    assert send(session, togai, {"event": event()}).status_code == 202


def test_a_changed_key_locks_out_the_old_one(togai: FakeTogai, session: requests.Session) -> None:
    togai.set_api_key("newer")

    assert send(session, togai, {"event": event()}).status_code == 401
    session.headers["Authorization"] = "Bearer newer"
    assert send(session, togai, {"event": event()}).status_code == 202
    assert togai.api_key == "newer"


def test_without_a_key_of_its_own_the_sandbox_takes_any(session: requests.Session) -> None:
    with FakeTogai(None) as togai:
        session.headers["Authorization"] = "Bearer whatever"
        assert send(session, togai, {"event": event()}).status_code == 202
        session.headers["Authorization"] = "Bearer "
        assert send(session, togai, {"event": event()}).status_code == 401
