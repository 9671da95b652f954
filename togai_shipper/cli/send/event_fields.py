"""Which fields an event has, and where ``--map`` says that each of them comes from. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import attrs

KEYWORDS = {  # a field's name -> the keyword of track()
    "schema_name": "schema_name",
    "account_id": "account_id",
    "timestamp": "timestamp",
    "id": "event_id",
    "event_id": "event_id",
    "idempotency_key": "idempotency_key",
}
NEEDED = ("schema_name", "account_id", "timestamp")
ATTRIBUTE, UNIT, DIMENSION = "attributes.", ".unit", "dimensions."
UNKNOWN = "is not a field of an event; say what it is with --map, or ignore it with --ignore-unknown"

FIELDS = (
    "schema_name, account_id, timestamp, id, idempotency_key, attributes.NAME, attributes.NAME.unit, "
    "dimensions.NAME"
)


@attrs.frozen
class FieldSource:
    """Where a field's value comes from: a column or a path, or a text that is the same in each line."""

    text: str
    is_constant: bool


def map_of(given: Sequence[str]) -> dict[str, FieldSource]:
    """Read ``--map``: ``FIELD=COLUMN``, or ``FIELD==TEXT`` for a constant. Raises ``ValueError``."""
    taken: dict[str, FieldSource] = {}
    for item in given:
        field, equals, text = item.partition("=")
        if not equals:
            raise ValueError(f"{item!r} is neither FIELD=COLUMN nor FIELD==TEXT")
        if not is_field(field):
            raise ValueError(f"{field!r} is not a field of an event, which are {FIELDS}")
        if field in taken:
            raise ValueError(f"{field} is given twice")
        taken[field] = FieldSource(text.removeprefix("="), is_constant=text.startswith("="))
    if "id" in taken and "event_id" in taken:
        raise ValueError("id and event_id mean the same, and both are given")
    return taken


def is_field(name: str) -> bool:
    """Whether an event may have a field of this name."""
    attribute = name.startswith(ATTRIBUTE) and name not in (ATTRIBUTE, ATTRIBUTE + UNIT)
    return name in KEYWORDS or attribute or (name.startswith(DIMENSION) and name != DIMENSION)


def is_unit(field: str) -> bool:
    """Whether a field is the unit of an attribute."""
    return field.startswith(ATTRIBUTE) and field.endswith(UNIT)


def constants_of(mapped: Mapping[str, FieldSource]) -> dict[str, str]:
    """Return the fields that have the same text in each line."""
    return {field: source.text for field, source in mapped.items() if source.is_constant}
