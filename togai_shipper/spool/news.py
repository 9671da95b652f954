"""What is to be told of a spool, once its file is let go: a log line or a callback may take its time."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress

from togai_shipper._engine.callbacks import Callbacks
from togai_shipper._engine.log import Log


class News:
    """Gathers what is to be told, and tells it. Any thread may come at any time."""

    def __init__(self, log: Log, callbacks: Callbacks) -> None:
        self._log = log
        self._callbacks = callbacks
        self._news: deque[Callable[[], object]] = deque()

    def info(self, message: str, *args: object) -> None:
        """Log a line."""
        self._news.append(lambda: self._log.write(logging.INFO, message, *args))

    def warning(self, kind: str, message: str, *args: object) -> None:
        """Log a warning, but the same ``kind`` once a minute at most."""
        self._news.append(lambda: self._log.complain(kind, message, *args))

    def error(self, kind: str, message: str, *args: object) -> None:
        """Log an error, but the same ``kind`` once a minute at most."""
        self._news.append(lambda: self._log.complain(kind, message, *args, level=logging.ERROR, loss=True))

    def recovered(self, kind: str, message: str, *args: object) -> None:
        """Log that what was an error of this ``kind`` is over, if it was logged."""
        self._news.append(lambda: self._log.recovered(kind, message, *args))

    def loss(self, message: str, *args: object) -> None:
        """Log an error about events that are lost; each is told, since each has a number of its own."""
        self._news.append(lambda: self._log.write(logging.ERROR, message, *args, loss=True))

    def undelivered(self, error: Exception, events: Sequence[bytes] = ()) -> None:
        """Call ``on_error``."""
        self._news.append(lambda: self._callbacks.undelivered(error, events))

    def tell(self) -> bool:
        """Tell all of it; return whether a flusher has callbacks to make."""
        if not self._news:
            return False
        # Callbacks are deferred: commits do not wait for one. Two threads may be here: each takes another.
        with self._callbacks.deferring(), suppress(IndexError):
            while True:
                self._news.popleft()()
        return self._callbacks.is_any_left
