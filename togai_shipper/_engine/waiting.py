"""Batches that wait: in a line, or each for its time; how many and how old they are is known without a look.

``stats()`` asks for that under the lock that ``track()`` needs, and a hundred thousand may wait.

Used only while holding the shipper's lock. A signal handler may ask how old the oldest is in the middle of
any line below: asking changes nothing.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Iterator
from heapq import heappop, heappush
from itertools import count

from .batching import Batch


class Ages:
    """Since when some batches wait; many of them since the same time, which is known to 0.1 s."""

    def __init__(self) -> None:
        self._counts: dict[float, int] = {}  # by since; 0: none of that time waits any more
        self._times: list[float] = []  # a heap of those

    def add(self, batch: Batch) -> None:
        """Note that one more waits."""
        is_new = batch.since not in self._counts
        self._counts[batch.since] = self._counts.get(batch.since, 0) + 1
        if is_new:
            heappush(self._times, batch.since)

    def remove(self, batch: Batch) -> None:
        """Note that one of them waits no longer."""
        # Not by [] alone: a signal handler may close the shipper in the middle of add(), and move batches.
        self._counts[batch.since] = self._counts.get(batch.since, 1) - 1
        while self._times and not self._counts.get(self._times[0]):
            self._counts.pop(heappop(self._times), None)

    def oldest(self) -> float | None:
        """Monotonic seconds since when the oldest of them waits."""
        return self._times[0] if self._times else None


class Waiting(deque[Batch]):
    """Batches in the order in which they go."""

    def __init__(self) -> None:
        super().__init__()
        self.ages = Ages()

    def append(self, batch: Batch) -> None:
        """Let it go last."""
        self.ages.add(batch)
        super().append(batch)

    def appendleft(self, batch: Batch) -> None:
        """Let it go first."""
        self.ages.add(batch)
        super().appendleft(batch)

    def popleft(self) -> Batch:
        """Return the first one, which waits no longer."""
        batch = super().popleft()
        self.ages.remove(batch)
        return batch

    def pop(self) -> Batch:  # type: ignore[override]  # deque's takes no index either
        """Return the last one, which waits no longer."""
        batch = super().pop()
        self.ages.remove(batch)
        return batch

    def extend(self, batches: Iterable[Batch]) -> None:
        """Let these go last."""
        for batch in batches:
            self.append(batch)

    def remove(self, batch: Batch) -> None:
        """Note that this one waits no longer."""
        super().remove(batch)
        self.ages.remove(batch)

    def clear(self) -> None:
        """Let none wait any longer."""
        super().clear()
        self.ages = Ages()


class Aside:
    """Batches that are not tried before their time."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Batch]] = []  # by that time, and then as they came
        self._number = count()
        self._explained: dict[Batch, None] = {}
        self.ages = Ages()

    def __len__(self) -> int:
        return len(self._heap)

    def __iter__(self) -> Iterator[Batch]:
        return (batch for _, _, batch in self._heap)

    def add(self, batch: Batch) -> None:
        """Let it wait until its ``not_before``."""
        self.ages.add(batch)
        heappush(self._heap, (batch.not_before, next(self._number), batch))
        if batch.why_aside:
            self._explained[batch] = None

    def pop(self, now: float = math.inf) -> Batch | None:
        """Return the one whose time comes first, if it has come ``now``; it waits no longer."""
        if not self._heap or self._heap[0][0] > now:
            return None
        batch = heappop(self._heap)[2]
        self.ages.remove(batch)
        self._explained.pop(batch, None)
        return batch

    @property
    def next_at(self) -> float | None:
        """Monotonic seconds at which the time of the first one comes."""
        return self._heap[0][0] if self._heap else None

    @property
    def explained(self) -> tuple[int, str]:
        """How many are here for a reason that is to be told, and that of the first of them."""
        first = next(iter(self._explained), None)
        return len(self._explained), "" if first is None else first.why_aside

    def clear(self) -> None:
        """Let none wait any longer."""
        self._heap.clear()
        self._explained.clear()
        self.ages = Ages()
