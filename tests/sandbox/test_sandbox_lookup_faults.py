"""What can go wrong with a look-up in the sandbox, over HTTP."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

import pytest
import requests
from bare_client import event, get, single

from togai_shipper.testing import FakeTogai, faults

if TYPE_CHECKING:
    from togai_shipper.testing import Received

ENDPOINTS = [
    ("GET", "/events"),
    ("GET", "/events/e-1"),
    ("POST", "/events/correction"),
    ("POST", "/metrics"),
    ("GET", "/event_schema"),
    ("GET", "/accounts"),
]


@pytest.mark.parametrize(("method", "path"), ENDPOINTS)
def test_each_lookup_meets_the_next_fault_of_its_own_queue(
    togai: FakeTogai, session: requests.Session, method: str, path: str
) -> None:
    togai.script_lookups(faults.Throttle(retry_after=3), None)
    single(session, togai, event())

    throttled = session.request(method, togai.url + path, timeout=10)
    free = session.request(method, togai.url + path, timeout=10)

    assert (throttled.status_code, throttled.headers["retry-after"]) == (429, "3")
    assert free.status_code in (200, 400, 415)
    assert [request.fault for request in togai.requests] == [None, faults.Throttle(retry_after=3), None]


@pytest.mark.parametrize(
    ("fault", "status"),
    [
        (faults.Refuse(403), 403),
        (faults.Refuse(500), 500),
        (faults.Html(502), 502),
        (faults.Empty(200), 200),
        (faults.Answer(200, b"{}"), 200),
        (faults.Slow(0.0, faults.Refuse(503)), 503),
        (faults.Slow(0.0), 200),
    ],
)
def test_a_fault_replies_in_the_place_of_what_is_found(
    togai: FakeTogai, session: requests.Session, fault: Any, status: int
) -> None:
    single(session, togai, event())
    togai.script_lookups(fault)

    assert get(session, togai, "/events/e-1").status_code == status


@pytest.mark.parametrize("fault", [faults.Reset(), faults.Raw(b""), faults.Cut()])
def test_a_lookup_can_lose_its_connection(togai: FakeTogai, session: requests.Session, fault: Any) -> None:
    togai.script_lookups(fault)

    with pytest.raises((requests.ConnectionError, requests.exceptions.ChunkedEncodingError)):
        get(session, togai, "/events")


def test_what_is_cut_begins_as_the_reply_to_a_lookup_does(
    togai: FakeTogai, session: requests.Session
) -> None:
    togai.script_lookups(faults.Drip(part="body"))

    with session.get(togai.url + "/events", stream=True, timeout=10) as reply:
        assert reply.status_code == 200


def test_a_lookup_can_hang_until_the_client_leaves(togai: FakeTogai, session: requests.Session) -> None:
    togai.script_lookups(faults.Hang())

    with pytest.raises(requests.ReadTimeout):
        session.get(togai.url + "/events", timeout=0.05)
    assert togai.wait(lambda: togai.requests[0].ended)
    assert togai.requests[0].status is None


def test_a_lookup_that_is_held_is_answered_once_it_is_released(
    togai: FakeTogai, session: requests.Session
) -> None:
    togai.script_lookups(faults.Hold())
    with pytest.raises(requests.ReadTimeout):
        session.get(togai.url + "/events", timeout=0.05)

    togai.release()

    assert togai.wait(lambda: togai.requests[0].ended)


@pytest.mark.parametrize("fault", [faults.Hold(), faults.Slow(60.0)])
def test_a_correction_that_waits_when_the_sandbox_stops_is_not_done(
    session: requests.Session, fault: Any
) -> None:
    togai = FakeTogai().start()
    single(session, togai, event())
    togai.script_lookups(fault)
    line = "POST /events/correction?action=UNDO&account_id=acme&event_id=e-1 HTTP/1.1\r\n"
    with socket.create_connection(("127.0.0.1", togai.port), 10) as connection:
        connection.sendall(f"{line}Host: togai\r\nAuthorization: Bearer secret\r\n\r\n".encode())
        assert togai.wait(lambda: togai.requests[1:] and togai.requests[1].fault)

        togai.stop()

    assert (togai.ledger.metered, togai.requests[1].status) == (1, None)


def test_a_correction_that_meets_a_fault_is_not_done(togai: FakeTogai, session: requests.Session) -> None:
    single(session, togai, event())
    togai.script_lookups(faults.Html(502))
    query = {"action": "UNDO", "account_id": "acme", "event_id": "e-1"}

    assert session.post(togai.url + "/events/correction", params=query, timeout=10).status_code == 502
    assert togai.ledger.metered == 1


def test_a_function_can_say_what_each_lookup_meets(togai: FakeTogai, session: requests.Session) -> None:
    asked = []

    def on_lookup(received: Received) -> faults.Fault | None:
        asked.append((received.method, received.path, received.query))
        return faults.Refuse(503) if received.path == "/events" else None

    togai.on_lookup = on_lookup
    assert togai.on_lookup is on_lookup

    assert get(session, togai, "/events", status="UNKNOWN").status_code == 503
    assert get(session, togai, "/event_schema").status_code == 200
    assert single(session, togai, event()).status_code == 202
    assert asked == [("GET", "/events", "status=UNKNOWN"), ("GET", "/event_schema", "")]


@pytest.mark.parametrize("fault", [faults.Partial(), faults.Slow(0.0, faults.Hold(faults.Partial()))])
def test_a_reply_to_a_batch_is_no_fault_of_a_lookup(togai: FakeTogai, fault: Any) -> None:
    with pytest.raises(ValueError, match="Partial is a reply to a batch of events"):
        togai.script_lookups(fault)


def test_a_function_that_says_so_nevertheless_fails_the_test(session: requests.Session) -> None:
    togai = FakeTogai().start()
    togai.on_lookup = lambda received: faults.Partial()
    assert get(session, togai, "/events").status_code == 500

    with pytest.raises(ValueError, match="Partial is a reply to a batch of events"):
        togai.stop()


def test_what_the_page_makes_of_every_request_it_makes_of_lookups_too(
    togai: FakeTogai, session: requests.Session
) -> None:
    def press(**wish: Any) -> None:
        page = {"X-Sandbox-Page": "1"}
        reply = session.post(togai.url + "/page/faults", json=wish, headers=page, timeout=10)
        assert reply.status_code == 200

    press(name="down", on=True, once=False)
    assert get(session, togai, "/event_schema").status_code == 503
    press(name="down", on=True, once=True)
    assert get(session, togai, "/event_schema").status_code == 200
    press(name="lost", on=True, once=False)
    assert get(session, togai, "/event_schema").status_code == 200
