"""What happens to a process in virtual time that spools, and to its files; and what is in them."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from virtual import WALL, World

from togai_shipper._engine.bell import Bell
from togai_shipper._engine.runtime import Runtime
from togai_shipper._engine.verdict import Reply
from togai_shipper.spool.file import SpoolFile
from togai_shipper.spool.rows import DeadLetter
from togai_shipper.spool.writer import Spool

DAY = 86_400.0
DOWN = Reply(None, error="no reply: down")


def die(w: World) -> None:
    """As by kill -9: nothing more is written, and the kernel lets go of the locks."""
    store = w.pipeline.store
    if isinstance(store, Spool):
        store.recovery.adoption.pause()
        store.disk.leave()


def damage(path: Path, event_id: str) -> None:
    connection = sqlite3.connect(path)
    connection.execute(
        "UPDATE event SET body = replace(CAST(body AS TEXT), '\"1\"', '\"9\"') WHERE instr(body, ?)",
        (event_id,),
    )
    connection.commit()
    connection.close()


def files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.db"))


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


def letters(folder: Path) -> list[DeadLetter]:
    found = []
    for path in files(folder):
        file = SpoolFile.peek(path)
        found += [letter for _, letter in file.dead()]
        file.close()
    return found


def stats(w: World) -> Any:
    return w.pipeline.health.stats()


class HurriedBell(Bell):
    """Whoever waits for it waits a tenth of the time."""

    def wait(self, rings: object, timeout: float | None) -> None:
        super().wait(rings, None if timeout is None else timeout / 10)


def hurried(wall: Callable[[], float]) -> Runtime:
    """A world of real threads in which time runs ten times as fast."""
    return Runtime(clock=lambda: time.monotonic() * 10, wall=wall, bell=HurriedBell)


class Interrupted:
    """A wall clock that does something when the writer looks at it, in the middle of its work."""

    def __init__(self) -> None:
        self.act: Any = None

    def __call__(self) -> float:
        act, self.act = self.act, None
        if act:
            act()
        return WALL + 1000.0
