"""What one query of ``POST /metrics`` counts: for each of its groups, the events of each period. Pure.

Counts are kept by quarters of an hour: a range that begins or ends within one has the whole of it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, TypeAlias

from .catalog import Account, account_called, account_objects, schema_called
from .contract import Breach
from .metrics_contract import USUAL_STATUSES, MetricQuery
from .periods import end_of, start_of, starts_between
from .statuses import DUPLICATE_EVENT, GROUPS, group_of
from .tally import QUARTER, Kind

if TYPE_CHECKING:
    from .switches import Switches

#: When a period begins, and what it counts; in UTC, where no hour comes twice and is taken for itself.
Points: TypeAlias = dict[datetime, int]

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_PREDEFINED = "togai-"  # the schemas that every organisation has begin so


def groups_of(
    query: MetricQuery, start: datetime, end: datetime, counts: Mapping[Kind, int], switches: Switches
) -> dict[str, Points]:
    """Return the counts of each group, by its value; ``""`` is the only group of a query without one.

    Raises ``Breach`` if it names what does not exist, and a switch says that this is refused.
    """
    zone, period = switches.day_zone, query.period
    if switches.whole_periods:
        end = end_of(start_of(end - timedelta(microseconds=1), period, zone), period)
        start = start_of(start, period, zone)
    quarters = range(math.floor(start.timestamp() / QUARTER), math.ceil(end.timestamp() / QUARTER))
    wanted = _Wanted(query, switches)
    found: dict[str, Points] = {}
    begins: dict[int, datetime] = {}  # the period of a quarter
    for kind, count in counts.items():
        quarter = kind.happened if switches.day_rule == "event" else kind.received
        if quarter in quarters and wanted.has(kind):
            if quarter not in begins:
                moment = _EPOCH + timedelta(seconds=quarter * QUARTER)
                begins[quarter] = start_of(moment, period, zone).astimezone(timezone.utc)
            points = found.setdefault(wanted.group(kind), {})
            points[begins[quarter]] = points.get(begins[quarter], 0) + count
    if switches.zero_points:
        if query.group is None:
            found.setdefault("", {})
        for points in found.values():
            for begin in starts_between(start, end, period, zone):
                points.setdefault(begin.astimezone(timezone.utc), 0)
    return {group: dict(sorted(points.items())) for group, points in sorted(found.items())}


class _Wanted:
    """Which kinds of records a query is about, and in which group each is."""

    def __init__(self, query: MetricQuery, switches: Switches) -> None:
        self._group = query.group
        self._switches = switches
        self._statuses = self._statuses_of(query.allowed("EVENT_STATUS") or USUAL_STATUSES)
        self._schemas, self._customers = query.allowed("SCHEMA_NAME"), query.allowed("CUSTOMER_ID")
        accounts = query.allowed("ACCOUNT_ID")
        self._accounts = None if accounts is None else {self._account(name).id for name in accounts}
        if switches.unknown_names == "refuse":
            self._refuse_unknown(accounts or ())

    def _statuses_of(self, values: tuple[str, ...]) -> frozenset[str]:
        groups = frozenset[str]().union(*(GROUPS[each] for each in values if each in GROUPS))
        if not self._switches.duplicates_count:
            groups -= {DUPLICATE_EVENT}
        return groups.union(each for each in values if each not in GROUPS)

    def _refuse_unknown(self, accounts: tuple[str, ...]) -> None:
        if not all(map(self._has_schema, self._schemas or ())):
            raise Breach("filters: SCHEMA_NAME: there is no such schema")
        if not all(self._account(each).is_known for each in accounts):
            raise Breach("filters: ACCOUNT_ID: there is no such account")
        known = {each["customerId"] for each in account_objects(self._switches.accounts)}
        if self._switches.accounts is not None and not known.issuperset(self._customers or ()):
            raise Breach("filters: CUSTOMER_ID: there is no such customer")

    def has(self, kind: Kind) -> bool:
        """Whether it is about such records."""
        return (
            kind.status in self._statuses
            and (self._schemas is None or kind.schema in self._schemas)
            and (self._accounts is None or self._account(kind.account).id in self._accounts)
            and (self._customers is None or self._account(kind.account).customer in self._customers)
            and (self._switches.unknown_groups or self._is_known(kind))
        )

    def group(self, kind: Kind) -> str:
        """Return the value by which such records are grouped."""
        match self._group:
            case None:
                return ""
            case "SCHEMA_NAME":
                return kind.schema
            case "ACCOUNT_ID":
                return self._account(kind.account).id
            case "EVENT_STATUS" if self._switches.duplicates_count or kind.status != DUPLICATE_EVENT:
                return group_of(kind.status)
            case _:
                return kind.status

    def _is_known(self, kind: Kind) -> bool:
        if self._group == "SCHEMA_NAME":
            return self._has_schema(kind.schema)
        return self._group != "ACCOUNT_ID" or self._account(kind.account).is_known

    def _has_schema(self, name: str) -> bool:
        schemas, is_loose = self._switches.schemas, self._switches.loose_names
        return name.startswith(_PREDEFINED) or schema_called(schemas, name, is_loose=is_loose).is_known

    def _account(self, name: str) -> Account:
        return account_called(self._switches.accounts, name)
