"""The line of pending events alone."""

from __future__ import annotations

from typing import Any

import pytest
from interrupting import each_line_of, lines_of
from virtual import OK, World, world

from togai_shipper import FlushReport
from togai_shipper._engine.batching import Batch
from togai_shipper._engine.buffer import Buffer, Wait
from togai_shipper._engine.gate import BURST
from togai_shipper._engine.runtime import FOREVER
from togai_shipper._engine.verdict import Reply
from togai_shipper._event import encode

STAMP = "2026-01-01T00:00:00.000Z"


def test_a_parked_line_without_events_has_nothing_to_probe_with() -> None:
    w = world([Reply(403)])
    w.put(1)
    w.pipeline.flush(1)
    w.pipeline.line.give_up()
    w.pipeline.set_api_key("other")

    assert w.pipeline.line.take() == Wait(None)


def test_a_flush_counts_only_what_was_accepted_before_it() -> None:
    w = world()
    (stuck,) = w.put(1)

    def more_come_meanwhile(sent: Any) -> Reply:
        if len(w.server.sent) == 1:
            w.put(3)
        return Reply(500) if stuck in sent.ids else OK

    w.server.answer = more_come_meanwhile

    assert w.pipeline.flush(50) == FlushReport(pending=1)
    assert w.pipeline.health.stats().delivered == 3


def test_a_flush_is_not_answered_for_what_went_along_with_its_events() -> None:
    w = world()
    ids = w.put(2)
    waiter = w.pipeline.line.begin_flush(w.clock.now + 10)
    late = w.put(1)
    w.server.answer = lambda sent: Reply(400, b"{}") if set(sent.ids) & {ids[1], *late} else OK
    w.pipeline.flush(10)

    assert w.server.paths[0] == ("/ingestBatch", 3)
    assert w.pipeline.line.report(waiter) == FlushReport(delivered=1, rejected=1)
    assert w.pipeline.health.stats().rejected == 2


def test_after_a_quiet_time_an_event_waits_for_company_as_long_as_any() -> None:
    w = world(flush_interval=5)
    w.put(1)
    w.pipeline.flush(1)
    w.clock.now += 100
    w.put(1)

    assert w.pipeline.health.stats().oldest_pending_age == 0.0
    with w.pipeline.lock:
        assert not w.pipeline.buffer.is_batch_due()
        w.clock.now += 5
        assert w.pipeline.buffer.is_batch_due()


def test_an_event_wakes_a_flusher_that_has_seen_the_line_empty_and_does_not_wait_yet() -> None:
    w = world(batch_size=3)
    seen = w.pipeline.flushers.bell.rings  # as it reads it under the lock, before it goes to wait
    w.put(1)
    assert w.pipeline.flushers.bell.rings is not seen

    seen = w.pipeline.flushers.bell.rings
    w.put(2)  # a whole batch
    assert w.pipeline.flushers.bell.rings is not seen


def test_events_behind_a_batch_that_is_full_by_bytes_wake_somebody_once_a_batch() -> None:
    """Not each of them: track() would pay for all flushers being busy."""
    w = world(max_batch_bytes=3_000, batch_size=100)
    buffer = w.pipeline.buffer

    answers = [buffer.put(b"x" * 1_000) for _ in range(9)]

    assert [number for number, answer in enumerate(answers) if answer == "wake"] == [0, 2, 5, 8]
    w.pipeline.line.take()
    assert buffer.put(b"x" * 1_000) == "wake"


