"""The bounded buffer of pending events in memory, behind the shipper's one lock.

It answers and calls nobody: ``put`` says whether somebody has to be woken, ``take`` hands out a batch or says
how long to wait for one, and whoever asked does the waking and the waiting, outside the lock.

Everything mutable here is touched only while holding ``lock``, which is re-entrant: ``track()`` may come from
a signal handler or ``__del__`` that interrupts any line below on the same thread. What such an interruption
can do is append an event, and every method is harmless against that.

An event is in exactly one place: ``_fresh`` (encoded, as tracked), a waiting batch (``_again`` goes first,
``_singles`` one at a time by ``/ingest``, ``_aside`` not before its time), or ``_held``, the batches that
flushers carry.
"""

from __future__ import annotations

import math
import sys
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from itertools import repeat
from typing import Literal, TypeAlias

import attrs

from togai_shipper._config import Config

from .batching import ALIKE, Batch, cut, due, recut, singles
from .byte_cap import ByteCap, Learnt
from .gate import ANSWER_CLOSING, Gate
from .runtime import Runtime
from .shutdown import Shutdown
from .verdict import Verdict

LOOK_AT_STORE = 0.5  # seconds, closing, between looks whether the store has got stuck
MARK_EVERY = 0.1  # seconds: how exactly the age of pending events is known

#: What becomes of an event that is put: refused, or taken; ``"wake"``: taken, and somebody has to be woken.
PutAnswer: TypeAlias = Literal["closed", "full", "wake"] | None


@attrs.frozen
class Wait:
    """There is nothing to be sent yet: look again after so many seconds, or (``None``) when woken."""

    seconds: float | None


#: What a flusher does next: carry a batch, wait, or (``None``) end.
Work: TypeAlias = Batch | Wait | None


