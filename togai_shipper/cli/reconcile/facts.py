"""What is compared: what our side says of a day and an event schema, and what Togai's side says. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import date
from typing import Literal, NamedTuple, TypeAlias

import attrs

DayRule: TypeAlias = Literal["event", "receipt"]
DAY_RULES: tuple[DayRule, ...] = ("event", "receipt")


class Cell(NamedTuple):
    """What is judged by itself: a day (UTC), and an event schema."""

    day: date
    schema: str


@attrs.frozen
class Ours:
    """What our side says of a cell.

    Attributes:
        certain: events that were delivered, each counted once, each with an id that no other has.
        loose: others that were delivered: their ids are chosen ones, which may be those of other events; or a
            relay has counted them, perhaps twice.
        waiting: events that wait on disk, and are not delivered yet.
        dead: dead letters.
        purged: events that somebody has deleted.
        dropped: events that there was no room for.
        is_recent: some were delivered so recently that Togai need not show them yet.

    """

    certain: int = 0
    loose: int = 0
    waiting: int = 0
    dead: int = 0
    purged: int = 0
    dropped: int = 0
    is_recent: bool = False

    def __add__(self, other: Ours) -> Ours:
        return Ours(
            self.certain + other.certain,
            self.loose + other.loose,
            self.waiting + other.waiting,
            self.dead + other.dead,
            self.purged + other.purged,
            self.dropped + other.dropped,
            self.is_recent or other.is_recent,
        )

    @property
    def delivered(self) -> int:
        """How many Togai should have."""
        return self.certain + self.loose

    @property
    def tracked(self) -> int:
        """How many there are, whatever became of them."""
        return self.delivered + self.waiting + self.dead + self.purged + self.dropped


@attrs.frozen
class Theirs:
    """How many records Togai counts of a cell, by what became of them.

    Attributes:
        metered: processed and metered.
        not_metered: processed, and no meter has counted them.
        processed: processed, where Togai does not tell whether they are metered.
        failed: unprocessed, without duplicates.
        duplicates: records of ids that were there already: of a retry, for example.
        unprocessed: unprocessed, where Togai does not tell which of them are duplicates.
        unsettled: in progress, undone by a correction, or of which Togai itself says that it does not know.

    """

    metered: int = 0
    not_metered: int = 0
    processed: int = 0
    failed: int = 0
    duplicates: int = 0
    unprocessed: int = 0
    unsettled: int = 0

    def __add__(self, other: Theirs) -> Theirs:
        mine, its = attrs.astuple(self), attrs.astuple(other)
        return Theirs(*(one + another for one, another in zip(mine, its, strict=True)))

    @property
    def present(self) -> int:
        """How many events it surely has: all records but duplicates, and those that may be some."""
        return self.metered + self.not_metered + self.processed + self.failed + self.unsettled

    @property
    def records(self) -> int:
        """All records, duplicates included."""
        return self.present + self.duplicates + self.unprocessed


@attrs.frozen
class Told:
    """So many events that are alike, as a journal or a file of counts tells of them.

    Attributes:
        event_day: the day of the events' own time, in UTC.
        receipt_day: the day on which they were delivered, in UTC; ``None``: that is not told.
        schema: their event schema.
        account: their account; ``None``: that is not told.
        ours: how many, by what became of them.
        ids: the very ids of those that were delivered; ``None``: they are not kept.

    """

    event_day: date
    receipt_day: date | None
    schema: str
    ours: Ours
    account: str | None = None
    ids: tuple[str, ...] | None = None

    def day(self, rule: DayRule) -> date:
        """Return the day that they belong to by a rule."""
        return self.receipt_day or self.event_day if rule == "receipt" else self.event_day


@attrs.frozen
class Source:
    """Where our side is told, and what may be wrong with it, in sentences.

    Attributes:
        name: the journal, or the file.
        told: what it says.
        covers: what a reader should know of its reach: host, process and hours.
        doubts: why it may not be all, or too much.

    """

    name: str
    told: tuple[Told, ...]
    covers: str = ""
    doubts: tuple[str, ...] = ()


def ours_by_cell(told: Iterable[Told], rule: DayRule, days: Collection[date]) -> dict[Cell, Ours]:
    """Add up what all sources say of these days."""
    found: dict[Cell, Ours] = {}
    for each in told:
        if (day := each.day(rule)) in days:
            cell = Cell(day, each.schema)
            found[cell] = found.get(cell, Ours()) + each.ours
    return found


def depends_on_rule(told: Iterable[Told], days: Collection[date]) -> bool:
    """Whether it makes a difference for these days by which rule Togai counts.

    An event that happened and was delivered on the same day was also received on it, and counts for it by
    either rule.
    """
    return any(
        each.receipt_day != each.event_day and (each.event_day in days or each.receipt_day in days)
        for each in told
    )
