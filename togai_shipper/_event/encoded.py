"""Whether bytes that somebody else may have written are one event, exactly as ``encode`` writes it.

Most events hold plain characters alone, which JSON writes as they are. For these one pattern decides; any
other body is read, and written again.
"""

from __future__ import annotations

import json
import re
from datetime import datetime
from typing import Any

from .encoding import encode
from .fields import MAX_ACCOUNT, MAX_ATTRIBUTES, MAX_DIGITS, MAX_DIMENSION, MAX_ID, MAX_NAME, checked_text
from .timestamps import DATE, TIME

_TIMESTAMP = len("2026-01-31T23:59:59.999Z")


def _text(low: int, high: int) -> str:
    return rf'"[ !#-\[\]-~]{{{low},{high}}}"'


def _listed(item: str, most: int) -> str:
    return f"(?:{item}(?:,{item}){{0,{most - 1}}})?"


_NUMBER = rf'"-?[0-9]{{1,{MAX_DIGITS}}}(?:\.[0-9]{{1,{MAX_DIGITS}}})?"'
_ATTRIBUTE = rf'\{{"name":{_text(1, MAX_NAME)},"value":{_NUMBER}(?:,"unit":{_text(1, MAX_NAME)})?\}}'
_DIMENSION = f"{_text(0, MAX_DIMENSION)}:{_text(1, MAX_DIMENSION)}"
_PLAIN = re.compile(
    rf'\{{"schemaName":{_text(1, MAX_NAME)},"id":{_text(1, MAX_ID)}'
    rf',"timestamp":"{DATE}T{TIME}\.[0-9]{{3}}Z"'
    rf',"accountId":{_text(1, MAX_ACCOUNT)},"attributes":\[({_listed(_ATTRIBUTE, MAX_ATTRIBUTES)})\]'
    rf',"dimensions":\{{({_listed(_DIMENSION, 50)})\}}\}}'.encode()
)
_ATTRIBUTE_NAME = re.compile(rb'"name":("[^"]*")')
_DIMENSION_NAME = re.compile(rb'("[^"]*"):"[^"]*"')


def is_encoded(body: bytes) -> bool:
    """Tell whether ``body`` is what ``encode`` makes of the facts in it, byte for byte.

    So every limit holds, no key is there twice, and nothing stands before or behind the event.
    """
    return _is_plain(body) or _is_written_again(body)


def _is_plain(body: bytes) -> bool:
    """Tell whether it is an event of plain characters; false also says that it may be one of others."""
    found = _PLAIN.fullmatch(body)
    if found is None:
        return False
    names, keys = _ATTRIBUTE_NAME.findall(found[1]), _DIMENSION_NAME.findall(found[2])
    return len(names) == len(set(names)) and len(keys) == len(set(keys))


def _is_written_again(body: bytes) -> bool:
    try:
        wire, _ = _scan(body.decode())
        attributes = {
            a["name"]: (a["value"], a["unit"]) if "unit" in a else a["value"] for a in wire["attributes"]
        }
        timestamp, event_id = wire["timestamp"], checked_text("id", wire["id"], 1, MAX_ID)
        again = encode(
            wire["schemaName"], wire["accountId"], attributes, wire["dimensions"], timestamp, event_id
        )
        return again == body and _is_timestamp(timestamp)
    except (ValueError, TypeError, LookupError, RecursionError):  # it is something else
        return False


def _is_timestamp(text: str) -> bool:
    """Tell whether it is a moment as ``timestamp_text`` writes it, in a tenth of the time."""
    if len(text) != _TIMESTAMP:
        return False
    return datetime.fromisoformat(text[:-1]).isoformat(timespec="milliseconds") + "Z" == text


def _refuse(_: str) -> Any:
    raise ValueError("an event has texts alone")


_scan = json.JSONDecoder(parse_int=_refuse, parse_float=_refuse, parse_constant=_refuse).raw_decode
