"""The bounded buffer of pending events in memory, behind the shipper's one lock.

It answers and calls nobody: ``put`` says whether somebody has to be woken, ``take`` hands out a batch or says
how long to wait for one, and whoever asked does the waking and the waiting, outside the lock.

Everything mutable here is touched only while holding ``lock``, which is re-entrant: ``track()`` may come from
a signal handler or ``__del__`` that interrupts any line below on the same thread. What such an interruption
can do is append an event, and every method is harmless against that.

An event is in exactly one place: ``_fresh`` (encoded, as tracked), a waiting batch (``_again`` goes first,
``_singles`` one at a time by ``/ingest``, ``_aside`` not before its time, ``lane`` where Togai rejects all
that is like it), or ``_held``, the batches that flushers carry.
"""

from __future__ import annotations

import math
import sys
import threading
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from itertools import islice, repeat
from typing import Literal, TypeAlias

import attrs

from togai_shipper._config import Config
from togai_shipper._event import Trait

from .batching import ALIKE, ENVELOPE, Batch, cut, due, recut, singles, together
from .byte_cap import ByteCap, Learnt
from .causes import Cause, Causes, is_refused_alone
from .causes import Learnt as LearntCauses
from .gate import ANSWER_CLOSING, Gate
from .lane import Lane
from .lane_entry import LaneEntry
from .runtime import Runtime
from .shutdown import Shutdown
from .unlike import Unlike
from .verdict import Verdict
from .waiting import Aside, Waiting

