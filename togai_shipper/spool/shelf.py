"""Which events are on disk: the row of each, how many are there alone, and which rows are to be removed.

It counts and names, and does no I/O; it is used only under the shipper's lock. An event stays on disk until
it is settled, that is, has its outcome; until then it is in the buffer as well, or waits on disk alone.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from itertools import compress, repeat
from typing import TypeAlias

import attrs

from togai_shipper._engine.batching import Batch
from togai_shipper._outcome import Delivered, Dropped, Rejected, Relayed, Settled

from .rows import ROW_BYTES, Row

#: An event that was not delivered: its row, if it has one, what it is, and what became of it.
Dying: TypeAlias = tuple[int | None, bytes, Rejected | Dropped]


@attrs.frozen
class Leaving:
    """Settled events that are still on disk.

    Attributes:
        gone: the rows of delivered ones, to be removed.
        dying: the others, which are to become dead letters.

    """

    gone: Sequence[int] = ()
    dying: Sequence[Dying] = ()


class Shelf:
    """Knows the rows of one file."""

    def __init__(self, dying: Iterable[Dying] = ()) -> None:
        self._rows: dict[int, int] = {}  # id() of an event in the buffer -> its seq
        self.behind = 0  # events on disk alone
        self.behind_since = 0.0  # about when the oldest of them was accepted
        self.cursor = 0  # up to this seq every event came into the buffer
        self._skips: deque[range] = deque()  # of seq beyond the cursor: those came into the buffer, too
        self.bytes = 0
        self._gone: list[int] = []
        self._dying = list(dying)

    def __len__(self) -> int:
        return len(self._rows) + self.behind

    def __contains__(self, event: bytes) -> bool:
        return id(event) in self._rows

    # --- in ---

    def written(self, events: Sequence[bytes], first: int, room: int, since: float) -> list[bytes]:
        """Note new events on disk, the first as row ``first``; return those that go into the buffer now."""
        into = list(events[: 0 if self.behind else room])
        self._rows.update(zip(map(id, into), range(first, first + len(into)), strict=True))
        self.bytes += sum(map(len, events)) + ROW_BYTES * len(events)
        if into:
            self.cursor = first + len(into) - 1
        self._wait_behind(len(events) - len(into), since)
        return into

    def saved(self, events: Sequence[bytes], first: int, there: Iterable[bytes]) -> None:
        """Note that events of the buffer are on disk now; those it holds no longer are to be removed."""
        still = set(map(id, there))
        for seq, event in enumerate(events, first):
            if id(event) in still:
                self._rows[id(event)] = seq
                self.bytes += len(event) + ROW_BYTES
            else:
                self._gone.append(seq)
        seqs = range(first, first + len(events))
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

    def returned(
        self, rows: Sequence[Row], damaged: Sequence[int] = (), bodies: Sequence[bytes] = ()
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
        rows = [row for row in rows if not any(row.seq in skip for skip in self._skips)]
        while self._skips and self._skips[0][-1] <= self.cursor:
            self._skips.popleft()
        self._rows.update({id(row.body): row.seq for row in rows})
        self.behind = max(0, self.behind - len(rows) - len(damaged))
        return rows

    def note_next(self, since: float) -> None:
        """Note that the events on disk alone are, from now on, of that time or later."""
        self.behind_since = since

    # --- out ---

    def settled(self, outcome: Settled) -> None:
        """Note that events have their outcome: their rows are to be removed, or to become dead letters."""
        seqs = list(map(self._rows.pop, map(id, outcome.events), repeat(None)))
        on_disk = list(compress(outcome.events, seqs))
        self.bytes -= sum(map(len, on_disk)) + ROW_BYTES * len(on_disk)
        if isinstance(outcome, (Delivered, Relayed)):
            self._gone += filter(None, seqs)
        else:
            self._dying += zip(seqs, outcome.events, repeat(outcome))

    @property
    def leaving(self) -> int:
        """How many events are settled and still on disk."""
        return len(self._gone) + len(self._dying)

    @property
    def delivered(self) -> int:
        """How many events are delivered and still on disk."""
        return len(self._gone)

    def take_leaving(self) -> Leaving:
        """Return the settled events; the caller removes them from disk, or calls ``put_back``."""
        leaving = Leaving(self._gone, self._dying)
        self._gone, self._dying = [], []
        return leaving

    def put_back(self, leaving: Leaving) -> None:
        """Take back settled events that could not be removed from disk."""
        self._gone[:0] = leaving.gone
        self._dying[:0] = leaving.dying

    def kept(self, left: Sequence[Batch]) -> list[Batch]:
        """Keep on disk what is there of batches that the buffer gives up; return the rest of them."""
        lost = []
        for batch in left:
            events = [event for event in batch.events if self._rows.pop(id(event), None) is None]
            self._wait_behind(len(batch) - len(events), batch.since)
            if events:
                lost.append(attrs.evolve(batch, events=events))
        return lost

    def replaced(self) -> Shelf:
        """Return a shelf for another file, since this one is left: what was to be buried is buried there."""
        return Shelf((None, event, outcome) for _, event, outcome in self._dying)
