"""The end of a shipper: by when, who sends what is left, who gives it up, and who tells of that."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import nullcontext

from togai_shipper._outcome import FlushReport

from .carrying import Carrying
from .health import Health
from .parts import Parts
from .settlement import left_at_close
from .threads import call_beside, may_call_beside
from .waiters import Waiter

TELLING = 1.0  # seconds that flush() and close() wait, after the last outcome, for callbacks that tell of it
LAST_CALLS = 0.25  # seconds that are left at least for the calls that close() makes itself, at its end
GRACE = 1.0  # seconds after the deadline that close() waits for another thread to tell what it gave up
JOIN_AFTER = 0.5  # seconds that close() leaves all sending to the flushers; a quarter of its time, if less


class Closing:
    """Closes one shipper, once, whoever asks for it and however often."""

    def __init__(self, parts: Parts, carrying: Carrying, health: Health) -> None:
        self._runtime = parts.runtime
        self._clock = parts.runtime.clock
        self._config = parts.config
        self._lock = parts.lock
        self._shutdown = parts.shutdown
        self._key = parts.key
        self._ledger = parts.ledger
        self._receipts = parts.receipts
        self._callbacks = parts.callbacks
        self._reporter = parts.reporter
        self._gate = parts.gate
        self._buffer = parts.buffer
        self._store = parts.store
        self._destination = parts.destination
        self._line = parts.line
        self._flushers = parts.flushers
        self._verifying = parts.verifying
        self._carrying = carrying
        self._health = health
        self._waiter: Waiter | None = None  # what close() waits for
        self._closer: int | None = None  # the thread inside close()
        self._teller: int | None = None  # the thread that tells of what was given up
        self._is_told = False  # done, and what was given up is told
        self._telling_until: float | None = None  # monotonic seconds; set once only callbacks are waited for
        self._afterwards: Callable[[], None] | None = (
            None  # what the thread inside close() does once it is over
        )

    # --- beginning ---

    def begin(self, timeout: float) -> Waiter:
        """Take no more events, and have all over in ``timeout`` seconds; only the first call counts."""
        with self._lock:
            now = self._clock()
            # Each step can be repeated: Ctrl-C, or what a signal handler raises, may come between any two.
            waiter = self._waiter = self._waiter or self._line.wait_for_all(now + timeout)
            if not self._shutdown.has_begun:
                self._shutdown.begin(now, timeout, is_probing=self._gate.parking.is_probing)
            self._heed_deadline()
            return waiter

    def abandon(self) -> None:
        """Deliver what is pending, and end then: nobody is left who could track, or close."""
        with self._lock:
            self._shutdown.abandon()
            if not self._line.pending:
                self.begin(0.0)
        self._flushers.bell.ring()  # a flusher may have delivered the last of it just before
        self._store.wake()

    def hasten(self, timeout: float) -> None:
        """Have all over in ``timeout`` seconds, though an earlier close() had more: the process ends."""
        with self._lock:
            if self._shutdown.shorten(self._clock(), timeout):
                self._heed_deadline()

    def _heed_deadline(self) -> None:
        self._gate.heed_deadline()
        self._flushers.bell.ring()
        self._verifying.end()
        self._line.progress.ring()

    # --- closing ---

    def close(self, timeout: float) -> FlushReport:
        """Deliver what can be in ``timeout`` seconds (the first call's), and give up the rest."""
        me = threading.get_ident()
        waits = not self.must_not_wait()
        waiter = self.begin(timeout)
        # A signal handler that interrupts close() does not wait either: the close() beneath finishes.
        waits = waits and self._closer != me
        is_mine = False
        try:
            with self._lock:
                is_mine = waits and self._closer is None
                if is_mine:
                    self._closer = me
            if is_mine:
                self._close()
        finally:
            if is_mine and not self._shutdown.is_done:  # Ctrl-C before it could begin: the next one may
                self._closer = None
        if waits:
            self._wait_until_told()
            self._line.wait_until_told(waiter, self._clock() + self._telling_left())
        return self._line.report(waiter)

    def must_not_wait(self) -> bool:
        """Whether this thread would wait for itself.

        On a flusher, in a callback; or in a signal handler or ``__del__`` that interrupts this very thread
        while it holds the lock, without which no flusher gets on; or in a log handler, as the end is told.
        """
        is_teller = self._teller == threading.get_ident()
        return self._flushers.is_here or self._callbacks.is_here or is_teller or bool(self._lock._is_owned())  # type: ignore[attr-defined]  # noqa: SLF001  what Condition asks, too

    @property
    def is_here(self) -> bool:
        """Whether the calling thread is inside close(), beneath."""
        return self._closer == threading.get_ident() and not self._is_told

    def do_afterwards(self, function: Callable[[], None]) -> None:
        """Let the close() beneath, on this thread, call ``function`` once it is over."""
        self._afterwards = function

    def _close(self) -> None:
        try:
            self._close_or_give_up()
        finally:
            if self._afterwards is not None:
                self._afterwards()

    def _close_or_give_up(self) -> None:
        try:
            self._deliver_the_rest()
            self._destination.settle()
            if not self._flushers.alive:  # else they make those calls when they end
                self._call(self._callbacks.make_deferred, self._telling_left)
        except BaseException:
            # Ctrl-C, or a signal handler's SystemExit: the first is honoured once what is on the wire is back
            # or the deadline is past, a second one at once.
            try:
                self._await_what_is_on_the_wire()
            finally:
                self.finish(hurries=True)
            raise
        self.finish()

    def _deliver_the_rest(self) -> None:
        """Wait for the flushers to deliver and end, and join in where they do not get to it.

        That is: there are none; or all are inside callbacks, or wait for replies, and events wait for them.
        """
        begun = self._clock()
        joins_at = begun + min(JOIN_AFTER, (self._shutdown.deadline - begun) / 4)
        has_joined = False
        while True:
            with self._lock:
                rings = self._line.progress.rings
                now, is_alive, pending = self._clock(), self._flushers.alive > 0, self._line.pending
                left = self._shutdown.deadline - now
                if not pending or (has_joined and not self._flushers.available):
                    left = min(left, self._telling_left() - LAST_CALLS)  # whoever is alive is in a callback
                if self._shutdown.is_done or left <= 0 or not (is_alive or pending):
                    return
                may_join = not has_joined and self._line.is_waiting and self._may_send_here()
                is_alone = not self._flushers.available
            if may_join and (is_alone or now >= joins_at):
                has_joined = True
                may_defer = self._flushers.alive or may_call_beside(self._runtime)
                with self._callbacks.deferring() if may_defer else nullcontext():
                    self._carrying.work()
            elif has_joined and not self._flushers.alive:
                return
            else:
                # Whether it may join can change without a ring: a flusher has the key now.
                looks_in = joins_at - now if now < joins_at else JOIN_AFTER
                self._wait(rings, left if has_joined else min(left, looks_in))

    def _wait(self, rings: object, seconds: float) -> None:
        planned = self._clock() + seconds
        self._line.progress.wait(rings, seconds)
        with self._lock:
            self._shutdown.woke(planned, self._clock())

    def _telling_left(self) -> float:
        """Seconds that callbacks may still take; from the first call on, when only they are waited for."""
        now = self._clock()
        if self._telling_until is None:
            self._telling_until = min(now + TELLING, max(now, self._shutdown.deadline) + GRACE)
        return self._telling_until - now

    def _call(self, make_calls: Callable[[], object], left: Callable[[], float]) -> None:
        """Make calls of the application's code, which may hang: wait for them while time is ``left()``."""
        if self._callbacks.is_any_left:
            call_beside(make_calls, self._runtime, left)

    def _make_last_calls(self, *, hurries: bool) -> None:
        """Tell what is left to be told, while there is time; what is not told by then is counted, and logged.

        That is: until the deadline, or for a moment where that is past, or who closes ``hurries``. No single
        call is waited for beyond what callbacks may take.
        """
        patience = max(self._telling_left(), LAST_CALLS)
        begun = self._clock()
        deadline = min(begun, self._shutdown.deadline) if hurries else self._shutdown.deadline
        until = max(deadline, min(begun, deadline) + TELLING / 2, begun + LAST_CALLS)

        def left() -> float:
            call_begun = max(begun, self._callbacks.last_call_at)
            return min(call_begun + patience, until + patience / 2) - self._clock()

        try:
            self._call(lambda: self._callbacks.make_last(until), left)
        finally:
            self._callbacks.leave_out_last()  # where one of the calls hangs
            self._callbacks.tell_hanging()

    def _may_send_here(self) -> bool:
        """Whether sending here runs no code of the application that may hang: key and session are known."""
        has_session = self._config.session_factory is None or self._gate.accepted
        return not self._flushers.alive or bool(self._key.source.known and has_session)

    def _await_what_is_on_the_wire(self) -> None:
        self._gate.give_up()
        while True:
            with self._lock:
                rings = self._line.progress.rings
                left = self._shutdown.deadline - self._clock()
                if left <= 0 or not self._buffer.in_flight:
                    return
            self._line.progress.wait(rings, left)

    def _wait_until_told(self) -> None:
        """Wait for whoever closes, this thread or another, to have told of what was given up."""
        while True:
            with self._lock:
                rings = self._line.progress.rings
                is_done, left = self._shutdown.is_done, self._shutdown.deadline - self._clock()
                if is_done:
                    left += GRACE
                if self._is_told or (is_done and left <= 0):
                    return
            if left <= 0:  # whoever closes hangs in a request that had longer
                self.finish()
                return
            self._wait(rings, left)

    # --- the end ---

    def on_flusher_ended(self) -> None:
        """Finish, where the last flusher has ended, and no thread is inside close()."""
        with self._lock:
            is_over = self._shutdown.has_begun and not self._flushers.alive and self._closer is None
        if is_over:
            self.finish()

    def on_writer_ended(self) -> None:
        """Finish, where the store's writer was the last thread of all, and nothing is left to be done."""
        if not self._line.pending and not self._shutdown.is_done:
            self.on_flusher_ended()

    def give_up(self) -> None:
        """End now: what is undelivered is given up, counted and told."""
        self._gate.give_up()
        self.finish(hurries=True)

    def finish(self, *, hurries: bool = False) -> None:
        """End: what is still undelivered, and not on disk, is given up, counted and told.

        ``hurries``: the deadline is not waited for, however much there is to be told.
        """
        self._store.save()
        with self._lock:
            if self._shutdown.is_done:
                return
            why = self._health.last_error() or self._gate.refused_lately()
            outcomes = left_at_close(self._line.give_up())
            for outcome in outcomes:
                self._ledger.record(outcome)
            kept = self._line.pending
            self._receipts.end_pending()
            self._teller = threading.get_ident()
        self._flushers.bell.ring()
        self._line.progress.ring()
        try:
            self._store.finish()
            self._destination.finish()
            self._reporter.tell_closed(outcomes, why, kept=kept, where=self._store.place)
            self._make_last_calls(hurries=hurries)
        finally:
            with self._lock:
                self._is_told, self._teller = True, None
            self._line.progress.ring()
