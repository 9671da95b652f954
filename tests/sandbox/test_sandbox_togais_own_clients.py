"""Togai's own clients for Python and Ruby against the sandbox: their requests, byte for byte, as recorded.

What they are answered is held to the specification from which they are generated.
"""

from __future__ import annotations

import http.client
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

import pytest
import togais_replies as replies
from pydantic import BaseModel

if TYPE_CHECKING:
    from togai_shipper.testing import FakeTogai

Client: TypeAlias = Callable[[str, str], bytes]  # makes a request of a request line and a body


def python(line: str, body: str = "") -> bytes:
    length = f"Content-Length: {len(body)}\r\n" if body else ""
    media = "Content-Type: application/json\r\n" if body else ""
    return (
        f"{line} HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nAccept-Encoding: identity\r\n{length}"
        f"Accept: application/json\r\n{media}User-Agent: OpenAPI-Generator/1.0.3/python\r\n"
        f"Authorization: Bearer secret\r\n\r\n{body}"
    ).encode()


def ruby(line: str, body: str = "") -> bytes:
    length = f"Content-Length: {len(body)}\r\n" if body else ""
    return (
        f"{line} HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nUser-Agent: OpenAPI-Generator/1.0.2/ruby\r\n"
        "Content-Type: application/json\r\nAccept: application/json\r\nAuthorization: Bearer secret\r\n"
        f"{length}\r\n{body}"
    ).encode()


def python_event(timestamp: str, event_id: str = "p1") -> str:
    return (
        f'{{"schemaName": "message_sent", "id": "{event_id}", "timestamp": "{timestamp}", '
        '"accountId": "acme", "attributes": [{"name": "sms", "value": "1"}], "dimensions": {"country": "US"}}'
    )


def ruby_event(timestamp: str, event_id: str = "r1") -> str:
    return (
        f'{{"schemaName":"message_sent","id":"{event_id}","timestamp":"{timestamp}","accountId":"acme",'
        '"attributes":[{"name":"sms","value":"1"}],"dimensions":{"country":"US"}}'
    )


def ask(togai: FakeTogai, request: bytes) -> tuple[int, bytes]:
    with socket.create_connection(("127.0.0.1", togai.port), 10) as connection:
        connection.sendall(request)
        reply = http.client.HTTPResponse(connection)
        reply.begin()
        return reply.status, reply.read()


@pytest.mark.parametrize(
    "timestamp",
    [
        pytest.param("2026-11-29T01:07:55.810862", id="utcnow"),
        pytest.param("2026-11-29T01:07:55.812158+00:00", id="now(utc)"),
        pytest.param("2024-05-01T12:00:00+05:30", id="now(india)"),
        pytest.param("2026-11-29T00:00:00", id="today"),
    ],
)
def test_the_python_clients_timestamps_are_taken(togai: FakeTogai, timestamp: str) -> None:
    request = python("POST /ingest", f'{{"event": {python_event(timestamp)}}}')

    assert ask(togai, request) == (202, b'{"success": true}')
    assert togai.ledger.get("p1").metered == 1


@pytest.mark.parametrize(
    "timestamp",
    [
        pytest.param("2026-11-29T01:07:56+00:00", id="DateTime.now"),
        pytest.param("2026-11-29 01:07:56 +0000", id="Time.now"),
        pytest.param("2026-11-29 06:37:56 +0530", id="Time.now, in India"),
        pytest.param("2026-11-29 01:07:56 UTC", id="Time.now.utc"),
        pytest.param("2026-11-29T01:07:56.710Z", id="Time.now.utc.iso8601(3)"),
    ],
)
def test_the_ruby_clients_timestamps_are_taken(togai: FakeTogai, timestamp: str) -> None:
    request = ruby("POST /ingest", f'{{"event":{ruby_event(timestamp)}}}')

    assert ask(togai, request) == (202, b'{"success": true}')
    assert togai.ledger.get("r1").metered == 1


def test_a_batch_of_the_python_client_is_taken(togai: FakeTogai) -> None:
    first, second = (python_event("2026-11-29T01:07:55.814750", each) for each in ("p1", "p2"))

    assert ask(togai, python("POST /ingestBatch", f'{{"events": [{first}, {second}]}}'))[0] == 202
    assert togai.ledger.ids == {"p1", "p2"}


def test_a_batch_of_the_ruby_client_is_taken(togai: FakeTogai) -> None:
    first, second = (ruby_event("2026-11-29T01:07:56Z", each) for each in ("r1", "r2"))

    assert ask(togai, ruby("POST /ingestBatch", f'{{"events":[{first},{second}]}}'))[0] == 202
    assert togai.ledger.ids == {"r1", "r2"}


