"""What a journal says: how many events of which day and schema were delivered, waited, or were lost. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from datetime import date, datetime
from itertools import groupby
from typing import Literal, TypeAlias

import attrs

#: What became of events. ``waiting`` and ``dead`` are on disk still; the others have left it.
Fate: TypeAlias = Literal["delivered", "dead", "purged", "dropped", "waiting"]
Kind: TypeAlias = Literal["spool", "relay"]


@attrs.frozen
class Counted:
    """So many events that are alike.

    Attributes:
        event_day: the day of the events' own time, in UTC.
        delivered_day: the day on which they left, in UTC; ``None`` for what waits, or is dead.
        schema: their event schema; empty where what is left of an event does not tell.
        is_chosen: whether their ids were chosen by the caller, or made from an ``idempotency_key``.
        account: their account, where the journal counts by account too; else ``None``.
        fate: what became of them.
        count: how many there are.

    """

    event_day: date
    delivered_day: date | None
    schema: str
    is_chosen: bool
    account: str | None
    fate: Fate
    count: int


@attrs.frozen
class Listed:
    """The very ids of events that were delivered and are alike: what each means is as in ``Counted``."""

    event_day: date
    delivered_day: date
    schema: str
    is_chosen: bool
    ids: tuple[str, ...]


@attrs.frozen
class Journal:
    """What one process, or one relay, has counted.

    Attributes:
        id: names this journal, and no other, for ever: of two with the same one, the later says it all.
        host: where the process ran; the name of the relay for a relay's.
        process: its process id, or how else it is known.
        since, until: the hours covered: from when the counts were begun until they were last written.
        kind: ``spool``: exact. ``relay``: an upper bound, since what a Redis loses is handed over again.
        counts: how many events, by what they have in common.
        listed: the very ids; ``None`` where they are not kept.
        listed_since: the first day of delivery for which they are kept.
        is_complete: whether all that left in those hours is counted, and once.
        why_not: what may be missing, or counted twice, in a sentence.
        doubts: the same by the day of delivery, where it concerns single days.
        base_url: where the events went; empty where that is not known.

    """

    id: str
    host: str
    process: str
    since: datetime
    until: datetime
    kind: Kind
    counts: tuple[Counted, ...] = ()
    listed: tuple[Listed, ...] | None = None
    listed_since: date | None = None
    is_complete: bool = True
    why_not: str | None = None
    doubts: Mapping[date, str] = attrs.field(factory=dict, hash=False)
    base_url: str = ""

    def in_doubt(self, days: Collection[date] | None = None) -> Iterator[str]:
        """Yield what is in doubt of these days, or of all; what is the same of days in a row, once."""
        known = sorted(self.doubts.items())
        known = [(day, why) for day, why in known if days is None or day in days]
        for (_, why), run in groupby(
            enumerate(known), lambda each: (each[1][0].toordinal() - each[0], each[1][1])
        ):
            found = [day for _, (day, _) in run]
            yield f"{found[0]}{f' to {found[-1]}' if found[1:] else ''}: {why}"

    @property
    def ids(self) -> Mapping[date, frozenset[str]] | None:
        """The ids that were delivered, by the event's day; ``None`` where they are not kept."""
        if self.listed is None:
            return None
        found: dict[date, frozenset[str]] = {}
        for each in self.listed:
            found[each.event_day] = found.get(each.event_day, frozenset()) | frozenset(each.ids)
        return found