def test_a_batch_that_is_full_by_bytes_that_were_learnt_wakes_somebody() -> None:
    """It goes at once, not only when its oldest event has waited for ``flush_interval``."""
    w = world(max_batch_bytes=300_000)
    w.server.answer = lambda sent: Reply(413, b"{}") if sent.size > 100_000 else OK
    w.put(150, size=1000)
    assert w.pipeline.flush(60)
    cap = w.pipeline.buffer.byte_cap.bytes
    assert cap < 100_000
    buffer = w.pipeline.buffer

    answers = [buffer.put(b"x" * 1_000) for _ in range(cap // 1_000 + 1)]

    assert [number for number, answer in enumerate(answers) if answer == "wake"] == [0, cap // 1_000]


def test_an_event_that_closes_while_it_is_put_is_refused() -> None:
    """As a signal handler may, just then."""
    w = world()

    class Closing(bytes):
        def __len__(self) -> int:
            w.pipeline.close(1)
            return super().__len__()

    assert w.pipeline.put(Closing(b'{"id":"late"}')) == "closed"
    assert w.pipeline.pending == 0
    assert w.pipeline.close(1) == FlushReport()


@pytest.mark.parametrize("number", range(lines_of(Buffer.put, lambda: world().put(1))))
def test_an_event_whose_put_is_interrupted_by_a_close_is_refused_or_accounted_for(number: int) -> None:
    """Like a signal handler that closes between two lines of put(): at each of them."""
    w = world()
    passed = iter(range(1000))
    reports: list[FlushReport] = []

    def interrupt() -> None:
        if next(passed) == number:
            reports.append(w.pipeline.close(1))

    with each_line_of(Buffer.put, interrupt):
        refused = w.put_one("late")

    w.clock.now += 5
    w.pipeline.close(1)
    stats = w.pipeline.health.stats()
    assert stats.pending == 0
    assert w.pipeline.health.state == "closed"
    assert (refused, stats.accepted) in [("closed", 0), (None, 1)]
    assert refused or not all(reports)  # a report is true only if nothing is given up afterwards
    assert stats.delivered + sum(stats.dropped.values()) == stats.accepted


def test_close_counts_an_event_that_came_into_the_line_after_it_had_begun() -> None:
    w = world()
    w.pipeline.begin_closing(1)
    with w.pipeline.lock:
        w.pipeline.buffer.add_from_store([b'{"id":"late"}'], w.clock.now)  # whatever way it came
    w.clock.now += 5

    assert w.pipeline.close(1) == FlushReport(dropped=1)


def test_an_event_that_follows_a_batch_at_once_waits_for_company_from_its_own_time_on() -> None:
    w = world(flush_interval=0.05)
    w.put(1)
    with w.pipeline.lock:
        w.clock.now += 0.058
        w.put(1)
        assert isinstance(w.pipeline.line.take(), Batch)
        w.clock.now += 0.002
        w.put(1)

        assert w.pipeline.line.take() == Wait(pytest.approx(0.05))


def test_what_a_full_batch_leaves_over_is_hardly_older_to_the_line_than_it_is() -> None:
    w = world(flush_interval=0.05, batch_size=10)
    for _ in range(15):
        w.clock.now += 0.002
        w.put(1)
    with w.pipeline.lock:
        assert isinstance(w.pipeline.line.take(), Batch)

        assert w.pipeline.line.take() == Wait(pytest.approx(0.04, abs=0.006))


def send_as_many_as_may_go_at_once(w: World) -> None:
    for _ in range(BURST):
        assert w.pipeline.gate.enter("/ingestBatch", lambda: FOREVER)
        w.pipeline.gate.step_out()


def test_a_batch_goes_on_filling_while_it_waits_for_its_turn_by_the_rate() -> None:
    w = world(flush_interval=0.01, rate_limit=1)
    send_as_many_as_may_go_at_once(w)
    with w.pipeline.lock:
        w.put(1)
        w.clock.now += 0.5  # it is long due
        assert w.pipeline.line.take() == Wait(pytest.approx(0.5))
        w.put(2)
        w.clock.now += 0.5

        batch = w.pipeline.line.take()
    assert isinstance(batch, Batch)
    assert len(batch) == 3


def test_a_full_batch_waits_for_its_turn_with_a_flusher_that_is_ready() -> None:
    w = world(rate_limit=1, batch_size=3)
    send_as_many_as_may_go_at_once(w)
    with w.pipeline.lock:
        w.put(4)

        assert isinstance(w.pipeline.line.take(), Batch)
        w.pipeline.line.begin_flush(w.clock.now + 10)
        assert w.pipeline.line.take() == Wait(pytest.approx(1.0))


class Watched(bytes):
    """An event that notes each look at how long it is."""

    looks = 0

    def __len__(self) -> int:
        Watched.looks += 1
        return super().__len__()


def test_what_is_given_up_is_counted_and_no_event_is_looked_at() -> None:
    """A million of them would keep close() for a second beyond its time."""
    w = world()
    for number in range(3000):
        w.pipeline.put(Watched(b'{"id":"%d"}' % number))
    Watched.looks = 0
    w.pipeline.give_up()

    assert w.pipeline.health.stats().dropped == {"closed": 3000}
    assert Watched.looks == 0


def test_what_is_given_up_is_told_apart_by_whether_another_process_may_have_sent_it() -> None:
    told: list[tuple[bool, list[str]]] = []
    w = world(on_error=lambda error, events: told.append((error.maybe_delivered, [e.id for e in events])))
    from_store = [encode("api_call", "acme", {"n": 1}, {}, STAMP, f"known-{number}") for number in (1, 2)]
    elsewhere = w.put(2)
    with w.pipeline.lock:
        w.pipeline.buffer.note_known()
    here = w.put(2)
    with w.pipeline.lock:
        w.pipeline.buffer.add_from_store(from_store, w.clock.now, known=True)
    w.clock.now += 1
    w.put(1)
    w.pipeline.give_up()

    (_, never_sent), (_, maybe_sent) = sorted(told)
    assert [maybe_delivered for maybe_delivered, _ in sorted(told)] == [False, True]
    assert never_sent[:2] == here
    assert len(never_sent) == 3
    assert maybe_sent == [*elsewhere, "known-1", "known-2"]
