"""Log lines. A complaint is logged at once, and then at most once a minute, with how often it came.

Each record has ``togai_kind``, the complaint without what changes, and what else a line is about in
attributes of its own (``togai_schema``, ``togai_caller``, ...): for handlers that write structured logs.

Nothing else in the package writes to the log or to stderr. Whatever strangers have put into a line is made
printable here; the traceback of an exception is indented, so that no text in it passes for a line of the log.
"""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from contextlib import suppress

from togai_shipper._printable import printable, printable_traceback
from togai_shipper._process.signals import as_application

logger = logging.getLogger("togai_shipper")

REPEAT = 60.0  # seconds before the same complaint is logged again
MOST_KINDS = 1000  # complaints that are remembered; a name in one may come from a stranger


class Log:
    """The log of one shipper in one process."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        # complaint -> when it was logged, and how often it came since
        self._said: dict[str, tuple[float, int]] = {}
        self._errors: set[str] = set()  # complaints at ERROR that nobody has taken back
        self._speaking: set[int] = set()  # threads inside our own logging

    def complain(
        self,
        kind: str,
        message: str,
        *args: object,
        level: int = logging.WARNING,
        exc_info: bool = False,
        loss: bool = False,
        about: Mapping[str, object] | None = None,
    ) -> bool:
        """Log ``message``, but the same ``kind`` only once a minute, with a count; return whether it did.

        ``about``: what else tells one complaint from another, each throttled by itself.
        """
        now = self._clock()
        about = about or {}
        key = _key(kind, about)
        at, held_back = self._said.get(key, (-REPEAT, 0))
        if now - at < REPEAT:
            self._said[key] = (at, held_back + 1)
            return False
        self._said.pop(key, None)
        if len(self._said) >= MOST_KINDS:
            with suppress(StopIteration, KeyError, RuntimeError):  # another thread does the same
                del self._said[next(iter(self._said))]  # the one that was logged longest ago
        self._said[key] = (now, 0)
        if level >= logging.ERROR:
            self._errors.add(kind)
        if held_back:
            message += f" ({held_back} more like this since the last line)"
        self.write(level, message, *args, exc_info=exc_info, loss=loss, about={"kind": kind, **about})
        return True

    def is_held_back(self, kind: str, about: Mapping[str, object]) -> bool:
        """Whether such a complaint would not be logged now."""
        return self._clock() - self._said.get(_key(kind, about), (-REPEAT, 0))[0] < REPEAT

    def recovered(self, kind: str, message: str, *args: object) -> None:
        """Log that what was complained of at ERROR is over, once: whoever was woken may sleep again."""
        if kind in self._errors:
            self._errors.discard(kind)
            self.write(logging.WARNING, message, *args, about={"kind": f"{kind} is over"})

    def write(
        self,
        level: int,
        message: str,
        *args: object,
        exc_info: bool = False,
        loss: bool = False,
        about: Mapping[str, object] | None = None,
    ) -> None:
        """Log a line; a handler that calls ``track()`` for it is refused.

        ``loss``: events are lost, so it is said on stderr where something else silenced the log.
        """
        me = threading.get_ident()
        is_nested = me in self._speaking
        self._speaking.add(me)
        try:
            with suppress(Exception), as_application():  # a handler or filter of the application's
                if loss and _is_silenced_by_the_way(level):
                    _say_all_the_same(_record(level, message, args, about))
                elif logger.isEnabledFor(level):
                    record = _record(level, message, args, about, sys.exc_info()[1] if exc_info else None)
                    _handle(record, loss=loss)
        finally:
            if not is_nested:
                self._speaking.discard(me)

    def is_feedback(self, carriers: AbstractSet[int]) -> bool:
        """Whether this thread came to ``track()`` because of a log record of ours, or of a request of ours.

        ``carriers``: identities of the threads that make requests.
        """
        me = threading.get_ident()
        return (me in carriers or me in self._speaking) and _came_by_logging()


def _key(kind: str, about: Mapping[str, object]) -> str:
    return "\n".join((kind, *map(str, about.values())))


def _is_silenced_by_the_way(level: int) -> bool:
    """Whether nobody hears our lines, though nobody has said so of them in particular.

    ``logging.config.dictConfig`` disables every logger that is there and that it does not name, unless it is
    told not to; ``logging.disable`` silences all. A level, or handlers that discard everything, were meant.
    """
    if not logger.disabled and logger.manager.disable < level:
        return False
    handlers = _handlers()
    is_heard = any(each.level <= level and not isinstance(each, logging.NullHandler) for each in handlers)
    return level >= logger.getEffectiveLevel() and (is_heard or not handlers)


def _handlers() -> list[logging.Handler]:
    """Return the handlers that are given our lines."""
    handlers: list[logging.Handler] = []
    at: logging.Logger | None = logger
    while at is not None:
        handlers += at.handlers
        at = at.parent if at.propagate else None
    return handlers


def _record(
    level: int,
    message: str,
    args: tuple[object, ...],
    about: Mapping[str, object] | None = None,
    error: BaseException | None = None,
) -> logging.LogRecord:
    """Make a record in which everything is printable; the exception itself is left as it is."""
    info = None if error is None else (type(error), error, error.__traceback__)
    record = logger.makeRecord(
        logger.name, level, __file__, 0, printable(message), tuple(map(_printable, args)), info
    )
    for name, value in (about or {}).items():
        setattr(record, f"togai_{name}", _printable(value))
    if error is not None:
        record.exc_text = printable_traceback(error)  # formatters take it where it is there
    return record


def _printable(argument: object) -> object:
    if type(argument) in (int, float):  # for %d and the like
        return argument
    try:
        return printable(str(argument))
    except Exception:  # of the application's
        return type(argument).__name__


def _handle(record: logging.LogRecord, *, loss: bool) -> None:
    try:
        logger.handle(record)
    except Exception:  # a handler that fails has perhaps said nothing
        if loss:
            _say_on_stderr(record)


def _say_all_the_same(record: logging.LogRecord) -> None:
    """Give a record to the handlers of a logger that is disabled, and say it on stderr."""
    if logger.manager.disable < record.levelno:
        with suppress(Exception):  # a handler or filter of the application's
            if logger.filter(record):
                logger.callHandlers(record)
        if any(getattr(each, "stream", None) is sys.stderr for each in _handlers()) or not _handlers():
            return  # it was said there, if need be by the handler of last resort
    _say_on_stderr(record)


def _say_on_stderr(record: logging.LogRecord) -> None:
    sys.stderr.write(f"togai_shipper: {record.getMessage()}\n")  # it may be closed, or None


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
