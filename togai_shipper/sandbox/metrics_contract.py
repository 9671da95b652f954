"""What ``POST /metrics`` accepts: its body, checked as the server would check it. Pure.

As in ``contract``, a ``Breach`` names the field and what is wrong with it.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from datetime import datetime
from typing import Any

import attrs

from .contract import Breach, instant
from .statuses import GROUPS, STATUSES

MAX_QUERIES = 5
MAX_FILTERS = 5

EVENTS = "EVENTS"
NAMES = (
    EVENTS,
    "USAGE",
    "METER_USAGE",
    "NAMED_LICENSE_USAGE",
    "REVENUE",
    "USAGE_FOR_CYCLE",
    "REVENUE_FOR_CYCLE",
)
PERIODS = ("HOUR", "DAY", "WEEK", "MONTH")
EVENT_GROUPS = ("ACCOUNT_ID", "EVENT_STATUS", "SCHEMA_NAME", "RAW_EVENT_STATUS")
EVENT_FILTERS = ("ACCOUNT_ID", "CUSTOMER_ID", "SCHEMA_NAME", "EVENT_STATUS", "ORGANIZATION_ID")
USUAL_STATUSES = ("PROCESSED", "UNPROCESSED")  # without a filter

_DATE_TIME = re.compile(r"[0-9-]{10}[Tt][0-9:]{8}(\.[0-9]+)?([Zz]|[+-][0-9]{2}:[0-9]{2})?")
_FIRST_YEAR, _LAST_YEAR = 2, 9998  # a time zone may shift a moment into the year beside


@attrs.frozen
class MetricQuery:
    """One of the queries of a request.

    Attributes:
        id: the client's name for it.
        name: what it asks for; the sandbox has ``"EVENTS"`` alone.
        period: the length of time that each of its figures is for.
        group: the field that it is grouped by.
        filters: the values that each field may have.

    """

    id: str
    name: str
    period: str
    group: str | None = None
    filters: tuple[tuple[str, tuple[str, ...]], ...] = ()

    def allowed(self, field: str) -> tuple[str, ...] | None:
        """Return the values that a field may have; ``None``: any."""
        return dict(self.filters).get(field)


@attrs.frozen
class MetricsRequest:
    """A range of time, from ``start`` to before ``end``, and the queries for it."""

    start: datetime
    end: datetime
    queries: tuple[MetricQuery, ...]


def read_request(payload: Any, *, raw_statuses: bool) -> MetricsRequest:
    """Return what a body asks for. Raises ``Breach``.

    Args:
        payload: what the body says.
        raw_statuses: whether single statuses may be asked for.

    """
    if isinstance(payload, Breach):
        raise payload
    _object("body", payload, required=("startTime", "endTime", "metricQueries"))
    start, end = _moment("startTime", payload["startTime"]), _moment("endTime", payload["endTime"])
    if end <= start:
        raise Breach("endTime: must be after startTime")
    queries = payload["metricQueries"]
    if not isinstance(queries, list) or not 1 <= len(queries) <= MAX_QUERIES:
        raise Breach(f"metricQueries: must be an array of 1 to {MAX_QUERIES}")
    if any(query in queries[:index] for index, query in enumerate(queries)):
        raise Breach("metricQueries: must not repeat a query")
    return MetricsRequest(
        start,
        end,
        tuple(
            _query(f"metricQueries[{i}]", each, raw_statuses=raw_statuses) for i, each in enumerate(queries)
        ),
    )


def _query(where: str, value: Any, *, raw_statuses: bool) -> MetricQuery:
    required, optional = ("id", "name", "aggregationPeriod"), ("groupBy", "configs", "filters")
    _object(where, value, required=required, optional=optional)
    _text(f"{where}.id", value["id"])
    _one_of(f"{where}.name", value["name"], NAMES)
    _one_of(f"{where}.aggregationPeriod", value["aggregationPeriod"], PERIODS)
    configs = value.get("configs", {})
    if not isinstance(configs, dict) or not all(isinstance(each, str) for each in configs.values()):
        raise Breach(f"{where}.configs: must be an object of strings")
    if value["name"] != EVENTS:  # which the sandbox has not
        return MetricQuery(value["id"], value["name"], value["aggregationPeriod"])
    group = value.get("groupBy")
    if group is not None:
        _one_of(f"{where}.groupBy", group, EVENT_GROUPS if raw_statuses else EVENT_GROUPS[:-1])
    filters: tuple[tuple[str, tuple[str, ...]], ...] = ()
    if "filters" in value:
        filters = _filters(f"{where}.filters", value["filters"], raw_statuses=raw_statuses)
    return MetricQuery(value["id"], EVENTS, value["aggregationPeriod"], group, filters)


def _filters(where: str, value: Any, *, raw_statuses: bool) -> tuple[tuple[str, tuple[str, ...]], ...]:
    if not isinstance(value, list) or not 1 <= len(value) <= MAX_FILTERS:
        raise Breach(f"{where}: must be an array of 1 to {MAX_FILTERS}")
    found: dict[str, tuple[str, ...]] = {}
    for index, each in enumerate(value):
        _object(f"{where}[{index}]", each, required=("fieldName", "fieldValues"))
        field, values = each["fieldName"], each["fieldValues"]
        _one_of(f"{where}[{index}].fieldName", field, EVENT_FILTERS)
        if field in found:
            raise Breach(f"{where}[{index}].fieldName: is there already")
        found[field] = _values(f"{where}[{index}].fieldValues", field, values, raw_statuses=raw_statuses)
    return tuple(found.items())


def _values(where: str, field: str, values: Any, *, raw_statuses: bool) -> tuple[str, ...]:
    if not isinstance(values, list) or not values or not all(isinstance(each, str) for each in values):
        raise Breach(f"{where}: must be an array of at least 1 string")
    if field == "SCHEMA_NAME" and len(values) > 1:
        raise Breach(f"{where}: must hold at most 1 schema name")
    if field == "EVENT_STATUS":
        for each in values:
            _one_of(where, each, (*GROUPS, *sorted(STATUSES)) if raw_statuses else tuple(GROUPS))
    return tuple(values)


# --- parts --------------------------------------------------------------------------------------------------


def _object(where: str, value: Any, *, required: Collection[str], optional: Collection[str] = ()) -> None:
    if not isinstance(value, dict):
        raise Breach(f"{where}: must be an object")
    dot = "" if where == "body" else f"{where}."
    if missing := sorted(set(required) - value.keys()):
        raise Breach(f"{dot}{missing[0]}: is required")
    if unknown := sorted(value.keys() - set(required) - set(optional)):
        raise Breach(f"{dot}{unknown[0]!a}: is not a known field")


def _text(where: str, value: Any) -> None:
    if not isinstance(value, str):
        raise Breach(f"{where}: must be a string")


def _one_of(where: str, value: Any, known: Collection[str]) -> None:
    if not isinstance(value, str) or value not in known:
        raise Breach(f"{where}: must be one of {', '.join(known)}")


def _moment(where: str, value: Any) -> datetime:
    if not isinstance(value, str) or _DATE_TIME.fullmatch(value) is None:
        raise Breach(f"{where}: must be an ISO 8601 date and time")
    try:
        moment = instant(value)
    except Breach:
        raise Breach(f"{where}: must be a date and time that exist") from None
    if not _FIRST_YEAR <= moment.year <= _LAST_YEAR:
        raise Breach(f"{where}: must be of the years {_FIRST_YEAR} to {_LAST_YEAR}")
    return moment
