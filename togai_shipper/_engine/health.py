"""How a shipper stands: every figure at one instant, and why events do not get through, if so."""

from __future__ import annotations

from togai_shipper._outcome import State, Stats
from togai_shipper._plural import counted
from togai_shipper.exceptions import DeliveryError

from .parts import Parts

STALE = 300.0  # seconds. Togai bills nothing that arrives after its cycle's grace period: told early
FAILING = 60.0  # seconds of failed attempts alone before that counts as unhealthy


class Health:
    """Looks at one shipper's parts, under their lock."""

    def __init__(self, parts: Parts) -> None:
        self._clock = parts.runtime.clock
        self._lock = parts.lock
        self._shutdown = parts.shutdown
        self._ledger = parts.ledger
        self._gate = parts.gate
        self._buffer = parts.buffer
        self._store = parts.store
        self._line = parts.line
        self._destination = parts.destination
        self._flushers = parts.flushers
        self._callbacks = parts.callbacks

    @property
    def state(self) -> State:
        """``open``, ``parked``, ``closing`` or ``closed``."""
        if self._shutdown.is_done:
            return "closed"
        if self._shutdown.has_begun:
            return "closing"
        return "parked" if self._gate.parking.cause else "open"

    def complaint(self) -> str | None:  # noqa: PLR0911  the cases, the worst first
        """Why events do not get through as they should; ``None`` if they do."""
        with self._lock:
            now = self._clock()
            oldest = self._line.oldest_since()
            if cause := self._gate.parking.cause:
                return f"parked: {DeliveryError(cause.status, cause.message)}"
            if self._flushers.failure:
                return self._flushers.failure
            if complaint := self._store.complaint():
                return complaint
            if aside := self._buffer.set_aside:
                return f"{counted(len(aside), 'event is', 'events are')} set aside: {aside[0].why_aside}"
            if oldest is not None and self._gate.failing_for(now) >= FAILING:
                why = self._gate.last_error or "no reply yet"
                return f"every attempt of the last minute failed: {why}"
            if oldest is not None and self._flushers.are_held_up:
                name, seconds = self._callbacks.longest()
                if seconds >= FAILING:
                    return f"{name} has not returned for {seconds:.0f} s, on every flusher, and events wait"
            if oldest is not None and now - oldest > STALE:
                return f"the oldest pending event waits for {now - oldest:.0f} s"
            return None

    def last_error(self) -> str | None:
        """Why events do not get through; else why the last attempt failed, if it failed."""
        with self._lock:
            return self.complaint() or self._gate.last_error

    def stats(self) -> Stats:
        """Every figure at one instant."""
        with self._lock:
            ledger, pending, oldest = self._ledger, self._line.pending, self._line.oldest_since()
            return Stats(
                accepted=ledger.settled + pending,
                delivered=ledger.delivered,
                duplicates=ledger.duplicates,
                relayed=ledger.relayed,
                rejected=ledger.rejected,
                dropped=dict(ledger.dropped),
                pending=pending,
                in_flight=self._buffer.in_flight,
                refused=dict(ledger.refused),
                retries=ledger.retries,
                requests=ledger.requests,
                bytes_sent=ledger.bytes_sent,
                replies=dict(ledger.replies),
                request_seconds=ledger.request_seconds,
                oldest_pending_age=0.0 if oldest is None else max(0.0, self._clock() - oldest),
                last_error=self.last_error(),
                state=self.state,
                **self._store.figures(),
                **self._destination.figures(),
            )
