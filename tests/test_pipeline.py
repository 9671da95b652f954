"""What becomes of events, in virtual time and on the test's own thread."""

from __future__ import annotations

import logging
from itertools import pairwise
from typing import Any

import pytest
from virtual import OK, Sent, world

from togai_shipper import DeliveryError, EventDropped, FlushReport, Unauthorized
from togai_shipper._engine.verdict import Park, Reply, TryLater

LOST = Reply(None, error="no reply: reset")
REFUSED = Reply(None, error="no reply: refused", sent=False)
UNAVAILABLE = Reply(503, b"<html>")
THROTTLED = Reply(429, b'{"message": "slow down"}')
POISON = Reply(400, b'{"message": "bad event"}')
DUPLICATE = Reply(409, b'{"message": "Duplicate Id"}')
UNAUTHORIZED = Reply(401, b'{"message": "no such key"}')
FORBIDDEN = Reply(403, b'{"message": "forbidden"}')
BOOM = Reply(500, b'{"message": "boom"}')


def poisons(*poison: str, reply: Reply = POISON) -> Any:
    return lambda sent: reply if set(sent.ids) & set(poison) else OK


def test_1203_events_with_a_503_on_the_way_go_in_batches_of_at_most_500_in_order() -> None:
    w = world([UNAVAILABLE])
    ids = w.put(1203)

    assert w.pipeline.close(10)
    assert w.server.paths == [("/ingestBatch", n) for n in (500, 500, 500, 203)]
    assert [event_id for sent in w.server.sent[1:] for event_id in sent.ids] == ids
    stats = w.pipeline.health.stats()
    assert (stats.accepted, stats.delivered, stats.requests, stats.retries) == (1203, 1203, 4, 1)


def test_requests_that_are_over_are_counted_by_status_with_the_seconds_they_took() -> None:
    w = world([UNAVAILABLE, LOST, THROTTLED, MemoryError("in the transport")])
    w.put(3)

    assert w.pipeline.flush(60)
    stats = w.pipeline.health.stats()
    assert stats.replies == {503: 1, None: 2, 429: 1, 202: 1}
    assert stats.request_seconds == pytest.approx(0.05)
    assert stats.requests == 5


def test_a_request_on_the_wire_has_no_reply_yet() -> None:
    w = world()
    seen = []

    def answer(sent: Sent) -> Reply:
        seen.append(w.pipeline.health.stats())
        return OK

    w.server.answer = answer
    w.put(1)
    w.pipeline.close(10)
    assert [(stats.requests, stats.replies) for stats in seen] == [(1, {})]


def test_a_key_that_is_refused_and_renewed_makes_two_requests_with_a_reply_each() -> None:
    keys = iter(["old", "new"])
    w = world([UNAUTHORIZED], api_key=lambda: next(keys))
    w.put(1)

    assert w.pipeline.close(10)
    assert w.pipeline.health.stats().replies == {401: 1, 202: 1}


def test_backoff_doubles_up_to_its_limit_and_never_ends() -> None:
    w = world([UNAVAILABLE] * 12, backoff_initial=1, backoff_max=30, random=lambda: 1.0)
    w.put(1)

    assert w.pipeline.flush(1000)
    times = [sent.at for sent in w.server.sent]
    waits = [round(after - before - 0.01, 6) for before, after in pairwise(times)]
    assert waits == [1, 2, 4, 8, 16, 30, 30, 30, 30, 30, 30, 30]


def test_a_429_is_waited_out_as_the_server_asks_and_then_one_goes_first() -> None:
    w = world([Reply(429, b"{}", retry_after=7.0)])
    w.put(3)

    assert w.pipeline.flush(60)
    first, second = w.server.sent
    assert second.at - first.at >= 7.0


def test_429s_without_retry_after_back_off_up_to_a_minute() -> None:
    w = world([THROTTLED] * 10, random=lambda: 1.0, backoff_initial=1)
    w.put(1)

    assert w.pipeline.flush(1000)
    times = [sent.at for sent in w.server.sent]
    waits = [round(after - before - 0.01, 6) for before, after in pairwise(times)]
    assert waits == [1, 2, 4, 8, 16, 32, 60, 60, 60, 60]


