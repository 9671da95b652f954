"""Which event a line is probed with that refusals have parked: one that is unlike those which were rejected.

The oldest ones may all be of one account that is closed: probed with those, the line would be parked for as
long, and everybody's events would wait. It decides, and moves nothing.

Used only while holding the shipper's lock.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from itertools import islice

from .batching import Batch
from .causes import Causes
from .parking import Parking

LOOK_FURTHER = 20_000  # events that are looked at for one probe: some 25 ms


class Unlike:
    """Looks for such an event among those of one buffer."""

    def __init__(self, causes: Causes, parking: Parking) -> None:
        self._is_suspect = causes.is_suspect
        self._parking = parking
        self._is_lacking = False  # there was none as the line was probed last
        self._alike_to = 0  # new events before this position are all like some that were rejected

    @property
    def is_lacking(self) -> bool:
        """Whether the line is parked by refusals, and there was none to probe it with."""
        return self._is_lacking and self._parking.is_by_refusals

    def note_came(self, events: Sequence[bytes]) -> None:
        """Note that a store's events have come in: with one of them the line is probed at once."""
        if self.is_lacking and not all(map(self._is_suspect, events)):
            self._is_lacking = False
            self._parking.probe_next()

    def note_accepted(self) -> None:
        """Note that Togai has taken something: what was suspect may be so no longer."""
        self._alike_to = 0

    def among(self, batches: Sequence[Batch]) -> tuple[Batch, int] | None:
        """Return the batch that has such an event, and its place there."""
        places = islice(((batch, at) for batch in batches for at in range(len(batch))), LOOK_FURTHER)
        found = next((place for place in places if not self._is_suspect(place[0].events[place[1]])), None)
        self._is_lacking = self._is_lacking and found is None
        return found

    def before(self, fresh: deque[bytes], position: int) -> int | None:
        """Return how many new events stand before such a one; ``position`` is that of the first of them."""
        start = max(0, self._alike_to - position)
        seen = list(islice(fresh, start, start + LOOK_FURTHER))  # one step: a handler may append
        alike = next((at for at, event in enumerate(seen) if not self._is_suspect(event)), len(seen))
        is_there = alike < len(seen)
        self._alike_to = position + start + alike
        self._is_lacking = not is_there and start + alike >= len(fresh)
        return start + alike if is_there else None
