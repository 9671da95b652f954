"""How long a caller waits for a flush or for room, and what the caller is told, in virtual time."""

from __future__ import annotations

from server_replies import UNAVAILABLE
from virtual import OK, world

from togai_shipper import FlushReport


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


def test_in_memory_nothing_is_ever_safe() -> None:
    w = world()
    w.put(1)

    assert not w.pipeline.sync(1)
