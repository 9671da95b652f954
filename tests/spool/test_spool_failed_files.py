"""A file of our own that fails, or that somebody removes: it is left to be adopted, and another is begun."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest
from spooled import DOWN, damage, die, files, letters, stats
from sqlite_handles import break_off
from virtual import World

from togai_shipper._engine.verdict import Reply
from togai_shipper.spool.archive import NAME
from togai_shipper.spool.folder import Folder


def test_a_file_that_fails_is_left_to_be_adopted_and_another_is_begun(
    worlds: Any, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    w = worlds(max_queue_size=10)
    ids = []
    for _ in range(4):
        ids += w.put(5)
        w.pipeline.sync(1.0)
    break_off(files(folder)[0])
    ids += w.put(1)
    assert not w.pipeline.sync(1.0)
    assert "; 15 events stay in " in caplog.text
    assert (stats(w).pending, stats(w).accepted, stats(w).durable) == (21, 21, False)
    assert not w.pipeline.flush(10)
    assert not w.pipeline.health.complaint() or stats(w).pending == 15

    for _ in range(6):
        w.clock.now += 100
        w.pipeline.flush(100)

    assert set(w.server.metered) == set(ids)
    assert (stats(w).durable, stats(w).pending) == (True, 0)
    assert stats(w).accepted == 21 + stats(w).recovered  # those that were in memory, too, came once more
    w.pipeline.close(1)
    assert [path.name for path in folder.iterdir()] == [NAME]


def test_what_is_in_a_file_that_failed_may_be_sent_by_another_process_and_what_came_later_may_not(
    worlds: Any, folder: Path
) -> None:
    w = worlds(single_ingest_limit=0)
    w.put(1)
    w.pipeline.sync(1.0)
    break_off(files(folder)[0])
    w.put(1)  # perhaps in the file: that failed as it was written
    w.pipeline.sync(1.0)
    w.put(1)
    w.pipeline.sync(1.0)

    w.server.answer = lambda sent: Reply(400, b'{"message": "duplicate event id"}')
    w.pipeline.flush(100)

    assert (stats(w).duplicates, stats(w).rejected) == (2, 1)


def test_what_is_given_up_and_in_a_file_that_failed_is_told_as_perhaps_delivered(
    worlds: Any, folder: Path
) -> None:
    told: list[bool] = []
    w = worlds(on_error=lambda error, _: told.append(error.maybe_delivered))
    w.put(1)
    w.pipeline.sync(1.0)
    break_off(files(folder)[0])
    w.put(1)
    w.pipeline.sync(1.0)
    w.pipeline.close(0.0)

    assert told == [True]


@pytest.mark.parametrize("verdict", ["taken", "refused"])
def test_a_row_that_cannot_be_forgotten_costs_nothing_but_another_attempt(
    worlds: Any, folder: Path, verdict: str
) -> None:
    w = worlds()
    if verdict == "refused":
        w.server.answer = lambda sent: Reply(400, b'{"message": "no"}')
    w.put(1)
    w.pipeline.sync(1.0)
    break_off(files(folder)[0])
    w.pipeline.flush(10)
    assert stats(w).pending == 0
    for _ in range(5):
        w.clock.now += 100
        w.pipeline.flush(10)

    assert stats(w).recovered == 1
    assert len(w.server.metered) == (verdict == "taken")
    assert {letter.reason for letter in letters(folder)} == ({"rejected"} if verdict == "refused" else set())


def test_rows_that_somebody_has_removed_are_not_waited_for(worlds: Any, folder: Path) -> None:
    w = worlds(max_queue_size=2)
    for _ in range(5):
        w.put(1)
        w.pipeline.sync(1.0)
    connection = sqlite3.connect(files(folder)[0])
    connection.execute("DELETE FROM event")
    connection.commit()
    connection.close()

    w.pipeline.flush(10)
    assert stats(w).pending == 0


def test_a_file_that_somebody_has_removed_is_made_anew(
    worlds: Any, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    w = worlds()
    ids = w.put(3)
    assert w.pipeline.sync(1.0)
    for path in folder.iterdir():
        path.unlink()
    w.clock.now += 2
    ids += w.put(1)

    assert not w.pipeline.sync(1.0)
    assert ".db: was removed; delivery goes on from memory" in caplog.text
    w.clock.now += 2
    assert w.pipeline.sync(1.0)
    die(w)
    second = worlds()
    second.pipeline.flush(0.0)
    second.pipeline.flush(10)
    assert set(second.server.metered) == set(ids)


def test_a_file_whose_lock_somebody_has_removed_is_left_and_adopted(
    worlds: Any, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Else another process would take it for an orphan, while this one writes to it."""
    w = worlds([DOWN])
    w.put(3)
    assert w.pipeline.sync(1.0)
    (before,) = files(folder)
    before.with_suffix(".lock").unlink()
    w.clock.now += 10
    w.put(1)
    assert not w.pipeline.sync(1.0)
    assert ".db: its lock was removed; delivery goes on from memory" in caplog.text

    w.clock.now += 10
    assert w.pipeline.sync(1.0)
    assert w.pipeline.flush(1000)
    w.clock.now += 100
    w.pipeline.flush(1000)
    assert before not in files(folder)
    assert len(w.server.metered) == 4


