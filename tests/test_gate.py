"""The gate alone: who may send, and when a parked line is probed."""

from __future__ import annotations

import threading

from virtual import Clock, VirtualBell

from togai_shipper._config import Config
from togai_shipper._engine.gate import Gate
from togai_shipper._engine.runtime import Runtime
from togai_shipper._engine.shutdown import Shutdown
from togai_shipper._engine.verdict import Accepted, Complaint, Park, Partly, TryLater, Verdict

FORBIDDEN = Park(403, "forbidden", on_key=False)
UNAUTHORIZED = Park(401, "no such key", on_key=True)


def gate(shutdown: Shutdown | None = None, **options: object) -> tuple[Gate, Clock]:
    clock = Clock()
    config = Config.load({}, api_key="secret", **options)
    runtime = Runtime(clock=clock, random=lambda: 0.5, bell=lambda: VirtualBell(clock))
    return Gate(config, runtime, threading.RLock(), shutdown or Shutdown()), clock


def leave(line: Gate, verdict: Verdict, *, probe: bool = False) -> Park | None:
    """A request that went just now is back."""
    line.step_out()
    return line.on_verdict(verdict, probe=probe)


def never() -> float:
    return float("inf")


def test_a_probe_that_fails_after_another_reply_has_opened_the_line_leaves_it_open() -> None:
    line, _ = gate()
    assert line.enter("/ingestBatch", never)
    leave(line, FORBIDDEN)
    line.parking.begin_probe()
    assert line.enter("/ingest", never, probe=True)
    assert line.enter("/ingestBatch", lambda: 1000.1) == 0  # parked for everyone else
    leave(line, Accepted())
    leave(line, TryLater(503, "later"), probe=True)

    assert line.parking.cause is None


def test_a_probe_that_is_not_sent_after_all_may_be_sent_by_another() -> None:
    line, clock = gate()
    line.enter("/ingestBatch", never)
    leave(line, FORBIDDEN)
    line.parking.begin_probe()
    assert line.parking.probe_wait(clock()) is None
    line.parking.abandon_probe()
    assert line.parking.probe_wait(clock()) is not None
    leave(line, Accepted())
    line.parking.abandon_probe()
    line.parking.probe_now()

    assert line.parking.cause is None


def test_a_line_that_is_parked_on_the_key_after_all_says_so_and_is_probed_as_such() -> None:
    line, clock = gate()
    line.enter("/ingestBatch", never)
    assert leave(line, FORBIDDEN) == FORBIDDEN
    line.parking.begin_probe()
    line.enter("/ingest", never, probe=True)

    assert leave(line, UNAUTHORIZED, probe=True) == UNAUTHORIZED
    assert line.parking.probe_wait(clock()) == 600.0


def test_a_reply_that_was_on_its_way_when_the_line_was_parked_does_not_put_the_probe_off() -> None:
    line, clock = gate()
    line.on_verdict(Accepted())
    line.enter("/ingestBatch", never)
    line.enter("/ingestBatch", never)
    assert leave(line, FORBIDDEN) == FORBIDDEN
    before = line.parking.probe_wait(clock())

    assert leave(line, FORBIDDEN) is None
    assert line.parking.probe_wait(clock()) == before


def test_requests_go_one_at_a_time_until_one_shows_that_the_key_is_good() -> None:
    line, _ = gate()
    assert line.enter("/ingestBatch", never)
    assert line.enter("/ingestBatch", lambda: 1001.0) == 0  # waits for the first to be back
    leave(line, Partly({}, Complaint("some were not taken", duplicate=False), 207))

    assert line.enter("/ingestBatch", never)
    assert line.enter("/ingestBatch", never)


def test_a_request_that_goes_alone_and_hangs_keeps_the_next_for_five_seconds() -> None:
    shutdown = Shutdown()
    line, clock = gate(shutdown)
    assert line.enter("/ingestBatch", never)
    assert line.enter("/ingestBatch", never)
    assert clock() == 1005.0
    shutdown.begin(clock(), 95.0, is_probing=False)
    line.heed_deadline()

    assert line.enter("/ingestBatch", never)
    assert clock() == 1006.0


def test_no_more_requests_are_under_way_than_there_may_be_whoever_makes_them() -> None:
    line, _ = gate(max_in_flight=2)
    line.on_verdict(Accepted())
    assert line.enter("/ingestBatch", never)
    assert line.enter("/ingest", never)
    assert line.enter("/ingest", lambda: 2000.0) == 0
    leave(line, Accepted())

    assert line.enter("/ingest", never)


