"""Asks Togai what time it is, where a store keeps events only since nobody knows.

Any reply says it. But a store may have nothing else to send, and no room for anything else: no reply would
ever come. The question is the look-up that ``doctor --check-key`` makes, too: Togai bills nothing for it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from togai_shipper._process.signals import without_sigpipe

from .destination import Connection
from .exchange import while_waiting
from .gate import Gate
from .key import Key, KeyUnavailable
from .ledger import Ledger
from .log import Log
from .parking import KEY_PROBES, LINE_PROBES, UNAUTHORIZED
from .server_clock import ServerClock
from .shutdown import Shutdown
from .transport import NoSession
from .verdict import Reply, TryLater, is_word_on_a_look_up, judge

PATH = "/ingest"  # it counts as one of the requests to this endpoint
PATIENCE = 5.0  # seconds for the reply: the events that come meanwhile may have to wait for this flusher


class Asking:
    """Asks, one request at a time, and not more often than a parked line is probed."""

    def __init__(
        self,
        clock: Callable[[], float],
        lock: threading.RLock,
        shutdown: Shutdown,
        gate: Gate,
        ledger: Ledger,
        key: Key,
        log: Log,
        server_clock: ServerClock,
    ) -> None:
        self._clock = clock
        self._lock = lock
        self._shutdown = shutdown
        self._gate = gate
        self._ledger = ledger
        self._key = key
        self._log = log
        self._server_clock = server_clock
        self._is_asking = False
        self._failed = 0  # in a row
        self._due_at = 0.0

    def wait(self) -> float | None:
        """Return the seconds until it is asked; ``None``: nobody wants to know, or it cannot be asked."""
        if not self._server_clock.is_wanted:  # looked at without the lock: so it is nearly always
            return None
        with self._lock:
            is_stopped = self._gate.parking.cause is not None or self._shutdown.has_begun
            return None if self._is_asking or is_stopped else max(0.0, self._due_at - self._clock())

    def ask(self, connection: Connection, deadline: Callable[[], float]) -> bool:
        """Ask on this thread, if that is due; return whether it was."""
        with self._lock:
            if self.wait() != 0.0 or self._clock() >= deadline():
                return False
            self._is_asking = True
        reply: Reply | None = Reply(None, error="the flusher was stopped", sent=False)
        again_in = None
        try:
            reply = self._reply(connection, deadline)
        finally:
            with self._lock:
                self._is_asking = False
                if reply is not None:
                    again_in = self._note(reply)
        if reply is not None and again_in is not None:
            text = "Togai does not say what time it is (%s); events that may be too old stay; again in %.0f s"
            self._log.complain("time", text, reply.error or f"HTTP {reply.status}", again_in)
        return True

    def _reply(self, connection: Connection, deadline: Callable[[], float]) -> Reply | None:
        """Ask, in turn; return ``None`` where that has not come."""
        try:
            key = self._key.current()
        except KeyUnavailable as error:
            return Reply(None, error=str(error), sent=False)
        if not self._gate.enter(PATH, deadline):
            return None
        begun, reply = self._clock(), Reply(None, error="the flusher was stopped")
        try:
            with without_sigpipe(), while_waiting(lambda _: None):
                reply = connection.look_up(key, min(PATIENCE, deadline() - begun))
        except NoSession as error:
            reply = Reply(None, error=str(error), sent=False)
        finally:
            with self._lock:
                self._gate.step_out(None if reply.sent else PATH)
                if reply.sent:
                    self._ledger.request(0, is_retry=False)
                    self._ledger.replied(reply.status, self._clock() - begun)
        return reply

    def _note(self, reply: Reply) -> float | None:
        """Note what came of it; return in how many seconds it is asked again, ``None`` where it is told."""
        if is_word_on_a_look_up(reply):
            self._server_clock.note(reply.date)
            return None
        verdict = judge(reply)
        if isinstance(verdict, TryLater) and verdict.throttled:
            self._gate.on_verdict(verdict)
        first, longest = KEY_PROBES if reply.status == UNAUTHORIZED else LINE_PROBES
        wait = min(longest, first * 2.0 ** min(self._failed, 16))
        self._failed += 1
        self._due_at = self._clock() + wait
        self._server_clock.note_unanswered()
        return wait
