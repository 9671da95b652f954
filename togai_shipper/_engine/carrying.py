"""A flusher's work: take a batch from the line, deliver it, and settle what became of its events."""

from __future__ import annotations

import logging

from togai_shipper._outcome import Rejected

from .batching import Batch
from .buffer import Wait
from .causes import accepted_of, rejected_of
from .delivery import Carried, Trip
from .destination import Connection
from .health import REFUSING, Health
from .parts import Parts
from .runtime import FOREVER
from .settlement import LET_OTHERS_GO, Circumstances, Settlement, is_past_window, settle
from .telling import Telling
from .threads import RESTART_AFTER
from .verdict import Accepted, Park, TryLater, Verdict, is_page
from .waiters import Waiter


class Carrying:
    """Carries batches, on a flusher or on a thread that flushes or closes."""

    def __init__(self, parts: Parts, health: Health) -> None:
        self._health = health
        self._clock = parts.runtime.clock
        self._lock = parts.lock
        self._shutdown = parts.shutdown
        self._gate = parts.gate
        self._buffer = parts.buffer
        self._store = parts.store
        self._line = parts.line
        self._flushers = parts.flushers
        self._delivery = parts.delivery
        self._ledger = parts.ledger
        self._log = parts.log
        self._callbacks = parts.callbacks
        self._reporter = parts.reporter
        self._destination = parts.destination
        self._asking = parts.asking
        self._verifying = parts.verifying

    # --- batch after batch ---

    def work(self, until: Waiter | None = None) -> None:
        """Carry batches until there are no more; whatever goes wrong with one, the next is carried.

        ``until``: stop when that is settled, or its time is over.
        """
        with self._flushers.carrying():
            while True:
                try:
                    self._carry_all(until)
                except Exception as error:  # a bug, no memory: the batch is in the line again
                    text = f"a flusher failed ({type(error).__name__}), no event is lost; it goes on"
                    if not self.note_failure(text, until):
                        return  # close() tells of what is left; a flush() has its report
                else:
                    self._callbacks.make_deferred()
                    return

    def note_failure(self, message: str, until: Waiter | None = None) -> bool:
        """Tell of the exception under way, and let a moment pass; return whether there is time to go on."""
        self._gate.note_failure(message)
        self._log.complain("flusher", message, level=logging.ERROR, exc_info=True)
        go_on_at = self._clock() + RESTART_AFTER
        while True:
            rings = self._gate.turn.rings
            now = self._clock()
            deadline = self._deadline(until)
            left = min(go_on_at, deadline) - now
            if left <= 0:
                return now < deadline
            self._gate.turn.wait(rings, left)

    def _carry_all(self, until: Waiter | None) -> None:
        connection = self._destination.connect()
        bell = self._flushers.bell
        try:
            while True:
                rings = bell.rings  # read before the line is looked at: what rings in between is not lost
                work = self._line.take(until)
                if not isinstance(work, Batch) and self._asks(connection, until):
                    continue
                if work is None:
                    return
                if isinstance(work, Wait):
                    if not self._store.work_here() and not self._callbacks.make_deferred():
                        self._idle(rings, work, until)
                    continue
                if self._line.is_full_batch_waiting:
                    self._flushers.wake()
                self._carry_one(work, connection, until)
                self._callbacks.make_deferred()
        finally:
            connection.close()

    def _asks(self, connection: Connection, until: Waiter | None) -> bool:
        return self._asking.ask(connection, lambda: self._deadline(until))

    def _idle(self, rings: object, work: Wait, until: Waiter | None) -> None:
        times = [each for each in (work.seconds, self._asking.wait(), self._tell_room()) if each is not None]
        now, seconds = self._clock(), min(times, default=None)
        self._flushers.bell.wait(rings, seconds)
        self._woke(now + (FOREVER if seconds is None else seconds), until)

    # --- one batch ---

    def _carry_one(self, batch: Batch, connection: Connection, until: Waiter | None) -> None:
        carried = Carried(self._buffer.as_known(batch))
        try:
            is_expired = is_past_window(carried.batch, self._clock())
            if not is_expired:
                trip = Trip(
                    # Where it was taken from us (its store has to leave it to another), time is up.
                    deadline=lambda: self._deadline(until) if self._buffer.holds(batch) else -FOREVER,
                    note=lambda as_it_stands: self._buffer.note(batch, as_it_stands),
                    woke=lambda planned: self._woke(planned, until),
                    failing=self.on_failing,
                )
                self._delivery.deliver(carried, connection, trip)
            if is_expired and batch.probe:
                with self._lock:
                    self._gate.parking.abandon_probe()
            if is_expired or carried.batch.attempts > batch.attempts:
                self._settle(batch, carried)
        finally:
            # Still held: it was not sent, or this thread is being ended by whatever was raised.
            self._put_back(batch, carried)

    def _put_back(self, batch: Batch, carried: Carried) -> None:
        with self._lock:
            if batch.probe:  # one that was answered is over already
                self._gate.parking.abandon_probe()
            if self._buffer.holds(batch):
                self._line.settle(batch, Settlement(again=[carried.history()]))
                self._ring()

    def _deadline(self, until: Waiter | None) -> float:
        """Until when a batch is tried, and when the request under way has to be over."""
        return min(until.deadline if until else FOREVER, self._shutdown.deadline)

    def _woke(self, planned: float, until: Waiter | None) -> None:
        """Note that a wait which was to end at ``planned`` has ended: perhaps the process was frozen."""
        with self._lock:
            now = self._clock()
            self._shutdown.woke(planned, now)
            if until:
                until.woke(planned, now)

    def on_failing(self, message: str) -> None:
        """Tell that an attempt failed; start another flusher for what is due, since this batch is stuck."""
        with self._lock:
            is_due = self._buffer.is_batch_due()
            seconds = self._gate.failing_for(self._clock())
        if is_due:
            self._flushers.ensure()
        self._reporter.tell_failing(seconds, message, self._line.pending)

    def _tell_room(self) -> float | None:
        """Tell that there is room again, if so; return in how many seconds to look, ``None``: not at all."""
        seconds = self._health.room_in()
        if seconds != 0.0:
            return seconds
        with self._lock:
            refused = self._ledger.refused["full"]
            self._ledger.room_is_told()
        self._reporter.tell_room(REFUSING, refused)
        return None

    # --- what became of it ---

    def _settle(self, batch: Batch, carried: Carried) -> None:
        causes = self._buffer.causes
        taken = accepted_of(carried.batch, carried.verdict)
        traits = causes.traits_of_all(taken) if causes.is_curious else frozenset()
        with self._lock:
            if not self._buffer.holds(batch):  # given up while on the wire: a late reply counts no more
                return
            at = Circumstances(
                self._clock(),
                closing=self._shutdown.has_begun,
                parked=self._gate.parking.cause is not None,
                left=self._shutdown.deadline - self._clock(),
                may_divide=self._may_divide(),
                accepted=self._gate.accepted,
                split=self._buffer.byte_cap.division(carried.batch),
            )
            as_it_went = self._buffer.as_known(carried.batch)
            settlement = settle(as_it_went, carried.verdict, at)
            is_taken = isinstance(carried.verdict, Accepted)
            learnt = self._buffer.learn(carried.batch, carried.verdict)
            telling = Telling(self._line.progress)
            parked = self._record(batch, settlement, telling) or carried.parked
            rejected = rejected_of(as_it_went, carried.verdict, settlement)
            learnt_causes = self._buffer.learn_causes(len(taken), traits, rejected)
            self._buffer.suspect(as_it_went, carried.verdict)
            if len(batch) == 1 and is_page(carried.verdict):
                parked = self._gate.on_page(carried.verdict.status, batch.size) or parked
            is_opened = batch.probe and self._gate.parking.cause is None
            if is_taken and (batch.probe or batch.server_errors):
                self._buffer.take_up()  # what was set aside may get through, too
            if is_opened and at.closing:
                self._shutdown.allow_probe()
            self._ring()
        self._verifying.note_settled(settlement.outcomes, as_it_went)
        with self._callbacks.telling(telling):
            self._tell_going_on(carried.verdict)
            if is_opened:
                self._store.stir()
                self._reporter.tell_opened(self._destination.name, self._line.pending)
            if learnt:
                self._reporter.tell_learnt(learnt)
            if share := self._ledger.effort.share(self._clock()):
                self._reporter.tell_search(share)
            for cause in learnt_causes.found:
                self._reporter.tell_cause(cause)
            for cause in learnt_causes.over:
                self._reporter.tell_cause_over(cause)
            self._tell(settlement, parked)
            self._tell_room()

    def _may_divide(self) -> bool:
        """Whether all that waits can be tried as often as it would be, though it were one request more."""
        if not self._shutdown.has_begun or self._buffer.requests == 1:
            return True
        return self._gate.has_time_for(self._buffer.requests + 1, "/ingestBatch", within=2 * LET_OTHERS_GO)

    def _record(self, batch: Batch, settlement: Settlement, telling: Telling) -> Park | None:
        """Into the ledger and back into the line, in one step; return why that parked the line, if so."""
        parked = None
        self._line.settle(batch, settlement, telling)
        for outcome in settlement.outcomes:
            self._ledger.record(outcome, telling)
            if batch.cause is None or not isinstance(outcome, Rejected):  # else no news of all the others
                parked = self._gate.on_outcome(outcome) or parked
        return parked

    def _ring(self) -> None:
        """Let others look again: a batch may be due, room be made, or settled what somebody waits for."""
        self._flushers.bell.ring()
        self._line.progress.ring()

    def _tell_going_on(self, verdict: Verdict) -> None:
        if not isinstance(verdict, (Park, TryLater)):
            self._reporter.tell_going_on(self._gate.answer_seconds, self._line.pending)

    def _tell(self, settlement: Settlement, parked: Park | None) -> None:
        for outcome in settlement.outcomes:
            self._reporter.tell(outcome)
        for batch in settlement.last:
            if batch.why_aside:
                self._reporter.tell_set_aside(batch.events[0], batch.why_aside)
        if parked:
            self._store.stir()
            self._reporter.tell_parked(parked, self._line.pending)
