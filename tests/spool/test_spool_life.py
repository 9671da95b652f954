"""A spool through its processes' lives: what one has left goes out with the next, once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from spooled import DOWN, die, files, stats

from togai_shipper._engine.verdict import Reply
from togai_shipper._outcome import FlushReport
from togai_shipper.spool.archive import NAME
from togai_shipper.spool.file import SpoolFile
from togai_shipper.testing import FakeTogai


def test_nothing_is_written_before_the_first_event(worlds: Any, folder: Path) -> None:
    w = worlds()

    assert not folder.exists()
    assert stats(w).durable  # who tracks nothing has nothing that an alert would be for
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


def test_a_clean_end_leaves_nothing_but_the_journal_behind(worlds: Any, folder: Path) -> None:
    w = worlds()
    w.put(1001)

    assert w.pipeline.close(10) == FlushReport(delivered=1001)
    assert [path.name for path in folder.iterdir()] == [NAME]
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
    assert [path.name for path in folder.iterdir()] == [NAME]


def test_close_without_time_writes_what_is_in_memory(worlds: Any, folder: Path) -> None:
    w = worlds()
    w.put(5)

    assert w.pipeline.close(0.0) == FlushReport(pending=5)
    assert len(files(folder)) == 1


def test_what_close_keeps_on_disk_is_as_old_as_it_is(worlds: Any) -> None:
    w = worlds()
    w.put(1)
    w.clock.now += 7
    w.put(1)
    assert w.pipeline.close(0) == FlushReport(pending=2)

    assert stats(w).oldest_pending_age == pytest.approx(7, abs=0.1)


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


def test_a_flush_in_a_callback_does_not_wait_for_the_disk(togai: FakeTogai, ship: Any, folder: Path) -> None:
    reports: list[Any] = []
    shipper = ship(spool=folder, on_delivered=lambda events: reports.append(shipper.flush()))
    shipper.track("api_call", "acme")

    assert shipper.flush(20)
    assert shipper.close(20)
    assert reports == [FlushReport()]
