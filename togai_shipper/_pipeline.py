"""An event's way through one shipper, in one process: everything is put together here.

    put -> store -> buffer -> carrying -> delivery -> destination -> verdict -> settlement -> ledger, reporter

A forked child makes a new pipeline and leaves its parent's alone. A pipeline has no reference to its
``Shipper``, so one that is garbage-collected unclosed still delivers.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

from ._config import ApiKey, Config
from ._engine.asking import Asking
from ._engine.buffer import Buffer, PutAnswer
from ._engine.callbacks import Callbacks
from ._engine.carrying import Carrying
from ._engine.causes import Cause
from ._engine.closing import TELLING, Closing
from ._engine.delivery import Delivery
from ._engine.destination import Connection, Destination, Togai
from ._engine.flushers import Flushers
from ._engine.gate import Gate
from ._engine.health import Health
from ._engine.key import Key
from ._engine.ledger import Ledger
from ._engine.line import Line
from ._engine.log import Log
from ._engine.parts import Parts
from ._engine.receipt import Receipt
from ._engine.receipts import Receipts
from ._engine.reporting import Reporter
from ._engine.runtime import Runtime
from ._engine.saying import Saying
from ._engine.self_report import SelfReport
from ._engine.server_clock import ServerClock
from ._engine.shutdown import Shutdown
from ._engine.store import Inlet, MakeStore, Memory, Store, Surroundings
from ._engine.transport import connected
from ._engine.verifying import Verifying
from ._engine.waiters import Waiter, Waiters
from ._outcome import FlushReport, LeftOut, Refusal, State
from ._process import exits
from ._process.this_process import this_process
from ._secret import Secret

if TYPE_CHECKING:
    from .relay.handover import OpenLink


def stored(around: Surroundings) -> Store:
    """Make the store that the options ask for."""
    config = around.config
    if config.spool is None or not config.enabled:  # nothing is sent, whoever left it there
        return Memory(around.buffer, around.flushers)
    from .spool.writer import Spool  # noqa: PLC0415  who has no spool does not wait for sqlite3

    return Spool(
        config,
        config.spool,
        around.runtime,
        around.lock,
        around.shutdown,
        around.inlet,
        around.log,
        around.callbacks,
        around.server_clock,
        around.saying,
        ended=around.ended,
    )


class Pipeline:
    """From ``put`` to the outcome."""

    def __init__(
        self,
        config: Config,
        runtime: Runtime | None = None,
        connect: Callable[[Config], Connection] = connected,
        link: OpenLink | None = None,
        make_store: MakeStore = stored,
    ) -> None:
        self.process = this_process()
        self._config = config
        self._runtime = runtime = runtime or Runtime()
        self._clock = clock = runtime.clock
        self.lock = lock = threading.RLock()
        self.shutdown = shutdown = Shutdown()
        self.key = Key(config.api_key)
        self.receipts = Receipts()
        self.ledger = Ledger(self.receipts)
        self.log = Log(clock)
        self.gate = Gate(config, runtime, lock, shutdown)
        self.buffer = Buffer(config, runtime, lock, shutdown, self.gate)
        waiters = Waiters(runtime.bell())
        self._progress = waiters.progress
        self.flushers = Flushers(
            config,
            runtime,
            lock,
            shutdown,
            self.gate,
            self.buffer,
            waiters.progress,
            work=self._work,
            is_waiting=self._is_waiting,
            failed=self._flusher_failed,
            ended=self._flusher_ended,
        )
        self.callbacks = Callbacks(config, clock, self.receipts, self.log, self.flushers.in_callback)
        self.reporter = Reporter(self.log, self.callbacks)
        server_clock = ServerClock(clock)
        self.store = make_store(
            Surroundings(
                config=config,
                runtime=runtime,
                lock=lock,
                shutdown=shutdown,
                buffer=self.buffer,
                flushers=self.flushers,
                inlet=Inlet(self.buffer, waiters, self.ledger, self.flushers),
                log=self.log,
                callbacks=self.callbacks,
                server_clock=server_clock,
                saying=Saying(runtime, self._self_report, self._state),
                ended=self._writer_ended,
            )
        )
        self.destination = self._made_destination(connect, link)
        self.line = Line(clock, lock, shutdown, self.gate, self.buffer, self.store, waiters, self.destination)
        self.asking = Asking(clock, lock, shutdown, self.gate, self.ledger, self.key, self.log, server_clock)
        self.verifying = Verifying(
            config,
            runtime,
            lock,
            shutdown,
            self.gate,
            self.key,
            self.destination,
            self.flushers,
            self.reporter,
        )
        parts = Parts(
            config=config,
            runtime=runtime,
            lock=lock,
            shutdown=shutdown,
            key=self.key,
            ledger=self.ledger,
            receipts=self.receipts,
            log=self.log,
            callbacks=self.callbacks,
            reporter=self.reporter,
            gate=self.gate,
            buffer=self.buffer,
            store=self.store,
            line=self.line,
            flushers=self.flushers,
            destination=self.destination,
            delivery=Delivery(config, runtime, shutdown, self.gate, self.ledger, self.key, server_clock),
            asking=self.asking,
            verifying=self.verifying,
        )
        self.health = Health(parts)
        self.carrying = Carrying(parts, self.health)
        self.closing = Closing(parts, self.carrying, self.health)
        self._put = self.store.put

    def _made_destination(
        self, connect: Callable[[Config], Connection], link: OpenLink | None
    ) -> Destination:
        if self._config.relay is None or not self._config.enabled:
            return Togai(self._config, connect)
        from .relay.handover import Relay, opened  # noqa: PLC0415  who has no relay needs no redis-py
        from .relay.notes import Notes  # noqa: PLC0415  likewise

        notes = Notes(self._runtime, self.lock, self._self_report, self._state)
        return Relay(self._config, self._runtime, self.lock, self.shutdown, self.log, notes, link or opened)

    # --- an event comes in ---

    def put(
        self, event: bytes, held: Receipt | None = None, event_id: str = ""
    ) -> Literal["closed", "full"] | None:
        """Take one encoded event, or say why not; somebody may hold a receipt for it, under its id."""
        answer = self._put(event) if held is None else self._put_for(event, held, event_id)
        if answer != "wake":
            return answer
        self.store.wake()
        if self.flushers.failure:
            message = "%s; tried again once a second, and flush() and close() send on their caller's thread"
            self.log.complain("thread", message, self.flushers.failure, level=logging.ERROR)
        else:
            self.log.recovered("thread", "threads can be started again")
        return None

    def _put_for(self, event: bytes, held: Receipt, event_id: str) -> PutAnswer:
        # Under one lock: in between, another event with this id might be settled, and find this receipt.
        with self.lock:
            self.receipts.expect(event_id, held)
            answer: PutAnswer = "closed"
            try:
                answer = self._put(event)
            finally:
                if answer in ("closed", "full"):
                    self.receipts.forget(event_id, held)
            return answer

    def put_waiting(
        self, event: bytes, timeout: float, held: Receipt | None = None, event_id: str = ""
    ) -> Literal["closed", "full"] | None:
        """``put``, but wait up to ``timeout`` seconds for room."""
        until = self._clock() + (0.0 if self.closing.must_not_wait() else timeout)
        while True:
            rings = self._progress.rings  # read first: where room is made after this, wait() returns at once
            refused = self.put(event, held, event_id)
            left = until - self._clock()
            if refused != "full" or left <= 0:
                return refused
            self._progress.wait(rings, left)

    def why_full(self, event: bytes) -> Cause | None:
        """Return the cause for which there is no room for this event, though there is for others."""
        with self.lock:
            return self.buffer.lane_entry.why_full(event)

    def refuse(self, reason: Refusal) -> None:
        """Count a call of ``track()`` that was not accepted."""
        with self.lock:
            self.ledger.refuse(reason, self._clock())

    def leave_out(self, reason: LeftOut) -> None:
        """Count work that was measured and is no event."""
        with self.lock:
            self.ledger.leave_out(reason)

    def set_api_key(self, key: ApiKey | Secret[Any]) -> None:
        """Use another key; a parked line is probed with it at once."""
        with self.lock:  # under it, a request that is refused with the old key sees that there is another
            self.key.replace(key)
            self.gate.parking.probe_now()
        self.flushers.bell.ring()
        if self.pending:
            self.flushers.ensure()

    # --- how it stands ---

    @property
    def pending(self) -> int:
        """Events accepted and not settled."""
        return self.line.pending

    def _self_report(self, now_ms: int) -> SelfReport:
        return self.health.self_report(now_ms)

    def _state(self) -> State:
        return self.health.state

    @property
    def close_timeout(self) -> float:
        """Seconds that closing at exit may take."""
        return self._config.close_timeout

    def is_feedback(self) -> bool:
        """Whether the calling thread came to ``track()`` through a log record of our own doing."""
        return self.log.is_feedback(self.flushers.carriers)

    # --- flush and close ---

    def flush(self, timeout: float) -> FlushReport:
        """Send what is pending now, and wait for it until ``timeout`` seconds have passed."""
        waits = not self.closing.must_not_wait()
        self.store.begin_flush(works=waits)
        waiter = self.line.begin_flush(self._clock() + timeout)
        try:
            self.flushers.bell.ring()
            if self.pending:
                self.flushers.ensure()
            if waits:
                is_waiting = self.pending or self.asking.wait() == 0.0
                if not self.flushers.alive and is_waiting and not self.shutdown.has_begun:
                    self.carrying.work(waiter)
                self._wait(waiter)
                self.line.wait_until_told(waiter, min(waiter.deadline, self._clock() + TELLING))
            return self.line.report(waiter)
        finally:
            self.line.end_flush(waiter)

    def _wait(self, waiter: Waiter) -> None:
        """Wait until all is settled, time is up, or nothing will move (parked, and no probe due)."""
        while True:
            with self.lock:
                rings = self._progress.rings
                now = self._clock()
                left = waiter.deadline - now
                is_stuck = self.gate.parking.is_stuck() and not self.shutdown.has_begun
                is_over = left <= 0 or is_stuck or self.shutdown.is_done
                if is_over or not self.line.outstanding(waiter):
                    return
                alone_for = self.gate.alone_for(now)
            if not alone_for:
                self.flushers.ensure()
            wait = min(left, alone_for or left)
            self._progress.wait(rings, wait)
            with self.lock:
                waiter.woke(now + wait, self._clock())

    def sync(self, timeout: float) -> bool:
        """Whether all accepted so far is on disk, or relayed; waits for that, ``timeout`` seconds at most."""
        if self.destination.keeps and self.store.place is None:
            return bool(self.flush(timeout))
        return self.store.sync(timeout, waits=not self.closing.must_not_wait())

    def begin_closing(self, timeout: float) -> None:
        """Take no more events, and have all over in ``timeout`` seconds; only the first call counts."""
        self.closing.begin(timeout)

    def abandon(self) -> None:
        """Deliver what is pending, and end then: the shipper is gone."""
        if self.pending:
            exits.keep(self)
        self.closing.abandon()

    def hasten(self, timeout: float) -> None:
        """Have all over in ``timeout`` seconds, though an earlier close() had more: the process ends."""
        self.closing.hasten(timeout)

    def close(self, timeout: float) -> FlushReport:
        """Deliver what can be in ``timeout`` seconds (the first call's), and give up the rest."""
        return self.closing.close(timeout)

    def give_up(self) -> None:
        """End now: what is undelivered is given up, counted and told."""
        self.closing.give_up()

    @property
    def is_closing_here(self) -> bool:
        """Whether the calling thread is inside ``close()``, beneath."""
        return self.closing.is_here

    def do_after_close(self, function: Callable[[], None]) -> None:
        """Let the ``close()`` beneath, on this thread, call ``function`` once it is over."""
        self.closing.do_afterwards(function)

    # --- what the flushers ask ---

    def _work(self) -> None:
        self.carrying.work()

    def _is_waiting(self) -> bool:
        return self.line.is_waiting

    def _flusher_failed(self, error: BaseException) -> None:
        text = f"a flusher was ended by {type(error).__name__}, no event is lost; another takes its place"
        self.carrying.note_failure(text)

    def _flusher_ended(self) -> None:
        if self.line.is_waiting:
            self.flushers.ensure()
        self._progress.ring()
        self.closing.on_flusher_ended()
        self._let_go()

    def _writer_ended(self) -> None:
        self.closing.on_writer_ended()
        self._let_go()

    def _let_go(self) -> None:
        if self.shutdown.is_done:
            exits.let_go(self)