def test_a_refused_key_that_another_reply_follows_is_still_probed_rarely() -> None:
    line, clock = gate()
    line.on_verdict(Accepted())
    for _ in range(3):
        line.enter("/ingestBatch", never)
    assert leave(line, FORBIDDEN) == FORBIDDEN
    assert leave(line, UNAUTHORIZED) == UNAUTHORIZED
    assert leave(line, FORBIDDEN) is None

    assert line.parking.probe_wait(clock()) == 600.0


def test_a_late_reply_to_what_was_sent_before_the_key_was_refused_does_not_open_the_line() -> None:
    line, _ = gate()
    line.on_verdict(Accepted())
    early = line.enter("/ingestBatch", never)
    line.enter("/ingestBatch", never)
    leave(line, UNAUTHORIZED)
    line.step_out()
    line.on_verdict(Accepted(), early)
    line.on_verdict(Partly({}, Complaint("some were not taken", duplicate=False), 207), early)

    assert line.parking.cause is not None
    assert not line.is_trusted


def test_after_a_pause_one_goes_first_though_an_earlier_request_was_taken_meanwhile() -> None:
    line, clock = gate()
    line.on_verdict(Accepted())
    early = line.enter("/ingestBatch", never)
    line.enter("/ingestBatch", never)
    leave(line, TryLater(429, "slow down", after=2.0, throttled=True))
    line.step_out()
    line.on_verdict(Accepted(), early)
    assert line.enter("/ingestBatch", never)
    assert clock() == 1002.0

    assert line.enter("/ingestBatch", lambda: 1003.0) == 0


def test_probes_become_rarer_though_their_replies_alternate() -> None:
    line, clock = gate()
    line.enter("/ingestBatch", never)
    leave(line, UNAUTHORIZED)
    waits = [line.parking.probe_wait(clock())]
    for verdict in (FORBIDDEN, UNAUTHORIZED, FORBIDDEN, UNAUTHORIZED):
        line.parking.begin_probe()
        line.enter("/ingest", never, probe=True)
        assert leave(line, verdict, probe=True) == verdict
        waits.append(line.parking.probe_wait(clock()))

    assert waits == [600, 5, 1200, 10, 2400]


def test_a_key_that_could_not_be_had_is_asked_for_soon_since_no_request_was_spent() -> None:
    line, clock = gate()
    line.enter("/ingestBatch", never)
    leave(line, Park(None, "the api_key callable raised OSError", on_key=True))

    assert line.parking.probe_wait(clock()) == 5.0


def test_nothing_is_sent_once_it_is_given_up() -> None:
    line, _ = gate()
    line.give_up()

    assert line.enter("/ingestBatch", never) == 0


def test_after_a_429_a_batch_that_is_not_full_waits_longer_until_good_replies_undo_it() -> None:
    line, _ = gate(flush_interval=4)
    leave(line, TryLater(429, "slow down", throttled=True))
    leave(line, TryLater(429, "slow down", throttled=True))
    assert line.linger == 9.0
    leave(line, Accepted())
    assert line.linger == 7.2
    for _ in range(3):
        leave(line, Accepted())

    assert line.linger == 4.0


def test_no_batch_waits_for_more_than_a_minute_or_a_longer_flush_interval() -> None:
    for flush_interval, first, at_last in ((0, 1.5, 60.0), (50, 60.0, 60.0), (90, 90.0, 90.0)):
        line, _ = gate(flush_interval=flush_interval)
        leave(line, TryLater(429, "slow down", throttled=True))
        assert line.linger == first
        for _ in range(20):
            leave(line, TryLater(429, "slow down", throttled=True))

        assert line.linger == at_last


# --- attempts that fail, or hang ---


def test_attempts_fail_from_the_beginning_of_the_first_on() -> None:
    line, clock = gate()
    with line.attempt():
        clock.now += 30
        line.note_failure("no reply")
    clock.now += 5

    assert line.failing_for(clock()) == 35


def test_an_attempt_that_hangs_has_failed_since_it_began() -> None:
    line, clock = gate()
    with line.attempt():
        clock.now += 30
        assert line.failing_for(clock()) == 30
    assert line.failing_for(clock()) == 0


def test_an_attempt_that_hangs_beside_good_replies_has_failed_since_the_last_of_them() -> None:
    line, clock = gate()
    with line.attempt():
        clock.now += 30
        line.on_verdict(Accepted())
        clock.now += 4
        assert line.failing_for(clock()) == 4
        line.note_failure("no reply")
    assert line.failing_for(clock()) == 4
