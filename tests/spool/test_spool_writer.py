"""The writer: it cannot be started, is ended, interrupted or forked, or its disk hangs."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from spooled import Interrupted, die, files, hurried, stats
from sqlite_handles import handle_of
from virtual import WALL

from togai_shipper import Event, EventDropped
from togai_shipper._config import Config
from togai_shipper._engine.verdict import Reply
from togai_shipper._event import encode, fresh_id
from togai_shipper._outcome import FlushReport
from togai_shipper._pipeline import Pipeline
from togai_shipper.testing import FakeTogai


def test_a_writer_that_cannot_be_started_is_told_and_its_work_done_by_others(worlds: Any) -> None:
    def refuse(*_: Any) -> None:
        raise RuntimeError("can't start new thread")

    w = worlds(thread=refuse)
    w.put(3)

    assert "can't start new thread" in str(w.pipeline.health.complaint())
    assert w.pipeline.sync(1.0)
    assert w.pipeline.flush(10) == FlushReport(delivered=3)


def test_a_writer_alone_that_cannot_be_started_is_told(worlds: Any) -> None:
    refusals = [RuntimeError("can't start new thread")]

    def refuse_once(*_: Any) -> None:
        if refusals:
            raise refusals.pop()

    w = worlds(thread=refuse_once)
    w.put(1)

    assert "can't start new thread" in str(w.pipeline.health.complaint())


def test_a_writer_that_is_ended_is_told_of_and_replaced(
    togai: FakeTogai, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    raising = [SystemExit("somebody else's handler")]
    ended = threading.Event()

    def wall() -> float:
        if raising:
            ended.set()
            raise raising.pop()
        return time.time()

    config = Config.load({}, api_key="secret", base_url=togai.url, spool=str(folder))
    pipeline = Pipeline(config, hurried(wall))
    event = encode("api_call", "acme", {}, {}, "2026-01-01T00:00:00.000Z", fresh_id())
    assert pipeline.put(event) is None
    assert ended.wait(20)

    assert pipeline.close(200)
    assert "the spool's writer was ended by SystemExit" in caplog.text
    assert togai.ledger.metered == 1


@pytest.mark.parametrize("kind", [SystemExit, MemoryError])
def test_a_writer_that_is_ended_while_a_flusher_idles_is_replaced_though_nothing_more_is_tracked(
    togai: FakeTogai, folder: Path, kind: type[BaseException]
) -> None:
    raising: list[BaseException] = []
    has_raised, goes_on = threading.Event(), threading.Event()

    def wall() -> float:
        if raising:
            has_raised.set()
            raise raising.pop()
        if has_raised.is_set():
            goes_on.set()
        return time.time()

    config = Config.load({}, api_key="secret", base_url=togai.url, spool=str(folder), flush_interval=0.05)
    pipeline = Pipeline(config, hurried(wall))
    event = encode("api_call", "acme", {}, {}, "2026-01-01T00:00:00.000Z", fresh_id())
    assert pipeline.put(event) is None
    assert togai.wait(lambda: togai.ledger.metered == 1)  # a writer and a flusher live, and wait
    raising.append(kind("in the writer's thread"))
    event = encode("api_call", "acme", {}, {}, "2026-01-01T00:00:00.000Z", fresh_id())
    assert pipeline.put(event) is None

    assert togai.wait(lambda: togai.ledger.metered == 2, 10)
    assert goes_on.wait(20)
    assert pipeline.close(20)


def test_a_writer_that_fails_again_and_again_keeps_close_from_nothing(
    togai: FakeTogai, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    told: list[tuple[bool, int]] = []
    failed = threading.Event()

    def wall() -> float:
        failed.set()
        raise MemoryError("each time")

    config = Config.load(
        {},
        api_key="secret",
        base_url=togai.url,
        spool=str(folder),
        on_error=lambda error, events: told.append((error.maybe_delivered, len(events))),
    )
    pipeline = Pipeline(config, hurried(wall))
    event = encode("api_call", "acme", {}, {}, "2026-01-01T00:00:00.000Z", fresh_id())
    assert pipeline.put(event) is None
    assert failed.wait(20)

    assert pipeline.close(20) == FlushReport(delivered=1)
    assert togai.ledger.metered == 1
    assert not told
    assert "the spool's writer failed (MemoryError)" in caplog.text


def test_what_a_writer_that_fails_each_time_does_not_write_is_delivered_by_close(worlds: Any) -> None:
    begun: list[bool] = []

    def wall() -> float:
        if begun:
            raise MemoryError("each time")
        return WALL + 1000.0

    w = worlds(wall=wall)
    ids = w.put(3)
    begun.append(True)
    w.put(2)

    assert w.pipeline.close(5) == FlushReport(delivered=5)
    assert set(ids) < set(w.server.metered)


@pytest.mark.parametrize(("call", "failures"), [("sync", 1), ("flush", 2)])
def test_what_the_writers_work_raises_does_not_come_out_of_flush_or_sync(
    worlds: Any, caplog: pytest.LogCaptureFixture, call: str, failures: int
) -> None:
    raising = [MemoryError("no more")] * failures

    def wall() -> float:
        if raising:
            raise raising.pop()
        return WALL + 1000.0

    w = worlds(wall=wall)
    w.put(1)

    assert getattr(w.pipeline, call)(5)
    assert not raising
    assert "the spool's writer failed (MemoryError)" in caplog.text


def test_what_cannot_be_forgotten_at_the_end_keeps_close_from_nothing(
    worlds: Any, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It is sent once more, by who adopts the file, with the same id."""
    raising: list[BaseException] = []

    def wall() -> float:
        if raising:
            raise raising[0]
        return WALL + 1000.0

    refused = Reply(400, b'{"message": "no such schema"}')
    w = worlds([refused, refused], wall=wall)
    w.put(1)
    assert w.pipeline.sync(1.0)
    assert w.pipeline.flush(0.01) == FlushReport(rejected=1)
    raising.append(MemoryError("each time"))

    assert w.pipeline.close(5) == FlushReport()
    assert w.pipeline.health.state == "closed"
    assert "the spool could not forget what was settled last (MemoryError)" in caplog.text
    assert len(files(folder)) == 1


