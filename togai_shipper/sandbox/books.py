"""What Togai has, and each change to it. Not thread-safe: the ledger holds its lock."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from .bill import Bill
from .event_ids import identified
from .event_outcome import BILLED, KNOWN, EventOutcome, not_billed
from .known_ids import Known, KnownIds
from .records import EventJson, Record, Records
from .settlement import DUPLICATE, Settled, settle
from .statuses import DUPLICATE_EVENT, FAILED, IN_PROGRESS, METERED, REVERTED
from .tally import Kind, Tally

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from .switches import Switches


class Books:
    """What has come so far, and what became of it; its first accepted copy gets the number ``first``.

    Attributes:
        known: what is known of each id.
        records: the accepted copies that are kept whole.
        bill: what is billed.
        billed_twice: the ids that are billed more than once.
        ids: how many different ids were accepted.
        accepted: how many copies were accepted, duplicates included.
        metered: how many of them are billed.
        duplicates: how many of them were of ids that were there already.
        reverted: how many of them a correction has reverted.
        refused: how many ids came, and were refused for good.
        undelivered: how many ids came and were neither accepted nor refused for good, so far.

    """

    def __init__(self, switches: Switches, first: int = 1) -> None:
        self._switches = switches
        self._tally = Tally()
        self._uncounted: set[int] = set()  # the numbers of copies that count as before a correction, or not
        self.known = KnownIds()
        self.records = Records(first)
        self.bill = Bill()
        self.billed_twice: set[str] = set()
        self.ids = self.accepted = self.metered = self.duplicates = self.reverted = 0
        self.refused = self.undelivered = 0

    # --- what a request brings ---

    def receive(self, ids: Iterable[str], request: int) -> int | None:
        """Count that a request with this number brought these ids, whatever becomes of it.

        Return the number of the last request that brought the first of them that came before.
        """
        before = None
        for event_id in ids:
            known = self.known.get(event_id)
            if known is None:
                known = self.known.learn(event_id)
                self.undelivered += 1
            elif known.is_refused:  # another try
                known.is_refused = False
                self.refused -= 1
                self.undelivered += 1
            if before is None and known.request != request:
                before = known.request
            known.receipts += 1
            known.request = request
        self.known.keep_newest(self._switches.id_history)
        return before

    def refuse(self, ids: Iterable[str]) -> None:
        """Note that these ids were refused for good: no client will send them again as they are."""
        for event_id in ids:
            known = self.known.get(event_id)
            if known is not None and not known.accepted and not known.is_refused:
                known.is_refused = True
                self.refused += 1
                self.undelivered -= 1

    def repeats(self, events: Sequence[EventJson]) -> list[int]:
        """Return which of these, by index, would be duplicates if they were accepted now, in this order."""
        now = self._switches.clock()
        seen: set[str] = set()
        repeated = []
        for index, event in enumerate(events):
            event_id = identified(event, self._switches).get("id")
            if event_id is None:
                continue
            if event_id in seen or self._is_repeat(self.known.get(event_id), now):
                repeated.append(index)
            seen.add(event_id)
        return repeated

    def accept(self, events: Iterable[EventJson], *, is_counted: bool = True) -> list[EventOutcome]:
        """Accept valid events, and settle each: a known id is recorded once more, and not billed again.

        Return what became of each.
        """
        now = self._switches.clock()
        outcomes = []
        for each in events:
            event = identified(each, self._switches)
            known = self._accepted_once_more(event["id"]) if "id" in event else None
            is_repeat = self._is_repeat(known, now)
            settled = DUPLICATE if is_repeat else settle(event, now, self._switches)
            self._enter(event, settled.status, now, is_counted=is_counted)
            if known is not None:
                self._note(known, event, settled.status, now)
            outcomes.append(_outcome(settled))
        self.records.keep_newest(self._switches.event_history)
        self._tally.keep_newest(self._switches.id_history)
        return outcomes

    def _accepted_once_more(self, event_id: str) -> Known:
        known = self.known.get(event_id)
        if known is None:  # forgotten or cleared since the request came
            known = self.known.learn(event_id)
        elif not known.accepted:
            self.undelivered -= not known.is_refused
            self.refused -= known.is_refused
            known.is_refused = False
        self.ids += not known.accepted
        known.accepted += 1
        return known

    def _enter(self, event: EventJson, status: str, now: float, *, is_counted: bool) -> None:
        self.accepted += 1
        record = self.records.add(event, status, now)
        if is_counted:
            self._tally.add(record)
        else:
            self._uncounted.add(record.number)
        self.duplicates += status == DUPLICATE_EVENT
        if status == METERED:
            self.metered += 1
            self.bill.add(event)

    def _note(self, known: Known, event: EventJson, status: str, now: float) -> None:
        known.altered += any(record.event != event for record in self.records.of_id(event["id"])[:1])
        if self._takes_the_id(status):
            known.accepted_at = now
        if status == METERED:
            known.metered += 1
            if known.metered > 1:
                self.billed_twice.add(event["id"])

    def _is_repeat(self, known: Known | None, now: float) -> bool:
        if known is None or known.accepted_at is None:
            return False
        window = self._switches.dedupe_window
        return window is None or now - known.accepted_at < window

    def _takes_the_id(self, status: str) -> bool:
        """Whether, after a copy with this status, a further one of its id is a duplicate."""
        if status in (DUPLICATE_EVENT, REVERTED):
            return False
        return self._switches.repeat_after_failure == "duplicate" or not status.startswith(FAILED)

    # --- what a correction does ---

    def revert(self, record: Record) -> Record:
        """Undo what a copy did, and return it as it is then; its id may come again as new."""
        reverted = attrs.evolve(record, status=REVERTED, status_before=record.status)
        self.records.replace(record, reverted)
        self.reverted += 1
        self.duplicates -= record.status == DUPLICATE_EVENT
        if self._switches.metrics_follow:
            self._tally.remove(record)
            self._tally.add(reverted)
        else:
            self._uncounted.add(record.number)
        if record.status == METERED:
            self.metered -= 1
            self.bill.remove(record.event)
        known = self.known.get(record.event.get("id", ""))
        if known is not None:
            self._note_reverted(known, record)
        return reverted

    def _note_reverted(self, known: Known, record: Record) -> None:
        event_id = record.event["id"]
        if record.status == METERED:
            known.metered = max(0, known.metered - 1)  # it may have been forgotten, and come again
            if known.metered <= 1:
                self.billed_twice.discard(event_id)
        others = (each for each in self.records.of_id(event_id) if self._takes_the_id(each.status))
        of_forgotten = (
            known.accepted_at if known.metered else None
        )  # copies that are billed, and kept no more
        known.accepted_at = max((each.created for each in others), default=of_forgotten)

    # --- what is shown of it ---

    def shown(self, record: Record) -> str:
        """Return the status that a look-up shows of a record now."""
        is_settled = self._switches.clock() >= record.created + self._switches.settle_after
        return record.status if is_settled or record.status == REVERTED else IN_PROGRESS

    def counts(self) -> dict[Kind, int]:
        """Return how many copies of each kind ``POST /metrics`` counts now."""
        return self._tally.counts(self._unsettled())

    def _unsettled(self) -> Iterator[tuple[Record, str | None]]:
        """Yield the copies that do not count with their own status yet, and the one with which they do."""
        now, lag = self._switches.clock(), self._switches.metrics_lag
        for record in reversed(self.records):
            if now >= record.created + max(lag, self._switches.settle_after):
                return  # and so are those before it
            if record.number not in self._uncounted:
                yield record, None if now < record.created + lag else self.shown(record)


def _outcome(settled: Settled) -> EventOutcome:
    if settled.status == METERED:
        return BILLED
    return KNOWN if settled.status == DUPLICATE_EVENT else not_billed(settled.reason)