def test_the_rate_limit_holds_over_any_second() -> None:
    w = world(batch_size=1, rate_limit=10, single_ingest_limit=0)
    w.put(40)
    w.server.latency = 0.001

    assert w.pipeline.flush(60)
    times = [sent.at for sent in w.server.sent]
    assert all(sum(start <= at < start + 1 for at in times) <= 15 for start in times)
    assert times[-1] - times[0] == pytest.approx((40 - 5) / 10, abs=0.05)


def test_a_flush_that_runs_out_of_time_says_so_and_loses_nothing() -> None:
    w = world()
    w.server.answer = lambda sent: UNAVAILABLE
    w.put(10)

    report = w.pipeline.flush(3)
    assert not report
    assert report == FlushReport(pending=10)
    assert w.pipeline.pending == 10
    w.server.answer = lambda sent: OK
    assert w.pipeline.flush(3) == FlushReport(delivered=10)


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


def test_gateway_errors_and_lost_connections_never_divide_a_batch() -> None:
    replies = [BOOM, BOOM, BOOM, BOOM, UNAVAILABLE, BOOM, BOOM, BOOM, BOOM, LOST, Reply(502), Reply(504)] + [
        LOST
    ] * 9
    w = world(replies)
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


def test_a_refused_key_is_probed_after_ten_minutes_then_less_and_less_often_by_one_event_each() -> None:
    told: list[Any] = []
    w = world(on_error=lambda error, events: told.append((error, events)))
    w.server.answer = lambda sent: UNAUTHORIZED
    w.put(100)
    w.pipeline.flush(10)
    for _ in range(8):
        w.until_probe()
        w.pipeline.flush(10)

    times = [sent.at for sent in w.server.sent]
    waits = [round(after - before) for before, after in pairwise(times)]
    assert waits == [600, 1200, 2400, 3600, 3600, 3600, 3600, 3600]
    assert w.server.paths == [("/ingestBatch", 100)] + [("/ingest", 1)] * 8
    assert len({sent.ids for sent in w.server.sent[1:]}) == 8
    assert w.pipeline.pending == 100
    [(error, events)] = told
    assert isinstance(error, Unauthorized)
    assert events == ()


def test_any_other_refusal_of_the_line_is_probed_after_five_seconds_up_to_ten_minutes() -> None:
    w = world()
    w.server.answer = lambda sent: Reply(404)
    w.put(3)
    w.pipeline.flush(10)
    for _ in range(9):
        w.until_probe()
        w.pipeline.flush(10)

    times = [sent.at for sent in w.server.sent]
    waits = [round(after - before) for before, after in pairwise(times)]
    assert waits == [5, 10, 20, 40, 80, 160, 320, 600, 600]


def test_a_probe_that_is_not_accepted_keeps_the_line_parked_whatever_it_gets() -> None:
    w = world([FORBIDDEN])
    w.put(10)
    w.pipeline.flush(1)
    for reply in (POISON, BOOM, THROTTLED, LOST, UNAVAILABLE, Reply(413, b"{}")):
        w.server.replies = [reply]
        w.clock.now = max(w.pipeline.gate.parking.probe_at, w.clock.now + 61)
        w.pipeline.flush(1)
        assert (w.pipeline.health.state, w.pipeline.pending) == ("parked", 10)
    w.clock.now = max(w.pipeline.gate.parking.probe_at, w.clock.now + 61)

    assert w.pipeline.flush(100).pending == 0
    assert w.pipeline.health.state == "open"


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


def test_twenty_rejected_in_a_row_park_the_line_and_the_rest_waits() -> None:
    w = world(rate_limit=None)
    w.server.answer = lambda sent: POISON
    w.put(600)
    w.pipeline.flush(100)

    stats = w.pipeline.health.stats()
    assert (stats.rejected, stats.pending, stats.state) == (20, 580, "parked")
    w.server.answer = lambda sent: OK
    w.until_probe()
    assert w.pipeline.flush(100) == FlushReport(delivered=580)


def test_a_callable_key_that_raises_parks_the_line_with_that_as_the_cause() -> None:
    def broken() -> str:
        raise OSError("vault is sealed")

    told: list[Any] = []
    w = world(api_key=broken, on_error=lambda error, events: told.append(error))
    w.put(3)
    w.pipeline.flush(10)

    assert w.server.sent == []
    assert isinstance(told[0], Unauthorized)
    assert "OSError" in str(told[0])
    w.pipeline.set_api_key("other")
    assert w.pipeline.flush(10)
    assert {sent.key for sent in w.server.sent} == {"other"}


