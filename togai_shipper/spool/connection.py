"""A connection to one SQLite file: the only module that knows sqlite3.

Once ``make_durable`` was called, what a method has written when it returns survives a power cut (WAL,
``synchronous=FULL``). One thread at a time uses a connection, and a forked child never does.
"""

from __future__ import annotations

import ctypes
import os
import sqlite3
import sys
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any, Literal, TypeAlias

from .errors import Damaged, Endless, SpoolError, SpoolFull
from .making import make_file
from .opening import Opening
from .patience import OPERATIONS, Patience

#: How a file is opened: to be written; to be looked at while others may write; or to be looked at while
#: nobody has it, which takes half the time, leaves nothing beside it, and needs the ``-shm`` that a killed
#: process has left; or, ``still``, where nothing can be made beside it, and it is all there is.
Mode: TypeAlias = Literal["rw", "ro", "left", "still"]
_URI: Mapping[Mode, str] = {
    "rw": "mode=rw",
    "ro": "mode=ro",
    "left": "mode=ro&readonly_shm=1",
    "still": "mode=ro&immutable=1",
}

# Seconds that a statement waits for another connection. Whoever writes does not wait long: events go on from
# memory, and close() has little time.
BUSY_TIMEOUT: Mapping[Mode, float] = {"rw": 0.5, "ro": 5.0, "left": 0.0, "still": 5.0}
# Seconds that a statement may run. Nobody waits for who only looks, and it looks at whole files.
STATEMENT_TIMEOUT: Mapping[Mode, float] = {"rw": 10.0, "ro": 60.0, "left": 60.0, "still": 60.0}
CHECK_TIMEOUT = 3600.0  # the same for SQLite's own check, which reads a file several times
LONGEST = 64 * 1024**2  # bytes of one value, or row, in a file that others may have written

Parameters: TypeAlias = Sequence[Any] | Mapping[str, Any]


