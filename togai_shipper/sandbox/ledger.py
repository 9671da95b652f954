"""What Togai has: which id came how often, and which events are billed.

Both endpoints share the ids. The server writes, and tests read from any thread; everything mutable is touched
only while holding ``_lock``, and what is handed out is a snapshot.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, TypeAlias

import attrs

from .settlement import DUPLICATE_EVENT, IN_PROGRESS, METERED, settle

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from .switches import Switches

EventJson: TypeAlias = dict[str, Any]


@attrs.frozen
class Record:
    """One accepted copy of an event, and what became of it.

    Attributes:
        reference: the server's own id for it.
        event: the event as it came.
        status: its final status.
        created: when it was accepted, in seconds since 1970.

    """

    reference: str
    event: EventJson
    status: str
    created: float


@attrs.frozen
class Entry:
    """What is known of one id.

    Attributes:
        receipts: how often it came in a readable request, also in a refused one.
        accepted: how many copies were accepted, duplicates included.
        metered: how many copies are billed.
        statuses: the status of each accepted copy, oldest first.
        event: the first accepted copy; ``None`` if there is none.
        altered: how many later copies differ from it.

    """

    receipts: int = 0
    accepted: int = 0
    metered: int = 0
    statuses: tuple[str, ...] = ()
    event: EventJson | None = None
    altered: int = 0


class BillingLedger:
    """What the sandbox has accepted and what it bills. Tests read it; only the server writes."""

    def __init__(self, switches: Switches) -> None:
        self._switches = switches
        self._lock = threading.Lock()
        self._receipts: dict[str, int] = {}
        self._records: list[Record] = []
        self._by_id: dict[str, list[Record]] = {}
        self._billed: dict[str, int] = {}  # id -> how many copies are metered
        self._duplicates = 0
        self._accepted_at: dict[str, float] = {}  # id -> when it was last accepted as new
        self._serial = 0

    def __len__(self) -> int:
        """How many different ids were accepted."""
        with self._lock:
            return len(self._by_id)

    def __repr__(self) -> str:
        return f"<BillingLedger [{len(self)} ids, {self.accepted} accepted, {self.metered} metered]>"

    # --- read by tests ---

    def get(self, event_id: str) -> Entry:
        """Return what is known of this id; of an unknown one, only zeros."""
        with self._lock:
            records = self._by_id.get(event_id, [])
            return Entry(
                receipts=self._receipts.get(event_id, 0),
                accepted=len(records),
                metered=self._billed.get(event_id, 0),
                statuses=tuple(map(self._shown, records)),
                event=records[0].event if records else None,
                altered=sum(record.event != records[0].event for record in records),
            )

    @property
    def ids(self) -> frozenset[str]:
        """The ids that were accepted."""
        with self._lock:
            return frozenset(self._by_id)

    @property
    def records(self) -> tuple[Record, ...]:
        """Every accepted copy, oldest first, also those without an id."""
        with self._lock:
            return tuple(self._records)

    @property
    def accepted(self) -> int:
        """How many copies were accepted, duplicates included."""
        with self._lock:
            return len(self._records)

    @property
    def metered(self) -> int:
        """How many copies are billed: the events on the invoice."""
        with self._lock:
            return sum(self._billed.values())

    @property
    def duplicates(self) -> int:
        """How many copies were accepted of ids that were there already."""
        with self._lock:
            return self._duplicates

    def lost(self, ids: Iterable[str]) -> set[str]:
        """Return those of the given ids that are not billed."""
        with self._lock:
            return set(ids) - self._billed.keys()

    @property
    def billed_twice(self) -> set[str]:
        """The ids that are billed more than once."""
        with self._lock:
            return {event_id for event_id, copies in self._billed.items() if copies > 1}

    def status(self, record: Record) -> str:
        """Return the status that a lookup shows of a record now."""
        with self._lock:
            return self._shown(record)

    def _shown(self, record: Record) -> str:
        is_settled = self._switches.clock() >= record.created + self._switches.settle_after
        return record.status if is_settled else IN_PROGRESS

    # --- written by the server ---

    def receive(self, ids: Iterable[str]) -> None:
        """Count that these ids have come, whatever becomes of the request."""
        with self._lock:
            for event_id in ids:
                self._receipts[event_id] = self._receipts.get(event_id, 0) + 1

    def repeats(self, events: Sequence[EventJson]) -> list[int]:
        """Return which of these, by index, would be duplicates if they were accepted now, in this order."""
        now = self._switches.clock()
        seen: set[str] = set()
        repeated = []
        with self._lock:
            for index, event in enumerate(events):
                event_id = event.get("id")
                if event_id is None:
                    continue
                if event_id in seen or self._is_repeat(event_id, now):
                    repeated.append(index)
                seen.add(event_id)
        return repeated

    def accept(self, events: Iterable[EventJson]) -> None:
        """Accept valid events, and settle each: a known id is recorded once more, and not billed again."""
        now = self._switches.clock()
        with self._lock:
            for event in events:
                event_id = event.get("id")
                if event_id is not None and self._is_repeat(event_id, now):
                    status = DUPLICATE_EVENT
                else:
                    status = settle(event, now, self._switches)
                self._enter(event, status, now)
                if event_id is not None and status != DUPLICATE_EVENT:
                    self._accepted_at[event_id] = now

    def _enter(self, event: EventJson, status: str, now: float) -> None:
        self._serial += 1
        record = Record(f"event.{self._serial:012d}", event, status, now)
        self._records.append(record)
        self._duplicates += status == DUPLICATE_EVENT
        if "id" in event:
            self._by_id.setdefault(event["id"], []).append(record)
            if status == METERED:
                self._billed[event["id"]] = self._billed.get(event["id"], 0) + 1

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._duplicates = 0
            self._records.clear()
            for book in (self._receipts, self._by_id, self._billed, self._accepted_at):
                book.clear()

    def _is_repeat(self, event_id: str, now: float) -> bool:
        accepted_at, window = self._accepted_at.get(event_id), self._switches.dedupe_window
        return accepted_at is not None and (window is None or now - accepted_at < window)
