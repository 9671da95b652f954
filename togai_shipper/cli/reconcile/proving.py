"""Compares both sides, and gives the verdict with the events that are not billed by name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from datetime import date, datetime

import attrs

from togai_shipper._engine.look_ups import COMPLETED, DUPLICATE, FAILED, METERED
from togai_shipper.cli.not_answered import NotAnswered
from togai_shipper.cli.togai_asked import TogaiAsked
from togai_shipper.cli.togai_metrics import GROUPED

from .counting import Counting
from .facts import Cell, DayRule, Ours, Source, Theirs, Told, depends_on_rule, ours_by_cell
from .naming import KnownIds, Named, Naming, known_ids
from .period import recent_days
from .verdict import (
    METERING,
    MISSING,
    MORE,
    NO_EVENT,
    NOT_METERED,
    RECENT,
    REPEATED,
    UNPROCESSED,
    UNSETTLED,
    Judged,
    Judgement,
    judge,
    with_all_ids,
    with_missing_ids,
    with_neighbours,
)

_WITH_REASONS = {UNPROCESSED, NOT_METERED, UNSETTLED}
_OF_COUNTS = {MISSING, REPEATED, MORE, RECENT}  # what the ids can tell more about
OTHERS = (
    "somebody else may send events to this account, too, and hide what is missing: --sole-sender says that"
    " nobody does, --others what they sent"
)
NO_RULE = (
    "Togai does not document whether it counts an event on the day of its own time or of its receipt, and"
    " here it matters: say --day-rule"
)


@attrs.frozen
class Question:
    """What is to be proven.

    Attributes:
        days: the days, one after the other.
        sources: what our side says.
        others: what other senders have sent.
        is_sole: whether nobody else sends.
        rule: to which day Togai counts an event; ``None``: that is not known.
        free: the schemas whose events are not meant to be metered.
        now: the moment.

    """

    days: Sequence[date]
    sources: Sequence[Source]
    others: Sequence[Source]
    is_sole: bool
    rule: DayRule | None
    free: Collection[str]
    now: datetime

    @property
    def told(self) -> list[Told]:
        """What is told of our own events."""
        return [each for source in self.sources for each in source.told]

    @property
    def all_told(self) -> list[Told]:
        """What is told of events, our own or not."""
        return [*self.told, *(each for source in self.others for each in source.told)]

    @property
    def is_covered(self) -> bool:
        """Whether all senders are known."""
        return self.is_sole or bool(self.others)

    @property
    def is_rule_open(self) -> bool:
        """Whether it matters to which day Togai counts an event, and is not known."""
        return self.rule is None and depends_on_rule(self.all_told, self.days)

    @property
    def used_rule(self) -> DayRule:
        """The rule by which both sides are compared."""
        return self.rule or "event"


@attrs.frozen
class Proof:
    """What came of it.

    Attributes:
        judgement: the verdict, and what it is made of.
        ours: what our side says of the days.
        theirs: what Togai says of them.
        reasons: for each schema that differs, how many records have which status.
        named: the events that are not billed, as far as they are known.
        not_named: why some are not known by name; empty if all are.
        is_metering_told: whether Togai tells what is metered.
        requests: how many were made.

    """

    judgement: Judgement
    ours: Mapping[Cell, Ours]
    theirs: Mapping[Cell, Theirs]
    reasons: Mapping[str, Mapping[str, int]]
    named: Sequence[Named]
    not_named: str
    is_metering_told: bool
    requests: int


def prove(question: Question, togai: TogaiAsked) -> Proof:
    """Ask Togai, and compare. Raises ``NotAnswered``: then nothing can be told."""
    rule, days = question.used_rule, question.days
    window = with_neighbours(days) if rule == "receipt" else days
    ours = ours_by_cell(question.all_told, rule, window)
    counting = Counting(togai, len({cell.schema for cell in ours}))
    theirs = counting.by_schema(window)
    recent = recent_days(window, question.now)
    judgement = judge(
        ours,
        theirs,
        days,
        rule,
        _doubts(question, ours, recent),
        free=question.free,
        recent=recent,
        is_rule_open=question.is_rule_open,
    )
    looking = _Looking(question, counting, Naming(togai, counting, days, rule))
    judgement = looking.look(judgement)
    return Proof(
        judgement,
        {cell: each for cell, each in ours.items() if cell.day in days},
        {cell: each for cell, each in theirs.items() if cell.day in days},
        looking.reasons,
        sorted(looking.named.values(), key=lambda each: (each.schema, each.status, each.id)),
        looking.not_named,
        counting.statuses is not GROUPED,
        togai.count,
    )


def _doubts(question: Question, ours: Mapping[Cell, Ours], recent: Sequence[date]) -> Iterator[str]:
    """Say why nothing can be called balanced, whatever the counts are."""
    for source in (*question.sources, *question.others):
        yield from source.doubts
    if not any(each.tracked for cell, each in ours.items() if cell.day in question.days):
        yield "our side knows of no event of these days"
    if recent:
        yield f"{recent[0]} ended less than 24 hours ago, or has not ended: Togai may not show all of it yet"


@attrs.define
class _Looking:
    """Looks for what the difference is made of, and which events it is."""

    question: Question
    counting: Counting
    naming: Naming
    reasons: Mapping[str, Mapping[str, int]] = attrs.field(factory=dict)
    named: dict[str, Named] = attrs.field(factory=dict)
    not_named: str = ""

    def look(self, judgement: Judgement) -> Judgement:
        """Name what is unbilled, and return what is to be said where the ids say more than the counts."""
        question = self.question
        cells = dict(judgement.cells)
        differing = sorted({cell.schema for cell, each in cells.items() if not each.is_balanced})
        with_reasons = [
            cell for cell, each in cells.items() if (each.open.keys() | each.unbilled.keys()) & _WITH_REASONS
        ]
        if with_reasons:
            self._try(lambda: self._look_for_reasons(with_reasons))
        doubts = [] if question.is_covered else [OTHERS]
        doubts += [NO_RULE] if question.is_rule_open else []
        doubts += [NO_EVENT] if NO_EVENT in judgement.doubts else []
        is_proven = True
        for schema in sorted({cell.schema for cell in cells}) if doubts else differing:
            its = {cell: each for cell, each in cells.items() if cell.schema == schema}
            known = known_ids(question.told, schema, question.used_rule, question.days)
            is_metering_open = any(METERING in each.open for each in its.values())
            is_full = bool(doubts) or question.used_rule == "receipt" or is_metering_open
            if known is None:
                is_proven = False
            elif is_full:
                is_proven &= self._try(lambda: cells.update(self._with_all_ids(schema, known, its)))  # noqa: B023  called at once
                continue
            elif any((each.open.keys() | each.unbilled.keys()) & _OF_COUNTS for each in its.values()):
                self._try(lambda: cells.update(self._with_missing_ids(schema, known, its)))  # noqa: B023  called at once
            self._try(lambda: self._name_by_status(schema))  # noqa: B023  called at once
        if NO_EVENT in doubts and not any(each.is_seen for each in cells.values()):
            self.named.clear()  # they are of another account, most likely, and not missing
            return judgement
        others = [each for each in judgement.doubts if each != NO_EVENT]
        return Judgement(cells, tuple(others if is_proven else [*others, *doubts]))

    def _try(self, look: Callable[[], object]) -> bool:
        """Look something up; return whether it was answered: if not, the counts stand as they are."""
        try:
            look()
        except NotAnswered as error:
            self.not_named = error.message
            return False
        return True

    def _look_for_reasons(self, cells: Sequence[Cell]) -> None:
        schemas = sorted({cell.schema for cell in cells})
        first, last = min(cell.day for cell in cells), max(cell.day for cell in cells)
        is_one = self.question.used_rule == "receipt"
        days = [day for day in self.question.days if is_one or first <= day <= last]
        self.reasons = self.counting.by_reason(schemas, days)

    def _name_by_status(self, schema: str) -> None:
        for status, count in sorted(self.reasons.get(schema, {}).items()):
            if status not in (METERED, DUPLICATE) and self._is_unbilled(schema, status):
                for each in self.naming.with_status(schema, status, count):
                    self.named[each.id] = each

    def _with_all_ids(self, schema: str, known: KnownIds, cells: Mapping[Cell, Judged]) -> dict[Cell, Judged]:
        found: dict[Cell, Counter[str]] = {cell: Counter() for cell in cells}
        for each in self.naming.of_ids(schema, known, is_alone=False):
            found[self._cell(each.id, schema, known)][each.status] += 1
            self._name(each)
        is_free = schema in self.question.free
        return {cell: with_all_ids(each, found[cell], is_free=is_free) for cell, each in cells.items()}

    def _with_missing_ids(
        self, schema: str, known: KnownIds, cells: Mapping[Cell, Judged]
    ) -> dict[Cell, Judged]:
        found: dict[Cell, Counter[str]] = {cell: Counter() for cell in cells}
        for each in self.naming.of_ids(schema, known, is_alone=True):
            found[self._cell(each.id, schema, known)][each.status] += 1
            self._name(each)
        distinct = Counter(Cell(day, schema) for day in known.days.values())
        return {cell: with_missing_ids(each, distinct[cell], found[cell]) for cell, each in cells.items()}

    def _name(self, each: Named) -> None:
        if self._is_unbilled(each.schema, each.status):  # pragma: no branch  most that are asked for are
            self.named[each.id] = each

    def _is_unbilled(self, schema: str, status: str) -> bool:
        is_processed = status.startswith(COMPLETED) and schema not in self.question.free
        return status == MISSING or status.startswith(FAILED) or is_processed

    def _cell(self, event_id: str, schema: str, known: KnownIds) -> Cell:
        is_one = self.question.used_rule == "receipt"
        return Cell(self.question.days[0] if is_one else known.days[event_id], schema)
