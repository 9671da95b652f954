"""A disk that takes its time: few waits for it, and none that is not needed."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from spool_files import body
from spooled import DOWN, files
from virtual import Clock

from togai_shipper._engine.saying import SELDOM
from togai_shipper._engine.self_report import SelfReport
from togai_shipper._journal import read_journals
from togai_shipper.spool.errors import SpoolFull
from togai_shipper.spool.file import SELF_REPORT, SpoolFile
from togai_shipper.spool.wal import FAST, IF_SLOW, PART, SLOW, Wal
from togai_shipper.spool.writer import FORGET_EVERY

SIZE = 1_000_000


def wal_of(file: SpoolFile) -> int:
    return Path(f"{file.path}-wal").stat().st_size


def grow(file: SpoolFile, times: int) -> None:
    for _ in range(times):
        first = file.append([(0, False, body("a", SIZE))])
        file.remove([first])


def test_on_a_slow_disk_the_wal_is_emptied_more_seldom(file: SpoolFile) -> None:
    wal = Wal(Clock(), PART * IF_SLOW)
    grow(file, 12)
    assert wal_of(file) < 8 * SIZE

    wal.note_commit(file, 2 * SLOW)
    grow(file, 12)
    wal.note_commit(file, SLOW / 2)  # one that is quicker does not tell yet that it is no longer so
    wal.look(file)
    assert wal_of(file) > 12 * SIZE

    wal.note_commit(file, FAST / 2)
    wal.look(file)
    assert wal_of(file) == 0


def test_where_the_spool_may_take_little_the_wal_stays_short_on_a_slow_disk_too(file: SpoolFile) -> None:
    wal = Wal(Clock(), PART * IF_SLOW - PART)
    wal.note_commit(file, 2 * SLOW)
    grow(file, 12)

    assert wal_of(file) < 8 * SIZE


def delivered_and_coming(w: Any) -> list[str]:
    """Let an event be delivered, and another one come once it is to be forgotten; return what is written."""
    w.pipeline.put(body("a"))
    assert w.pipeline.flush(10)
    written: list[str] = []
    for name in ("append", "settle", "exchange"):
        setattr(w.pipeline.store.disk.file, name, noted(w.pipeline.store.disk.file, name, written))
    w.pipeline.put(body("b"))
    w.clock.now += FORGET_EVERY
    w.pipeline.store.step(0.0)
    return written


def noted(file: SpoolFile, name: str, written: list[str]) -> Any:
    method = getattr(file, name)

    def call(*given: object) -> object:
        written.append(name)
        return method(*given)

    return call


def test_one_commit_writes_what_has_come_and_removes_what_was_delivered(worlds: Any, folder: Path) -> None:
    w = worlds()

    assert delivered_and_coming(w) == ["exchange"]
    assert [len(SpoolFile.peek(path).read(0, 9)[0]) for path in files(folder)] == [1]
    assert w.pipeline.flush(10)


@pytest.mark.parametrize("error", [SpoolFull("no room"), MemoryError()])
def test_where_that_commit_fails_nothing_of_it_is_lost(worlds: Any, folder: Path, error: Exception) -> None:
    w = worlds()
    w.pipeline.put(body("a"))
    assert w.pipeline.flush(10)
    file = w.pipeline.store.disk.file
    exchange = file.exchange

    def fail(*_: object) -> None:
        raise error

    file.exchange = fail
    w.pipeline.put(body("b"))
    w.clock.now += FORGET_EVERY
    with suppress(MemoryError):
        w.pipeline.store.step(0.0)
    file.exchange = exchange
    w.clock.now += 60.0

    assert w.pipeline.flush(60)
    assert w.pipeline.close(10)
    counts = [each for journal in read_journals(folder) for each in journal.counts]
    assert (len(w.server.metered), sum(each.count for each in counts)) == (2, 2)
    assert files(folder) == []


def test_what_was_delivered_is_left_to_the_next_commit_where_events_have_gathered_for_one(
    worlds: Any,
) -> None:
    w = worlds()
    w.pipeline.put(body("a"))
    assert w.pipeline.flush(10)
    file = w.pipeline.store.disk.file
    written: list[str] = []
    for name in ("settle", "exchange"):
        setattr(file, name, noted(file, name, written))
    append = file.append

    def slowly(rows: Any) -> int:
        w.pipeline.put(body("c"))
        w.clock.now += FORGET_EVERY
        return int(append(rows))

    file.append = slowly
    w.pipeline.put(body("b"))
    w.pipeline.store.step(0.0)
    assert written == []

    w.pipeline.store.step(0.0)
    assert written == ["exchange"]


def due_to_be_said(w: Any) -> SpoolFile:
    """Track an event, and another one once the process is to say how it stands."""
    w.pipeline.put(body("a"))
    assert w.pipeline.sync(10)
    w.pipeline.put(body("b"))
    w.clock.now += SELDOM
    file: SpoolFile = w.pipeline.store.disk.file
    return file


def said(file: SpoolFile) -> int:
    """How many events wait, as the process has said."""
    report = SelfReport.of_text(file.meta()[SELF_REPORT])
    assert report is not None
    return report.pending


def test_one_commit_writes_what_has_come_and_how_the_process_stands(worlds: Any) -> None:
    w = worlds()
    file = due_to_be_said(w)
    written: list[str] = []
    for name in ("append", "settle", "exchange"):
        setattr(file, name, noted(file, name, written))

    assert said(file) == 1
    w.pipeline.store.step(0.0)

    assert written == ["exchange"]
    assert said(file) == 2
    assert len(file.read(0, 9)[0]) == 2


def test_where_that_commit_fails_it_is_said_later(worlds: Any) -> None:
    w = worlds()
    w.server.answer = lambda sent: DOWN
    file = due_to_be_said(w)
    exchange = file.exchange

    def fail(*_: object) -> None:
        raise SpoolFull("no room")

    w.pipeline.store.disk.file.exchange = fail
    w.pipeline.store.step(0.0)
    assert said(file) == 1

    w.pipeline.store.disk.file.exchange = exchange
    for _ in range(3):
        w.clock.now += 60.0
        w.pipeline.store.step(0.0)
    assert said(file) == 2


def test_more_than_goes_into_one_commit_is_written_in_several(worlds: Any) -> None:
    w = worlds(max_spool_bytes=40_000_000)
    w.pipeline.put(body("a"))
    assert w.pipeline.sync(10)
    commits: list[str] = []
    file = w.pipeline.store.disk.file
    for name in ("append", "exchange"):
        setattr(file, name, noted(file, name, commits))
    for number in range(120):
        w.pipeline.put(body(str(number), SIZE // 10))
    assert w.pipeline.sync(10)

    assert len(commits) >= 3