@pytest.mark.parametrize("client", [python, ruby])
def test_both_clients_read_a_list_and_none_gets_an_empty_one_at_which_it_fails(
    togai: FakeTogai, client: Client
) -> None:
    ask(togai, python("POST /ingest", f'{{"event": {python_event("2026-11-29T01:07:55Z")}}}'))

    assert ask(togai, client("GET /events?pageSize=2", ""))[0] == 200
    nothing = ask(togai, client("GET /events?schema_name=nothing", ""))
    assert nothing == (404, b'{"message": "no event is found"}')


# --- look-ups ---------------------------------------------------------------------------------------------

METRICS = (
    '{"startTime": "2024-05-01T00:00:00+00:00", "endTime": "2024-05-02T00:00:00+00:00", "metricQueries": '
    '[{"id": "m1", "name": "EVENTS", "aggregationPeriod": "DAY", "groupBy": "RAW_EVENT_STATUS", "filters": '
    '[{"fieldName": "EVENT_STATUS", "fieldValues": ["PROCESSED", "UNPROCESSED", "IN_PROGRESS"]}]}]}'
)
NAIVE_METRICS = (
    '{"startTime": "2024-05-01T00:00:00", "endTime": "2024-05-02T00:00:00", "metricQueries": '
    '[{"id": "m1", "name": "EVENTS", "aggregationPeriod": "DAY"}]}'
)


@pytest.fixture
def filled(togai: FakeTogai) -> FakeTogai:
    """A sandbox that has events of each kind, schemas and accounts."""
    togai.schemas = [
        {
            "name": "message_sent",
            "version": 2,
            "status": "ACTIVE",
            "attributes": [{"name": "sms", "defaultUnit": "count"}],
            "dimensions": [{"name": "country"}],
            "usageMetersCount": 1,
        },
        "sms",
    ]
    togai.accounts = [{"id": "acme", "aliases": [{"alias": "acme-eu"}], "customerId": "acme_inc"}, "gx"]
    at = "2024-05-01T12:00:00+00:00"
    events = [python_event(at, each) for each in ("p1", "p2", "p2")]
    events += [python_event(at, "p3").replace("message_sent", "mesage_sent")]
    events += [python_event(at, "p4").replace("acme", "nobody")]
    ask(togai, python("POST /ingestBatch", f'{{"events": [{", ".join(events)}]}}'))
    return togai


@pytest.mark.parametrize(
    ("line", "body", "reply"),
    [
        ("GET /events?pageSize=2", "", replies.Events),
        ("GET /events?status=UNPROCESSED&account_id=acme&schema_name=message_sent", "", replies.Events),
        ("GET /events/p1", "", replies.SingleEvent),
        ("GET /events/p2", "", replies.SingleEvent),
        ("GET /events/p3", "", replies.SingleEvent),
        ("GET /events/p4", "", replies.SingleEvent),
        ("POST /metrics", METRICS, replies.Metrics),
        ("POST /metrics", NAIVE_METRICS, replies.Metrics),
        ("GET /event_schema", "", replies.Schemas),
        ("GET /event_schema?status=ACTIVE&pageSize=1", "", replies.Schemas),
        ("GET /accounts", "", replies.Accounts),
        ("GET /accounts?pageSize=1", "", replies.Accounts),
    ],
)
def test_the_python_client_is_answered_as_its_specification_says(
    filled: FakeTogai, line: str, body: str, reply: type[BaseModel]
) -> None:
    status, content = ask(filled, python(line, body))

    assert status == 200
    reply.model_validate_json(content)


def test_the_python_client_reads_what_became_of_all_events(filled: FakeTogai) -> None:
    _, content = ask(filled, python("POST /metrics", METRICS))

    (result,) = replies.Metrics.model_validate_json(content).results
    counted = {each.grouped_by.field_value: each.metric_values for each in result.data if each.grouped_by}
    assert counted == {
        "INGESTION_COMPLETED_EVENT_METERED": [2],
        "INGESTION_FAILED_ACCOUNT_NOT_FOUND": [1],
        "INGESTION_FAILED_DUPLICATE_EVENT": [1],
        "INGESTION_FAILED_SCHEMA_NOT_DEFINED": [1],
    }


def test_the_python_client_cannot_correct_since_it_sends_no_account(filled: FakeTogai) -> None:
    empty = "Content-Length: 0\r\nContent-Type: application/json\r\nAccept: application/json\r\n"
    request = python("POST /events/correction?action=UNDO").replace(
        b"Accept: application/json\r\n", empty.encode()
    )

    status, content = ask(filled, request)

    assert status == 400
    assert replies.Error.model_validate_json(content).message == "account_id: is required"


@pytest.mark.parametrize("action", ["UNDO", "REDO"])
def test_a_correction_is_answered_as_the_specification_says(filled: FakeTogai, action: str) -> None:
    line = f"POST /events/correction?action={action}&account_id=acme&event_id=p2"

    status, content = ask(filled, python(line, "{}"))

    assert status == 200
    assert {each.status for each in replies.Corrections.model_validate_json(content).data} == {
        "FAILED",  # the duplicate
        "REVERTED" if action == "UNDO" else "REVERTED_AND_REINGESTED",
    }
