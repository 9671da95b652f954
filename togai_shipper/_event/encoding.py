"""How an event becomes JSON, inside the caller's own call: it is put together from fragments.

It is on somebody's request path. What repeats from call to call (schema names, accounts, attribute names,
dimension keys) is checked and escaped once and then looked up.
"""

from __future__ import annotations

from collections.abc import Callable
from json.encoder import encode_basestring as quoted
from typing import Any

from togai_shipper.exceptions import InvalidEvent

from .fields import (
    MAX_ATTRIBUTES,
    MAX_DIMENSION,
    MAX_DIMENSIONS,
    MAX_NAME,
    checked_account_id,
    checked_dimension_key,
    checked_schema_name,
    checked_text,
    dimension_field,
    number,
)
from .parts import Attribute, checked_attributes, checked_dimensions


class _Fragments(dict[str, str]):
    """Keeps the JSON of each text that repeats. It is bounded: once full, it starts afresh."""

    def __init__(self, make: Callable[[str], str]) -> None:
        self._make = make

    def __missing__(self, text: str) -> str:
        fragment = self._make(text)
        if len(fragment) <= 120:  # noqa: PLR2004  longer ones are rare, and 1,000 of them would be too much memory
            if len(self) >= 1000:  # noqa: PLR2004  arbitrary: what one application names, and a megabyte at most
                self.clear()
            self[text] = fragment
        return fragment


_heads = _Fragments(lambda name: '{"schemaName":' + quoted(checked_schema_name(name)) + ',"id":')
_accounts = _Fragments(
    lambda account: ',"accountId":' + quoted(checked_account_id(account)) + ',"attributes":['
)
_names = _Fragments(
    lambda name: '{"name":' + quoted(checked_text("attribute name", name, 1, MAX_NAME)) + ',"value":"'
)
_units = _Fragments(
    lambda unit: '","unit":' + quoted(checked_text("attribute unit", unit, 1, MAX_NAME)) + "}"
)
_keys = _Fragments(lambda key: quoted(checked_dimension_key(key)) + ":")


def encode(
    schema_name: Any, account_id: Any, attributes: Any, dimensions: Any, timestamp: str, event_id: str
) -> bytes:
    """Write one event as Togai's JSON in UTF-8; ``timestamp`` and ``event_id`` are checked already."""
    if type(schema_name) is not str:
        schema_name = checked_schema_name(schema_name)
    if type(account_id) is not str:
        account_id = checked_account_id(account_id)
    json_text = (
        f'{_heads[schema_name]}{quoted(event_id)},"timestamp":"{timestamp}"{_accounts[account_id]}'
        f'{_attributes_json(attributes)}],"dimensions":{{{_dimensions_json(dimensions)}}}}}'
    )
    try:
        return json_text.encode()
    except UnicodeEncodeError:
        raise InvalidEvent(
            "dimensions", "must not hold a lone surrogate, which UTF-8 cannot carry (str)"
        ) from None


def _attributes_json(given: Any) -> str:
    if type(given) is not dict:
        listed = checked_attributes(given)
        if set(map(type, listed)) <= {Attribute}:  # what a subclass says of itself is looked at once more
            return ",".join(
                f'{_names[a.name]}{a.value}"}}'
                if a.unit is None
                else f"{_names[a.name]}{a.value}{_units[a.unit]}"
                for a in listed
            )
        given = {a.name: a.value if a.unit is None else (a.value, a.unit) for a in listed}
    elif len(given) > MAX_ATTRIBUTES:
        raise InvalidEvent("attributes", f"must be at most {MAX_ATTRIBUTES}, not {len(given)} (dict)")
    parts = []
    for name, value in given.items():
        if type(name) is not str:  # a subclass hashes as it likes: one dict may hold a name twice
            return _attributes_json(given.items())
        if isinstance(value, tuple) and len(value) == 2:  # noqa: PLR2004  an amount and its unit
            amount, unit = value
            if type(unit) is not str:
                return _attributes_json(given.items())
            parts.append(f"{_names[name]}{number(name, amount)}{_units[unit]}")
        else:
            parts.append(f'{_names[name]}{number(name, value)}"}}')
    return ",".join(parts)


def _dimensions_json(given: Any) -> str:
    if type(given) is not dict:
        given = checked_dimensions(given)
    elif len(given) > MAX_DIMENSIONS:
        raise InvalidEvent("dimensions", f"must be at most {MAX_DIMENSIONS}, not {len(given)} (dict)")
    parts = []
    for key, value in given.items():
        if type(key) is not str or type(value) is not str:
            return _dimensions_json(checked_dimensions(given))
        fragment = _keys[key]
        if not 0 < len(value) <= MAX_DIMENSION:
            checked_text(dimension_field(key), value, 1, MAX_DIMENSION)
        parts.append(f"{fragment}{quoted(value)}")
    return ",".join(parts)
