"""What goes out together. Pure: no thread, no clock, no I/O.

``Batch`` is a group of encoded events that share their history; ``due`` says whether to send now, ``cut`` how
many go in, ``recut`` what goes next of those that were tried, ``halves`` and ``singles`` how one is divided,
``sift`` which of its events go with others of their cause.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Sequence
from itertools import accumulate, islice

import attrs

from togai_shipper._event import Trait

ALIKE = 3600.0  # seconds: events of one batch differ in age by at most this, and grow too old together
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
        server_errors: how often somebody seemed to choke on it: 500s, pages, and whatever else, where others
            get through.
        tried_at: how many requests had been accepted when it was last tried (-1: it never was).
        yields: tried often without a word on it: others go in between, since it may be the cause itself.
        not_before: monotonic seconds before which it is not tried (0: at once).
        why_aside: why it is set aside, if it is.
        divided: a part of a batch that was refused. It is never joined with its neighbours again, for one of
            its events may be the cause.
        fills: bytes that it was cut for, where one event more would not have fitted (0: it was not full).
        split: names the batch, refused as too large, of which this is a half (0: none).
        refusals: how often the line was parked on this one event, with acceptances between.
        refused_at: how many requests had been accepted when that last happened.
        places: the position of each event, where they do not follow one another.
        cause: what its events have in common, where they wait in the lane for that (``None``: they do not).

    """

    events: Sequence[bytes]
    position: int
    since: float
    single: bool = False
    probe: bool = False
    attempts: int = 0
    maybe_read: bool = False
    server_errors: int = 0
    tried_at: int = -1
    yields: bool = False
    not_before: float = 0.0
    why_aside: str = ""
    divided: bool = False
    fills: int = 0
    split: int = 0
    refusals: int = 0
    refused_at: int = -1
    places: Sequence[int] = ()
    cause: Trait | None = None

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

    @property
    def positions(self) -> Sequence[int]:
        """The position of each event."""
        return self.places or range(self.position, self.position + len(self.events))

    def before(self, target: int) -> int:
        """How many of the events have a position before ``target``."""
        if self.places:
            return bisect_left(self.places, target)
        return min(max(0, target - self.position), len(self.events))

    def part(self, start: int, stop: int) -> Batch:
        """Return the events from ``start`` to ``stop``, with their history."""
        positions = self.positions
        return attrs.evolve(
            self,
            events=self.events[start:stop],
            position=positions[start],
            places=self.places[start:stop],
        )

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


def recut(line: Iterable[Batch], max_events: int, max_bytes: int) -> tuple[int, Batch, Batch | None]:
    """Cut the next batch from those that were tried before: a part of the first one, or several in one.

    Return how many of ``line`` go into it, the batch itself, and what is left of the last of those.
    """
    waiting = iter(line)
    used, whole = 1, next(waiting)
    for batch in waiting:
        if len(whole) >= max_events or whole.size >= max_bytes or not _may_join(whole, batch):
            break
        used, whole = used + 1, _joined(whole, batch)
    count = cut(map(len, whole.events), max_events, max_bytes)
    if count == len(whole):
        return used, attrs.evolve(whole, fills=0), None
    whole = attrs.evolve(whole, fills=0, split=0)
    head = attrs.evolve(whole.part(0, count), fills=max_bytes if count < max_events else 0)
    return used, head, whole.part(count, len(whole))


def _may_join(first: Batch, second: Batch) -> bool:
    return (
        not (first.divided or second.divided or first.places or second.places)
        and first.maybe_read == second.maybe_read
        and first.position + len(first) == second.position
        and abs(first.since - second.since) <= ALIKE
    )


def _joined(first: Batch, second: Batch) -> Batch:
    """Both in one, with the more careful history."""
    return attrs.evolve(
        first,
        events=[*first.events, *second.events],
        since=min(first.since, second.since),
        attempts=max(first.attempts, second.attempts),
        server_errors=max(first.server_errors, second.server_errors),
    )


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
        attrs.evolve(part, server_errors=0, divided=True, fills=0, split=split)
        for part in (batch.part(0, middle), batch.part(middle, len(batch)))
    ]


def singles(batch: Batch, events: Sequence[bytes] | None = None) -> list[Batch]:
    """Each event by itself, for ``/ingest``; only ``events``, if given: the first ones of the batch."""
    return [
        attrs.evolve(
            batch,
            events=(event,),
            position=position,
            places=(),
            single=True,
            probe=False,
            server_errors=0,
            divided=True,
            fills=0,
            split=0,
        )
        for position, event in zip(batch.positions, batch.events if events is None else events)  # noqa: B905  events may be fewer
    ]


def sift(batch: Batch, cause_of: Callable[[bytes], Trait | None]) -> tuple[Batch | None, list[Batch]]:
    """Divide a batch: what has no cause (``None``: nothing), and the events of each cause."""
    causes = list(map(cause_of, batch.events))
    if not any(causes):
        return batch, []
    parts: dict[Trait | None, list[tuple[int, bytes]]] = {}
    for cause, position, event in zip(causes, batch.positions, batch.events, strict=True):
        parts.setdefault(cause, []).append((position, event))
    sifted = [
        attrs.evolve(
            batch,
            events=[event for _, event in part],
            position=part[0][0],
            places=[position for position, _ in part],
            fills=0,
            split=0,
            cause=cause,
        )
        for cause, part in parts.items()
    ]
    others = [part for part in sifted if part.cause is not None]
    return next((part for part in sifted if part.cause is None), None), others


def may_go_together(first: Batch, second: Batch) -> bool:
    """Whether both may be put into one, though other events came between them: their histories are alike."""
    return (
        first.positions[-1] < second.position
        and abs(first.since - second.since) <= ALIKE
        and _history(first) == _history(second)
    )


def together(first: Batch, second: Batch) -> Batch:
    """Both in one, though other events came between them."""
    return attrs.evolve(_joined(first, second), places=[*first.positions, *second.positions])


def _history(batch: Batch) -> tuple[object, ...]:
    """What must be alike in batches that are put together."""
    return (
        batch.cause,
        batch.single,
        batch.maybe_read,
        batch.server_errors,
        batch.yields,
        batch.refusals,
        batch.why_aside,
    )
