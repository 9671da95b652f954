"""What a fault does to the connection, and to the time that a request takes."""

from __future__ import annotations

import pytest
import requests
from five_events import FIVE, bare, batch, everything, single

from togai_shipper.testing import FakeTogai, faults

# --- the connection ---------------------------------------------------------------------------------------


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


# --- time -------------------------------------------------------------------------------------------------


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
