"""Disks: SQLite's files are real, on a file system in memory; what fails, hangs or lies is ours."""

from __future__ import annotations

import os
import shutil
import sqlite3
import urllib.parse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from . import kernel

if TYPE_CHECKING:
    from .process import Process

_connect = sqlite3.connect
WRITES = ("INSERT", "DELETE", "BEGIN", "UPDATE", "COMMIT", "CREATE", "\nINSERT", "\nDELETE", "\nCREATE")


@attrs.define
class Fault:
    """What is wrong with the disk, and until when (true seconds)."""

    kind: str  # full, broken, unsure, hangs
    until: float


class SimulatedConnection(sqlite3.Connection):
    """A connection whose statements go through the world's disk."""

    process: Process | None = None
    path: str = ""

    def execute(self, statement: str, parameters: Any = ()) -> sqlite3.Cursor:  # type: ignore[override]
        if self.process is None:
            return super().execute(statement, parameters)
        after = kernel.world().disk.before(statement)
        found = super().execute(statement, parameters)
        if statement.startswith(WRITES):
            kernel.world().disk.written(self.path)
        if after is not None:
            after()
        return found

    def executemany(self, statement: str, parameters: Any) -> sqlite3.Cursor:  # type: ignore[override]
        if self.process is not None:
            kernel.world().disk.before(statement)
        return super().executemany(statement, parameters)

    def close(self) -> None:
        super().close()  # it may have written
        if self.process is not None and os.path.exists(self.path):  # noqa: PTH110  Path's raises where it cannot be told
            kernel.world().disk.written(self.path)


def connect(*arguments: Any, **keywords: Any) -> SimulatedConnection:
    """Open a file for the process that runs, which dies with it."""
    connection: SimulatedConnection = _connect(*arguments, factory=SimulatedConnection, **keywords)
    here = kernel.process()
    connection.process = here
    connection.path = urllib.parse.unquote(str(arguments[0]).removeprefix("file://").partition("?")[0])
    if here is not None:
        here.connections.append(connection)
    return connection


class Disk:
    """One machine's disk, with the spool's directory on it."""

    def __init__(self, spool: Path) -> None:
        self.spool = spool
        self.fault: Fault | None = None
        self._kept = spool.with_name("kept")  # what a disk that lies has really written
        self.lies = False

    def before(self, statement: str) -> Callable[[], None] | None:
        """Do what the disk does to a statement; returns what it does after it."""
        scheduler, fault = kernel.scheduler(), self.fault
        scheduler.may_switch()
        if fault is None or not statement.startswith(WRITES):
            return None
        if scheduler.now >= fault.until:
            self.fault = None
            return None
        if scheduler.task is None:
            return None
        kernel.world().count(f"disk {fault.kind}")
        if fault.kind == "hangs":
            scheduler.sleep(fault.until - scheduler.now)
        elif fault.kind == "full":
            raise sqlite3.OperationalError("database or disk is full")
        elif fault.kind == "broken":
            raise sqlite3.OperationalError("disk I/O error")
        elif statement.startswith(("\nINSERT", "\nDELETE", "COMMIT")):
            return _fail
        return None

    def written(self, path: str) -> None:
        """Give the file the world's time."""
        wall = kernel.world().true_wall()
        os.utime(path, (wall, wall))

    # --- crashes ---

    def crash(self, dead: Process) -> None:
        """A process is killed: what it has committed stays, exactly as it lies there."""
        if not dead.connections:
            return
        copy = self.spool.with_name("crash")
        for connection in dead.connections:
            connection.process = None
        paths = {Path(path) for each in dead.connections for path in _files(each)}
        copy.mkdir(exist_ok=True)
        for path in paths:
            shutil.copy2(path, copy / path.name)
        for connection in dead.connections:
            connection.close()
        for path in paths:
            shutil.copy2(copy / path.name, path)
            path.with_name(f"{path.name}-shm").unlink(missing_ok=True)
        shutil.rmtree(copy)
        dead.connections.clear()

    def begin_lying(self) -> None:
        """From now on what is synced is not on disk."""
        if self.lies or not self.spool.exists():
            return
        self.lies = True
        shutil.rmtree(self._kept, ignore_errors=True)
        shutil.copytree(self.spool, self._kept)

    def cut_power(self) -> bool:
        """All processes are dead: a disk that has lied forgets; returns whether it had."""
        lied, self.lies = self.lies, False
        if lied:
            shutil.rmtree(self.spool)
            shutil.copytree(self._kept, self.spool)
            for path in self.spool.glob("*-shm"):
                path.unlink()
        return lied


def _files(connection: sqlite3.Connection) -> list[str]:
    try:
        ((_, _, path),) = connection.execute("PRAGMA database_list").fetchall()
    except (sqlite3.Error, ValueError):  # closed
        return []
    path = path.decode() if isinstance(path, bytes) else path
    return [each for each in (path, f"{path}-wal", f"{path}-journal") if os.path.exists(each)]  # noqa: PTH110


def _fail() -> None:
    raise sqlite3.OperationalError("disk I/O error")
