"""What each reply means: the table row by row, and that there is a verdict on everything."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from datetime import datetime, timezone
from email.utils import format_datetime
from itertools import count
from typing import Any

import attrs
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from togai_shipper._engine.verdict import (
    MAX_MESSAGE,
    MAX_RETRY_AFTER,
    Accepted,
    Complaint,
    Park,
    Partly,
    Refused,
    Reply,
    TryLater,
    is_line_dead,
    is_togais_word,
    is_word_on_a_look_up,
    judge,
    retry_after,
    words_of,
)

PAGE = b"<html>it works</html>"  # what a gateway, a proxy or a login says
OBJECT = b'{"message": "no"}'


def reply(status: int | None, body: Any = OBJECT, **facts: Any) -> Reply:
    return Reply(status, body if isinstance(body, bytes) else json.dumps(body).encode(), **facts)


def item(event_id: Any, message: str = "no") -> dict[str, Any]:
    return {"message": message, "eventPayload": {"id": event_id, "accountId": "acme"}}


# --- taken --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" \r\n",
        {},
        {"success": True},
        {"errors": []},
        {"errors": None},
        b'\xef\xbb\xbf \n{"success": true}\n',
        '{"success": true}'.encode("utf-16"),
    ],
    ids=str,
)
def test_a_202_with_a_json_object_or_nothing_is_accepted(body: Any) -> None:
    assert judge(reply(202, body)) == Accepted()


@pytest.mark.parametrize(
    "body",
    [PAGE, [], [item("1")], None, True, 202, "OK", b"OK", b'{"success": tr', b"{} {}", b"\xff\x00{}", b"\0"],
    ids=str,
)
@pytest.mark.parametrize("status", [202, 207])
def test_a_202_or_207_with_anything_else_is_the_word_of_a_gateway_and_the_events_go_again(
    status: int, body: Any
) -> None:
    assert judge(reply(status, body)) == TryLater(status, f"HTTP {status}, a page that is not Togai's")


@pytest.mark.parametrize(
    "body", [{"success": True}, {"errors": []}, {"success": True, "details": {"a": [{"b": 1}]}}], ids=str
)
def test_a_200_that_says_so_is_accepted(body: Any) -> None:
    assert judge(reply(200, body)) == Accepted()


@pytest.mark.parametrize(
    "body",
    [b"", PAGE, b'{"success": tr', {}, [], None, {"success": "true"}, {"success": 1}, {"message": "Welcome"}],
    ids=str,
)
def test_a_200_with_anything_else_is_not_togais_word(body: Any) -> None:
    who = "an answer" if isinstance(body, dict) or body == b"" else "a page"
    assert judge(reply(200, body)) == TryLater(200, f"HTTP 200, {who} that is not Togai's")


# --- taken in part ------------------------------------------------------------------------------------------

NAMING = [
    {"errors": [item("1")]},
    item("1"),
    {"details": [item("1")]},
    {"details": {"errors": [item("1")]}},
    {"details": {"failed": [item("1")], "other": [{"path": "x"}], "count": 1}},
    {"details": item("1")},
    {"details": {"error": item("1")}},
    {"errors": item("1")},
    {"success": True, "errors": [item("1")]},
]


@pytest.mark.parametrize("status", [200, 202, 207])
@pytest.mark.parametrize("body", NAMING, ids=str)
def test_a_success_that_names_events_is_partly_in_every_shape(status: int, body: Any) -> None:
    verdict = judge(reply(status, body))

    assert isinstance(verdict, Partly)
    assert dict(verdict.named) == {"1": Complaint("no", duplicate=False)}
    assert verdict.status == status


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (207, b""),
        (207, b"\n"),
        (207, {}),
        (207, {"success": True}),
        (207, {"errors": []}),
        (200, {"success": False}),
        (202, {"success": False, "message": "3 events"}),
        *[
            (status, body)
            for status in (202, 207)
            for body in (
                {"errors": [{"message": "no"}]},
                {"errors": ["no"]},
                {"errors": "no"},
                {"errors": {"1": "no"}},
                {"errors": [item(None)]},
                {"errors": [item(7)]},
                {"errors": [{"eventPayload": None}]},
                {"errors": [{"eventPayload": "1"}]},
                {"eventPayload": {}},
                {"details": [item("1"), {"message": "no"}]},
                {"errors": [item("1"), {"message": "no"}]},
                {"errors": [{"message": "no"}, item("1")]},
                {"errors": [item("1"), item(None)]},
            )
        ],
    ],
    ids=str,
)
def test_where_one_of_the_failed_is_not_named_nobody_is(status: int, body: Any) -> None:
    verdict = judge(reply(status, body))

    assert isinstance(verdict, Partly)
    assert not verdict.named


def test_each_of_the_named_has_its_own_refusal() -> None:
    body = {"message": "some failed", "errors": [item("1", "no such unit"), item("2", "duplicate event id")]}

    assert judge(reply(207, body)) == Partly(
        {
            "1": Complaint("no such unit", duplicate=False),
            "2": Complaint("duplicate event id", duplicate=True),
        },
        Complaint("some failed", duplicate=False),
        207,
    )


def test_a_207_for_a_single_event_may_call_it_a_duplicate_without_naming_it() -> None:
    verdict = judge(reply(207, {"success": False, "code": "INGESTION_FAILED_DUPLICATE_EVENT"}))

    assert verdict == Partly({}, Complaint("HTTP 207", duplicate=True), 207)


# --- not taken ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [400, 409, 413, 422])
def test_a_refusal_with_a_json_object_is_of_what_the_request_holds(status: int) -> None:
    expected = Refused(status, "no", duplicate=status == 409, too_large=status in (413, 422))

    assert judge(reply(status)) == expected


@pytest.mark.parametrize("status", [400, 409, 413, 422])
@pytest.mark.parametrize(
    "body", [b"", PAGE, b"[]", b"null", b'"no"', b'{"message": "cu', b"\xff\xfe", b"[" * 100_000], ids=count()
)
def test_a_refusal_without_a_json_object_is_as_no_reply(status: int, body: bytes) -> None:
    who = ", a page that is not Togai's" if body else ""
    assert judge(reply(status, body)) == TryLater(status, f"HTTP {status}{who}")


@pytest.mark.parametrize(
    "status", [408, 425, 500, 501, 502, 503, 504, 507, 520, 599, 100, 101, 201, 203, 204, 206, 226]
)
def test_an_unknown_outcome_is_tried_later(status: int) -> None:
    assert judge(reply(status)) == TryLater(status, f"no (HTTP {status})")


def test_no_reply_may_have_been_read_unless_it_was_never_sent() -> None:
    assert judge(Reply(None, error="reset")) == TryLater(None, "reset", maybe_read=True)
    assert judge(Reply(None, error="refused", sent=False)) == TryLater(None, "refused", maybe_read=False)


@pytest.mark.parametrize("seconds", [None, 0.0, 7.0])
def test_a_429_makes_everybody_wait_and_was_not_read(seconds: float | None) -> None:
    verdict = judge(reply(429, retry_after=seconds))

    assert verdict == TryLater(429, "no (HTTP 429)", seconds, throttled=True, maybe_read=False)


def test_a_503_makes_everybody_wait_if_it_says_how_long() -> None:
    assert judge(reply(503, retry_after=0.0)) == TryLater(503, "no (HTTP 503)", 0.0, throttled=True)
    assert judge(reply(503)) == TryLater(503, "no (HTTP 503)")
    assert judge(reply(500, retry_after=7.0)) == TryLater(500, "no (HTTP 500)")


@pytest.mark.parametrize("body", [OBJECT, PAGE])
def test_a_401_parks_on_the_key(body: bytes) -> None:
    verdict = judge(reply(401, body))

    assert isinstance(verdict, Park)
    assert (verdict.status, verdict.on_key) == (401, True)


@pytest.mark.parametrize(
    "status", [300, 301, 302, 303, 304, 307, 308, 402, 403, 404, 405, 406, 410, 415, 418, 426, 431, 451, 499]
)
def test_a_redirect_and_every_other_4xx_parks_on_the_line(status: int) -> None:
    for body in (OBJECT, PAGE):
        verdict = judge(reply(status, body, retry_after=7.0))
        assert isinstance(verdict, Park)
        assert (verdict.status, verdict.on_key) == (status, False)


keys = st.sampled_from(("success", "errors", "details", "message", "eventPayload", "id", "code")) | st.text()
jsons = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(keys, inner),
)
bodies = st.binary() | jsons.map(lambda value: json.dumps(value).encode())
statuses = st.integers(100, 599)


@given(statuses, bodies, st.none() | st.floats(0, 300))
@example(202, b"9" * 5000, None)
@example(400, b"[" * 100_000, None)
@example(207, b'{"errors": NaN}', None)
def test_there_is_a_verdict_on_every_reply(status: int, body: bytes, seconds: float | None) -> None:
    verdict = judge(Reply(status, body, seconds))

    assert isinstance(verdict, (Accepted, Partly, Refused, TryLater, Park))
    assert isinstance(verdict, Accepted) <= (status in (200, 202))
    assert isinstance(verdict, Partly) <= (status in (200, 202, 207))
    assert isinstance(verdict, Refused) <= (status in (400, 409, 413, 422))
    assert isinstance(verdict, Park) <= (300 <= status < 500)
    if isinstance(verdict, (Refused, TryLater, Park)):
        assert verdict.status == status
        assert len(verdict.message) <= MAX_MESSAGE
        assert verdict.message.isprintable()


@pytest.mark.parametrize(
    ("status", "dead"),
    [
        (None, True),
        (502, True),
        (503, True),
        (504, True),
        (429, True),
        (500, False),
        (408, False),
        (401, False),
        (202, False),
        (400, False),
    ],
)
def test_a_line_is_dead_where_nobody_judged_the_request(status: int | None, *, dead: bool) -> None:
    assert is_line_dead(judge(reply(status))) is dead


# --- whose word it is ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "body", "is_word"),
    [
        (202, {"success": True}, True),
        (200, {"errors": []}, True),
        (207, {"errors": [item("1")]}, True),
        (400, OBJECT, True),
        (413, OBJECT, True),
        (202, b"", False),
        (202, PAGE, False),
        (200, PAGE, False),
        (207, PAGE, False),
        (400, PAGE, False),
        (413, PAGE, False),
        *((status, OBJECT, False) for status in (302, 401, 403, 404, 408, 421, 429, 500, 502, 503, 504)),
        (None, b"", False),
    ],
)
def test_only_what_nobody_else_can_have_said_is_togais_word(
    status: int | None, body: Any, *, is_word: bool
) -> None:
    said = reply(status, body)

    assert is_togais_word(said, judge(said)) is is_word


@given(st.sampled_from((200, 202, 207, 400, 409, 422)), bodies)
def test_a_reply_in_doubt_ends_no_event_and_is_nobodys_word(status: int, body: bytes) -> None:
    said = Reply(status, body, doubt="perhaps cut")
    verdict = judge(said)

    assert isinstance(verdict, TryLater)
    assert verdict.maybe_read
    assert not is_togais_word(said, verdict)


def test_a_reply_in_doubt_that_ends_no_event_means_what_it_says() -> None:
    assert judge(reply(401, doubt="perhaps cut")) == judge(reply(401))
    assert judge(reply(503, doubt="perhaps cut")) == judge(reply(503))


# --- the server's message -----------------------------------------------------------------------------------


def test_a_message_is_cut_to_500_characters() -> None:
    verdict = judge(reply(400, {"message": "é" * 501}))

    assert isinstance(verdict, Refused)
    assert verdict.message == "é" * 500


@pytest.mark.parametrize(
    "body", [{}, {"message": ""}, {"message": None}, {"message": 7}, {"message": ["no"]}], ids=str
)
def test_without_a_message_the_status_is_told(body: Any) -> None:
    verdict = judge(reply(400, body))

    assert isinstance(verdict, Refused)
    assert verdict.message == "HTTP 400"


def test_a_message_is_one_line_that_every_file_takes() -> None:
    verdict = judge(reply(400, {"message": "no\r\nERROR forged\x1b[2J \ud83d"}))

    assert isinstance(verdict, Refused)
    assert verdict.message == "no  ERROR forged [2J  "
    verdict.message.encode()


# --- duplicates ---------------------------------------------------------------------------------------------

DUPLICATE = [
    "Duplicate event id",
    "DUPLICATE_EVENT",
    "Event with this id already exists",
    "id already exists",
]
NO_DUPLICATE = [
    "",
    "no",
    "duplicate",
    "Duplicate attribute",
    "Event with id 7 does not exist",
    "already exists",
]


@pytest.mark.parametrize("message", DUPLICATE)
def test_what_says_that_an_id_is_a_duplicate_is_one(message: str) -> None:
    for body in ({"message": message}, {"message": "no", "code": message}, {"name": message}):
        verdict = judge(reply(400, body))
        assert isinstance(verdict, Refused)
        assert verdict.duplicate
        partly = judge(reply(207, {"errors": [{**body, "eventPayload": {"id": "1"}}]}))
        assert isinstance(partly, Partly)
        assert partly.named["1"].duplicate


@pytest.mark.parametrize("message", NO_DUPLICATE)
def test_nothing_looser_is_a_duplicate(message: str) -> None:
    verdict = judge(
        reply(
            400, {"message": message, "code": "BAD_REQUEST", "name": 7, "details": {"message": DUPLICATE[0]}}
        )
    )

    assert isinstance(verdict, Refused)
    assert not verdict.duplicate


@pytest.mark.parametrize(
    "message", [None, "no", "Conflict", "Duplicate event", "Event 7 conflicts with another"]
)
def test_a_409_says_duplicate_by_itself(message: str | None) -> None:
    verdict = judge(reply(409, {"message": message}))

    assert isinstance(verdict, Refused)
    assert verdict.duplicate


@pytest.mark.parametrize(
    "message", ["Customer 7 already exists", "DUPLICATE_ATTRIBUTE", "the schema was changed"]
)
def test_a_409_that_names_something_else_is_a_refusal(message: str) -> None:
    verdict = judge(reply(409, {"message": message}))

    assert isinstance(verdict, Refused)
    assert not verdict.duplicate


def test_the_words_are_read_for_the_event_that_was_sent() -> None:
    said = reply(400, {"message": "Event with id 7 already exists"})

    assert judge(said, "7") == attrs.evolve(judge(said), duplicate=True)
    assert judge(said, "8") == attrs.evolve(judge(said), duplicate=False)


@pytest.mark.parametrize("status", [413, 422])
def test_what_is_too_large_is_no_duplicate_whatever_it_says(status: int) -> None:
    verdict = judge(reply(status, {"message": DUPLICATE[0]}))

    assert isinstance(verdict, Refused)
    assert not verdict.duplicate


# --- Retry-After --------------------------------------------------------------------------------------------

NOW = datetime(2026, 1, 31, 12, tzinfo=timezone.utc).timestamp()


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("0", 0.0),
        ("7", 7.0),
        (" 7 ", 7.0),
        ("300", 300.0),
        ("301", 300.0),
        ("9" * 400, 300.0),
        ("Sat, 31 Jan 2026 12:00:30 GMT", 30.0),
        ("Saturday, 31-Jan-26 12:00:30 GMT", 30.0),
        ("Sat Jan 31 12:00:30 2026", 30.0),
        ("Sat, 31 Jan 2026 12:00:30", 30.0),
        ("Sat, 31 Jan 2026 12:00:30 -0000", 30.0),
        ("Sat, 31 Jan 2026 14:00:30 +0200", 30.0),
        ("Sat, 31 Jan 2026 11:59:00 GMT", 0.0),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0.0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 300.0),
        (None, None),
        ("", None),
        ("soon", None),
        ("-7", None),
        ("1.5", None),
        ("1e3", None),
        ("\u0667", None),
        ("\u00b2", None),
        ("Sat, 31 Jan 2026", None),
        ("Sat, 32 Jan 2026 12:00:30 GMT", None),
        ("Sat, 31 Jan 99999 12:00:30 GMT", None),
        ("Sat, 31 Jan 2026 12:00:30 +9999", None),
        ("2026-01-31T12:00:30Z", None),
    ],
)
def test_a_retry_after_is_seconds_from_now_within_five_minutes(
    header: str | None, seconds: float | None
) -> None:
    assert retry_after(header, NOW) == seconds


@pytest.fixture
def in_tokyo(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A process whose local time is not UTC."""
    with monkeypatch.context() as environment:
        environment.setenv("TZ", "JST-9")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.usefixtures("in_tokyo")
