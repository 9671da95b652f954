"""Each fault of the sandbox, seen from the client's end of the connection and from the ledger."""

from __future__ import annotations

import json
import socket
import threading
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import pytest
import requests

from togai_shipper.testing import FakeTogai, faults

if TYPE_CHECKING:
    from togai_shipper.testing import Received

TAKEN = {"none": 0, "half": 2, "all": 5}  # of a batch of 5


def event(event_id: str = "e-1", **changes: Any) -> dict[str, Any]:
    return {
        "id": event_id,
        "schemaName": "api_call",
        "timestamp": "2024-01-01T00:00:00Z",
        "accountId": "acme",
        "attributes": [],
        "dimensions": {},
    } | changes


FIVE = [event(f"e-{n}") for n in range(5)]


def batch(
    session: requests.Session, togai: FakeTogai, events: list[Any] = FIVE, **options: Any
) -> requests.Response:
    options.setdefault("timeout", 10)
    return session.post(togai.url + "/ingestBatch", json={"events": events}, **options)


def single(session: requests.Session, togai: FakeTogai, one: dict[str, Any]) -> requests.Response:
    return session.post(togai.url + "/ingest", json={"event": one}, timeout=10)


def bare(togai: FakeTogai, events: list[Any] = FIVE, key: str = "secret") -> socket.socket:
    """A connection on which a batch was sent."""
    body = json.dumps({"events": events}).encode()
    head = (
        "POST /ingestBatch HTTP/1.1\r\nHost: togai\r\nContent-Type: application/json\r\n"
        f"Authorization: Bearer {key}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    connection = socket.create_connection(("127.0.0.1", togai.port), 10)
    connection.sendall(head.encode() + body)
    return connection


def everything(connection: socket.socket) -> bytes:
    """All bytes until the other end closes."""
    received = b""
    while more := connection.recv(65536):
        received += more
    return received


# --- the script ---


def test_the_next_requests_take_the_queued_faults_in_order_one_each(
    togai: FakeTogai, session: requests.Session
) -> None:
    togai.script(faults.Refuse(503), None, faults.Refuse(500))
    assert togai.script_left == 3

    assert [batch(session, togai).status_code for _ in range(4)] == [503, 202, 500, 202]
    assert [request.fault for request in togai.requests] == [
        faults.Refuse(503),
        None,
        faults.Refuse(500),
        None,
    ]
    assert togai.script_left == 0


def test_lookups_take_nothing_from_the_queue(togai: FakeTogai, session: requests.Session) -> None:
    togai.script(faults.Refuse(503))

    assert session.get(togai.url + "/events", timeout=10).status_code == 200
    assert togai.script_left == 1


def test_on_request_is_asked_when_the_queue_is_empty(togai: FakeTogai, session: requests.Session) -> None:
    asked = []

    def every_second(received: Received) -> faults.Fault | None:
        asked.append(received.number)
        return faults.Refuse(503) if received.number % 2 else None

    togai.on_request = every_second
    togai.script(faults.Refuse(500))

    assert [batch(session, togai).status_code for _ in range(4)] == [500, 503, 202, 503]
    assert asked == [1, 2, 3]
    assert togai.on_request is every_second


def test_what_on_request_raises_is_raised_by_stop_and_answered_500(session: requests.Session) -> None:
    togai = FakeTogai().start()
    togai.on_request = lambda received: received.no_such_field

    reply = batch(session, togai)

    assert (reply.status_code, togai.requests[0].status) == (500, 500)
    batch(session, togai)
    with pytest.raises(AttributeError, match="no_such_field"):
        togai.stop()
    togai.stop()


# --- poison ---


def test_a_poisonous_event_sinks_every_request_it_is_in_until_it_is_cured(
    togai: FakeTogai, session: requests.Session
) -> None:
    togai.poison("e-3", message="unfit")

    refused = batch(session, togai)
    assert (refused.status_code, refused.json()) == (400, {"message": "unfit"})
    assert single(session, togai, FIVE[3]).status_code == 400
    assert single(session, togai, FIVE[2]).status_code == 202
    assert togai.ledger.ids == {"e-2"}

    togai.cure()
    assert batch(session, togai).status_code == 202
    assert togai.ledger.metered == 5


def test_poison_may_be_a_predicate_and_have_a_status_of_its_own(
    togai: FakeTogai, session: requests.Session
) -> None:
    togai.poison("unheard-of", 500)
    togai.poison(lambda event: event["accountId"] == "evil", 500)

    assert batch(session, togai).status_code == 202
    assert batch(session, togai, [event("x", accountId="evil")]).status_code == 500


def test_poison_of_status_207_costs_a_batch_the_poisonous_ones_alone(
    togai: FakeTogai, session: requests.Session
) -> None:
    togai.partial_shape = "A"
    togai.poison(lambda event: event["id"] in ("e-1", "e-4"), 207, "unfit")

    reply = batch(session, togai)

    assert reply.status_code == 207
    assert reply.json() == {
        "errors": [
            {"message": "unfit", "eventPayload": FIVE[1]},
            {"message": "unfit", "eventPayload": FIVE[4]},
        ]
    }
    assert togai.ledger.lost(f"e-{n}" for n in range(5)) == {"e-1", "e-4"}


def test_an_invalid_event_is_not_asked_for_poison(togai: FakeTogai, session: requests.Session) -> None:
    togai.poison(lambda event: event["id"] == "e-1", 207, "unfit")

    reply = batch(session, togai, [FIVE[1], 5, {"no": "id"}])

    assert (reply.status_code, reply.json()) == (400, {"message": "events[1]: must be an object"})
    assert len(togai.ledger) == 0


def test_a_refused_event_is_not_also_a_repeat(togai: FakeTogai, session: requests.Session) -> None:
    togai.duplicate_reply, togai.partial_shape = 207, "A"
    togai.poison("e-0", 207, "unfit")

    reply = batch(session, togai, [FIVE[0], FIVE[0], FIVE[1], FIVE[1]])

    assert [item["message"] for item in reply.json()["errors"]] == [
        "unfit",
        "unfit",
        "duplicate event id: it was ingested before",
    ]
    assert togai.ledger.get("e-1").accepted == 2
    assert togai.ledger.ids == {"e-1"}


# --- replies ---


ITEM = {"message": "unfit", "eventPayload": FIVE[1]}
C = {"success": False, "statusCode": 207, "name": "PartialFailure", "message": "unfit", "details": {}}


@pytest.mark.parametrize(
    ("fault", "body"),
    [
        (faults.Partial("A", bad=("e-1",), message="unfit"), {"errors": [ITEM]}),
        (faults.Partial("A", bad="e-1", message="unfit"), {"errors": [ITEM]}),
        (faults.Partial("A", bad=1, message="unfit"), {"errors": [ITEM]}),
        (faults.Partial("A", bad=lambda event: event["id"] == "e-1", message="unfit"), {"errors": [ITEM]}),
        (faults.Partial("A", bad=(1,), message="unfit", names=False), {"errors": [{"message": "unfit"}]}),
        (faults.Partial("B", bad=(1,), message="unfit"), ITEM),
        (faults.Partial("C", bad=(1,), message="unfit"), C),
        (faults.Partial("C", bad=(1,), message="unfit", code="E1"), C | {"code": "E1"}),
        (faults.Partial("details", bad=(1,), message="unfit"), C | {"details": {"errors": [ITEM]}}),
    ],
)
def test_a_partial_failure_takes_all_but_the_bad_events(
    togai: FakeTogai, session: requests.Session, fault: Any, body: Any
) -> None:
    togai.script(fault)

    reply = batch(session, togai)

    assert (reply.status_code, reply.json()) == (207, body)
    assert togai.ledger.ids == {"e-0", "e-2", "e-3", "e-4"}


def test_shape_b_names_the_first_of_several_bad_events_and_hides_the_others(
    togai: FakeTogai, session: requests.Session
) -> None:
    togai.script(faults.Partial("B", bad=(3, "e-1")))

    assert batch(session, togai).json()["eventPayload"] == FIVE[1]
    assert togai.ledger.lost(f"e-{n}" for n in range(5)) == {"e-1", "e-3"}


@pytest.mark.parametrize(
    ("shape", "body"),
    [
        ("A", {"errors": []}),
        ("B", {"message": "unfit"}),
        ("C", C),
        ("details", C | {"details": {"errors": []}}),
    ],
)
def test_a_partial_failure_of_nobody_is_still_a_207(
    togai: FakeTogai, session: requests.Session, shape: str, body: Any
) -> None:
    togai.script(faults.Partial(shape, bad=(), message="unfit"))

    reply = batch(session, togai)

    assert (reply.status_code, reply.json()) == (207, body)
    assert togai.ledger.metered == 5


def test_a_partial_failure_of_a_single_event_refuses_it(togai: FakeTogai, session: requests.Session) -> None:
    togai.script(faults.Partial())

    assert single(session, togai, event()).status_code == 207
    assert len(togai.ledger) == 0


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 413, 422, 500, 503])
def test_a_refusal_has_any_status_and_togais_message(
    togai: FakeTogai, session: requests.Session, status: int
) -> None:
    togai.script(faults.Refuse(status, "no"))

    reply = batch(session, togai)

    assert (reply.status_code, reply.json()) == (status, {"message": "no"})
    assert reply.headers["Content-Type"] == "application/json"
    assert len(togai.ledger) == 0


