"""How many records there are of each kind, by the quarter of an hour: what ``POST /metrics`` counts.

It stays exact when the ledger forgets the records themselves. Not thread-safe: the ledger holds its lock.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import NamedTuple, TypeAlias

from .records import Record

QUARTER = 900  # seconds; every time zone begins its days on one


class Kind(NamedTuple):
    """What is counted together.

    Attributes:
        happened: the quarter of an hour of the event's own timestamp, counted from 1970.
        received: that in which it was accepted.
        schema: its schema.
        account: its account, as the event names it.
        status: its status.

    """

    happened: int
    received: int
    schema: str
    account: str
    status: str


_Key: TypeAlias = tuple[int, int, str, str, str]  # a Kind, but made faster: each event makes one


def _key(record: Record, status: str) -> _Key:
    event = record.event
    return (
        int(record.happened // QUARTER),
        int(record.created // QUARTER),
        event["schemaName"],
        event["accountId"],
        status,
    )


class Tally:
    """Counts records."""

    def __init__(self) -> None:
        self._counts: dict[_Key, int] = {}
        self._oldest_first: deque[_Key] = deque()

    def add(self, record: Record) -> None:
        """Count a record with its status."""
        key = _key(record, record.status)
        counted = self._counts.get(key)
        if counted is None:
            self._oldest_first.append(key)
            counted = 0
        self._counts[key] = counted + 1

    def remove(self, record: Record) -> None:
        """Count a record no longer, unless its kind is forgotten."""
        key = _key(record, record.status)
        if key in self._counts:
            self._counts[key] -= 1

    def keep_newest(self, most: int | None) -> None:
        """Forget the kinds that came first until no more than so many are counted."""
        while most is not None and len(self._counts) > most:
            del self._counts[self._oldest_first.popleft()]

    def counts(self, unsettled: Iterable[tuple[Record, str | None]]) -> dict[Kind, int]:
        """Return all counts, where some records do not show their own status yet.

        Args:
            unsettled: these, each with the status that it shows instead; ``None``: it is not counted.

        """
        counts = dict(self._counts)
        for record, status in unsettled:
            key = _key(record, record.status)
            if counts.get(key):
                counts[key] -= 1
                if status is not None:
                    shown = _key(record, status)
                    counts[shown] = counts.get(shown, 0) + 1
        return {Kind(*key): count for key, count in counts.items() if count}
