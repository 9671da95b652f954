"""What a store's own thread does: it waits until something is due, does it, and goes on where that fails."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from .log import Log
from .runtime import FOREVER, Runtime
from .shutdown import Shutdown
from .threads import RESTART_AFTER


class Rounds:
    """Works in rounds.

    ``bell`` is rung when there may be something to do. ``wait`` is asked under the lock for how many seconds
    there is nothing; ``step`` does all that is due, once. ``failing`` is what is told where that raises.
    """

    def __init__(
        self,
        runtime: Runtime,
        lock: threading.RLock,
        shutdown: Shutdown,
        log: Log,
        *,
        failing: str,
        wait: Callable[[], float],
        step: Callable[[], object],
    ) -> None:
        self._clock = runtime.clock
        self._lock = lock
        self._shutdown = shutdown
        self._log = log
        self._failing = failing
        self._wait = wait
        self._step = step
        self.bell = runtime.bell()

    def go_on(self, is_over: Callable[[], bool]) -> None:
        """Work until all is over; or, while closing, until it fails, since it may do so each time."""
        while not is_over():
            try:
                self._go_once()
            except Exception as error:  # a bug, no memory: the store's step leaves all where it was
                self.fail(self._failing, error)
                if self._shutdown.has_begun:
                    return

    def _go_once(self) -> None:
        rings = self.bell.rings
        with self._lock:
            wait = self._wait()
        if wait > 0.0:
            self.bell.wait(rings, None if wait == FOREVER else wait)
        else:
            self._step()

    def fail(self, text: str, error: BaseException) -> None:
        """Tell of the exception under way, and let a moment pass before it can come again."""
        self.complain(text, error)
        go_on_at = self._clock() + RESTART_AFTER
        while (left := go_on_at - self._clock()) > 0 and not self._shutdown.has_begun:
            self.bell.wait(self.bell.rings, left)

    def complain(self, text: str, error: BaseException) -> None:
        """Tell of the exception under way; ``text`` has a place for its kind."""
        self._log.complain(text, text, type(error).__name__, level=logging.ERROR, exc_info=True)
