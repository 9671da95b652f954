"""Which events are on disk: the row of each, how many are there alone, and which rows are to be removed.

It counts and names, and does no I/O; it is used only under the shipper's lock. An event stays on disk until
it is settled, that is, has its outcome; until then it is in the buffer as well, or waits on disk alone.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Container, Iterable, Sequence
from itertools import compress, repeat
from typing import TypeAlias

import attrs

from togai_shipper._engine.batching import Batch
from togai_shipper._outcome import Delivered, Dropped, Rejected, Relayed, Settled

from .rows import ROW_BYTES, Row
from .tally import Uncounted

#: An event that was not delivered: its row, if it has one, what it is, and what became of it.
Dying: TypeAlias = tuple[int | None, bytes, Rejected | Dropped]


@attrs.frozen
class Leaving:
    """Settled events that are still on disk.

    Attributes:
        gone: the rows of delivered ones, and of those that a relay took, to be removed.
        delivered: the delivered ones among these, to be counted.
        rowless: delivered ones that never were on disk, to be counted.
        dying: the others, which are to become dead letters.

    """

    gone: Sequence[int] = ()
    delivered: Uncounted = attrs.field(factory=Uncounted)
    rowless: Uncounted = attrs.field(factory=Uncounted)
    dying: Sequence[Dying] = ()


class Shelf:
    """Knows the rows of one file."""

    def __init__(self, dying: Iterable[Dying] = (), rowless: Uncounted | None = None) -> None:
        self._rows: dict[int, int] = {}  # id() of an event in the buffer -> its seq
        self.behind = 0  # events on disk alone
        self.behind_since = 0.0  # about when the oldest of them was accepted
        self.cursor = 0  # up to this seq every event came into the buffer
        self._skips: deque[range] = deque()  # of seq beyond the cursor: those came into the buffer, too
        self.bytes = 0
        self._gone: list[int] = []
        self._aside: deque[int] = deque()  # seq of events on disk alone, for which the lane has no room
        self.aside_bytes = 0
        self.aside_since = 0.0  # about when the oldest of them was accepted
        self._dying = list(dying)
        self._delivered = Uncounted()
        self._rowless = rowless or Uncounted()

    def __len__(self) -> int:
        return len(self._rows) + self.behind + len(self._aside)

    def __contains__(self, event: bytes) -> bool:
        return id(event) in self._rows

    # --- in ---

    def written(
        self, events: Sequence[bytes], first: int, room: int, since: float, over: Container[int] = ()
    ) -> list[bytes]:
        """Note new events on disk, the first as row ``first``; return those that go into the buffer now.

        ``over``: identities of those for which the lane has no room.
        """
        looked_at = events[: 0 if self.behind else room]
        into = []
        for seq, event in enumerate(looked_at, first):
            if id(event) in over:
                self._set_aside(seq, event, since)
            else:
                self._rows[id(event)] = seq
                into.append(event)
        self.bytes += sum(map(len, events)) + ROW_BYTES * len(events)
        if looked_at:
            self.cursor = first + len(looked_at) - 1
        self._wait_behind(len(events) - len(looked_at), since)
        return into

    def _set_aside(self, seq: int, event: bytes, since: float) -> None:
        if not self._aside:
            self.aside_since = since
        self._aside.append(seq)
        self.aside_bytes += len(event) + ROW_BYTES

    def saved(self, events: Sequence[bytes], first: int, there: Iterable[bytes]) -> None:
        """Note that events of the buffer are on disk now; those it holds no longer are to be removed."""
        still = set(map(id, there))
        for seq, event in enumerate(events, first):
            if id(event) in still:
                self._rows[id(event)] = seq
                self.bytes += len(event) + ROW_BYTES
            else:
                self._gone.append(seq)
        self.passed(range(first, first + len(events)))

    def passed(self, seqs: range) -> None:
        """Note rows at the end of the file that are not to come into the buffer from there."""
        if self.behind:
            self._skips.append(seqs)
        else:
            self.cursor = seqs[-1]

    def joined(self, rows: Sequence[Row], since: float) -> None:
        """Note rows at the end of the file that were adopted, or replayed."""
        self.bytes += sum(len(row.body) + ROW_BYTES for row in rows)
        self._wait_behind(len(rows), since)

    def _wait_behind(self, count: int, since: float) -> None:
        if count and not self.behind:
            self.behind_since = since
        elif count:
            self.behind_since = min(self.behind_since, since)
        self.behind += count

    # --- back into the buffer ---

    @property
    def aside(self) -> int:
        """How many events are on disk alone, since the lane has no room for them."""
        return len(self._aside)

    def next_aside(self) -> int | None:
        """Return the row of the one that waits for the longest time."""
        return self._aside[0] if self._aside else None

    def left_aside(self, row: Row | None, bodies: Sequence[bytes] = ()) -> None:
        """Note that this one has room now; ``None``: it could not be read.

        ``bodies`` is what stood in it, if it was damaged, and so removed.
        """
        self._aside.popleft()
        if row is not None:
            self._rows[id(row.body)] = row.seq
            self.aside_bytes -= len(row.body) + ROW_BYTES
        removed = sum(len(body) + ROW_BYTES for body in bodies)
        self.bytes -= removed
        self.aside_bytes -= removed
        if not self._aside:  # what is left of their bytes is of rows that somebody has removed, or shortened
            self.bytes -= self.aside_bytes
            self.aside_bytes = 0

    def unread(self, rows: Iterable[Row]) -> list[Row]:
        """Return those of the rows beyond the cursor that did not come into the buffer before."""
        return [row for row in rows if not any(row.seq in skip for skip in self._skips)]

    def returned(
        self,
        rows: Sequence[Row],
        damaged: Sequence[int] = (),
        bodies: Sequence[bytes] = (),
        over: Container[int] = (),
    ) -> list[Row]:
        """Note what was read beyond the cursor; return the rows that go into the buffer.

        ``damaged`` are rows that were read and removed, since they are no events any more; ``bodies`` is what
        stood in them.
        """
        self.bytes -= sum(len(body) + ROW_BYTES for body in bodies)
        if not rows and not damaged:  # somebody else has removed them
            self.behind = 0
            return []
        self.cursor = max([row.seq for row in rows] + list(damaged))
        rows = self.unread(rows)
        while self._skips and self._skips[0][-1] <= self.cursor:
            self._skips.popleft()
        self.behind = max(0, self.behind - len(rows) - len(damaged))
        for row in rows:
            if id(row.body) in over:
                self._set_aside(row.seq, row.body, self.behind_since)
        rows = [row for row in rows if id(row.body) not in over]
        self._rows.update({id(row.body): row.seq for row in rows})
        return rows

    def note_next(self, since: float) -> None:
        """Note that the events on disk alone are, from now on, of that time or later."""
        self.behind_since = since

    def note_next_aside(self, since: float) -> None:
        """Note that the next one aside is of that time or later."""
        self.aside_since = since

    # --- out ---

    def settled(self, outcome: Settled) -> None:
        """Note that events have their outcome: their rows are to be removed, or to become dead letters."""
        seqs = list(map(self._rows.pop, map(id, outcome.events), repeat(None)))
        on_disk = list(compress(outcome.events, seqs))
        self.bytes -= sum(map(len, on_disk)) + ROW_BYTES * len(on_disk)
        if isinstance(outcome, (Delivered, Relayed)):
            self._gone += filter(None, seqs)
        if isinstance(outcome, Delivered):  # whoever drains the relay counts the others
            self._delivered.events.extend(on_disk)
            if len(on_disk) < len(seqs):
                self._rowless.events.extend(
                    event for event, seq in zip(outcome.events, seqs, strict=True) if not seq
                )
        elif not isinstance(outcome, Relayed):
            self._dying += zip(seqs, outcome.events, repeat(outcome))

    @property
    def leaving(self) -> int:
        """How many events are settled, and still on disk or not counted there."""
        return len(self._gone) + len(self._dying) + len(self._rowless)

    @property
    def dying(self) -> int:
        """How many events are to become dead letters."""
        return len(self._dying)

    @property
    def delivered(self) -> int:
        """How many events are delivered and still on disk."""
        return len(self._gone)

    def take_leaving(self) -> Leaving:
        """Return the settled events; the caller removes them from disk, or calls ``put_back``."""
        leaving = Leaving(self._gone, self._delivered, self._rowless, self._dying)
        self._gone, self._dying, self._delivered, self._rowless = [], [], Uncounted(), Uncounted()
        return leaving

    def take_delivered(self) -> Leaving:
        """Return, likewise, the delivered ones alone."""
        leaving = Leaving(self._gone, self._delivered, self._rowless)
        self._gone, self._delivered, self._rowless = [], Uncounted(), Uncounted()
        return leaving

    def put_back(self, leaving: Leaving) -> None:
        """Take back settled events that could not be removed from disk."""
        self._gone[:0] = leaving.gone
        self._dying[:0] = leaving.dying
        self._delivered.put_back(leaving.delivered)
        self._rowless.put_back(leaving.rowless)

    @property
    def uncounted(self) -> int:
        """How many delivered events are in memory alone since they are not counted."""
        return len(self._delivered) + len(self._rowless)

    def condense(self, left_on: str, *, kept_ids: bool) -> None:
        """Count those now: the disk fails, and they would fill memory."""
        self._delivered.condense(left_on, kept_ids=kept_ids)
        self._rowless.condense(left_on, kept_ids=kept_ids)

    def kept(self, left: Sequence[Batch]) -> list[Batch]:
        """Keep on disk what is there of batches that the buffer gives up; return the rest of them."""
        lost = []
        for batch in left:
            events = [event for event in batch.events if self._rows.pop(id(event), None) is None]
            self._wait_behind(len(batch) - len(events), batch.since)
            if events:
                lost.append(attrs.evolve(batch, events=events))
        return lost

    def replaced(self, *, is_removed: bool = False) -> Shelf:
        """Return a shelf for another file, since this one is left: what was to be buried is buried there.

        What was delivered and is on disk here is counted by whoever adopts this file, unless it is removed.
        """
        if is_removed:
            self._rowless.put_back(self._delivered)
        return Shelf(((None, event, outcome) for _, event, outcome in self._dying), self._rowless)