@pytest.mark.parametrize(
    ("retry_after", "header"),
    [
        (None, None),
        (0, "0"),
        (120, "120"),
        (1.5, "1.5"),
        ("soon", "soon"),
        (datetime(2024, 1, 1, 1, tzinfo=timezone(timedelta(hours=1))), "Mon, 01 Jan 2024 00:00:00 GMT"),
    ],
)
def test_a_throttle_comes_with_or_without_retry_after(
    togai: FakeTogai, session: requests.Session, retry_after: Any, header: Any
) -> None:
    togai.script(faults.Throttle(retry_after), faults.Throttle(retry_after, status=503))

    replies = [batch(session, togai) for _ in range(2)]

    assert [reply.status_code for reply in replies] == [429, 503]
    assert [reply.headers.get("Retry-After") for reply in replies] == [header] * 2


def test_a_gateway_answers_in_html(togai: FakeTogai, session: requests.Session) -> None:
    togai.script(faults.Html(), faults.Html(504))

    replies = [batch(session, togai) for _ in range(2)]

    assert [reply.status_code for reply in replies] == [502, 504]
    assert replies[0].headers["Content-Type"] == "text/html; charset=utf-8"
    assert "<title>502</title>" in replies[0].text


def test_an_empty_reply_has_no_body(togai: FakeTogai, session: requests.Session) -> None:
    togai.script(faults.Empty())

    reply = batch(session, togai)

    assert (reply.status_code, reply.content) == (202, b"")
    assert togai.ledger.metered == 5


