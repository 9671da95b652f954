"""One SQLite file of events: the only file that knows sqlite3.

What a call has written when it returns survives a power cut (WAL, ``synchronous=FULL``). A file has one
process, and in it one connection, which callers use one at a time. A forked child never touches it.
"""

from __future__ import annotations

import ctypes
import json
import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from functools import partial
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any
from zlib import crc32

from .rows import CORRUPT, DeadLetter, Row, checksum, is_past_window

FORMAT = 1
APPLICATION_ID = 0x546F6769  # "Togi", where SQLite keeps the kind of a file
ROW_BYTES = 40  # about what a row takes beside its body
PAGE = 100  # rows that are in memory at once while a file is gone through
READ_BYTES = 4 * 1024 * 1024  # of bodies read at once at most, but for a single one that is larger
BUSY_TIMEOUT = 5.0  # seconds that a statement waits for another connection, such as a command's that reads

_SCHEMA = (
    """
CREATE TABLE event (
    seq INTEGER PRIMARY KEY, accepted_ms INTEGER NOT NULL, known INTEGER NOT NULL, body BLOB NOT NULL,
    crc INTEGER NOT NULL
)
""",
    """
CREATE TABLE dead (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL, accepted_ms INTEGER NOT NULL, body BLOB NOT NULL, crc INTEGER NOT NULL,
    reason TEXT NOT NULL, status INTEGER, message TEXT NOT NULL, attempts INTEGER NOT NULL,
    dead_ms INTEGER NOT NULL, UNIQUE (id, dead_ms, crc)
)
""",
    "CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL)",
    f"PRAGMA application_id = {APPLICATION_ID}",
    f"PRAGMA user_version = {FORMAT}",
)

# One statement each: every call of SQLite gives up the GIL, and has to win it back from a busy application.
_APPEND = """
INSERT INTO event
SELECT :first + key, json_extract(value, '$[2]'), json_extract(value, '$[3]'),
       substr(:bodies, json_extract(value, '$[0]'), json_extract(value, '$[1]')), json_extract(value, '$[4]')
FROM json_each(:rows)
"""
# Mostly all of them fit, and one sum says so; only else it is a running one, which costs five times as much.
_READ = """
SELECT json_group_array(json_array(seq, accepted_ms, known, crc, length(body))),
       group_concat(CAST(body AS TEXT), '')
FROM (
    SELECT * FROM event WHERE seq > :after ORDER BY seq LIMIT CASE
        WHEN (
            SELECT total(size)
            FROM (SELECT length(body) AS size FROM event WHERE seq > :after ORDER BY seq LIMIT :limit)
        ) <= :most THEN :limit
        ELSE max(1, (
            SELECT count(*)
            FROM (
                SELECT total(length(body)) OVER (ORDER BY seq ROWS UNBOUNDED PRECEDING) AS through
                FROM event WHERE seq > :after ORDER BY seq LIMIT :limit
            )
            WHERE through <= :most
        ))
    END
)
"""
_REMOVE = "DELETE FROM event WHERE seq IN (SELECT value FROM json_each(?))"
_REMOVE_ROWS = """
DELETE FROM event
WHERE seq IN (SELECT value FROM json_each(?)) AND crc IN (SELECT value FROM json_each(?))
"""
_READ_DEAD = """
SELECT number, id, accepted_ms, body, crc, reason, status, message, attempts, dead_ms
FROM dead WHERE number > ? ORDER BY number LIMIT ?
"""
_READ_THESE_DEAD = """
SELECT number, id, accepted_ms, body, crc, reason, status, message, attempts, dead_ms
FROM dead WHERE number IN (SELECT value FROM json_each(?)) ORDER BY number
"""
# A letter that is there already was moved here twice, since a move was cut short. Only that is no error: what
# OR IGNORE would pass over as well (a NULL, another event with this id) would be lost.
_BURY = """
INSERT INTO dead (id, accepted_ms, body, crc, reason, status, message, attempts, dead_ms)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id, dead_ms, crc) DO NOTHING
"""


class SpoolError(Exception):
    """The disk, or the file, does not do what it should. Never leaves the library."""


class SpoolFull(SpoolError):  # noqa: N818  a state of the world, like those below
    """There is no room on the disk, or somebody else has locked the file; it is as it was."""


