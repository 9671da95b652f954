"""The reply of each fault, as a client sees it."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
import requests
from five_events import FIVE, bare, batch, event, single

from togai_shipper.testing import FakeTogai, faults

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
