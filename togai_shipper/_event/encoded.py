"""Whether bytes that somebody else may have written are one event, exactly as ``encode`` writes it."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from .encoding import encode
from .fields import MAX_ID, checked_text

_TIMESTAMP = len("2026-01-31T23:59:59.999Z")


def is_encoded(body: bytes) -> bool:
    """Tell whether ``body`` is what ``encode`` makes of the facts in it, byte for byte.

    So every limit holds, no key is there twice, and nothing stands before or behind the event.
    """
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
