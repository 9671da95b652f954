"""Names the very events that are unbilled or missing, by what Togai shows of them, in few requests.

What Togai has and does not bill, it lists by the status. What it does not have, nobody lists: that is found
among the ids that our side has kept. Where they tell the accounts, only the pages of an account that falls
short are read, and each id that is on none of them is looked up by itself before it is called missing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import date

import attrs

from togai_shipper._engine.look_ups import DUPLICATE, METERED, rank
from togai_shipper.cli.events_asked import PAGE, EventRecord, pages, records_of
from togai_shipper.cli.not_answered import NotAnswered
from togai_shipper.cli.togai_asked import TogaiAsked

from .counting import Counting
from .facts import DayRule, Told
from .verdict import MISSING

MOST_PAGES = 2_000  # of one list; beyond that nothing is named
MOST_ALONE = 500  # ids that are looked up by themselves where no list is to be had


@attrs.frozen
class Named:
    """An event that is not billed, with Togai's status of it; ``MISSING``: Togai shows no record of it."""

    id: str
    schema: str
    account: str
    status: str
    description: str = ""
    happened: str = ""


@attrs.frozen
class KnownIds:
    """The ids of a schema's events that were delivered.

    Attributes:
        by_account: the ids by account; ``""``: the account is not told.
        days: the day of each id.

    """

    by_account: Mapping[str, frozenset[str]]
    days: Mapping[str, date]


def known_ids(told: Iterable[Told], schema: str, rule: DayRule, days: Collection[date]) -> KnownIds | None:
    """Return the ids of a schema's events on these days; ``None`` unless those of all are kept."""
    by_account: dict[str, set[str]] = {}
    day_of: dict[str, date] = {}
    kept = delivered = 0
    for each in told:
        day = each.day(rule)
        if each.schema == schema and day in days:
            delivered += each.ours.delivered
            kept += len(each.ids or ())
            by_account.setdefault(each.account or "", set()).update(each.ids or ())
            day_of.update(dict.fromkeys(each.ids or (), day))
    if kept != delivered:
        return None
    return KnownIds({account: frozenset(ids) for account, ids in by_account.items() if ids}, day_of)


@attrs.frozen
class Naming:
    """Looks for events of ``days``, each of which belongs to a day by ``rule``."""

    togai: TogaiAsked
    counting: Counting
    days: Sequence[date]
    rule: DayRule

    def with_status(self, schema: str, status: str, count: int) -> Iterator[Named]:
        """Yield the events of a schema with this status, at least ``count``. Raises ``NotAnswered``."""
        for page in pages(self.togai, MOST_PAGES, status=status, schema_name=schema):
            for record in page:
                day = record.day(of_receipt=self.rule == "receipt")
                if record.status == status and record.schema == schema and day in self.days:
                    count -= 1
                    yield _named(record)
            if count <= 0:
                return

    def of_ids(self, schema: str, known: KnownIds, *, is_alone: bool) -> Iterator[Named]:
        """Yield those of the ids that Togai does not have, or has and does not bill. Raises ``NotAnswered``.

        ``is_alone``: nobody else sends events of this schema: an account of which Togai has as many events as
        there are ids has all of them.
        """
        everything = ((account, ids, None) for account, ids in known.by_account.items())
        for account, ids, short in self._differing(schema, known) if is_alone else everything:
            best = self._best(schema, account, ids, short)
            for event_id in sorted(ids):
                record = best.get(event_id)
                if record is None or record.status == DUPLICATE:
                    yield Named(event_id, schema, account, MISSING)
                elif _is_of_another(record, schema, account):
                    text = f"Togai has another event with this id: of {record.schema}, {record.account}"
                    yield Named(event_id, schema, account, DUPLICATE, text)
                elif record.status != METERED:
                    yield _named(record)

    def _differing(self, schema: str, known: KnownIds) -> Iterator[tuple[str, frozenset[str], int | None]]:
        """Yield the accounts of which Togai has more or fewer events, with their ids, and how many fewer."""
        counted: Mapping[str, int] | None = None
        if "" not in known.by_account:
            try:
                counted = self.counting.by_account(schema, self.days, list(known.by_account))
            except NotAnswered:  # it may not know one of the names
                counted = None
        for account, ids in known.by_account.items():
            short = None if counted is None else len(ids) - counted.get(account, 0)
            if short != 0:
                yield account, ids, short

    def _best(
        self, schema: str, account: str, ids: Collection[str], short: int | None
    ) -> dict[str, EventRecord]:
        """Return the record of each id that says most about the bill: from pages, and then one by one.

        There may be pages of other days without end. So none is read any more once there are no more ids
        left than pages were read. None is looked up by itself if all pages were read, and those that are on
        none of them are as many as Togai's counts are ``short`` of. Where Togai refuses to list any, a few
        are looked up by themselves.
        """
        best: dict[str, EventRecord] = {}
        left = set(ids)
        query = {"schema_name": schema, **({"account_id": account} if account else {})}
        listed = pages(self.togai, MOST_PAGES, **query)
        read, is_last, is_all = 0, False, False
        while not is_all and (is_last or len(left) > read):
            read += 1
            try:
                page = next(listed, None)
            except NotAnswered:  # so it may say, too, that there are none
                if read > 1 or len(left) > MOST_ALONE:
                    raise
                break
            is_all = page is None
            is_last = page is not None and len(page) < PAGE  # most likely: then no more is asked for
            for record in page or ():
                if record.id in ids:
                    _keep(best, record)
                    if record.status != DUPLICATE:
                        left.discard(record.id)
        if is_all and len(left) == short:
            left &= best.keys()  # whose duplicates are on the pages, and the rest of them elsewhere
        for event_id in sorted(left):
            for record in records_of(self.togai, event_id):
                _keep(best, attrs.evolve(record, id=event_id))
        return best


def _is_of_another(record: EventRecord, schema: str, account: str) -> bool:
    """Whether it is the record of an event that is not ours, but has its id: then ours is not billed."""
    return record.schema not in ("", schema) or (bool(account) and record.account not in ("", account))


def _keep(best: dict[str, EventRecord], record: EventRecord) -> None:
    known = best.get(record.id)
    if known is None or rank(record.status) < rank(known.status):
        best[record.id] = record


def _named(record: EventRecord) -> Named:
    return Named(record.id, record.schema, record.account, record.status, record.description, record.happened)
