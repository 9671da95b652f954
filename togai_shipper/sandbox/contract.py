"""What Togai accepts: the bodies of the two ingestion endpoints, checked as the server would check them.

Pure. It shares nothing with the library's own checks, on purpose: it is a second reading of the contract, and
the first one is judged by it. A ``Breach`` names the field and the limit, never the value.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from typing import Any

MAX_EVENTS = 500  # of a batch
MAX_NAME = 50  # schema name, attribute name, unit
MAX_ID = 512
MAX_ACCOUNT = 512
MAX_DIMENSION = 200
MAX_ATTRIBUTES = 10
MAX_LOOKUP_ID = 50  # an event may have a longer id, but GET /events/{id} refuses it

#: The reply to a request whose body is not plain JSON.
NOT_JSON = 415, "content-type: must be application/json, without content-encoding"

_EVENT_REQUIRED = frozenset(("schemaName", "timestamp", "accountId", "attributes", "dimensions"))
_EVENT = _EVENT_REQUIRED | {"id"}
_ATTRIBUTE_REQUIRED = frozenset(("name", "value"))
_ATTRIBUTE = _ATTRIBUTE_REQUIRED | {"unit"}

# re.fullmatch and [0-9]: "$" would let a final newline pass, and "\d" the digits of every script.
_VALUE = re.compile(r"-?[0-9]{1,512}(\.[0-9]+)?")
_TIMESTAMP = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})[Tt]([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.[0-9]+)?"
    r"(?:[Zz]|([+-])([01][0-9]|2[0-3]):([0-5][0-9]))?"
)
# What Togai's client for Ruby sends of a Time: "2024-05-01 12:00:00 UTC", or "+0530" in place of "UTC".
_RUBY_TIMESTAMP = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2}) ([0-9]{2}):([0-9]{2}):([0-9]{2})"
    r" (?:UTC|([+-])([01][0-9]|2[0-3])([0-5][0-9]))"
)
_ZONE = re.compile(r"[Zz]|[+-][0-9]{2}:[0-9]{2}$")


class Breach(ValueError):  # noqa: N818  the breach of a contract is what it is
    """A body breaks the contract; the text says where, and what is wrong."""


# --- the body ---------------------------------------------------------------------------------------------


def parse(body: bytes) -> Any:
    """Return what the JSON says (UTF-8, no key twice, no ``NaN``), or a ``Breach`` if it is not JSON."""
    try:
        return _DECODER.decode(body.decode())
    except (ValueError, RecursionError) as error:
        return Breach(f"body: is not valid JSON ({error})")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise Breach("an object repeats a key")
    return value


def _constant(name: str) -> Any:
    raise Breach(f"{name} is not JSON")


_DECODER = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_constant)


def events_in(payload: Any, wrapper: str | None) -> list[dict[str, Any]]:
    """Return the objects that stand where events belong, unchecked: for the journal, not for judging."""
    held = payload.get(wrapper) if isinstance(payload, dict) else None
    each = held if wrapper == "events" else [held]
    return [event for event in each if isinstance(event, dict)] if isinstance(each, list) else []


def unwrap(payload: Any, wrapper: str, most: int = MAX_EVENTS) -> list[Any]:
    """Return the events of ``{"events": [...]}`` or ``{"event": {...}}``, unchecked. Raises ``Breach``."""
    if isinstance(payload, Breach):
        raise payload
    if not isinstance(payload, dict):
        raise Breach("body: must be an object")
    _keys("", payload, required=frozenset((wrapper,)), known=frozenset((wrapper,)))
    if wrapper == "event":
        return [payload["event"]]
    events = payload["events"]
    if not isinstance(events, list):
        raise Breach("events: must be an array")
    if not events:
        raise Breach("events: must hold at least 1 event")
    if len(events) > most:
        raise Breach(f"events: must hold at most {most} events")
    return events


def is_plain_json(headers: Mapping[str, str]) -> bool:
    """Whether a request says that its body is JSON, in UTF-8, and not compressed."""
    media, _, parameters = headers.get("content-type", "").partition(";")
    charset = parameters.strip().lower().removeprefix("charset=").strip('"')
    encoding = headers.get("content-encoding", "identity")
    return media.strip().lower() == "application/json" and charset in {"", "utf-8"} and encoding == "identity"


# --- an event ---------------------------------------------------------------------------------------------
# Each check names the end of its field's path; its caller puts the beginning before that.


def check(event: Any, where: str, *, strict: bool = False) -> None:
    """Raise a ``Breach`` unless this is an event; the names of its fields begin with ``where``.

    Togai leaves open whether an event may repeat an attribute's name, and whether its timestamp may come
    without a zone (UTC is then meant), or as Ruby prints a ``Time``; Togai's own clients send both. The
    sandbox lets all three pass; ``strict`` refuses them.
    """
    if not isinstance(event, dict):
        raise Breach(f"{where}: must be an object")
    try:
        _event(event, strict=strict)
    except Breach as breach:
        raise Breach(f"{where}{breach}") from None


def _event(event: dict[str, Any], *, strict: bool) -> None:
    _keys(".", event, required=_EVENT_REQUIRED, known=_EVENT)
    _text(".schemaName", event["schemaName"], 1, MAX_NAME)
    if "id" in event:
        _text(".id", event["id"], 0, MAX_ID)
    _text(".accountId", event["accountId"], 0, MAX_ACCOUNT)
    _timestamp(event["timestamp"], strict=strict)
    _attributes(event["attributes"], strict=strict)
    _dimensions(event["dimensions"])


def _attributes(attributes: Any, *, strict: bool) -> None:
    if not isinstance(attributes, list):
        raise Breach(".attributes: must be an array")
    if len(attributes) > MAX_ATTRIBUTES:
        raise Breach(f".attributes: must hold at most {MAX_ATTRIBUTES}")
    done = 0
    try:
        for attribute in attributes:
            _attribute(attribute)
            done += 1
    except Breach as breach:
        raise Breach(f".attributes[{done}]{breach}") from None
    if strict and len({each["name"] for each in attributes}) != len(attributes):
        raise Breach(".attributes: must not repeat a name")


def _attribute(attribute: Any) -> None:
    if not isinstance(attribute, dict):
        raise Breach(": must be an object")
    _keys(".", attribute, required=_ATTRIBUTE_REQUIRED, known=_ATTRIBUTE)
    _text(".name", attribute["name"], 1, MAX_NAME)
    value = attribute["value"]
    if not isinstance(value, str) or _VALUE.fullmatch(value) is None:
        raise Breach(".value: must be a string that matches ^-?\\d{1,512}(\\.\\d+)?$")
    if "unit" in attribute:
        _text(".unit", attribute["unit"], 1, MAX_NAME)


def _dimensions(dimensions: Any) -> None:
    if not isinstance(dimensions, dict):
        raise Breach(".dimensions: must be an object")
    name = ""
    try:
        for name, value in dimensions.items():
            _speakable(" (the name)", name)
            _text("", value, 1, MAX_DIMENSION)
    except Breach as breach:
        raise Breach(f".dimensions[{name!a}]{breach}") from None


def instant(timestamp: str) -> datetime:
    """Return the moment that an ISO 8601 timestamp means, to the second; without a zone it is UTC."""
    match = _TIMESTAMP.fullmatch(timestamp) or _RUBY_TIMESTAMP.fullmatch(timestamp)
    if match is None:
        raise Breach(".timestamp: must be an ISO 8601 date and time")
    *numbers, sign, hours, minutes = match.groups()
    year, month, day, hour, minute, second = map(int, numbers)
    zone = timezone.utc
    if sign is not None:
        ahead = timedelta(hours=int(hours), minutes=int(minutes))
        zone = timezone(ahead if sign == "+" else -ahead)
    try:
        return datetime(year, month, day, hour, minute, second, tzinfo=zone)
    except ValueError:
        raise Breach(".timestamp: must be a date and time that exist") from None


def _timestamp(value: Any, *, strict: bool) -> None:
    if not isinstance(value, str):
        raise Breach(".timestamp: must be a string")
    instant(value)
    if strict and _TIMESTAMP.fullmatch(value) is None:
        raise Breach(".timestamp: must be an ISO 8601 date and time")
    if strict and _ZONE.search(value) is None:
        raise Breach(".timestamp: must have a zone")


# --- parts that both have --------------------------------------------------------------------------------


def _keys(dot: str, value: dict[str, Any], *, required: frozenset[str], known: frozenset[str]) -> None:
    if not required <= value.keys():
        raise Breach(f"{dot}{min(required - value.keys())}: is required")
    if not value.keys() <= known:
        raise Breach(f"{dot}{min(value.keys() - known)!a}: is not a known field")


def _text(name: str, value: Any, least: int, most: int) -> None:
    if not isinstance(value, str):
        raise Breach(f"{name}: must be a string")
    _speakable(name, value)
    if not least <= len(value) <= most:
        raise Breach(f"{name}: must be {least} to {most} long")


def _speakable(name: str, text: str) -> None:
    """Refuse half of a surrogate pair: JSON can write it, but UTF-8 cannot."""
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            raise Breach(f"{name}: holds a lone surrogate") from None
