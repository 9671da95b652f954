"""What would be billed: how many events of each account and schema, and the sum of each attribute. Pure."""

from __future__ import annotations

from decimal import Context, Decimal
from typing import Any, TypeAlias

import attrs

MOST_ROWS = 1_000  # accounts and schemas that have a row of their own
MOST_SUMS = 100  # attributes of a row; others are not summed

_EXACT = Context(prec=600)  # digits; a value may have 512 before its point
_ZERO = Decimal(0)

Attribute: TypeAlias = tuple[str, str]  # its name and unit, "" without one


@attrs.define(eq=False)
class _Sums:
    events: int = 0
    sums: dict[Attribute, Decimal] = attrs.field(factory=dict)


@attrs.frozen
class BillRow:
    """The billed events of one account and schema; of all further ones, if both are ``None``.

    Attributes:
        account: the account's id.
        schema: the schema's name.
        events: how many are billed.
        sums: each attribute's name, unit (``""`` without one) and sum.

    """

    account: str | None
    schema: str | None
    events: int
    sums: tuple[tuple[str, str, str], ...]


class Bill:
    """Adds up events, in bounded memory: it needs none of them afterwards."""

    def __init__(self) -> None:
        self._rows: dict[tuple[str | None, str | None], _Sums] = {}

    def add(self, event: dict[str, Any]) -> None:
        """Bill this event."""
        key: tuple[str | None, str | None] = (event["accountId"], event["schemaName"])
        row = self._rows.get(key)
        if row is None:
            key = key if len(self._rows) < MOST_ROWS else (None, None)
            row = self._rows.setdefault(key, _Sums())
        row.events += 1
        sums = row.sums
        for attribute in event["attributes"]:
            name = (attribute["name"], attribute.get("unit", ""))
            if name in sums or len(sums) < MOST_SUMS:
                sums[name] = _EXACT.add(sums.get(name, _ZERO), Decimal(attribute["value"]))

    def remove(self, event: dict[str, Any]) -> None:
        """Bill this event, which is billed, no longer."""
        row = self._rows.get((event["accountId"], event["schemaName"])) or self._rows[None, None]
        row.events -= 1
        for attribute in event["attributes"]:
            name = (attribute["name"], attribute.get("unit", ""))
            if name in row.sums:
                row.sums[name] = _EXACT.subtract(row.sums[name], Decimal(attribute["value"]))

    def rows(self) -> list[BillRow]:
        """Return a row for each account and schema, in the order in which they first came."""
        return [
            BillRow(
                *key,
                row.events,
                tuple((name, unit, f"{total:f}") for (name, unit), total in row.sums.items()),
            )
            for key, row in self._rows.items()
            if row.events
        ]
