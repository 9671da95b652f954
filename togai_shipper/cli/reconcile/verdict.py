"""The verdict on a day and an event schema, and on all of them: balanced, unbilled, or cannot tell. Pure.

Each delivered event has one record at Togai that is no duplicate. So the events of which Togai has no record
are at least as many as this count falls short of ours, whoever else sends; and if nobody else sends, exactly
as many, but for ids that were used twice. What is said of a cell:

===================================================  ===================================================
unprocessed; processed, and no meter counts it       unbilled
our own side did not deliver it                      unbilled; it waits: open
Togai has fewer than were delivered                  missing; open as far as ids that were chosen, or
                                                     a relay that counts twice, explain it by duplicates,
                                                     and where the events may be too recent
Togai has more than were delivered                   open: somebody else may hide what is missing
in progress, reverted, unknown                       open: unsettled
metered or not, Togai does not tell                  open, unless the schema is a free one
===================================================  ===================================================

Balanced is what has nothing unbilled and nothing open, and of which nothing else is in doubt.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import date, timedelta
from enum import IntEnum
from itertools import pairwise

import attrs

from togai_shipper._engine.look_ups import COMPLETED, DUPLICATE, FAILED

from .facts import Cell, DayRule, Ours, Theirs

UNPROCESSED, NOT_METERED, MISSING = "unprocessed", "not metered", "missing"
DEAD, PURGED, DROPPED = "dead letters", "purged", "dropped"
WAITING, RECENT, MORE, REPEATED = "waiting", "too recent", "more at Togai", "perhaps ids used twice"
UNSETTLED, METERING, UNSEEN = "unsettled", "metering not told", "not seen at Togai"
NO_EVENT = "Togai has no event at all of these days: are they of another account than the key?"
APART, OTHER_DAY = "days apart", "perhaps on another day"


class Verdict(IntEnum):
    """What is said; its number is the exit status."""

    BALANCED = 0
    UNBILLED = 1
    CANNOT_TELL = 3


@attrs.frozen
class Judged:
    """What is said of a cell: how many events are unbilled, and of how many it is open, each by the kind.

    ``is_recent``: Togai may not show all of them yet.
    """

    ours: Ours
    theirs: Theirs
    unbilled: Mapping[str, int]
    open: Mapping[str, int]
    is_recent: bool = False

    @property
    def is_seen(self) -> bool:
        """Whether Togai has an event of it."""
        away = (self.unbilled.get(MISSING, 0), self.open.get(RECENT, 0), self.open.get(UNSEEN, 0))
        return self.ours.delivered > sum(away)

    @property
    def is_balanced(self) -> bool:
        """Whether nothing is unbilled or open."""
        return not self.unbilled and not self.open


def judged(
    ours: Ours,
    theirs: Theirs,
    *,
    is_free: bool = False,
    is_recent: bool = False,
    around: tuple[Ours, Theirs] | None = None,
) -> Judged:
    """Judge a cell.

    Args:
        ours: what our side says.
        theirs: what Togai says.
        is_free: whether the events of this schema are not meant to be metered.
        is_recent: whether Togai may not show all of the day yet.
        around: what both say of the same days and of those before and after them: it is judged by these what
            is missing, since an event that is sent at midnight may be received on the other day.

    """
    mine, its = around or (ours, theirs)
    short = mine.delivered - its.present
    explained = min(max(short, 0), mine.loose, its.duplicates + its.unprocessed)
    missing = max(short, 0) - explained
    is_recent = is_recent or mine.is_recent
    unbilled = {
        UNPROCESSED: theirs.failed,
        NOT_METERED: 0 if is_free else theirs.not_metered,
        MISSING: 0 if is_recent else missing,
        DEAD: ours.dead,
        PURGED: ours.purged,
        DROPPED: ours.dropped,
    }
    left_open = {
        WAITING: ours.waiting,
        RECENT: missing if is_recent else 0,
        REPEATED: explained,
        MORE: max(-short, 0),
        UNSETTLED: its.unsettled,
        METERING: 0 if is_free else theirs.processed,
    }
    return Judged(ours, theirs, _some(unbilled), _some(left_open), is_recent)


def with_all_ids(each: Judged, statuses: Mapping[str, int], *, is_free: bool = False) -> Judged:
    """Judge a cell anew, of which every id was looked up: what Togai counts plays no part any more.

    Args:
        each: what is said of it by the counts.
        statuses: how many ids have which status, ``MISSING`` included, but for those that are metered.
        is_free: whether the events of this schema are not meant to be metered.

    """
    failed = _counted(statuses, FAILED)
    not_metered = _counted(statuses, COMPLETED)
    missing = statuses.get(MISSING, 0)
    ours = each.ours
    theirs = Theirs(
        metered=ours.delivered - sum(statuses.values()),
        not_metered=not_metered,
        failed=failed,
        unsettled=sum(statuses.values()) - failed - not_metered - missing,
    )
    found = judged(attrs.evolve(ours, certain=ours.delivered, loose=0), theirs, is_free=is_free)
    recent = found.unbilled.get(MISSING, 0) if each.is_recent else 0
    return _moved(
        attrs.evolve(found, ours=ours, theirs=each.theirs, is_recent=each.is_recent), RECENT, recent
    )


def with_missing_ids(each: Judged, distinct: int, statuses: Mapping[str, int]) -> Judged:
    """Judge a cell anew, of which the ids are known, and those looked up that the counts do not have.

    Others may be short of the counts: they are billed on another day, on which their id came first.

    Args:
        each: what is said of it by the counts.
        distinct: how many different ids there are.
        statuses: how many of those that were looked up have which status: ``MISSING``, or a duplicate's where
            another event has the id.

    """
    missing, repeated = statuses.get(MISSING, 0), statuses.get(DUPLICATE, 0)
    more = each.theirs.present - (distinct - missing - repeated)
    kinds = (MISSING, REPEATED, MORE, RECENT)
    unbilled = {kind: count for kind, count in each.unbilled.items() if kind not in kinds}
    left_open = {kind: count for kind, count in each.open.items() if kind not in kinds}
    unbilled[MISSING] = missing
    unbilled[UNPROCESSED] = unbilled.get(UNPROCESSED, 0) + repeated
    left_open[MORE] = max(more, 0)
    found = attrs.evolve(each, unbilled=_some(unbilled), open=_some(left_open))
    return _moved(found, RECENT, missing if each.is_recent else 0)


def _counted(statuses: Mapping[str, int], begins: str) -> int:
    return sum(count for status, count in statuses.items() if status.startswith(begins))


def _open_instead(each: Judged, kind: str) -> Judged:
    return _moved(each, kind, each.unbilled.get(MISSING, 0))


def _moved(each: Judged, kind: str, missing: int) -> Judged:
    """Return it with so many missing events open instead, for which ``kind`` is the reason."""
    unbilled = {**each.unbilled, MISSING: each.unbilled.get(MISSING, 0) - missing}
    left_open = {**each.open, kind: each.open.get(kind, 0) + missing}
    return attrs.evolve(each, unbilled=_some(unbilled), open=_some(left_open))


def _some(counts: Mapping[str, int]) -> dict[str, int]:
    return {kind: count for kind, count in counts.items() if count}


@attrs.frozen
class Judgement:
    """What is said of all cells; ``doubts`` are sentences: why nothing can be called balanced."""

    cells: Mapping[Cell, Judged]
    doubts: tuple[str, ...] = ()

    @property
    def verdict(self) -> Verdict:
        """What is unbilled is told, whatever else is in doubt; balanced is what nothing speaks against."""
        if any(each.unbilled for each in self.cells.values()):
            return Verdict.UNBILLED
        if self.doubts or not self.cells or not all(each.is_balanced for each in self.cells.values()):
            return Verdict.CANNOT_TELL
        return Verdict.BALANCED

    @property
    def unbilled(self) -> Mapping[str, int]:
        """How many events are unbilled, by the kind."""
        return _sum(each.unbilled for each in self.cells.values())

    @property
    def open(self) -> Mapping[str, int]:
        """Of how many events it is open, by the kind."""
        return _sum(each.open for each in self.cells.values())

    @property
    def open_count(self) -> int:
        """Of how many events it is open: of all where something is in doubt as a whole."""
        if self.doubts:
            return sum(max(each.ours.tracked, each.theirs.present) for each in self.cells.values())
        return sum(self.open.values())


def _sum(counts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    total: Counter[str] = Counter()
    for each in counts:
        total.update(each)
    return dict(total)


def judge(
    ours: Mapping[Cell, Ours],
    theirs: Mapping[Cell, Theirs],
    days: Sequence[date],
    rule: DayRule,
    doubts: Iterable[str] = (),
    *,
    free: Collection[str] = (),
    recent: Collection[date] = (),
    is_rule_open: bool = False,
) -> Judgement:
    """Judge all cells of which either side says something.

    By the day of receipt, a schema is judged as a whole, and its cell is that of the first day.

    Args:
        ours: what our side says, of these days and of those before and after them.
        theirs: what Togai says of them.
        days: the days that are asked about, one after the other.
        rule: by which rule both sides count.
        doubts: why nothing can be called balanced, in sentences.
        free: the schemas whose events are not meant to be metered.
        recent: the days that Togai may not show all of yet.
        is_rule_open: whether Togai may count by the other rule; what is missing may then be on another day.

    """
    by_receipt = _by_receipt if rule == "receipt" else _by_event
    cells = by_receipt(ours, theirs, days, free, recent)
    told = list(doubts)
    if is_rule_open:
        cells = {cell: _open_instead(each, OTHER_DAY) for cell, each in cells.items()}
    if any(each.delivered for each in ours.values()) and not any(each.records for each in theirs.values()):
        # Another account's key, most likely: then it is not missing.
        told.append(NO_EVENT)
        cells = {cell: _open_instead(each, UNSEEN) for cell, each in cells.items()}
    return Judgement(cells, tuple(told))


def _by_event(
    ours: Mapping[Cell, Ours],
    theirs: Mapping[Cell, Theirs],
    days: Sequence[date],
    free: Collection[str],
    recent: Collection[date],
) -> dict[Cell, Judged]:
    return {
        cell: judged(
            ours.get(cell, Ours()),
            theirs.get(cell, Theirs()),
            is_free=cell.schema in free,
            is_recent=cell.day in recent,
        )
        for cell in sorted({*ours, *theirs})
        if cell.day in days
    }


def _by_receipt(
    ours: Mapping[Cell, Ours],
    theirs: Mapping[Cell, Theirs],
    days: Sequence[date],
    free: Collection[str],
    recent: Collection[date],
) -> dict[Cell, Judged]:
    window = with_neighbours(days)
    found = {}
    for schema in sorted({cell.schema for cell in (*ours, *theirs) if cell.day in days}):
        pairs = [
            (ours.get(Cell(day, schema), Ours()), theirs.get(Cell(day, schema), Theirs())) for day in window
        ]
        each = judged(
            *_added(pairs[1:-1]),
            is_free=schema in free,
            is_recent=any(day in recent for day in window),
            around=_added(pairs),
        )
        apart = _apart([its.present - mine.delivered for mine, its in pairs])
        found[Cell(days[0], schema)] = attrs.evolve(each, open={**each.open, **_some({APART: apart})})
    return found


def with_neighbours(days: Sequence[date]) -> list[date]:
    """Return the days, and those before and after them."""
    return [days[0] - timedelta(days=1), *days, days[-1] + timedelta(days=1)]


def _added(pairs: Iterable[tuple[Ours, Theirs]]) -> tuple[Ours, Theirs]:
    mine, its = Ours(), Theirs()
    for ours, theirs in pairs:
        mine, its = mine + ours, its + theirs
    return mine, its


def _apart(more: Sequence[int]) -> int:
    """Return how many events are missing on some day, and too many on a day that is not the next one.

    Args:
        more: how many more Togai has than we, day by day.

    """
    behind = [max(-sum(more[: index + 1]), 0) for index in range(len(more))]
    if sum(more) < 0:
        return 0  # that is missing, and told so
    return max((min(pair) for pair in pairwise(behind)), default=0)
