"""What the columns of a CSV file mean, by their names and by ``--map``. Pure.

The header is read once, and gives each field its place in a row: no name is looked up again. Constants are
put behind the last cell of each row, as if the file had columns for them.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from typing import Any

from togai_shipper.cli.formats import plural

from .bad_line import BadLine, named
from .event_fields import (
    ATTRIBUTE,
    DIMENSION,
    KEYWORDS,
    NEEDED,
    UNIT,
    UNKNOWN,
    FieldSource,
    constants_of,
    is_field,
    is_unit,
)
from .line_fields import LineFields, text_of
from .meaning import NULL, meaning_of_columns
from .timestamps import read_timestamp


class BadHeader(Exception):  # noqa: N818  like BadLine
    """The columns of a file cannot make events; the text says why."""


def cells(line: str, delimiter: str = ",") -> list[str]:
    """Return the cells of a line. Raises ``csv.Error``, also if a quote is not closed."""
    if '"' not in line:
        return line.split(delimiter)
    row: list[str] = next(csv.reader((line,), delimiter=delimiter, strict=True))
    return row


def header_of(line: bytes, delimiter: str = ",") -> list[str]:
    """Return the names in a file's first line. Raises ``BadHeader``."""
    try:
        return cells(text_of(line), delimiter)
    except (BadLine, csv.Error) as error:
        raise BadHeader(f"the header: {error}") from None


class Columns:
    """Makes the fields of an event from a row.

    Args:
        header: the columns' names.
        mapped: what ``--map`` says.
        ignoring: whether an unknown column is left out; else it is an error.
        delimiter: what separates them.
        null: the text of a cell that says nothing, as an empty one does.

    Raises:
        BadHeader: a column is unknown, or a field is missing.

    """

    def __init__(
        self,
        header: Sequence[str],
        mapped: dict[str, FieldSource],
        *,
        ignoring: bool = False,
        delimiter: str = ",",
        null: str = NULL,
    ) -> None:
        self.width = len(header)
        self.delimiter = delimiter
        self._names = list(header)
        self._nameless = len(header) if ignoring else _last_name(header) + 1
        places = _places(header, mapped, ignoring=ignoring)
        constants = constants_of(mapped)
        self._constants = list(constants.values())
        self._null = null
        self.meaning = meaning_of_columns(self.width, places, constants, null, delimiter)
        for field in NEEDED:
            if field not in places:
                raise BadHeader(f"there is no column {field}; name one with --map {field}=COLUMN")
        self._fields = [(KEYWORDS[field], at) for field, at in places.items() if field in KEYWORDS]
        if len({keyword for keyword, _ in self._fields}) < len(self._fields):
            raise BadHeader("id and event_id mean the same, and both are there")
        units = {field.removesuffix(UNIT): at for field, at in places.items() if is_unit(field)}
        for attribute in units:
            if attribute not in places:
                unit = named(attribute + UNIT)
                raise BadHeader(f"column {unit!r} is the unit of {named(attribute)!r}, which is missing")
        self._attributes = [
            (field.removeprefix(ATTRIBUTE), at, units.get(field))
            for field, at in places.items()
            if field.startswith(ATTRIBUTE) and not is_unit(field)
        ]
        self._dimensions = [
            (field.removeprefix(DIMENSION), at) for field, at in places.items() if field.startswith(DIMENSION)
        ]

    def are_no_fields(self, row: list[str]) -> bool:
        """Whether a row is empty, or the header once more, as where files were put one behind the other."""
        first = row[0].removeprefix("\ufeff")
        if first == self._names[0] and row[1:] == self._names[1:]:
            return True
        return not first.strip() and not any(map(str.strip, row))

    def fields(self, row: list[str]) -> LineFields:
        """Return the fields of a row; an empty cell gives none, nor does null. Raises ``BadLine``."""
        if len(row) != self.width:
            raise BadLine(f"has {plural(len(row), 'column')}, not {self.width}")
        if self._null in row:
            row = ["" if cell == self._null else cell for cell in row]
        if self._nameless < self.width and any(map(str.strip, row[self._nameless :])):
            raise BadLine("has a value in a column without a name; --ignore-unknown leaves it out")
        row += self._constants
        fields: LineFields = {keyword: row[at] for keyword, at in self._fields if row[at]}
        for field in NEEDED:
            if field not in fields:
                raise BadLine(f"{field}: is missing")
        fields["timestamp"] = read_timestamp(fields["timestamp"])
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
    by_name = _by_name(header, {source.text for source in mapped.values() if not source.is_constant})
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
        if at not in used and is_field(name) and name not in places:
            places[name] = at
        elif at not in used and not ignoring and at <= _last_name(header):
            raise BadHeader(f"column {named(name)!r} {UNKNOWN}")
    return places


def _last_name(header: Sequence[str]) -> int:
    """Return the place of the last column with a name: spreadsheets put empty ones behind it."""
    return max((at for at, name in enumerate(header) if name.strip()), default=-1)


def _by_name(header: Sequence[str], wanted: AbstractSet[str]) -> dict[str, int]:
    """Return the place of each name. Several columns may have none, if none of them is wanted."""
    by_name: dict[str, int] = {}
    for at, name in enumerate(header):
        if name in by_name and (name.strip() or name in wanted):
            raise BadHeader(f"column {named(name)!r} appears twice")
        by_name.setdefault(name, at)
    return by_name