def test_close_does_not_wait_for_a_disk_that_hangs(worlds: Any) -> None:
    w = worlds()
    w.put(1)
    assert w.pipeline.store.hold(0)  # as a commit does that does not end

    assert not w.pipeline.sync(0.5)
    assert w.pipeline.close(0.2) == FlushReport(dropped=1)
    w.pipeline.store.let_go()
    assert stats(w).dropped == {"closed": 1}


def test_close_delivers_from_memory_what_a_disk_that_hangs_does_not_take(worlds: Any) -> None:
    w = worlds()
    w.put(3)
    assert w.pipeline.store.hold(0)

    assert w.pipeline.close(5) == FlushReport(delivered=3)
    w.pipeline.store.let_go()


def test_a_disk_that_hung_until_after_close_harms_nobody(worlds: Any, folder: Path) -> None:
    """What it has written meanwhile was given up, as perhaps delivered: it is sent by who adopts it."""
    told: list[tuple[bool, list[str]]] = []

    def tell(error: EventDropped, events: tuple[Event, ...]) -> None:
        told.append((error.maybe_delivered, [event.id for event in events]))

    w = worlds(on_error=tell)
    w.put(1)
    assert w.pipeline.flush(10) == FlushReport(delivered=1)
    closing, closed = threading.Event(), threading.Event()

    def hang(statement: str) -> None:
        if "INSERT INTO event" in statement:
            closing.set()
            assert closed.wait(10)

    handle_of(files(folder)[0]).set_trace_callback(hang)
    ids = w.put(1)
    writer = threading.Thread(target=w.pipeline.store.step, args=(10.0,))
    writer.start()
    try:
        assert closing.wait(10)
        later = w.put(1)
        assert w.pipeline.close(1) == FlushReport(dropped=2)
        assert told == [(False, later), (True, ids)]
    finally:
        closed.set()  # else a test that has failed would hang, too
        writer.join(10)
    die(w)

    heir = worlds()
    assert heir.pipeline.flush(10)
    assert [sent.ids for sent in heir.server.sent] == [tuple(ids)]


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
