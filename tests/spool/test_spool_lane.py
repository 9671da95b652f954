"""Events for which the lane has no room wait on disk alone, and stop nobody."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest
from closed_accounts import Accounts, closed_account
from spooled import die, files, stats
from sqlite_handles import break_off

from togai_shipper._engine.buffer import Wait
from togai_shipper._engine.verdict import Reply
from togai_shipper.spool.rows import ROW_BYTES, Row
from togai_shipper.spool.shelf import Shelf


def full_lane(worlds: Any, **options: Any) -> Accounts:
    """A lane that is full, and as many events of its cause on disk alone."""
    w = closed_account(make=worlds, max_queue_size=40, **options)
    for _ in range(4):
        w.put("closed", 5)
        assert w.world.pipeline.sync(1.0)
    return w


def test_what_the_lane_has_no_room_for_waits_on_disk_and_others_go_on(worlds: Any) -> None:
    w = full_lane(worlds)
    good = w.put("open", 15)
    assert w.world.pipeline.sync(1.0)
    assert stats(w.world).pending == 35
    assert w.world.pipeline.buffer.count == 20  # half of memory, as ever

    w.world.pipeline.flush(0.2)

    assert w.taken_at.keys() >= set(good)
    assert stats(w.world).spooled == stats(w.world).pending
    assert stats(w.world).oldest_pending_age > 0


def test_it_comes_back_as_the_lane_has_room_and_each_event_ends_by_togais_word(worlds: Any) -> None:
    w = full_lane(worlds)
    already = len(w.refused)

    w.world.pipeline.flush(60)

    assert (stats(w.world).pending, stats(w.world).spooled) == (0, 0)
    assert len(w.refused) - already == 20


def test_flush_reports_each_event_that_comes_back_whatever_is_tracked_meanwhile(worlds: Any) -> None:
    w = full_lane(worlds)
    answer, later = w.answer, ["open", "closed", "open"]

    def track_meanwhile(sent: Any) -> Any:
        if later:
            w.put(later.pop(), 2)
        return answer(sent)

    w.world.server.answer = track_meanwhile

    report = w.world.pipeline.flush(60)

    assert (report.delivered, report.rejected, report.pending) == (0, 20, 0)


def test_flush_does_not_wait_for_other_events_where_its_own_stay_in_a_file_that_failed(
    worlds: Any, folder: Path
) -> None:
    w = full_lane(worlds)
    answer, later = w.answer, [5] * 6

    def fail_and_track(sent: Any) -> Any:
        if len(later) == 6:
            break_off(files(folder)[0])
        if later:
            w.put("closed", later.pop())
        return answer(sent)

    w.world.server.answer = fail_and_track

    report = w.world.pipeline.flush(3)

    assert (report.delivered, report.rejected, report.pending) == (0, 10, 10)


def test_once_the_account_is_open_all_of_it_is_delivered(worlds: Any) -> None:
    w = full_lane(worlds)
    w.closed.clear()
    before = stats(w.world).delivered

    w.world.pipeline.flush(60)

    assert stats(w.world).pending == 0
    assert stats(w.world).delivered - before == 20


def test_what_memory_has_no_room_for_is_divided_as_it_comes_back(worlds: Any) -> None:
    w = full_lane(worlds)
    for _ in range(6):
        w.put("closed", 5)
        w.put("open", 5)
        assert w.world.pipeline.sync(1.0)

    w.world.pipeline.flush(1)

    assert len(w.taken_at) >= 30
    assert w.world.pipeline.buffer.count <= 20
    w.world.pipeline.flush(60)
    assert stats(w.world).pending == 0


def test_what_goes_to_disk_behind_others_takes_no_room_in_the_lane_meanwhile(worlds: Any) -> None:
    w = closed_account(make=worlds, max_queue_size=40)
    room = w.world.pipeline.buffer.lane_entry.room(40)
    for _ in range(2):
        w.put("open", 15)
        assert w.world.pipeline.sync(1.0)

    w.put("closed", 5)
    assert w.world.pipeline.sync(1.0)

    assert w.world.pipeline.buffer.lane_entry.room(40) == room


def test_no_more_than_a_quarter_of_the_spool_holds_what_has_no_room(worlds: Any) -> None:
    w = full_lane(worlds, max_spool_bytes=40_000)
    refused = 0
    for _ in range(20):
        refused += 5 - len(w.put("closed", 5))
        w.world.pipeline.sync(1.0)

    assert refused > 0
    assert len(w.put("open", 20)) == 20


def test_close_keeps_it_on_disk_for_the_next_process(worlds: Any) -> None:
    w = full_lane(worlds, rate_limit=2)

    report = w.world.pipeline.close(5)

    assert report.pending > 0
    assert report.pending + report.rejected == 20


def test_a_row_that_somebody_has_removed_or_damaged_is_passed_by(worlds: Any, folder: Path) -> None:
    w = full_lane(worlds)
    connection = sqlite3.connect(files(folder)[0])
    with connection:
        seqs = [seq for (seq,) in connection.execute("SELECT seq FROM event ORDER BY seq")]
        connection.execute("DELETE FROM event WHERE seq = ?", (seqs[-1],))
        connection.execute("UPDATE event SET crc = crc + 1 WHERE seq = ?", (seqs[-2],))
    connection.close()

    w.world.pipeline.flush(60)

    assert stats(w.world).pending == 0
    assert stats(w.world).corrupt_rows == 1
    assert stats(w.world).spool_bytes == 0


def test_in_a_file_that_had_to_be_left_it_waits_until_that_can_be_read(
    worlds: Any, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    w = full_lane(worlds)
    break_off(files(folder)[0])
    w.put("open", 1)
    assert not w.world.pipeline.sync(1.0)
    assert "; 10 events stay in " in caplog.text
    assert stats(w.world).pending == 21

    w.closed.clear()
    for _ in range(6):
        w.world.clock.now += 100
        w.world.pipeline.flush(100)

    assert stats(w.world).pending == 0
    assert w.world.server.metered.keys() >= w.accounts.keys() - w.refused


def test_a_process_that_starts_behind_more_of_a_closed_account_than_fits_in_memory_delivers_what_others_track(
    worlds: Any,
) -> None:
    before = closed_account(make=worlds, max_queue_size=40, known=False)
    before.world.server.answer = lambda sent: Reply(503)
    for _ in range(60):
        before.put("closed", 5)
        before.world.pipeline.sync(1.0)
    assert stats(before.world).spooled == 300
    die(before.world)

    w = closed_account(make=worlds, max_queue_size=40, known=False)
    w.accounts.update(before.accounts)
    good: list[str] = []
    for _ in range(60):
        good += w.put("open", 2)
        w.world.pipeline.sync(1.0)
        w.world.clock.now += 1
        w.world.pipeline.flush(1)

    assert w.taken_at.keys() >= set(good[:-10])
    assert w.refused <= before.accounts.keys()
    assert w.world.pipeline.buffer.count <= 40 + 500
    w.closed.clear()
    w.world.pipeline.flush(100)
    assert stats(w.world).pending == stats(w.world).spooled == 0
    assert w.world.server.metered == dict.fromkeys(w.accounts.keys() - w.refused, 1)


def test_a_line_that_was_parked_by_all_that_there_was_is_probed_with_what_comes_next(worlds: Any) -> None:
    w = closed_account(make=worlds, known=False)
    w.put("closed", 20)
    w.world.pipeline.sync(1.0)
    w.world.pipeline.flush(10)
    assert (stats(w.world).state, stats(w.world).pending) == ("parked", 0)
    w.world.clock.now += 10
    assert w.world.pipeline.line.take() == Wait(None)  # as a flusher asks, for which there is nothing

    later = w.put("closed", 15)
    w.world.pipeline.sync(1.0)
    w.closed.clear()
    w.world.pipeline.flush(60)

    assert w.taken_at.keys() == set(later)
    assert (stats(w.world).state, stats(w.world).pending) == ("open", 0)


def test_what_comes_while_a_parked_line_is_probed_is_tried_as_soon_as_that_has_failed(worlds: Any) -> None:
    w = closed_account(make=worlds, known=False)
    w.put("closed", 100)
    w.world.pipeline.sync(1.0)
    w.world.pipeline.flush(10)
    for _ in range(6):
        w.world.until_probe()
        w.world.pipeline.flush(1)
    good: list[str] = []
    answer = w.answer

    def track_meanwhile(sent: Any) -> Any:
        if not good:
            good.extend(w.put("open", 1))
            w.world.pipeline.sync(1.0)
        return answer(sent)

    w.world.server.answer = track_meanwhile
    w.world.until_probe()
    begun = w.world.clock.now
    w.world.pipeline.flush(5)

    assert w.taken_at.keys() == set(good)
    assert w.taken_at[good[0]] - begun < 5


def test_however_many_accounts_are_closed_while_the_line_is_parked_no_event_is_refused(worlds: Any) -> None:
    w = closed_account(make=worlds, max_queue_size=400, known=False)
    w.closed = {f"closed {number}" for number in range(6)}
    for account in sorted(w.closed):
        for _ in range(10):
            assert len(w.put(account, 20)) == 20
            w.world.pipeline.sync(1.0)
        for _ in range(20):
            w.world.clock.now += 60
            w.world.pipeline.sync(1.0)
            w.world.pipeline.flush(1)

    assert w.world.pipeline.buffer.count <= 300


def test_however_many_accounts_are_known_to_be_closed_no_event_is_refused(worlds: Any) -> None:
    w = closed_account(make=worlds, max_queue_size=400)
    w.closed = {f"closed {number}" for number in range(12)}
    for account in sorted(w.closed):
        for _ in range(40):
            assert len(w.put(account, 5) + w.put("open", 5)) == 10
            w.world.pipeline.sync(1.0)
        w.world.pipeline.flush(2)


def test_a_damaged_one_takes_no_room_from_then_on() -> None:
    shelf = Shelf()
    events = [b"1" * 10, b"2" * 20, b"3" * 30]
    shelf.written(events, 1, 3, 0.0, {id(event) for event in events})
    assert shelf.bytes == shelf.aside_bytes == 60 + 3 * ROW_BYTES

    shelf.left_aside(None, [events[0]])  # damaged
    assert shelf.bytes == shelf.aside_bytes == 50 + 2 * ROW_BYTES
    shelf.left_aside(None)  # removed by somebody
    shelf.left_aside(Row(3, 0, known=False, body=events[2]))
    assert (shelf.bytes, shelf.aside_bytes) == (30 + ROW_BYTES, 0)
