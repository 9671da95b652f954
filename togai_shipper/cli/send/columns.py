"""What the columns of a CSV file mean, by their names and by ``--map``. Pure.

The header is read once, and gives each field its place in a row: no name is looked up again. Constants are
put behind the last cell of each row, as if the file had columns for them.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from typing import Any

import attrs

from togai_shipper.cli.formats import plural

from .line_fields import BadLine, LineFields, named, text_of

_FIELDS = {  # a column's name -> the keyword of track()
    "schema_name": "schema_name",
    "account_id": "account_id",
    "timestamp": "timestamp",
    "id": "event_id",
    "event_id": "event_id",
    "idempotency_key": "idempotency_key",
}
_NEEDED = ("schema_name", "account_id", "timestamp")
_ATTRIBUTE, _UNIT, _DIMENSION = "attributes.", ".unit", "dimensions."

FIELDS = (
    "schema_name, account_id, timestamp, id, idempotency_key, attributes.NAME, attributes.NAME.unit, "
    "dimensions.NAME"
)


class BadHeader(Exception):  # noqa: N818  like BadLine
    """The columns of a file cannot make events; the text says why."""


@attrs.frozen
class FieldSource:
    """Where a field's value comes from: a column, or a text that is the same in each row."""

    text: str
    is_constant: bool


def map_of(given: Sequence[str]) -> dict[str, FieldSource]:
    """Read ``--map``: ``FIELD=COLUMN``, or ``FIELD==TEXT`` for a constant. Raises ``ValueError``."""
    taken: dict[str, FieldSource] = {}
    for item in given:
        field, equals, text = item.partition("=")
        if not equals:
            raise ValueError(f"{item!r} is neither FIELD=COLUMN nor FIELD==TEXT")
        if not _is_field(field):
            raise ValueError(f"{field!r} is not a field of an event, which are {FIELDS}")
        if field in taken:
            raise ValueError(f"{field} is given twice")
        taken[field] = FieldSource(text.removeprefix("="), is_constant=text.startswith("="))
    return taken


def _is_field(name: str) -> bool:
    attribute = name.startswith(_ATTRIBUTE) and name not in (_ATTRIBUTE, _ATTRIBUTE + _UNIT)
    return name in _FIELDS or attribute or (name.startswith(_DIMENSION) and name != _DIMENSION)


def cells(line: str) -> list[str]:
    """Return the cells of a line. Raises ``csv.Error``, also if a quote is not closed."""
    if '"' not in line:
        return line.split(",")
    row: list[str] = next(csv.reader((line,), strict=True))
    return row


def header_of(line: bytes) -> list[str]:
    """Return the names in a file's first line. Raises ``BadHeader``."""
    try:
        return cells(text_of(line))
    except (BadLine, csv.Error) as error:
        raise BadHeader(f"the header: {error}") from None


class Columns:
    """Makes the fields of an event from a row.

    Args:
        header: the columns' names.
        mapped: what ``--map`` says.
        ignoring: whether an unknown column is left out; else it is an error.

    Raises:
        BadHeader: a column is unknown, or a field is missing.

    """

    def __init__(
        self, header: Sequence[str], mapped: dict[str, FieldSource], *, ignoring: bool = False
    ) -> None:
        self.width = len(header)
        self._constants = [source.text for source in mapped.values() if source.is_constant]
        places = _places(header, mapped, ignoring=ignoring)
        for field in _NEEDED:
            if field not in places:
                raise BadHeader(f"there is no column {field}; name one with --map {field}=COLUMN")
        self._fields = [(_FIELDS[field], at) for field, at in places.items() if field in _FIELDS]
        if len({keyword for keyword, _ in self._fields}) < len(self._fields):
            raise BadHeader("id and event_id mean the same, and both are there")
        units = {
            field.removesuffix(_UNIT): at
            for field, at in places.items()
            if field.startswith(_ATTRIBUTE) and field.endswith(_UNIT)
        }
        for attribute in units:
            if attribute not in places:
                unit = named(attribute + _UNIT)
                raise BadHeader(f"column {unit!r} is the unit of {named(attribute)!r}, which is missing")
        self._attributes = [
            (field.removeprefix(_ATTRIBUTE), at, units.get(field))
            for field, at in places.items()
            if field.startswith(_ATTRIBUTE) and not field.endswith(_UNIT)
        ]
        self._dimensions = [
            (field.removeprefix(_DIMENSION), at)
            for field, at in places.items()
            if field.startswith(_DIMENSION)
        ]

    def fields(self, row: list[str]) -> LineFields:
        """Return the fields of a row; an empty cell gives none. Raises ``BadLine``."""
        if len(row) != self.width:
            raise BadLine(f"has {plural(len(row), 'column')}, not {self.width}")
        row += self._constants
        fields: LineFields = {keyword: row[at] for keyword, at in self._fields if row[at]}
        for field in _NEEDED:
            if field not in fields:
                raise BadLine(f"{field}: is missing")
        attributes: dict[str, Any] = {}
        for name, at, unit in self._attributes:
            value = row[at]
            if value:
                attributes[name] = value if unit is None or not row[unit] else (value, row[unit])
        fields["attributes"] = attributes
        fields["dimensions"] = {name: row[at] for name, at in self._dimensions if row[at]}
        return fields


def _places(header: Sequence[str], mapped: dict[str, FieldSource], *, ignoring: bool) -> dict[str, int]:
    """Return the place of each field in a row."""
    by_name = _by_name(header)
    places: dict[str, int] = {}
    constant = len(header)
    for field, source in mapped.items():
        if source.is_constant:
            places[field] = constant
            constant += 1
        elif source.text in by_name:
            places[field] = by_name[source.text]
        else:
            raise BadHeader(f"there is no column {named(source.text)!r}, which --map {field} names")
    used = set(places.values())
    for name, at in by_name.items():
        if at not in used and _is_field(name) and name not in places:
            places[name] = at
        elif at not in used and not ignoring:
            raise BadHeader(
                f"column {named(name)!r} is not a field of an event; "
                "say what it is with --map, or ignore it with --ignore-unknown"
            )
    return places


def _by_name(header: Sequence[str]) -> dict[str, int]:
    by_name: dict[str, int] = {}
    for at, name in enumerate(header):
        if name in by_name:
            raise BadHeader(f"column {named(name)!r} appears twice")
        by_name[name] = at
    return by_name
