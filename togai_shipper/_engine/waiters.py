"""Who waits for events to be settled: calls of ``flush()`` and ``close()``."""

from __future__ import annotations

import sys

import attrs

from togai_shipper._outcome import Delivered, Rejected, Relayed, Settled

from .batching import Batch
from .bell import Bell
from .shutdown import thawed
from .telling import Telling


@attrs.define(eq=False)
class Waiter:
    """A ``flush()`` or ``close()`` that waits for all events accepted before it.

    Attributes:
        target: how many events were accepted before it began.
        deadline: monotonic seconds at which it stops waiting.
        left: how many of those events are not settled.
        delivered, relayed, rejected, dropped: what became of the others since it began.
        tellings: what the application is told of those.
        was_frozen: the process was, past the deadline, and so has got another one: once.
        aside: of the events that the store has set aside, it waits for so many, the first ones.
        back: the identities of those of them that have come into the buffer since: behind later ones.

    """

    target: int
    deadline: float
    left: int
    delivered: int = 0
    rejected: int = 0
    dropped: int = 0
    relayed: int = 0
    tellings: list[Telling] = attrs.field(factory=list)
    was_frozen: bool = False
    aside: int = 0
    back: set[int] = attrs.field(factory=set)

    @property
    def is_told(self) -> bool:
        """Whether the application was told of all these outcomes."""
        return all(telling.is_over for telling in self.tellings)

    def count(self, outcome: Settled, batch: Batch, telling: Telling | None) -> None:
        """Note the outcome of those events of ``batch`` that are waited for; ``telling`` tells of it."""
        waited_for = batch.before(self.target)
        if waited_for == len(batch):
            count = len(outcome.events)
        else:  # later events went along; told apart as objects, since equal ones may be tracked twice
            ours = self.back.union(map(id, batch.events[:waited_for]))
            count = sum(id(event) in ours for event in outcome.events)
        if self.back:  # another object may soon have the identity of one that is settled
            self.back.difference_update(map(id, outcome.events))
        self.left -= count
        if isinstance(outcome, Delivered):
            self.delivered += count
        elif isinstance(outcome, Relayed):
            self.relayed += count
        elif isinstance(outcome, Rejected):
            self.rejected += count
        else:
            self.dropped += count
        if count and telling is not None:
            self.tellings = [each for each in self.tellings if not each.is_over] + [telling]

    def woke(self, planned: float, now: float) -> None:
        """Note that a wait which was to end at ``planned`` has ended now."""
        if not self.was_frozen:
            before, self.deadline = self.deadline, thawed(self.deadline, planned, now)
            self.was_frozen = self.deadline != before

    def drop(self, count: int) -> None:
        """Note that so many of the events that are waited for are lost."""
        self.left -= count
        self.dropped += count

    def wait_for_more(self, count: int) -> None:
        """Wait for so many events more, which came before those that are waited for."""
        self.target += count
        self.left += count

    def note_set_aside(self) -> None:
        """Note that one of the events that are waited for does not come into the line in its turn."""
        self.target -= 1
        self.aside += 1

    def forget_aside(self) -> None:
        """Note that none of those that were set aside comes back."""
        self.aside = 0

    def note_back(self, event: bytes | None) -> None:
        """Note that the first event of those that were set aside comes in; ``None``: it never does."""
        if self.aside:
            self.aside -= 1
            if event is not None:
                self.back.add(id(event))


class Waiters:
    """All of them. Touched only while holding the shipper's lock, but for the bell."""

    def __init__(self, progress: Bell) -> None:
        self.progress = progress  # rung when events were settled (and so room was made), or a thread ended
        self._waiters: list[Waiter] = []
        self._aside = 0  # events that the store has set aside, in the order in which they came

    def add(self, accepted: int, pending: int, deadline: float) -> Waiter:
        """Wait for the ``pending`` ones of all events that are ``accepted`` by now."""
        waiter = Waiter(accepted, deadline, pending, aside=self._aside)
        self._waiters.append(waiter)
        return waiter

    def add_for_all(self, deadline: float) -> Waiter:
        """Wait for every event, however it comes into the line: ``close()`` answers for all of them."""
        return self.add(sys.maxsize, sys.maxsize, deadline)

    def remove(self, waiter: Waiter) -> None:
        """It waits no longer."""
        self._waiters.remove(waiter)

    def count(self, outcome: Settled, batch: Batch, telling: Telling | None) -> None:
        """Note the outcome of events of ``batch``, of which ``telling`` tells."""
        for waiter in self._waiters:
            waiter.count(outcome, batch, telling)

    def count_lost(self, count: int) -> None:
        """Note that so many events are lost, nobody knows which: nobody who waits is told of success."""
        for waiter in self._waiters:
            waiter.drop(min(count, waiter.left))

    def count_dropped(self, count: int, pending: int) -> None:
        """Note that of ``pending`` events so many are given up, at the end."""
        for waiter in self._waiters:
            waiter.drop(min(waiter.left, pending, count))

    def overtake(self, count: int, position: int) -> None:
        """Note that so many events came in at ``position``: who waits for later ones waits for them, too."""
        for waiter in self._waiters:
            if waiter.target > position:
                waiter.wait_for_more(count)

    def set_aside(self, position: int) -> None:
        """Note that the event which was to come in at ``position`` was set aside, and comes later."""
        self._aside += 1
        for waiter in self._waiters:
            if waiter.target > position:
                waiter.note_set_aside()

    def come_back(self, event: bytes | None) -> None:
        """Note that the first event of those that were set aside comes in now; ``None``: it never does."""
        self._aside -= 1
        for waiter in self._waiters:
            waiter.note_back(event)

    def forget_aside(self) -> None:
        """Note that what was set aside does not come back."""
        self._aside = 0
        for waiter in self._waiters:
            waiter.forget_aside()
