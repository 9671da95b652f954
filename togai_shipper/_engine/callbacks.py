"""The application's callbacks: ``on_delivered``, ``on_error``, ``on_unbilled``, and who waits for a receipt.

They run outside every lock, may be slow, may raise, may call ``track``, ``flush`` or ``close``. A thread that
must not be held up defers its calls; a flusher makes them. Events are decoded only as a call is made, and a
call is given few of them, since a million given up at once would take half a minute, and gigabytes.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import Any, Literal, TypeAlias

import attrs

from togai_shipper._config import Config
from togai_shipper._event import decode_own
from togai_shipper._outcome import Finding, Outcome
from togai_shipper._plural import counted
from togai_shipper._process.signals import as_application

from .log import Log
from .receipt import Receipt
from .receipts import Receipts
from .telling import Telling

MOST_EVENTS = 500  # events that one call is given: as many as a batch has, and soon decoded
STUCK_AFTER = 0.5  # seconds after which, at the end, a callback that has not returned is not called once more

CallName: TypeAlias = Literal["on_delivered", "on_error", "on_unbilled", "a receipt's callback"]


@attrs.frozen(eq=False)
class Callback:
    """A callback to be called, with its arguments, and events behind them; ``telling`` waits for it.

    Attributes:
        events: encoded ones, of which it is given some; ``None``: it is given none.
        start: the first of those; it is given ``MOST_EVENTS`` at most.

    """

    name: CallName
    function: Callable[..., object]
    arguments: tuple[Any, ...] = ()
    events: Sequence[bytes] | None = None
    start: int = 0
    telling: Telling | None = None

    @property
    def count(self) -> int:
        """How many events it is given."""
        return min(MOST_EVENTS, len(self.events or ()) - self.start)

    def make(self) -> None:
        """Call it."""
        if self.events is None:
            self.function(*self.arguments)
        else:
            given = self.events[self.start : self.start + MOST_EVENTS]
            self.function(*self.arguments, tuple(map(decode_own, given)))

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
        self._on_unbilled = config.on_unbilled
        self._clock = clock
        self._receipts = receipts
        self._log = log
        self._in_callback = in_callback  # entered around each call
        self._inside: dict[int, tuple[CallName, float]] = {}  # threads inside a call, which, and since when
        self._deferring: set[int] = set()  # threads that defer their calls
        self._deferred: deque[Callback] = deque()
        self._last: deque[Callback] = deque()  # those that ``close()`` alone makes, and waits for
        self.last_call_at = 0.0  # monotonic seconds at which the latest of those was begun
        self._tellings: dict[int, Telling] = {}  # of what a thread is telling

    # --- calling ---

    def delivered(self, events: Sequence[bytes]) -> None:
        """Call ``on_delivered``."""
        if self._on_delivered is not None:
            for start in _starts(events):
                self._make(Callback("on_delivered", self._on_delivered, events=events, start=start))

    def undelivered(self, error: Exception, events: Sequence[bytes] = ()) -> None:
        """Call ``on_error``, but not from inside itself."""
        for call in self._calls_of_on_error(error, events):
            self._make(call)

    def unbilled(self, finding: Finding) -> None:
        """Call ``on_unbilled``."""
        if self._on_unbilled is not None:
            self._make(Callback("on_unbilled", self._on_unbilled, (finding,)))

    def resolve_receipts(self) -> None:
        """Resolve the receipts of what was settled; those who wait for one may call us from it."""
        if threading.get_ident() in self._deferring:
            return
        while (resolved := self._receipts.pop_resolved()) is not None:
            receipt, outcome, telling = resolved
            if receipt.settle_unseen(outcome):
                _end(telling, receipt)
            else:
                self._make(Callback("a receipt's callback", self._resolve_watched, resolved))

    def _resolve_watched(self, receipt: Receipt, outcome: Outcome, telling: Telling | None) -> None:
        """Resolve a receipt that somebody waits for or has left a callback with, and all that are left."""
        me = threading.get_ident()
        ended_by = None
        while True:
            self._inside[me] = ("a receipt's callback", self._clock())  # each is one that may hang
            try:
                receipt.set_result(outcome)
            except BaseException as error:  # SystemExit, Ctrl-C: the other receipts are resolved all the same
                ended_by = error
            finally:
                _end(telling, receipt)
            while (resolved := self._receipts.pop_resolved()) is not None:
                receipt, outcome, telling = resolved
                if not receipt.settle_unseen(outcome):
                    break
                _end(telling, receipt)
            else:
                break
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
                call.make()
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

    def _calls_of_on_error(self, error: Exception, events: Sequence[bytes]) -> list[Callback]:
        """Return the calls that tell of it; none where this is a call from inside ``on_error`` itself."""
        on_error, inside = self._on_error, self._inside.get(threading.get_ident())
        if on_error is None or (inside is not None and inside[0] == "on_error"):
            return []
        return [Callback("on_error", on_error, (error,), events, start) for start in _starts(events)]

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
        for error, events in errors:
            self._last += self._calls_of_on_error(error, events)

    def make_last(self, until: float) -> None:
        """Make all calls that are left, at the end; but none of a callback that hangs in another call.

        ``until``: monotonic seconds after which none is begun; those that are left then are left out.
        """
        try:
            self.resolve_receipts()
        finally:
            self._put_last_in_order()
            self._make_last(until)

    def _put_last_in_order(self) -> None:
        """Let ``_last`` be all that is left to be called: of ``on_error`` first, since it tells of losses."""
        left = _emptied(self._deferred) + _emptied(self._last)
        before = self._clock() - STUCK_AFTER
        stuck = {name for name, since in list(self._inside.values()) if since <= before}
        for name in ("on_error", "on_delivered"):
            calls = [call for call in left if call.name == name]
            if name in stuck:
                self._leave_out(calls, "an earlier one has not returned")
            else:
                self._last += calls

    def _make_last(self, until: float) -> None:
        ended_by = None
        with suppress(IndexError):  # that was the last one; or whoever closes has waited long enough
            while (now := self._clock()) < until:
                call = self._last.popleft()
                self.last_call_at = now
                try:
                    self._make(call)
                except BaseException as error:  # SystemExit: the others are called all the same
                    ended_by = error
        self.leave_out_last()
        if ended_by is not None:
            raise ended_by

    def leave_out_last(self) -> None:
        """Make no more of the last calls: their time is over."""
        left = _emptied(self._last)
        for name in ("on_error", "on_delivered"):
            self._leave_out([call for call in left if call.name == name], "close() has no more time for them")

    def _leave_out(self, calls: Sequence[Callback], why: str) -> None:
        if not calls:
            return
        events = sum(call.count for call in calls)
        text = "%s of %s not made, with %s: %s"
        args = counted(len(calls), "call"), calls[0].name, counted(events, "event"), why
        self._log.write(logging.ERROR, text, *args)
        for call in calls:
            call.end()


def _end(telling: Telling | None, receipt: Receipt) -> None:
    if telling is not None:
        telling.end(receipt)


def _starts(events: Sequence[bytes]) -> Iterable[int]:
    """Return where each call's events begin; without any, there is one call, which is given none."""
    return range(0, len(events) or 1, MOST_EVENTS)


def _emptied(calls: deque[Callback]) -> list[Callback]:
    """Take all out of ``calls``, and return them; other threads may take some, too."""
    taken = []
    with suppress(IndexError):
        while True:
            taken.append(calls.popleft())
    return taken
