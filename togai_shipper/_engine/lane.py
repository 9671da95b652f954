"""Where events wait whose cause is known: everything like them was rejected lately.

They have a share of the requests. While the cause is known, single events are tried, the oldest and the
latest in turn: one that is accepted ends it. Then, and only then, they go by whole batches again, here still:
if the cause was right for some of them, they stop nobody else.

Used only while holding the shipper's lock.
"""

from __future__ import annotations

from collections.abc import Iterator

import attrs

from togai_shipper._config import Config
from togai_shipper._event import Trait

from .batching import ENVELOPE, Batch, may_go_together, recut, singles, together
from .causes import Causes
from .lane_part import LANE_PART
from .waiting import Waiting

SHARE = 4  # the lane has one of so many requests
PACE = 0.02  # seconds between its requests where there is no rate limit


class Lane:
    """The events of each known cause, and of each that was known when they came."""

    def __init__(self, config: Config, causes: Causes) -> None:
        self._causes = causes
        self._batch_size = config.batch_size
        self._most = max(1, config.max_queue_size // LANE_PART)
        self._most_bytes = config.max_queue_bytes // LANE_PART
        self._pace = SHARE / config.rate_limit if config.rate_limit else PACE
        self._queues: dict[Trait, Waiting] = {}  # the one whose turn it is first
        self._tries_latest = False
        self._next_at = 0.0
        self.count = 0  # events
        self.size = 0  # their bytes

    def __bool__(self) -> bool:
        return bool(self._queues)

    def __iter__(self) -> Iterator[Batch]:
        for queue in self._queues.values():
            yield from queue

    def oldest_since(self) -> float | None:
        """Monotonic seconds since when the oldest of them waits."""
        oldest = [queue.ages.oldest() for queue in self._queues.values()]
        return min((since for since in oldest if since is not None), default=None)

    def waits_for(self, cause: Trait) -> bool:
        """Whether events of this cause are here."""
        return cause in self._queues

    @property
    def room(self) -> int:
        """How many events more may wait, if they are not long."""
        return self._most - self.count if self.size < self._most_bytes else 0

    @property
    def beyond(self) -> tuple[int, int]:
        """How many events, and bytes, are here beyond what may come in: they were here as it was learnt."""
        return max(0, self.count - self._most), max(0, self.size - self._most_bytes)

    def has_room(self, count: int, size: int) -> bool:
        """Whether there is room for one event more, beside ``count`` others; ``size``: bytes of them all."""
        return self.count + count < self._most and self.size + size <= self._most_bytes

    # --- in ---

    def add(self, part: Batch, limit: int) -> None:
        """Let events of one cause wait, in batches of at most ``limit`` bytes."""
        assert part.cause is not None  # noqa: S101  sift() has said it
        queue = self._queues.setdefault(part.cause, Waiting())
        part = attrs.evolve(part, single=False, divided=False, split=0, fills=0)
        self._count(part, 1)
        if queue and self._may_join(queue[-1], part, limit):
            queue.append(together(queue.pop(), part))
        else:
            queue.append(part)

    def _may_join(self, last: Batch, part: Batch, limit: int) -> bool:
        is_short = last.size + part.size - ENVELOPE + 1 <= limit
        return len(last) + len(part) <= self._batch_size and is_short and may_go_together(last, part)

    def put_back(self, batch: Batch, *, first: bool) -> None:
        """Take back what is left of a batch that was tried."""
        assert batch.cause is not None  # noqa: S101  it is one of ours
        queue = self._queues.setdefault(batch.cause, Waiting())
        self._count(batch, 1)
        if first:
            queue.appendleft(batch)
        else:
            queue.append(batch)

    # --- out ---

    def wait(self, now: float) -> float | None:
        """Seconds until the next request may go; ``None`` where nothing waits."""
        return max(0.0, self._next_at - now) if self._queues else None

    def take(self, now: float, limit: int | None = None) -> Batch:
        """Hand out what is tried next, of each cause in turn; without a ``limit``, one event by itself.

        ``limit``: bytes of a batch.
        """
        self._next_at = now + self._pace
        cause = next(iter(self._queues))
        queue = self._queues.pop(cause)
        if limit is None or cause in self._causes.known:
            batch = self._single_of(queue)
        else:
            batch = self._batch_of(queue, limit)
        if queue:
            self._queues[cause] = queue  # behind the others
        self._count(batch, -1)
        return batch

    def _single_of(self, queue: Waiting) -> Batch:
        self._tries_latest = not self._tries_latest
        if self._tries_latest:
            whole = queue.pop()
            if len(whole) > 1:
                queue.append(whole.part(0, len(whole) - 1))
            latest = whole.part(len(whole) - 1, len(whole))
            return latest if latest.single else singles(latest)[0]
        whole = queue.popleft()
        if len(whole) > 1:
            queue.appendleft(whole.part(1, len(whole)))
        return whole if whole.single else singles(whole, whole.events[:1])[0]

    def _batch_of(self, queue: Waiting, limit: int) -> Batch:
        used, batch, rest = recut(queue, self._batch_size, limit)
        for _ in range(used):
            queue.popleft()
        if rest is not None:
            queue.appendleft(rest)
        return batch

    def give_up(self) -> list[Batch]:
        """Return all that is here, and forget it."""
        left = list(self)
        self._queues.clear()
        self.count = self.size = 0
        return left

    def _count(self, batch: Batch, sign: int) -> None:
        self.count += sign * len(batch)
        self.size += sign * sum(map(len, batch.events))
