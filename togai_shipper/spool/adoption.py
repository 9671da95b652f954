"""What becomes of a file whose process is gone: piece by piece, what is in it moves into ours.

A piece (events, dead letters) is written here before it is forgotten there. A crash between leaves it in
both, and it is sent twice with the same ids, of which Togai counts one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from itertools import islice

import attrs

from togai_shipper._event import id_of
from togai_shipper._plural import counted

from .errors import Damaged, HoldsNothing, SpoolError, SpoolFull
from .file import READ_BYTES, SpoolFile
from .folder import Claim, Folder
from .requests import carry_out, read_requests
from .rows import PAST_WINDOW, DeadLetter, Row, is_old

PIECE = 1000  # rows moved at once at most: a few milliseconds, between which our own events are written
MAX_UNREADABLE = 10_000  # rows in a row that cannot be read; then there are no more
ADOPT_EVERY = 60.0  # seconds between looks for such files, and up to half as much again, at random


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
        self.waiting = 0  # events in it that wait for the server to say what time it is
        self._is_damaged = damaged
        self._unreadable = 0
        self._bad: set[int] = set()  # the seq of damaged rows
        self._passed: int | None = None  # rows, where they are read as they lie

    def move(self, ours: SpoolFile, now_ms: int, server_ms: int | None) -> Haul:
        """Move the next piece to ``ours``. Raises ``SpoolError`` where ours cannot be written.

        An event that may be older than Togai's memory of its id is not sent again by itself. That it is has
        to be said by the clock of the server (``server_ms``), too: until it is known, such an event stays.
        """
        piece = self._next()
        fresh: list[Row] = []
        expired: list[Row] = []
        for row in piece.rows:
            if not is_old(row.accepted_ms, now_ms if server_ms is None else server_ms):
                fresh.append(row)
            elif server_ms is None:
                self.waiting += 1
            else:
                expired.append(row)
        moved: list[Row] = []
        if fresh:
            first = ours.append([(row.accepted_ms, True, row.body) for row in fresh])
            moved = [
                Row(first + number, row.accepted_ms, known=True, body=row.body)
                for number, row in enumerate(fresh)
            ]
        if expired:
            ours.bury([_expired(row, now_ms) for row in expired])
        self._forget([*fresh, *expired])
        is_over = piece.is_last and not self._do_requests(now_ms)
        # Where events wait, the file stays, and its dead letters in it.
        dead = self._move_dead(ours) if is_over and not self.waiting else 0
        return Haul(moved, expired, dead, piece.damaged, is_over)

    def _do_requests(self, now_ms: int) -> bool:
        """Do what was asked of the process that is gone; in our file its dead letters get other numbers."""
        requests = read_requests(self.claim.path)
        try:
            for request in requests:
                carry_out(request, self.file, now_ms)
        except SpoolError:
            self._stays = True
            return False
        return bool(requests)

    def _next(self) -> Piece:
        try:
            if self._passed is not None:
                return self._next_as_they_lie(self._passed)
            if not self._is_damaged:
                return self._next_in_order()
        except SpoolFull:  # locked for the moment, by somebody who looks into it
            raise
        except SpoolError:  # damaged, or on a disk that is: no failure of ours
            self._is_damaged = self._stays = True
            self._passed = None
        return self._next_readable()

    def _next_in_order(self) -> Piece:
        rows, damaged = self.file.read(self._after, PIECE)
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
        rows, damaged = self.file.read_as_they_lie(passed, PIECE)
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
        except SpoolError:
            return None, []
        is_from_before = any(seq <= self._after for seq in (*damaged, *(row.seq for row in rows)))
        return (None, []) if is_from_before else (rows, damaged)

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
        if self.waiting:
            self.claim.release()
        elif self._stays:
            return str(self.claim.set_aside(now_ms))
        else:
            self.claim.unlink()
        return ""


class Adoption:
    """Looks for such files every minute or so, and moves what is in them, one piece a call."""

    def __init__(
        self,
        folder: Folder,
        base_url: str,
        clock: Callable[[], float],
        random: Callable[[], float],
        tell: Callable[[str, str], object],
    ) -> None:
        self._folder = folder
        self._base_url = base_url
        self._clock = clock
        self._random = random
        self._tell = tell  # told, by kind, what an operator has to know
        self._found: Iterator[Claim] | None = None
        self._orphan: Orphan | None = None
        self.next_at = float("-inf")  # monotonic seconds
        # path -> events in it that are not ours to send. Never changed, but replaced as a whole: it is read
        # under the shipper's lock, and written under the file's.
        self.stranded: Mapping[str, int] = {}

    @property
    def path(self) -> str:
        """What is being moved."""
        return str(self._orphan.claim.path) if self._orphan else ""

    def find(self, now_ms: int) -> bool:
        """Whether there is something to be moved. Raises ``SpoolError`` where the directory is none."""
        if self._orphan is not None:
            return True
        if self._clock() < self.next_at:
            return False
        if self._found is None:
            self._folder.prepare()
            self.stranded = {}
            self._found = self._folder.orphans()
        for claim in self._found:
            self._orphan = self._opened(claim, now_ms)
            if self._orphan is not None:
                return True
        self.pause()
        return False

    def look_now(self) -> None:
        """Look at once, not only in a minute: what could not be read may be readable again."""
        self.next_at = self._clock()

    def pause(self) -> None:
        """Leave what is under way, and look again in a minute or so."""
        if self._orphan is not None:
            self._orphan.leave()
        self._found = self._orphan = None
        self.next_at = self._clock() + ADOPT_EVERY * (1.0 + self._random() / 2)

    def move(self, ours: SpoolFile, now_ms: int, server_ms: int | None) -> Haul:
        """Move one piece of what was found. Raises ``SpoolError`` where ``ours`` cannot be written."""
        assert self._orphan  # noqa: S101  find() has found it
        path = self._orphan.claim.path
        haul = self._orphan.move(ours, now_ms, server_ms)
        if haul.damaged:
            self._tell(
                f"damaged {path}",
                f"{path}: {counted(haul.damaged, 'event is', 'events are')} damaged on disk, and not sent",
            )
        if haul.over:
            if self._orphan.waiting:
                self.stranded = {**self.stranded, str(path): self._orphan.waiting}
            aside = self._orphan.end(now_ms)
            self._orphan = None
            if aside:
                self._tell(
                    f"aside {path}", f"{path}: what can be read of it is adopted; it is set aside as {aside}"
                )
        return haul

    def _opened(self, claim: Claim, now_ms: int) -> Orphan | None:
        """What was claimed, if it is ours to send; else it is left, or set aside, and told."""
        path = claim.path
        try:
            return self._ours(self._open(claim))
        except HoldsNothing as error:
            if claim.was_being_made:
                with suppress(SpoolError):
                    claim.unlink()  # its process had accepted nothing
            else:
                self._set_aside(claim, error, now_ms)
        except Damaged as error:
            self._set_aside(claim, error, now_ms)
        except SpoolError as error:
            claim.release()
            self.stranded = {**self.stranded, str(path): 0}
            self._tell(f"left {path}", f"{error}; it is left alone")
        return None

    def _open(self, claim: Claim) -> Orphan:
        try:
            return Orphan(claim, SpoolFile.open(claim.path))
        except HoldsNothing:
            raise
        except Damaged:
            return Orphan(claim, SpoolFile.salvage(claim.path), damaged=True)

    def _ours(self, orphan: Orphan) -> Orphan | None:
        """It, if its events are for where we ship to; else it is let go."""
        path = orphan.claim.path
        try:
            whose = orphan.file.meta().get("base_url", "nobody")
            if whose == self._base_url:
                return orphan
            self.stranded = {**self.stranded, str(path): orphan.file.pending()[0]}
        except SpoolError:
            orphan.file.close()
            raise
        orphan.leave()
        self._tell(f"left {path}", f"{path}: its events are for {whose}; they are not sent from here")
        return None

    def _set_aside(self, claim: Claim, error: Damaged, now_ms: int) -> None:
        try:
            what = f"set aside as {claim.set_aside(now_ms)}"
        except SpoolError as failure:
            what = f"left as it is: {failure}"
        self._tell(f"aside {claim.path}", f"{error}; {what}")


def _expired(row: Row, now_ms: int) -> DeadLetter:
    message = "older than Togai's memory of ids: sent again, it might be billed twice"
    return DeadLetter(
        event_id(row.body), row.accepted_ms, row.body, PAST_WINDOW, None, message, attempts=0, dead_ms=now_ms
    )


def event_id(body: bytes) -> str:
    """An event's id; empty where the body is damaged."""
    with suppress(Exception):  # whatever a flipped bit makes of JSON
        return id_of(body)
    return ""
