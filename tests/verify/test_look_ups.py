"""What the reply to a look-up says of an event that Togai took."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from togai_shipper._engine.look_ups import (
    ACCOUNT_NOT_FOUND,
    DUPLICATE,
    IN_PROGRESS,
    METERED,
    NO_MATCHING_METERS,
    NOT_METERED,
    UNKNOWN,
    UNSEEN,
    Found,
    KeyRefused,
    NotAnswered,
    NoWord,
    read_answer,
)
from togai_shipper._engine.verdict import Reply

SCHEMA = "INGESTION_FAILED_SCHEMA_NOT_DEFINED"
UNITS = "INGESTION_FAILED_UNITS_INVALID"


def record(status: Any, description: Any = "", event_id: Any = "e-1") -> dict[str, Any]:
    return {
        "referenceId": "r",
        "eventPayload": {"id": event_id},
        "ingestionStatus": {"status": status, "statusDescription": description},
        "createdAt": "2026-01-01T00:00:00.000Z",
    }


def told(*records: Any, status: int = 200) -> Reply:
    return Reply(status, json.dumps({"events": records}).encode())


@pytest.mark.parametrize(
    ("statuses", "counts"),
    [
        ([METERED, DUPLICATE], METERED),
        ([SCHEMA, IN_PROGRESS, METERED], METERED),
        ([DUPLICATE, SCHEMA, IN_PROGRESS], IN_PROGRESS),
        ([SCHEMA, NOT_METERED], NOT_METERED),
        ([DUPLICATE, NO_MATCHING_METERS], NO_MATCHING_METERS),
        ([ACCOUNT_NOT_FOUND, UNITS], ACCOUNT_NOT_FOUND),
        (["REVERTED", UNITS], UNITS),
        ([DUPLICATE, "REVERTED"], "REVERTED"),
        ([UNKNOWN, DUPLICATE], UNKNOWN),
        ([DUPLICATE, DUPLICATE], DUPLICATE),
        ([], UNSEEN),
    ],
)
def test_the_record_that_says_most_about_the_bill_counts_in_whatever_order(
    statuses: list[str], counts: str
) -> None:
    for order in (statuses, statuses[::-1]):
        assert read_answer(told(*map(record, order)), "e-1") == Found(counts)


def test_togais_words_are_kept_on_one_line_cut_and_without_secrets() -> None:
    reply = told(record(SCHEMA, "no schema\nfor key-1" + "!" * 300))
    reply = Reply(200, reply.body, blank=lambda text: text.replace("key-1", "<hidden>"))

    answer = read_answer(reply, "e-1")
    assert isinstance(answer, Found)
    assert answer.description.startswith("no schema for <hidden>!!!")
    assert len(answer.description) == 250


def test_the_record_of_another_event_says_nothing() -> None:
    assert read_answer(told(record(METERED, event_id="e-2")), "e-1") == Found(UNSEEN)


@pytest.mark.parametrize("status", ["metered", "", None, 5, "A" * 61, "DROP TABLE"])
def test_a_status_that_can_be_none_of_togais_is_unknown(status: Any) -> None:
    assert read_answer(told(record(status, description=7)), "e-1") == Found(UNKNOWN)


def test_a_status_of_togais_that_we_do_not_know_is_kept() -> None:
    assert read_answer(told(record("INGESTION_FAILED_ANEW")), "e-1") == Found("INGESTION_FAILED_ANEW")


@pytest.mark.parametrize(
    "body", [b'{"events": null}', b"{}", b'{"data": []}', b'{"events": {}}', b'{"events": [1, "x", null]}']
)
def test_an_answer_without_records_shows_none(body: bytes) -> None:
    assert read_answer(Reply(200, body), "e-1") == Found(UNSEEN)


@pytest.mark.parametrize("payload", [None, "e-1", [], {}, {"id": None}])
def test_a_record_that_does_not_say_whose_it_is_counts(payload: Any) -> None:
    reply = told({"eventPayload": payload, "ingestionStatus": {"status": METERED}})

    assert read_answer(reply, "e-1") == Found(METERED)


@pytest.mark.parametrize("status", [400, 404, 422])
def test_an_id_that_togai_does_not_know_is_unseen(status: int) -> None:
    assert read_answer(Reply(status, b'{"message": "none"}'), "e-1") == Found(UNSEEN)


@pytest.mark.parametrize(
    "reply",
    [
        Reply(None, error="no reply: timed out"),
        Reply(408),
        Reply(425),
        Reply(500, b"<html>"),
        Reply(503, b'{"message": "later"}'),
        Reply(200, b'{"events": []}', doubt="HTTP 200, and more after it"),
    ],
)
def test_without_a_whole_answer_there_is_no_word(reply: Reply) -> None:
    answer = read_answer(reply, "e-1")

    assert isinstance(answer, NoWord)
    assert answer.why
    assert not answer.throttled


def test_a_429_says_when_it_may_be_asked_again() -> None:
    assert read_answer(Reply(429, b"{}", retry_after=70.0), "e-1") == NoWord(
        "HTTP 429", throttled=True, after=70.0
    )


@pytest.mark.parametrize("body", [b'{"message": "no"}', b"<html>"])
def test_a_401_is_about_the_key(body: bytes) -> None:
    assert read_answer(Reply(401, body), "e-1") == KeyRefused()


@pytest.mark.parametrize(
    ("reply", "why"),
    [
        (Reply(403, b'{"message": "no"}'), "HTTP 403"),
        (Reply(405, b'{"message": "no"}'), "HTTP 405"),
        (Reply(302, b""), "HTTP 302, a page that is not Togai's"),
        (Reply(200, b"<html>"), "HTTP 200, a page that is not Togai's"),
        (Reply(404, b"<html>"), "HTTP 404, a page that is not Togai's"),
        (Reply(200, b"[]"), "HTTP 200, a page that is not Togai's"),
    ],
)
def test_who_has_no_right_to_look_up_or_meets_a_page_gets_no_answer_at_all(reply: Reply, why: str) -> None:
    assert read_answer(reply, "e-1") == NotAnswered(why)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
RECORD = st.fixed_dictionaries(
    {},
    optional={
        "eventPayload": JSON | st.just({"id": "e-1"}),
        "ingestionStatus": JSON
        | st.fixed_dictionaries(
            {"status": JSON | st.sampled_from([METERED, SCHEMA]), "statusDescription": JSON}
        ),
    },
)


@given(
    status=st.integers(100, 599),
    records=st.lists(JSON | RECORD, max_size=4),
    page=st.binary(max_size=20),
    is_json=st.booleans(),
)
@example(status=200, records=[{"eventPayload": {"id": "e-1"}, "ingestionStatus": []}], page=b"", is_json=True)
def test_every_reply_has_a_meaning(status: int, records: list[Any], page: bytes, is_json: bool) -> None:  # noqa: FBT001  drawn
    answer = read_answer(told(*records, status=status) if is_json else Reply(status, page), "e-1")

    assert isinstance(answer, Found | NoWord | KeyRefused | NotAnswered)
    if isinstance(answer, Found) and answer.status == METERED:
        assert METERED in json.dumps(records)
