"""``POST /metrics``: what is asked, and what the answer says. Pure.

An answer that is not as Togai documents it says nothing: ``ValueError`` tells why.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime, time, timedelta, timezone
from typing import Any, NamedTuple, TypeAlias

from togai_shipper._engine.look_ups import (
    DUPLICATE,
    IN_PROGRESS,
    METERED,
    NO_MATCHING_METERS,
    NOT_METERED,
    UNKNOWN,
)

MOST_QUERIES = 5  # in a request
MOST_POINTS = 300  # in an answer; one with as many may have been cut short
FAILED_STATUSES = tuple(
    f"INGESTION_FAILED{what}"
    for what in (
        "",
        "_SCHEMA_NOT_DEFINED",
        "_ACCOUNT_NOT_FOUND",
        "_ENRICHMENT_FAILED",
        "_UNITS_INVALID",
        "_PAST_GRACE_PERIOD",
        "_NO_EVENT_ID",
        "_INVALID_NAMED_LICENSE_EVENT",
        "_INSUFFICIENT_CREDITS",
    )
)
REVERTED = "REVERTED"
UNSETTLED = (IN_PROGRESS, REVERTED, UNKNOWN)

Statuses: TypeAlias = Mapping[str, tuple[str, ...]]  # the statuses that each field of ``Theirs`` counts

SINGLE: Statuses = {
    "metered": (METERED,),
    "not_metered": (NOT_METERED, NO_MATCHING_METERS),
    "failed": FAILED_STATUSES,
    "duplicates": (DUPLICATE,),
    "unsettled": UNSETTLED,
}
#: Where Togai does not count single statuses.
GROUPED: Statuses = {
    "processed": ("PROCESSED",),
    "unprocessed": ("UNPROCESSED",),
    "unsettled": ("IN_PROGRESS",),
}
#: Every status that we know. Of events with another one Togai seems to have no record: they are missing then.
ALL = tuple(status for statuses in SINGLE.values() for status in statuses)
PRESENT = tuple(status for status in ALL if status != DUPLICATE)


class Point(NamedTuple):
    """A figure: of a group, and of a period that begins at a moment."""

    query: str
    group: str
    begins: datetime
    events: int


def query(name: str, group: str, statuses: Sequence[str], **filters: Sequence[str]) -> dict[str, Any]:
    """Return a query for events by the day, in groups; ``name`` is our own for it."""
    wanted = {"EVENT_STATUS": statuses, **filters}
    return {
        "id": name,
        "name": "EVENTS",
        "aggregationPeriod": "DAY",
        "groupBy": group,
        "filters": [{"fieldName": field, "fieldValues": list(values)} for field, values in wanted.items()],
    }


def request(start: datetime, end: datetime, queries: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the body of a request, for the time from ``start`` to before ``end``."""
    return {"startTime": _written(start), "endTime": _written(end), "metricQueries": list(queries)}


def midnight(day: date) -> datetime:
    """Return when a day begins, in UTC."""
    return datetime.combine(day, time(), timezone.utc)


def end_of(day: date) -> datetime:
    """Return when a day ends, in UTC."""
    return midnight(day) + timedelta(days=1)


def points(body: Mapping[str, Any], queries: Sequence[Mapping[str, Any]]) -> Iterator[Point]:
    """Yield the figures of an answer. Raises ``ValueError``."""
    asked = {each["id"]: each["groupBy"] for each in queries}
    results = _list(body.get("results"), "results")
    told = [_object(each, "results").get("id") for each in results]
    if sorted(map(str, told)) != sorted(asked):
        raise ValueError("results: has not one result for each query")
    for name, result in zip(told, results, strict=True):
        for data in _list(result.get("data") or [], "data"):
            yield from _points(str(name), asked[name], _object(data, "data"))


def _points(name: str, group: str, data: Mapping[str, Any]) -> Iterator[Point]:
    grouped = _object(data.get("groupedBy"), "groupedBy")
    value = grouped.get("fieldValue")
    if grouped.get("fieldName") != group or not isinstance(value, str):
        raise ValueError(f"groupedBy: must be a value of {group}")
    moments, counts = (
        _list(data.get("timestamps"), "timestamps"),
        _list(data.get("metricValues"), "metricValues"),
    )
    if len(moments) != len(counts):
        raise ValueError("timestamps: are not as many as metricValues")
    for moment, count in zip(moments, counts, strict=True):
        is_number = isinstance(count, int | float) and not isinstance(count, bool)
        if not is_number or count < 0 or not float(count).is_integer():
            raise ValueError("metricValues: must be counts")
        yield Point(name, value, _moment(moment), int(count))


def _moment(value: Any) -> datetime:
    try:
        moment = datetime.fromisoformat(str(value).replace("Z", "+00:00"))
        return moment.astimezone(timezone.utc) if moment.tzinfo else moment.replace(tzinfo=timezone.utc)
    except (ValueError, OverflowError):
        raise ValueError("timestamps: must be moments") from None


def _written(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def _list(value: Any, name: str) -> list[Any]:
    if not isinstance(value, list):
        raise ValueError(f"{name}: must be a list")  # noqa: TRY004  told like the rest
    return value


def _object(value: Any, name: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"{name}: must hold objects")  # noqa: TRY004  told like the rest
    return value
