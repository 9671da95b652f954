"""A file whose process is gone: piece by piece, what is in it moves into ours.

A piece (events, dead letters) is written here before it is forgotten there. A crash between leaves it in
both, and it is sent twice with the same ids, of which Togai counts one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import islice

import attrs

from togai_shipper._event import id_of

from .age import Clocks, age
from .claims import Claim
from .errors import Endless, SpoolError, SpoolFull
from .file import READ_BYTES, SpoolFile
from .requests import carry_out, read_requests
from .rows import PAST_WINDOW, DeadLetter, Row
from .wal import size_of

PIECE = 1000  # rows moved at once at most: a few milliseconds, between which our own events are written
MIN_ROW = 32  # bytes that a row takes at least; an event alone has over a hundred
MAX_UNREADABLE = 10_000  # rows in a row that cannot be read; then there are no more


@attrs.frozen
class Piece:
    """The next rows of such a file; how many damaged ones there are among them; whether nothing is left."""

    rows: list[Row]
    damaged: int
    is_last: bool


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
        self._unreadable = 0
        self._bad: set[int] = set()  # the seq of damaged rows
        self._passed: int | None = None  # rows, where they are read as they lie

    def move(self, ours: SpoolFile, now: Clocks) -> Haul:
        """Move the next piece to ``ours``. Raises ``SpoolError`` where ours cannot be written.

        An event that may be older than Togai's memory of its id is not sent again by itself. Where the clocks
        do not tell whether it is, it stays.
        """
        piece = self._next()
        fresh: list[tuple[Row, int]] = []  # with the age of each
        expired: list[Row] = []
        for row in piece.rows:
            found = age(row.accepted_ms, self.file.clock, now)
            if found.decision == "send":
                fresh.append((row, max(0, int(found.most))))
            elif row.is_asked_for:
                fresh.append((row, 0))
            elif found.decision == "dead":
                expired.append(row)
            else:
                self.waiting += 1
        moved = _moved(fresh, ours, now)
        if expired:
            ours.bury([_expired(row, now.wall) for row in expired])
        self._forget([*(row for row, _ in fresh), *expired])
        is_over = self._is_endless or (piece.is_last and not self._do_requests(now.wall))
        # Where events wait, the file stays, and its dead letters in it.
        dead = self._move_dead(ours) if is_over and not self.waiting and not self._is_endless else 0
        return Haul(moved, expired, dead, piece.damaged, is_over)

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

    def _forget(self, rows: list[Row]) -> None:
        if rows and not self._is_damaged:  # else it is kept as it is
            try:
                self.file.remove_rows(rows)
            except SpoolError:
                self._is_damaged = self._stays = True

    def _move_dead(self, ours: SpoolFile) -> int:
        """Move the dead letters; return how many."""
        count = 0
        for letters in self._dead():
            ours.bury(letters)
            count += len(letters)
        with suppress(SpoolError):
            if count < self.file.dead_count():  # a damaged number hides some
                self._stays = True
        return count

    def _dead(self) -> Iterator[list[DeadLetter]]:
        try:
            letters = self.file.dead()
            while piece := [letter for _, letter in islice(letters, PIECE)]:
                yield piece
        except SpoolError:
            self._stays = True

    def leave(self) -> None:
        """Not now: let another process, or a later time, have it."""
        self.file.close()
        self.claim.release()

    def end(self, now_ms: int) -> str:
        """All is moved that can be: remove the file, or keep it by another name; returns that, or nothing."""
        self.file.close()
        if self.waiting and not self._is_endless:
            self.claim.release()
        elif self._stays:
            return str(self.claim.set_aside(now_ms))
        else:
            self.claim.unlink()
        return ""


def _moved(fresh: Sequence[tuple[Row, int]], ours: SpoolFile, now: Clocks) -> list[Row]:
    """Write rows into our file, each as old as it was found to be: from now on that is as sure as our own."""
    if not fresh:
        return []
    time = ours.clock.time(now.clock / 1000)
    events = [(time - its_age, True, row.body) for row, its_age in fresh]
    first = ours.append(events)
    return [
        Row(first + number, accepted_ms, known=known, body=body)
        for number, (accepted_ms, known, body) in enumerate(events)
    ]


def _expired(row: Row, now_ms: int) -> DeadLetter:
    message = "older than Togai's memory of ids: sent again, it might be billed twice"
    return DeadLetter(
        id_of(row.body), row.accepted_ms, row.body, PAST_WINDOW, None, message, attempts=0, dead_ms=now_ms
    )
