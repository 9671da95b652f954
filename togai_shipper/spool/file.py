"""One file of events: the pending ones in their order, and the dead letters.

Whatever a method has written when it returns survives a power cut. A file belongs to one process, which opens
it once and uses it on one thread at a time; a forked child never touches it.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from zlib import crc32

from . import schema
from .age import FileClock
from .connection import Connection, Mode, as_text
from .dead_letters import DeadLetters
from .errors import Damaged, SpoolError
from .journal import Journal, day_of
from .moves import Moves, Record
from .opening import may_write, status_of
from .rows import ASKED_FOR, ROW_BYTES, DeadLetter, Row, checksum, is_past_window, is_sound
from .tally import Tally, tally_of

CLOCK = "clock"  # what the ``FileClock`` is called in a file
SELF_REPORT = "self_report"  # likewise, how its process stands
PAGE = 100  # rows that are in memory at once while a file is gone through
PAGES, PAGES_IF_SLOW = 1000, 16_000  # in the -wal: 4 and 64 MB
READ_BYTES = 4 * 1024 * 1024  # of bodies read at once at most, but for a single one that is larger


class SpoolFile:
    """An open file. Every method raises ``SpoolError``, and has then changed nothing."""

    def __init__(
        self,
        connection: Connection,
        next_seq: int = 1,
        clock: FileClock | None = None,
        *,
        is_new: bool = False,
    ) -> None:
        self.path = connection.path
        self._connection = connection
        self._letters = DeadLetters(connection)
        self.journal = Journal(connection, is_there=schema.has_journal(connection), is_new=is_new)
        self.moves = Moves(connection)
        self._next = next_seq
        self.clock = clock or FileClock()

    # --- opening ---

    @classmethod
    def create(
        cls,
        path: Path,
        meta: Mapping[str, str],
        clock: FileClock | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> SpoolFile:
        """Make a new file, and write ``meta`` in it, and how its times are to be read.

        ``monotonic``: by which no statement takes too long.
        """
        with _closed_on_error(Connection.create(path, monotonic)) as connection:
            connection.make_shrinkable()
            connection.make_durable()
            connection.distrust()
            schema.lay_out(connection, {**meta, CLOCK: clock.as_text()} if clock else meta)
            return cls(connection, clock=clock, is_new=True)

    @classmethod
    def open(cls, path: Path, monotonic: Callable[[], float] = time.monotonic) -> SpoolFile:
        """Open a file that a process has left. Raises ``NotOurs`` or ``Damaged`` where it cannot be used."""
        with _closed_on_error(Connection(path, "rw", monotonic)) as connection:
            connection.distrust()
            connection.refuse_long_values()
            schema.check(connection)
            connection.check_beside()
            connection.make_durable()
            return cls(connection, _last_seq(connection) + 1, _clock(connection))

    @classmethod
    def salvage(cls, path: Path, monotonic: Callable[[], float] = time.monotonic) -> SpoolFile:
        """Open a file that ``open`` finds damaged, to read what can still be read and to write nothing."""
        with _closed_on_error(Connection(path, "rw", monotonic)) as connection:
            connection.read_though_cut_off()
            connection.distrust()
            connection.refuse_long_values()
            schema.check(connection)
            connection.check_beside()
            return cls(connection, clock=_clock(connection))

    @classmethod
    def peek(
        cls,
        path: Path,
        monotonic: Callable[[], float] = time.monotonic,
        may_write: Callable[[Path], bool] = may_write,
    ) -> SpoolFile:
        """Open a file for reading alone, while its process may be writing. Raises as ``open`` does.

        ``may_write``: whether SQLite can make something in a directory, as it does for who reads.
        """
        with _closed_on_error(Connection(path, mode_of_reading(path, may_write), monotonic)) as connection:
            connection.distrust()
            connection.refuse_long_values()
            schema.check(connection)
            connection.check_beside()
            return cls(connection, clock=_clock(connection))

    # --- pending events ---

    def append(self, events: Sequence[tuple[int, bool, bytes]]) -> int:
        """Add events, each ``(accepted_ms, known, body)``, in one commit; return the first one's ``seq``."""
        first = self._insert(events)
        self._next += len(events)
        return first

    def _insert(self, events: Sequence[tuple[int, bool, bytes]]) -> int:
        rows, offset, first = [], 1, self._next
        for (accepted_ms, known), run in groupby(events, itemgetter(0, 1)):  # mostly one, of all
            seed, alike = checksum(accepted_ms, known, b""), f"{accepted_ms},{known:d}"
            for _, _, body in run:
                rows.append(f"[{offset},{len(body)},{alike},{crc32(body, seed)}]")
                offset += len(body)
        self._connection.execute(
            schema.APPEND,
            {
                "first": first,
                "bodies": b"".join([body for _, _, body in events]),
                "rows": f"[{','.join(rows)}]",
            },
        )
        return first

    def read(self, after: int, limit: int) -> tuple[list[Row], list[int]]:
        """Return the next rows beyond ``after``, and the ``seq`` of each damaged one among them.

        What is no event is damaged, too, though its checksum is right. ``limit`` rows are read at most, and
        ``READ_BYTES`` of bodies.
        """
        try:
            return self._read_at_once(after, limit)
        except Damaged:
            raise
        except (SpoolError, TypeError, ValueError):
            # A flipped bit can change the type of a column, and then JSON, or the sum of lengths, fails.
            return self._found(schema.READ_ONE_BY_ONE, after, limit)

    def _read_at_once(self, after: int, limit: int) -> tuple[list[Row], list[int]]:
        facts, bodies = self._connection.row(
            schema.READ, {"after": after, "limit": limit, "most": READ_BYTES}
        )
        rows, damaged, start = [], [], 0
        for seq, accepted_ms, known, crc, length in json.loads(facts):
            body = bytes(bodies[start : start + length])
            start += length
            if is_sound(accepted_ms, known, body, crc):
                rows.append(Row(seq, accepted_ms, bool(known), body, known == ASKED_FOR))
            else:
                damaged.append(seq)
        if start != len(bodies or b""):
            raise ValueError("a length is not that of its body")
        return rows, damaged

    def read_as_they_lie(self, passed: int, limit: int) -> tuple[list[Row], list[int]]:
        """Return the next rows after so many, in any order: a damaged ``seq`` hides others from ``read``."""
        return self._found(schema.READ_AS_THEY_LIE, limit, passed)

    def _found(self, statement: str, *parameters: int) -> tuple[list[Row], list[int]]:
        rows: list[Row] = []
        damaged: list[int] = []
        size = 0
        with closing(self._connection.each(statement, parameters)) as found:
            for seq, accepted_ms, known, body, crc in found:
                size += len(body) if isinstance(body, bytes) else 0
                if size > READ_BYTES and (rows or damaged):
                    break
                if is_sound(accepted_ms, known, body, crc):
                    rows.append(Row(seq, accepted_ms, bool(known), body, known == ASKED_FOR))
                else:
                    damaged.append(seq)
        return rows, damaged

    def scan(self) -> Iterator[tuple[list[Row], list[int]]]:
        """Yield all rows, a page at a time, with the ``seq`` of damaged ones; no page is empty."""
        before: int | None = None  # where it gets no further, pages point to themselves
        after = -(2**63)  # a damaged seq can be negative
        while after != before:
            rows, damaged = self.read(after, PAGE)
            if not rows and not damaged:
                return
            yield rows, damaged
            before, after = after, max([after, *damaged, *(row.seq for row in rows)])  # damage disorders

    def read_one(self, seq: int) -> Row | None:
        """Return the row with this ``seq``, if it is there and whole."""
        rows, _ = self.read(seq - 1, 1)
        return rows[0] if rows and rows[0].seq == seq else None

    def raw(self, seq: int) -> bytes:
        """Return the body of this row, damaged or not; empty where there is none to return."""
        for (body,) in self._connection.rows("SELECT body FROM event WHERE seq = ?", (seq,)):
            if isinstance(body, bytes):  # bytes() of a number would be as long as it says
                return body
        return b""

    def last_seq(self) -> int:
        """Return the highest ``seq`` in use, or 0."""
        return _last_seq(self._connection)

    def remove(self, seqs: Iterable[int]) -> None:
        """Remove the rows with these ``seq``, in one commit."""
        self._connection.execute(schema.REMOVE, (json.dumps(list(seqs)),))

    def settle(self, seqs: Sequence[int], tally: Tally, now_ms: int) -> None:
        """Remove the rows of delivered events, and count these in the journal, in one transaction.

        ``now_ms``: by the wall clock.
        """
        if not tally:
            self.remove(seqs)
            return
        with self._journalled():
            self.remove(seqs)
            self.journal.add(tally, now_ms)

    @contextmanager
    def _journalled(self) -> Iterator[None]:
        """Make one commit of what is written within, the journal's lines too, or nothing."""
        try:
            with self._connection.transaction():
                yield
        except BaseException:
            with suppress(SpoolError):
                self.journal.reread()
            raise

    def exchange(
        self,
        events: Sequence[tuple[int, bool, bytes]],
        seqs: Sequence[int],
        tally: Tally,
        now_ms: int,
        report: str | None = None,
    ) -> int:
        """Do ``settle``, ``append`` and ``say`` in one transaction: a slow disk is waited for once."""
        with self._journalled():
            first = self._insert(events)
            self.remove(seqs)
            if report is not None:
                self.say(report)
            if tally:
                self.journal.add(tally, now_ms)
        self._next += len(events)
        return first

    def take_over(
        self,
        records: Mapping[str, Record],
        events: Sequence[tuple[int, bool, bytes]],
        letters: Iterable[DeadLetter],
    ) -> int:
        """Add pieces of other files, in one transaction; return the first event's ``seq``.

        ``records``: what each piece is, by the name of the file that it comes from.
        """
        with self._connection.transaction():
            first = self._insert(events) if events else self._next
            self._letters.add(letters)
            self.moves.note(records)
        self.moves.noted()
        self._next += len(events)
        return first

    def remove_rows(self, rows: Sequence[Row]) -> None:
        """Remove these very rows in one commit, and none to which damage has given the ``seq`` of one."""
        crcs = [checksum(row.accepted_ms, row.known, row.body) for row in rows]
        self._connection.execute(
            schema.REMOVE_ROWS, (json.dumps([row.seq for row in rows]), json.dumps(crcs))
        )

    def ask_for(self, rows: Iterable[Row]) -> None:
        """Let these rows be sent however old they are, by whoever takes the file over."""
        with self._connection.transaction():
            self._connection.execute_many(
                schema.ASK_FOR,
                [
                    (
                        ASKED_FOR,
                        checksum(row.accepted_ms, known=True, body=row.body),
                        row.seq,
                        checksum(row.accepted_ms, row.known, row.body),
                    )
                    for row in rows
                ],
            )

    def pending(self) -> tuple[int, int]:
        """Return how many events are pending, and about what they take on disk, in bytes."""
        count, size = self._connection.row("SELECT count(*), sum(length(body)) FROM event")
        return count, (size or 0) + ROW_BYTES * count

    def oldest_ms(self) -> int | None:
        """Return when the oldest pending event was accepted; ``None`` where there is none that says so."""
        (oldest,) = self._connection.row("SELECT min(accepted_ms) FROM event")
        return oldest if isinstance(oldest, int) else None

    # --- dead letters ---

    def bury(self, letters: Iterable[DeadLetter], seqs: Iterable[int] = ()) -> None:
        """Add dead letters, and remove the rows ``seqs`` that they were until now, in one transaction."""
        with self._connection.transaction():
            self._letters.add(letters)
            self.remove(seqs)

    def dead(self) -> Iterator[tuple[int, DeadLetter]]:
        """Yield every dead letter, the oldest first, with the number that names it within this file.

        The number of a letter that is gone is never given to another. A damaged letter has the reason
        ``CORRUPT``.
        """
        for number, letter, _ in self._letters.each():
            yield number, letter

    def damaged_dead(self) -> Iterator[int]:
        """Yield the numbers of the dead letters that are damaged in this file."""
        for number, _, whole in self._letters.each():
            if not whole:
                yield number

    def dead_count(self) -> int:
        """Return how many dead letters there are."""
        return self._letters.count()

    def dead_reasons(self) -> dict[str, int]:
        """Return how many dead letters there are, by reason."""
        return self._letters.reasons()

    def purge(self, numbers: Sequence[int], now_ms: int) -> None:
        """Remove dead letters by their numbers, and count them in the journal, in one transaction."""
        with self._journalled():
            bodies = self._letters.bodies(numbers)
            self._letters.remove(numbers)
            self.journal.add(tally_of(bodies, day_of(now_ms), "purged"), now_ms)

    def replay(
        self, numbers: Sequence[int], now_ms: int, *, is_left: bool = False, is_risky: bool = True
    ) -> list[Row]:
        """Make dead letters pending again, in one transaction; return their rows.

        An event keeps the time at which it was accepted, which says until when Togai knows its id; where it
        may have forgotten the id, the event is accepted now. A damaged letter stays where it is. ``is_left``:
        the file's process is gone, and who takes it over is to send them, however old they seem to him.
        Unless ``is_risky``, a letter of which Togai may have forgotten the id stays where it is.
        """
        known = ASKED_FOR if is_left else 1
        rows: list[Row] = []
        with self._connection.transaction():
            for start in range(0, len(numbers), PAGE):
                letters = {
                    number: letter
                    for number, letter in self._letters.these(numbers[start : start + PAGE]).items()
                    if is_risky or not is_past_window(letter, now_ms)
                }
                rows += [
                    Row(
                        self._next + place,
                        now_ms if is_past_window(letter, now_ms) else min(letter.accepted_ms, now_ms),
                        known=True,
                        body=letter.body,
                        is_asked_for=is_left,
                    )
                    for place, letter in enumerate(letters.values(), len(rows))
                ]
                self._letters.remove(letters)
            self._connection.execute_many(
                schema.INSERT,
                [
                    (
                        row.seq,
                        row.accepted_ms,
                        known,
                        row.body,
                        checksum(row.accepted_ms, row.known, row.body),
                    )
                    for row in rows
                ],
            )
        self._next += len(rows)
        return rows

    # --- about the file ---

    def as_it_is_now(self) -> AbstractContextManager[None]:
        """Read one state of the file within, whatever its process writes meanwhile."""
        return self._connection.as_it_is_now()

    def meta(self) -> dict[str, str]:
        """Return what ``create`` wrote: ``base_url``, ``clock``, ``created_ms``, ``host``, ``pid``, …."""
        rows = self._connection.rows(schema.READ_META)
        return {as_text(key): as_text(value) for key, value in rows}

    def note_wall_clock(self, clock: float, wall: float) -> None:
        """Note where the wall clock stands, if it was set since."""
        noted = self.clock.noted(clock, wall)
        if noted != self.clock:
            self._connection.execute(schema.NOTE, (CLOCK, noted.as_text()))
            self.clock = noted

    def say(self, report: str) -> None:
        """Note how the process of this file stands."""
        self._connection.execute(schema.NOTE, (SELF_REPORT, report))

    def try_out(self) -> None:
        """Write something without meaning, to see whether the file can be written."""
        self._connection.execute("INSERT OR REPLACE INTO meta VALUES ('tried', hex(randomblob(8)))")

    def free_pages(self) -> int:
        """Return how many free pages can be given back; none of a file that an older version has made."""
        (kind,) = self._connection.row("PRAGMA auto_vacuum")
        (count,) = self._connection.row("PRAGMA freelist_count")
        return count if kind else 0

    def shrink(self, pages: int) -> None:
        """Give back so many of them; the file is shorter once the ``-wal`` is emptied."""
        self._connection.shrink(pages)

    def note_speed(self, *, is_slow: bool) -> None:
        """Move what is in the ``-wal`` into the file more seldom while the disk is slow."""
        self._connection.empty_wal_at(PAGES_IF_SLOW if is_slow else PAGES)

    def empty_wal(self) -> bool:
        """Empty the ``-wal``; return false where another program reads the file, and is in the way."""
        return self._connection.empty_wal()

    def complaints(self) -> list[str]:
        """Return what SQLite's own check of the whole file finds wrong, a text each."""
        return self._connection.complaints()

    def close(self, *, is_removed: bool = False) -> None:
        """Close the file; what was written stays. ``is_removed``: it is gone, and no disk is waited for."""
        if is_removed:
            with suppress(SpoolError):
                self._connection.make_hasty()
        self._connection.close()


@contextmanager
def _closed_on_error(connection: Connection) -> Iterator[Connection]:
    """Close the connection where what is done with it fails."""
    try:
        yield connection
    except BaseException:
        connection.close()
        raise


def _clock(connection: Connection) -> FileClock:
    """Return how the file's times are to be read; of a damaged one, as if it did not say."""
    with suppress(SpoolError):
        for (text,) in connection.rows(schema.READ_ONE_META, (CLOCK,)):
            return FileClock.of_text(as_text(text))
    return FileClock()


def _last_seq(connection: Connection) -> int:
    (last,) = connection.row("SELECT max(seq) FROM event")
    return last or 0


def mode_of_reading(path: Path, may_write: Callable[[Path], bool]) -> Mode:
    """Return how a file is read where it lies. Raises ``SpoolError`` where that would not be all of it."""
    if may_write(path.parent) or status_of(f"{path}-shm") is not None:
        return "ro"
    beside = status_of(f"{path}-wal")
    if beside is not None and beside.st_size:
        raise SpoolError(
            f"{path}: cannot be read in a directory that cannot be written to; copy it elsewhere with its"
            " -wal, and look there"
        )
    return "still"
