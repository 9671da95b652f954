"""The fields of an event from a line of JSON, as ``track()`` takes them. Pure.

Only the shape of a line is checked here; ``track()`` checks the values. A complaint names the field and what
is wrong with it, never a value.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any, NoReturn, TypeAlias

#: Arguments of ``Shipper.track``; ``event_id`` and ``idempotency_key`` only if the line has them.
LineFields: TypeAlias = dict[str, Any]

_FIELDS = {  # a field's name, in Togai's JSON or in track() -> the keyword of track()
    "schemaName": "schema_name",
    "schema_name": "schema_name",
    "accountId": "account_id",
    "account_id": "account_id",
    "timestamp": "timestamp",
    "attributes": "attributes",
    "dimensions": "dimensions",
    "id": "event_id",
    "event_id": "event_id",
    "idempotency_key": "idempotency_key",
}
_NEEDED = ("schema_name", "account_id", "timestamp")
_BLANKS = " \t\r\n"  # of JSON
_PARTS = frozenset(("name", "value", "unit"))  # of an attribute in Togai's JSON


class BadLine(Exception):  # noqa: N818  it says what a line is, and is also returned
    """A line is not an event; the text says why."""


def of_json(line: bytes) -> LineFields:
    """Return the fields of a line of JSON. Raises ``BadLine``."""
    given = _parsed(text_of(line))
    if type(given) is not dict:
        raise BadLine(f"must be a JSON object, not {_kind(given)}")
    fields: LineFields = {}
    for key, value in given.items():
        field = _FIELDS.get(key)
        if field is None:
            raise BadLine(f"{named(key)}: is not a field of an event")
        if value is None:
            continue
        if field in fields:
            raise BadLine(f"{key}: is given twice, under two names")
        fields[field] = value
    for field in _NEEDED:
        if field not in fields:
            raise BadLine(f"{field}: is missing")
    if "attributes" in fields:
        fields["attributes"] = _attributes(fields["attributes"])
    return fields


def text_of(line: bytes) -> str:
    """Return the text of a line. Raises ``BadLine``."""
    try:
        return line.decode()
    except UnicodeDecodeError as error:
        raise BadLine(f"is not UTF-8 (byte {error.start + 1})") from None


def named(name: str) -> str:
    """Make a name from a line fit for a message: short, and without control characters."""
    text = name if name.isprintable() else repr(name)[1:-1]
    return text if len(text) <= 60 else text[:60] + "…"  # noqa: PLR2004  arbitrary


def _kind(value: object) -> str:
    return "null" if value is None else type(value).__name__


# --- attributes -------------------------------------------------------------------------------------------


def _attributes(given: Any) -> dict[str, Any]:
    """Return the attributes as a mapping, whether they were given as Togai's list or as a mapping."""
    if type(given) is list:
        return _listed(given)
    if type(given) is not dict:
        raise BadLine(f"attributes: must be a list or a mapping, not {_kind(given)}")
    for name, value in given.items():
        if type(value) is list:  # JSON has no tuples
            if len(value) != 2:  # noqa: PLR2004  an amount and its unit
                raise BadLine(f"attributes[{named(name)!r}]: must be a value, or a list of value and unit")
            given[name] = (value[0], value[1])
    return given


def _listed(given: list[Any]) -> dict[str, Any]:
    taken: dict[str, Any] = {}
    for item in given:
        if type(item) is not dict or "name" not in item or "value" not in item or item.keys() - _PARTS:
            raise BadLine("attributes: must be objects with a name, a value and perhaps a unit")
        name, unit = item["name"], item.get("unit")
        if type(name) is not str:
            raise BadLine(f"attribute name: must be a str, not {_kind(name)}")
        if name in taken:
            raise BadLine("attributes: must have different names")
        taken[name] = item["value"] if unit is None else (item["value"], unit)
    return taken


# --- JSON -------------------------------------------------------------------------------------------------


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Make a dict of a JSON object. Raises ``BadLine`` if it has a name twice: a dict keeps only the last."""
    taken = dict(pairs)
    if len(taken) < len(pairs):
        raise BadLine("has a name twice in one object")
    return taken


def _no_number(text: str) -> NoReturn:
    raise BadLine(f"{text}: is not a number in JSON")


# Decimal keeps the digits that were written; float would change them.
_decode: Callable[[str], tuple[Any, int]] = json.JSONDecoder(
    object_pairs_hook=_distinct, parse_float=Decimal, parse_constant=_no_number
).raw_decode


def _parsed(text: str) -> Any:
    text = text.strip(_BLANKS)
    try:
        value, end = _decode(text)
    except json.JSONDecodeError as error:
        raise BadLine(f"is not JSON: {error.msg} (column {error.colno})") from None
    except RecursionError:
        raise BadLine("is nested too deeply") from None
    except ValueError:  # Python refuses whole numbers of more than 4,300 digits
        raise BadLine("has a number that is too long") from None
    if end < len(text):
        raise BadLine(f"is not JSON: something follows the object (column {end + 1})")
    return value