def test_any_other_reply_can_be_put_in_words(togai: FakeTogai, session: requests.Session) -> None:
    togai.script(
        faults.Answer(),
        faults.Answer(200, b"<html>", "text/html"),
        faults.Answer(302, b"", None, headers={"Location": "http://127.0.0.1:1/"}),
        faults.Answer(204, b""),
    )

    accepted = batch(session, togai)
    page = batch(session, togai)
    redirect = batch(session, togai, allow_redirects=False)

    assert (accepted.status_code, accepted.json()) == (202, {"success": True})
    assert (page.status_code, page.content, page.headers["Content-Type"]) == (
        200,
        b"<html>",
        "text/html; charset=utf-8",
    )
    assert (redirect.status_code, redirect.headers["Location"]) == (302, "http://127.0.0.1:1/")
    assert "Content-Type" not in redirect.headers
    assert batch(session, togai).status_code == 204
    assert len(togai.ledger) == 0


@pytest.mark.parametrize("size", [17, 18, 200_000])
def test_a_huge_reply_is_valid_json_of_that_size(
    togai: FakeTogai, session: requests.Session, size: int
) -> None:
    togai.script(faults.Huge(size, 200))

    reply = batch(session, togai)

    assert (reply.status_code, len(reply.content), reply.json()) == (200, size, {"success": True})


def test_a_huge_reply_ends_when_the_client_leaves(togai: FakeTogai) -> None:
    togai.script(faults.Huge(10**12))

    with bare(togai) as connection:
        assert connection.recv(12) == b"HTTP/1.1 202"


# --- the connection ---


def test_a_reset_connection_is_reset(togai: FakeTogai) -> None:
    togai.script(faults.Reset())

    with bare(togai) as connection, pytest.raises(ConnectionResetError):
        connection.recv(1)

    assert togai.requests[0].status is None


def test_a_cut_reply_stops_before_its_announced_end(togai: FakeTogai, session: requests.Session) -> None:
    togai.script(faults.Cut(), faults.Cut(sent=0))

    with bare(togai) as connection:
        head, _, body = everything(connection).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 202 ")
    assert b"content-length: 17" in head
    assert body == b'{"succes'
    with pytest.raises(requests.RequestException, match="17 more expected"):
        batch(session, togai)
    assert togai.ledger.metered == 5
    assert togai.ledger.get("e-0").accepted == 2


