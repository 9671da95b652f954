"""Asks Togai how many events it counts, in as few requests as there can be.

A request is for as many days and queries as give fewer data points than Togai puts into an answer. Where it
refuses one, or the answer has so many that it may have been cut short, a part of it is asked for at a time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any, TypeAlias, TypeVar

import attrs

from togai_shipper.cli.not_answered import NotAnswered
from togai_shipper.cli.togai_asked import TogaiAsked
from togai_shipper.cli.togai_metrics import (
    ALL,
    GROUPED,
    MOST_POINTS,
    MOST_QUERIES,
    PRESENT,
    SINGLE,
    Point,
    Statuses,
    end_of,
    midnight,
    points,
    query,
    request,
)

from .facts import Cell, Theirs

PATH = "/metrics"
Query: TypeAlias = Mapping[str, Any]
_Part = TypeVar("_Part")


class _Refused(NotAnswered):
    """Togai refuses the request: it may be for too many data points, or for what it does not count."""


class _OtherDays(Exception):  # noqa: N818  it is caught here
    """Togai's days are not days of UTC."""

    def __init__(self, begins: datetime) -> None:
        super().__init__(begins)
        self.begins = begins


@attrs.define
class Counting:
    """Counts what Togai has.

    Attributes:
        togai: whom to ask.
        groups: how many schemas it is expected to have, at least.
        statuses: what is counted: single statuses, or groups of them where Togai knows no others.
        days_begin: when Togai's days begin, where that is not at midnight in UTC; each day is then asked for
            by itself, from its beginning to its end in UTC.

    """

    togai: TogaiAsked
    groups: int
    statuses: Statuses = SINGLE
    days_begin: datetime | None = None

    def by_schema(self, days: Sequence[date]) -> dict[Cell, Theirs]:
        """Return what Togai counts of these days, which follow each other. Raises ``NotAnswered``."""
        try:
            return self._by_schema(days)
        except _OtherDays as error:
            self._check_range(days, error.begins)
            self.days_begin = error.begins
        except _Refused:
            if self.statuses is GROUPED:
                raise
            self.statuses = GROUPED
        return self.by_schema(days)

    def _by_schema(self, days: Sequence[date]) -> dict[Cell, Theirs]:
        queries = [query(field, "SCHEMA_NAME", each) for field, each in self.statuses.items()]
        found: dict[Cell, Theirs] = {}
        for day, point in self._points(days, queries, self.groups):
            cell = Cell(day, point.group)
            found[cell] = found.get(cell, Theirs()) + Theirs(**{point.query: point.events})
        return found

    def by_reason(self, schemas: Sequence[str], days: Sequence[date]) -> dict[str, Counter[str]]:
        """Return how many records have which status, for each schema. Raises ``NotAnswered``."""
        found: dict[str, Counter[str]] = {schema: Counter() for schema in schemas}
        if self.statuses is GROUPED:
            return found
        queries = [query(each, "RAW_EVENT_STATUS", ALL, SCHEMA_NAME=(each,)) for each in schemas]
        for _, point in self._points(days, queries, len(ALL)):
            found[point.query][point.group] += point.events
        return found

    def by_account(self, schema: str, days: Sequence[date], accounts: Sequence[str]) -> Counter[str]:
        """Return how many events of a schema each of these accounts has, without duplicates."""
        found: Counter[str] = Counter()
        wanted = PRESENT if self.statuses is SINGLE else ("PROCESSED", "IN_PROGRESS")
        for some in _parts(accounts, MOST_POINTS - 1):
            queries = [query(schema, "ACCOUNT_ID", wanted, SCHEMA_NAME=(schema,), ACCOUNT_ID=some)]
            for _, point in self._points(days, queries, len(some)):
                found[point.group] += point.events
        return found

    # --- as many at once as there can be ---

    def _points(
        self, days: Sequence[date], queries: Sequence[Query], groups: int
    ) -> Iterator[tuple[date, Point]]:
        room = (MOST_POINTS - 1) // max(groups, 1)
        at_once = max(1, min(MOST_QUERIES, room))
        length = max(1, room // at_once) if self.days_begin is None else 1
        for some in _parts(queries, at_once):
            for part in _parts(days, length):
                yield from self._divided(part, some)

    def _divided(self, days: Sequence[date], queries: Sequence[Query]) -> Iterator[tuple[date, Point]]:
        is_whole = len(days) == len(queries) == 1
        try:
            found = self._asked(midnight(days[0]), end_of(days[-1]), queries)
        except _Refused:
            if is_whole:
                raise
        else:
            if len(found) < MOST_POINTS:
                yield from ((self._day(point, days), point) for point in found)
                return
            if is_whole:
                many = f"the answer has {len(found)} figures, and may have been cut short there"
                raise NotAnswered(f"POST {PATH}: {many}")
        middle = (len(queries) + 1) // 2 if len(queries) > 1 else (len(days) + 1) // 2
        if len(queries) > 1:
            halves = [(days, queries[:middle]), (days, queries[middle:])]
        else:
            halves = [(days[:middle], queries), (days[middle:], queries)]
        for some_days, some in halves:
            yield from self._divided(some_days, some)

    def _day(self, point: Point, days: Sequence[date]) -> date:
        if self.days_begin is not None:
            return days[0]
        if point.begins != midnight(point.begins.date()):
            raise _OtherDays(point.begins)
        if point.begins.date() not in days:
            raise NotAnswered(f"POST {PATH}: the answer has {point.begins.date()}, which nobody asked for")
        return point.begins.date()

    def _asked(self, start: datetime, end: datetime, queries: Sequence[Query]) -> list[Point]:
        answer = self.togai.post(PATH, request(start, end, queries))
        if answer.is_missing:
            raise NotAnswered(f"POST {PATH}: it is not there (HTTP 404); is the base_url right?")
        if answer.is_refusal:
            raise _Refused(f"POST {PATH}: Togai refuses the question: {answer.message}")
        try:
            return list(points(answer.body, queries))
        except ValueError as error:
            raise NotAnswered(f"POST {PATH}: the answer is not as Togai documents it: {error}") from error

    def _check_range(self, days: Sequence[date], begins: datetime) -> None:
        """See that Togai counts from when to when it is asked, and not whole days of its own.

        If so, what it counts in the halves of a day adds up to what it counts in the day. Raises
        ``NotAnswered``.
        """
        asked = [query("all", "SCHEMA_NAME", [each for some in self.statuses.values() for each in some])]
        for day in days:
            noon = midnight(day) + timedelta(hours=12)
            whole = sum(point.events for point in self._asked(midnight(day), end_of(day), asked))
            if whole:
                halves = ((midnight(day), noon), (noon, end_of(day)))
                parts = sum(point.events for half in halves for point in self._asked(*half, asked))
                if parts == whole:
                    return
                break
        text = f"Togai's days begin at {begins:%H:%M} UTC, and it counts whole ones, which are not ours"
        raise NotAnswered(f"POST {PATH}: {text}")


def _parts(items: Sequence[_Part], length: int) -> Iterator[Sequence[_Part]]:
    for start in range(0, len(items), length):
        yield items[start : start + length]
