"""Which entries of the stream a drainer has in memory, and what became of their events.

It counts and names, and does no I/O; it is used only under the shipper's lock. An entry is done once all its
events have their outcome.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from typing import TypeAlias

import attrs

from togai_shipper._event import id_of
from togai_shipper._outcome import Delivered, Dropped, Rejected, Settled
from togai_shipper.spool.rows import DeadLetter

from .answers import Done
from .entries import Entry
from .letters import encode

START = "0"  # the cursor before all entries
Place: TypeAlias = tuple[str, bytes]  # an entry's id and its mark


@attrs.define(eq=False)
class Taken:
    """An entry in memory; ``left`` of its events have no outcome yet."""

    entry: Entry
    left: int
    letters: dict[str, bytes] = attrs.field(factory=dict)

    def bury(self, event: bytes, outcome: Settled, now_ms: int) -> None:
        """Keep an event as a dead letter, if it was not delivered."""
        if isinstance(outcome, (Rejected, Dropped)):
            reason = outcome.reason if isinstance(outcome, Dropped) else "rejected"
            error = outcome.error
            event_id = id_of(event)
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
        entry = self.entry
        return Done(entry.id, entry.mark, len(entry.events), entry.size, self.letters)


@attrs.frozen
class Passed:
    """Entries that stay where they are: how many, and how many events those have that are ours."""

    foreign: int = 0
    kept: int = 0
    kept_events: int = 0


class Shelf:
    """Knows the entries of one stream."""

    def __init__(self, now_ms: Callable[[], int]) -> None:
        self._now_ms = now_ms
        self._taken: dict[Place, Taken] = {}
        self._of: dict[int, Taken] = {}  # id() of an event in the buffer -> its entry
        self._done: dict[Place, Done] = {}
        self._full: dict[Place, Done] = {}  # done, and there are too many dead letters to remove them
        self._passed = Passed()
        self._passed_before = Passed()  # by the last time that all was read
        self.cursor = START
        self.read = 0  # entries up to the cursor, as far as we know

    def __len__(self) -> int:
        return len(self._taken) + len(self._done) + len(self._full)

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

    def __contains__(self, place: Place) -> bool:
        return place in self._taken or place in self._done or place in self._full

    # --- in ---

    def take(self, entry: Entry) -> None:
        """Note an entry whose events go into the buffer."""
        taken = self._taken[entry.id, entry.mark] = Taken(entry, len(entry.events))
        self._of.update(dict.fromkeys(map(id, entry.events), taken))

    def read_up_to(self, entry_id: str) -> None:
        """Note that an entry was read, whatever is in it."""
        self.cursor = entry_id
        self.read += 1

    def pass_over(self, *, kept_events: int = 0) -> None:
        """Note that the entry stays: it is not ours; or it is, and its age is not known."""
        passed = self._passed
        self._passed = Passed(
            passed.foreign + (not kept_events),
            passed.kept + bool(kept_events),
            passed.kept_events + kept_events,
        )

    def rewind(self) -> None:
        """Begin to read at the start; what is in memory is known by its place and its mark."""
        self._passed_before = self.passed
        self._passed = Passed()
        self.cursor, self.read = START, 0

    def note_all_read(self) -> None:
        """Note that nothing stands behind the cursor."""
        self._passed_before = self._passed

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

    def removed(self, done: Iterable[Done], gone: Sequence[str], kept: Sequence[str]) -> None:
        """Note that of these entries some are removed, and others kept; the rest was not there."""
        self.read = max(0, self.read - len(gone))
        stay = set(kept)
        for each in done:
            place = each.id, each.mark
            del self._done[place]
            if each.id in stay:
                self._full[place] = each

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
        self.rewind()
