"""The spool in virtual time: real files, a scripted server, and the test's own thread for a writer."""

from __future__ import annotations

import json
import os
import sqlite3
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from virtual import OK, WALL, World, world

from togai_shipper import DeliveryError, Event, EventDropped
from togai_shipper._config import Config
from togai_shipper._engine.runtime import Runtime
from togai_shipper._engine.settlement import Settlement
from togai_shipper._engine.verdict import Reply
from togai_shipper._event import encode, fresh_id
from togai_shipper._outcome import Delivered, FlushReport
from togai_shipper._pipeline import Pipeline
from togai_shipper.spool.file import READ_BYTES, SpoolFile
from togai_shipper.spool.folder import Folder
from togai_shipper.spool.requests import ask
from togai_shipper.spool.rows import DeadLetter
from togai_shipper.testing import FakeTogai, faults

DAY = 86_400.0
DOWN = Reply(None, error="no reply: down")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "spool"


@pytest.fixture
def worlds(folder: Path) -> Iterator[Any]:
    """Makes worlds that spool to one directory, and ends them."""
    made: list[World] = []

    def make(replies: Any = (), **options: Any) -> World:
        made.append(world(replies, **{"spool": str(folder), **options}))
        return made[-1]

    yield make
    for each in made:
        die(each)


def die(w: World) -> None:
    """As by kill -9: nothing more is written, and the kernel lets go of the locks."""
    w.pipeline.store._adoption.pause()  # noqa: SLF001  what the kernel does
    w.pipeline.store._disk.leave()  # noqa: SLF001  likewise


def files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.db"))


def letters(folder: Path) -> list[DeadLetter]:
    found = []
    for path in files(folder):
        file = SpoolFile.peek(path)
        found += [letter for _, letter in file.dead()]
        file.close()
    return found


def stats(w: World) -> Any:
    return w.pipeline.health.stats()


# --- one process ---


def test_nothing_is_written_before_the_first_event(worlds: Any, folder: Path) -> None:
    w = worlds()

    assert not folder.exists()
    assert not stats(w).durable
    assert w.pipeline.sync(0.0)  # nothing was accepted: all of it is safe
    assert not files(folder)


def test_what_is_synced_is_on_disk_and_only_then_goes_out(worlds: Any, folder: Path) -> None:
    w = worlds()
    ids = w.put(3)
    assert w.pipeline.buffer.count == 0
    assert stats(w).pending == stats(w).accepted == 3
    assert stats(w).spooled == 0

    assert w.pipeline.sync(1.0)

    (path,) = files(folder)
    assert path.stat().st_mode & 0o777 == 0o600
    assert folder.stat().st_mode & 0o777 == 0o700
    file = SpoolFile.peek(path)
    assert [json.loads(row.body)["id"] for row in file.read(0, 10)[0]] == ids
    file.close()
    assert (stats(w).spooled, stats(w).durable, stats(w).pending) == (3, True, 3)
    assert stats(w).spool_bytes > 0
    assert w.pipeline.flush(10) == FlushReport(delivered=3)
    assert stats(w).spooled == stats(w).spool_bytes == 0


def test_a_clean_end_leaves_nothing_behind(worlds: Any, folder: Path) -> None:
    w = worlds()
    w.put(1001)

    assert w.pipeline.close(10) == FlushReport(delivered=1001)
    assert list(folder.iterdir()) == []
    assert w.server.paths == [("/ingestBatch", 500), ("/ingestBatch", 500), ("/ingest", 1)]


