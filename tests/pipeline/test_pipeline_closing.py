"""What closing delivers, what it gives up and how long it takes, in virtual time."""

from __future__ import annotations

from typing import Any

import pytest
from server_replies import BOOM, FORBIDDEN, LOST, REFUSED, UNAVAILABLE, poisons
from virtual import OK, Sent, world

from togai_shipper import EventDropped, FlushReport
from togai_shipper._engine.verdict import Reply


def test_stragglers_keep_to_the_rate_limit_and_to_the_order() -> None:
    w = world(rate_limit=10, single_ingest_limit=20)
    ids = w.put(20)

    assert w.pipeline.close(9)
    assert [sent.ids[0] for sent in w.server.sent] == ids
    assert w.server.sent[-1].at - w.server.sent[0].at >= (20 - 5 - 1) / 10


@pytest.mark.parametrize(
    ("count", "answer_takes", "requests"),
    [
        (5, 0.1, [("/ingest", 1)] * 5),
        (6, 0.1, [("/ingestBatch", 6)]),
        (5, 2.0, [("/ingest", 1), ("/ingestBatch", 4)]),
    ],
)
def test_the_last_events_go_singly_only_where_they_are_few_and_there_is_time(
    count: int, answer_takes: float, requests: list[Any]
) -> None:
    w = world()
    w.server.latency = answer_takes
    w.put(count)

    assert w.pipeline.close(10) == FlushReport(delivered=count)
    assert w.server.paths == requests


def test_the_last_events_go_as_a_batch_where_the_rate_limit_leaves_no_time_for_each() -> None:
    w = world(rate_limit=1, single_ingest_limit=20)
    w.put(20)

    assert w.pipeline.close(10) == FlushReport(delivered=20)
    assert w.server.paths == [("/ingestBatch", 20)]


@pytest.mark.parametrize("answer", [REFUSED, UNAVAILABLE, LOST, BOOM], ids=str)
@pytest.mark.parametrize(("ends", "timeout"), [(2, 10), (9, 10), (9.8, 10), (0.6, 1)])
def test_an_outage_that_ends_before_close_does_loses_nothing(
    ends: float, timeout: float, answer: Reply
) -> None:
    w = world()
    w.put(3003)
    w.server.answer = lambda sent: OK if w.clock.now > 1000 + ends else answer

    assert w.pipeline.close(timeout) == FlushReport(delivered=3003)


def test_an_outage_costs_nothing_of_a_small_rate_limit_where_no_request_was_sent() -> None:
    w = world(rate_limit=1)
    w.put(3000)
    w.server.answer = lambda sent: OK if w.clock.now > 1007.5 else REFUSED

    assert w.pipeline.close(10) == FlushReport(delivered=3000)


def test_replies_that_take_their_time_are_waited_for_until_the_deadline() -> None:
    w = world()
    w.server.latency = 4.0
    w.put(1000)

    assert w.pipeline.close(10) == FlushReport(delivered=1000)


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


@pytest.mark.parametrize("away", [Reply(404, b"<html>"), Reply(302)], ids=["404", "302"])
def test_while_closing_a_line_that_a_gateway_has_parked_is_probed_to_the_deadline(away: Reply) -> None:
    w = world()
    back = w.clock.now + 8.5
    w.server.answer = lambda sent: OK if sent.at >= back else away
    w.put(2000)
    w.pipeline.flush(1)

    assert w.pipeline.close(10) == FlushReport(delivered=2000)
    assert len(w.server.sent) < 30


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


def test_a_straggler_that_the_server_chokes_on_stops_no_others_and_is_tried_after_them() -> None:
    w = world()
    ids = w.put(4)
    w.server.answer = poisons(ids[1], reply=BOOM)

    assert w.pipeline.close(5) == FlushReport(delivered=3, dropped=1)
    assert [sent.ids[0] for sent in w.server.sent] == [ids[0], ids[1], ids[2], ids[3], *[ids[1]] * 4]


def test_a_straggler_that_the_server_chokes_on_once_is_delivered() -> None:
    w = world([BOOM])
    w.put(1)

    assert w.pipeline.close(5) == FlushReport(delivered=1)


def test_an_event_that_was_set_aside_and_still_fails_does_not_take_all_the_time_of_close() -> None:
    w = world()
    w.put(1)
    w.server.answer = lambda sent: BOOM
    w.pipeline.flush(20)
    began = w.clock.now

    assert w.pipeline.close(5) == FlushReport(dropped=1)
    assert w.clock.now - began < 1


def test_batches_that_wait_go_before_one_on_which_the_server_chokes_and_that_is_divided_last() -> None:
    w = world()
    ids = w.put(1500)
    w.server.answer = poisons(ids[3], reply=BOOM)

    assert w.pipeline.close(10) == FlushReport(delivered=1499, dropped=1)
    assert [len(sent.ids) for sent in w.server.sent[:3]] == [500, 500, 500]


def test_a_batch_that_is_refused_as_a_whole_at_the_end_is_divided() -> None:
    w = world()
    ids = w.put(300)
    w.server.answer = poisons(ids[7])

    assert w.pipeline.close(10) == FlushReport(delivered=299, rejected=1)


def test_a_throttled_close_delivers_once_the_quota_is_free() -> None:
    w = world()
    w.put(3000)
    w.server.answer = lambda sent: OK if w.clock.now > 1009 else Reply(429, retry_after=1.0)

    assert w.pipeline.close(10) == FlushReport(delivered=3000)


def test_a_straggler_that_finds_nobody_is_tried_again_while_there_is_time() -> None:
    w = world([LOST, UNAVAILABLE, LOST])
    w.put(3)

    assert w.pipeline.close(10) == FlushReport(delivered=3)
    assert w.server.paths == [("/ingest", 1)] * 6


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


def test_every_request_has_until_the_deadline() -> None:
    w = world()
    w.put(1003)
    w.server.latency = 1.0
    w.pipeline.close(6)

    assert [round(sent.time_left, 3) for sent in w.server.sent] == [6, 5, 4]


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


@pytest.mark.parametrize("count", [3, 7])
def test_a_server_that_comes_back_in_the_last_second_of_close_gets_everything(count: int) -> None:
    w = world()
    w.put(count)
    w.server.answer = lambda sent: OK if w.clock.now > 1009 else Reply(503)

    assert w.pipeline.close(10) == FlushReport(delivered=count)


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
