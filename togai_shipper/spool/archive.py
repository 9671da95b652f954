"""The journals of processes that are gone, in one file of the directory.

Each is there once, by its id: it has ended, so that writing it again, after a crash, changes nothing. An
older version takes the file's name for that of something beside a spool's file, and leaves it alone.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from itertools import islice
from pathlib import Path
from zlib import crc32

import attrs

from . import schema
from .book import SOME_DAY, Book
from .connection import Connection, as_text
from .errors import Damaged, HoldsNothing, SpoolError
from .file import SpoolFile
from .journal import DAMAGED, IDS_KEPT_DAYS, KEPT_DAYS, day_of, days_before

NAME = "journal-0-00000000.db.kept"
ASIDE = ".corrupt-"  # before the time, in the name of one that was damaged
APPLICATION_ID = 0x546F676A  # "Togj"
PORTION = 1000  # rows of ids in one commit

_BOOK = (
    "CREATE TABLE book (id TEXT PRIMARY KEY, day TEXT NOT NULL, facts TEXT NOT NULL, crc INTEGER NOT NULL)"
)
_LISTED = """CREATE TABLE listed (
    book TEXT NOT NULL, number INTEGER NOT NULL, day TEXT NOT NULL, ids BLOB NOT NULL, crc INTEGER NOT NULL,
    PRIMARY KEY (book, number)
)"""
_BY_DAY = "CREATE INDEX listed_day ON listed (day)"
_FORMATS: Mapping[int, set[schema.Entry]] = {
    1: {
        (b"table", b"book", b"book", _BOOK.encode()),
        (b"index", b"sqlite_autoindex_book_1", b"book", None),
        (b"table", b"listed", b"listed", _LISTED.encode()),
        (b"index", b"sqlite_autoindex_listed_1", b"listed", None),
        (b"index", b"listed_day", b"listed", _BY_DAY.encode()),
    }
}
_LIST = "INSERT OR REPLACE INTO listed VALUES (?, ?, ?, ?, ?)"
_WRITE = "INSERT OR REPLACE INTO book VALUES (?, ?, ?, ?)"
_READ = "SELECT id, facts, crc FROM book ORDER BY id"
_READ_LISTED = "SELECT day, ids, crc FROM listed WHERE book = ? AND day >= ? ORDER BY number"
_PRUNE = "DELETE FROM book WHERE day < ?"
_PRUNE_LISTED = "DELETE FROM listed WHERE day < ?"


class Archive:
    """The file, made when there is something to be kept. Every method raises ``SpoolError``."""

    def __init__(self, directory: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self.path = directory / NAME
        self._clock = clock

    def take(self, book: Book, ids: Iterable[tuple[str, bytes]], now_ms: int) -> None:
        """Keep a journal that has ended, and forget the days that are no longer kept."""
        self._mended(lambda: self._take(book, ids, now_ms), now_ms)

    def take_all(self, books: Iterable[Book], now_ms: int) -> None:
        """Do the same with several short journals, with their ids, in one commit."""
        kept = list(books)
        if kept:
            self._mended(lambda: self._take_all(kept, now_ms), now_ms)

    def _mended(self, write: Callable[[], None], now_ms: int) -> None:
        """Write; where the file is damaged, set it aside, and write into a new one."""
        try:
            write()
        except Damaged:
            with suppress(OSError):  # then it is tried again later
                self.path.rename(f"{self.path}{ASIDE}{now_ms}")
            write()

    def _take(self, book: Book, ids: Iterable[tuple[str, bytes]], now_ms: int) -> None:
        with self._opened() as connection:
            rows = _listed(book.id, ids)
            while portion := list(islice(rows, PORTION)):
                with connection.transaction():
                    connection.execute_many(_LIST, portion)
            with connection.transaction():
                _write(connection, [book], now_ms)

    def _take_all(self, books: Sequence[Book], now_ms: int) -> None:
        with self._opened() as connection, connection.transaction():
            for book in books:
                connection.execute_many(_LIST, _listed(book.id, book.ids))
            _write(connection, books, now_ms)

    def read(self, now_ms: int) -> Iterator[Book]:
        """Yield the journals that are kept. Raises ``Damaged``, too, where one is."""
        if not self.path.exists():
            return
        since = days_before(day_of(now_ms), IDS_KEPT_DAYS)
        with closing(Connection(self.path, "ro", self._clock)) as connection:
            connection.distrust()
            connection.refuse_long_values()
            try:
                schema.check_tables(connection, APPLICATION_ID, _FORMATS, "a journal")
            except HoldsNothing:  # it is being made
                return
            connection.check_beside()
            for name, facts, crc in connection.rows(_READ):
                ids = connection.rows(_READ_LISTED, (as_text(name), since))
                if crc32(facts) != crc or any(crc32(packed) != its_crc for _, packed, its_crc in ids):
                    raise Damaged(f"{self.path}: a journal in it is damaged")
                yield Book.of_text(facts, tuple((as_text(day), packed) for day, packed, _ in ids))

    @contextmanager
    def _opened(self) -> Iterator[Connection]:
        if not self.path.exists():
            with suppress(SpoolError):  # another process makes it
                Connection.create(self.path, self._clock).close()
        with closing(Connection(self.path, "rw", self._clock)) as connection:
            connection.distrust()
            connection.refuse_long_values()
            try:
                schema.check_tables(connection, APPLICATION_ID, _FORMATS, "a journal")
            except HoldsNothing:
                lay_out(connection)
            connection.check_beside()
            connection.make_sure()
            yield connection


def _listed(name: str, ids: Iterable[tuple[str, bytes]]) -> Iterator[tuple[str, int, str, bytes, int]]:
    for number, (day, packed) in enumerate(ids):
        yield name, number, day, packed, crc32(packed)


def _write(connection: Connection, books: Iterable[Book], now_ms: int) -> None:
    """Write what journals say but for their ids, within a transaction, and forget the days past."""
    today, texts = day_of(now_ms), [(book.id, book.as_text()) for book in books]
    connection.execute_many(_WRITE, [(name, today, text, crc32(text.encode())) for name, text in texts])
    connection.execute(_PRUNE, (days_before(today, KEPT_DAYS),))
    connection.execute(_PRUNE_LISTED, (days_before(today, IDS_KEPT_DAYS),))


def lay_out(connection: Connection) -> None:
    """Make the tables, unless another process was quicker."""
    with connection.transaction():
        if connection.row("PRAGMA application_id") == (APPLICATION_ID,):
            return
        connection.execute(_BOOK)
        connection.execute(_LISTED)
        connection.execute(_BY_DAY)
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute("PRAGMA user_version = 1")


def keep_journal(file: SpoolFile, now_ms: int, clock: Callable[[], float] = time.monotonic) -> None:
    """Keep the journal of a file that is about to be removed, if it says anything. Raises ``SpoolError``."""
    book = file.journal.book(file.path.stem)
    if not book:
        return
    archive = Archive(file.path.parent, clock)
    try:
        deque(file.journal.ids(), 0)  # whether all of them can be read
    except Damaged:
        archive.take(attrs.evolve(book, doubts={**book.doubts, SOME_DAY: DAMAGED}), (), now_ms)
    else:
        archive.take(book, file.journal.ids(), now_ms)
