"""What the application and its people are told: log lines and callbacks.

Callbacks run outside every lock, may be slow, may raise, may call ``track``, ``flush`` or ``close``. A
complaint is logged at once, and the same one then at most once a minute, with how often it came.
"""

from __future__ import annotations

import logging
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from typing import Any

from togai_shipper._config import Config
from togai_shipper._event import Event, decode, id_of
from togai_shipper._outcome import Delivered, Dropped, Settled
from togai_shipper._wording import counted
from togai_shipper.exceptions import DeliveryError, Unauthorized

from .receipts import Receipts
from .verdict import Park, printable

logger = logging.getLogger("togai_shipper")

PATIENCE = 10.0  # seconds of failed attempts before the log speaks of them: most such mend themselves
STUCK_AFTER = 0.5  # seconds after which, at the end, a callback that has not returned is not called once more
REPEAT = 60.0  # seconds before the same complaint is logged again


class Reporter:
    """Speaks for one shipper in one process."""

    def __init__(
        self,
        config: Config,
        receipts: Receipts,
        clock: Callable[[], float],
        away: Callable[[], AbstractContextManager[None]],
    ) -> None:
        self._config = config
        self._receipts = receipts
        self._clock = clock
        self._away = away  # entered around each callback
        # complaint -> when it was logged, and how often it came since
        self._said: dict[str, tuple[float, int]] = {}
        self._inside: dict[int, tuple[str, float]] = {}  # threads inside a callback, which, and since when
        self._speaking: set[int] = set()  # threads inside our own logging
        self._leaving_callbacks: set[int] = set()  # threads that leave callbacks to others
        self._left: deque[tuple[str, Callable[..., object], Any]] = deque()

    # --- the log ---

    def complain(
        self, kind: str, message: str, *args: object, level: int = logging.WARNING, exc_info: bool = False
    ) -> bool:
        """Log ``message``; the same ``kind`` again only after a minute, with a count. Says whether it did."""
        now = self._clock()
        at, held_back = self._said.get(kind, (-REPEAT, 0))
        if now - at < REPEAT:
            self._said[kind] = (at, held_back + 1)
            return False
        self._said[kind] = (now, 0)
        if held_back:
            message += f" ({held_back} more like this since the last line)"
        self.log(level, message, *args, exc_info=exc_info)
        return True

    def log(self, level: int, message: str, *args: object, exc_info: bool = False) -> None:
        """Log a line; a handler that calls ``track()`` for it is refused."""
        with self._within(self._speaking), suppress(Exception):  # a handler or filter of the application's
            logger.log(level, message, *args, exc_info=exc_info)

    def is_feedback(self, flushers: set[int]) -> bool:
        """Whether this thread got to ``track()`` by a log record of ours, or of a request that we make."""
        me = threading.get_ident()
        return (me in self._speaking or me in flushers) and _came_by_logging()

    @contextmanager
    def _within(self, threads: set[int]) -> Iterator[None]:
        me = threading.get_ident()
        nested = me in threads
        threads.add(me)
        try:
            yield
        finally:
            if not nested:
                threads.discard(me)

    def tell_failing(self, seconds: float, message: str, pending: int) -> None:
        """Every attempt of the last ``seconds`` has failed."""
        if seconds > PATIENCE:
            text = "delivery has failed for %.0f s (%s); %s, it is tried again"
            self.complain("failing", text, seconds, message, _waiting(pending))

    def tell_set_aside(self, event: bytes) -> None:
        """The server chokes on this very event."""
        text = "Togai answers 500 to event %s alone; it is set aside and tried once a minute"
        self.complain("set aside", text, printable(id_of(event)), level=logging.ERROR)

    def tell_parked(self, cause: Park, pending: int) -> None:
        """Nothing can be delivered until somebody mends the key or the line.

        Once a minute at most: a line may open for one event, and be parked by the next.
        """
        kind = Unauthorized if cause.on_key else DeliveryError
        error = kind(cause.status, cause.message)
        mend = "set_api_key() tries at once" if cause.on_key else "it is probed, less and less often"
        text = "delivery is parked: %s; %s, none is dropped; %s"
        waiting = _waiting(pending)
        if self.complain(f"parked {cause.status}", text, error, waiting, mend, level=logging.ERROR):
            self.undelivered(error)

    def tell_closed(
        self, outcomes: Sequence[Dropped], why: str | None, *, kept: int = 0, where: str | None = None
    ) -> None:
        """What ``close()`` had to give up, and what it had to leave for later."""
        if kept:
            text = "closed with %s undelivered, kept in %s until delivered; last error: %s"
            self.log(logging.WARNING, text, counted(kept, "event"), where, why or "there was no time")
        lost = sum(len(outcome.events) for outcome in outcomes)
        if lost:
            text = "closed with %s undelivered and given up; last error: %s"
            self.log(logging.ERROR, text, counted(lost, "event"), why or "there was no time")
        on_error = self._config.on_error
        if on_error is not None and not self._is_in_on_error():
            self._left += [("on_error", on_error, (each.error, _decoded(each.events))) for each in outcomes]
        try:
            self.give_receipts()
        finally:
            self._end_calls()

    def _end_calls(self) -> None:
        """The calls that nobody has made so far; but none of a callback that is still inside another call."""
        left = []
        with suppress(IndexError):
            while True:
                left.append(self._left.popleft())
        before = self._clock() - STUCK_AFTER
        inside = {name for name, since in list(self._inside.values()) if since <= before}
        with ExitStack() as all_of_them:  # though one raises SystemExit; the last to be entered comes first
            for name in ("on_delivered", "on_error"):
                calls = [call for call in left if call[0] == name]
                if calls and name in inside:
                    text = "%s of %s not made: an earlier one has not returned"
                    self.log(logging.ERROR, text, counted(len(calls), "call"), name)
                else:
                    for call in reversed(calls):
                        all_of_them.callback(self._call, *call)

    # --- callbacks ---

    def tell(self, outcome: Settled) -> None:
        """Hand an outcome to the callback that is for it."""
        self.give_receipts()
        if isinstance(outcome, Delivered):
            if self._config.on_delivered is not None:
                self._call("on_delivered", self._config.on_delivered, (_decoded(outcome.events),))
        else:
            kind = f"{type(outcome).__name__} {outcome.error.status}"
            self.complain(
                kind, "event %s undelivered: %s", printable(id_of(outcome.events[0])), outcome.error
            )
            self.undelivered(outcome.error, outcome.events)

    def undelivered(self, error: Exception, events: Sequence[bytes] = ()) -> None:
        """Call ``on_error``, but not from inside itself."""
        self.give_receipts()
        if self._config.on_error is not None and not self._is_in_on_error():
            self._call("on_error", self._config.on_error, (error, _decoded(events)))

    def give_receipts(self) -> None:
        """Resolve the receipts of what was settled; those who wait for one may call us from it."""
        if threading.get_ident() in self._leaving_callbacks:
            return
        ended_by = None
        while True:
            try:
                given, outcome = self._receipts.settled.popleft()
            except IndexError:
                break
            try:
                self._call("a receipt's callback", given.set_result, (outcome,))
            except BaseException as error:  # SystemExit, Ctrl-C: the other receipts are resolved all the same
                ended_by = error
        if ended_by is not None:
            raise ended_by

    def _is_in_on_error(self) -> bool:
        return self._inside.get(threading.get_ident(), ("", 0.0))[0] == "on_error"

    @contextmanager
    def leaving_callbacks(self) -> Iterator[None]:
        """On the thread of close(): callbacks are left to the flushers, which one may hold up for ever."""
        with self._within(self._leaving_callbacks):
            yield

    @property
    def is_call_left(self) -> bool:
        """Whether there are such calls."""
        return bool(self._left)

    def call_left(self) -> bool:
        """Make the calls that were left: a flusher, or close() once there is none; says whether it did."""
        made = False
        if threading.get_ident() not in self._leaving_callbacks:
            self.give_receipts()
            while True:
                try:
                    call = self._left.popleft()
                except IndexError:
                    break
                self._call(*call)
                made = True
        return made

    def _call(self, name: str, callback: Callable[..., object], args: tuple[Any, ...]) -> None:
        if threading.get_ident() in self._leaving_callbacks:
            self._left.append((name, callback, args))
            return
        me = threading.get_ident()
        outer = self._inside.get(me)
        self._inside[me] = (name, self._clock())
        try:
            with self._away():
                callback(*args)
        except Exception:  # the application's code: whatever it raises stays there
            self.log(logging.ERROR, "%s raised; nothing is lost", name, exc_info=True)
        finally:
            if outer is None:
                del self._inside[me]
            else:
                self._inside[me] = outer


def _waiting(pending: int) -> str:
    return counted(pending, "event waits", "events wait")


def _decoded(events: Sequence[bytes]) -> tuple[Event, ...]:
    return tuple(map(decode, events))


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
