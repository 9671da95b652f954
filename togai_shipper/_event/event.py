"""The event as people write it: checked and normalised when it is made."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import datetime, timezone
from typing import Any

import attrs

from .encoding import encode
from .fields import MAX_ID, checked_account_id, checked_schema_name, checked_text
from .identity import fresh_id
from .parts import Attribute, Attributes, checked_attributes, checked_dimensions
from .timestamps import timestamp_text


def _attributes(given: Attributes) -> tuple[Attribute, ...]:
    return checked_attributes(given)  # with a type, which becomes that of the argument of Event


def _timestamp_or_now(given: datetime | str | None) -> str:
    return timestamp_text(datetime.now(timezone.utc) if given is None else given)


def _id_or_fresh(given: str | None) -> str:
    return fresh_id() if given is None else checked_text("id", given, 1, MAX_ID)


@attrs.frozen
class Event:
    """One usage event, checked and normalised when it is made.

    Args:
        schema_name: Togai's event schema, 1 to 50 characters.
        account_id: Togai's account id or alias, 1 to 512 characters.
        attributes: at most 10: a mapping ``name -> value`` or ``name -> (value, unit)``, or ``Attribute``
            objects.
        dimensions: a mapping of strings to strings of 1 to 200 characters.
        timestamp: an aware ``datetime`` or ISO 8601 text with a zone; kept as UTC text with milliseconds
            (default: now). Togai bills by it, not by the time of arrival.
        id: 1 to 50 characters (default: a fresh random one). Togai counts one id once in 45 days.

    Raises:
        InvalidEvent: names the field, the limit and the kind of value.

    >>> Event("api_call", "acme", {"count": 1}, id="order-7").attributes
    (Attribute(name='count', value='1', unit=None),)

    """

    schema_name: str = attrs.field(converter=checked_schema_name)
    account_id: str = attrs.field(converter=checked_account_id)
    attributes: tuple[Attribute, ...] = attrs.field(default=(), converter=_attributes)
    dimensions: Mapping[str, str] = attrs.field(default=None, converter=checked_dimensions, hash=False)
    timestamp: str = attrs.field(default=None, converter=_timestamp_or_now)
    id: str = attrs.field(default=None, converter=_id_or_fresh)

    def encode(self) -> bytes:
        """Write the event as it goes to Togai: JSON in UTF-8."""
        return encode(
            self.schema_name, self.account_id, self.attributes, self.dimensions, self.timestamp, self.id
        )


def decode(body: bytes) -> Event:
    """Return the ``Event`` that was encoded to ``body``."""
    return read(json.loads(body))


def read(wire: Mapping[str, Any]) -> Event:
    """Return the ``Event`` that Togai's JSON describes."""
    return Event(
        wire["schemaName"],
        wire["accountId"],
        [Attribute(a["name"], a["value"], a.get("unit")) for a in wire["attributes"]],
        wire["dimensions"],
        wire["timestamp"],
        wire["id"],
    )


def decode_own(body: bytes) -> Event:
    """Return the ``Event`` of what this process has encoded, or ``is_encoded`` has found to be so.

    Nothing is checked once more: it takes a third of the time of ``decode``, and ``before_send``, or a
    callback at the end, may be given every event there is.
    """
    wire, _ = _scan(body.decode())
    event = Event.__new__(Event)
    _set_schema_name(event, wire["schemaName"])
    _set_account_id(event, wire["accountId"])
    _set_attributes(event, tuple(map(_own_attribute, wire["attributes"])))
    _set_dimensions(event, wire["dimensions"])
    _set_timestamp(event, wire["timestamp"])
    _set_id(event, wire["id"])
    return event


def _own_attribute(wire: Mapping[str, Any]) -> Attribute:
    attribute = Attribute.__new__(Attribute)
    _set_name(attribute, wire["name"])
    _set_value(attribute, wire["value"])
    _set_unit(attribute, wire.get("unit"))
    return attribute


def _setter(of: type, name: str) -> Callable[[object, object], None]:
    """Return what sets a field of what is frozen for everybody else, in a third of the usual time."""
    setter: Callable[[object, object], None] = vars(of)[name].__set__
    return setter


_set_schema_name, _set_account_id = _setter(Event, "schema_name"), _setter(Event, "account_id")
_set_attributes, _set_dimensions = _setter(Event, "attributes"), _setter(Event, "dimensions")
_set_timestamp, _set_id = _setter(Event, "timestamp"), _setter(Event, "id")
_set_name, _set_value, _set_unit = (_setter(Attribute, name) for name in ("name", "value", "unit"))
_scan = json.JSONDecoder().raw_decode
