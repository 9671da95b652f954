"""What a line of JSON says by itself, by the names of its members. Pure.

Only the shape of a line is checked here; ``track()`` checks the values. A complaint names the field and what
is wrong with it, never a value.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Container
from decimal import Decimal
from typing import Any, NoReturn, TypeAlias

from .bad_line import BadLine, named
from .event_fields import UNKNOWN
from .json_paths import text_of_path

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
_KEYWORDS = frozenset(_FIELDS.values())
_BLANKS = " \t\r\n"  # of JSON
_PARTS = frozenset(("name", "value", "unit"))  # of an attribute in Togai's JSON


def object_of(line: bytes) -> dict[str, Any]:
    """Return the object that a line of JSON is. Raises ``BadLine``."""
    text = text_of(line).strip(_BLANKS)
    try:
        given, end = _decode(text)
    except json.JSONDecodeError as error:
        raise BadLine(f"is not JSON: {error.msg} (column {error.colno})") from None
    except RecursionError:
        raise BadLine("is nested too deeply") from None
    except ValueError:  # Python refuses whole numbers of more than 4,300 digits
        raise BadLine("has a number that is too long") from None
    if end < len(text):
        raise BadLine(f"is not JSON: something follows the object (column {end + 1})")
    if type(given) is not dict:
        raise BadLine(f"must be a JSON object, not {_kind(given)}")
    return given


def own_fields(given: dict[str, Any], *, ignoring: bool, mapped: Container[str] = ()) -> LineFields:
    """Return the fields that an object has by the names of its members, whatever is missing.

    Args:
        given: the object.
        ignoring: whether an unknown member is left out; else it is an error.
        mapped: keywords that come from elsewhere, so a member with such a name is unknown.

    Raises:
        BadLine: a member is unknown, or given twice.

    """
    if not mapped and given.keys() <= _KEYWORDS and None not in given.values():
        return given  # it is what track() takes already, as most are
    fields: LineFields = {}
    for key, value in given.items():
        field = _FIELDS.get(key)
        if field is None or field in mapped:
            if ignoring:
                continue
            raise BadLine(f"{named(text_of_path((key,)))}: {UNKNOWN}")
        if value is None:
            continue
        if field in fields:
            raise BadLine(f"{key}: is given twice, under two names")
        fields[field] = value
    return fields


def text_of(line: bytes) -> str:
    """Return the text of a line. Raises ``BadLine``."""
    try:
        return line.decode()
    except UnicodeDecodeError as error:
        raise BadLine(f"is not UTF-8 (byte {error.start + 1})") from None


def _kind(value: object) -> str:
    return "null" if value is None else type(value).__name__


# --- attributes -------------------------------------------------------------------------------------------


def attributes_of(given: Any) -> dict[str, Any]:
    """Return the attributes as a mapping, whether they were given as Togai's list or as a mapping.

    Null says nothing: such a value is no attribute, and such a unit no unit. Raises ``BadLine``.
    """
    if type(given) is list:
        return _listed(given)
    if type(given) is not dict:
        raise BadLine(f"attributes: must be a list or a mapping, not {_kind(given)}")
    for name, value in given.items():
        if type(value) is list:  # JSON has no tuples
            if len(value) != 2:  # noqa: PLR2004  an amount and its unit
                raise BadLine(f"attributes[{named(name)!r}]: must be a value, or a list of value and unit")
            amount, unit = value
            given[name] = amount if amount is None or unit is None else (amount, unit)
    return _without_null(given)


def _listed(given: list[Any]) -> dict[str, Any]:
    taken: dict[str, Any] = {}
    for item in given:
        if item is None:
            continue
        if type(item) is not dict or "name" not in item or "value" not in item or item.keys() - _PARTS:
            raise BadLine("attributes: must be objects with a name, a value and perhaps a unit")
        name, value, unit = item["name"], item["value"], item.get("unit")
        if type(name) is not str:
            raise BadLine(f"attribute name: must be a str, not {_kind(name)}")
        if name in taken:
            raise BadLine("attributes: must have different names")
        taken[name] = value if unit is None or value is None else (value, unit)
    return _without_null(taken)


def dimensions_of(given: Any) -> Any:
    """Return the dimensions without those that are null; ``track()`` says so if it is no mapping."""
    return _without_null(given) if type(given) is dict else given


def _without_null(given: dict[str, Any]) -> dict[str, Any]:
    if None in given.values():
        return {name: value for name, value in given.items() if value is not None}
    return given


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
