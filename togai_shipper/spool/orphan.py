"""A file whose process is gone: piece by piece, what is in it moves into ours.

A piece (events, dead letters) is written here before it is forgotten there. A crash between leaves it in
both; a record of it, written with it, lets whoever takes the file over next forget it there first. Of a
damaged file nothing can be forgotten: it is sent twice then, with the same ids, of which Togai counts one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import islice

import attrs

from togai_shipper._event import id_of

from .age import Clocks, age
from .archive import keep_journal
from .book import Book
from .claims import Claim
from .errors import Damaged, Endless, SpoolError, SpoolFull
from .file import READ_BYTES, SpoolFile
from .journal import day_of
from .moves import Record
from .moving import moved_to_heir, owes
from .requests import carry_out, read_requests
from .rows import PAST_WINDOW, DeadLetter, Row, checksum
from .wal import size_of

PIECE = 1000  # rows moved at once at most: a few milliseconds, between which our own events are written
FEW_IDS = 20  # rows of the ids in a journal that is kept with others
MIN_ROW = 32  # bytes that a row takes at least; an event alone has over a hundred
MAX_UNREADABLE = 10_000  # rows in a row that cannot be read; then there are no more


@attrs.frozen
class Piece:
    """The next rows of such a file; how many damaged ones there are among them; whether nothing is left."""

    rows: list[Row]
    damaged: int
    is_last: bool


@attrs.frozen
class Judged:
    """Rows by what becomes of them."""

    fresh: list[tuple[Row, int]] = attrs.field(factory=list)  # with the age of each: they are sent
    expired: list[Row] = attrs.field(factory=list)
    waiting: int = 0  # of these the clocks do not tell

    @property
    def leaving(self) -> list[Row]:
        """Those that leave their file."""
        return [*(row for row, _ in self.fresh), *self.expired]

    def as_events(self, time: int) -> list[tuple[int, bool, bytes]]:
        """Return those to be sent for our file, as old as they were found: there it is that time now."""
        return [(time - its_age, True, row.body) for row, its_age in self.fresh]

    def as_letters(self, now_ms: int) -> list[DeadLetter]:
        """Return the expired ones as dead letters."""
        return [_expired(row, now_ms) for row in self.expired]


@attrs.frozen
class Whole:
    """All that is in a small file."""

    judged: Judged
    letters: list[tuple[int, DeadLetter]]
    record: Record
    book: Book


@attrs.frozen
class Haul:
    """What one piece brought."""

    moved: list[Row]  # as they stand in our file
    expired: list[Row]  # now dead letters in our file
    dead: int  # dead letters moved
    damaged: int  # rows that cannot be read, or are not what was written
    over: bool  # nothing is left to be moved


class Orphan:
    """One such file, claimed and open."""

    def __init__(self, claim: Claim, file: SpoolFile, *, damaged: bool = False) -> None:
        self.claim = claim
        self.file = file
        self._after = 0
        self._stays = damaged  # something in it cannot be moved: it is kept, under another name
        self.waiting = 0  # events in it of which the clocks do not tell how old they are
        self._is_damaged = damaged
        self._is_endless = False  # pages of it point to themselves: no more of it is read
        self._rows_left = PIECE + sum(size_of(f"{file.path}{suffix}") for suffix in ("", "-wal")) // MIN_ROW
        self._rows: int | None = None  # how many there were at first
        self._unreadable = 0
        self._bad: set[int] = set()  # the seq of damaged rows
        self._passed: int | None = None  # rows, where they are read as they lie
        self._is_begun = False
        self._is_doubted = False  # our journal says that what was in it may be counted twice
        self.is_special = damaged  # it is moved in pieces, and not at once with others
        self.is_put_off = False  # it cannot be told yet what of it was moved already
        self.is_needed = False  # it says what of another file was moved, which is there still

    def move(self, ours: SpoolFile, now: Clocks) -> Haul:
        """Move the next piece to ``ours``. Raises ``SpoolError`` where ours cannot be written.

        An event that may be older than Togai's memory of its id is not sent again by itself. Where the clocks
        do not tell whether it is, it stays.
        """
        if not self._is_begun and not self._begin(ours):
            return Haul([], [], 0, 0, over=True)
        piece = self._next()
        self._doubt_damage(ours, now)
        judged = self._judged(piece.rows, now)
        self.waiting += judged.waiting
        moved = self._moved(judged, ours, now)
        self._forget(judged.leaving, ours)
        is_over = self._is_endless or (piece.is_last and not self._do_requests(now.wall))
        # Where events wait, the file stays, and its dead letters in it.
        dead = self._move_dead(ours) if is_over and not self.waiting and not self._is_endless else 0
        return Haul(moved, judged.expired, dead, piece.damaged, is_over)

    def _judged(self, rows: Sequence[Row], now: Clocks) -> Judged:
        fresh: list[tuple[Row, int]] = []
        expired: list[Row] = []
        waiting = 0
        for row in rows:
            found = age(row.accepted_ms, self.file.clock, now)
            if found.decision == "send":
                fresh.append((row, max(0, int(found.most))))
            elif row.is_asked_for:
                fresh.append((row, 0))
            elif found.decision == "dead":
                expired.append(row)
            else:
                waiting += 1
        return Judged(fresh, expired, waiting)

    # --- a small file, moved with others ---

    def rows(self) -> int:
        """Return how many rows it had when asked first: events and dead letters. Raises ``SpoolError``."""
        if self._rows is None:
            self._rows = self.file.pending()[0] + self.file.dead_count()
        return self._rows

    def whole(
        self, ours: SpoolFile, now: Clocks, *, is_asked: bool = False, buries: bool = True
    ) -> Whole | None:
        """Return all that is in it, and name ours as its heir; ``None`` where it goes piece by piece.

        That is, where anything about it is special: it was cut short in being moved, is large or damaged, or
        does not tell how old its events are; or, ``is_asked``, an operator wants something of it; or, unless
        ``buries``, events in it are too old to be sent.
        """
        self.is_special = True
        if is_asked:
            return None
        with suppress(SpoolError):  # it shows again where it is moved piece by piece
            found = self._whole(now)
            if found is None or (found.judged.expired and not buries):
                return None
            if found.record:
                self.file.moves.name_heir(ours.path.name)
            return found
        return None

    def _whole(self, now: Clocks) -> Whole | None:
        if self.file.moves.are_any():
            return None
        rows, damaged = self.file.read(0, PIECE + 1)
        letters = list(islice(self.file.dead(), PIECE + 1))
        if damaged or max(len(rows), len(letters)) > PIECE or len(rows) + len(letters) != self.rows():
            return None
        judged = self._judged(rows, now)
        ids = tuple(islice(self.file.journal.ids(), FEW_IDS + 1))
        if judged.waiting or len(ids) > FEW_IDS:
            return None
        book = attrs.evolve(self.file.journal.book(self.claim.path.stem), ids=ids)
        return Whole(judged, letters, _record(judged.leaving, [number for number, _ in letters]), book)

    def remove(self) -> None:
        """Remove the file, of which all is moved. Raises ``SpoolError``, having let go."""
        try:
            self.claim.unlink(is_asked=False)  # first: SQLite, as it closes, moves the -wal into the file
        finally:
            self.file.close(is_removed=True)

    def _begin(self, ours: SpoolFile) -> bool:
        """Forget what was moved to another file already, and name ours; false where that has to wait."""
        if self._is_damaged:
            return True
        try:
            record = moved_to_heir(self.file, ours)
        except Damaged:
            record = Record()  # what it has of ours is sent from there, if anything can be read
        except SpoolError:
            self.is_put_off = True
            return False
        try:
            if record:
                self.file.moves.remove(record)
            self.file.moves.name_heir(ours.path.name)
        except SpoolError:
            self._is_damaged = self._stays = True
        self._is_begun = True
        return True

    def _doubt_damage(self, ours: SpoolFile, now: Clocks) -> None:
        """Say, before anything more of a damaged file is moved, that it may be counted twice."""
        if self._is_damaged and not self._is_doubted:
            why = f"{self.claim.path.name} was damaged: what was in it may be counted twice, or not at all"
            ours.journal.doubt(day_of(now.wall), why)
            self._is_doubted = True

    def _moved(self, judged: Judged, ours: SpoolFile, now: Clocks) -> list[Row]:
        """Write rows into our file, each as old as it was found: from now on that is as sure as our own."""
        record = _record(judged.leaving)
        if not record:
            return []
        events = judged.as_events(ours.clock.time(now.clock / 1000))
        first = ours.take_over({self.claim.path.name: record}, events, judged.as_letters(now.wall))
        return as_rows(first, events)

    def _do_requests(self, now_ms: int) -> bool:
        """Do what was asked of the process that is gone; in our file its dead letters get other numbers."""
        requests = read_requests(self.claim.path)
        try:
            for request in requests:
                carry_out(request, self.file, now_ms, is_left=True)
        except SpoolError:
            self._stays = True
            return False
        return bool(requests)

    def _next(self) -> Piece:
        with suppress(Endless):
            return self._next_of_all()
        self._is_endless = self._stays = True
        return Piece([], 0, is_last=True)

    def _next_of_all(self) -> Piece:
        try:
            if self._passed is not None:
                return self._next_as_they_lie(self._passed)
            if not self._is_damaged:
                return self._next_in_order()
        except (SpoolFull, Endless):  # the first: locked for the moment, by somebody who looks into it
            raise
        except SpoolError:  # damaged, or on a disk that is: no failure of ours
            self._is_damaged = self._stays = True
            self._passed = None
        return self._next_readable()

    def _next_in_order(self) -> Piece:
        rows, damaged = self._counted(*self.file.read(self._after, PIECE))
        seqs = [*damaged, *(row.seq for row in rows)]
        hides = (
            self.file.pending()[0] > self.waiting + len(self._bad) if not seqs else min(seqs) <= self._after
        )
        if hides:  # a damaged seq may hide the rows behind it
            self._is_damaged = self._stays = True
            self.waiting = 0
            return self._next_as_they_lie(0)
        piece = Piece(rows, len(set(damaged) - self._bad), is_last=not seqs)
        self._bad.update(damaged)
        self._stays = self._stays or bool(damaged)
        # Of whole rows, if there are any: a damaged seq may be wrong.
        self._after = max([row.seq for row in rows] or damaged, default=self._after)
        return piece

    def _next_as_they_lie(self, passed: int) -> Piece:
        """Return rows in whatever order they are in, after the first ``passed`` ones."""
        rows, damaged = self._counted(*self.file.read_as_they_lie(passed, PIECE))
        self._passed = passed + len(rows) + len(damaged)
        return Piece(rows, len(set(damaged) - self._bad), is_last=not rows and not damaged)

    def _next_readable(self) -> Piece:
        """Return rows that are read one by one, past what cannot be read."""
        found: list[Row] = []
        size = count = 0
        while len(found) < PIECE:
            rows, damaged = self._one_beyond()
            if rows is None:
                self._after += 1
                self._unreadable += 1
                if self._unreadable > MAX_UNREADABLE:
                    return Piece(found, count, is_last=True)
                continue
            if not rows and not damaged:
                return Piece(found, count, is_last=True)
            size += sum(len(row.body) for row in rows)
            if size > READ_BYTES and found:
                break
            found += rows
            count += len(damaged)
            self._after = max([row.seq for row in rows] + damaged)
            self._unreadable = 0
        return Piece(found, count, is_last=False)

    def _one_beyond(self) -> tuple[list[Row] | None, list[int]]:
        """The next row; ``None`` where it cannot be read, or comes from before: the order is damaged."""
        try:
            rows, damaged = self.file.read(self._after, 1)
        except Endless:
            raise
        except SpoolError:
            return None, []
        is_from_before = any(seq <= self._after for seq in (*damaged, *(row.seq for row in rows)))
        return (None, []) if is_from_before else (rows, damaged)

    def _counted(self, rows: list[Row], damaged: list[int]) -> tuple[list[Row], list[int]]:
        """Raise ``Endless`` where more rows were read than the file has room for: the same come again."""
        self._rows_left -= len(rows) + len(damaged)
        if self._rows_left < 0:
            raise Endless(f"{self.claim.path}: it has more rows than it has room for")
        return rows, damaged

    def _forget(self, rows: list[Row], ours: SpoolFile) -> None:
        if rows and not self._is_damaged:  # else it is kept as it is
            try:
                self.file.remove_rows(rows)
                ours.moves.confirm(self.claim.path.name)
            except SpoolError:
                self._is_damaged = self._stays = True

    def _move_dead(self, ours: SpoolFile) -> int:
        """Move the dead letters; return how many."""
        count = 0
        for letters in self._dead():
            record = Record(letters=[number for number, _ in letters])
            ours.take_over({self.claim.path.name: record}, (), [letter for _, letter in letters])
            self._forget_dead(record)
            count += len(letters)
        with suppress(SpoolError):
            if self.file.dead_count() > (count if self._is_damaged else 0):  # a damaged number hides some
                self._stays = True
        return count

    def _forget_dead(self, record: Record) -> None:
        if not self._is_damaged:
            try:
                self.file.moves.remove(record)
            except SpoolError:
                self._is_damaged = self._stays = True

    def _dead(self) -> Iterator[list[tuple[int, DeadLetter]]]:
        try:
            letters = self.file.dead()
            while piece := list(islice(letters, PIECE)):
                yield piece
        except SpoolError:
            self._stays = True

    def leave(self) -> None:
        """Not now: let another process, or a later time, have it."""
        self.file.close()
        self.claim.release()

    def end(self, now_ms: int) -> str:
        """All is moved that can be: remove the file, or keep it by another name; returns that, or nothing.

        The file stays where its journal cannot be kept for now. Raises ``SpoolError``, having let go.
        """
        has_to_stay = self.is_put_off or (self.waiting > 0 and not self._is_endless)
        has_to_stay = has_to_stay or (not self._is_endless and self._is_needed(now_ms))
        self.file.close()
        if has_to_stay:
            self.claim.release()
            return ""
        if self._stays:
            return str(self.claim.set_aside(now_ms))
        self.claim.unlink()
        return ""

    def _is_needed(self, now_ms: int) -> bool:
        """Keep its journal elsewhere; return whether others have to look into it still."""
        try:
            if owes(self.file):
                self.is_needed = True
                return True
            keep_journal(self.file, now_ms)
        except Damaged:
            self._stays = True
        except SpoolError:
            return not self._stays
        return False


def as_rows(first: int, events: Sequence[tuple[int, bool, bytes]]) -> list[Row]:
    """Return events as they stand in our file, the first of them as row ``first``."""
    return [
        Row(first + number, accepted_ms, known=known, body=body)
        for number, (accepted_ms, known, body) in enumerate(events)
    ]


def _record(rows: Iterable[Row], letters: Sequence[int] = ()) -> Record:
    return Record([(row.seq, checksum(row.accepted_ms, row.known, row.body)) for row in rows], letters)


def _expired(row: Row, now_ms: int) -> DeadLetter:
    message = "older than Togai's memory of ids: sent again, it might be billed twice"
    return DeadLetter(
        id_of(row.body), row.accepted_ms, row.body, PAST_WINDOW, None, message, attempts=0, dead_ms=now_ms
    )
