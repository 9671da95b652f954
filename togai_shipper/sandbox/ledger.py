"""What Togai has: which id came how often, and which events are billed.

Both endpoints share the ids. The server writes, and tests read from any thread; everything mutable is touched
only while holding ``_lock``, and what is handed out is a snapshot.

Its counts are exact, however much has come. What it holds has two bounds: only the newest copies are kept
whole (``Switches.event_history``), and only the newest ids are known at all (``Switches.id_history``). A copy
of an id that is forgotten counts as new.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import attrs

from .books import Books
from .known_ids import Known
from .records import EventJson, Record

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from .bill import BillRow
    from .event_outcome import EventOutcome
    from .records import ListOrder, Place
    from .switches import Switches
    from .tally import Kind


@attrs.frozen
class Totals:
    """How much has come so far.

    Attributes:
        billed: how many copies are billed.
        known: how many copies were accepted of ids that were there already.
        not_billed: how many other copies were accepted, and are not billed; but for those that a correction
            has reverted.
        refused: how many ids came, and were refused for good.
        undelivered: how many ids came and were neither accepted nor refused for good, so far.
        billed_twice: how many ids are billed more than once.
        forgotten: how many ids are no longer known.

    """

    billed: int
    known: int
    not_billed: int
    refused: int
    undelivered: int
    billed_twice: int
    forgotten: int


@attrs.frozen
class Entry:
    """What is known of one id.

    Attributes:
        receipts: how often it came in a readable request, also in a refused one.
        accepted: how many copies were accepted, duplicates included.
        metered: how many copies are billed.
        statuses: the status of each accepted copy that is kept whole, oldest first.
        event: the first of these; ``None`` if there is none.
        altered: how many copies differed from the first one that was kept when they came.

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
        self._books = Books(switches)

    def __len__(self) -> int:
        """How many different ids were accepted."""
        with self._lock:
            return self._books.ids

    def __repr__(self) -> str:
        return f"<BillingLedger [{len(self)} ids, {self.accepted} accepted, {self.metered} metered]>"

    # --- read by tests, and by the page ---

    def get(self, event_id: str) -> Entry:
        """Return what is known of this id; of an unknown one, only zeros."""
        with self._lock:
            known = self._books.known.get(event_id) or Known()
            records = self._books.records.of_id(event_id)
            return Entry(
                receipts=known.receipts,
                accepted=known.accepted,
                metered=known.metered,
                statuses=tuple(map(self._books.shown, records)),
                event=records[0].event if records else None,
                altered=known.altered,
            )

    @property
    def ids(self) -> frozenset[str]:
        """The ids that were accepted."""
        with self._lock:
            return frozenset(event_id for event_id, known in self._books.known if known.accepted)

    @property
    def records(self) -> tuple[Record, ...]:
        """Every accepted copy that is kept whole, oldest first, also those without an id."""
        with self._lock:
            return tuple(self._books.records)

    @property
    def accepted(self) -> int:
        """How many copies were accepted, duplicates included."""
        with self._lock:
            return self._books.accepted

    @property
    def metered(self) -> int:
        """How many copies are billed: the events on the invoice."""
        with self._lock:
            return self._books.metered

    @property
    def duplicates(self) -> int:
        """How many copies were accepted of ids that were there already."""
        with self._lock:
            return self._books.duplicates

    @property
    def reverted(self) -> int:
        """How many copies a correction has reverted."""
        with self._lock:
            return self._books.reverted

    @property
    def totals(self) -> Totals:
        """All counts, of one moment."""
        with self._lock:
            books = self._books
            return Totals(
                billed=books.metered,
                known=books.duplicates,
                not_billed=books.accepted - books.metered - books.duplicates - books.reverted,
                refused=books.refused,
                undelivered=books.undelivered,
                billed_twice=len(books.billed_twice),
                forgotten=books.known.forgotten,
            )

    @property
    def bill(self) -> list[BillRow]:
        """What is billed, by account and schema, and the sum of each attribute."""
        with self._lock:
            return self._books.bill.rows()

    def lost(self, ids: Iterable[str]) -> set[str]:
        """Return those of the given ids that are not billed."""
        with self._lock:
            return {each for each in ids if not (self._books.known.get(each) or Known()).metered}

    @property
    def billed_twice(self) -> set[str]:
        """The ids that are billed more than once."""
        with self._lock:
            return set(self._books.billed_twice)

    def status(self, record: Record) -> str:
        """Return the status that a look-up shows of a record now."""
        with self._lock:
            return self._books.shown(record)

    # --- read by look-ups ---

    def copies(self, event_id: str) -> tuple[Record, ...]:
        """Return every accepted copy of an id that is kept whole, oldest first."""
        with self._lock:
            return tuple(self._books.records.of_id(event_id))

    def numbered(self, number: int) -> Record | None:
        """Return the accepted copy with this number, if it is kept whole."""
        with self._lock:
            return self._books.records.numbered(number)

    def listed(self, after: Place | None, most: int, order: ListOrder) -> list[Record]:
        """Return the copies that come after a place in this order: at most so many, none at the end."""
        with self._lock:
            return self._books.records.after(after, most, order)

    def sort_some(self, most: int) -> bool:
        """Sort at most so many copies by when they happened; return whether all are sorted now."""
        with self._lock:
            return self._books.records.sort_some(most)

    def counts(self) -> dict[Kind, int]:
        """Return how many copies of each kind ``POST /metrics`` counts now."""
        with self._lock:
            return self._books.counts()

    # --- written by the server ---

    def receive(self, ids: Iterable[str], request: int) -> int | None:
        """Count that a request with this number brought these ids, whatever becomes of it.

        Return the number of the last request that brought the first of them that came before.
        """
        with self._lock:
            return self._books.receive(ids, request)

    def refuse(self, ids: Iterable[str]) -> None:
        """Note that these ids were refused for good: no client will send them again as they are."""
        with self._lock:
            self._books.refuse(ids)

    def repeats(self, events: Sequence[EventJson]) -> list[int]:
        """Return which of these, by index, would be duplicates if they were accepted now, in this order."""
        with self._lock:
            return self._books.repeats(events)

    def accept(self, events: Iterable[EventJson]) -> list[EventOutcome]:
        """Accept valid events, and settle each: a known id is recorded once more, and not billed again.

        Return what became of each.
        """
        with self._lock:
            return self._books.accept(events)

    def revert(self, record: Record) -> Record:
        """Undo what a copy did, and return it as it is then; its id may come again as new."""
        with self._lock:
            return self._books.revert(record)

    def ingest_again(self, event: EventJson) -> None:
        """Accept an event in the place of one that was reverted."""
        with self._lock:
            self._books.accept([event], is_counted=self._switches.metrics_follow)

    def clear(self) -> None:
        """Forget everything; numbers of copies go on."""
        with self._lock:
            self._books = Books(self._switches, self._books.records.next_number)
