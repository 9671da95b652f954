"""The fields of an event from a line of JSON: by the names of its members, and by ``--map``. Pure.

A member that ``--map`` names a path into is used for that alone. Whatever is used for nothing is an error,
unless it is to be left out: it may be what was to be billed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

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
    is_unit,
)
from .json_paths import left_over, path_of, text_of_path, tree_of, value_at, without
from .line_fields import LineFields, attributes_of, dimensions_of, object_of, own_fields
from .meaning import NDJSON, meaning_of_paths
from .timestamps import read_timestamp


class JsonFields:
    """Makes the fields of an event from a line.

    Args:
        mapped: what ``--map`` says.
        ignoring: whether what is unknown is left out; else it is an error.

    """

    def __init__(self, mapped: Mapping[str, FieldSource], *, ignoring: bool = False) -> None:
        self._ignoring = ignoring
        self._constants = constants_of(mapped)
        self._paths = {
            field: path_of(source.text) for field, source in mapped.items() if field not in self._constants
        }
        self._tree = tree_of(self._paths.values())
        self._keywords = {field: KEYWORDS[field] for field in mapped if field in KEYWORDS}
        self._units = {field: field[len(ATTRIBUTE) : -len(UNIT)] for field in mapped if is_unit(field)}
        self._attributes = {
            field: field.removeprefix(ATTRIBUTE)
            for field in mapped
            if field.startswith(ATTRIBUTE) and field not in self._units
        }
        self._dimensions = {
            field: field.removeprefix(DIMENSION) for field in mapped if field.startswith(DIMENSION)
        }
        self._is_mapped = bool(mapped)
        self.meaning = meaning_of_paths(self._paths, self._constants) if mapped else NDJSON

    def fields(self, line: bytes) -> LineFields:
        """Return the fields of a line; null gives none. Raises ``BadLine``."""
        given = object_of(line)
        fields = self._mapped(given) if self._is_mapped else own_fields(given, ignoring=self._ignoring)
        for field in NEEDED:
            if field not in fields:
                raise BadLine(f"{field}: is missing{self._where(field)}")
        fields["timestamp"] = read_timestamp(fields["timestamp"])
        if "attributes" in fields:
            fields["attributes"] = attributes_of(fields["attributes"])
        if "dimensions" in fields:
            fields["dimensions"] = dimensions_of(fields["dimensions"])
        return fields

    def _where(self, field: str) -> str:
        path = self._paths.get(field)
        return "" if path is None else f" (there is no {named(text_of_path(path))})"

    def _mapped(self, given: dict[str, Any]) -> LineFields:
        values = {field: value_at(path, given) for field, path in self._paths.items()}
        values.update({field: text or None for field, text in self._constants.items()})
        fields = own_fields(self._unused(given), ignoring=self._ignoring, mapped={*self._keywords.values()})
        fields.update(_those(self._keywords, values))
        if self._attributes or self._units:
            own = attributes_of(fields.get("attributes", {}))
            own = self._without_mapped(own, self._attributes, ATTRIBUTE)
            attributes = attributes_of({**own, **_those(self._attributes, values)})
            fields["attributes"] = _with_units(attributes, _those(self._units, values))
        if self._dimensions:
            own = fields.get("dimensions", {})
            if type(own) is not dict:
                raise BadLine(f"dimensions: must be a mapping, not {type(own).__name__}")
            own = self._without_mapped(own, self._dimensions, DIMENSION)
            fields["dimensions"] = {**own, **_those(self._dimensions, values)}
        return fields

    def _unused(self, given: dict[str, Any]) -> dict[str, Any]:
        """Return the members that no path of ``--map`` leads to or into."""
        unused: dict[str, Any] = {}
        for name, value in given.items():
            tree = self._tree.get(name)
            if tree is None:
                unused[name] = value
                continue
            left = left_over(value, tree)
            if tree and name in ("attributes", "dimensions") and type(value) in (dict, list):
                # As with columns: those beside the one that is mapped are what their names say.
                unused[name] = without(value, tree)
                left = (path for path in left if path[0] in tree)
            if not self._ignoring and (path := next(left, None)) is not None:
                raise BadLine(f"{named(text_of_path((name, *path)))}: {UNKNOWN}")
        return unused

    def _without_mapped(self, own: dict[str, Any], mapped: Mapping[str, str], kind: str) -> dict[str, Any]:
        if not self._ignoring and (name := next((n for n in own if kind + n in mapped), None)) is not None:
            raise BadLine(f"{named(kind + name)}: {UNKNOWN}")
        return {name: value for name, value in own.items() if kind + name not in mapped}


def _those(names: Mapping[str, str], values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of some fields, by other names; those that say nothing are left out."""
    return {name: values[field] for field, name in names.items() if values[field] is not None}


def _with_units(attributes: dict[str, Any], units: dict[str, Any]) -> dict[str, Any]:
    return {
        name: _with_unit(name, value, units[name]) if name in units else value
        for name, value in attributes.items()
    }


def _with_unit(name: str, value: Any, unit: Any) -> Any:
    if type(value) is tuple:
        raise BadLine(f"attributes[{named(name)!r}]: has a unit, and --map gives another one")
    return (value, unit)
