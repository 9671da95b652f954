"""Whether an event is as a test expects it, and if not, what differs. Pure."""

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
class ExpectedEvent:
    """Says what an event should be; what is ``None``, or not named, may be anything."""

    schema_name: object
    account: object
    attributes: Mapping[str, object]
    dimensions: Mapping[str, object]
    timestamp: str | None = attrs.field(converter=_stamp)
    event_id: object

    def differences(self, event: Event) -> list[str]:
        """Say what differs in ``event``, a line each."""
        fields = {
            "schema_name": (self.schema_name, event.schema_name),
            "account": (self.account, event.account_id),
            "timestamp": (self.timestamp, event.timestamp),
            "event_id": (self.event_id, event.id),
        }
        return [
            *(
                f"{name} is {has!r}, not {expected!r}"
                for name, (expected, has) in fields.items()
                if expected is not None and not expected == has  # noqa: SIM201  asks what stands for it, ANY for instance
            ),
            *_amount_differences(self.attributes, {each.name: each for each in event.attributes}),
            *_dimension_differences(self.dimensions, event.dimensions),
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


def _amount_differences(expected: Mapping[str, object], has: Mapping[str, Attribute]) -> list[str]:
    differing = []
    for name, value in expected.items():
        if name not in has:
            differing.append(_missing("attributes", name, has))
        elif not _is_amount(name, value, has[name]):
            differing.append(f"attributes[{name!r}] is {shown(has[name])}, not {value!r}")
    return differing


def _dimension_differences(expected: Mapping[str, object], has: Mapping[str, str]) -> list[str]:
    differing = []
    for name, value in expected.items():
        if name not in has:
            differing.append(_missing("dimensions", name, has))
        elif not value == has[name]:  # noqa: SIM201  asks what stands for it
            differing.append(f"dimensions[{name!r}] is {has[name]!r}, not {value!r}")
    return differing


def _missing(kind: str, name: str, has: Mapping[str, Any]) -> str:
    return f"{kind}[{name!r}] is missing; there is {', '.join(map(repr, has)) or 'none'}"


def _is_amount(name: str, expected: object, has: Attribute) -> bool:
    match expected:
        case (amount, unit):
            return bool(unit == has.unit) and _is_amount(name, amount, has)
    if isinstance(expected, str) or hasattr(expected, "__float__") or hasattr(expected, "__index__"):
        return Decimal(number(name, expected)) == Decimal(has.value)
    return bool(expected == float(has.value))  # something that stands for a number: ANY, approx(12.5)


def shown(attribute: Attribute) -> str:
    """Write an attribute's value as ``track()`` takes it."""
    return attribute.value if attribute.unit is None else f"({attribute.value}, {attribute.unit!r})"
