"""What goes into the lane, and whether it has room for that: it is decided as an event comes in.

Used only while holding the shipper's lock. A signal handler may put an event in the middle of any line below.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet

import attrs

from togai_shipper._event import Trait

from .batching import Batch, sift
from .causes import Cause, Causes
from .lane import Lane


@attrs.frozen
class Coming:
    """An event of a known cause that is in the buffer, and not in the lane yet."""

    cause: Trait
    size: int  # bytes
    position: int = -1


class LaneEntry:
    """Decides what is of a known cause, and counts what is on its way into the lane: that takes room, too."""

    def __init__(self, causes: Causes, lane: Lane) -> None:
        self._causes = causes
        self._lane = lane
        self._coming: deque[Coming] = deque()  # in the order of their positions
        self._size = 0  # their bytes
        self._decided: dict[int, Coming] = {}  # events of a store that come in now, by their identities
        self._counted_for = causes.known

    @property
    def is_open(self) -> bool:
        """Whether a cause is known: else all events go the same way."""
        return bool(self._causes.known)

    def is_caused(self, event: bytes) -> bool:
        """Whether the event would be rejected for a known cause."""
        return self.is_open and self._causes.of(event) is not None

    # --- room ---

    def may_come(self, event: bytes, position: int) -> bool:
        """Whether the event may come in, at that position, since it is of no cause or the lane has room."""
        cause = self._causes.of(event)
        if cause is None:
            return True
        if not self._has_room(1, len(event)):
            return False
        self._note(Coming(cause, len(event), position))
        return True

    def over(self, events: Iterable[bytes], *, is_seeking: bool = False) -> AbstractSet[int]:
        """Return the identities of those of a store's events that the lane has no room for.

        The others come in now. ``is_seeking``: and of those that are like others which were rejected.
        """
        self._decided = {}
        over: set[int] = set()
        size = 0
        for event in events if self.is_open or is_seeking else ():
            cause = self._causes.of(event)
            if cause is None:
                if is_seeking and self._causes.is_suspect(event):
                    over.add(id(event))
                continue
            if self._has_room(len(self._decided) + 1, size + len(event)):
                self._decided[id(event)] = Coming(cause, len(event))
                size += len(event)
            else:
                over.add(id(event))
        return over

    def note_added(self, events: Sequence[bytes], position: int) -> None:
        """Note that a store's events have come in, the first at that position."""
        if self._decided:
            for at, event in enumerate(events, position):
                if coming := self._decided.pop(id(event), None):
                    self._note(attrs.evolve(coming, position=at))

    def room(self, most: int) -> int:
        """How many events that may be of a known cause can come in; ``most``, if none is known."""
        self._forget_the_ended()
        return min(most, self._lane.room - len(self._coming)) if self.is_open else most

    def why_full(self, event: bytes) -> Cause | None:
        """Return the cause for which this event alone has no room, if that is so."""
        cause = self._causes.of(event)
        return None if cause is None or self._has_room(1, len(event)) else self._causes.known[cause]

    def _has_room(self, count: int, size: int) -> bool:
        """Whether the lane has room for so many events more, of so many bytes."""
        self._forget_the_ended()
        return self._lane.has_room(len(self._coming) + count - 1, self._size + size)

    def _forget_the_ended(self) -> None:
        """Where a cause is over, its events go with all others: no room is taken for them."""
        known = self._causes.known
        if self._counted_for is not known:
            self._counted_for = known
            self._coming = deque(each for each in self._coming if each.cause in known)
            self._size = sum(each.size for each in self._coming)

    def _note(self, coming: Coming) -> None:
        self._coming.append(coming)
        self._size += coming.size

    def note_left(self, position: int) -> None:
        """Note that the new events before that position are new no longer: they are in the lane, or out."""
        coming = self._coming
        while coming and coming[0].position < position:
            self._size -= coming.popleft().size
        if not coming:
            self._size = 0  # exact again, whatever interrupted a +=

    # --- in ---

    def sifted(self, batch: Batch, limit: int) -> Batch | None:
        """Return what is left of ``batch`` once the events of known causes are in the lane.

        ``limit``: bytes of a batch there.
        """
        good, others = sift(batch, self._causes.of)
        for part in others:
            self._lane.add(part, limit)
        return good
