"""Other endpoints, and what the sandbox remembers of each request."""

from __future__ import annotations

import pytest
import requests
from bare_client import batch, event, get, single

from togai_shipper.testing import FakeTogai


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", "/", 405),
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
    assert ("Allow" in reply.headers) == (status == 405)
    assert (togai.requests[-1].path, togai.requests[-1].status) == (path, status)
    assert togai.ledger.get("e-1").receipts == 0


@pytest.mark.parametrize(
    ("path", "methods"),
    [
        ("/ingest", {"POST"}),
        ("/ingestBatch", {"POST"}),
        ("/events", {"GET", "HEAD"}),
        ("/events/e-1", {"GET", "HEAD"}),
        ("/authenticate", {"POST"}),
    ],
)
def test_a_refused_method_is_told_which_ones_are_allowed(
    togai: FakeTogai, session: requests.Session, path: str, methods: set[str]
) -> None:
    reply = session.delete(togai.url + path, timeout=10)

    assert reply.status_code == 405
    assert set(reply.headers["Allow"].split(", ")) == methods


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
