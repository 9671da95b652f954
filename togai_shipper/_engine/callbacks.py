"""The application's callbacks: ``on_delivered``, ``on_error``, and whoever waits for a receipt.

They run outside every lock, may be slow, may raise, may call ``track``, ``flush`` or ``close``. A thread that
must not be held up defers its calls; a flusher makes them.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from typing import Any, Literal, TypeAlias

import attrs

from togai_shipper._config import Config
from togai_shipper._event import Event, decode
from togai_shipper._plural import counted
from togai_shipper._process.signals import as_application

from .log import Log
from .receipts import Receipts
from .telling import Telling

STUCK_AFTER = 0.5  # seconds after which, at the end, a callback that has not returned is not called once more

CallName: TypeAlias = Literal["on_delivered", "on_error", "a receipt's callback"]


@attrs.frozen(eq=False)
class Callback:
    """A callback to be called, with its arguments; ``telling`` waits for it."""

    name: CallName
    function: Callable[..., object]
    arguments: tuple[Any, ...]
    telling: Telling | None = None

    def end(self) -> None:
        """It has returned, or is not made after all."""
        if self.telling is not None:
            self.telling.end(self)


class Callbacks:
    """Calls the application's code for one shipper."""

    def __init__(
        self,
        config: Config,
        clock: Callable[[], float],
        receipts: Receipts,
        log: Log,
        in_callback: Callable[[], AbstractContextManager[None]],
    ) -> None:
        self._on_delivered = config.on_delivered
        self._on_error = config.on_error
        self._clock = clock
        self._receipts = receipts
        self._log = log
        self._in_callback = in_callback  # entered around each call
        self._inside: dict[int, tuple[CallName, float]] = {}  # threads inside a call, which, and since when
        self._deferring: set[int] = set()  # threads that defer their calls
        self._deferred: deque[Callback] = deque()
        self._last: deque[Callback] = deque()  # those that ``close()`` alone makes, and waits for
        self._tellings: dict[int, Telling] = {}  # of what a thread is telling

    # --- calling ---

    def delivered(self, events: Sequence[bytes]) -> None:
        """Call ``on_delivered``."""
        if self._on_delivered is not None:
            self._make(Callback("on_delivered", self._on_delivered, (_decoded(events),)))

    def undelivered(self, error: Exception, events: Sequence[bytes] = ()) -> None:
        """Call ``on_error``, but not from inside itself."""
        if self._on_error is not None and not self._is_in_on_error():
            self._make(Callback("on_error", self._on_error, (error, _decoded(events))))

    def resolve_receipts(self) -> None:
        """Resolve the receipts of what was settled; those who wait for one may call us from it."""
        if threading.get_ident() in self._deferring:
            return
        ended_by = None
        while (resolved := self._receipts.pop_resolved()) is not None:
            receipt, outcome, telling = resolved
            try:
                self._make(Callback("a receipt's callback", receipt.set_result, (outcome,)))
            except BaseException as error:  # SystemExit, Ctrl-C: the other receipts are resolved all the same
                ended_by = error
            finally:
                if telling is not None:
                    telling.end(receipt)
        if ended_by is not None:
            raise ended_by

    def _make(self, call: Callback) -> None:
        me = threading.get_ident()
        if me in self._deferring:
            self._defer(call, self._tellings.get(me))
            return
        outer = self._inside.get(me)
        self._inside[me] = (call.name, self._clock())
        try:
            with self._in_callback(), as_application():
                call.function(*call.arguments)
        except Exception:  # the application's code: whatever it raises stays there
            self._log.write(logging.ERROR, "%s raised; nothing is lost", call.name, exc_info=True)
        finally:
            if outer is None:
                del self._inside[me]
            else:
                self._inside[me] = outer
            call.end()

    def _defer(self, call: Callback, telling: Telling | None) -> None:
        if telling is not None:
            call = attrs.evolve(call, telling=telling)
            telling.expect(call)
        self._deferred.append(call)

    @contextmanager
    def telling(self, telling: Telling) -> Iterator[None]:
        """Around all that is told of one settlement: what is deferred belongs to it, too."""
        me = threading.get_ident()
        self._tellings[me] = telling
        try:
            yield
        finally:
            del self._tellings[me]
            telling.end_expecting()

    @property
    def is_here(self) -> bool:
        """Whether the calling thread is inside a callback."""
        return threading.get_ident() in self._inside

    def longest(self) -> tuple[str, float]:
        """Return which callback has been running for longest, and for how many seconds; none: ``("", 0)``."""
        inside = list(self._inside.values())  # in one step: other threads enter and leave
        name, since = min(inside, key=lambda call: call[1], default=("", self._clock()))
        return name, self._clock() - since

    def _is_in_on_error(self) -> bool:
        inside = self._inside.get(threading.get_ident())
        return inside is not None and inside[0] == "on_error"

    # --- deferring ---

    @contextmanager
    def deferring(self) -> Iterator[None]:
        """Defer the calls of this thread: a callback may hold it up for ever."""
        me = threading.get_ident()
        is_nested = me in self._deferring
        self._deferring.add(me)
        try:
            yield
        finally:
            if not is_nested:
                self._deferring.discard(me)

    @property
    def is_any_left(self) -> bool:
        """Whether there are calls to be made, deferred ones or receipts'."""
        return bool(self._deferred or self._last) or self._receipts.is_any_resolved

    @property
    def is_any_deferred(self) -> bool:
        """Whether calls wait to be made."""
        return bool(self._deferred)

    def make_deferred(self) -> bool:
        """Make the calls that were deferred; return whether there were any."""
        made = False
        if threading.get_ident() not in self._deferring:
            self.resolve_receipts()
            while True:
                try:
                    call = self._deferred.popleft()
                except IndexError:  # another thread has made the last of them
                    break
                self._make(call)
                made = True
        return made

    def keep_for_last(self, errors: Sequence[tuple[Exception, Sequence[bytes]]]) -> None:
        """Keep calls of ``on_error`` for ``make_last``; none, where this is a call from inside itself."""
        on_error = self._on_error
        if on_error is not None and not self._is_in_on_error():
            self._last += [
                Callback("on_error", on_error, (error, _decoded(events))) for error, events in errors
            ]

    def make_last(self) -> None:
        """Make all calls that are left, at the end; but none of a callback that hangs in another call."""
        try:
            self.resolve_receipts()
        finally:
            self._make_all_that_can_be()

    def _make_all_that_can_be(self) -> None:
        left = []
        for waiting in (self._deferred, self._last):
            with suppress(IndexError):
                while True:
                    left.append(waiting.popleft())
        before = self._clock() - STUCK_AFTER
        stuck = {name for name, since in list(self._inside.values()) if since <= before}
        with ExitStack() as all_of_them:  # all are called, even if one raises SystemExit; the last one first
            for name in ("on_delivered", "on_error"):
                calls = [call for call in left if call.name == name]
                if calls and name in stuck:
                    self._leave_out(calls)
                else:
                    for call in reversed(calls):
                        all_of_them.callback(self._make, call)

    def _leave_out(self, calls: Sequence[Callback]) -> None:
        text = "%s of %s not made: an earlier one has not returned"
        self._log.write(logging.ERROR, text, counted(len(calls), "call"), calls[0].name)
        for call in calls:
            call.end()


def _decoded(events: Sequence[bytes]) -> tuple[Event, ...]:
    return tuple(map(decode, events))