class Connection:
    """An open SQLite file. Every method raises ``SpoolError``, and has then changed nothing."""

    def __init__(
        self,
        path: Path,
        mode: Mode,
        clock: Callable[[], float] = time.monotonic,
        opening: Opening | None = None,
    ) -> None:
        self.path = path
        self._timeout = STATEMENT_TIMEOUT[mode]
        self._patience = Patience(clock)
        self._translated = _Translated(path)
        self._opening = opening or Opening(path)
        self._sqlite = _connected(path, mode, self._opening)
        self._sqlite.set_progress_handler(self._patience.is_over, OPERATIONS)
        self._sqlite.text_factory = bytes  # the bodies' text, as it is, damaged or not
        if mode == "rw":  # never destroyed, only closed: a forked child would, at its end, close its parent's
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(self._sqlite))

    @classmethod
    def create(cls, path: Path, clock: Callable[[], float] = time.monotonic) -> Connection:
        """Make the file, which nobody but its owner can read, and connect to it."""
        with _Translated(path):
            os.close(make_file(path))  # SQLite would let others read
        return cls(path, "rw", clock)

    # --- how it behaves ---

    def make_durable(self) -> None:
        """Let a power cut lose nothing of what is written from now on."""
        with self._statement():
            execute = self._sqlite.execute
            execute("PRAGMA journal_mode = WAL").fetchone()  # where it cannot be had, FULL is durable as well
            execute("PRAGMA synchronous = FULL")
            execute("PRAGMA fullfsync = 1")
            execute("PRAGMA journal_size_limit = 8388608")
            execute("PRAGMA secure_delete = FAST")  # ON writes what is removed anew, as zeros

    def make_shrinkable(self) -> None:
        """Let ``shrink`` be possible; in a new file, before anything is in it."""
        self.execute("PRAGMA auto_vacuum = INCREMENTAL")

    def shrink(self, pages: int) -> None:
        """Give back so many pages that are free, in one commit."""
        with self._statement():
            self._sqlite.executescript(f"PRAGMA incremental_vacuum({pages})")  # execute() would do one page

    def make_sure(self) -> None:
        """Let a power cut lose nothing of what is written from now on, as without a ``-wal``."""
        with self._statement():
            self._sqlite.execute("PRAGMA synchronous = EXTRA")
            self._sqlite.execute("PRAGMA fullfsync = 1")
            self._sqlite.execute("PRAGMA secure_delete = FAST")

    def make_hasty(self) -> None:
        """Wait for the disk no longer: the file is removed."""
        self.execute("PRAGMA synchronous = OFF")

    def empty_wal_at(self, pages: int) -> None:
        """Move what is in the ``-wal`` into the file with the commit that makes it so long."""
        self.execute(f"PRAGMA wal_autocheckpoint = {pages}")

    def empty_wal(self) -> bool:
        """Move what is in the ``-wal`` into the file, and empty it; wait for nobody.

        Return false where a reader is in the way.
        """
        with self._statement():
            execute = self._sqlite.execute
            execute("PRAGMA busy_timeout = 0")
            try:
                is_busy, _, _ = execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            finally:
                execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT['rw'] * 1000:.0f}")
            return not is_busy

    def distrust(self) -> None:
        """Read the file as one that may be damaged, or made by somebody who means harm."""
        with self._statement():
            execute = self._sqlite.execute
            execute("PRAGMA mmap_size = 0")
            execute("PRAGMA cell_size_check = ON")
            execute("PRAGMA trusted_schema = OFF")

    def check_beside(self) -> None:
        """Once it has read: what it has opened beside the file is that file's. Raises ``NotOurs``."""
        self._opening.check_beside()

    def refuse_long_values(self) -> None:
        """Read no value of the file that would take up much memory."""
        if sys.version_info >= (3, 11):  # pragma: no branch  before, SQLite's own limit holds: a gigabyte
            self._sqlite.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, LONGEST)

    def read_though_cut_off(self) -> None:
        """Read what is left of a file whose end is missing, of which SQLite reads nothing else."""
        with self._statement():
            self._sqlite.execute("PRAGMA writable_schema = ON")

    # --- statements ---

    def _statement(self, seconds: float | None = None) -> _Translated:
        """Run one statement, which has its time, and whose errors are the spool's."""
        self._patience.begin(self._timeout if seconds is None else seconds)
        return self._translated

    def execute(self, statement: str, parameters: Parameters = ()) -> None:
        """Run a statement that gives nothing back; outside a transaction that is one commit."""
        with self._statement():
            self._sqlite.execute(statement, parameters)

    def execute_many(self, statement: str, parameters: Iterable[Parameters]) -> None:
        """Run a statement once for each of ``parameters``, within a transaction."""
        with self._statement():
            self._sqlite.executemany(statement, parameters)

    def row(self, statement: str, parameters: Parameters = ()) -> tuple[Any, ...]:
        """Return the one row that a statement gives."""
        with self._statement():
            row: tuple[Any, ...] = self._sqlite.execute(statement, parameters).fetchone()
            return row

    def rows(self, statement: str, parameters: Parameters = ()) -> list[tuple[Any, ...]]:
        """Return all the rows that a statement gives."""
        with self._statement():
            return self._sqlite.execute(statement, parameters).fetchall()

    def complaints(self) -> list[str]:
        """Return what SQLite's own check of the whole file finds wrong, a text each."""
        with self._statement(CHECK_TIMEOUT):
            found = [as_text(text) for (text,) in self._sqlite.execute("PRAGMA integrity_check")]
        return [] if found == ["ok"] else found

    def each(self, statement: str, parameters: Parameters = ()) -> Generator[tuple[Any, ...], None, None]:
        """Yield the rows that a statement gives, one by one; whoever stops early closes the generator."""
        with self._statement(), closing(self._sqlite.execute(statement, parameters)) as cursor:
            yield from cursor

    @contextmanager
    def as_it_is_now(self) -> Iterator[None]:
        """Read one state of the file within, whatever its process writes meanwhile."""
        self.execute("BEGIN")
        try:
            yield
        finally:
            with suppress(SpoolError):
                self.execute("COMMIT")

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Make one commit of what is written within, or, where that fails, nothing."""
        self.execute("BEGIN IMMEDIATE")
        try:
            yield
            self.execute("COMMIT")
        except BaseException:
            with suppress(SpoolError):
                self.execute("ROLLBACK")
            raise

    def close(self) -> None:
        """Close the connection; what was written stays."""
        with suppress(sqlite3.Error):
            self._sqlite.close()


def _connected(path: Path, mode: Mode, opening: Opening) -> sqlite3.Connection:
    sqlite = None
    try:
        with _Translated(path), opening.watched():
            sqlite = sqlite3.connect(
                f"{path.absolute().as_uri()}?{_URI[mode]}",
                uri=True,
                timeout=BUSY_TIMEOUT[mode],
                isolation_level=None,
                check_same_thread=False,
            )
    except BaseException:
        if sqlite is not None:  # at once: while it is open, another opening of that file looks right
            sqlite.close()
        raise
    return sqlite


def as_text(raw: Any) -> str:
    """Return text that a statement gave as ``bytes``, whatever damage has made of it."""
    return raw.decode("utf-8", "replace") if isinstance(raw, bytes) else str(raw)


# --- what goes wrong --------------------------------------------------------------------------------------


class _Translated:
    """Raises what sqlite3 raises within as the ``SpoolError`` that it means."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> None:
        """Each statement runs within: so this is no generator, which takes three times as long."""

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if error is not None and (meant := _meant(self._path, error)) is not None:
            raise meant from error


def _meant(path: Path, error: BaseException) -> SpoolError | None:
    """Return the error that an exception means; ``None`` for one that is not the disk's or the file's."""
    match error:
        case sqlite3.Error():
            return _meant_by_sqlite(path, error)
        case OverflowError():  # a number that is the last one of SQLite's, and one more
            return SpoolError(f"{path}: {error}")
        case UnicodeDecodeError():  # a name in it, which SQLite told Python of
            return Damaged(f"{path}: database disk image is malformed")
        case OSError():
            return SpoolError(f"{path}: {error.strerror or error}")
    return None


def _meant_by_sqlite(path: Path, error: sqlite3.Error) -> SpoolError:
    code = getattr(error, "sqlite_errorname", "")  # from Python 3.11 on
    text = f"{path}: {error}"
    if code.startswith("SQLITE_BUSY") or "database is locked" in text:
        return SpoolFull(f"{path}: another program has locked it ({error})")
    if code.startswith("SQLITE_FULL") or "is full" in text or "is locked" in text:
        return SpoolFull(text)
    if code.startswith("SQLITE_INTERRUPT") or str(error) == "interrupted":
        return Endless(f"{path}: a statement takes too long: it is damaged, or forged")
    if code.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")) or _sounds_damaged(str(error)):
        return Damaged(text)
    return SpoolError(text)


def _sounds_damaged(text: str) -> bool:
    return (
        "malformed" in text or "not a database" in text or "no such table" in text or "no such column" in text
    )
