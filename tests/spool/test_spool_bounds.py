"""More than memory holds: it waits on disk alone, and is read back in order."""

from __future__ import annotations

from typing import Any

from spooled import stats
from virtual import OK

from togai_shipper._engine.verdict import Reply
from togai_shipper._outcome import FlushReport
from togai_shipper.spool.file import READ_BYTES


def test_what_memory_has_no_room_for_stays_on_disk_and_is_read_back_in_order(worlds: Any) -> None:
    w = worlds(max_queue_size=10, batch_size=4)
    ids = []
    for _ in range(25):
        ids += w.put(4)
        assert w.pipeline.sync(1.0)
    assert (stats(w).pending, stats(w).spooled) == (100, 100)
    assert w.pipeline.buffer.count == 5
    assert stats(w).oldest_pending_age == 0.0

    assert w.pipeline.flush(100) == FlushReport(delivered=100)
    assert [event_id for sent in w.server.sent for event_id in sent.ids] == ids


def test_a_caller_who_is_faster_than_the_disk_meets_the_bounds_of_memory(worlds: Any) -> None:
    w = worlds(max_queue_size=10)
    w.put(10)

    assert w.put_one("one too many") == "full"
    w.pipeline.sync(1.0)
    assert w.put_one("fits") is None


def test_the_spool_is_bounded_in_bytes(worlds: Any) -> None:
    w = worlds(max_spool_bytes=5000)
    accepted = 0
    while w.put_one(f"event-{accepted}", 1000) is None:
        accepted += 1
        w.pipeline.sync(1.0)
    assert accepted == 4

    w.pipeline.flush(10)
    assert w.put_one("fits again", 1000) is None


def test_more_than_one_commit_holds_is_written_in_several(worlds: Any) -> None:
    w = worlds()
    w.put(12_000)

    assert w.pipeline.sync(1.0)
    assert stats(w).spooled == 12_000


def test_large_events_are_read_back_a_few_megabytes_at_a_time(worlds: Any) -> None:
    w = worlds(max_queue_bytes=3_000_000)
    for number in range(60):
        assert w.put_one(f"event-{number}", 100_000) is None
        w.pipeline.sync(1.0)
    assert w.pipeline.buffer.size < 2_000_000

    assert w.pipeline.flush(100) == FlushReport(delivered=60)


def test_large_events_among_small_ones_are_read_back_a_few_megabytes_at_a_time(worlds: Any) -> None:
    w = worlds(max_queue_size=2000, max_queue_bytes=3_000_000)
    w.put(1900)
    w.pipeline.sync(1.0)
    for number in range(100):
        assert w.put_one(f"event-{number}", 100_000) is None
        w.pipeline.sync(1.0)
    in_memory = []

    def answer(_: object) -> Reply:
        in_memory.append(w.pipeline.buffer.size)
        return OK

    w.server.answer = answer
    assert w.pipeline.flush(100) == FlushReport(delivered=2000)
    assert READ_BYTES / 2 < max(in_memory) < READ_BYTES + 1_500_000