def test_a_file_that_somebody_removes_takes_what_was_there_alone_along_and_that_is_told(
    worlds: Any, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    told: list[str] = []
    w = worlds(max_queue_size=10, on_error=lambda error, events: told.append(str(error)))
    for _ in range(4):
        w.put(5)
        w.pipeline.sync(1.0)
    files(folder)[0].unlink()
    w.clock.now += 2
    w.put(1)

    w.pipeline.flush(10)
    assert (stats(w).delivered, stats(w).dropped, stats(w).accepted) == (6, {"corrupt": 15}, 21)
    assert "15 events are lost with " in caplog.text
    assert len(told) == 1


def left_behind(worlds: Any, folder: Path) -> tuple[World, Path, list[str]]:
    """A world whose first file has failed, with 15 events in it alone."""
    w = worlds(max_queue_size=10)
    ids = []
    for _ in range(4):
        ids += w.put(5)
        w.pipeline.sync(1.0)
    (path,) = files(folder)
    break_off(path)
    w.put(1)
    w.pipeline.sync(1.0)
    return w, path, ids


def test_a_file_that_failed_and_was_adopted_by_another_process_is_not_waited_for(
    worlds: Any, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    w, path, _ = left_behind(worlds, folder)
    claim = Folder(str(folder)).claim(path)  # as another process
    assert claim
    w.clock.now += 100
    assert not w.pipeline.flush(10)
    assert "15 events wait in a file that failed" in str(w.pipeline.health.complaint())
    claim.unlink()
    for _ in range(3):
        w.clock.now += 100
        w.pipeline.flush(10)

    assert (stats(w).pending, stats(w).dropped, stats(w).accepted) == (0, {}, 6)
    assert f"another process has taken over 15 events in {path}" in caplog.text
    assert w.pipeline.health.complaint() is None


def test_what_cannot_be_read_any_more_of_a_file_that_failed_is_told(worlds: Any, folder: Path) -> None:
    w, path, ids = left_behind(worlds, folder)
    for event_id in ids[10:]:
        damage(path, event_id)
    for _ in range(4):
        w.clock.now += 100
        w.pipeline.flush(10)

    assert (stats(w).pending, stats(w).dropped) == (0, {"corrupt": 5})
    assert stats(w).corrupt_rows == 10
    assert set(w.server.metered) >= set(ids[:10])


def test_the_age_of_what_is_in_a_file_that_failed_is_known(worlds: Any, folder: Path) -> None:
    w, path, _ = left_behind(worlds, folder)
    begun = w.clock.now
    claim = Folder(str(folder)).claim(path)  # as another process that looks into it
    assert claim is not None
    w.pipeline.flush(10)
    w.clock.now += 30

    assert stats(w).pending == 15
    assert stats(w).oldest_pending_age == pytest.approx(w.clock.now - begun, abs=1)