def test_what_close_cannot_deliver_stays_on_disk_and_goes_with_the_next_process(
    worlds: Any, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first = worlds()
    first.server.answer = lambda sent: DOWN
    ids = first.put(7)

    assert first.pipeline.close(3) == FlushReport(pending=7)
    assert (stats(first).pending, stats(first).dropped, stats(first).spooled) == (7, {}, 7)
    assert "closed with 7 events undelivered, kept in " in caplog.text

    second = worlds()
    second.pipeline.flush(0.0)
    assert (stats(second).accepted, stats(second).recovered, stats(second).pending) == (7, 7, 7)
    assert second.pipeline.flush(10) == FlushReport(delivered=7)
    assert set(second.server.metered) == set(ids)
    second.pipeline.close(1)
    assert list(folder.iterdir()) == []


def test_close_without_time_writes_what_is_in_memory(worlds: Any, folder: Path) -> None:
    w = worlds()
    w.put(5)

    assert w.pipeline.close(0.0) == FlushReport(pending=5)
    assert len(files(folder)) == 1


def test_events_of_a_process_that_was_killed_are_delivered_with_their_ids(worlds: Any) -> None:
    first = worlds()
    ids = first.put(600)
    first.pipeline.sync(1.0)
    first.put(1)  # not yet on disk
    die(first)

    second = worlds()
    new = second.put(1)
    assert second.pipeline.flush(10) == FlushReport(delivered=601)
    assert set(second.server.metered) == {*ids, *new}
    assert second.server.sent[0].ids == tuple(new)  # what is adopted comes behind our own


def test_a_delivered_event_whose_row_outlived_it_is_sent_again_and_billed_once(worlds: Any) -> None:
    first = worlds()
    ids = first.put(3)
    first.pipeline.sync(1.0)
    batch = first.take()
    first.server.take(json.loads(event)["id"] for event in batch.events)
    die(first)

    second = worlds()
    second.server.metered = first.server.metered
    second.server.answer = lambda sent: Reply(409, b'{"message": "duplicate event id"}')
    second.pipeline.flush(10)
    assert (stats(second).delivered, stats(second).duplicates) == (3, 3)
    assert second.server.metered == dict.fromkeys(ids, 1)


def test_a_refused_event_becomes_a_dead_letter(worlds: Any, folder: Path) -> None:
    w = worlds([Reply(400, b'{"message": "unknown schema"}')])
    (event_id,) = w.put(1)
    w.pipeline.sync(1.0)
    w.clock.now += 20
    w.pipeline.flush(10)
    w.pipeline.close(1)

    (letter,) = letters(folder)
    assert (letter.id, letter.reason, letter.status) == (event_id, "rejected", 400)
    assert (letter.message, letter.attempts) == ("unknown schema", 1)
    assert letter.accepted_ms == int((WALL + 1000) * 1000)
    assert letter.dead_ms >= letter.accepted_ms + 20_000
    assert (stats(w).rejected, stats(w).dead_letters, stats(w).spooled) == (1, 1, 0)
    assert len(files(folder)) == 1


def test_dead_letters_of_a_process_that_is_gone_move_on_and_are_not_sent(worlds: Any, folder: Path) -> None:
    first = worlds([Reply(400, b'{"message": "no"}')])
    first.put(1)
    first.pipeline.close(10)
    before = letters(folder)

    second = worlds()
    second.put(1)
    second.pipeline.flush(10)
    assert letters(folder) == before
    assert (stats(second).dead_letters, stats(second).delivered) == (1, 1)
    assert len(files(folder)) == 1


# --- more than memory holds ---


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


# --- whose file, and how it is ---


def test_a_file_for_another_base_url_is_never_shipped(
    worlds: Any, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first = worlds(base_url="http://127.0.0.1:9")
    first.put(2)
    first.pipeline.sync(1.0)
    die(first)

    second = worlds()
    second.put(1)
    assert second.pipeline.flush(10) == FlushReport(delivered=1)
    assert (stats(second).stranded, stats(second).recovered) == (2, 0)
    assert "2 events on disk are not ours to send" in str(second.pipeline.health.complaint())
    assert "its events are for http://127.0.0.1:9; they are not sent from here" in caplog.text
    assert second.server.paths == [("/ingestBatch", 1)]

    third = worlds(base_url="http://127.0.0.1:9")
    third.pipeline.flush(0.0)
    assert third.pipeline.flush(10) == FlushReport(delivered=2)


def of_a_newer_version(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 99")
    connection.close()


def no_spool(path: Path) -> None:
    path.unlink()
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE theirs (a)")
    connection.close()


@pytest.mark.parametrize(
    ("change", "says"),
    [(of_a_newer_version, "of a newer version"), (no_spool, "is an SQLite file, but no spool")],
)
def test_a_file_that_is_not_ours_is_left_alone(
    worlds: Any, folder: Path, caplog: pytest.LogCaptureFixture, change: Any, says: str
) -> None:
    first = worlds()
    first.put(1)
    first.pipeline.sync(1.0)
    die(first)
    (path,) = files(folder)
    change(path)
    before = path.read_bytes()

    second = worlds()
    second.put(1)
    assert second.pipeline.flush(10) == FlushReport(delivered=1)
    assert path.read_bytes() == before
    assert f"{path}: " in caplog.text
    assert says in caplog.text
    assert "it is left alone" in caplog.text


@pytest.mark.parametrize(
    "content", [b"", b"garbage " * 1000, None], ids=["empty", "garbage", "without its WAL"]
)
def test_a_file_that_cannot_be_read_is_set_aside_and_told(
    worlds: Any, folder: Path, caplog: pytest.LogCaptureFixture, content: bytes | None
) -> None:
    first = worlds()
    first.put(1)
    first.pipeline.sync(1.0)
    die(first)
    (path,) = files(folder)
    for suffix in ("-wal", "-shm"):
        Path(f"{path}{suffix}").unlink(missing_ok=True)
    path.write_bytes(b"" if content is None else content)

    second = worlds()
    second.put(1)
    assert second.pipeline.flush(10) == FlushReport(delivered=1)
    assert second.pipeline.flush(0) == FlushReport()
    (aside,) = folder.glob("*.corrupt-*")
    assert f"set aside as {aside}" in caplog.text
    assert path not in files(folder)


def damage(path: Path, event_id: str) -> None:
    connection = sqlite3.connect(path)
    connection.execute(
        "UPDATE event SET body = replace(CAST(body AS TEXT), '\"1\"', '\"9\"') WHERE instr(body, ?)",
        (event_id,),
    )
    connection.commit()
    connection.close()


def test_a_damaged_row_of_an_orphan_is_never_sent_and_its_file_is_kept(
    worlds: Any, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first = worlds()
    ids = first.put(3)
    first.pipeline.sync(1.0)
    die(first)
    (path,) = files(folder)
    damage(path, ids[1])

    second = worlds()
    second.pipeline.flush(0.0)
    assert second.pipeline.flush(10) == FlushReport(delivered=2)
    assert set(second.server.metered) == {ids[0], ids[2]}
    assert (stats(second).corrupt_rows, stats(second).recovered) == (1, 2)
    assert f"{path}: 1 event is damaged on disk, and not sent" in caplog.text
    assert len(list(folder.glob("*.corrupt-*"))) == 1


def test_a_damaged_row_of_our_own_is_dropped_and_told(worlds: Any, folder: Path) -> None:
    told: list[tuple[Exception, tuple[Event, ...]]] = []
    w = worlds(max_queue_size=2, on_error=lambda error, events: told.append((error, events)))
    ids = [w.put(1)[0] for _ in range(4) if w.pipeline.sync(1.0)]
    w.pipeline.sync(1.0)
    damage(files(folder)[0], ids[2])

    report = w.pipeline.flush(10)

    assert (report.delivered, stats(w).dropped, stats(w).pending) == (3, {"corrupt": 1}, 0)
    assert stats(w).accepted == 4
    assert set(w.server.metered) == {ids[0], ids[1], ids[3]}
    ((error, events),) = told
    assert isinstance(error, DeliveryError)
    assert "corrupt" in str(error)
    assert events == ()
    assert [letter.reason for letter in letters(folder)] == ["corrupt"]


@pytest.mark.parametrize("how", ["overwritten", "cut off"])
def test_a_file_with_damaged_pages_gives_what_can_be_read(worlds: Any, folder: Path, how: str) -> None:
    first = worlds()
    ids = first.put(2000)
    first.pipeline.sync(1.0)
    die(first)
    (path,) = files(folder)
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    content = bytearray(path.read_bytes())
    if how == "overwritten":
        content[40 * 4096 : 43 * 4096] = b"\xff" * 3 * 4096
    else:
        del content[-5 * 4096 :]
    path.write_bytes(content)

    second = worlds()
    for _ in range(40):  # a piece each
        second.pipeline.flush(100)

    assert 1850 < len(second.server.metered) < 2000
    assert set(second.server.metered) < set(ids)
    assert len(list(folder.glob("*.corrupt-*"))) == 1


def test_a_file_of_which_the_beginning_alone_is_left_is_set_aside(worlds: Any, folder: Path) -> None:
    first = worlds()
    first.put(2000)
    first.pipeline.sync(1.0)
    die(first)
    (path,) = files(folder)
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    path.write_bytes(path.read_bytes()[:4096])

    second = worlds()
    second.put(1)
    assert second.pipeline.flush(10) == FlushReport(delivered=1)
    assert len(list(folder.glob("*.corrupt-*"))) == 1
    assert stats(second).durable


# --- older than Togai's memory ---


def dated(w: World, seconds: float = 0.0) -> None:
    """The server says what time it is: that of our wall clock, and some more."""
    w.server.answer = lambda sent: Reply(202, OK.body, date=WALL + w.clock.now + seconds)


def later(w: World) -> None:
    """Some minutes, in which the writer looks around as often as it does."""
    for _ in range(5):
        w.clock.now += 100
        w.pipeline.flush(0.0)


def left_for(worlds: Any, days: float) -> tuple[list[str], Any]:
    first = worlds()
    ids = first.put(2)
    first.pipeline.sync(1.0)
    die(first)
    second = worlds()
    second.clock.now += days * DAY
    return ids, second


def test_an_event_past_the_window_is_a_dead_letter_if_the_server_says_so_too(
    worlds: Any, folder: Path
) -> None:
    ids, w = left_for(worlds, 41)
    dated(w)

    w.pipeline.flush(0.0)
    assert (stats(w).recovered, stats(w).pending) == (0, 0)  # nobody has said what time it is
    w.put(1)
    w.pipeline.flush(10)
    later(w)

    assert {letter.id for letter in letters(folder)} == set(ids)
    assert {letter.reason for letter in letters(folder)} == {"past dedupe window"}
    assert stats(w).dropped == {"past dedupe window": 2}
    assert len(w.server.metered) == 1


def test_a_clock_that_has_jumped_throws_no_revenue_away(worlds: Any) -> None:
    ids, w = left_for(worlds, 41)
    dated(w, -40 * DAY)

    w.put(1)
    w.pipeline.flush(10)
    later(w)
    assert w.pipeline.flush(10) == FlushReport(delivered=2)
    assert set(ids) < set(w.server.metered)


def test_an_event_within_the_window_is_sent(worlds: Any) -> None:
    ids, w = left_for(worlds, 39)
    dated(w)

    w.pipeline.flush(0.0)
    assert stats(w).oldest_pending_age == DAY  # no more of it is believed before the server has said a word
    assert w.pipeline.flush(10) == FlushReport(delivered=2)
    assert set(w.server.metered) == set(ids)


# --- a disk that fails ---


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


# --- what an operator asks ---


@pytest.mark.parametrize("whose", ["of a process that lives", "of one that is gone"])
def test_a_dead_letter_is_replayed_or_purged_as_it_was_asked(worlds: Any, folder: Path, whose: str) -> None:
    w = worlds()
    w.server.answer = lambda sent: Reply(400, b'{"message": "unknown schema"}')
    ids = w.put(3)
    w.pipeline.flush(10)
    w.clock.now += 1
    w.pipeline.flush(0.0)
    (path,) = files(folder)
    file = SpoolFile.peek(path)
    numbers = {letter.id: number for number, letter in file.dead()}
    file.close()
    ask(path, "replay", [numbers[ids[0]]])
    ask(path, "purge", [numbers[ids[1]]])
    if "gone" in whose:
        die(w)
        w = worlds()
    w.server.answer = lambda sent: OK

    for _ in range(6):
        w.clock.now += 2
        w.pipeline.flush(10)

    assert set(w.server.metered) == {ids[0]}
    assert [letter.id for letter in letters(folder)] == [ids[2]]
    assert (stats(w).dead_letters, stats(w).recovered) == (1, 1)
    assert not list(folder.glob("*request*"))


# --- the writer's own troubles ---


def test_a_disk_that_is_full_is_told_and_tried_again_and_nothing_is_sent_twice(
    worlds: Any, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    w = worlds(max_queue_size=20, batch_size=4)
    ids = []
    for _ in range(5):
        ids += w.put(5)
        w.pipeline.sync(1.0)
    full(w)
    for _ in range(2):
        ids += [w.put_one(f"event-{len(ids)}", 3000) or f"event-{len(ids)}"]
    assert not w.pipeline.sync(1.0)
    assert not w.pipeline.sync(1.0)
    assert caplog.text.count("database or disk is full") == 1
    assert stats(w).pending == 27

    roomy(w)
    w.clock.now += 5
    assert w.pipeline.sync(1.0)
    ids += w.put(3)
    w.pipeline.sync(1.0)
    assert w.pipeline.flush(100) == FlushReport(delivered=30)
    assert sorted(event_id for sent in w.server.sent for event_id in sent.ids) == sorted(ids)
    w.pipeline.close(1)
    assert list(folder.iterdir()) == []


def full(w: World) -> None:
    w.pipeline.store._disk.file._connection.execute("PRAGMA max_page_count = 1")  # noqa: SLF001  as a disk can be


def roomy(w: World) -> None:
    w.pipeline.store._disk.file._connection.execute("PRAGMA max_page_count = 1000000")  # noqa: SLF001  likewise


def broken(w: World) -> None:
    w.pipeline.store._disk.file._connection.close()  # noqa: SLF001  nothing can be done with it any more


def test_a_file_that_fails_is_left_to_be_adopted_and_another_is_begun(
    worlds: Any, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    w = worlds(max_queue_size=10)
    ids = []
    for _ in range(4):
        ids += w.put(5)
        w.pipeline.sync(1.0)
    broken(w)
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
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("verdict", ["taken", "refused"])
def test_a_row_that_cannot_be_forgotten_costs_nothing_but_another_attempt(
    worlds: Any, folder: Path, verdict: str
) -> None:
    w = worlds()
    if verdict == "refused":
        w.server.answer = lambda sent: Reply(400, b'{"message": "no"}')
    w.put(1)
    w.pipeline.sync(1.0)
    broken(w)
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


def test_more_than_one_commit_holds_is_written_in_several(worlds: Any) -> None:
    w = worlds()
    w.put(12_000)

    assert w.pipeline.sync(1.0)
    assert stats(w).spooled == 12_000


def test_a_file_that_fails_while_an_orphan_moves_into_it_loses_nothing(worlds: Any) -> None:
    first = worlds()
    ids = first.put(1500)
    first.pipeline.sync(1.0)
    die(first)
    w = worlds()
    w.pipeline.flush(0.0)  # moves the first piece
    broken(w)
    for _ in range(6):
        w.clock.now += 100
        w.pipeline.flush(100)

    assert set(w.server.metered) == set(ids)


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


def test_a_replay_on_a_file_that_fails_is_asked_again(worlds: Any, folder: Path) -> None:
    w = worlds([Reply(400, b'{"message": "no"}')])
    ids = w.put(1)
    w.pipeline.flush(10)
    w.clock.now += 1
    w.pipeline.flush(0.0)
    ask(files(folder)[0], "replay", [1])
    broken(w)
    for _ in range(6):
        w.clock.now += 100
        w.pipeline.flush(10)

    assert set(w.server.metered) == set(ids)


def test_close_does_not_wait_for_a_disk_that_hangs(worlds: Any) -> None:
    w = worlds()
    w.put(1)
    assert w.pipeline.store.hold(0)  # as a commit does that does not end

    assert not w.pipeline.sync(0.5)
    assert w.pipeline.close(1) == FlushReport(dropped=1)
    w.pipeline.store.let_go()
    assert stats(w).dropped == {"closed": 1}


def test_a_disk_that_hung_until_after_close_harms_nobody(worlds: Any) -> None:
    """What it has written meanwhile was given up, as perhaps delivered: it is sent by who adopts it."""
    told: list[tuple[bool, list[str]]] = []

    def tell(error: EventDropped, events: tuple[Event, ...]) -> None:
        told.append((error.maybe_delivered, [event.id for event in events]))

    w = worlds(on_error=tell)
    w.put(1)
    assert w.pipeline.flush(10) == FlushReport(delivered=1)
    spool = w.pipeline.store
    append, closing = spool._disk.file.append, threading.Event()  # noqa: SLF001  the disk

    def hangs(events: Any) -> int:
        closing.set()
        assert closed.wait(10)
        return int(append(events))

    closed = threading.Event()
    spool._disk.file.append = hangs  # noqa: SLF001  likewise
    ids = w.put(1)
    writer = threading.Thread(target=spool.step, args=(10.0,))
    writer.start()
    assert closing.wait(10)
    later = w.put(1)
    assert w.pipeline.close(1) == FlushReport(dropped=2)
    assert told == [(False, later), (True, ids)]
    closed.set()
    writer.join(10)
    die(w)

    heir = worlds()
    assert heir.pipeline.flush(10)
    assert [sent.ids for sent in heir.server.sent] == [tuple(ids)]


def test_a_closed_spool_takes_nothing(worlds: Any) -> None:
    w = worlds()
    w.put(1)
    w.pipeline.close(1)

    assert w.put_one("late") == "closed"


def test_an_event_that_is_met_by_a_close_is_refused(worlds: Any) -> None:
    w = worlds()

    class Met(bytes):
        """Its size is asked for when it has been seen that the shipper is open."""

        __slots__ = ()

        def __len__(self) -> int:
            w.pipeline.begin_closing(1)  # as a signal handler may
            return super().__len__()

    assert w.pipeline.put(Met(b'{"id":"late"}')) == "closed"
    assert w.pipeline.close(1) == FlushReport()


def test_a_writer_that_cannot_be_started_is_told_and_its_work_done_by_others(worlds: Any) -> None:
    def refuse(*_: Any) -> None:
        raise RuntimeError("can't start new thread")

    w = worlds(thread=refuse)
    w.put(3)

    assert "can't start new thread" in str(w.pipeline.health.complaint())
    assert w.pipeline.sync(1.0)
    assert w.pipeline.flush(10) == FlushReport(delivered=3)


def test_a_writer_that_is_ended_is_told_of_and_replaced(
    togai: FakeTogai, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    raising = [SystemExit("somebody else's handler")]

    def wall() -> float:
        if raising:
            raise raising.pop()
        return time.time()

    config = Config.load({}, api_key="secret", base_url=togai.url, spool=str(folder))
    pipeline = Pipeline(config, Runtime(wall=wall))
    event = encode("api_call", "acme", {}, {}, "2026-01-01T00:00:00.000Z", fresh_id())
    assert pipeline.put(event) is None
    assert togai.wait(lambda: "the spool's writer was ended by SystemExit" in caplog.text)

    assert pipeline.close(20)
    assert togai.ledger.metered == 1


@pytest.mark.parametrize("kind", [SystemExit, MemoryError])
def test_a_writer_that_is_ended_while_a_flusher_idles_is_replaced_though_nothing_more_is_tracked(
    togai: FakeTogai, folder: Path, kind: type[BaseException]
) -> None:
    raising: list[BaseException] = []

    def wall() -> float:
        if raising:
            raise raising.pop()
        return time.time()

    config = Config.load({}, api_key="secret", base_url=togai.url, spool=str(folder), flush_interval=0.05)
    pipeline = Pipeline(config, Runtime(wall=wall))
    event = encode("api_call", "acme", {}, {}, "2026-01-01T00:00:00.000Z", fresh_id())
    assert pipeline.put(event) is None
    assert togai.wait(lambda: togai.ledger.metered == 1)  # a writer and a flusher live, and wait
    raising.append(kind("in the writer's thread"))
    event = encode("api_call", "acme", {}, {}, "2026-01-01T00:00:00.000Z", fresh_id())
    assert pipeline.put(event) is None

    assert togai.wait(lambda: togai.ledger.metered == 2, 10)
    assert pipeline.close(20)


def test_what_close_keeps_on_disk_is_as_old_as_it_is(worlds: Any) -> None:
    w = worlds()
    w.put(1)
    w.clock.now += 7
    w.put(1)
    assert w.pipeline.close(0) == FlushReport(pending=2)

    assert stats(w).oldest_pending_age == pytest.approx(7, abs=0.1)


def test_a_disk_that_is_full_in_the_middle_of_an_adoption_costs_no_row(worlds: Any, folder: Path) -> None:
    w, other = worlds(), worlds()
    w.put(1)
    assert w.pipeline.sync(1.0)
    w.pipeline.flush(10)
    ids = other.put(2500)
    assert other.pipeline.sync(1.0)
    die(other)
    limit = w.pipeline.store._disk.file._connection.execute  # noqa: SLF001  a full disk, as SQLite sees it
    limit("PRAGMA max_page_count = 1")
    w.clock.now += 100
    w.pipeline.flush(1)
    assert "full" in str(w.pipeline.health.complaint())
    limit("PRAGMA max_page_count = 1000000")
    w.clock.now += 100
    w.pipeline.flush(1)
    w.clock.now += 100

    while w.pipeline.flush(10) != FlushReport() or len(files(folder)) > 1:
        pass
    assert set(w.server.metered) > set(ids)
    assert len(w.server.metered) == 2501


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


def test_a_file_whose_process_died_while_it_was_made_is_removed_without_a_word(
    worlds: Any, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    made = Folder(str(folder))
    made.prepare()
    claim = made.new()
    claim.path.touch()
    claim.release()

    w = worlds()
    w.put(1)
    assert w.pipeline.flush(10) == FlushReport(delivered=1)
    w.pipeline.close(1)
    assert list(folder.iterdir()) == []
    assert caplog.text == ""


def test_a_damaged_file_that_cannot_be_set_aside_is_left_and_told(
    worlds: Any, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    made = Folder(str(folder))
    made.prepare()
    path = folder / "host-1-00000000.db"
    path.write_bytes(b"garbage " * 1000)
    Path(f"{path}.corrupt-{int((WALL + 1000.0) * 1000)}").mkdir()

    w = worlds()
    w.put(1)
    w.pipeline.flush(0.0)
    assert f"left as it is: {path}: cannot be renamed" in caplog.text
    assert w.pipeline.flush(10) == FlushReport(delivered=1)


def test_the_spool_works_again_once_something_can_be_written(
    worlds: Any, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    w = worlds([Reply(400, b"{}")])
    w.put(1)
    assert w.pipeline.flush(10) == FlushReport(rejected=1)  # so that the file is needed
    w.clock.now += 1
    w.pipeline.flush(0)
    execute = fill(w)
    w.put(1)
    assert w.pipeline.flush(10) == FlushReport(delivered=1)
    caplog.set_level("INFO")
    for _ in range(3):
        w.clock.now += 100
        w.pipeline.flush(0)
        assert "full" in str(w.pipeline.health.complaint())
    assert "works again" not in caplog.text
    for event in ("INSERT", "DELETE"):
        for table in ("event", "meta"):
            execute(f"DROP TRIGGER {event}_{table}")
    w.clock.now += 100
    w.pipeline.flush(0)
    assert w.pipeline.health.complaint() is None
    assert stats(w).durable
    assert "works again" in caplog.text


def fill(w: World) -> Any:
    """A full disk, as SQLite sees it: nothing can be forgotten, either."""
    execute = w.pipeline.store._disk.file._connection.execute  # noqa: SLF001  its disk
    for event in ("INSERT", "DELETE"):
        for table in ("event", "meta"):
            execute(
                f"CREATE TRIGGER {event}_{table} BEFORE {event} ON {table} "
                "BEGIN SELECT raise(ABORT, 'database or disk is full'); END"
            )
    return execute


def filled(worlds: Any) -> World:
    """A process whose file has filled the disk while Togai was down."""
    w: World = worlds([DOWN] * 3)
    w.put(3)
    assert w.pipeline.sync(1.0)
    fill(w)
    w.put(1)
    assert not w.pipeline.sync(1.0)
    return w


def test_a_file_that_has_filled_the_disk_is_removed_once_all_in_it_is_delivered(
    worlds: Any, folder: Path
) -> None:
    """Nothing in it can be marked as gone, since that takes room, too."""
    w = filled(worlds)
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
    w = filled(worlds)
    assert w.pipeline.flush(1000) == FlushReport(delivered=4)

    w.pipeline.close(1)
    assert list(folder.iterdir()) == []


def test_a_writer_alone_that_cannot_be_started_is_told(worlds: Any) -> None:
    refusals = [RuntimeError("can't start new thread")]

    def refuse_once(*_: Any) -> None:
        if refusals:
            raise refusals.pop()

    w = worlds(thread=refuse_once)
    w.put(1)

    assert "can't start new thread" in str(w.pipeline.health.complaint())


def test_a_flush_in_a_callback_does_not_wait_for_the_disk(togai: FakeTogai, ship: Any, folder: Path) -> None:
    reports: list[Any] = []
    shipper = ship(spool=folder, on_delivered=lambda events: reports.append(shipper.flush()))
    shipper.track("api_call", "acme")

    assert shipper.flush(20)
    assert shipper.close(20)
    assert reports == [FlushReport()]


class Interrupted:
    """A wall clock that does something when the writer looks at it, in the middle of its work."""

    def __init__(self) -> None:
        self.act: Any = None

    def __call__(self) -> float:
        act, self.act = self.act, None
        if act:
            act()
        return WALL + 1000.0


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


def test_a_signal_handler_in_the_middle_of_a_commit_does_not_wait_for_it(worlds: Any) -> None:
    wall = Interrupted()
    w = worlds(wall=wall)
    w.put(2)
    done: list[bool] = []
    wall.act = lambda: done.append(w.pipeline.store.step(60))

    assert w.pipeline.sync(1.0)
    assert done == [False]


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")  # other tests' threads may run still
def test_a_fork_in_the_middle_of_a_commit_does_not_wait_for_it(worlds: Any) -> None:
    wall = Interrupted()
    w = worlds(wall=wall)
    w.put(2)
    statuses: list[int] = []

    def fork() -> None:
        child = os.fork()
        if child == 0:
            os._exit(0)  # unmeasured
        statuses.append(os.waitpid(child, 0)[1])

    wall.act = fork
    assert w.pipeline.sync(1.0)
    assert statuses == [0]


def test_once_closed_nothing_is_read_back(worlds: Any) -> None:
    w = worlds()
    w.put(5)
    w.pipeline.sync(1.0)
    w.pipeline.begin_closing(1)
    w.pipeline.line.give_up()

    w.pipeline.store.step(0.0)
    assert w.pipeline.pending == 5
    w.pipeline.store.finish()
    w.pipeline.store.finish()
    assert w.pipeline.store.step(0.0)  # which finds nothing to do
    assert w.pipeline.pending == 5


def test_an_orphan_waits_for_a_file_of_our_own_that_can_be_written(worlds: Any, folder: Path) -> None:
    first = worlds()
    ids = first.put(1)
    first.pipeline.sync(1.0)
    w = worlds()
    w.put(1)
    w.pipeline.flush(10)
    die(first)
    w.pipeline.store._disk.file.path.unlink()  # noqa: SLF001  as who cleans up too much
    w.clock.now += 100
    w.pipeline.flush(0.0)
    assert stats(w).recovered == 0

    for _ in range(4):
        w.clock.now += 100
        w.pipeline.flush(10)
    assert set(ids) < set(w.server.metered)


def test_while_the_disk_fails_it_is_not_tried_for_each_event(worlds: Any, folder: Path) -> None:
    folder.write_text("no directory")
    w = worlds()
    for _ in range(3):
        w.put(1)
        assert not w.pipeline.sync(1.0)

    assert stats(w).pending == 3
    folder.unlink()
    assert not w.pipeline.sync(1.0)  # not yet


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
    broken(w)
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


def test_a_flush_does_not_take_adopted_events_for_its_own(worlds: Any) -> None:
    first = worlds()
    first.put(50)
    first.pipeline.sync(1.0)
    die(first)
    w = worlds()
    (ours,) = w.put(1)
    spool = w.pipeline.store
    waiter = w.pipeline.line.begin_flush(w.clock.now + 100)
    spool._adopt()  # noqa: SLF001  before our own event is written, as a thread may
    assert stats(w).recovered == 50

    w.pipeline.carrying.work(waiter)
    assert ours in w.server.metered
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


def test_a_slow_on_error_holds_up_a_flusher_and_not_the_writer(worlds: Any, folder: Path) -> None:
    told: list[tuple[int, int]] = []  # the thread, and how many requests had been made

    def on_error(*_: object) -> None:
        told.append((threading.get_ident(), len(w.server.sent)))

    w = worlds(max_queue_size=10, batch_size=1, on_error=on_error)
    ids = [w.put(1)[0] for _ in range(7) if w.pipeline.sync(1.0)]
    damage(files(folder)[0], ids[5])
    batch = w.take()
    w.pipeline.line.settle(
        batch, Settlement([Delivered(batch.events)])
    )  # and with that there is room to read it back
    w.clock.now += 1

    writer = threading.Thread(target=w.pipeline.store.step, args=(0.0,))
    writer.start()
    writer.join()
    assert stats(w).dropped == {"corrupt": 1}
    assert told == []

    w.pipeline.flush(10)
    assert len(w.server.sent) == 5
    assert told == [(threading.get_ident(), 1)]  # by the first that comes along, not once all is sent


def test_an_idle_flusher_is_woken_to_tell_of_damaged_events(
    togai: FakeTogai, ship: Any, folder: Path
) -> None:
    delivered, told = threading.Event(), threading.Event()
    shipper = ship(
        spool=folder,
        max_queue_size=2,
        max_in_flight=1,
        on_delivered=lambda events: delivered.set(),
        on_error=lambda error, events: told.set(),
    )
    togai.on_request = lambda received: faults.Refuse(503)
    ids = [shipper.track("api_call", "acme", {"n": 1}) for _ in range(2) if shipper.sync(20)]
    assert shipper.sync(20)
    damage(files(folder)[0], ids[1])
    store = shipper._pipeline.store  # noqa: SLF001  to keep its writer back until the flusher is idle
    assert store.hold(20)
    togai.on_request = lambda received: None
    assert delivered.wait(20)
    assert not told.is_set()
    store.let_go()

    assert told.wait(20)  # though nothing is left to be sent


def test_a_flusher_is_started_to_tell_of_damaged_events_where_there_is_none(
    worlds: Any, folder: Path
) -> None:
    started: list[Any] = []
    told: list[Exception] = []
    may_start = False

    def thread(*what: Any) -> None:
        if not may_start:
            raise RuntimeError("can't start new thread")
        started.append(what)

    w = worlds(max_queue_size=2, thread=thread, on_error=lambda error, events: told.append(error))
    ids = [w.put(1)[0] for _ in range(2) if w.pipeline.sync(1.0)]
    w.pipeline.sync(1.0)
    damage(files(folder)[0], ids[1])
    batch = w.take()
    w.pipeline.line.settle(batch, Settlement([Delivered(batch.events)]))
    w.clock.now += 1
    may_start = True

    assert w.pipeline.store.step(0.0)
    assert len(started) == 1
    assert told == []
    w.pipeline.close(1)
    assert len(told) == 1


def test_who_waits_is_told_of_damaged_events(worlds: Any, folder: Path) -> None:
    w = worlds(max_queue_size=2)
    ids = [w.put(1)[0] for _ in range(4) if w.pipeline.sync(1.0)]
    w.pipeline.sync(1.0)
    damage(files(folder)[0], ids[2])

    assert w.pipeline.flush(10) == FlushReport(delivered=3, dropped=1)