class Buffer:
    """Pending events in memory, and which of them go next."""

    def __init__(
        self, config: Config, runtime: Runtime, lock: threading.RLock, shutdown: Shutdown, gate: Gate
    ) -> None:
        self._config = config
        self._clock = runtime.clock
        self.lock = lock
        self._shutdown = shutdown
        self._gate = gate
        self._fresh: deque[bytes] = deque()
        self._fresh_bytes = 0
        self._wake_bytes = config.max_batch_bytes  # bytes of _fresh at which put() says "wake" again
        self._popped = 0  # events that ever left _fresh: the position of the next one
        # (position, since, known): from that position on, at most one for each MARK_EVERY.
        self._marks: deque[tuple[int, float, bool]] = deque()
        self._next_mark = 0.0
        self._again: deque[Batch] = deque()
        self._singles: deque[Batch] = deque()
        self._aside: list[Batch] = []
        self._straggler: Batch | None = None  # closing: the latest, for which the next one waits
        self._straggler_until = 0.0  # but no longer than this
        self._held: dict[Batch, Batch] = {}  # as it was taken -> as it stands, should it be given up now
        self._taken = 0  # events that left _fresh and are not settled
        self._taken_bytes = 0
        self._flush_to = 0  # events before this position go without the linger
        self._known_to = 0  # events before this position may be sent by another process, too
        self._single_went_last = False
        self._yielding_went_last = False
        self._probe_fresh = False
        self.byte_cap = ByteCap(config.max_batch_bytes)

    # --- callers ---

    def put(self, event: bytes) -> PutAnswer:
        """Take one encoded event, or say why not; say, too, whether somebody has to be woken for it."""
        with self.lock:
            if self._shutdown.has_begun:
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
            if self._shutdown.has_begun_by_now() and fresh and fresh[-1] is event:
                # A signal handler interrupted us since we looked, and closed: perhaps nobody sends any more.
                # (If it has tracked an event of its own after ours, close() has seen ours, too.)
                fresh.pop()
                return "closed"
            self._fresh_bytes += len(event)
            if self._fresh_bytes >= self._wake_bytes:
                self._wake_bytes = self._fresh_bytes + self.byte_cap.bytes
                return "wake"
            if is_first:
                self._wake_bytes = self.byte_cap.bytes  # it may have been learnt since
            return "wake" if is_first or is_overdue or not len(fresh) % self._config.batch_size else None

    def has_room(self, count: int, size: int) -> bool:
        """Whether memory has room for one event more, where the store holds ``count`` others in memory.

        ``size``: bytes of those and of the new one.
        """
        return (
            len(self._fresh) + self._taken + count < self._config.max_queue_size
            and self._fresh_bytes + self._taken_bytes + size <= self._config.max_queue_bytes
        )

    def add_from_store(self, events: Sequence[bytes], since: float, *, known: bool = False) -> None:
        """Take events of one age from the store. Called under the lock.

        ``known``: Togai may know their ids.
        """
        fresh = self._fresh
        if not fresh:
            self._marks.clear()
        self._marks.append((self._popped + len(fresh), since, known))
        fresh.extend(events)
        self._fresh_bytes += sum(map(len, events))

    def note_known(self) -> None:
        """Note that another process may send all that is here now, too. Called under the lock."""
        self._known_to = self.position

    def as_known(self, batch: Batch) -> Batch:
        """Return ``batch`` as one that may have been read, where another process may have sent it."""
        is_known = batch.position < self._known_to and not batch.maybe_read
        return attrs.evolve(batch, maybe_read=True) if is_known else batch

    # --- what there is ---

    @property
    def count(self) -> int:
        """Events in the buffer: all that are not settled."""
        return len(self._fresh) + self._taken

    @property
    def size(self) -> int:
        """Bytes of the events in the buffer."""
        return self._fresh_bytes + self._taken_bytes

    @property
    def position(self) -> int:
        """How many events ever came into the buffer."""
        return self._popped + len(self._fresh)

    def events(self) -> Iterator[bytes]:
        """All events in the buffer."""
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
    def set_aside(self) -> Sequence[Batch]:
        """Events on which the server chokes, or that a gateway refuses, tried now and then."""
        return [batch for batch in self._aside if batch.why_aside]

    @property
    def requests(self) -> int:
        """About how many requests it takes to send all that is here."""
        fresh = max(len(self._fresh) / self._config.batch_size, self._fresh_bytes / self.byte_cap.bytes)
        return sum(1 for _ in self._taken_batches()) + math.ceil(fresh)

    @property
    def is_full_batch_waiting(self) -> bool:
        """Whether a flusher more would have a whole batch to send."""
        return len(self._fresh) >= self._config.batch_size or self._fresh_bytes >= self.byte_cap.bytes

    def is_batch_due(self) -> bool:
        """Whether a flusher more would have something to send now."""
        return bool(self._again) or self._linger(self._clock()) == 0.0

    def oldest_since(self) -> float | None:
        """Monotonic seconds at which the oldest event in the buffer was accepted."""
        ages = [batch.since for batch in self._taken_batches()]
        if self._fresh:
            ages.append(self._marks[0][1])
        return min(ages, default=None)

    def _taken_batches(self) -> Iterator[Batch]:
        for place in (self._held, self._again, self._singles, self._aside):
            yield from place

    # --- what a flusher does next ---

    def take(self, coming: int = 0) -> Work:
        """Hand out the batch that is due, or say how long to wait, or that there is no more to do.

        Called under the lock. ``coming``: events that the store will hand in. No more: the shipper closes,
        and nothing is left that can be sent.
        """
        now = self._clock()
        work = self._next_while_closing(now, coming) if self._shutdown.has_begun else self._next(now)
        if isinstance(work, Batch):
            self._held[work] = work
        return work

    def _next(self, now: float) -> Work:
        """The batch to go now, or how long to wait for one: the cases in order."""
        if self._gate.parking.cause:
            wait = self._gate.parking.probe_wait(now)
            probe = self._probe() if wait == 0.0 else None
            return Wait(wait or None) if probe is None else probe
        single = self._next_single(now)
        if single and not self._single_went_last:
            self._singles.popleft()
            self._single_went_last = True
            return single
        self._single_went_last = False
        wait = self._linger(now)
        if self._again and not (wait == 0.0 and self._yielding_went_last and self._again[0].yields):
            return self._pop_again()
        if wait == 0.0:
            self._yielding_went_last = False
            return self._pop_fresh()
        if single:
            return self._singles.popleft()
        times = [batch.not_before - now for batch in self._aside] + ([] if wait is None else [wait])
        return Wait(min(times, default=None))

    def _linger(self, now: float) -> float | None:
        """Seconds until the next batch of new events is due; ``None`` without events."""
        if not self._fresh:
            return None
        return due(
            now - self._marks[0][1],
            self._gate.linger,
            full=self.is_full_batch_waiting,
            flushed=self._popped < self._flush_to,
        )

    def _next_single(self, now: float) -> Batch | None:
        """The next event to go by itself, left in its place; one at a time, so that batches go on."""
        self._take_up(now)
        return None if not self._singles or any(batch.single for batch in self._held) else self._singles[0]

    def _pop_fresh(self, most: int | None = None) -> Batch:
        fresh = self._fresh
        most = min(most or self._config.batch_size, self._alike())
        limit = self.byte_cap.limit
        count = cut(map(len, fresh), most, limit)
        fills = limit if count < min(most, len(fresh)) else 0
        events = list(map(deque.popleft, repeat(fresh, count)))
        _, since, known = self._marks[0]
        batch = Batch(events, self._popped, since, maybe_read=known, fills=fills)
        self.byte_cap.note_cut(batch)
        self._popped += count
        while len(self._marks) > 1 and self._marks[1][0] <= self._popped:
            self._marks.popleft()
        size = sum(map(len, events))
        # Empty: exact again, whatever interrupted a +=.
        self._fresh_bytes = self._fresh_bytes - size if fresh else 0
        self._wake_bytes = self.byte_cap.bytes
        self._taken += count
        self._taken_bytes += size
        return batch

    def _pop_again(self) -> Batch:
        """Cut the next batch from those that were tried: as long as requests may be by now."""
        again = self._again
        if self._yielding_went_last:  # others go in between, if there are any
            rested = next((at for at, each in enumerate(again) if not each.yields), 0)
            again.rotate(-rested)
        used, batch, rest = recut(again, self._config.batch_size, self.byte_cap.limit)
        self._yielding_went_last = batch.yields
        for _ in range(used):
            again.popleft()
        if rest is not None:
            again.appendleft(rest)
        self.byte_cap.note_cut(batch)
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
        return attrs.evolve(probe, probe=True)

    def _next_while_closing(self, now: float, coming: int) -> Work:  # noqa: PLR0911  the cases, in order
        """Batches first, then the stragglers; ``None``: nothing more can be sent."""
        left = self._shutdown.deadline - now
        if left <= 0 or self._shutdown.is_given_up:
            return None
        if self._gate.parking.cause:
            wait = self._gate.parking.closing_wait(now, left) if self._shutdown.is_probed else 0.0
            if wait is None:
                return Wait(left) if self._held else None
            if wait > 0.0:
                return Wait(min(wait, left))
            self._take_up(math.inf)
            return self._probe()
        self._take_up(now)
        if self._again:
            return self._pop_again()
        if self._fresh and (coming or not self._may_go_singly(len(self._fresh))):
            return self._pop_fresh()
        if coming:
            return Wait(min(left, LOOK_AT_STORE))
        return self._next_straggler(now, left)

    def _may_go_singly(self, count: int) -> bool:
        """Whether these are a last handful, for each of which there is time by itself."""
        return count <= self._config.single_ingest_limit and self._gate.has_time_for(count, "/ingest")

    def _next_straggler(self, now: float, left: float) -> Work:
        """One at a time, after all batches; but one that hangs holds up the others only for so long."""
        if self._singles or self._fresh:
            if self._straggler in self._held and now < self._straggler_until:
                return Wait(min(left, self._straggler_until - now))
            self._straggler, self._straggler_until = self._oldest_straggler(), now + ANSWER_CLOSING
            return self._straggler
        wait = min((batch.not_before - now for batch in self._aside), default=left)
        return Wait(min(wait, left)) if self._held or wait < left else None

    def _oldest_straggler(self) -> Batch:
        if not self._singles:
            return singles(self._pop_fresh(1))[0]
        oldest = min(self._singles, key=lambda batch: batch.position)
        self._singles.remove(oldest)
        return oldest

    # --- what flushers bring back ---

    def learn(self, batch: Batch, verdict: Verdict) -> Learnt | None:
        """Learn from a reply how many bytes fit into a batch; return what is new. Called under the lock."""
        learnt = self.byte_cap.learn(batch, verdict)
        self._wake_bytes = min(self._wake_bytes, self._fresh_bytes + self.byte_cap.bytes)
        return learnt

    def holds(self, batch: Batch) -> bool:
        """Whether ``batch`` is still the flusher's to settle: false once it was given up."""
        return batch in self._held

    def note(self, batch: Batch, as_it_stands: Batch) -> bool:
        """Remember how ``batch`` stands, in case close() gives it up; return false if it was given up.

        Called under the lock.
        """
        if held := batch in self._held:
            self._held[batch] = as_it_stands
        return held

    def release(
        self, batch: Batch, settled: int, size: int, again: Sequence[Batch] = (), last: Sequence[Batch] = ()
    ) -> None:
        """Take back what is left of ``batch``, held. Called under the lock.

        ``settled`` of its events, of ``size`` bytes, have their outcome and leave the buffer; the others go
        on in ``again``, at the front, and ``last``, at the end.
        """
        del self._held[batch]
        for part in reversed(again):
            self._place_of(part).appendleft(part)
        for part in last:
            (self._aside if part.not_before else self._place_of(part)).append(part)
        self._taken -= settled
        self._taken_bytes -= size

    def _place_of(self, part: Batch) -> deque[Batch]:
        return self._singles if part.single else self._again

    def take_up(self) -> None:
        """Let all that was set aside wait with the others. Called under the lock."""
        self._take_up(math.inf)

    def _take_up(self, now: float) -> None:
        """Let what was set aside until ``now`` wait with the others."""
        for batch in [batch for batch in self._aside if batch.not_before <= now]:
            self._aside.remove(batch)
            self._place_of(batch).append(batch)

    # --- flush and close ---

    def begin_flush(self, position: int) -> None:
        """Let events before ``position`` go without the linger. Called under the lock."""
        self._flush_to = position

    def begin_close(self) -> None:
        """Let everything go at once, also what was set aside. Called under the lock."""
        self._flush_to = sys.maxsize
        self._take_up(math.inf)

    def give_up(self) -> list[Batch]:
        """Return whatever is left, even what a flusher still carries; the buffer is empty then.

        Called under the lock.
        """
        held = [self.as_known(self._held.get(batch, batch)) for batch in self._held]
        left = [*held, *self.give_up_waiting()]
        self._held.clear()
        self._taken = self._taken_bytes = 0
        return left

    def give_up_waiting(self) -> list[Batch]:
        """Return what is left and no flusher carries; the buffer has it no longer. Called under the lock."""
        while self._fresh:
            self._again.append(self._pop_fresh())
        places = (self._again, self._singles, self._aside)
        left = [self.as_known(batch) for place in places for batch in place]
        for place in places:
            place.clear()
        events = [event for batch in left for event in batch.events]
        self._taken -= len(events)
        self._taken_bytes -= sum(map(len, events))
        return left
