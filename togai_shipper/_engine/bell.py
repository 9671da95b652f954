"""Waking threads that wait, from anywhere.

``threading.Event`` and ``Condition`` deadlock when the thread that sets one is interrupted by a signal
handler, or by ``__del__`` during garbage collection, that sets it again; ``deque`` and ``SimpleQueue`` do
not. A bell is made of those alone, so ``track()`` may ring it.
"""

from __future__ import annotations

import queue
from collections import deque
from contextlib import suppress

LONGEST = 1_000_000.0  # seconds of one wait; much longer ones overflow. Who has waited looks again anyway


class Bell:
    """Threads wait for it to ring; whoever rings it wakes all of them.

    ``rings`` is read first, then the state that decides whether to wait, then ``wait(rings)``: what rings in
    between is not lost, since ``rings`` is no longer the same. One may wake for nothing: wait in a loop.
    """

    def __init__(self) -> None:
        # A new object for each ring. A count could be set back by a thread interrupted within "+= 1", and
        # then agree with what somebody read before others rang.
        self.rings = object()
        self.waiting: deque[queue.SimpleQueue[None]] = deque()

    def ring(self) -> None:
        """Wake everyone who waits now."""
        self.rings = object()
        with suppress(IndexError):  # another thread rang for the last of them
            for _ in range(len(self.waiting)):
                self.waiting.popleft().put(None)

    def wait(self, rings: object, timeout: float | None) -> None:
        """Return when it has rung since ``rings`` was read, or after ``timeout`` seconds, if given."""
        # Looked up here, not at import: gevent may have put its own in place since.
        token: queue.SimpleQueue[None] = queue.SimpleQueue()
        self.waiting.append(token)
        try:
            if self.rings is rings:
                with suppress(queue.Empty):
                    token.get(timeout=None if timeout is None else min(max(timeout, 0.0), LONGEST))
        finally:
            with suppress(ValueError):  # rung: whoever rang took it out
                self.waiting.remove(token)
