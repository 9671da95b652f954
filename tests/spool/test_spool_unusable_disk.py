"""A disk that cannot be written, or has no room: delivery goes on from memory, until it can be."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest
from spooled import DOWN, Interrupted, die, files, stats
from sqlite_handles import fill, make_room
from virtual import World

from togai_shipper._engine.settlement import Settlement
from togai_shipper._engine.verdict import Reply
from togai_shipper._outcome import Delivered, FlushReport
from togai_shipper.spool.archive import NAME
from togai_shipper.spool.file import SpoolFile


def test_a_path_that_is_a_file_is_told_and_events_go_on_from_memory(
    worlds: Any, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder.write_text("not a directory")
    w = worlds()
    w.put(3)

    assert not w.pipeline.sync(1.0)
    assert f"the spool does not work: {folder}: is a file, not a directory" in caplog.text
    assert "is a file" in str(w.pipeline.health.complaint())
    assert (stats(w).durable, stats(w).spooled, stats(w).pending) == (False, 0, 3)
    assert w.pipeline.flush(10) == FlushReport(delivered=3)


def test_a_directory_that_all_users_share_is_refused_and_events_go_on_from_memory(
    worlds: Any, caplog: pytest.LogCaptureFixture
) -> None:
    w = worlds(spool="/tmp")  # noqa: S108  nothing is made there
    w.put(3)

    assert not w.pipeline.sync(1.0)
    assert "the spool does not work: /tmp: several users share it (its mode is 1777); choose" in caplog.text
    assert "several users share it" in str(w.pipeline.health.complaint())
    assert w.pipeline.flush(10) == FlushReport(delivered=3)


def test_once_the_disk_works_again_what_is_in_memory_is_written(worlds: Any, folder: Path) -> None:
    folder.write_text("not a directory")
    w = worlds()
    ids = w.put(3)
    w.pipeline.sync(1.0)
    folder.unlink()
    w.clock.now += 2

    assert w.pipeline.sync(1.0)
    assert (stats(w).durable, stats(w).spooled, w.pipeline.health.complaint()) == (True, 3, None)
    die(w)
    second = worlds()
    second.pipeline.flush(0.0)
    second.pipeline.flush(10)
    assert set(second.server.metered) == set(ids)


def test_once_the_disk_works_again_a_batch_that_was_sent_in_vain_is_written_too(
    worlds: Any, folder: Path
) -> None:
    folder.write_text("not a directory")
    w = worlds([DOWN] * 20)
    w.put(3)
    assert w.pipeline.flush(5).pending == 3
    folder.unlink()
    w.clock.now += 2

    w.pipeline.sync(1.0)
    assert (stats(w).durable, stats(w).spooled) == (True, 3)
    assert w.pipeline.flush(1000) == FlushReport(delivered=3)


def test_without_a_spool_what_close_cannot_deliver_is_dropped_and_told(worlds: Any, folder: Path) -> None:
    folder.write_text("not a directory")
    w = worlds()
    w.server.answer = lambda sent: DOWN
    w.put(3)

    assert w.pipeline.close(1) == FlushReport(dropped=3)
    assert stats(w).dropped == {"closed": 3}


def test_while_the_disk_fails_it_is_not_tried_for_each_event(worlds: Any, folder: Path) -> None:
    folder.write_text("no directory")
    w = worlds()
    for _ in range(3):
        w.put(1)
        assert not w.pipeline.sync(1.0)

    assert stats(w).pending == 3
    folder.unlink()
    assert not w.pipeline.sync(1.0)  # not yet


def test_what_is_settled_while_it_is_written_is_forgotten_again(worlds: Any, folder: Path) -> None:
    wall = Interrupted()
    w = worlds(wall=wall)
    folder.write_text("no directory")
    w.put(2)
    w.pipeline.sync(1.0)
    folder.unlink()
    w.clock.now += 2

    def deliver() -> None:
        wall.act = deliver_now

    def deliver_now() -> None:
        batch = w.take()
        w.pipeline.line.settle(batch, Settlement([Delivered(batch.events)]))

    wall.act = deliver  # the first look is for the new file, the second for what is in memory
    assert w.pipeline.sync(1.0)
    w.clock.now += 1
    w.pipeline.flush(0.0)
    file = SpoolFile.peek(files(folder)[0])
    assert file.pending() == (0, 0)
    file.close()


def test_a_disk_that_is_full_is_told_and_tried_again_and_nothing_is_sent_twice(
    worlds: Any, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    w = worlds(max_queue_size=20, batch_size=4)
    ids = []
    for _ in range(5):
        ids += w.put(5)
        w.pipeline.sync(1.0)
    fill(folder)
    for _ in range(2):
        ids += [w.put_one(f"event-{len(ids)}", 3000) or f"event-{len(ids)}"]
    assert not w.pipeline.sync(1.0)
    assert not w.pipeline.sync(1.0)
    assert caplog.text.count("database or disk is full") == 1
    assert stats(w).pending == 27

    make_room(folder)
    w.clock.now += 5
    assert w.pipeline.sync(1.0)
    ids += w.put(3)
    w.pipeline.sync(1.0)
    assert w.pipeline.flush(100) == FlushReport(delivered=30)
    assert sorted(event_id for sent in w.server.sent for event_id in sent.ids) == sorted(ids)
    w.pipeline.close(1)
    assert [path.name for path in folder.iterdir()] == [NAME]


def change(path: Path, statement: str) -> None:
    """Run a statement for each way to write in the file."""
    connection = sqlite3.connect(path, isolation_level=None)
    for event in ("INSERT", "DELETE"):
        for table in ("event", "meta"):
            connection.execute(statement.format(event=event, table=table))
    connection.close()


def fill_up(path: Path) -> None:
    """Leave no room on the disk of this file, as SQLite sees it: nothing can be forgotten, either."""
    change(
        path,
        "CREATE TRIGGER {event}_{table} BEFORE {event} ON {table} "
        "BEGIN SELECT raise(ABORT, 'database or disk is full'); END",
    )


def filled(worlds: Any, folder: Path) -> World:
    """A process whose file has filled the disk while Togai was down."""
    w: World = worlds([DOWN] * 3)
    w.put(3)
    assert w.pipeline.sync(1.0)
    fill_up(files(folder)[0])
    w.put(1)
    assert not w.pipeline.sync(1.0)
    return w


def test_the_spool_works_again_once_something_can_be_written(
    worlds: Any, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    w = worlds([Reply(400, b"{}")])
    w.put(1)
    assert w.pipeline.flush(10) == FlushReport(rejected=1)  # so that the file is needed
    w.clock.now += 1
    w.pipeline.flush(0)
    (path,) = files(folder)
    fill_up(path)
    w.put(1)
    assert w.pipeline.flush(10) == FlushReport(delivered=1)
    for _ in range(3):
        w.clock.now += 100
        w.pipeline.flush(0)
        assert "full" in str(w.pipeline.health.complaint())
    assert "works again" not in caplog.text
    change(path, "DROP TRIGGER {event}_{table}")
    w.clock.now += 100
    w.pipeline.flush(0)
    assert w.pipeline.health.complaint() is None
    assert stats(w).durable
    assert "works again" in caplog.text


def test_a_file_that_has_filled_the_disk_is_removed_once_all_in_it_is_delivered(
    worlds: Any, folder: Path
) -> None:
    """Nothing in it can be marked as gone, since that takes room, too."""
    w = filled(worlds, folder)
    (before,) = files(folder)
    w.clock.now += 100
    w.pipeline.flush(0)
    assert files(folder) == [before]
    assert w.pipeline.flush(1000) == FlushReport(delivered=4)

    w.clock.now += 100
    w.put(1)
    assert w.pipeline.sync(1.0)
    assert before not in files(folder)
    assert w.pipeline.health.complaint() is None


def test_a_file_that_has_filled_the_disk_is_removed_at_close_where_all_in_it_is_delivered(
    worlds: Any, folder: Path
) -> None:
    w = filled(worlds, folder)
    assert w.pipeline.flush(1000) == FlushReport(delivered=4)

    w.pipeline.close(1)
    assert [path.name for path in folder.iterdir()] == [NAME]
