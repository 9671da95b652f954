"""Everything that one shipper owns in one process, put together: buffer, gate, ledger, flushers.

A forked child makes a new one and leaves its parent's alone. It does not know the ``Shipper`` in front of it,
so a shipper that is garbage-collected unclosed still delivers.
"""

from __future__ import annotations

import logging
import os
import random
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Literal

from ._config import ApiKey, Config
from ._engine.batching import Batch
from ._engine.bell import Bell
from ._engine.buffer import Buffer, Closing, Waiter
from ._engine.delivery import Carried, Delivery, Trip
from ._engine.flushers import RESTART_AFTER, Flushers, start_thread
from ._engine.gate import ANSWER_CLOSING, Gate
from ._engine.health import Health
from ._engine.receipts import Receipt, Receipts
from ._engine.reporting import Reporter
from ._engine.settlement import Circumstances, Settlement, is_past_window, left_at_close, settle
from ._engine.transport import Key, Transport, connected
from ._engine.verdict import Accepted, Park, TryLater, is_line_dead
from ._event import id_of
from ._outcome import FlushReport, Ledger, Refusal, Settled
from ._process import exits
from ._wording import counted

FOREVER = float("inf")
GRACE = 1.0  # seconds over its deadline that close() waits for another thread to tell what it gave up
JOIN_AFTER = 0.5  # seconds that close() leaves all sending to the flushers; a quarter of its time, if less

_system_random = random.SystemRandom().random  # not a generator of ours: forked workers would share its state


