"""The application's callbacks: ``on_delivered``, ``on_error``, ``on_unbilled``, and who waits for a receipt.

They run outside every lock, may be slow, may raise, may hang, may call ``track``, ``flush`` or ``close``. The
calls that tell of a settlement are deferred until all of them are known; then whoever settled makes them, and
another thread those behind one that hangs. A thread that must not be held up leaves its calls to a flusher.
Events are decoded only as a call is made, and a call is given few of them, since a million given up at once
would take half a minute, and gigabytes.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import Any, Literal, TypeAlias, get_args

import attrs

from togai_shipper._config import Config
from togai_shipper._event import decode_own
from togai_shipper._outcome import Finding
from togai_shipper._plural import counted
from togai_shipper._process.signals import as_application

from .log import Log
from .receipts import Receipts
from .telling import Telling

MOST_EVENTS = 500  # events that one call is given: as many as a batch has, and soon decoded
HANGS_AFTER = 0.2  # seconds after which a call is told of that has not returned as close() does
STUCK_AFTER = 0.5  # seconds after which, at the end, a callback that has not returned is not called once more

CallName: TypeAlias = Literal["on_error", "on_unbilled", "a receipt's callback", "on_delivered"]
CALL_NAMES: tuple[CallName, ...] = get_args(CallName)  # in the order in which they are made at the end


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
        """How many events it tells of."""
        return 1 if self.events is None else min(MOST_EVENTS, len(self.events) - self.start)

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
        self._inside: dict[int, tuple[Callback, float]] = {}  # threads inside a call, which, and since when
        self._deferring: set[int] = set()  # threads that defer their calls
        self._deferred: deque[Callback] = deque()
        self._last: deque[Callback] = deque()  # those that ``close()`` alone makes, and waits for
        self.last_call_at = 0.0  # monotonic seconds at which the latest of those was begun
        self._tellings: dict[int, Telling] = {}  # of what a thread is telling

    # --- calling ---

    def delivered(self, events: Sequence[bytes]) -> None:
        """Call ``on_delivered``."""
        if (on_delivered := self._on_delivered) is not None:
            calls = [
                Callback("on_delivered", on_delivered, events=events, start=each) for each in _starts(events)
            ]
            self._make_or_defer(calls)

    def undelivered(self, error: Exception, events: Sequence[bytes] = ()) -> None:
        """Call ``on_error``, but not from inside itself."""
        self._make_or_defer(self._calls_of_on_error(error, events))

    def unbilled(self, finding: Finding) -> None:
        """Call ``on_unbilled``."""
        if self._on_unbilled is not None:
            self._make_or_defer([Callback("on_unbilled", self._on_unbilled, (finding,))])

    def resolve_receipts(self) -> None:
        """Resolve the receipts of what was settled that somebody watches; their callbacks are deferred."""
        while (watched := self._receipts.pop_watched()) is not None:
            receipt, outcome, telling = watched
            for function in receipt.settle_watched(outcome):
                self._defer(Callback("a receipt's callback", function, (receipt,)), telling)
            if telling is not None:
                telling.end(receipt)

    def _make_or_defer(self, calls: Iterable[Callback]) -> None:
        me = threading.get_ident()
        telling = self._tellings.get(me)
        for call in calls:
            if telling is not None or me in self._deferring:
                self._defer(call, telling)
            else:
                self._make(call)

    def _defer(self, call: Callback, telling: Telling | None) -> None:
        if telling is not None:
            call = attrs.evolve(call, telling=telling)
            telling.expect(call)
        self._deferred.append(call)

    def _make(self, call: Callback) -> None:
        me = threading.get_ident()
        outer = self._inside.get(me)
        self._inside[me] = (call, self._clock())
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

    @contextmanager
    def telling(self, telling: Telling) -> Iterator[None]:
        """Around all that is told of one settlement: its calls are deferred, all of them, and belong to it.

        Who settles makes them afterwards; or another thread does, where one of them hangs.
        """
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
        now = self._clock()
        since, name = min(((since, call.name) for call, since in inside), default=(now, ""))
        return name, now - since

    def _calls_of_on_error(self, error: Exception, events: Sequence[bytes]) -> list[Callback]:
        """Return the calls that tell of it; none where this is a call from inside ``on_error`` itself."""
        on_error, inside = self._on_error, self._inside.get(threading.get_ident())
        if on_error is None or (inside is not None and inside[0].name == "on_error"):
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
        return bool(self._deferred or self._last) or self._receipts.is_any_watched

    def make_deferred(self) -> bool:
        """Make the calls that were deferred; return whether there were any."""
        if threading.get_ident() in self._deferring:
            return False
        self.resolve_receipts()
        return self._make_all(self._deferred, lambda: True)

    def _make_all(self, calls: deque[Callback], may_go_on: Callable[[], bool]) -> bool:
        """Make these calls, as long as there is time; return whether there were any.

        Another thread may make some of them, or leave them out.
        """
        made, ended_by = False, None
        while calls and may_go_on():
            try:
                call = calls.popleft()
            except IndexError:  # pragma: no cover  another thread has made the last of them
                break
            made = True
            try:
                self._make(call)
            except BaseException as error:  # SystemExit, Ctrl-C: the others are called all the same
                ended_by = error
        if ended_by is not None:
            raise ended_by
        return made

    def keep_for_last(self, errors: Sequence[tuple[Exception, Sequence[bytes]]]) -> None:
        """Keep calls of ``on_error`` for ``make_last``; none, where this is a call from inside itself."""
        for error, events in errors:
            self._last += self._calls_of_on_error(error, events)

    def make_last(self, until: float) -> None:
        """Make all calls that are left, at the end; but none of a callback that hangs in another call.

        ``until``: monotonic seconds after which none is begun; those that are left then are left out.
        """
        self.resolve_receipts()
        self._put_last_in_order()
        try:
            self._make_all(self._last, lambda: self._may_begin_one(until))
        finally:
            self.leave_out_last()

    def _may_begin_one(self, until: float) -> bool:
        self.last_call_at = self._clock()
        return self.last_call_at < until

    def _put_last_in_order(self) -> None:
        """Let ``_last`` be all that is left to be called: of ``on_error`` first, since it tells of losses."""
        left = _emptied(self._deferred) + _emptied(self._last)
        stuck = {id(call.function) for call in self._inside_for(STUCK_AFTER)}
        for name in CALL_NAMES:
            calls = [call for call in left if call.name == name]
            behind = [call for call in calls if id(call.function) in stuck]
            self._leave_out(behind, "an earlier one has not returned")
            self._last += [call for call in calls if id(call.function) not in stuck]

    def _inside_for(self, seconds: float) -> list[Callback]:
        """Return the calls of other threads that were begun so many seconds ago, or earlier."""
        me, before = threading.get_ident(), self._clock() - seconds
        inside = list(self._inside.items())  # in one step: other threads enter and leave
        return [call for thread, (call, since) in inside if since <= before and thread != me]

    def leave_out_last(self) -> None:
        """Make no more of the last calls: their time is over."""
        left = _emptied(self._last)
        for name in CALL_NAMES:
            self._leave_out([call for call in left if call.name == name], "close() has no more time for them")

    def tell_hanging(self) -> None:
        """Log which calls have not returned as all is over."""
        hanging = [call.name for call in self._inside_for(HANGS_AFTER)]
        for name in sorted(set(hanging)):
            text = "%s of %s has not returned, and close() waits no longer"
            self._log.write(logging.WARNING, text, counted(hanging.count(name), "call"), name)

    def _leave_out(self, calls: Sequence[Callback], why: str) -> None:
        if not calls:
            return
        events = sum(call.count for call in calls)
        text = "%s of %s not made, with %s: %s"
        args = counted(len(calls), "call"), calls[0].name, counted(events, "event"), why
        self._log.write(logging.ERROR, text, *args)
        for call in calls:
            call.end()


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
