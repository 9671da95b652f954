"""Another program reads a spool's file, and stays: what is written since stays in its ``-wal``."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from spooled import files, stats
from virtual import World

from togai_shipper._outcome import FlushReport

LARGE = 100_000  # bytes of an event
MOST = 12_000_000  # about as much as 60 such events leave in the -wal


@contextmanager
def reader(path: Path) -> Iterator[None]:
    """A backup, or somebody's sqlite3, in the middle of reading."""
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True, isolation_level=None)
    connection.execute("BEGIN")
    connection.execute("SELECT count(*) FROM event").fetchone()
    try:
        yield
    finally:
        connection.close()


def on_disk(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.iterdir())


def write_and_deliver(w: World, count: int, size: int = LARGE) -> None:
    for number in range(count):
        w.clock.now += 1.0
        assert w.put_one(f"{w.clock()}-{number}", size) is None
        w.pipeline.flush(10)


def test_what_a_reader_keeps_is_counted_and_told(
    worlds: Any, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    w = worlds(max_spool_bytes=MOST, batch_size=1)
    write_and_deliver(w, 1)
    (path,) = files(folder)

    with reader(path):
        write_and_deliver(w, 45)

        assert "another program reads it" in w.pipeline.health.complaint()
        assert stats(w).spool_bytes > 8_000_000
        assert stats(w).durable
        (line,) = [record for record in caplog.records if "another program" in record.getMessage()]
        assert line.levelno == logging.ERROR
        assert str(path) in line.getMessage()

    write_and_deliver(w, 2)
    assert w.pipeline.health.complaint() is None
    assert stats(w).spool_bytes == 0
    assert stats(w).delivered == 48


def test_the_disk_takes_no_more_than_its_bound_while_somebody_reads(worlds: Any, folder: Path) -> None:
    w = worlds(max_spool_bytes=MOST, batch_size=1)
    write_and_deliver(w, 1)
    (path,) = files(folder)

    with reader(path):
        write_and_deliver(w, 150)

        assert on_disk(folder) < MOST + 10_000_000
        assert not stats(w).durable  # from memory alone, and told
        assert stats(w).delivered == 151

    w.clock.now += 61.0
    write_and_deliver(w, 2)
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

    w.clock.now += 2.0
    w.pipeline.sync(0.0)
    w.pipeline.flush(1)

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