class Pipeline:
    """From ``put`` to the outcome."""

    def __init__(
        self,
        config: Config,
        *,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
        random: Callable[[], float] = _system_random,
        bell: Callable[[], Bell] = Bell,
        connect: Callable[[Config], Transport] = connected,
        thread: Callable[[Callable[..., None], tuple[object, ...]], object] = start_thread,
        starting: Callable[[], None] = lambda: None,
    ) -> None:
        self.pid = os.getpid()
        self._config = config
        self._clock = clock
        self._connect = connect
        self._starting = starting  # called when there is first something to deliver
        self.lock = threading.RLock()
        self.receipts = Receipts()
        self.reporter = Reporter(config, self.receipts, clock, self._away)
        self.ledger = Ledger()
        self.gate = Gate(config, self.lock, clock, random, turn=bell())
        self.buffer = Buffer(config, self.lock, self.gate, clock, work=bell(), settled=bell())
        self.key = Key(config.api_key or "")
        self.delivery = Delivery(config, self.gate, self.ledger, self.key, clock, random, self._failing)
        self.flushers = Flushers(
            config.max_in_flight,
            self.lock,
            clock,
            self._work,
            self._flusher_failed,
            self._flusher_ended,
            thread,
        )
        self.health = Health(self.lock, self.ledger, self.gate, self.buffer, self.flushers, clock)
        self.buffer.attend = self._attend
        self.buffer.idle = self.reporter.call_left
        self._put: Callable[[bytes], Literal["closed", "full"] | None] = self.buffer.put
        if config.spool is not None:
            self._spool(config.spool, clock, wall, random, bell, thread)
        self._splits = 0
        self._closer: int | None = None  # the thread inside close()
        self.afterwards: Callable[[], None] | None = None  # what that thread does once it is over
        self._last = Waiter(0, 0.0, 0)  # what close() waits for
        self._teller: int | None = None  # the thread that tells of what was given up
        self._told = False  # closed, and that was told

    def _spool(
        self,
        directory: str,
        clock: Callable[[], float],
        wall: Callable[[], float],
        random: Callable[[], float],
        bell: Callable[[], Bell],
        thread: Callable[[Callable[..., None], tuple[object, ...]], object],
    ) -> None:
        """The durable store, put before and behind the buffer."""
        from .spool.writer import Spool  # noqa: PLC0415  who has no spool does not wait for sqlite3

        spool = Spool(
            self._config,
            directory,
            self.lock,
            self.buffer,
            self.reporter,
            clock=clock,
            wall=wall,
            random=random,
            work=bell(),
            server_time=self.delivery.server_time,
            record=self._count,
            starting=self._starting,
            thread=thread,
        )
        self._put, self.buffer.store = spool.put, spool

    # --- callers ---

    def put(self, event: bytes, held: Receipt | None = None) -> Literal["closed", "full"] | None:
        """Take one encoded event, for which somebody may hold a receipt; says why not."""
        refused = self._put(event) if held is None else self._put_for(event, held)
        if self.flushers.failure:
            message = "%s; tried again once a second, and flush() and close() send on their caller's thread"
            self.reporter.complain("thread", message, self.flushers.failure, level=logging.ERROR)
        return refused

    def _attend(self) -> None:
        """Events wait and no flusher is idle: start the first one; another only for a batch that is due."""
        flushers, closing = self.flushers, self.buffer.closing is not None
        if closing and (exits.is_over() or not flushers.available):
            return  # the closing thread does it; an interpreter on its way down starts no thread
        if flushers.available:
            gate, buffer = self.gate, self.buffer
            all_busy = buffer.batches_in_flight >= flushers.available
            may_two = gate.parking is None and not gate.alone_for(self._clock())
            wanted = all_busy and may_two and buffer.is_batch_due()
        else:
            wanted = True
        if wanted and flushers.may_start():
            if not closing:
                self._starting()
            flushers.start()
        self.buffer.attended = flushers.available > 0

    def refuse(self, reason: Refusal) -> None:
        """Count a call of ``track()`` that was not accepted."""
        with self.lock:
            self.ledger.refused[reason] += 1

    def _put_for(self, event: bytes, held: Receipt) -> Literal["closed", "full"] | None:
        # Under one lock: in between, another event with this id might be settled, and find this receipt.
        with self.lock:
            event_id = id_of(event)
            self.receipts.expect(event_id, held)
            refused: Literal["closed", "full"] | None = "closed"
            try:
                refused = self._put(event)
            finally:
                if refused:
                    self.receipts.forget(event_id, held)
            return refused

    def put_waiting(
        self, event: bytes, timeout: float, held: Receipt | None = None
    ) -> Literal["closed", "full"] | None:
        """``put``, but wait up to ``timeout`` seconds for room."""
        until = self._clock() + (0.0 if self._must_not_wait() else timeout)
        while True:
            with self.lock:
                rings = self.buffer.settled.rings
                refused = self._put(event) if held is None else self._put_for(event, held)
            left = until - self._clock()
            if refused != "full" or left <= 0:
                return refused
            self.buffer.settled.wait(rings, left)

    def set_api_key(self, key: ApiKey) -> None:
        """Use another key; a parked line is probed with it at once."""
        with self.lock:  # under it, a request that is refused with the old key sees that there is another
            self.key.replace(key)
            self.gate.probe_now()
            self.buffer.work.ring()
            if self.buffer.pending:
                self.buffer.attend()

    @property
    def pending(self) -> int:
        """Events accepted and not settled."""
        with self.lock:
            return self.buffer.pending

    @property
    def close_timeout(self) -> float:
        """Seconds that closing at exit may take."""
        return self._config.close_timeout

    def is_feedback(self) -> bool:
        """Whether the calling thread came to ``track()`` through a log record of our own doing."""
        return self.reporter.is_feedback(self.flushers.threads)

    @property
    def is_on_flusher(self) -> bool:
        """Whether the calling thread is carrying batches, so that it must not wait for them."""
        return threading.get_ident() in self.flushers.threads

    def _must_not_wait(self) -> bool:
        """Whether waiting would be for ourselves.

        On a flusher, in a callback; or in a signal handler or ``__del__`` that interrupts this very thread
        while it holds the lock, without which no flusher gets on; or in a callback that close() itself makes.
        """
        return self.is_on_flusher or self._teller == threading.get_ident() or bool(self.lock._is_owned())  # type: ignore[attr-defined]  # noqa: SLF001  what Condition asks, too

    # --- flush and close ---

    def flush(self, timeout: float) -> FlushReport:
        """Send what is pending now, and wait for it until ``timeout`` seconds have passed."""
        waits = not self._must_not_wait()
        self.buffer.store.begin(drives=waits)
        with self.lock:
            waiter = self.buffer.hurry(self._clock() + timeout)
            if self.buffer.pending:
                self.buffer.attend()
            alone = not self.flushers.alive and self.buffer.pending and not self.buffer.closing
        try:
            if waits:
                if alone:
                    self.flushers.work_here(waiter)
                self._wait(waiter)
            return self._report_to(waiter)
        finally:
            with self.lock:
                self.buffer.waiters.remove(waiter)

    def _wait(self, waiter: Waiter) -> None:
        """Wait until all is settled, time is up, or nothing will move (parked, and no probe due)."""
        while True:
            with self.lock:
                left = waiter.deadline - self._clock()
                stuck = self.gate.is_stuck() and not self.buffer.closing
                if left <= 0 or stuck or self.buffer.closed or not self.buffer.outstanding(waiter):
                    return
                alone_for = self.gate.alone_for(self._clock())
                if not alone_for:
                    self.buffer.attend()
                rings = self.buffer.settled.rings
            self.buffer.settled.wait(rings, min(left, alone_for or left))

    def _report_to(self, waiter: Waiter) -> FlushReport:
        with self.lock:
            pending = self.buffer.outstanding(waiter)
            return FlushReport(waiter.delivered, waiter.rejected, waiter.dropped, pending)

    def sync(self, timeout: float) -> bool:
        """Whether all that was accepted so far is on disk; waits for that, ``timeout`` seconds at most."""
        return self.buffer.store.sync(timeout, waits=not self._must_not_wait())

    def begin_closing(self, timeout: float) -> None:
        """Take no more events, and have all over in ``timeout`` seconds; only the first call counts."""
        with self.lock:
            if self.buffer.closing is None:
                now = self._clock()
                self._last = self.buffer.hurry(now + timeout)
                # close() answers for every event, however it came into the line.
                self._last.target = self._last.left = sys.maxsize
                self._close_by(now, timeout, probed=self.gate.is_probing)

    def hasten(self, timeout: float) -> None:
        """The process ends: have all over in ``timeout`` seconds, though an earlier close() had more."""
        with self.lock:
            now, plan = self._clock(), self.buffer.closing
            if plan and now + timeout < plan.deadline:
                self._last.deadline = now + timeout
                self._close_by(now, timeout, probed=plan.probed)

    def _close_by(self, now: float, timeout: float, *, probed: bool) -> None:
        self.gate.close(now + timeout)
        self.buffer.close(Closing(now + timeout, now + timeout * 2 / 3, probed=probed))

    def close(self, timeout: float) -> FlushReport:
        """Deliver what can be in ``timeout`` seconds (the first call's), and give up the rest."""
        me = threading.get_ident()
        waits = not self._must_not_wait()
        self.begin_closing(timeout)
        with self.lock:
            first = self._closer is None
            # Nor does a signal handler wait that interrupts close() itself. The flusher, or the close()
            # beneath, finishes afterwards.
            waits = waits and self._closer != me
            if waits and first:
                self._closer = me
        if waits and first:
            self._close()
        if waits:
            self._wait_until_told()
        return self._report_to(self._last)

    @property
    def is_closing_here(self) -> bool:
        """Whether the calling thread is inside close(), beneath."""
        return self._closer == threading.get_ident() and not self._told

    def _close(self) -> None:
        try:
            self._close_or_give_up()
        finally:
            if self.afterwards is not None:
                self.afterwards()

    def _close_or_give_up(self) -> None:
        try:
            self._deliver_the_rest()
            if not self.flushers.alive:  # else they make those calls when they end
                self.reporter.call_left()
        except BaseException:
            # Ctrl-C, or a signal handler's SystemExit: the first is honoured once what is on the wire is back
            # or the deadline is past, a second one at once.
            try:
                self._await_what_is_on_the_wire()
            finally:
                self._finish()
            raise
        self._finish()

    def _deliver_the_rest(self) -> None:
        """Wait for the flushers to deliver and end, and join in where they do not get to it.

        That is: there are none; or all are inside callbacks, or wait for replies, and events wait for them.
        """
        begun = self._clock()
        joins_at = begun + min(JOIN_AFTER, (self._last.deadline - begun) / 4)
        joined = False
        while True:
            with self.lock:
                now, buffer = self._clock(), self.buffer
                left = self._last.deadline - now
                if buffer.closed or left <= 0 or not (self.flushers.alive or buffer.pending):
                    return
                may_join = not joined and buffer.pending > buffer.in_flight and self._may_send_here()
                alone = not self.flushers.available
                rings = buffer.settled.rings
            if may_join and (alone or now >= joins_at):
                joined = True
                with self.reporter.leaving_callbacks() if self.flushers.alive else nullcontext():
                    self.flushers.work_here()
            elif joined and not self.flushers.alive:
                return
            else:
                buffer.settled.wait(rings, min(left, joins_at - now) if may_join else left)

    def _may_send_here(self) -> bool:
        """Whether that asks nothing of the application which may hold up a flusher for ever."""
        has_session = self._config.session_factory is None or self.gate.accepted
        return not self.flushers.alive or bool(self.key.source.known and has_session)

    def _await_what_is_on_the_wire(self) -> None:
        self.gate.give_up()
        while True:
            with self.lock:
                left = self._last.deadline - self._clock()
                if left <= 0 or not self.buffer.in_flight:
                    return
                rings = self.buffer.settled.rings
            self.buffer.settled.wait(rings, left)

    def give_up(self) -> None:
        """End now: what is undelivered is given up, counted and told."""
        self.gate.give_up()
        self._finish()

    def _wait_until_told(self) -> None:
        """Wait for whoever closes, this thread or another, to have told of what was given up."""
        while True:
            with self.lock:
                closed, left = self.buffer.closed, self._last.deadline - self._clock()
                if closed:
                    left += GRACE
                if self._told or (closed and left <= 0):
                    return
                rings = self.buffer.settled.rings
            if left <= 0:  # whoever closes hangs in a request that had longer
                self._finish()
                return
            self.buffer.settled.wait(rings, left)

    def _flusher_failed(self, error: BaseException) -> None:
        self._fail(
            f"a flusher was ended by {type(error).__name__}, no event is lost; another takes its place"
        )

    def _flusher_ended(self) -> None:
        with self.lock:
            self.buffer.attended = self.flushers.available > 0
            if self.buffer.pending > self.buffer.in_flight:
                self.buffer.attend()
            over = self.buffer.closing and not self.flushers.alive and self._closer is None
            self.buffer.settled.ring()
        if over:
            self._finish()

    def _finish(self) -> None:
        """The end: what is still undelivered, and not on disk, is given up, counted and told."""
        self.buffer.store.save()
        with self.lock:
            if self.buffer.closed:
                return
            why = self.health.last_error()
            outcomes = left_at_close(self.buffer.abandon())
            for outcome in outcomes:
                self._count(outcome)
            kept = self.buffer.pending
            self.receipts.leave()
            self._teller = threading.get_ident()
        try:
            self.buffer.store.finish()
            self.reporter.tell_closed(outcomes, why, kept=kept, where=self._config.spool)
        finally:
            self._told, self._teller = True, None
            self.buffer.settled.ring()

    # --- flushers ---

    def _work(self, until: Waiter | None = None) -> None:
        """Carry batches until there are no more; whatever goes wrong with one, the next is carried."""
        while True:
            try:
                self._carry_all(until)
            except Exception as error:  # a bug, no memory: the batch is in the line again
                text = f"a flusher failed ({type(error).__name__}), no event is lost; it goes on"
                if not self._fail(text, until):
                    return  # close() tells of what is left; a flush() has its report
            else:
                self.reporter.call_left()
                return

    def _fail(self, message: str, until: Waiter | None = None) -> bool:
        """Tell of the exception under way, and let a moment pass; return whether there is time to go on."""
        self.gate.fail(message)
        self.reporter.complain("flusher", message, level=logging.ERROR, exc_info=True)
        go_on_at = self._clock() + RESTART_AFTER
        while True:
            rings = self.gate.turn.rings
            closing, now = self.buffer.closing, self._clock()
            deadline = min(closing.deadline if closing else FOREVER, until.deadline if until else FOREVER)
            left = min(go_on_at, deadline) - now
            if left <= 0:
                return now < deadline
            self.gate.turn.wait(rings, left)

    def _carry_all(self, until: Waiter | None) -> None:
        transport = self._connect(self._config)
        try:
            while (batch := self.buffer.take(until)) is not None:
                self._carry(batch, transport, until)
                self.reporter.call_left()
        finally:
            transport.close()

    def _carry(self, batch: Batch, transport: Transport, until: Waiter | None) -> None:
        carried = Carried(batch)
        try:
            expired = is_past_window(batch, self._clock())
            if not expired:
                trip = Trip(
                    deadline=lambda: self._deadline(batch, until),
                    tried_until=lambda: self._tried_until(batch, until),
                    noted=lambda as_it_stands: self.buffer.note(batch, as_it_stands),
                )
                self.delivery.deliver(carried, transport, trip)
            if expired and batch.probe:
                self.gate.abandon_probe()
            if expired or carried.batch.attempts > batch.attempts:
                self._settle(batch, carried)
        finally:
            # Held still: it never had its turn, or this thread is being ended by whatever was raised.
            self._put_back(batch, carried)

    def _put_back(self, batch: Batch, carried: Carried) -> None:
        with self.lock:
            if self.buffer.holds(batch):
                if batch.probe:
                    self.gate.abandon_probe()
                self.buffer.release(batch, again=[carried.history()])

    def _deadline(self, batch: Batch, until: Waiter | None) -> float:
        """When the request under way has to be over; a batch leaves time for stragglers when closing."""
        plan, deadline = self.buffer.closing, until.deadline if until else FOREVER
        if plan is None:
            return deadline
        if not batch.single:
            deadline = min(deadline, max(plan.batches_until, self._clock() + ANSWER_CLOSING))
        return min(deadline, plan.deadline)

    def _tried_until(self, batch: Batch, until: Waiter | None) -> float:
        """Until when it is tried again."""
        plan, deadline = self.buffer.closing, until.deadline if until else FOREVER
        if plan is None:
            return deadline
        return min(deadline, plan.deadline if batch.single else plan.batches_until)

    def _settle(self, batch: Batch, carried: Carried) -> None:
        with self.lock:
            if not self.buffer.holds(batch):  # given up while on the wire: a late reply counts no more
                return
            self._splits += 1
            at = Circumstances(
                self._clock(),
                closing=self.buffer.closing is not None,
                parked=self.gate.parking is not None,
                accepted=self.gate.accepted,
                split=self._splits,
            )
            settlement = settle(carried.batch, carried.verdict, at)
            if isinstance(carried.verdict, Accepted):
                self.buffer.byte_cap.taken(carried.batch, self._config.batch_size)
            elif not isinstance(carried.verdict, TryLater):
                self.buffer.byte_cap.not_taken(carried.batch)
            parked = self._record(batch, settlement) or carried.parked
            if at.closing and batch.single and is_line_dead(carried.verdict):
                self.gate.give_up()
        if batch.probe and isinstance(carried.verdict, Accepted):
            if self.buffer.closing:
                self.buffer.closing.probed = False  # what parks the line again is probed again
            waiting = counted(self.pending, "waits", "wait")
            self.reporter.log(logging.INFO, "Togai takes events again; %s", waiting)
        self._tell(settlement, parked)

    def _record(self, batch: Batch, settlement: Settlement) -> Park | None:
        """Into the ledger and back into the line, in one step; returns why that parked the line, if so."""
        parked = None
        self.buffer.release(batch, settlement.outcomes, settlement.again, settlement.last)
        for outcome in settlement.outcomes:
            self._count(outcome)
            parked = self.gate.heed_outcome(outcome) or parked
        return parked

    def _count(self, settled: Settled) -> None:
        self.ledger.record(settled)
        self.receipts.record(settled)

    def _tell(self, settlement: Settlement, parked: Park | None = None) -> None:
        for outcome in settlement.outcomes:
            self.reporter.tell(outcome)
        for batch in settlement.last:
            if batch.not_before:
                self.reporter.tell_set_aside(batch.events[0])
        if parked:
            self.reporter.tell_parked(parked, self.pending)

    def _failing(self, message: str) -> None:
        with self.lock:
            if self.buffer.is_batch_due():  # it need not wait until this one gets through
                self.buffer.attend()
            seconds, pending = self.gate.failing_for(self._clock()), self.buffer.pending
        self.reporter.tell_failing(seconds, message, pending)

    @contextmanager
    def _away(self) -> Iterator[None]:
        """Around a callback: while it keeps a flusher, another one is wanted for what waits."""
        with self.flushers.away() as held_up:
            if held_up:
                self._look_who_works()
            try:
                yield
            finally:
                if held_up and os.getpid() != self.pid:  # pragma: no cover  a forked child, unmeasured
                    self._forked_away()
        if held_up:
            self._look_who_works()

    def _forked_away(self) -> None:  # pragma: no cover  a forked child, unmeasured
        """A callback has forked, and the child came back from it: as a flusher of its parent's.

        Nothing here is its own, and with the end of this thread, its only one, it would end. So it does.
        """
        exits.close_all()
        os._exit(0)

    def _look_who_works(self) -> None:
        with self.lock:
            self.buffer.attended = self.flushers.available > 0
            if self.buffer.pending > self.buffer.in_flight:
                self.buffer.attend()
            self.buffer.settled.ring()  # close() joins in where nobody else is left