def test_a_callable_key_that_gives_the_same_again_is_not_tried_twice() -> None:
    asked: list[int] = []

    def key() -> str:
        asked.append(1)
        return "same"

    w = world(api_key=key)
    w.server.answer = lambda sent: UNAUTHORIZED
    w.put(1)
    w.pipeline.flush(10)

    assert len(w.server.sent) == 1
    assert len(asked) == 2


def test_stragglers_keep_to_the_rate_limit_and_to_the_order(caplog: pytest.LogCaptureFixture) -> None:
    w = world(single_ingest_limit=0)
    ids = w.put(20)
    w.server.answer = lambda sent: UNAVAILABLE if sent.path == "/ingestBatch" else OK

    assert w.pipeline.close(9)
    singles = [sent for sent in w.server.sent if sent.path == "/ingest"]
    assert [sent.ids[0] for sent in singles] == ids
    assert singles[-1].at - singles[0].at >= (20 - 5 - 1) / 45
    assert all(sent.time_left <= 9 for sent in w.server.sent)


def test_closing_takes_no_longer_than_its_deadline_and_tells_what_it_gave_up(
    caplog: pytest.LogCaptureFixture,
) -> None:
    told: list[Any] = []
    w = world(on_error=lambda error, events: told.append((error, len(events))))
    w.server.answer = lambda sent: UNAVAILABLE
    w.put(1200)
    began = w.clock.now

    report = w.pipeline.close(3)

    assert w.clock.now - began <= 3.1
    assert report == FlushReport(dropped=1200)
    assert w.pipeline.health.stats().dropped == {"closed": 1200}
    assert sum(count for _, count in told) == 1200
    assert all(isinstance(error, EventDropped) for error, _ in told)
    assert "1200 events undelivered" in caplog.text


def test_what_was_never_sent_is_told_apart_from_what_may_have_arrived() -> None:
    told: list[Any] = []
    w = world(
        on_error=lambda error, events: told.append((error.maybe_delivered, len(events))),
        single_ingest_limit=0,
    )
    w.put(500)
    w.server.answer = lambda sent: LOST
    w.pipeline.flush(1)
    w.put(200)
    w.server.answer = lambda sent: REFUSED
    w.pipeline.close(1)

    assert sorted(told) == [(False, 200), (True, 500)]


def test_a_pause_longer_than_the_time_to_close_lets_one_request_decide() -> None:
    w = world([Reply(429, b"{}", retry_after=200.0)])
    ids = w.put(700)
    w.pipeline.flush(1)
    assert w.pipeline.close(5)

    assert set(ids) == set(w.server.metered)


def test_and_if_that_one_is_throttled_too_nothing_more_is_sent() -> None:
    w = world()
    w.server.answer = lambda sent: Reply(429, b"{}", retry_after=200.0)
    w.put(700)
    w.pipeline.flush(1)
    report = w.pipeline.close(5)

    assert report == FlushReport(dropped=700)
    assert len(w.server.sent) == 2


def test_a_pause_that_ends_in_time_is_kept_while_closing() -> None:
    w = world([Reply(429, b"{}", retry_after=2.0)])
    w.put(700)
    began = w.clock.now

    assert w.pipeline.close(9)
    assert w.server.sent[1].at - began >= 2.0


def test_closing_while_parked_makes_one_probe() -> None:
    w = world()
    w.server.answer = lambda sent: FORBIDDEN
    w.put(700)
    w.pipeline.flush(1)
    report = w.pipeline.close(5)

    assert report == FlushReport(dropped=700)
    assert w.server.paths == [("/ingestBatch", 500), ("/ingest", 1)]


def test_closing_while_parked_delivers_everything_if_the_probe_is_accepted() -> None:
    w = world([FORBIDDEN])
    w.put(700)
    w.pipeline.flush(1)

    assert w.pipeline.close(5) == FlushReport(delivered=700)


