"""Another program reads a spool's file, and stays: what is written since stays in its ``-wal``."""

from __future__ import annotations

import logging
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from spooled import DOWN, files, on_disk, reader, stats
from virtual import World

from togai_shipper._outcome import FlushReport
from togai_shipper.spool.gathering import a_commits_worth

LARGE = 100_000  # bytes of an event
MOST = 12_000_000  # bytes that the spool may take
SLACK = 500_000  # bytes: rows that are removed, and the -shm


def write_and_deliver(w: World, count: int, size: int = LARGE) -> None:
    for number in range(count):
        w.clock.now += 1.0
        assert w.put_one(f"{w.clock()}-{number}", size) is None
        w.pipeline.flush(10)


def fill(w: World, folder: Path, size: int) -> None:
    """Write and deliver events until their files take so many bytes."""
    while on_disk(folder) < size:
        write_and_deliver(w, 1)


def test_what_a_reader_keeps_is_counted_and_told(
    worlds: Any, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    w = worlds(max_spool_bytes=MOST, batch_size=1)
    write_and_deliver(w, 1)
    (path,) = files(folder)

    with reader(path):
        fill(w, folder, MOST - 15 * LARGE)

        assert "another program reads it" in w.pipeline.health.complaint()
        assert stats(w).spool_bytes > 8_000_000
        assert stats(w).durable
        (line,) = [record for record in caplog.records if "another program" in record.getMessage()]
        assert line.levelno == logging.ERROR
        assert str(path) in line.getMessage()

    write_and_deliver(w, 2)
    assert w.pipeline.health.complaint() is None
    assert stats(w).spool_bytes == 0
    assert stats(w).pending == 0


def test_the_disk_takes_no_more_than_its_bound_while_somebody_reads(worlds: Any, folder: Path) -> None:
    w = worlds(max_spool_bytes=MOST, batch_size=1)
    write_and_deliver(w, 1)
    (path,) = files(folder)

    with reader(path):
        write_and_deliver(w, 150)

        assert on_disk(folder) < MOST + SLACK
        assert not stats(w).durable  # from memory alone, and told
        assert "another program reads it" in w.pipeline.health.complaint()
        assert stats(w).delivered == 151

    write_and_deliver(w, 2)  # a second each
    assert stats(w).durable
    assert w.pipeline.health.complaint() is None
    assert w.pipeline.close(10) == FlushReport()
    assert files(folder) == []


def test_what_waits_is_told_to_be_well_as_soon_as_the_reader_is_gone(worlds: Any, folder: Path) -> None:
    w = worlds(max_spool_bytes=MOST, batch_size=1)
    write_and_deliver(w, 1)
    (path,) = files(folder)
    with reader(path):
        write_and_deliver(w, 45)
        w.clock.now += 1.0
        w.pipeline.flush(0.0)
        assert w.pipeline.health.complaint() is not None

    w.clock.now += 1.0
    w.pipeline.flush(0.0)  # there is nothing to be written, or removed
    assert w.pipeline.health.complaint() is None


def test_a_large_commit_alone_is_no_reader(worlds: Any, folder: Path) -> None:
    w = worlds(max_spool_bytes=10**9, max_queue_bytes=10**9)
    for number in range(120):
        w.put_one(f"event-{number}", LARGE)

    assert w.pipeline.sync(1.0)
    w.put_one("one more")
    assert w.pipeline.sync(1.0)
    assert w.pipeline.health.complaint() is None
    assert on_disk(folder) < 120 * LARGE * 1.2


def test_a_small_bound_holds_as_well(worlds: Any, folder: Path) -> None:
    w = worlds(max_spool_bytes=2_000_000, batch_size=1)
    write_and_deliver(w, 1)
    (path,) = files(folder)

    with reader(path):
        write_and_deliver(w, 40)
        assert on_disk(folder) < 2_000_000 + SLACK


def test_a_burst_is_no_more_than_fits_beside_what_a_reader_keeps(worlds: Any, folder: Path) -> None:
    w = worlds(max_spool_bytes=MOST, max_queue_bytes=10**9, batch_size=1)
    write_and_deliver(w, 1)
    (path,) = files(folder)

    with reader(path):
        fill(w, folder, MOST // 2)
        for number in range(60):
            w.put_one(f"event-{number}", LARGE)
        assert not w.pipeline.sync(1.0)
        assert on_disk(folder) < MOST + SLACK
    w.clock.now += 1.0
    assert w.pipeline.sync(1.0)
    assert w.pipeline.flush(100) == FlushReport(delivered=60)


def test_once_there_is_no_room_it_is_not_filled_to_the_brim(worlds: Any, folder: Path) -> None:
    w = worlds(max_spool_bytes=MOST, batch_size=1)
    write_and_deliver(w, 1)
    (path,) = files(folder)

    with reader(path):
        fill(w, folder, MOST - 15 * LARGE)
        assert stats(w).durable
        write_and_deliver(w, 1, 20 * LARGE)
        write_and_deliver(w, 3, 0)
        assert not stats(w).durable
        assert files(folder) == [path]


def test_readers_that_come_and_go_are_in_the_way_for_no_longer_than_they_read(
    worlds: Any, folder: Path
) -> None:
    w = worlds(max_spool_bytes=MOST, batch_size=1)
    write_and_deliver(w, 1)
    (path,) = files(folder)

    for _ in range(5):
        with reader(path):
            write_and_deliver(w, 40)
        write_and_deliver(w, 1)
        assert stats(w).durable
        assert w.pipeline.health.complaint() is None


def test_where_all_is_delivered_close_leaves_nothing_though_somebody_reads(worlds: Any, folder: Path) -> None:
    w = worlds(max_spool_bytes=MOST, batch_size=1)
    write_and_deliver(w, 1)
    (path,) = files(folder)

    with reader(path):
        write_and_deliver(w, 58)
        w.put(1)
        assert w.pipeline.close(10) == FlushReport(delivered=1)
        assert files(folder) == []


def test_a_file_that_somebody_has_locked_is_told_and_delivery_goes_on(worlds: Any, folder: Path) -> None:
    w = worlds()
    write_and_deliver(w, 1, 0)
    (path,) = files(folder)
    writer = sqlite3.connect(path, isolation_level=None)
    writer.execute("BEGIN IMMEDIATE")
    w.put(3)

    assert not w.pipeline.sync(1.0)
    assert f"{path}: another program has locked it" in w.pipeline.health.complaint()
    assert w.pipeline.flush(10) == FlushReport(delivered=3)

    writer.close()
    write_and_deliver(w, 2, 0)
    assert stats(w).durable
    assert w.pipeline.health.complaint() is None


def test_a_spool_that_works_again_does_not_write_all_of_memory_beyond_its_bound(
    worlds: Any, folder: Path
) -> None:
    w = worlds([DOWN] * 1000, max_spool_bytes=MOST, max_queue_bytes=10**9)
    w.put_one("first", LARGE)
    w.pipeline.sync(1.0)
    (path,) = files(folder)
    with reader(path):
        for number in range(300):
            assert w.put_one(f"{w.clock()}-{number}", LARGE) is None
            w.pipeline.sync(1.0)
    w.clock.now += 61.0
    w.pipeline.sync(1.0)

    assert on_disk(folder) < MOST + SLACK
    assert "no room for what is in memory" in w.pipeline.health.complaint()
    assert stats(w).pending == 301
    w.server.replies = []
    assert w.pipeline.flush(1000) == FlushReport(delivered=301)
    w.clock.now += 2.0
    w.put_one("one more")
    assert w.pipeline.sync(1.0)


def test_a_commit_is_no_longer_than_a_few_megabytes() -> None:
    few = a_commits_worth([b"x"] * 10, 4_000_000)
    long = a_commits_worth([b"x" * 1_000_000] * 10, 4_000_000)
    one = a_commits_worth([b"x" * 10_000_000] * 10, 4_000_000)

    assert (len(few), len(long), len(one)) == (10, 4, 1)
