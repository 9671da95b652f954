"""Whether an event is as a test wants it, and if not, what differs. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

import attrs

from ._event import Attribute, Event, number, timestamp_text


def _stamp(given: datetime | str | None) -> str | None:
    return None if given is None else timestamp_text(given)


@attrs.frozen
class Wanted:
    """What an event should be; what is ``None``, or not named, may be anything."""

    schema_name: object
    account: object
    attributes: Mapping[str, object]
    dimensions: Mapping[str, object]
    timestamp: str | None = attrs.field(converter=_stamp)
    event_id: object

    def misses(self, event: Event) -> list[str]:
        """What differs in ``event``, a line each."""
        fields = {
            "schema_name": (self.schema_name, event.schema_name),
            "account": (self.account, event.account_id),
            "timestamp": (self.timestamp, event.timestamp),
            "event_id": (self.event_id, event.id),
        }
        return [
            *(
                f"{name} is {has!r}, not {wanted!r}"
                for name, (wanted, has) in fields.items()
                if wanted is not None and not wanted == has  # noqa: SIM201  asks what stands for it, ANY for instance
            ),
            *_amount_misses(self.attributes, {each.name: each for each in event.attributes}),
            *_dimension_misses(self.dimensions, event.dimensions),
        ]

    def __str__(self) -> str:
        parts = [f"{self.schema_name!r}"]
        parts += [] if self.account is None else [f"for {self.account!r}"]
        given = {
            "attributes": self.attributes,
            "dimensions": self.dimensions,
            "timestamp": self.timestamp,
            "event_id": self.event_id,
        }
        told = ", ".join(f"{name} {value!r}" for name, value in given.items() if value not in (None, {}))
        return " ".join(parts + ([f"with {told}"] if told else []))


def _amount_misses(wanted: Mapping[str, object], has: Mapping[str, Attribute]) -> list[str]:
    misses = []
    for name, value in wanted.items():
        if name not in has:
            misses.append(_missing("attributes", name, has))
        elif not _is_amount(name, value, has[name]):
            misses.append(f"attributes[{name!r}] is {shown(has[name])}, not {value!r}")
    return misses


def _dimension_misses(wanted: Mapping[str, object], has: Mapping[str, str]) -> list[str]:
    misses = []
    for name, value in wanted.items():
        if name not in has:
            misses.append(_missing("dimensions", name, has))
        elif not value == has[name]:  # noqa: SIM201  asks what stands for it
            misses.append(f"dimensions[{name!r}] is {has[name]!r}, not {value!r}")
    return misses


def _missing(kind: str, name: str, has: Mapping[str, Any]) -> str:
    return f"{kind}[{name!r}] is missing; there is {', '.join(map(repr, has)) or 'none'}"


def _is_amount(name: str, wanted: object, has: Attribute) -> bool:
    match wanted:
        case (amount, unit):
            return bool(unit == has.unit) and _is_amount(name, amount, has)
    if isinstance(wanted, str) or hasattr(wanted, "__float__") or hasattr(wanted, "__index__"):
        return Decimal(number(name, wanted)) == Decimal(has.value)
    return bool(wanted == float(has.value))  # something that stands for a number: ANY, approx(12.5)


def shown(attribute: Attribute) -> str:
    """An attribute's value as ``track()`` takes it."""
    return attribute.value if attribute.unit is None else f"({attribute.value}, {attribute.unit!r})"