def test_a_raw_reply_is_byte_for_byte_what_was_given(togai: FakeTogai) -> None:
    for data in (b"", b"\x16\x03\x01garbage", b"HTTP/1.1 100 Continue\r\n\r\n", b"<html>" * 100_000):
        togai.script(faults.Raw(data))

        with bare(togai) as connection:
            assert everything(connection) == data


def test_a_dripping_body_comes_byte_by_byte(togai: FakeTogai) -> None:
    togai.script(faults.Drip(0.001))

    with bare(togai) as connection:
        received = b""
        while not received.endswith(b"\r\n\r\nxxx"):
            received += connection.recv(1)

    assert received.startswith(b"HTTP/1.1 202 Accepted\r\n")


def test_dripping_headers_come_byte_by_byte(togai: FakeTogai) -> None:
    togai.script(faults.Drip(0.001, "headers"))

    with bare(togai) as connection:
        received = b""
        while not received.endswith(b"\r\nx-drip: xxx"):
            received += connection.recv(1)

    assert b"\r\n\r\n" not in received


def test_a_request_that_hangs_is_never_answered(togai: FakeTogai) -> None:
    togai.script(faults.Hang())

    with bare(togai) as connection:
        assert togai.wait(lambda: togai.requests)
        connection.settimeout(0.01)
        with pytest.raises(TimeoutError):
            connection.recv(1)

    assert togai.requests[0].status is None


# --- time ---


def test_a_slow_request_behaves_when_the_time_is_over(togai: FakeTogai, session: requests.Session) -> None:
    togai.script(faults.Slow(0.001), faults.Slow(0.001, faults.Refuse(503)))

    assert batch(session, togai).status_code == 202
    assert batch(session, togai).status_code == 503
    assert togai.ledger.metered == 5


def test_what_a_slow_request_takes_on_arrival_it_does_not_take_again(
    togai: FakeTogai, session: requests.Session
) -> None:
    togai.script(
        faults.Slow(0.001, ingest="half"),
        faults.Slow(0.001, faults.Partial(bad=(0, 4)), ingest="half"),
        faults.Hold(ingest="all"),
    )
    assert batch(session, togai).status_code == 202
    assert togai.ledger.accepted == 5

    togai.clear()
    assert batch(session, togai).status_code == 207
    assert [record.event["id"] for record in togai.ledger.records] == ["e-0", "e-1", "e-2", "e-3"]

    togai.clear()
    with bare(togai) as connection:
        assert togai.wait(lambda: togai.ledger.metered == 5)
        togai.release()
        assert connection.recv(12) == b"HTTP/1.1 202"
    assert togai.ledger.accepted == 5


def test_a_known_id_is_still_a_repeat_where_others_were_taken_on_arrival(
    togai: FakeTogai, session: requests.Session
) -> None:
    togai.duplicate_reply, togai.partial_shape = 207, "A"
    single(session, togai, FIVE[3])
    togai.script(faults.Slow(0.001, ingest="half"))

    reply = batch(session, togai)

    assert [item["eventPayload"]["id"] for item in reply.json()["errors"]] == ["e-3"]


def test_a_held_request_waits_for_its_release(togai: FakeTogai) -> None:
    togai.script(faults.Hold(faults.Refuse(503)))
    with bare(togai) as connection:
        assert togai.wait(lambda: togai.requests)
        assert togai.requests[0].fault == faults.Hold(faults.Refuse(503))
        assert togai.requests[0].status is None
        assert len(togai.ledger) == 0

        togai.release()

        assert connection.recv(12) == b"HTTP/1.1 503"
    assert togai.requests[0].status == 503


def test_a_release_lets_go_only_what_is_held_at_that_time(togai: FakeTogai) -> None:
    togai.release()
    togai.script(faults.Hold(), faults.Hold())
    for held in (1, 2):
        with bare(togai) as connection:
            assert togai.wait(lambda held=held: len(togai.requests) == held)
            connection.settimeout(0.01)
            with pytest.raises(TimeoutError):
                connection.recv(1)

            togai.release()

            connection.settimeout(10)
            assert connection.recv(12) == b"HTTP/1.1 202"


