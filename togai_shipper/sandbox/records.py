"""The accepted copies of events that are kept whole, found by their id, their number, and in three orders.

By when they happened they are sorted once somebody asks for that, and in small steps, so that no look-up of a
million records holds up the requests that bring events. Not thread-safe: the ledger holds its lock.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any, Literal, TypeAlias

import attrs
from sortedcontainers import SortedList

from .event_time import happened

EventJson: TypeAlias = dict[str, Any]
Place: TypeAlias = tuple[float, int]  # when it happened, and its number
ListOrder: TypeAlias = Literal["newest", "oldest", "received"]
LIST_ORDERS = ("newest", "oldest", "received")


@attrs.frozen
class Record:
    """One accepted copy of an event, and what became of it.

    Attributes:
        number: 1 for the first copy that was accepted.
        event: the event as it came.
        status: its final status.
        created: when it was accepted, in seconds since 1970.
        happened: when it happened by its own timestamp, in seconds since 1970.
        status_before: the status that it had before a correction reverted it; ``""`` if none has.

    """

    number: int
    event: EventJson
    status: str
    created: float
    happened: float
    status_before: str = ""

    @property
    def reference(self) -> str:
        """The server's own id for it."""
        return f"event.{self.number:012d}"


class Records:
    """Keeps records, and finds them; the first one gets the number ``first``."""

    def __init__(self, first: int = 1) -> None:
        self._kept: dict[int, Record] = {}  # by their numbers, which have no gap
        self._by_id: dict[str, list[Record]] = {}
        self._by_moment: SortedList[Place] = SortedList()  # of those that are kept, up to a number
        self._oldest = first  # the number of the first that is kept
        self._unsorted = first  # the number of the first that is not in _by_moment yet
        self.next_number = first

    def __len__(self) -> int:
        """How many are kept."""
        return self.next_number - self._oldest

    def __iter__(self) -> Iterator[Record]:
        """Yield all that are kept, in the order in which they were accepted."""
        return iter(self._kept.values())

    def __reversed__(self) -> Iterator[Record]:
        """Yield all that are kept, the last one first."""
        return reversed(self._kept.values())

    # --- what changes them ---

    def add(self, event: EventJson, status: str, created: float) -> Record:
        """Keep an accepted copy of a valid event."""
        number = self.next_number
        record = Record(number, event, status, created, happened(event["timestamp"]))
        self._kept[number] = record
        self.next_number = number + 1
        event_id = event.get("id")
        if event_id is not None:
            copies = self._by_id.get(event_id)
            if copies is None:
                self._by_id[event_id] = [record]
            else:
                copies.append(record)
        return record

    def replace(self, old: Record, new: Record) -> None:
        """Put a record in the place of one that is kept; number, event and times are the same."""
        self._kept[old.number] = new
        event_id = old.event.get("id")
        if event_id is not None:
            copies = self._by_id[event_id]
            copies[copies.index(old)] = new

    def keep_newest(self, most: int | None) -> None:
        """Forget those that were accepted first until no more than so many are kept."""
        while most is not None and len(self._kept) > most:
            record = self._kept.pop(self._oldest)
            self._oldest += 1
            event_id = record.event.get("id")
            if event_id is not None:
                copies = self._by_id[event_id]
                copies.pop(0)
                if not copies:
                    del self._by_id[event_id]
            if record.number < self._unsorted:
                self._by_moment.remove(place_of(record))

    def sort_some(self, most: int) -> bool:
        """Sort at most so many records by when they happened; return whether all are sorted now."""
        start = max(self._unsorted, self._oldest)
        self._unsorted = min(start + most, self.next_number)
        self._by_moment.update(place_of(self._kept[number]) for number in range(start, self._unsorted))
        return self._unsorted == self.next_number

    # --- what finds them ---

    def of_id(self, event_id: str) -> Sequence[Record]:
        """Return every copy of this id, oldest first."""
        return self._by_id.get(event_id, ())

    def numbered(self, number: int) -> Record | None:
        """Return the record with this number."""
        return self._kept.get(number)

    def after(self, place: Place | None, most: int, order: ListOrder) -> list[Record]:
        """Return the first records of this order, or those after a place: at most so many, none at the end.

        By when they happened there are only those that are sorted. Of those that happened at the same moment,
        ``"newest"`` has the last accepted first.
        """
        if order == "received":
            start = self._oldest if place is None else max(place[1] + 1, self._oldest)
            return [self._kept[number] for number in range(start, min(start + most, self.next_number))]
        is_newest = order == "newest"
        bounds = (None, place) if is_newest else (place, None)
        places = self._by_moment.irange(*bounds, inclusive=(False, False), reverse=is_newest)
        return [self._kept[number] for _, number in islice(places, most)]


def place_of(record: Record) -> Place:
    """Return where a record stands, in whatever order."""
    return record.happened, record.number
