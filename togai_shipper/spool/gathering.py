"""Events that were tracked and are not on disk yet: they gather for a moment, and go there in one commit.

All of it is touched only while holding the shipper's lock.
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable
from itertools import islice

from togai_shipper._engine.batching import Batch

LINGER = 0.01  # seconds for which events gather before they are written
COMMIT_MOST = 5000  # events in one commit


class Gathering:
    """Those of one shipper, in the order in which they were tracked."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._events: deque[bytes] = deque()
        self.size = 0  # their bytes
        self.since = 0.0  # monotonic seconds at which the oldest was tracked
        self._writing = 0  # of them, those in the commit under way
        self.written = 0  # events that ever left
        self._is_hurried = False  # somebody waits for the commit

    def __len__(self) -> int:
        return len(self._events)

    def add(self, event: bytes, has_closed: Callable[[], bool]) -> bool | None:
        """Take one event; return whether it is the first, or ``None`` where a signal handler has closed.

        ``has_closed`` is asked once the event is there: the handler may have interrupted us in between.
        """
        events = self._events
        is_first = not events
        events.append(event)
        if has_closed() and events and events[-1] is event:
            events.pop()
            return None
        self.size += len(event)
        if is_first:
            self.since = self._clock()
        return is_first

    def hurry(self) -> int:
        """Write at once what is there; return what ``written`` is to be then."""
        self._is_hurried = True
        return self.written + len(self._events)

    def due_at(self, now: float, *, is_closing: bool) -> float:
        """Monotonic seconds at which the next commit is due, with an event there."""
        is_now = self._is_hurried or is_closing or len(self._events) >= COMMIT_MOST
        return now if is_now else self.since + LINGER

    def begin_commit(self) -> list[bytes]:
        """Return the events of the next commit; they stay until ``end_commit``."""
        events = list(islice(self._events, COMMIT_MOST))
        self._writing = len(events)
        self._is_hurried = False
        return events

    def end_commit(self, count: int) -> float | None:
        """Let those events go, and return since when they were there.

        ``None``: close() has given them up, since the disk hung; who adopts the file sends them.
        """
        if not self._events:
            return None
        for _ in range(count):
            self._events.popleft()
        since, self.since = self.since, self._clock()
        self.size = sum(map(len, self._events)) if self._events else 0
        self.written += count
        self._writing = 0
        return since

    def give_up(self) -> list[Batch]:
        """Return all that is there, at the end; what a disk that hangs is writing may get there, or not."""
        events = list(self._events)
        self._events.clear()
        self.size = 0
        parts = ((events[: self._writing], True), (events[self._writing :], False))
        return [Batch(part, sys.maxsize, self.since, maybe_read=known) for part, known in parts if part]