def test_an_event_set_aside_has_one_more_try_at_close() -> None:
    w = world()
    w.put(1)
    w.server.answer = lambda sent: BOOM
    w.pipeline.flush(20)
    w.server.answer = lambda sent: OK

    assert w.pipeline.close(5) == FlushReport(delivered=1)
    assert w.server.paths[-1] == ("/ingest", 1)


def test_a_straggler_that_the_server_chokes_on_does_not_stop_the_others() -> None:
    w = world()
    ids = w.put(4)
    w.server.answer = poisons(ids[1], reply=BOOM)

    assert w.pipeline.close(5) == FlushReport(delivered=3, dropped=1)
    assert len(w.server.sent) == 4


def test_a_straggler_that_finds_nobody_is_tried_again_while_there_is_time() -> None:
    w = world([LOST, UNAVAILABLE, LOST])
    w.put(3)

    assert w.pipeline.close(10) == FlushReport(delivered=3)
    assert w.server.paths == [("/ingest", 1)] * 6


def test_what_may_have_arrived_is_not_sent_again_after_forty_days() -> None:
    told: list[Any] = []
    w = world([LOST], on_error=lambda error, events: told.append((error, len(events))))
    w.put(2)
    w.pipeline.flush(0.1)
    w.clock.now += 40 * 86400 + 1
    sent = len(w.server.sent)
    report = w.pipeline.flush(1)

    assert report == FlushReport(dropped=2)
    assert len(w.server.sent) == sent
    assert w.pipeline.health.stats().dropped == {"past dedupe window": 2}
    assert told[0][0].maybe_delivered


def test_what_was_never_sent_has_no_such_limit() -> None:
    w = world([REFUSED])
    w.put(2)
    w.pipeline.flush(0.1)
    w.clock.now += 41 * 86400

    assert w.pipeline.flush(1) == FlushReport(delivered=2)


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


def test_callbacks_that_raise_are_logged_and_lose_nothing(caplog: pytest.LogCaptureFixture) -> None:
    def broken(*_: Any) -> None:
        raise ValueError("in a callback")

    w = world([OK, POISON], on_delivered=broken, on_error=broken)
    w.put(1)
    assert w.pipeline.flush(10)
    w.put(1)

    assert w.pipeline.flush(10).rejected == 1
    assert "on_delivered raised" in caplog.text
    assert "on_error raised" in caplog.text


def test_delivered_events_are_told_after_they_were_counted() -> None:
    told: list[Any] = []
    w = world(on_delivered=lambda events: told.append((events, w.pipeline.health.stats().delivered)))
    ids = w.put(3)
    w.pipeline.flush(1)

    [(events, delivered)] = told
    assert [event.id for event in events] == ids
    assert delivered == 3


def test_failing_delivery_is_logged_after_ten_seconds_and_then_once_a_minute(
    caplog: pytest.LogCaptureFixture,
) -> None:
    w = world()
    w.server.answer = lambda sent: UNAVAILABLE
    w.put(5)
    w.pipeline.flush(9)
    assert caplog.text == ""
    w.pipeline.flush(200)

    lines = [record.getMessage() for record in caplog.records if "delivery has failed" in record.getMessage()]
    assert 3 <= len(lines) <= 4
    assert "5 events wait" in lines[0]
    assert "more like this" in lines[1]
    assert {record.levelno for record in caplog.records} == {logging.WARNING}


def test_health_is_lost_after_a_minute_of_failed_attempts_alone() -> None:
    w = world()
    w.server.answer = lambda sent: UNAVAILABLE
    w.put(5)
    w.pipeline.flush(50)
    assert w.pipeline.health.complaint() is None
    w.pipeline.flush(40)

    assert "every attempt of the last minute failed" in str(w.pipeline.health.complaint())
    w.server.answer = lambda sent: OK
    w.pipeline.flush(40)
    assert w.pipeline.health.complaint() is None


def test_health_is_lost_when_the_oldest_event_has_waited_for_five_minutes() -> None:
    w = world()
    w.put(1)
    w.clock.now += 301

    assert "the oldest pending event waits" in str(w.pipeline.health.complaint())
    assert w.pipeline.health.stats().oldest_pending_age == pytest.approx(301, abs=0.1)


