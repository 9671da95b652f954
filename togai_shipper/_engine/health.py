"""How a shipper stands: every figure at one instant, and why events do not get through, if so."""

from __future__ import annotations

from togai_shipper._outcome import State, Stats
from togai_shipper._plural import counted

from .parts import Parts
from .self_report import SelfReport, self_report_of
from .verdict import NO_REPLY_YET, words_of

NEXT_ALONE = "the next ones are tried one at a time"
STALE = 300.0  # seconds. Togai bills nothing that arrives after its cycle's grace period: told early
FAILING = 60.0  # seconds of failed attempts alone before that counts as unhealthy
ROOM = 0.8  # of each bound: what is taken of it at most where there is room again, as TogaiFilling has it
REFUSING = 60.0  # seconds for which an event that found no room counts as unhealthy: it is lost


class Health:
    """Looks at one shipper's parts, under their lock."""

    def __init__(self, parts: Parts) -> None:
        self._config = parts.config
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
        self._verifying = parts.verifying
        self._keeps = parts.config.spool is not None and parts.config.enabled

    @property
    def state(self) -> State:
        """``open``, ``parked``, ``closing`` or ``closed``."""
        if self._shutdown.is_done:
            return "closed"
        if self._shutdown.has_begun:
            return "closing"
        return "parked" if self._gate.parking.cause else "open"

    def complaint(self) -> str | None:  # noqa: C901, PLR0911  the cases, the worst first
        """Why events do not get through as they should; ``None`` if they do."""
        with self._lock:
            now = self._clock()
            oldest = self._line.oldest_since()
            if cause := self._gate.parking.cause:
                return f"parked: {words_of(cause)}"
            if self._flushers.failure:
                return self._flushers.failure
            if complaint := self._store.complaint():
                return complaint
            if known := self._buffer.cause_at_work():
                count = self._buffer.lane.count
                waiting = counted(count, "event like it waits by itself", "events like it wait by themselves")
                return f"Togai rejects every event that has {known}: {waiting if count else NEXT_ALONE}"
            aside, why = self._buffer.set_aside
            if aside:
                return f"{counted(aside, 'event is', 'events are')} set aside: {why}"
            if self._is_refusing(now):
                refused = counted(self._ledger.refused["full"], "event was", "events were")
                why = f": {self._gate.last_error}" if self._gate.last_error else ""
                return f"the buffer is full, and {refused} refused{why}"
            if oldest is not None and self._gate.failing_for(now) >= FAILING:
                why = self._gate.last_error or self._gate.waits_for(now) or NO_REPLY_YET
                return f"every attempt of the last minute failed: {why}"
            if oldest is not None and (share := self._ledger.effort.share(now)):
                return f"{share:.0%} of the requests go into finding the events that Togai rejects"
            if oldest is not None and self._flushers.are_held_up:
                name, seconds = self._callbacks.longest()
                if seconds >= FAILING:
                    return f"{name} has not returned for {seconds:.0f} s, on every flusher, and events wait"
            if oldest is not None and now - oldest > STALE:
                return f"the oldest pending event waits for {now - oldest:.0f} s"
            return None

    def _is_refusing(self, now: float) -> bool:
        return self._ledger.full_at is not None and now - self._ledger.full_at <= REFUSING

    def room_in(self) -> float | None:
        """Seconds until it may be told that there is room again; ``None``: there is nothing to be told."""
        with self._lock:
            if self._ledger.full_at is None:
                return None
            left = self._ledger.full_at + REFUSING - self._clock()
            if left > 0:
                return left
            limits, used = self._limits(), self._used()
            return 0.0 if all(used[name] <= ROOM * limits[name] for name in limits) else None

    def last_error(self) -> str | None:
        """Why events do not get through; else why the last attempt failed, or for what it waits so long."""
        with self._lock:
            return self.complaint() or self._gate.last_error or self._gate.waits_for(self._clock())

    def _limits(self) -> dict[str, int]:
        config = self._config
        limits = {"max_queue_size": config.max_queue_size, "max_queue_bytes": config.max_queue_bytes}
        return limits if config.spool is None else {**limits, "max_spool_bytes": config.max_spool_bytes}

    def _used(self) -> dict[str, int]:
        stored = int(self._store.figures().get("spool_bytes", 0))
        sizes = {"max_queue_size": self._buffer.count, "max_queue_bytes": self._buffer.size}
        return {**sizes, "max_spool_bytes": stored}

    def stats(self) -> Stats:
        """Every figure at one instant."""
        with self._lock:
            ledger, pending, oldest = self._ledger, self._line.pending, self._line.oldest_since()
            limits, stored = self._limits(), self._store.figures()
            used = self._used()
            return Stats(
                accepted=ledger.settled + pending,
                delivered=ledger.delivered,
                duplicates=ledger.duplicates,
                relayed=ledger.relayed,
                rejected=ledger.rejected,
                dropped=dict(ledger.dropped),
                pending=pending,
                in_flight=self._buffer.in_flight,
                in_lane=self._buffer.lane.count,
                refused=dict(ledger.refused),
                left_out=dict(ledger.left_out),
                limits=limits,
                used={name: used[name] for name in limits},
                retries=ledger.retries,
                requests=ledger.requests,
                search_requests=ledger.search_requests,
                bytes_sent=ledger.bytes_sent,
                replies=dict(ledger.replies),
                request_seconds=ledger.request_seconds,
                oldest_pending_age=0.0 if oldest is None else max(0.0, self._clock() - oldest),
                last_error=self.last_error(),
                state=self.state,
                **stored,
                **self._destination.figures(),
                **self._verifying.figures(),
            )

    def self_report(self, now_ms: int) -> SelfReport:
        """How all stands, as others are told; ``now_ms``: by the wall clock."""
        with self._lock:
            return self_report_of(
                self.stats(),
                now_ms,
                is_healthy=self.complaint() is None,
                is_by_key=self._gate.parking.is_by_key,
                is_refusing=self._is_refusing(self._clock()),
                keeps=self._keeps,
                relay=self._destination.relay,
            )
