"""Log lines. A complaint is logged at once, and then at most once a minute, with how often it came."""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Callable
from collections.abc import Set as AbstractSet
from contextlib import suppress

from togai_shipper._process.signals import as_application

logger = logging.getLogger("togai_shipper")

REPEAT = 60.0  # seconds before the same complaint is logged again


class Log:
    """The log of one shipper in one process."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        # complaint -> when it was logged, and how often it came since
        self._said: dict[str, tuple[float, int]] = {}
        self._speaking: set[int] = set()  # threads inside our own logging

    def complain(
        self, kind: str, message: str, *args: object, level: int = logging.WARNING, exc_info: bool = False
    ) -> bool:
        """Log ``message``, but the same ``kind`` only once a minute, with a count; return whether it did."""
        now = self._clock()
        at, held_back = self._said.get(kind, (-REPEAT, 0))
        if now - at < REPEAT:
            self._said[kind] = (at, held_back + 1)
            return False
        self._said[kind] = (now, 0)
        if held_back:
            message += f" ({held_back} more like this since the last line)"
        self.write(level, message, *args, exc_info=exc_info)
        return True

    def write(self, level: int, message: str, *args: object, exc_info: bool = False) -> None:
        """Log a line; a handler that calls ``track()`` for it is refused."""
        me = threading.get_ident()
        is_nested = me in self._speaking
        self._speaking.add(me)
        try:
            with suppress(Exception), as_application():  # a handler or filter of the application's
                logger.log(level, message, *args, exc_info=exc_info)
        finally:
            if not is_nested:
                self._speaking.discard(me)

    def is_feedback(self, carriers: AbstractSet[int]) -> bool:
        """Whether this thread came to ``track()`` because of a log record of ours, or of a request of ours.

        ``carriers``: identities of the threads that make requests.
        """
        me = threading.get_ident()
        return (me in carriers or me in self._speaking) and _came_by_logging()


def _came_by_logging() -> bool:
    """Whether this thread's stack says that a logging call led here.

    Asked only where that is possible: on flusher threads, where urllib3 logs, and while we log ourselves.
    There ``track()`` may also come from a callback, or from ``__del__`` when garbage is collected in the
    middle of a logging call: those are the application's own events.
    """
    frame = sys._getframe()  # noqa: SLF001  the documented way to one's own stack, without formatting it
    while frame := frame.f_back:  # type: ignore[assignment]  # ends at None
        if frame.f_code.co_name == "__del__":
            return False
        if frame.f_code.co_filename == logging.__file__:
            return True
    return False