def test_the_age_of_the_oldest_event_is_known_to_a_tenth_of_a_second() -> None:
    w = world(batch_size=10)
    for _ in range(30):
        w.put(1)
        w.clock.now += 0.03
    w.server.answer = lambda sent: UNAVAILABLE if len(w.server.sent) > 1 else OK
    w.pipeline.flush(0.01)

    oldest_left = 1000 + 10 * 0.03
    assert w.pipeline.health.stats().oldest_pending_age == pytest.approx(w.clock.now - oldest_left, abs=0.101)


def test_the_parked_line_speaks_once_in_the_log_however_often_it_is_probed(
    caplog: pytest.LogCaptureFixture,
) -> None:
    w = world()
    w.server.answer = lambda sent: FORBIDDEN
    w.put(5)
    w.pipeline.flush(1)
    for _ in range(5):
        w.until_probe()
        w.pipeline.flush(1)

    assert caplog.text.count("delivery is parked") == 1


def test_a_park_is_told_as_what_it_is() -> None:
    told: list[Any] = []
    w = world([FORBIDDEN], on_error=lambda error, events: told.append((error, events)))
    w.put(1)
    w.pipeline.flush(1)

    [(error, events)] = told
    assert type(error) is DeliveryError
    assert (error.status, error.message, events) == (403, "forbidden", ())


@pytest.mark.parametrize("vault", ["answers", "raises"])
def test_a_key_set_while_another_is_asked_for_is_tried_at_once(vault: str) -> None:
    asked: list[int] = []

    def ask() -> str:
        asked.append(1)
        if len(asked) > 1:
            w.pipeline.set_api_key("right")
            if vault == "raises":
                raise OSError("no vault")
        return f"wrong{len(asked)}"

    w = world(api_key=ask)
    w.server.answer = lambda sent: OK if sent.key == "right" else UNAUTHORIZED
    w.put(3)

    assert w.pipeline.flush(1) == FlushReport(delivered=3)
    assert [sent.key for sent in w.server.sent] == ["wrong1", "right"]


@pytest.mark.parametrize("request_", ["the first", "a probe"])
def test_a_key_set_while_the_old_one_is_being_refused_is_tried_at_once(request_: str) -> None:
    w = world([UNAUTHORIZED] if request_ == "a probe" else [])
    w.put(3)
    if request_ == "a probe":
        w.pipeline.flush(1)
        w.until_probe()

    def set_meanwhile(sent: Sent) -> Reply:
        if sent.key == "right":
            return OK
        w.pipeline.set_api_key("right")
        return UNAUTHORIZED

    w.server.answer = set_meanwhile

    assert w.pipeline.flush(1) == FlushReport(delivered=3)


def test_nothing_is_sent_once_the_time_to_close_is_over_however_long_the_key_takes() -> None:
    def ask() -> str:
        w.clock.now += 8
        return "secret"

    w = world(api_key=ask)
    w.put(3)

    assert w.pipeline.close(2) == FlushReport(dropped=3)
    assert w.server.sent == []


@pytest.mark.parametrize("requests", [0, 1])
def test_nothing_is_sent_of_what_was_given_up_while_a_key_was_asked_for(requests: int) -> None:
    def ask() -> str:
        if len(w.server.sent) == requests:
            w.pipeline.line.give_up()
        return f"key{len(w.server.sent)}"

    w = world([UNAUTHORIZED], api_key=ask)
    w.put(3)

    assert w.pipeline.flush(2) == FlushReport(dropped=3)
    assert len(w.server.sent) == requests


def test_a_key_that_is_refused_and_then_cannot_be_had_parks_with_that_as_the_cause() -> None:
    answers = iter(["refused"])
    w = world([UNAUTHORIZED], api_key=lambda: next(answers))
    w.put(3)
    w.pipeline.flush(1)

    assert w.pipeline.health.complaint() == "parked: the api_key callable raised StopIteration"


def test_a_renewed_key_waits_for_the_end_of_a_pause_that_began_meanwhile() -> None:
    def ask() -> str:
        if w.server.sent:
            w.pipeline.gate.on_verdict(TryLater(429, "slow down", after=3.0, throttled=True))
        return f"key{len(w.server.sent)}"

    w = world([UNAUTHORIZED], api_key=ask)
    w.put(3)

    assert w.pipeline.flush(10) == FlushReport(delivered=3)
    first, second = w.server.sent
    assert second.at - first.at >= 3.0