class NotOurs(SpoolError):  # noqa: N818
    """The file is left alone: of a newer version, or no spool at all."""


class Damaged(SpoolError):  # noqa: N818
    """The file cannot be read as it should."""


class HoldsNothing(Damaged):
    """There is not even a table in it."""


@contextmanager
def _translated(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorname", "")  # from Python 3.11 on
        text = f"{path}: {error}"
        if code.startswith(("SQLITE_FULL", "SQLITE_BUSY")) or "is full" in text or "is locked" in text:
            raise SpoolFull(text) from error
        if code.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")) or _sounds_damaged(str(error)):
            raise Damaged(text) from error
        raise SpoolError(text) from error
    except UnicodeDecodeError as error:  # a name in it, which SQLite told Python of
        raise Damaged(f"{path}: database disk image is malformed") from error
    except OSError as error:
        raise SpoolError(f"{path}: {error.strerror or error}") from error


def _sounds_damaged(text: str) -> bool:
    return (
        "malformed" in text or "not a database" in text or "no such table" in text or "no such column" in text
    )


def _connect(path: Path, mode: str) -> sqlite3.Connection:
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode={mode}",
        uri=True,
        timeout=BUSY_TIMEOUT,
        isolation_level=None,
        check_same_thread=False,
    )
    connection.text_factory = bytes  # the bodies' text, as it is, damaged or not
    if mode == "rw":  # never destroyed, only closed: a forked child would, at its end, close its parent's
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(connection))
    return connection


