"""How events go in batches, how a batch is divided and what becomes of each event, in virtual time."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from server_replies import BOOM, FORBIDDEN, POISON, REFUSED, UNAVAILABLE, poisons
from virtual import OK, world

from togai_shipper import FlushReport
from togai_shipper._engine.verdict import Reply

DUPLICATE = Reply(409, b'{"message": "Duplicate Id"}')


def test_1203_events_with_a_503_on_the_way_go_in_batches_of_at_most_500_in_order() -> None:
    w = world([UNAVAILABLE])
    ids = w.put(1203)

    assert w.pipeline.close(10)
    assert w.server.paths == [("/ingestBatch", n) for n in (500, 500, 500, 203)]
    assert [event_id for sent in w.server.sent[1:] for event_id in sent.ids] == ids
    stats = w.pipeline.health.stats()
    assert (stats.accepted, stats.delivered, stats.requests, stats.retries) == (1203, 1203, 4, 1)


def test_a_batch_that_gets_five_500s_in_a_row_is_halved_until_the_culprit_stands_alone() -> None:
    w = world()
    ids = w.put(8)
    w.server.answer = poisons(ids[5], reply=BOOM)

    report = w.pipeline.flush(50)

    assert report == FlushReport(delivered=7, pending=1)
    assert "set aside" in str(w.pipeline.health.complaint())
    assert [sent.ids for sent in w.server.sent].count((ids[5],)) == 5
    w.server.answer = lambda sent: OK
    w.clock.now += 60
    assert w.pipeline.flush(10)
    assert w.server.sent[-1].path == "/ingest"
    assert w.pipeline.health.complaint() is None


def test_an_event_set_aside_is_tried_once_a_minute_and_no_more() -> None:
    w = world()
    w.put(1)
    w.server.answer = lambda sent: BOOM
    w.pipeline.flush(20)
    tries = len(w.server.sent)
    w.pipeline.flush(200)

    times = [sent.at for sent in w.server.sent[tries:]]
    assert 3 <= len(times) <= 4
    assert all(after - before >= 60 for before, after in pairwise(times))


def test_what_a_gateway_says_of_a_server_that_is_down_never_divides_a_batch() -> None:
    down = [UNAVAILABLE, Reply(502), Reply(502), REFUSED, UNAVAILABLE]
    w = world([BOOM, BOOM, BOOM, BOOM, *down, BOOM, BOOM, BOOM, BOOM, *down])
    w.put(8)

    assert w.pipeline.flush(1000)
    assert {len(sent.ids) for sent in w.server.sent} == {8}


def test_k_bad_events_of_n_cost_at_most_2n_requests_and_exactly_they_are_rejected() -> None:
    told: list[Any] = []
    w = world(on_error=lambda error, events: told.extend(event.id for event in events), rate_limit=None)
    ids = w.put(500)
    bad = {ids[n] for n in (3, 77, 78, 401)}
    w.server.answer = poisons(*bad)

    report = w.pipeline.flush(100)

    assert report == FlushReport(delivered=496, rejected=4)
    assert set(told) == bad
    assert len(w.server.sent) <= 4 * 2 * 9 + 1


def test_after_a_non_atomic_400_a_duplicate_is_a_delivery() -> None:
    w = world([POISON, DUPLICATE, OK])
    ids = w.put(2)

    assert w.pipeline.flush(10)
    assert w.pipeline.health.stats().duplicates == 1
    assert len(ids) == 2


def test_an_event_that_is_forbidden_three_times_while_others_are_accepted_is_rejected() -> None:
    w = world()
    ids = w.put(9)
    w.server.answer = poisons(ids[4], reply=FORBIDDEN)
    for _ in range(40):
        if w.pipeline.gate.parking.cause:
            w.until_probe()
        w.pipeline.flush(1)
        w.put(1)

    stats = w.pipeline.health.stats()
    assert stats.rejected == 1
    assert ids[4] not in w.server.metered
    assert set(ids) - {ids[4]} <= set(w.server.metered)


def test_an_error_in_the_middle_of_a_request_loses_nothing(caplog: pytest.LogCaptureFixture) -> None:
    w = world([MemoryError("in the transport")])
    w.put(600)

    assert w.pipeline.flush(10) == FlushReport(delivered=600)
    assert "a flusher failed" in caplog.text


@pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt, GeneratorExit])
def test_whatever_ends_a_flusher_its_batch_is_first_in_the_line_again(kind: type[BaseException]) -> None:
    w = world([kind()])
    ids = w.put(600)
    with pytest.raises(kind):
        w.pipeline.flush(10)
    assert w.pipeline.pending == 600

    assert w.pipeline.flush(10) == FlushReport(delivered=600)
    assert w.server.sent[1].ids == tuple(ids[:500])


def test_a_duplicate_of_a_batch_whose_flusher_was_ended_is_a_delivery() -> None:
    w = world([SystemExit(), DUPLICATE])
    w.put(1)
    with pytest.raises(SystemExit):
        w.pipeline.flush(10)

    assert w.pipeline.flush(10) == FlushReport(delivered=1)


STRANGE = [
    b"",
    b"{}",
    b'{"success": false}',
    b'{"errors": 7}',
    b'{"errors": [{"message": 7, "eventPayload": 7}]}',
    b'{"errors": [{"message": "no", "eventPayload": {"id": 7}}]}',
    b'{"errors": [{"message": "no", "eventPayload": {"id": null}}, {"eventPayload": {"id": ["a"]}}]}',
    b'{"errors": [{"message": "no", "eventPayload": {"id": "of somebody else"}}]}',
    b'{"details": {"errors": [{"eventPayload": {"id": ""}}]}}',
]


@pytest.mark.parametrize("answer", STRANGE, ids=range(len(STRANGE)))
def test_an_event_that_is_answered_in_a_strange_way_ends_and_no_other_is_sent_more_than_twice(
    answer: bytes,
) -> None:
    w = world()
    ids = w.put(100)
    strange = ids[37]
    w.server.answer = lambda sent: Reply(207, answer) if strange in sent.ids else OK

    assert w.pipeline.flush(1000) == FlushReport(delivered=99, rejected=1)
    sent = [event_id for each in w.server.sent for event_id in each.ids]
    assert {event_id: sent.count(event_id) for event_id in ids} == {**dict.fromkeys(ids, 2), strange: 4}
    assert set(w.server.metered) == {*ids} - {strange}


@pytest.mark.parametrize("status", [200, 202, 207])
@pytest.mark.parametrize("page", [b"null", b"<html>", b"[" * 10_000], ids=["null", "page", "deep"])
def test_an_event_that_is_answered_by_a_page_waits_aside_and_the_others_are_delivered(
    status: int, page: bytes
) -> None:
    w = world()
    ids = w.put(100)
    strange = ids[37]
    w.server.answer = lambda sent: Reply(status, page) if strange in sent.ids else OK

    assert w.pipeline.flush(1000) == FlushReport(delivered=99, pending=1)
    assert {*ids} - {strange} <= set(w.server.metered)
    assert "refuses it" in str(w.pipeline.health.complaint())


ODD = {
    "200 {}": Reply(200, b"{}"),
    "201": Reply(201),
    "206": Reply(206, b"part"),
    "425": Reply(425),
    "511": Reply(511, b"<html>"),
    "600": Reply(600),
    "in doubt": Reply(202, b'{"success": true}', doubt="two replies"),
}


@pytest.mark.parametrize("answer", ODD.values(), ids=ODD)
def test_an_event_that_is_never_settled_while_others_are_waits_aside_whatever_is_answered(
    answer: Reply,
) -> None:
    w = world()
    ids = w.put(40)
    strange = ids[17]
    w.server.answer = lambda sent: answer if strange in sent.ids else OK

    for _ in range(40):
        w.put(1)  # others get through
        w.pipeline.flush(60)
    assert w.pipeline.pending == 1
    assert "set aside" in str(w.pipeline.health.complaint())
    assert {*ids} - {strange} <= set(w.server.metered)


def test_a_batch_that_meets_503_each_time_stops_no_other_and_is_not_set_aside() -> None:
    """As where a gateway limits the rate: whom it meets, and how often, says nothing of what he holds."""
    w = world()
    ids = w.put(40)
    w.server.answer = lambda sent: Reply(503) if set(ids) & set(sent.ids) else OK

    later = []
    for _ in range(40):
        later += w.put(1)
        w.pipeline.flush(60)
    assert set(w.server.metered) <= set(later)
    assert len(w.server.metered) > 35, "others go in between"
    assert "set aside" not in str(w.pipeline.health.complaint())
    w.server.answer = lambda _: OK
    before = len(w.server.sent)
    assert w.pipeline.flush(60)
    assert any(set(ids) <= set(sent.ids) for sent in w.server.sent[before:]), "it was not divided"


def test_an_event_that_alone_is_refused_for_the_key_does_not_park_the_line_for_ever() -> None:
    w = world()
    ids = w.put(4)
    w.server.answer = lambda sent: Reply(401) if ids[2] in sent.ids else OK

    for _ in range(12):
        w.pipeline.flush(10)
        w.put(1)
        w.until_probe()
    w.pipeline.flush(10)

    stats = w.pipeline.health.stats()
    assert (stats.rejected, stats.pending, stats.delivered) == (1, 0, 15)
    assert ids[2] not in w.server.metered
