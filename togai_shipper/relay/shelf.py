"""Which entries of the stream a drainer has in memory, and what became of their events.

It counts and names, and does no I/O; it is used only under the shipper's lock. An entry is done once all its
events have their outcome.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import islice

import attrs

from togai_shipper._event import id_of
from togai_shipper._outcome import Delivered, Dropped, Rejected, Settled
from togai_shipper.spool.rows import DeadLetter

from .answers import Done
from .census import Census, Place
from .entries import Entry
from .letters import encode

START = "0"  # the cursor before all entries
MOST_WAITING = 20_000  # entries that are known to wait in the stream; of more it is known that there are some


@attrs.define(eq=False)
class Taken:
    """An entry in memory; ``left`` of its events have no outcome yet."""

    entry: Entry
    left: int
    letters: dict[str, bytes] = attrs.field(factory=dict)
    buried: list[bytes] = attrs.field(factory=list)

    def bury(self, event: bytes, outcome: Settled, now_ms: int) -> None:
        """Keep an event as a dead letter, if it was not delivered."""
        if isinstance(outcome, (Rejected, Dropped)):
            reason = outcome.reason if isinstance(outcome, Dropped) else "rejected"
            error = outcome.error
            event_id = id_of(event)
            self.buried.append(event)
            self.letters[event_id] = encode(
                DeadLetter(
                    event_id,
                    self.entry.accepted_ms,
                    bytes(event),
                    reason,
                    error.status,
                    error.message,
                    error.attempts,
                    now_ms,
                )
            )

    def settle(self) -> None:
        """Count an event that has its outcome."""
        self.left -= 1

    def done(self) -> Done:
        """Return what is settled."""
        entry, delivered = self.entry, self.entry.events
        if self.buried:  # told apart as objects: two events may have one id
            buried = set(map(id, self.buried))
            delivered = [event for event in delivered if id(event) not in buried]
        return Done(entry.id, entry.mark, len(entry.events), entry.size, self.letters, delivered)


@attrs.frozen
class Passed:
    """Entries that stay where they are: how many, and how many events those have that are ours."""

    foreign: int = 0
    kept: int = 0
    kept_events: int = 0


@attrs.frozen
class Stock:
    """What stands in the stream up to the cursor, as it was read.

    Attributes:
        entries: all of them.
        events: how many events those have that are ours.
        size: what these count for, in bytes.
        more_events: how many events the others may have, which cannot be read; they are counted, or not.
        more_size: likewise.

    """

    entries: int = 0
    events: int = 0
    size: int = 0
    more_events: int = 0
    more_size: int = 0

    def plus(self, events: int, size: int, sign: int = 1) -> Stock:
        """Return it with one entry more; with ``sign`` -1, with one less."""
        return attrs.evolve(
            self,
            entries=self.entries + sign,
            events=self.events + sign * events,
            size=self.size + sign * size,
        )

    def plus_unread(self, events: int, size: int) -> Stock:
        """Return it with one entry more that cannot be read, and may have so much in it."""
        return attrs.evolve(
            self,
            entries=self.entries + 1,
            more_events=self.more_events + events,
            more_size=self.more_size + size,
        )

    def corrected(self, events: int, size: int) -> tuple[int, int]:
        """Return what the relay says that it holds, or, where that cannot be, what comes next to it."""
        return (
            min(max(events, self.events), self.events + self.more_events),
            min(max(size, self.size), self.size + self.more_size),
        )


@attrs.frozen
class Waiting:
    """An entry that waits in the stream, since it has as many events of a known cause as may be in memory."""

    place: Place
    count: int
    size: int


class Shelf:
    """Knows the entries of one stream."""

    def __init__(self, now_ms: Callable[[], int]) -> None:
        self._now_ms = now_ms
        self._taken: dict[Place, Taken] = {}
        self._of: dict[int, Taken] = {}  # id() of an event in the buffer -> its entry
        self._done: dict[Place, Done] = {}
        self._full: dict[Place, Done] = {}  # done, and there are too many dead letters to remove them
        self._waiting: dict[Place, Waiting] = {}
        self._has_more_waiting = False
        self._passed = Passed()
        self._passed_before = Passed()  # by the last time that all was read
        self.cursor = START
        self.stock = Stock()
        self._census = Census({})
        self._unsure: set[Place] = set()  # which may be removed: Redis was asked to, and has not answered

    def __len__(self) -> int:
        waiting = len(self._waiting) + self._has_more_waiting
        return len(self._taken) + len(self._done) + len(self._full) + waiting

    @property
    def events(self) -> int:
        """Events in memory that have no outcome yet."""
        return len(self._of)

    @property
    def letters(self) -> int:
        """Dead letters that are in memory still."""
        return sum(len(done.letters) for done in (*self._done.values(), *self._full.values()))

    @property
    def done(self) -> int:
        """Entries that are to be removed from the stream."""
        return len(self._done)

    @property
    def full(self) -> int:
        """Entries that stay, since there are too many dead letters."""
        return len(self._full)

    # --- in ---

    def take(self, entry: Entry) -> None:
        """Note an entry whose events go into the buffer."""
        self._waiting.pop((entry.id, entry.mark), None)
        taken = self._taken[entry.id, entry.mark] = Taken(entry, len(entry.events))
        self._of.update(dict.fromkeys(map(id, entry.events), taken))

    def read_up_to(self, entry_id: str, events: int, size: int) -> None:
        """Note that an entry of ours was read, and what it counts for."""
        self.cursor = entry_id
        self.stock = self.stock.plus(events, size)

    def read_again(self, place: Place) -> bool:
        """Note that an entry was read, if it is in memory, or waits; return whether that is so."""
        taken = self._taken.get(place)
        done = taken.done() if taken else self._done.get(place) or self._full.get(place)
        known = done or self._waiting.get(place)
        if known is None:
            return False
        self._census.pass_over([place])
        self.read_up_to(place[0], known.count, known.size)
        return True

    # --- what waits in the stream ---

    def leave(self, entry: Entry) -> None:
        """Note that an entry which was just read has to wait where it is."""
        place = entry.id, entry.mark
        if len(self._waiting) < MOST_WAITING:
            self._waiting[place] = Waiting(place, len(entry.events), entry.size)
        else:
            self._has_more_waiting = True

    def next_waiting(self) -> Waiting | None:
        """Return the entry that has waited longest, of those that are known."""
        return next(iter(self._waiting.values()), None)

    def forget_more_waiting(self) -> bool:
        """Return whether others wait, and none that is known: then the caller reads all once more."""
        is_more = self._has_more_waiting and not self._waiting
        if is_more:
            self._has_more_waiting = False
        return is_more

    def note_parted(self, waiting: Waiting) -> None:
        """Note that an entry which waited was parted: its events stand in others."""
        self._census.pass_over([waiting.place])
        self.note_gone(waiting)

    def note_gone(self, waiting: Waiting) -> None:
        """Note that an entry which waited is gone."""
        self._waiting.pop(waiting.place, None)
        if _order(waiting.place[0]) <= _order(self.cursor):
            self.stock = self.stock.plus(waiting.count, waiting.size, -1)

    def pass_over(self, entry_id: str, events: int, size: int) -> None:
        """Note that an entry stays which is not ours, and may be counted for so much."""
        self.cursor = entry_id
        self.stock = self.stock.plus_unread(events, size)
        self._passed = attrs.evolve(self._passed, foreign=self._passed.foreign + 1)

    def keep(self, entry: Entry) -> None:
        """Note that the entry stays which was just read: it is ours, and its age is not known."""
        self._waiting.pop((entry.id, entry.mark), None)
        passed = self._passed
        self._passed = Passed(passed.foreign, passed.kept + 1, passed.kept_events + len(entry.events))

    def rewind(self) -> None:
        """Begin to read at the start; what is in memory is known by its place and its mark."""
        self._passed_before = self.passed
        self._passed = Passed()
        self.cursor, self.stock = START, Stock()

    def note_all_read(self, now: float) -> None:
        """Note that nothing stands behind the cursor."""
        self._passed_before = self._passed
        self._census.note_all_read(now)

    def look_for_all(self) -> Census:
        """Look, as all is read once more, whether what is not settled is there still."""
        # Not what is done: it may have been removed, by an order to which the answer was lost.
        taken = {place: len(each.entry.events) for place, each in self._taken.items()}
        others: dict[Place, Done | Waiting] = {**self._full, **self._waiting}
        self._census = Census({**taken, **{place: each.count for place, each in others.items()}})
        return self._census

    @property
    def passed(self) -> Passed:
        """What stays where it is; while all is read once more, at least what it was before."""
        now, before = self._passed, self._passed_before
        return max(now, before, key=lambda passed: passed.foreign + passed.kept)

    # --- out ---

    def settled(self, outcome: Settled) -> None:
        """Note that events of the buffer have their outcome."""
        now_ms = 0 if isinstance(outcome, Delivered) else self._now_ms()
        for event in outcome.events:
            taken = self._of.pop(id(event))
            taken.bury(event, outcome, now_ms)
            taken.settle()
            if not taken.left:
                place = taken.entry.id, taken.entry.mark
                del self._taken[place]
                self._done[place] = taken.done()

    def next_done(self, most: int) -> Sequence[Done]:
        """Return what is to be removed from the stream; the caller says ``removed`` once that is done."""
        return list(islice(self._done.values(), most))

    def removed(self, done: Iterable[Done], gone: Sequence[str], kept: Sequence[str]) -> int:
        """Note that of these entries some are removed, and others kept; the rest was not there.

        Return how many events the rest has that nobody has counted: Redis had lost them.
        """
        stay, left = set(kept), set(gone)
        lost = 0
        for each in done:
            place = each.id, each.mark
            del self._done[place]
            if each.id in stay | left:
                self._census.pass_over([place])
            elif place not in self._unsure:
                lost += len(each.delivered)
            self._unsure.discard(place)
            if each.id in stay:
                self._full[place] = each
            if each.id in left and _order(each.id) <= _order(self.cursor):
                self.stock = self.stock.plus(each.count, each.size, -1)
        return lost

    def note_unsure(self, done: Iterable[Done]) -> None:
        """Note that these may be removed: Redis was asked to, and has not answered."""
        places = [(each.id, each.mark) for each in done]
        self._unsure.update(places)
        self._census.pass_over(places)

    def try_full_again(self) -> None:
        """Let those be removed for which there were too many dead letters."""
        self._done.update(self._full)
        self._full.clear()

    def forget(self) -> None:
        """Forget all that is in memory: another one sends it now."""
        self._taken.clear()
        self._of.clear()
        self._done.clear()
        self._full.clear()
        self._waiting.clear()
        self._has_more_waiting = False
        self._unsure.clear()
        self.rewind()


def _order(entry_id: str) -> tuple[int, ...]:
    """Return what tells which of two entries stands first."""
    return tuple(map(int, entry_id.split("-")))