@pytest.mark.parametrize("refusal", [UNAUTHORIZED, FORBIDDEN])
def test_what_becomes_of_a_request_with_the_old_key_is_no_news_once_there_is_another(
    refusal: Reply, caplog: pytest.LogCaptureFixture
) -> None:
    def set_meanwhile(sent: Sent) -> Reply:
        if sent.key == "right":
            return OK
        w.pipeline.set_api_key("right")
        return refusal

    told: list[Any] = []
    w = world(on_error=lambda error, events: told.append(error))
    w.server.answer = set_meanwhile
    w.put(3)

    assert w.pipeline.flush(1) == FlushReport(delivered=3)
    assert (told, caplog.text) == ([], "")


def test_what_is_to_come_after_a_close_comes_after_it() -> None:
    w = world()
    seen: list[Any] = []

    def interrupt(sent: Sent) -> Reply:  # as a signal handler does that cannot start a thread
        seen.append(w.pipeline.is_closing_here)
        w.pipeline.do_after_close(lambda: seen.append(w.pipeline.health.state))
        return OK

    w.server.answer = interrupt
    w.put(1)
    w.pipeline.close(5)

    assert (seen, w.pipeline.is_closing_here) == ([True, "closed"], False)


def test_closing_while_a_probe_is_under_way_makes_no_other() -> None:
    w = world([FORBIDDEN])
    w.put(700)
    w.pipeline.flush(1)
    w.until_probe()

    def close_meanwhile(sent: Sent) -> Reply:
        w.pipeline.begin_closing(5)
        return FORBIDDEN

    w.server.answer = close_meanwhile
    w.pipeline.flush(1)

    assert w.pipeline.close(5) == FlushReport(dropped=700)
    assert w.server.paths == [("/ingestBatch", 500), ("/ingest", 1)]


def test_no_request_is_longer_than_the_time_that_is_left_and_a_batch_leaves_a_third_for_stragglers() -> None:
    w = world()
    w.put(1003)
    w.server.latency = 1.0
    w.pipeline.close(6)

    assert w.server.paths[:3] == [("/ingestBatch", 500), ("/ingestBatch", 500), ("/ingest", 1)]
    assert [round(sent.time_left, 3) for sent in w.server.sent] == [4, 3, 4, 3, 2]


def test_the_events_of_a_batch_that_hangs_at_close_are_each_tried_by_themselves() -> None:
    w = world()

    def hang(sent: Sent) -> Reply:
        if sent.path == "/ingest":
            return OK
        w.clock.now += sent.time_left
        return LOST

    w.server.answer = hang
    w.put(10)

    assert w.pipeline.close(3) == FlushReport(delivered=10)


def test_a_backoff_that_begins_as_close_is_called_is_cut_short_as_well() -> None:
    def close_meanwhile() -> float:
        w.pipeline.begin_closing(60)
        return 1.0

    w = world([UNAVAILABLE], backoff_initial=30, random=close_meanwhile)
    began = w.clock.now
    w.put(1)
    w.pipeline.flush(100)

    assert w.server.sent[1].at - began < 1


def test_a_close_without_events_says_yes_at_once() -> None:
    w = world()

    assert w.pipeline.close(5) == FlushReport()
    assert w.pipeline.health.state == "closed"
    assert w.pipeline.put(b"{}") == "closed"
    assert w.pipeline.close(5) == FlushReport()


def test_a_shipper_that_is_closing_says_so() -> None:
    w = world()
    states: list[str] = []

    def look(sent: Any) -> Reply:
        states.append(w.pipeline.health.state)
        return OK

    w.server.answer = look
    w.put(1)
    w.pipeline.close(5)

    assert (states, w.pipeline.health.state) == (["closing"], "closed")


def test_a_request_whose_turn_does_not_come_in_time_is_not_sent_and_its_event_waits() -> None:
    w = world(batch_size=1, rate_limit=0.01)
    w.put(6)

    assert w.pipeline.flush(2) == FlushReport(delivered=5, pending=1)
    assert w.pipeline.flush(200) == FlushReport(delivered=1)