LOOK_AT_STORE = 0.5  # seconds, closing, between looks whether the store has got stuck
MARK_EVERY = 0.1  # seconds: how exactly the age of pending events is known, or a tenth of flush_interval
FINEST_MARK = 0.001  # seconds: it is never known more exactly than this
LOOK_AT_MOST = 10  # batches of new events that are looked through at once for those without a known cause

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
        # (position, since, known): from that position on, hardly more than one for each _mark_every.
        self._marks: deque[tuple[int, float, bool]] = deque()
        self._next_mark = 0.0
        self._mark_every = max(FINEST_MARK, min(MARK_EVERY, config.flush_interval / 10))
        self._again = Waiting()
        self._singles = Waiting()
        self._aside = Aside()
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
        self.causes = Causes()
        self.lane = Lane(config, self.causes)
        self.lane_entry = LaneEntry(self.causes, self.lane)
        self._unlike = Unlike(self.causes, gate.parking)

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
            if self.causes.known and not self.lane_entry.may_come(event, self._popped + len(fresh)):
                return "full"
            now = self._clock()
            is_overdue = False
            if now >= self._next_mark or not fresh:
                if not fresh:
                    self._marks.clear()  # what is left there is the age of events long gone
                self._marks.append((self._popped + len(fresh), now, False))
                self._next_mark = now + self._mark_every
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
        self.lane_entry.note_added(events, self.position)
        fresh.extend(events)
        self._fresh_bytes += sum(map(len, events))
        self._unlike.note_came(events)

    @property
    def seeks_unlike(self) -> bool:
        """Whether the line is parked, since events were rejected, and all that are here are like those.

        Then a store looks further for one that is unlike them. With nothing here it hands in any: else there
        would be no probe.
        """
        return self._unlike.is_lacking and self.count > 0

    def over_lane(self, events: Iterable[bytes]) -> AbstractSet[int]:
        """Return the identities of those of a store's events that have to wait there. Called under the lock.

        The others come in now.
        """
        return self.lane_entry.over(events, is_seeking=self.seeks_unlike)

    def lane_room(self, most: int) -> int:
        """How many of those that have waited for room can come in; ``most``, if no cause is known."""
        return 0 if self.seeks_unlike else self.lane_entry.room(most)

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
    def room_taken(self) -> tuple[int, int]:
        """How many events, and bytes, leave no room for others.

        Not those in the lane beyond its part: they stop nobody else.
        """
        count, size = self.lane.beyond
        return self.count - count, self.size - size

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
    def set_aside(self) -> tuple[int, str]:
        """How many events the server chokes on, or a gateway refuses, tried now and then; and why one is."""
        return self._aside.explained

    @property
    def requests(self) -> int:
        """About how many requests it takes to send all that is here, but what waits in the lane."""
        fresh = max(len(self._fresh) / self._config.batch_size, self._fresh_bytes / self.byte_cap.bytes)
        taken = len(self._held) + len(self._again) + len(self._singles) + len(self._aside)
        return taken + math.ceil(fresh)

    @property
    def is_full_batch_waiting(self) -> bool:
        """Whether a flusher more would have a whole batch to send."""
        return len(self._fresh) >= self._config.batch_size or self._fresh_bytes >= self.byte_cap.bytes

    def is_batch_due(self) -> bool:
        """Whether a flusher more would have something to send now."""
        return bool(self._again) or self._linger(self._clock()) == 0.0

    def oldest_since(self) -> float | None:
        """Monotonic seconds at which the oldest event in the buffer was accepted."""
        ages = [batch.since for batch in self._held]
        oldest = [place.ages.oldest() for place in (self._again, self._singles, self._aside)]
        ages += [since for since in (*oldest, self.lane.oldest_since()) if since is not None]
        if self._fresh:
            ages.append(self._marks[0][1])
        return min(ages, default=None)

    def _taken_batches(self) -> Iterator[Batch]:
        for place in (self._held, self._again, self._singles, self._aside, self.lane):
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
        if self._lane_wait(now) == 0.0:
            return self.lane.take(now, self.byte_cap.limit)
        batch = self._next_batch(now)
        if batch is not None:
            return batch
        if single:
            return self._singles.popleft()
        times = [] if self._aside.next_at is None else [self._aside.next_at - now]
        times += [wait for wait in (self._fresh_wait(now), self._lane_wait(now)) if wait is not None]
        return Wait(min(times, default=None))

    def _next_batch(self, now: float) -> Batch | None:
        """The batch to go now, if one is due: first what was tried before."""
        while True:
            wait = self._fresh_wait(now)
            if self._again and not (wait == 0.0 and self._yielding_went_last and self._again[0].yields):
                batch = self._pop_again()
            elif wait == 0.0:
                self._yielding_went_last = False
                return self._next_fresh()
            else:
                return None
            if batch is not None:
                return batch

    def _lane_wait(self, now: float) -> float | None:
        """Seconds until something in the lane is tried; ``None``: nothing is, or one is on its way."""
        is_tried = self.lane and any(batch.cause for batch in self._held)
        return None if is_tried else self.lane.wait(now)

    def _fresh_wait(self, now: float) -> float | None:
        """Seconds until the next batch of new events is to be cut; ``None`` without events."""
        wait = self._linger(now)
        if wait == 0.0 and not self.is_full_batch_waiting:  # it goes on filling until its turn comes
            return self._gate.wait_for_rate("/ingestBatch", now)
        return wait

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
        is_tried = any(batch.single and not batch.cause for batch in self._held)
        return None if not self._singles or is_tried else self._singles[0]

    def _next_fresh(self) -> Batch | None:
        """Cut the next batch of new events; those of a known cause go into the lane.

        ``None``: there are only such, as far as was looked.
        """
        if not self.causes.known:
            return self._pop_fresh()
        batch: Batch | None = None
        try:
            for _ in range(LOOK_AT_MOST):
                rest = self._config.batch_size - (0 if batch is None else len(batch))
                good = self._sifted(self._pop_fresh(rest, self._room_beside(batch)))
                if good is not None:
                    batch = good if batch is None else together(batch, good)
                if not self._fresh or (batch is not None and not self._may_go_along(batch)):
                    break
        except BaseException:  # Ctrl-C: it is in no other place
            if batch is not None:
                self._again.appendleft(batch)
            raise
        if batch is not None:
            self.byte_cap.note_cut(batch)
        return batch

    def _room_beside(self, batch: Batch | None) -> int:
        """Bytes that a body may have which is to be joined with that of ``batch``."""
        limit = self.byte_cap.limit
        return limit if batch is None else limit - batch.size + ENVELOPE - 1

    def _may_go_along(self, batch: Batch) -> bool:
        """Whether the next new event may be joined with ``batch``."""
        _, since, known = self._marks[0]
        return (
            len(batch) < self._config.batch_size
            and len(self._fresh[0]) + ENVELOPE <= self._room_beside(batch)
            and known is batch.maybe_read
            and abs(since - batch.since) <= ALIKE
        )

    def _sifted(self, batch: Batch) -> Batch | None:
        """Return what is left of ``batch`` once the events of known causes are in the lane."""
        return self.lane_entry.sifted(batch, self.byte_cap.limit)

    def _pop_fresh(self, most: int | None = None, room: int | None = None) -> Batch:
        """Cut a batch of new events; ``room``: of so many bytes at most, a part of one."""
        fresh = self._fresh
        most = min(most or self._config.batch_size, self._alike())
        limit = room or self.byte_cap.limit
        count = cut(map(len, list(islice(fresh, most))), most, limit)  # one step: a handler may append
        fills = limit if room is None and count < min(most, len(fresh)) else 0
        events = list(map(deque.popleft, repeat(fresh, count)))
        _, since, known = self._marks[0]
        batch = Batch(events, self._popped, since, maybe_read=known, fills=fills)
        if room is None:
            self.byte_cap.note_cut(batch)
        self._note_popped(count)
        size = sum(map(len, events))
        # Empty: exact again, whatever interrupted a +=.
        self._fresh_bytes = self._fresh_bytes - size if fresh else 0
        self._wake_bytes = self.byte_cap.bytes
        self._taken += count
        self._taken_bytes += size
        return batch

    def _pop_all_fresh(self) -> list[Batch]:
        """Take out all new events, without a look at any: a million of them would take a second."""
        left = []
        while fresh := self._fresh:
            position, (_, since, known) = self._popped, self._marks[0]
            # As far as all, or none, may be known to Togai.
            changes = [self._known_to, *(at for at, _, its_known in self._marks if its_known is not known)]
            count = min([len(fresh), *(at - position for at in changes if at > position)])
            events = list(map(deque.popleft, repeat(fresh, count)))
            self._note_popped(count)
            left.append(self.as_known(Batch(events, position, since, maybe_read=known)))
        self._fresh_bytes = 0
        return left

    def _note_popped(self, count: int) -> None:
        self._popped += count
        self.lane_entry.note_left(self._popped)
        while len(self._marks) > 1 and self._marks[1][0] <= self._popped:
            self._marks.popleft()

    def _pop_again(self) -> Batch | None:
        """Cut the next batch from those that were tried: as long as requests may be by now.

        ``None``: it held events of known causes alone, which are in the lane now.
        """
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
        sifted = self._sifted(batch) if self.causes.known else batch
        if sifted is not None:
            self.byte_cap.note_cut(sifted)
        return sifted

    def _alike(self) -> int:
        """How many of the next events, as far as a batch goes, are of one age, and all known or none."""
        most = self._config.batch_size
        _, since, known = self._marks[0]
        for position, its_since, its_known in list(islice(self._marks, most + 1)):  # likewise
            if its_known is not known or abs(its_since - since) > ALIKE:
                return min(position - self._popped, most)
            if position - self._popped >= most:
                break
        return most

    def _probe(self) -> Batch | None:
        """One event by itself, to learn whether the line is open; each time the next one.

        First one that is unlike those which were rejected, where that has parked it. Else in turn from what
        has never been sent and from what has: that may be what parked the line.
        """
        unlike = self._take_unlike() if self._gate.parking.is_by_refusals else None
        if unlike is not None:
            return attrs.evolve(unlike, probe=True)
        self._probe_fresh = not self._probe_fresh
        if self._again and not (self._fresh and self._probe_fresh):
            probe = self._single_of_again()
        elif self._fresh:
            (probe,) = singles(self._pop_fresh(1))
        elif self._singles:
            probe = self._singles.popleft()
        elif (aside := self._aside.pop()) is not None:
            probe = aside
        elif self.lane:
            probe = self.lane.take(self._clock())
        else:
            return None
        return attrs.evolve(probe, probe=True)

    def _take_unlike(self) -> Batch | None:
        """Take out an event that is unlike those which were rejected: Togai may take that one.

        Those that stand before it go on waiting, and others go in between.
        """
        again, unlike = self._again, None
        if (found := self._unlike.among(list(again))) is not None:  # one step: a handler may close
            batch, at = found
            again.remove(batch)
            for start, stop in ((at + 1, len(batch)), (0, at)):
                if start < stop:
                    again.appendleft(batch.part(start, stop))
            unlike = singles(batch.part(at, at + 1))[0]
        elif (before := self._unlike.before(self._fresh, self._popped)) is not None:
            while before > 0:
                batch = self._pop_fresh(min(before, self._config.batch_size))
                again.append(batch)
                before -= len(batch)
            unlike = singles(self._pop_fresh(1))[0]
        if unlike is not None:
            for _ in range(len(again)):
                again.append(attrs.evolve(again.popleft(), yields=True))
        return unlike

    def _single_of_again(self) -> Batch:
        """Take out the first event of what was tried before."""
        first = self._again.popleft()
        (single,) = singles(first, first.events[:1])
        if len(first) > 1:
            self._again.appendleft(first.part(1, len(first)))
        return single

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
        while self._again:
            if (batch := self._pop_again()) is not None:
                return batch
        if self._fresh and (coming or not self._may_go_singly(len(self._fresh))):
            return self._next_fresh() or Wait(0.0)
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
        if self.lane and self._lane_wait(now) is not None:
            return self.lane.take(now, self.byte_cap.limit)
        wait = left if self._aside.next_at is None else self._aside.next_at - now
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
            self._put_back(part, first=True)
        for part in last:
            if part.not_before:
                self._aside.add(part)
            else:
                self._put_back(part, first=False)
        self._taken -= settled
        self._taken_bytes -= size

    def cause_at_work(self) -> Cause | None:
        """Return a cause for which events wait, or were rejected a moment ago. Called under the lock."""
        return self.causes.at_work(self._clock(), self.lane.waits_for)

    def _put_back(self, part: Batch, *, first: bool) -> None:
        if part.cause is not None:
            self.lane.put_back(part, first=first)
            return
        place = self._singles if part.single else self._again
        if first:
            place.appendleft(part)
        else:
            place.append(part)

    def learn_causes(
        self, accepted: int, traits: AbstractSet[Trait], rejected: Sequence[bytes]
    ) -> LearntCauses:
        """Learn what Togai takes, and what it does not. Called under the lock.

        ``accepted``: how many events it took, and ``traits`` of them; none, if nobody was curious.
        """
        now = self._clock()
        if accepted:
            self._unlike.note_accepted()
        over = self.causes.note_accepted(accepted, traits, now)
        noted = [self.causes.note_rejected(event, now) for event in rejected]
        found = [cause for cause in noted if cause is not None]
        if found:
            waiting = list(self._singles)
            self._singles.clear()
            self._singles.extend(each for each in waiting if self._sifted(each) is not None)
        return LearntCauses(found, over)

    def suspect(self, batch: Batch, verdict: Verdict) -> None:
        """Note what Togai refuses while refusals have parked the line. Called under the lock."""
        if self._gate.parking.is_by_refusals and is_refused_alone(batch, verdict):
            self.causes.note_refused(batch.events[0])

    def take_up(self) -> None:
        """Let all that was set aside wait with the others. Called under the lock."""
        self._take_up(math.inf)

    def _take_up(self, now: float) -> None:
        """Let what was set aside until ``now`` wait with the others."""
        while (batch := self._aside.pop(now)) is not None:
            self._put_back(batch, first=False)

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
        places = (self._again, self._singles, self._aside)
        waiting = [batch for place in (*places, self.lane.give_up()) for batch in place]
        left = list(map(self.as_known, waiting)) + self._pop_all_fresh()
        for place in places:
            place.clear()
        self._taken = self.in_flight
        self._taken_bytes = sum(len(event) for batch in self._held for event in batch.events)
        return left
