"""What goes out together. Pure: no thread, no clock, no I/O.

``Batch`` is a group of encoded events that share their history; ``due`` says whether to send now, ``cut`` how
many go in, ``halves`` and ``singles`` how a batch is divided.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from itertools import accumulate, islice

import attrs

MIN_LEARNT_BYTES = 64 * 1024  # the cap learnt from refusals never falls below: larger than any legal event
MAX_DIVISIONS = 100  # divided batches of which one half is remembered; arbitrary, few are under way at once
_BATCH_HEAD, _BATCH_TAIL = b'{"events":[', b"]}"
_SINGLE_HEAD, _SINGLE_TAIL = b'{"event":', b"}"
ENVELOPE = len(_BATCH_HEAD) + len(_BATCH_TAIL)  # bytes of a body beside its events and their commas


@attrs.frozen(eq=False)
class Batch:
    """Encoded events that go out together.

    Attributes:
        events: the events, oldest first.
        position: how many events were accepted before the oldest of them.
        since: monotonic seconds at which the oldest was accepted, to 0.1 s.
        single: it holds one event and goes by ``/ingest``.
        probe: sent to learn whether a parked line is open again.
        attempts: requests made with these events so far.
        maybe_read: an earlier one of those may have been read by Togai.
        server_errors: replies of 500 in a row.
        not_before: monotonic seconds before which it is not tried (0: at once).
        split: names the batch, refused as too large, of which this is a half (0: none).
        refusals: how often the line was parked on this one event, with acceptances between.
        refused_at: how many requests had been accepted when that last happened.

    """

    events: Sequence[bytes]
    position: int
    since: float
    single: bool = False
    probe: bool = False
    attempts: int = 0
    maybe_read: bool = False
    server_errors: int = 0
    not_before: float = 0.0
    split: int = 0
    refusals: int = 0
    refused_at: int = -1

    def __len__(self) -> int:
        return len(self.events)

    @property
    def path(self) -> str:
        """The endpoint it goes to."""
        return "/ingest" if self.single else "/ingestBatch"

    @property
    def size(self) -> int:
        """Bytes of its body."""
        head_and_tail = len(_SINGLE_HEAD) + len(_SINGLE_TAIL) if self.single else ENVELOPE
        return sum(map(len, self.events)) + len(self.events) - 1 + head_and_tail

    def body(self) -> bytes:
        """The request's body."""
        if self.single:
            return _SINGLE_HEAD + self.events[0] + _SINGLE_TAIL
        return _BATCH_HEAD + b",".join(self.events) + _BATCH_TAIL


def cut(sizes: Iterable[int], max_events: int, max_bytes: int) -> int:
    """How many events, of these sizes in order, go into one batch: at least one, if there is one."""
    sums = list(accumulate(islice(sizes, max(1, max_events))))
    # The body of n events is their bytes, n - 1 commas and the envelope: it grows with n, so it is looked up.
    fitting = bisect_right(range(len(sums)), max_bytes - ENVELOPE, key=lambda n: sums[n] + n)
    return max(fitting, min(1, len(sums)))


def due(age: float, flush_interval: float, *, full: bool, flushed: bool) -> float:
    """Seconds until the oldest event's batch is to go: 0 for now."""
    return 0.0 if full or flushed else max(0.0, flush_interval - age)


def fits(count: int, wait: float, answer: float, left: float) -> bool:
    """Whether ``count`` requests, one after the other, are over in half of the ``left`` seconds.

    The other half is for what goes wrong. ``wait``: seconds until the last of them may go; ``answer``: until
    one has its reply.
    """
    return (wait + count * answer) * 2 <= left


def halves(batch: Batch, split: int = 0) -> list[Batch]:
    """The two halves of a batch of more than one."""
    middle = len(batch) // 2
    return [
        attrs.evolve(
            batch,
            events=part,
            position=batch.position + offset,
            server_errors=0,
            split=split,
        )
        for offset, part in ((0, batch.events[:middle]), (middle, batch.events[middle:]))
    ]


def singles(batch: Batch, events: Sequence[bytes] | None = None) -> list[Batch]:
    """Each event by itself, for ``/ingest``; only ``events``, if given: the first ones of the batch."""
    return [
        attrs.evolve(
            batch,
            events=(event,),
            position=batch.position + offset,
            single=True,
            probe=False,
            server_errors=0,
            split=0,
        )
        for offset, event in enumerate(batch.events if events is None else events)
    ]


class ByteCap:
    """Bytes that one body may have, as learnt from what the server found too large."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._least = min(MIN_LEARNT_BYTES, most)
        self._first_halves: dict[int, int] = {}  # split -> bytes of the half that was taken first
        self.bytes = most

    def taken(self, batch: Batch, batch_size: int) -> None:
        """The server took ``batch``: two halves tell what fits; a full one, that more may."""
        if not batch.split:
            # Full: by count, or by bytes (then it fills more than half, unless its events are huge).
            if len(batch) >= batch_size or batch.size * 2 > self.bytes:
                self.bytes = min(self._most, self.bytes + self.bytes // 10)
        elif batch.split in self._first_halves:
            larger = max(self._first_halves.pop(batch.split), batch.size)
            self.bytes = max(self._least, min(self.bytes, larger))
        else:
            self._first_halves[batch.split] = batch.size
            if len(self._first_halves) > MAX_DIVISIONS:  # the other half of the oldest was never accepted
                del self._first_halves[next(iter(self._first_halves))]

    def not_taken(self, batch: Batch) -> None:
        """Forget this division: one of its halves was not accepted."""
        self._first_halves.pop(batch.split, None)
