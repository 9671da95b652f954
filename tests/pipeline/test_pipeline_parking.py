"""When the line is parked, how it is probed and when it opens again, in virtual time."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from closed_accounts import closed_account
from server_replies import BOOM, FORBIDDEN, LOST, POISON, THROTTLED, UNAUTHORIZED, UNAVAILABLE, poisons
from virtual import OK, Sent, world

from togai_shipper import DeliveryError, FlushReport, Unauthorized
from togai_shipper._engine.verdict import Park, Reply


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


def test_bad_events_at_its_head_do_not_keep_a_line_parked_for_hours() -> None:
    w = world([FORBIDDEN])
    ids = w.put(25)
    w.pipeline.flush(1)
    w.server.answer = poisons(*ids[:19])
    parked_at = w.clock()

    for _ in range(20):  # one that is refused at each probe, and then a good one
        w.until_probe()
        w.pipeline.flush(10)

    assert w.clock() - parked_at < 300
    stats = w.pipeline.health.stats()
    assert (stats.state, stats.delivered, stats.rejected) == ("open", 6, 19)


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


def test_a_line_that_is_parked_by_one_accounts_events_finds_those_of_others_however_many_stand_before() -> (
    None
):
    """As after a restart, where what waited longest are the events of an account that is closed."""
    w = closed_account(known=False)
    bad = w.put("closed", 300)
    first, begun = w.put("open", 50), w.world.clock.now
    good = list(first)
    for _ in range(30):
        good += w.put("open", 5)
        w.world.clock.now += 1
        w.world.pipeline.flush(1)

    assert set(good) == set(w.world.server.metered)
    assert max(w.taken_at[each] for each in first) - begun < 10
    assert w.refused <= set(bad)
    assert w.stats.pending == len(bad) - len(w.refused)


def test_a_line_that_is_parked_by_two_accounts_events_finds_those_of_others_behind_both() -> None:
    w = closed_account(known=False)
    w.closed.add("closed, too")
    w.put("closed", 30)
    w.put("closed, too", 300)
    good, begun = w.put("open", 5), w.world.clock.now
    for _ in range(60):
        w.world.clock.now += 1
        w.world.pipeline.flush(1)

    assert w.taken_at.keys() == set(good)
    assert max(w.taken_at.values()) - begun < 60
