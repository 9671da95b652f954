"""What processes that are gone have left moves into our file beside our own events."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from spooled import DOWN, Interrupted, die, files, stats
from sqlite_handles import break_off, fill, make_room

from togai_shipper._outcome import FlushReport


def test_a_shipper_that_is_not_enabled_leaves_what_others_have_left_alone(worlds: Any, folder: Path) -> None:
    first = worlds([DOWN])
    first.put(3)
    assert first.pipeline.close(0) == FlushReport(pending=3)
    left = files(folder)
    disabled = worlds(enabled=False)

    assert disabled.pipeline.flush(10)
    assert disabled.pipeline.close(10)
    assert disabled.server.sent == []
    assert files(folder) == left


def test_an_orphan_waits_while_half_of_the_spool_is_full_or_the_disk_fails(worlds: Any, folder: Path) -> None:
    first = worlds()
    first.put(10)
    first.pipeline.sync(1.0)
    die(first)
    w = worlds(max_spool_bytes=2000)
    w.put_one("event", 1500)
    w.pipeline.sync(1.0)
    assert stats(w).recovered == 0

    w.pipeline.flush(10)
    w.pipeline.flush(10)
    assert stats(w).recovered == 10


def test_an_orphan_waits_for_a_file_of_our_own_that_can_be_written(worlds: Any, folder: Path) -> None:
    first = worlds()
    ids = first.put(1)
    first.pipeline.sync(1.0)
    (left,) = files(folder)
    w = worlds()
    w.put(1)
    w.pipeline.flush(10)
    die(first)
    (ours,) = set(files(folder)) - {left}
    ours.unlink()  # as who cleans up too much
    w.clock.now += 100
    w.pipeline.flush(0.0)
    assert stats(w).recovered == 0

    for _ in range(4):
        w.clock.now += 100
        w.pipeline.flush(10)
    assert set(ids) < set(w.server.metered)


def test_a_file_that_fails_while_an_orphan_moves_into_it_loses_nothing(worlds: Any, folder: Path) -> None:
    first = worlds()
    ids = first.put(1500)
    first.pipeline.sync(1.0)
    die(first)
    (left,) = files(folder)
    w = worlds()
    w.pipeline.flush(0.0)  # moves the first piece
    (ours,) = set(files(folder)) - {left}
    break_off(ours)
    for _ in range(6):
        w.clock.now += 100
        w.pipeline.flush(100)

    assert set(w.server.metered) == set(ids)


def test_a_disk_that_is_full_in_the_middle_of_an_adoption_costs_no_row(worlds: Any, folder: Path) -> None:
    w, other = worlds(), worlds()
    w.put(1)
    assert w.pipeline.sync(1.0)
    w.pipeline.flush(10)
    ids = other.put(2500)
    assert other.pipeline.sync(1.0)
    die(other)
    fill(folder)
    w.clock.now += 100
    w.pipeline.flush(1)
    assert "full" in str(w.pipeline.health.complaint())
    make_room(folder)
    w.clock.now += 100
    w.pipeline.flush(1)
    w.clock.now += 100

    while w.pipeline.flush(10) != FlushReport() or len(files(folder)) > 1:
        pass
    assert set(w.server.metered) > set(ids)
    assert len(w.server.metered) == 2501


def test_a_flush_does_not_take_adopted_events_for_its_own(worlds: Any) -> None:
    first = worlds()
    first.put(50)
    first.pipeline.sync(1.0)
    die(first)
    wall = Interrupted()
    w = worlds(wall=wall)
    tracked: list[str] = []
    waiters: list[Any] = []

    def track() -> None:
        tracked.extend(w.put(1))
        waiters.append(w.pipeline.line.begin_flush(w.clock.now + 100))

    wall.act = track  # as the writer begins to adopt: our own event is written after what it adopts
    assert w.pipeline.store.step(0.0)
    assert (stats(w).recovered, stats(w).spooled, stats(w).pending) == (50, 50, 51)

    (waiter,) = waiters
    w.pipeline.carrying.work(waiter)
    assert set(tracked) < set(w.server.metered)
    assert waiter.left == 0


def test_our_own_events_do_not_wait_for_all_that_is_adopted(worlds: Any) -> None:
    first = worlds()
    first.put(30_000)
    first.pipeline.sync(1.0)
    die(first)
    w = worlds(max_queue_size=1000)
    for _ in range(3):
        w.pipeline.flush(0.0)
    (ours,) = w.put(1)
    w.pipeline.flush(1)

    assert ours in w.server.metered
    assert stats(w).recovered < 5000
