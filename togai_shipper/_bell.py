"""Waking threads that wait, from anywhere.

``threading.Event`` and ``Condition`` deadlock when the thread that sets one is interrupted by a signal handler, or
by ``__del__`` during garbage collection, that sets it again; ``deque`` and ``SimpleQueue`` do not. A bell is made of
those alone, so ``track()`` may ring it.
"""

from __future__ import annotations

import queue
from collections import deque


class Bell:
    """Threads wait for it to ring; whoever rings it wakes all of them.

    ``rings`` is read first, then the state that decides whether to wait, then ``wait(rings)``: what rings in between
    is not lost, since the count no longer agrees.
    """

    def __init__(self) -> None:
        self.rings = 0
        self.waiting: deque[queue.SimpleQueue[None]] = deque()

    def ring(self) -> None:
        """Wake everyone who waits now."""
        self.rings += 1
        while self.waiting:
            try:
                self.waiting.popleft().put(None)
            except IndexError:  # another thread rang for the last one
                return

    def wait(self, rings: int, timeout: float | None) -> None:
        """Return when the bell has rung since ``rings`` was read, or after ``timeout`` seconds (``None``: never)."""
        # Looked up here, not at import: gevent may have put its own in place since.
        token: queue.SimpleQueue[None] = queue.SimpleQueue()
        self.waiting.append(token)
        try:
            if self.rings == rings:
                token.get(timeout=timeout)
        except queue.Empty:
            pass
        finally:
            try:
                self.waiting.remove(token)
            except ValueError:  # rung: whoever rang took it out
                pass