def test_a_held_request_takes_its_events_even_when_its_client_has_left(togai: FakeTogai) -> None:
    togai.script(faults.Hold())
    bare(togai).close()
    assert togai.wait(lambda: togai.requests)

    togai.release()

    assert togai.wait(lambda: togai.ledger.metered == 5)


def test_a_request_whose_client_has_left_was_not_answered(togai: FakeTogai) -> None:
    togai.script(faults.Hold(), faults.Hold())
    with bare(togai) as connection:
        assert togai.wait(lambda: togai.requests)
    # The sandbox serves one thing after another: when this one is noted, the end of the first one was seen.
    with bare(togai) as connection:
        assert togai.wait(lambda: len(togai.requests) == 2)
        togai.release()
        assert connection.recv(12) == b"HTTP/1.1 202"

    assert [request.status for request in togai.requests] == [None, 202]


# --- ingest, then fail ---


@pytest.mark.parametrize("share", ["none", "half", "all"])
@pytest.mark.parametrize(
    "fault",
    [
        faults.Refuse,
        faults.Throttle,
        faults.Html,
        faults.Empty,
        faults.Answer,
        faults.Huge,
        faults.Hang,
        faults.Reset,
        faults.Cut,
        faults.Drip,
        faults.Raw,
    ],
)
def test_a_fault_takes_its_share_of_the_batch_before_it_happens(
    togai: FakeTogai, fault: Any, share: str
) -> None:
    togai.script(fault(ingest=share))

    with bare(togai):
        assert togai.wait(
            lambda: togai.requests and togai.requests[0].fault and togai.ledger.metered == TAKEN[share]
        )

    assert togai.ledger.ids == {f"e-{n}" for n in range(TAKEN[share])}
    assert togai.ledger.get("e-0").receipts == 1


@pytest.mark.parametrize("fault", [faults.Refuse(503, ingest="all"), faults.Partial(bad=())])
def test_a_fault_takes_nothing_of_what_would_be_refused_anyway(
    togai: FakeTogai, session: requests.Session, fault: Any
) -> None:
    togai.script(fault, fault)

    for events, key in (([*FIVE, event(colour="red")], "secret"), (FIVE, "wrong")):
        session.headers["Authorization"] = f"Bearer {key}"
        assert batch(session, togai, events).status_code in (503, 207)

    assert len(togai.ledger) == 0


@pytest.mark.parametrize(
    ("fault", "fields"),
    [
        (faults.Refuse, {"status": 199}),
        (faults.Answer, {"status": 600}),
        (faults.Reset, {"ingest": "most"}),
        (faults.Slow, {"seconds": -1}),
        (faults.Hold, {"ingest": "most"}),
        (faults.Drip, {"interval": 0}),
        (faults.Drip, {"part": "feet"}),
        (faults.Cut, {"sent": 17}),
        (faults.Huge, {"size": 16}),
        (faults.Partial, {"shape": "D"}),
    ],
)
def test_a_fault_that_cannot_be_is_an_error_at_once(fault: Any, fields: Any) -> None:
    with pytest.raises(ValueError, match=next(iter(fields))):
        fault(**fields)


@pytest.mark.parametrize(("fault", "field"), [(faults.Raw, "data"), (faults.Answer, "body")])
def test_bytes_are_bytes(fault: Any, field: str) -> None:
    with pytest.raises(TypeError, match=field):
        fault(**{field: "text"})


def test_requests_that_wait_do_not_keep_others_waiting(togai: FakeTogai, session: requests.Session) -> None:
    togai.script(faults.Hang(), faults.Hold(), faults.Slow(60))
    waiting = [bare(togai, [event(f"w-{n}")]) for n in range(3)]
    assert togai.wait(lambda: len(togai.requests) == 3)

    assert batch(session, togai).status_code == 202

    for connection in waiting:
        connection.close()


def test_many_clients_at_once_get_what_is_theirs(togai: FakeTogai) -> None:
    def send(worker: int) -> None:
        with requests.Session() as session:
            session.trust_env = False
            session.headers["Authorization"] = "Bearer secret"
            for n in range(10):
                assert batch(session, togai, [event(f"{worker}-{n}")]).status_code == 202

    workers = [threading.Thread(target=send, args=(worker,)) for worker in range(8)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(10)

    assert togai.ledger.metered == 80
    assert sorted(request.number for request in togai.requests) == list(range(80))
