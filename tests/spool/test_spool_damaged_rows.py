"""Events that are damaged on disk: never sent, kept as dead letters, and told without delay."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
from spooled import damage, die, files, letters, stats
from sqlite_handles import handle_of

from togai_shipper import DeliveryError, Event
from togai_shipper._engine.settlement import Settlement
from togai_shipper._outcome import Delivered, FlushReport
from togai_shipper.testing import FakeTogai, faults


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
    (path,) = files(folder)
    damage(path, ids[1])
    is_idle = threading.Event()
    handle_of(path).set_trace_callback(lambda _: is_idle.wait(20))  # the writer looks into the file only then
    togai.on_request = lambda received: None
    assert delivered.wait(20)
    assert not told.is_set()
    is_idle.set()

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
    may_start = False  # this one never runs
    w.pipeline.close(1)
    assert len(told) == 1


def test_who_waits_is_told_of_damaged_events(worlds: Any, folder: Path) -> None:
    w = worlds(max_queue_size=2)
    ids = [w.put(1)[0] for _ in range(4) if w.pipeline.sync(1.0)]
    w.pipeline.sync(1.0)
    damage(files(folder)[0], ids[2])

    assert w.pipeline.flush(10) == FlushReport(delivered=3, dropped=1)
