"""Events that were tracked and are not on disk yet: they gather for a moment, and go there in one commit.

All of it is touched only while holding the shipper's lock.
"""

from __future__ import annotations

import sys
from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Iterable
from itertools import accumulate, islice

from togai_shipper._engine.batching import Batch

LINGER = 0.01  # seconds for which events gather before they are written
OVERDUE = 0.1  # seconds after which a writer that was woken should have come
ENOUGH = 5000  # events that are written at once, before they have gathered for that long
COMMIT_MOST = 50_000  # events in one commit: all that gathers while a slow disk is at the one before
COMMIT_BYTES, COMMIT_PART = 4 * 1024**2, 8  # bytes of them; or that part of max_spool_bytes, if it is more


def a_commits_worth(events: Iterable[bytes], max_bytes: int) -> list[bytes]:
    """Return the first of these events, as many as go into one commit, which makes the ``-wal`` longer."""
    first = list(islice(events, COMMIT_MOST))
    sizes = list(accumulate(map(len, first)))
    fitting = bisect_right(sizes, max_bytes)
    return first if fitting == len(first) else first[: max(1, fitting)]


class Gathering:
    """Those of one shipper, in the order in which they were tracked."""

    def __init__(self, clock: Callable[[], float], max_spool_bytes: int) -> None:
        self._clock = clock
        self.commit_bytes = max(COMMIT_BYTES, max_spool_bytes // COMMIT_PART)
        self.events: deque[bytes] = deque()  # changed here alone
        self.size = 0  # their bytes
        self.since = 0.0  # monotonic seconds at which the oldest was tracked
        self._overdue_at = 0.0  # monotonic seconds at which the writer is woken again
        self._writing = 0  # of them, those in the commit under way
        self.written = 0  # events that ever left
        self._is_hurried = False  # somebody waits for the commit

    def __len__(self) -> int:
        return len(self.events)

    def add(self, event: bytes) -> bool:
        """Take one event; return whether the writer is to be woken for it.

        That is for the first, and where it should have come long ago: an exception of a signal handler, such
        as Ctrl-C, may have kept a caller before us from waking it.
        """
        now = self._clock()
        is_first = not self.events  # looked at before: a signal handler may add one, too, right after us
        self.events.append(event)
        self.size += len(event)
        if is_first:
            self.since = now
        elif now < self._overdue_at:
            return False
        self._overdue_at = now + OVERDUE
        return True

    def take_back(self, event: bytes) -> bool:
        """Undo ``add``, if the event is the latest still; return whether it was."""
        if not self.events or self.events[-1] is not event:
            return False
        self.size -= len(self.events.pop())
        return True

    def hurry(self) -> int:
        """Write at once what is there; return what ``written`` is to be then."""
        self._is_hurried = True
        return self.written + len(self.events)

    def due_at(self, now: float, *, is_closing: bool) -> float:
        """Monotonic seconds at which the next commit is due, with an event there."""
        is_now = self._is_hurried or is_closing or self.is_a_commits_worth
        return now if is_now else self.since + LINGER

    @property
    def is_a_commits_worth(self) -> bool:
        """Whether there are enough for a commit of their own."""
        return len(self.events) >= ENOUGH or self.size >= self.commit_bytes

    def begin_commit(self) -> list[bytes]:
        """Return the events of the next commit; they stay until ``end_commit``."""
        events = a_commits_worth(self.events, self.commit_bytes)
        self._writing = len(events)
        self._is_hurried = False
        return events

    def end_commit(self, count: int) -> float | None:
        """Let those events go, and return since when they were there.

        ``None``: close() has given them up, since the disk hung; who adopts the file sends them.
        """
        if not self.events:
            return None
        for _ in range(count):
            self.events.popleft()
        since, self.since = self.since, self._clock()
        self.size = sum(map(len, self.events)) if self.events else 0
        self.written += count
        self._writing = 0
        return since

    def give_up(self) -> list[Batch]:
        """Return all that is there, at the end; what a disk that hangs is writing may get there, or not."""
        events = list(self.events)
        self.events.clear()
        self.size = 0
        parts = ((events[: self._writing], True), (events[self._writing :], False))
        return [Batch(part, sys.maxsize, self.since, maybe_read=known) for part, known in parts if part]