class SpoolFile:
    """An open file. Every method raises ``SpoolError``, and has then changed nothing."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self.path = path
        self._connection = connection
        self._next = 1

    # --- opening ---

    @classmethod
    def _opened(cls, path: Path, mode: str, *steps: Callable[[SpoolFile], None]) -> SpoolFile:
        """Opened, and closed again where one of the steps fails."""
        with _translated(path):
            file = cls(path, _connect(path, mode))
            try:
                for step in steps:
                    step(file)
            except BaseException:
                file.close()
                raise
            return file

    @classmethod
    def create(cls, path: Path, meta: Mapping[str, str]) -> SpoolFile:
        """A new file, with ``meta`` written in it."""
        with _translated(path):
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))  # SQLite would let others read
        return cls._opened(path, "rw", cls._set_up, partial(cls._begin, meta=meta))

    @classmethod
    def open(cls, path: Path) -> SpoolFile:
        """One that a process has left. Raises ``NotOurs`` or ``Damaged`` where that is what it is."""
        return cls._opened(path, "rw", cls._check, cls._set_up, cls._go_on)

    @classmethod
    def salvage(cls, path: Path) -> SpoolFile:
        """One of which ``open`` says that it is damaged: to be read as far as that goes, not written."""
        return cls._opened(path, "rw", cls._read_though_cut_off, cls._distrust, cls._check)

    @classmethod
    def peek(cls, path: Path) -> SpoolFile:
        """To be read only, while its process may be writing. Raises as ``open`` does."""
        return cls._opened(path, "ro", cls._distrust, cls._check)

    def _begin(self, meta: Mapping[str, str]) -> None:
        with self._transaction():  # one: a file whose tables are there says whose it is
            for statement in _SCHEMA:
                self._connection.execute(statement)
            self._connection.executemany("INSERT INTO meta VALUES (?, ?)", meta.items())

    def _go_on(self) -> None:
        (last,) = self._row("SELECT max(seq) FROM event")
        self._next = (last or 0) + 1

    def _read_though_cut_off(self) -> None:
        self._connection.execute("PRAGMA writable_schema = ON")  # else SQLite reads nothing of such a file

    def _check(self) -> None:
        (kind,), (version,) = self._row("PRAGMA application_id"), self._row("PRAGMA user_version")
        if kind == APPLICATION_ID and version > FORMAT:
            raise NotOurs(
                f"{self.path}: its format is {version}, of a newer version; this one reads {FORMAT}"
            )
        if kind != APPLICATION_ID:
            (tables,) = self._row("SELECT count(*) FROM sqlite_master")
            if tables:
                raise NotOurs(f"{self.path}: is an SQLite file, but no spool")
            raise HoldsNothing(f"{self.path}: holds nothing; what was in it, or in its -wal, is gone")

    def _set_up(self) -> None:
        execute = self._connection.execute
        execute("PRAGMA journal_mode = WAL").fetchone()  # where it cannot be had, FULL is durable as well
        execute("PRAGMA synchronous = FULL")
        execute("PRAGMA fullfsync = 1")
        execute("PRAGMA journal_size_limit = 8388608")
        self._distrust()

    def _distrust(self) -> None:
        execute = self._connection.execute
        execute("PRAGMA mmap_size = 0")
        execute("PRAGMA cell_size_check = ON")
        execute("PRAGMA trusted_schema = OFF")

    def _row(self, statement: str, **parameters: int) -> tuple[Any, ...]:
        row: tuple[Any, ...] = self._connection.execute(statement, parameters).fetchone()
        return row

    # --- pending events ---

    def append(self, events: Sequence[tuple[int, bool, bytes]]) -> int:
        """Add ``(accepted_ms, known, body)`` of events, in one commit; returns the first one's ``seq``."""
        rows, offset, first = [], 1, self._next
        for (accepted_ms, known), run in groupby(events, itemgetter(0, 1)):  # mostly one, of all
            seed, alike = checksum(accepted_ms, known, b""), f"{accepted_ms},{known:d}"
            for _, _, body in run:
                rows.append(f"[{offset},{len(body)},{alike},{crc32(body, seed)}]")
                offset += len(body)
        with _translated(self.path):
            self._connection.execute(
                _APPEND,
                {
                    "first": first,
                    "bodies": b"".join([body for _, _, body in events]),
                    "rows": f"[{','.join(rows)}]",
                },
            )
        self._next += len(rows)
        return first

    def read(self, after: int, limit: int) -> tuple[list[Row], list[int]]:
        """The next rows beyond ``after``; and the ``seq`` of damaged ones among them.

        ``limit`` at most, and ``READ_BYTES`` of them.
        """
        with _translated(self.path):
            try:
                return self._read_at_once(after, limit)
            except (sqlite3.OperationalError, TypeError, ValueError):
                # A flipped bit can make a column another type, on which JSON, or the lengths, come to grief.
                return self._read_one_by_one(after, limit)

    def _read_at_once(self, after: int, limit: int) -> tuple[list[Row], list[int]]:
        facts, bodies = self._row(_READ, after=after, limit=limit, most=READ_BYTES)
        rows, damaged, start = [], [], 0
        for seq, accepted_ms, known, crc, length in json.loads(facts):
            body = bytes(bodies[start : start + length])
            start += length
            if checksum(accepted_ms, bool(known), body) == crc:
                rows.append(Row(seq, accepted_ms, bool(known), body))
            else:
                damaged.append(seq)
        if start != len(bodies or b""):
            raise ValueError("a length is not that of its body")
        return rows, damaged

    def _read_one_by_one(self, after: int, limit: int) -> tuple[list[Row], list[int]]:
        return self._found(
            "SELECT seq, accepted_ms, known, body, crc FROM event WHERE seq > ? ORDER BY seq LIMIT ?",
            after,
            limit,
        )

    def read_as_they_lie(self, passed: int, limit: int) -> tuple[list[Row], list[int]]:
        """The next rows after so many, whatever their ``seq``: a damaged one hides others from ``read``."""
        with _translated(self.path):
            return self._found(
                "SELECT seq, accepted_ms, known, body, crc FROM event LIMIT ? OFFSET ?", limit, passed
            )

    def _found(self, statement: str, *parameters: int) -> tuple[list[Row], list[int]]:
        rows: list[Row] = []
        damaged: list[int] = []
        size = 0
        with closing(self._connection.execute(statement, parameters)) as cursor:
            for seq, accepted_ms, known, body, crc in cursor:
                size += len(body) if isinstance(body, bytes) else 0
                if size > READ_BYTES and (rows or damaged):
                    break
                if _is_whole(accepted_ms, known, body, crc):
                    rows.append(Row(seq, accepted_ms, bool(known), body))
                else:
                    damaged.append(seq)
        return rows, damaged

    def scan(self) -> Iterator[tuple[list[Row], list[int]]]:
        """All rows, a page at a time, each with the ``seq`` of damaged ones; no page is empty."""
        after = -(2**63)  # a damaged seq can be negative
        while True:
            rows, damaged = self.read(after, PAGE)
            if not rows and not damaged:
                return
            yield rows, damaged
            after = max([after + 1, *damaged, *(row.seq for row in rows)])  # not the last: damage disorders

    def read_one(self, seq: int) -> Row | None:
        """The row with this ``seq``, if it is there and whole."""
        rows, _ = self.read(seq - 1, 1)
        return rows[0] if rows and rows[0].seq == seq else None

    def raw(self, seq: int) -> bytes:
        """The body of this row as it is there, damaged or not; empty where it cannot be had."""
        with _translated(self.path):
            found = self._connection.execute("SELECT body FROM event WHERE seq = ?", (seq,)).fetchone()
        body = found[0] if found else None
        return body if isinstance(body, bytes) else b""  # bytes() of a number would be as long as it says

    def last_seq(self) -> int:
        """The highest ``seq`` in use, or 0."""
        with _translated(self.path):
            (last,) = self._row("SELECT max(seq) FROM event")
        return last or 0

    def remove(self, seqs: Iterable[int]) -> None:
        """Forget settled events, in one commit."""
        with _translated(self.path):
            self._connection.execute(_REMOVE, (json.dumps(list(seqs)),))

    def remove_rows(self, rows: Sequence[Row]) -> None:
        """Forget these, and no other that one has the ``seq`` of, since that is damaged; in one commit."""
        crcs = [checksum(row.accepted_ms, row.known, row.body) for row in rows]
        with _translated(self.path):
            self._connection.execute(_REMOVE_ROWS, (json.dumps([row.seq for row in rows]), json.dumps(crcs)))

    def pending(self) -> tuple[int, int]:
        """How many events there are, and their bytes."""
        with _translated(self.path):
            count, size = self._row("SELECT count(*), sum(length(body)) FROM event")
        return count, (size or 0) + ROW_BYTES * count

    def oldest_ms(self) -> int | None:
        """When the oldest of them was accepted."""
        with _translated(self.path):
            (oldest,) = self._row("SELECT min(accepted_ms) FROM event")
        return oldest if isinstance(oldest, int) else None

    # --- dead letters ---

    def bury(self, letters: Iterable[DeadLetter], seqs: Iterable[int] = ()) -> None:
        """Keep ``letters`` as dead, and forget the rows ``seqs`` that they were, in one transaction."""
        with _translated(self.path), self._transaction():
            self._connection.executemany(
                _BURY,
                [
                    (
                        letter.id,
                        letter.accepted_ms,
                        letter.body,
                        checksum(letter.accepted_ms, known=True, body=letter.body),
                        letter.reason,
                        letter.status,
                        letter.message,
                        letter.attempts,
                        letter.dead_ms,
                    )
                    for letter in letters
                ],
            )
            self._connection.execute(_REMOVE, (json.dumps(list(seqs)),))

    def dead(self) -> Iterator[tuple[int, DeadLetter]]:
        """Every dead letter with a number that names it within this file, oldest first.

        The number of one that is gone is never given to another. A damaged one is ``CORRUPT``.
        """
        for number, letter, _ in self._dead():
            yield number, letter

    def damaged_dead(self) -> Iterator[int]:
        """The numbers of the dead letters that are damaged here."""
        for number, _, whole in self._dead():
            if not whole:
                yield number

    def _dead(self) -> Iterator[tuple[int, DeadLetter, bool]]:
        after = -(2**63)
        while True:
            with _translated(self.path):
                page = self._connection.execute(_READ_DEAD, (after, PAGE)).fetchall()
            if not page:
                return
            yield from map(_letter, page)
            after = max([after + 1, *(number for number, *_ in page)])

    def dead_count(self) -> int:
        """How many dead letters there are."""
        with _translated(self.path):
            (count,) = self._row("SELECT count(*) FROM dead")
        return int(count)

    def dead_reasons(self) -> dict[str, int]:
        """How many dead letters there are, by reason."""
        with _translated(self.path):
            return {
                _text(reason): count
                for reason, count in self._connection.execute(
                    "SELECT reason, count(*) FROM dead GROUP BY reason ORDER BY count(*) DESC, reason"
                ).fetchall()
            }

    def purge(self, numbers: Iterable[int]) -> None:
        """Forget dead letters, by their numbers."""
        with _translated(self.path):
            self._delete_dead(numbers)

    def _delete_dead(self, numbers: Iterable[int]) -> None:
        self._connection.execute(
            "DELETE FROM dead WHERE number IN (SELECT value FROM json_each(?))", (json.dumps(list(numbers)),)
        )

    def _whole_ones(self, numbers: Sequence[int]) -> dict[int, DeadLetter]:
        found = self._connection.execute(_READ_THESE_DEAD, (json.dumps(numbers),)).fetchall()
        return {number: letter for number, letter, _ in map(_letter, found) if letter.reason != CORRUPT}

    def replay(self, numbers: Sequence[int], now_ms: int) -> list[Row]:
        """Make dead letters pending again, in one transaction; returns their rows.

        They keep the time at which they were accepted, and with it the end of the window in which Togai knows
        their ids; those whose window is past begin a new one. What is damaged stays dead.
        """
        rows: list[Row] = []
        with _translated(self.path), self._transaction():
            for start in range(0, len(numbers), PAGE):
                letters = self._whole_ones(numbers[start : start + PAGE])
                rows += [
                    Row(
                        self._next + place,
                        now_ms if is_past_window(letter, now_ms) else letter.accepted_ms,
                        known=True,
                        body=letter.body,
                    )
                    for place, letter in enumerate(letters.values(), len(rows))
                ]
                self._delete_dead(letters)
            self._connection.executemany(
                "INSERT INTO event VALUES (?, ?, ?, ?, ?)",
                [
                    (
                        row.seq,
                        row.accepted_ms,
                        row.known,
                        row.body,
                        checksum(row.accepted_ms, row.known, row.body),
                    )
                    for row in rows
                ],
            )
        self._next += len(rows)
        return rows

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._connection.execute("COMMIT")
        except BaseException:
            with suppress(sqlite3.Error):
                self._connection.execute("ROLLBACK")
            raise

    # --- about the file ---

    def meta(self) -> dict[str, str]:
        """What was written at its creation: ``base_url``, ``created_ms``, ``host``, ``pid``, ``version``."""
        with _translated(self.path):
            return {
                _text(key): _text(value)
                for key, value in self._connection.execute("SELECT key, value FROM meta").fetchall()
            }

    def try_out(self) -> None:
        """Write something, to see whether that can be done."""
        with _translated(self.path):
            self._connection.execute("INSERT OR REPLACE INTO meta VALUES ('tried', hex(randomblob(8)))")

    def complaints(self) -> list[str]:
        """What SQLite's own check of the whole file finds wrong."""
        with _translated(self.path):
            found = [_text(text) for (text,) in self._connection.execute("PRAGMA integrity_check").fetchall()]
        return [] if found == ["ok"] else found

    def close(self) -> None:
        """Let go of the file; what was written stays."""
        with suppress(sqlite3.Error):
            self._connection.close()


def _text(raw: Any) -> str:
    return raw.decode("utf-8", "replace") if isinstance(raw, bytes) else str(raw)


def _is_whole(accepted_ms: Any, known: Any, body: Any, crc: Any) -> bool:
    return (
        isinstance(accepted_ms, int)
        and isinstance(body, bytes)
        and checksum(accepted_ms, bool(known), body) == crc
    )


def _letter(raw: tuple[Any, ...]) -> tuple[int, DeadLetter, bool]:
    """A row of ``dead`` with its number, and whether it is as it was written."""
    number, event_id, accepted_ms, body, crc, reason, status, message, attempts, dead_ms = raw
    whole = _is_whole(accepted_ms, known=True, body=body, crc=crc)
    return (
        number,
        DeadLetter(
            _text(event_id),
            _number(accepted_ms),
            body if isinstance(body, bytes) else b"",
            _text(reason) if whole else CORRUPT,
            status if isinstance(status, int) else None,
            _text(message) if whole else f"damaged on disk; it was {_text(reason)}: {_text(message)}",
            _number(attempts),
            _number(dead_ms),
        ),
        whole,
    )


def _number(raw: Any) -> int:
    return raw if isinstance(raw, int) else 0
