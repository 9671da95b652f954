"""The line of pending events as a whole: the buffer, the store beside it, and who waits for them.

Every method takes the shipper's lock, so no figure can be read without it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from togai_shipper._outcome import FlushReport

from .batching import Batch
from .buffer import Buffer, Wait, Work
from .destination import Destination
from .gate import Gate
from .settlement import Settlement
from .shutdown import Shutdown
from .store import Store
from .telling import Telling
from .waiters import Waiter, Waiters


class Line:
    """Every event that is accepted and not settled."""

    def __init__(
        self,
        clock: Callable[[], float],
        lock: threading.RLock,
        shutdown: Shutdown,
        gate: Gate,
        buffer: Buffer,
        store: Store,
        waiters: Waiters,
        destination: Destination,
    ) -> None:
        self._clock = clock
        self._lock = lock
        self._shutdown = shutdown
        self._gate = gate
        self._buffer = buffer
        self._store = store
        self._waiters = waiters
        self._destination = destination
        self.progress = waiters.progress  # rung when events were settled

    @property
    def pending(self) -> int:
        """Events accepted and not settled."""
        with self._lock:
            return self._buffer.count + self._store.waiting

    @property
    def is_waiting(self) -> bool:
        """Whether there are events that no flusher carries."""
        with self._lock:
            return self.pending > self._buffer.in_flight

    @property
    def is_full_batch_waiting(self) -> bool:
        """Whether a flusher more would have a whole batch to send."""
        with self._lock:
            return self._buffer.is_full_batch_waiting

    def oldest_since(self) -> float | None:
        """Monotonic seconds at which the oldest pending event was accepted."""
        with self._lock:
            ages = (self._buffer.oldest_since(), self._store.oldest_since())
            return min((age for age in ages if age is not None), default=None)

    # --- flushers ---

    def take(self, until: Waiter | None = None) -> Work:
        """Hand out the batch that is due, or say how long to wait for one; ``None`` where all is done.

        That is: closing, and nothing is left that can be sent; or ``until`` is settled, its deadline past, or
        nothing will move soon.
        """
        with self._lock:
            now = self._clock()
            if until and (now >= until.deadline or not self.outstanding(until)):
                return None
            if self._shutdown.is_abandoned and not self._shutdown.has_begun and not self.pending:
                self._shutdown.begin(now, 0.0, is_probing=False)
            work = self._buffer.take(self._store.coming)
            if isinstance(work, Batch) and work.probe:
                self._gate.parking.begin_probe()
                if self._shutdown.has_begun:
                    self._shutdown.note_probe()
            if until and isinstance(work, Wait):
                if self._gate.parking.is_stuck():
                    return None
                left = until.deadline - now
                return Wait(left if work.seconds is None else min(left, work.seconds))
            return work

    def settle(self, batch: Batch, settlement: Settlement, telling: Telling | None = None) -> None:
        """Note what became of the events of ``batch``, held, and put the others back; ``telling`` tells."""
        with self._lock:
            events = [event for outcome in settlement.outcomes for event in outcome.events]
            size = sum(map(len, events))
            self._buffer.release(batch, len(events), size, settlement.again, settlement.last)
            for outcome in settlement.outcomes:
                self._store.note_settled(outcome)
                self._waiters.count(outcome, batch, telling)

    # --- flush and close ---

    def begin_flush(self, deadline: float) -> Waiter:
        """Let what is pending now go without the linger; the caller waits for it, and calls ``end_flush``."""
        with self._lock:
            accepted = self._buffer.position + self._store.coming
            self._buffer.begin_flush(accepted)
            return self._waiters.add(accepted, self.pending, deadline)

    def end_flush(self, waiter: Waiter) -> None:
        """Wait no longer."""
        with self._lock:
            self._waiters.remove(waiter)

    def wait_for_all(self, deadline: float) -> Waiter:
        """Let everything go without the linger; the caller waits for all there is, until the end."""
        with self._lock:
            waiter = self._waiters.add_for_all(deadline)
            self._buffer.begin_close()
            return waiter

    def outstanding(self, waiter: Waiter) -> int:
        """How many of the events that ``waiter`` waits for are not settled."""
        with self._lock:
            return min(waiter.left, self.pending)

    def wait_until_told(self, waiter: Waiter, until: float) -> None:
        """Wait for the application to be told of what ``waiter`` has waited for; its code may hang."""
        while True:
            rings = self.progress.rings
            left = until - self._clock()
            if left <= 0 or waiter.is_told:
                return
            self.progress.wait(rings, left)

    def report(self, waiter: Waiter) -> FlushReport:
        """What became of the events that ``waiter`` waits for."""
        with self._lock:
            return FlushReport(
                waiter.delivered,
                waiter.rejected,
                waiter.dropped,
                self.outstanding(waiter),
                waiter.relayed,
                self._destination.held,
            )

    def give_up(self) -> list[Batch]:
        """End: return what is lost, even what a flusher still carries (its late reply changes nothing).

        What the store keeps is pending still.
        """
        with self._lock:
            self._shutdown.finish()
            pending = self.pending
            lost = self._store.take_back(self._buffer.give_up())
            self._waiters.count_dropped(sum(map(len, lost)), pending)
            return lost