def test_a_probe_whose_turn_does_not_come_in_time_is_made_by_the_next() -> None:
    w = world([Reply(207, b"{}")], rate_limit=0.01)
    w.put(5)
    assert w.pipeline.flush(1) == FlushReport(delivered=5)  # one by one, which uses up the burst of /ingest
    w.server.replies = [FORBIDDEN]
    w.put(2)
    w.pipeline.flush(1)
    w.until_probe()
    assert w.pipeline.flush(2) == FlushReport(pending=2)

    assert w.pipeline.flush(1000) == FlushReport(delivered=2)


def test_an_event_refused_while_the_line_is_being_parked_is_not_rejected() -> None:
    w = world()

    def refused_beside_one_that_parks(sent: Sent) -> Reply:
        w.pipeline.gate.park(Park(403, "forbidden", on_key=False))
        return POISON

    w.server.answer = refused_beside_one_that_parks
    w.put(1)
    w.pipeline.flush(1)

    assert (w.pipeline.health.stats().rejected, w.pipeline.pending) == (0, 1)


def test_no_call_waits_for_a_lock_that_its_own_thread_holds() -> None:
    w = world(max_queue_size=1)
    w.put(1)
    began = w.clock.now
    with w.pipeline.lock:  # as a signal handler finds it that interrupts track()
        assert w.pipeline.put_waiting(b"{}", 3.0) == "full"
        assert w.pipeline.flush(3) == FlushReport(pending=1)
        assert w.pipeline.close(3) == FlushReport(pending=1)

    assert w.clock.now == began
    assert w.pipeline.close(3) == FlushReport(delivered=1)


def test_a_caller_who_waits_for_room_gets_in_when_there_is_some_or_gives_up() -> None:
    w = world(max_queue_size=1)
    w.put(1)
    began = w.clock.now

    assert w.pipeline.put_waiting(b"{}", 3.0) == "full"
    assert w.clock.now - began == 3.0
    w.pipeline.flush(1)
    assert w.pipeline.put_waiting(b"{}", 3.0) is None


@pytest.mark.parametrize("count", [3, 7])
def test_a_server_that_comes_back_in_the_last_second_of_close_gets_everything(count: int) -> None:
    w = world()
    w.put(count)
    w.server.answer = lambda sent: OK if w.clock.now > 1009 else Reply(503)

    assert w.pipeline.close(10) == FlushReport(delivered=count)


def test_a_probe_that_has_grown_too_old_to_be_sent_leaves_the_line_to_the_next_one() -> None:
    w = world([Reply(503), Reply(401)])
    w.put(3)
    w.pipeline.flush(5)
    w.clock.now += 41 * 86_400

    w.pipeline.set_api_key("right")
    w.pipeline.flush(100)
    w.put(1)
    w.pipeline.flush(100)

    stats = w.pipeline.health.stats()
    assert (stats.delivered, stats.dropped, stats.pending) == (1, {"past dedupe window": 3}, 0)


def test_a_line_that_is_parked_by_a_block_of_bad_events_is_probed_with_others_too() -> None:
    w = world(batch_size=100, rate_limit=None)
    bad = set(w.put(60))
    good = w.put(500)
    no = Reply(400, b'{"message": "no"}')
    w.server.answer = lambda sent: no if bad & set(sent.ids) else OK

    for _ in range(6):
        w.pipeline.flush(100)
        w.clock.now += 6  # the first probe is due; a second one in a row would be later

    assert set(good) == set(w.server.metered)
    assert w.pipeline.health.stats().rejected == 60


def test_a_throttled_close_waits_no_longer_than_a_second_of_its_own_accord() -> None:
    w = world([Reply(202, b"{}"), *[Reply(429)] * 12], random=lambda: 1.0)
    w.put(1)
    w.pipeline.flush(1)
    w.put(100)

    assert w.pipeline.close(30) == FlushReport(delivered=100)


def test_while_closing_each_time_that_the_line_is_parked_it_is_probed() -> None:
    w = world()
    ids = w.put(64)
    w.server.answer = lambda sent: Reply(403) if ids[63] in sent.ids else OK

    assert w.pipeline.close(10).delivered > 32


def test_in_memory_nothing_is_ever_safe() -> None:
    w = world()
    w.put(1)

    assert not w.pipeline.sync(1)