def test_a_date_without_a_zone_is_not_taken_for_local_time() -> None:
    assert retry_after("Sat, 31 Jan 2026 12:00:30", NOW) == 30.0


@given(st.text() | st.from_regex(r"[A-Z][a-z]{2}, [0-9 :A-Za-z+-]{0,40}"), st.floats(0, 4e9))
@example(" ", 0.0)
@example(",", 0.0)
@example("Mon, ", 0.0)
@example("1 Jan 0 0:0 -", 0.0)
def test_whatever_a_retry_after_says_it_is_some_seconds_or_none(header: str, now: float) -> None:
    seconds = retry_after(header, now)

    assert seconds is None or 0.0 <= seconds <= MAX_RETRY_AFTER


@given(st.integers(0, 300), st.integers(0, 4_000_000_000))
def test_a_date_means_the_same_as_the_seconds_to_it(seconds: int, now: int) -> None:
    date = format_datetime(datetime.fromtimestamp(now + seconds, timezone.utc), usegmt=True)

    assert retry_after(date, now) == retry_after(str(seconds), now) == seconds


def test_a_relay_s_reply_ends_the_asking_for_togais_time() -> None:
    assert is_word_on_a_look_up(Reply(None, verdict=Accepted(relayed=True)))


# --- who spoke ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (
            Reply(302, location="https://login.example/sso?token=secret#x"),
            "a redirect to https://login.example/sso",
        ),
        (Reply(302, location="https://user:pass@login.example/"), "a redirect to https://login.example/"),
        (Reply(301, location="/other/path?q=1"), "a redirect to /other/path"),
        (Reply(302, location="https://[bad"), ""),
        (Reply(302), ""),
        (Reply(404, b"<html>", location="/elsewhere"), "a page that is not Togai's"),
    ],
    ids=count(),
)
def test_what_parks_the_line_says_who_spoke_and_where_a_redirect_goes(answer: Reply, said: str) -> None:
    verdict = judge(answer)

    assert isinstance(verdict, Park)
    assert words_of(verdict) == f"HTTP {answer.status}" + (f", {said}" if said else "")


@pytest.mark.parametrize("answer", [reply(202), Reply(202)], ids=count())
def test_what_is_taken_has_no_words(answer: Reply) -> None:
    assert words_of(judge(answer)) == ""


def test_what_is_taken_in_part_has_the_words_on_the_whole() -> None:
    assert (
        words_of(judge(reply(207, {"message": "some are bad", "errors": [item("1")]})))
        == "some are bad (HTTP 207)"
    )
