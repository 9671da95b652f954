"""Where callers meet flushers: the bounded line of pending events, behind the one lock.

Everything mutable here is touched only while holding ``lock``, which is re-entrant: ``track()`` may come from
a signal handler or ``__del__`` that interrupts any line below on the same thread. What such an interruption
can do is append an event or ring a bell, and every method is harmless against that.

An accepted event is in exactly one place: ``_fresh`` (encoded, as tracked), a waiting batch (``_again`` goes
first, ``_singles`` one at a time by ``/ingest``, ``_aside`` not before its time, ``_given_up`` until the
end), or ``_held``, the batches that flushers carry.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from itertools import repeat
from typing import Literal

import attrs

from togai_shipper._config import Config
from togai_shipper._outcome import Delivered, Rejected, Settled

from .batching import Batch, ByteCap, cut, due, singles
from .bell import Bell
from .gate import Gate
from .store import Memory, Store

MARK_EVERY = 0.1  # seconds: how exactly the age of pending events is known
ALIKE = 3600.0  # seconds by which events of one batch differ in age at most: they grow too old together


@attrs.define(eq=False)
class Waiter:
    """A ``flush()`` or ``close()`` that waits for all events accepted before it."""

    target: int  # the number of events accepted before
    deadline: float  # monotonic seconds
    left: int  # how many of them are not settled
    delivered: int = 0
    rejected: int = 0
    dropped: int = 0

    def count(self, outcome: Settled, batch: Batch) -> None:
        """Note the outcome of those events of ``batch`` that are waited for."""
        waited_for = self.target - batch.position
        if waited_for >= len(batch):
            count = len(outcome.events)
        else:  # later events went along; told apart as objects, since equal ones may be tracked twice
            ours = set(map(id, batch.events[: max(0, waited_for)]))
            count = sum(id(event) in ours for event in outcome.events)
        self.left -= count
        if isinstance(outcome, Delivered):
            self.delivered += count
        elif isinstance(outcome, Rejected):
            self.rejected += count
        else:
            self.dropped += count


@attrs.define(eq=False)
class Closing:
    """The plan of ``close()``: batches until a third of the time is left, then stragglers one by one."""

    deadline: float
    batches_until: float
    probed: bool  # a parked line was, or is being: once is enough


class Buffer:
    """Pending events, and which of them go next."""

    def __init__(
        self,
        config: Config,
        lock: threading.RLock,
        gate: Gate,
        clock: Callable[[], float],
        work: Bell,
        settled: Bell,
    ) -> None:
        self._config = config
        self.lock = lock
        self._gate = gate
        self._clock = clock
        self.work = work  # rung when a batch may be due
        self.settled = settled  # rung when events were settled, and so room was made
        self._fresh: deque[bytes] = deque()
        self._fresh_bytes = 0
        self._popped = 0  # events that ever left _fresh: the position of the next one
        # (position, since, known): from that position on, at most one for each MARK_EVERY.
        self._marks: deque[tuple[int, float, bool]] = deque()
        self._next_mark = 0.0
        self._again: deque[Batch] = deque()
        self._singles: deque[Batch] = deque()
        self._aside: list[Batch] = []
        self._given_up: list[Batch] = []
        self._held: dict[Batch, Batch] = {}  # as it was taken -> as it stands, should it be given up now
        self._taken = 0  # events that left _fresh and are not settled
        self._taken_bytes = 0
        self._hurry_to = 0  # events before this position go without the linger
        self._single_went_last = False
        self._probe_fresh = False
        self.byte_cap = ByteCap(config.max_batch_bytes)
        self.waiters: list[Waiter] = []
        self.closing: Closing | None = None
        self.closed = False
        self.attended = False  # a flusher lives
        self.store: Store = Memory()
        self.attend: Callable[[], None] = lambda: None  # called, under the lock, when a flusher may be wanted
        # Called, outside the lock, by who has no batch to carry; says whether there was something else to do.
        self.idle: Callable[[], bool] = lambda: False

    # --- callers ---

    def put(self, event: bytes) -> Literal["closed", "full"] | None:
        """Take one encoded event into the line; says why not."""
        with self.lock:
            if self.closing:
                return "closed"
            fresh = self._fresh
            if (
                len(fresh) + self._taken >= self._config.max_queue_size
                or self._fresh_bytes + self._taken_bytes + len(event) > self._config.max_queue_bytes
            ):
                return "full"
            now = self._clock()
            is_overdue = False
            if now >= self._next_mark:
                if not fresh:
                    self._marks.clear()  # what is left there is the age of events long gone
                self._marks.append((self._popped + len(fresh), now, False))
                self._next_mark = now + MARK_EVERY
                is_overdue = now - self._marks[0][1] > self._gate.linger
            is_first = not fresh  # looked at before: a signal handler may append, too, right after us
            fresh.append(event)
            if self.closing and fresh[-1] is event:
                # A signal handler interrupted us since we looked, and closed: perhaps nobody sends any more.
                # One that tracked first, after our event, has made that a part of what close() delivers or
                # tells.
                fresh.pop()
                return "closed"
            self._fresh_bytes += len(event)
            waiting = len(fresh)
            if (
                is_first
                or not waiting % self._config.batch_size
                or self._fresh_bytes >= self.byte_cap.bytes
                or is_overdue
                or not self.attended
            ):
                self.call_flusher()
            return None

    def admit(self, events: Sequence[bytes], since: float, *, known: bool = False) -> None:
        """Take events of one age from the store. Called under the lock.

        ``known``: Togai may know their ids.
        """
        fresh = self._fresh
        if not fresh:
            self._marks.clear()
        self._marks.append((self._popped + len(fresh), since, known))
        fresh.extend(events)
        self._fresh_bytes += sum(map(len, events))
        self.call_flusher()

    def call_flusher(self) -> None:
        """There may be something to do: wake those that are idle, or see to it that there is one."""
        idle = bool(self.work.waiting)
        self.work.ring()  # always: a flusher that saw nothing due may be just about to wait, for ever
        if not idle:
            self.attend()

    # --- what there is ---

    @property
    def pending(self) -> int:
        """Events accepted and not settled."""
        return self.in_memory + self.store.waiting

    @property
    def in_memory(self) -> int:
        """Events pending that are in the buffer."""
        return len(self._fresh) + self._taken

    @property
    def memory_bytes(self) -> int:
        """Their bytes."""
        return self._fresh_bytes + self._taken_bytes

    def overtaken(self, count: int, coming: int) -> None:
        """So many events came before the last ``coming`` ones of the store, and who waits waits longer."""
        for waiter in self.waiters:
            if waiter.target > self.accepted_position - coming:
                waiter.target += count
                waiter.left += count

    def lost(self, count: int) -> None:
        """So many events of the store are lost: nobody who waits is told that all is delivered."""
        for waiter in self.waiters:
            lost = min(count, waiter.left)
            waiter.left -= lost
            waiter.dropped += lost

    def events(self) -> Iterator[bytes]:
        """All of them."""
        for batch in self._taken_batches():
            yield from batch.events
        yield from self._fresh

    @property
    def in_flight(self) -> int:
        """Events that flushers carry."""
        return sum(map(len, self._held))

    @property
    def batches_in_flight(self) -> int:
        """Batches that flushers carry."""
        return len(self._held)

    @property
    def set_aside(self) -> int:
        """Events on which the server chokes, tried once a minute."""
        return len(self._aside)

    @property
    def is_full_batch_waiting(self) -> bool:
        """Whether a flusher more would have a whole batch to send."""
        return len(self._fresh) >= self._config.batch_size or self._fresh_bytes >= self.byte_cap.bytes

    def is_batch_due(self) -> bool:
        """Whether a flusher more would have something to send now."""
        return bool(self._again) or self._linger(self._clock()) == 0.0

    @property
    def accepted_position(self) -> int:
        """How many events were ever accepted."""
        return self._popped + len(self._fresh) + self.store.coming

    def oldest_since(self) -> float | None:
        """Monotonic seconds at which the oldest pending event was accepted."""
        ages = [batch.since for batch in self._taken_batches()]
        if self._fresh:
            ages.append(self._marks[0][1])
        in_store = self.store.oldest_since()
        if in_store is not None:
            ages.append(in_store)
        return min(ages, default=None)

    def _taken_batches(self) -> Iterator[Batch]:
        for place in (self._held, self._again, self._singles, self._aside, self._given_up):
            yield from place

    def outstanding(self, waiter: Waiter) -> int:
        """How many of the events that ``waiter`` waits for are not settled."""
        return min(waiter.left, self.pending)

    # --- flushers ---

    def take(self, until: Waiter | None = None) -> Batch | None:
        """Block until a batch is due and hand it out; ``None`` when there is no more to do.

        That is: closing and nothing left that can be sent; or ``until`` is settled, or its deadline past.
        """
        while True:
            with self.lock:
                now = self._clock()
                if until and (now >= until.deadline or not self.outstanding(until)):
                    return None
                batch, wait = self._next(now)
                if batch is not None:
                    self._held[batch] = batch
                    if self.is_full_batch_waiting:
                        self.call_flusher()
                    return batch
                if self.closing and wait is None:
                    return None
                if until:
                    if self._gate.is_stuck():
                        return None
                    wait = min(until.deadline - now, until.deadline if wait is None else wait)
                rings = self.work.rings
            if not self.store.drive() and not self.idle():
                self.work.wait(rings, wait)

    def _next(self, now: float) -> tuple[Batch | None, float | None]:  # noqa: PLR0911  the cases, in order
        """The batch to go now, or else how long to wait for one (``None``: until rung)."""
        if self.closing:
            return self._next_while_closing(self.closing, now)
        if self._gate.parking:
            wait = self._gate.probe_wait(now)
            return (self._probe(), None) if wait == 0.0 else (None, wait)
        single = self._next_single(now)
        if single and not self._single_went_last:
            self._singles.popleft()
            self._single_went_last = True
            return single, None
        self._single_went_last = False
        if self._again:
            return self._again.popleft(), None
        wait = self._linger(now)
        if wait == 0.0:
            return self._pop_fresh(), None
        if single:
            return self._singles.popleft(), None
        times = [batch.not_before - now for batch in self._aside] + ([] if wait is None else [wait])
        return None, min(times, default=None)

    def _linger(self, now: float) -> float | None:
        if not self._fresh:
            return None
        return due(
            now - self._marks[0][1],
            self._gate.linger,
            full=self.is_full_batch_waiting,
            hurry=self._popped < self._hurry_to,
        )

    def _next_single(self, now: float) -> Batch | None:
        """The next event to go by itself, left in its place; one at a time, so that batches go on."""
        for batch in [batch for batch in self._aside if batch.not_before <= now]:
            self._aside.remove(batch)
            self._singles.append(batch)
        return None if not self._singles or any(batch.single for batch in self._held) else self._singles[0]

    def _pop_fresh(self, most: int | None = None) -> Batch:
        fresh = self._fresh
        most = min(most or self._config.batch_size, self._alike())
        count = cut(map(len, fresh), most, self.byte_cap.bytes)
        events = list(map(deque.popleft, repeat(fresh, count)))
        _, since, known = self._marks[0]
        batch = Batch(events, self._popped, since, maybe_read=known)
        self._popped += count
        while len(self._marks) > 1 and self._marks[1][0] <= self._popped:
            self._marks.popleft()
        size = sum(map(len, events))
        self._fresh_bytes = (
            self._fresh_bytes - size if fresh else 0
        )  # empty: exact again, whatever interrupted a +=
        self._taken += count
        self._taken_bytes += size
        return batch

    def _alike(self) -> int:
        """How many of the next events, as far as a batch goes, are of one age, and all known or none."""
        most = self._config.batch_size
        _, since, known = self._marks[0]
        for position, its_since, its_known in self._marks:
            if its_known is not known or abs(its_since - since) > ALIKE:
                return min(position - self._popped, most)
            if position - self._popped >= most:
                break
        return most

    def _probe(self) -> Batch | None:
        """One event by itself, to learn whether the line is open; each time the next one.

        In turn from what has never been sent and from what has: that may be what parked the line.
        """
        self._probe_fresh = not self._probe_fresh
        if self._again and not (self._fresh and self._probe_fresh):
            first = self._again.popleft()
            (probe,) = singles(first, first.events[:1])
            if len(first) > 1:
                rest = attrs.evolve(first, events=first.events[1:], position=first.position + 1)
                self._again.appendleft(rest)
        elif self._fresh:
            (probe,) = singles(self._pop_fresh(1))
        elif self._singles or self._aside:
            probe = self._singles.popleft() if self._singles else self._aside.pop(0)
        else:
            return None
        self._gate.begin_probe()
        return attrs.evolve(probe, probe=True)

    def _next_while_closing(self, plan: Closing, now: float) -> tuple[Batch | None, float | None]:  # noqa: PLR0911  the cases, in order
        """Batches first, then the stragglers; ``(None, None)``: nothing more can be sent."""
        left = plan.deadline - now
        if left <= 0 or self._gate.dead:
            return None, None
        if self._gate.parking:
            if plan.probed:
                return None, left if self._held else None
            plan.probed = True
            return self._probe(), None
        if len(self._fresh) <= self._config.single_ingest_limit and not self.store.coming:
            while self._fresh:
                self._singles += singles(self._pop_fresh())
        if self._again:
            return self._again.popleft(), None
        if self._fresh:
            return self._pop_fresh(), None
        if self.store.coming:
            return None, left
        return self._next_straggler(plan, now)

    def _next_straggler(self, plan: Closing, now: float) -> tuple[Batch | None, float | None]:
        """One at a time, after all batches; but one of those that hangs holds them up only for so long."""
        self._singles += self._aside
        self._aside.clear()
        if any(batch.single for batch in self._held):
            return None, plan.deadline - now
        if self._held and now < plan.batches_until:
            return None, plan.batches_until - now
        if self._singles:
            return self._oldest_straggler(), None
        return None, plan.deadline - now if self._held else None

    def _oldest_straggler(self) -> Batch:
        oldest = min(self._singles, key=lambda batch: batch.position)
        self._singles.remove(oldest)
        return oldest

    # --- what flushers bring back ---

    def holds(self, batch: Batch) -> bool:
        """Whether ``batch`` is still the flusher's to settle: false once ``abandon`` gave it up."""
        return batch in self._held

    def note(self, batch: Batch, as_it_stands: Batch) -> bool:
        """How ``batch``, held, is left if it is given up from now on; false if it was. Under the lock."""
        if held := batch in self._held:
            self._held[batch] = as_it_stands
        return held

    def release(
        self,
        batch: Batch,
        outcomes: Sequence[Settled] = (),
        again: Sequence[Batch] = (),
        last: Sequence[Batch] = (),
    ) -> None:
        """``batch``, held, is settled or divided. Called under the lock."""
        del self._held[batch]
        for part in reversed(again):
            (self._singles if part.single else self._again).appendleft(part)
        for part in last:
            if self.closing and batch.single:  # a straggler has one attempt
                self._given_up.append(part)
            else:
                self._place(part)
        for outcome in outcomes:
            self._taken -= len(outcome.events)
            self._taken_bytes -= sum(map(len, outcome.events))
            self.store.settled(outcome)
            for waiter in self.waiters:
                waiter.count(outcome, batch)
        self._look_again()

    def _place(self, part: Batch) -> None:
        """To the end of the line."""
        if part.not_before:
            self._aside.append(part)
        elif part.single:
            self._singles.append(part)
        else:
            self._again.append(part)

    def _look_again(self) -> None:
        self.work.ring()
        self.settled.ring()

    # --- flush and close ---

    def hurry(self, deadline: float) -> Waiter:
        """What is pending now goes without the linger; the caller waits for it."""
        with self.lock:
            waiter = Waiter(self.accepted_position, deadline, self.pending)
            self.waiters.append(waiter)
            self._hurry_to = waiter.target
            self.work.ring()
            return waiter

    def close(self, plan: Closing) -> None:
        """Take no more events; what is pending goes by ``plan``."""
        with self.lock:
            self.closing = plan
            self._look_again()

    def abandon(self) -> list[Batch]:
        """Give up whatever is left, even what a flusher still carries (its late reply changes nothing).

        What the store keeps is pending still; the rest is returned.
        """
        with self.lock:
            self.closed = True
            while self._fresh:
                self._given_up.append(self._pop_fresh())
            outstanding = [self.outstanding(waiter) for waiter in self.waiters]
            lost = self.store.kept([self._held.get(batch, batch) for batch in self._taken_batches()])
            for place in (self._held, self._again, self._singles, self._aside, self._given_up):
                place.clear()
            self._taken = self._taken_bytes = 0
            count = sum(map(len, lost))
            for waiter, waited_for in zip(self.waiters, outstanding, strict=True):
                dropped = min(waited_for, count)
                waiter.dropped += dropped
                waiter.left -= dropped
            self._look_again()
            return lost
