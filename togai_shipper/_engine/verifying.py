"""Looks up at Togai what became of some delivered events, on a thread of its own, and tells what it finds.

A look-up changes nothing else: neither what is delivered, and how fast, nor ``healthy``. None is made while
the line is parked, and none after a 401 until events are delivered with another key: Togai allows an address
few requests without a valid key, and the line needs those to find out whether its own is valid again.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from typing import Any

from togai_shipper._config import Config
from togai_shipper._outcome import Delivered, Settled
from togai_shipper._process import exits
from togai_shipper._process.signals import without_sigpipe
from togai_shipper._process.this_process import this_process
from togai_shipper._secret import Secret

from .batching import Batch
from .destination import Connection, Destination
from .exchange import while_waiting
from .findings import Meaning, meaning
from .flushers import Flushers
from .gate import Gate
from .key import Key
from .look_ups import Answer, KeyRefused, NotAnswered, NoWord, read_answer
from .reporting import Reporter
from .runtime import Runtime
from .sampling import Sample, Sampler, heads_of
from .shutdown import Shutdown
from .threads import Threads, end_forked_child
from .transport import NoSession

PATIENCE = 10.0  # seconds for a reply
PARKED = 60.0  # seconds until it is asked again whether the line is parked, or there is no key
MOST_TOLD = 1000  # subjects that are remembered as told; what comes after those is counted, and not told


class Verifying:
    """Looks up delivered events of one shipper."""

    def __init__(
        self,
        config: Config,
        runtime: Runtime,
        lock: threading.RLock,
        shutdown: Shutdown,
        gate: Gate,
        key: Key,
        destination: Destination,
        flushers: Flushers,
        reporter: Reporter,
    ) -> None:
        self._process = this_process()
        self._clock = runtime.clock
        self._wall = runtime.wall
        self._lock = lock
        self._shutdown = shutdown
        self._gate = gate
        self._key = key
        self._destination = destination
        self._flushers = flushers
        self._reporter = reporter
        self._bell = runtime.bell()
        self.is_on = config.enabled and config.verify > 0  # until Togai answers no look-ups
        self._sampler = Sampler(config.verify or 1.0, runtime.random)
        self._refused: Secret[str] | None = None  # the key with which Togai refused a look-up
        self._told: set[tuple[str, str]] = set()
        self._looked_up: dict[str, int] = {}
        self._unbilled: dict[str, int] = {}
        self._threads = Threads(
            1,
            runtime,
            lock,
            cannot_start="no thread can be started that looks events up",
            work=self._work,
            failed=reporter.tell_look_ups_failed,
            ended=self._ensure,
        )

    # --- what is delivered ---

    def note_settled(self, outcomes: Sequence[Settled], batch: Batch) -> None:
        """Take samples of what was delivered of a batch, which is known as it was after its last attempt.

        Called without the lock, for each batch: where no sample is wanted, it takes 0.2 µs an event.
        """
        if not self.is_on or self._shutdown.has_begun:
            return
        for outcome in outcomes:
            if isinstance(outcome, Delivered) and outcome.events:
                self._note_delivered(outcome.events, first=batch.attempts == 1 and not batch.maybe_read)

    def _note_delivered(self, events: Sequence[bytes], *, first: bool) -> None:
        now = self._clock()
        is_back = self._refused is not None and self._key.source.known not in (None, self._refused)
        if not is_back and not self._sampler.may_want(heads_of(events), now):
            return
        with self._lock:
            if is_back:
                self._refused = None
                self._sampler.delay(now)  # other processes have another key just now, too
            today = datetime.fromtimestamp(self._wall(), timezone.utc)
            has_more = self._sampler.take(events, now, today, first=first)
        if has_more or is_back:  # pragma: no branch  another thread may have taken one like it just now
            self._bell.ring()
            self._ensure()

    def _ensure(self) -> None:
        self._threads.start_if(self._is_wanted)

    def _is_wanted(self) -> bool:
        return self.is_on and not (self._shutdown.has_begun or self._threads.alive or exits.is_over())

    def figures(self) -> Mapping[str, Any]:
        """Its part of ``Stats``, by the names of its fields. Asked under the shipper's lock."""
        return {"looked_up": dict(self._looked_up), "unbilled": dict(self._unbilled)}

    def end(self) -> None:
        """Let the thread end, since the shipper closes: what is not looked up yet never is."""
        self._bell.ring()

    # --- the thread ---

    def _work(self) -> None:
        connection = self._destination.connect()
        with self._flushers.carrying():  # so that what a log handler tracks of our requests is no event
            while True:
                rings = self._bell.rings
                with self._lock:
                    if not self.is_on or self._shutdown.has_begun:
                        return
                    key = self._key.source.known
                    due = self._due(key)
                if key is not None and isinstance(due, Sample):
                    self._look(connection, due, key)
                elif not isinstance(due, Sample):  # pragma: no branch  without a key none is due
                    self._bell.wait(rings, due)

    def _due(self, key: Secret[str] | None) -> Sample | float | None:
        now = self._clock()
        if self._refused is not None:
            return None  # a delivery with another key rings
        if key is None or self._gate.parking.cause is not None:
            self._sampler.delay(now)  # other processes go on when this one does
            return PARKED
        return self._sampler.next(now)

    def _look(self, connection: Connection, sample: Sample, key: Secret[str]) -> None:
        answer: Answer = NoWord("the thread was stopped")
        try:
            answer = self._answer(connection, sample, key)
        finally:
            with self._lock:
                ended = self._sampler.note(answer, self._clock())
                if isinstance(answer, KeyRefused):
                    self._refused = key
                elif isinstance(answer, NotAnswered):
                    self.is_on = False
                means = None if ended is None else meaning(ended)
                is_news = means is not None and self._count(means)
        if isinstance(answer, KeyRefused):
            self._reporter.tell_look_ups_refused()
        elif isinstance(answer, NotAnswered):
            self._reporter.tell_no_look_ups(answer.why)
        elif means is not None:
            self._tell(means, is_news=is_news)

    def _answer(self, connection: Connection, sample: Sample, key: Secret[str]) -> Answer:
        try:
            with without_sigpipe(), while_waiting(lambda _: None):
                reply = connection.look_up(key, PATIENCE, self._may_begin, sample.event_id)
        except NoSession as error:
            return NoWord(str(error))
        finally:
            connection.close()  # it is not needed for minutes
        return read_answer(reply, sample.event_id)

    def _may_begin(self) -> bool:
        return not self._shutdown.has_begun and self._gate.parking.cause is None

    # --- what came of it ---

    def _count(self, means: Meaning) -> bool:
        """Count it; return whether it was not told yet."""
        status = means.finding.status
        self._looked_up[status] = self._looked_up.get(status, 0) + 1
        if means.is_unbilled:
            self._unbilled[status] = self._unbilled.get(status, 0) + 1
        is_news = means.is_told and means.subject not in self._told and len(self._told) < MOST_TOLD
        if is_news:
            self._told.add(means.subject)
        return is_news

    def _tell(self, means: Meaning, *, is_news: bool) -> None:
        if is_news:
            self._reporter.tell_looked_up(means.finding, is_failure=means.is_failure)
        if means.is_unbilled:
            self._reporter.tell_unbilled(means.finding)
            if not self._process.is_here:  # pragma: no cover  a forked child, unmeasured
                end_forked_child()
