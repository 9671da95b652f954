"""What the caller says happened: checked, normalised and encoded once, inside the caller's own call.

The limits are those of Togai's ``Event`` schema. ``encode`` is on somebody's request path: it puts the JSON
together from fragments, and what repeats from call to call (schema names, accounts, attribute names,
dimension keys) is checked and escaped once and then looked up. ``Event`` and ``Attribute`` say the same
facts to people; both ways meet in the same checks.
"""

from __future__ import annotations

import json
import os
import re
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, ValuesView
from collections.abc import Set as AbstractSet
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from itertools import islice
from json.encoder import encode_basestring as quoted
from operator import index
from typing import Any, SupportsFloat, SupportsIndex, TypeAlias

import attrs

from .exceptions import InvalidEvent

MAX_ATTRIBUTES = 10  # an event; Togai's limit, as are the lengths below
MAX_NAME = 50  # characters: schema name, attribute name, unit
MAX_ACCOUNT = 512  # characters
MAX_DIMENSION = 200  # characters of a dimension's value
MAX_DIMENSIONS = (
    10_000  # our own bound, far above any that Togai names, so that an endless mapping has an end
)
MAX_ID = 50  # characters: Togai takes 512, but looks up ids of at most 50
MAX_DIGITS = 512  # before the point, and (our own bound) behind it

#: The namespace of ids made from an ``idempotency_key``. Frozen for ever: another one would bill twice.
IDEMPOTENCY_NAMESPACE = uuid.UUID("9eb775de-57c7-4dc1-b6c0-5d7a8c180f59")

Number: TypeAlias = int | float | Decimal | str | SupportsIndex | SupportsFloat

_WIRE_NUMBER = re.compile(r"-?[0-9]{1,512}(\.[0-9]{1,512})?")
# The first one in a body is the event's: quotes inside strings are escaped.
_ID = re.compile(rb'"id":("[^"\\]*(?:\\.[^"\\]*)*")')
_TOO_HIGH = 10**MAX_DIGITS
_TOO_LOW = -_TOO_HIGH
_ISO_8601 = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})[Tt ]([0-9]{2}):([0-9]{2})(?::([0-9]{2})(?:[.,]([0-9]+))?)?"
    r"(?:([Zz])|([+-])([0-9]{2}):?([0-9]{2}))"
)


class ChosenId(bytes):
    """An encoded event whose id the caller chose: a duplicate of it was sent by the caller, earlier."""

    __slots__ = ()


# --- texts ------------------------------------------------------------------------------------------------


def _kind(value: object) -> str:
    return type(value).__name__


def _text(field: str, value: Any, low: int, high: int) -> str:
    """``value`` as an exact ``str`` of ``low`` to ``high`` characters that UTF-8 can carry."""
    if not isinstance(value, str):
        raise InvalidEvent(field, f"must be a str of {low} to {high} characters, not {_kind(value)}")
    text = str.__str__(value)  # what a subclass says of itself (an enum's str) is not what it holds
    if not low <= len(text) <= high:
        raise InvalidEvent(field, f"must have {low} to {high} characters, not {len(text)} ({_kind(value)})")
    _check_unicode(field, text)
    return text


def _check_unicode(field: str, text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise InvalidEvent(field, "must not hold a lone surrogate, which UTF-8 cannot carry (str)") from None


class _Fragments(dict[str, str]):
    """JSON made once for each text that repeats. Bounded: a full one starts afresh."""

    def __init__(self, make: Callable[[str], str]) -> None:
        self._make = make

    def __missing__(self, text: str) -> str:
        fragment = self._make(text)
        if len(fragment) <= 120:  # noqa: PLR2004  longer ones are rare, and 1,000 of them would be too much memory
            if len(self) >= 1000:  # noqa: PLR2004  arbitrary: what one application names, and a megabyte at most
                self.clear()
            self[text] = fragment
        return fragment


def _dimension_key(key: Any) -> str:
    if not isinstance(key, str):
        raise InvalidEvent("dimensions", f"must have names that are str, not {_kind(key)}")
    text = str.__str__(key)
    _check_unicode("dimensions", text)
    return text


_heads = _Fragments(lambda name: '{"schemaName":' + quoted(_schema_name(name)) + ',"id":')
_accounts = _Fragments(lambda account: ',"accountId":' + quoted(_account_id(account)) + ',"attributes":[')
_names = _Fragments(
    lambda name: '{"name":' + quoted(_text("attribute name", name, 1, MAX_NAME)) + ',"value":"'
)
_units = _Fragments(lambda unit: '","unit":' + quoted(_text("attribute unit", unit, 1, MAX_NAME)) + "}")
_keys = _Fragments(lambda key: quoted(_dimension_key(key)) + ":")


# --- numbers ----------------------------------------------------------------------------------------------


def number(name: str, value: Any) -> str:
    """``value`` as Togai takes it: plain decimal digits, exact, without exponent."""
    kind = type(value)
    if kind is int:
        if _TOO_LOW < value < _TOO_HIGH:
            return repr(value)
    elif kind is float:
        text = repr(value)
        if "e" not in text and "n" not in text:  # neither an exponent nor nan, inf
            return text
    return _any_number(f"attributes[{name!r}]", value)


def _any_number(field: str, value: Any) -> str:
    if isinstance(value, str):
        if not _WIRE_NUMBER.fullmatch(value):
            raise InvalidEvent(
                field,
                f"must be plain digits like '-12.50', at most {MAX_DIGITS} before and behind the point "
                f"({_kind(value)})",
            )
        return str.__str__(value)
    if isinstance(value, bool) or getattr(getattr(value, "dtype", None), "kind", "i") not in "iuf":
        raise InvalidEvent(field, f"must be a number, not {_kind(value)}")
    if isinstance(value, Decimal):
        return _decimal(field, value, Decimal(value))
    if hasattr(value, "__index__"):
        whole = index(value)
        if not _TOO_LOW < whole < _TOO_HIGH:
            raise InvalidEvent(field, f"must have at most {MAX_DIGITS} digits ({_kind(value)})")
        return repr(whole)
    if hasattr(value, "__float__"):
        return _decimal(field, value, Decimal(repr(float(value))))
    raise InvalidEvent(field, f"must be a number, not {_kind(value)}")


def _decimal(field: str, given: Any, value: Decimal) -> str:
    if not value.is_finite():
        raise InvalidEvent(field, f"must be finite ({_kind(given)})")
    _, digits, exponent = value.as_tuple()
    if len(digits) + int(exponent) > MAX_DIGITS or -int(exponent) > MAX_DIGITS:
        # Checked before it is formatted: Decimal("1E-300000000") would become a text of 300 MB.
        raise InvalidEvent(
            field, f"must have at most {MAX_DIGITS} digits before and behind the point ({_kind(given)})"
        )
    return format(value, "f")


# --- attributes and dimensions ------------------------------------------------------------------------------


@attrs.frozen(init=False)
class Attribute:
    """One measured quantity of an event.

    Args:
        name: 1 to 50 characters.
        value: ``int``, ``float``, ``Decimal``, a numpy scalar, or plain digits as a ``str``. Kept as the text
            that goes to Togai: exact, no exponent, at most 512 digits before and behind the point.
        unit: 1 to 50 characters (``"Milliseconds"``, ``"GB"``), or ``None``.

    Raises:
        InvalidEvent: names the field, the limit and the kind of value.

    >>> Attribute("latency", 1e-7, "Seconds")
    Attribute(name='latency', value='0.0000001', unit='Seconds')

    """

    name: str
    value: str
    unit: str | None

    def __init__(self, name: str, value: Number, unit: str | None = None) -> None:
        name = _text("attribute name", name, 1, MAX_NAME)
        self.__attrs_init__(  # attrs makes it: the checked values become the fields
            name, number(name, value), None if unit is None else _text("attribute unit", unit, 1, MAX_NAME)
        )


# At runtime any iterable of attributes will do. Here "Iterable" would be what a dict is, too, and mypy would
# then infer nothing for one whose values are of several kinds: {"count": 1, "ms": (12.5, "Milliseconds")}.
ListedAttributes: TypeAlias = (
    Sequence[Attribute] | AbstractSet[Attribute] | ValuesView[Attribute] | Iterator[Attribute]
)
Attributes: TypeAlias = Mapping[str, Number | tuple[Number, str]] | ListedAttributes


def _attributes(given: Any) -> tuple[Attribute, ...]:
    """Any shape that ``track`` takes, as checked attributes; an endless one is not read to its end."""
    items = given.items() if isinstance(given, Mapping) else given
    if isinstance(items, (str, bytes)) or not isinstance(items, Iterable):
        raise InvalidEvent("attributes", f"must be a mapping or attributes, not {_kind(given)}")
    taken = tuple(_attribute(item) for item in islice(items, MAX_ATTRIBUTES + 1))
    if len(taken) > MAX_ATTRIBUTES:
        raise InvalidEvent("attributes", f"must be at most {MAX_ATTRIBUTES} ({_kind(given)})")
    if len({attribute.name for attribute in taken}) < len(taken):
        raise InvalidEvent("attributes", f"must have different names ({_kind(given)})")
    return taken


def _checked_attributes(given: Attributes) -> tuple[Attribute, ...]:
    return _attributes(given)


def _attribute(item: Any) -> Attribute:
    match item:
        case Attribute():
            return item
        case (name, tuple((value, unit))):
            return Attribute(name, value, unit)
        case (name, value):
            return Attribute(name, value, None)
    raise InvalidEvent("attributes", f"must hold attributes, not {_kind(item)}")


def _attributes_json(given: Any) -> str:
    if type(given) is not dict:
        given = {a.name: a.value if a.unit is None else (a.value, a.unit) for a in _attributes(given)}
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


def _dimensions(given: Mapping[str, str] | None) -> dict[str, str]:
    """Any mapping, as a checked one; an endless one is not read to its end."""
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise InvalidEvent("dimensions", f"must be a mapping, not {_kind(given)}")
    taken: dict[str, str] = {}
    for key, value in given.items():
        name = _dimension_key(key)
        if name in taken:
            raise InvalidEvent("dimensions", f"must have different names ({_kind(given)})")
        if len(taken) == MAX_DIMENSIONS:
            raise InvalidEvent("dimensions", f"must be at most {MAX_DIMENSIONS} ({_kind(given)})")
        taken[name] = _text(_dimension(name), value, 1, MAX_DIMENSION)
    return taken


def _dimension(name: str) -> str:
    return f"dimensions[{name!r:.60}]"  # cut: a dimension's name may be of any length


def _dimensions_json(given: Any) -> str:
    if type(given) is not dict:
        given = _dimensions(given)
    elif len(given) > MAX_DIMENSIONS:
        raise InvalidEvent("dimensions", f"must be at most {MAX_DIMENSIONS}, not {len(given)} (dict)")
    parts = []
    for key, value in given.items():
        if type(key) is not str or type(value) is not str:
            return _dimensions_json(_dimensions(given))
        fragment = _keys[key]
        if not 0 < len(value) <= MAX_DIMENSION:
            _text(_dimension(key), value, 1, MAX_DIMENSION)
        parts.append(f"{fragment}{quoted(value)}")
    return ",".join(parts)


# --- time and identity --------------------------------------------------------------------------------------


class Stamp:
    """Writes wall-clock time for the wire; remembers the text of the second, which repeats."""

    def __init__(self) -> None:
        self._last = (-1, "")  # replaced whole: threads that race write the same text twice

    def __call__(self, nanoseconds: int) -> str:
        """``nanoseconds`` since the epoch as ``2026-01-31T23:59:59.999Z``."""
        second, rest = divmod(nanoseconds, 1_000_000_000)
        known, text = self._last
        if known != second:
            text = datetime.fromtimestamp(second, timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.")
            self._last = (second, text)
        return f"{text}{rest // 1_000_000:03d}Z"


def timestamp_text(given: Any) -> str:
    """An aware ``datetime`` or ISO 8601 with a zone, as UTC with milliseconds and ``Z``; the rest is cut."""
    moment = _parsed(given) if isinstance(given, str) else given
    if not isinstance(moment, datetime):
        raise InvalidEvent("timestamp", f"must be an aware datetime or an ISO 8601 str, not {_kind(given)}")
    if moment.utcoffset() is None:
        raise InvalidEvent("timestamp", f"must have a zone: billing time is not guessed ({_kind(given)})")
    try:
        utc = moment.astimezone(timezone.utc).replace(tzinfo=None)
    except OverflowError:
        raise InvalidEvent("timestamp", f"must be in the years 1 to 9999 of UTC ({_kind(given)})") from None
    return datetime.isoformat(utc, timespec="milliseconds") + "Z"


def _parsed(text: str) -> datetime:
    found = _ISO_8601.fullmatch(text)
    if not found:
        raise InvalidEvent("timestamp", "must be ISO 8601 with a zone, like 2026-01-31T23:59:59.999Z (str)")
    year, month, day, hour, minute, second, fraction, _, sign, hours, minutes = found.groups()
    offset = timedelta(hours=int(hours or 0), minutes=int(minutes or 0))
    try:
        return datetime(
            int(year),
            int(month),
            int(day),
            int(hour),
            int(minute),
            int(second or 0),
            int((fraction or "0")[:6].ljust(6, "0")),
            tzinfo=timezone(-offset if sign == "-" else offset),
        )
    except ValueError:
        raise InvalidEvent("timestamp", "must be a time that exists (str)") from None


def fresh_id() -> str:
    """A random id: unique across threads, forks and copied machines, since the kernel makes it."""
    return os.urandom(16).hex()


def derived_id(schema_name: str, account_id: str, key: Any) -> str:
    """The id of an ``idempotency_key``: the same for the same three texts, for ever, in every process."""
    if not isinstance(key, str):
        raise InvalidEvent("idempotency_key", f"must be a str, not {_kind(key)}")
    name = json.dumps([schema_name, account_id, key], ensure_ascii=True, separators=(",", ":"))
    return str(uuid.uuid5(IDEMPOTENCY_NAMESPACE, name))


def chosen_id(schema_name: Any, account_id: Any, event_id: Any, idempotency_key: Any) -> str:
    """The id that the caller chose, by itself or by a key of its business."""
    if idempotency_key is None:
        return _text("event_id", event_id, 1, MAX_ID)
    if event_id is not None:
        raise InvalidEvent("event_id", "and idempotency_key exclude each other: give one of them")
    if idempotency_key == "":  # a missing order number: it would bill all orders of an account once
        raise InvalidEvent("idempotency_key", "must not be empty (str)")
    return derived_id(_schema_name(schema_name), _account_id(account_id), idempotency_key)


# --- the event ----------------------------------------------------------------------------------------------


def encode(
    schema_name: Any, account_id: Any, attributes: Any, dimensions: Any, timestamp: str, event_id: str
) -> bytes:
    """One event as Togai's JSON in UTF-8; ``timestamp`` and ``event_id`` are checked already."""
    if type(schema_name) is not str:
        schema_name = _schema_name(schema_name)
    if type(account_id) is not str:
        account_id = _account_id(account_id)
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


def _schema_name(given: str) -> str:
    return _text("schema_name", given, 1, MAX_NAME)


def _account_id(given: str) -> str:
    return _text("account_id", given, 1, MAX_ACCOUNT)


def _timestamp_or_now(given: datetime | str | None) -> str:
    return timestamp_text(datetime.now(timezone.utc) if given is None else given)


def _id_or_fresh(given: str | None) -> str:
    return fresh_id() if given is None else _text("id", given, 1, MAX_ID)


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

    schema_name: str = attrs.field(converter=_schema_name)
    account_id: str = attrs.field(converter=_account_id)
    attributes: tuple[Attribute, ...] = attrs.field(default=(), converter=_checked_attributes)
    dimensions: Mapping[str, str] = attrs.field(default=None, converter=_dimensions, hash=False)
    timestamp: str = attrs.field(default=None, converter=_timestamp_or_now)
    id: str = attrs.field(default=None, converter=_id_or_fresh)

    def encode(self) -> bytes:
        """The event as it goes to Togai: JSON in UTF-8."""
        return encode(
            self.schema_name, self.account_id, self.attributes, self.dimensions, self.timestamp, self.id
        )


def decode(body: bytes) -> Event:
    """The ``Event`` that was encoded to ``body``."""
    return read(json.loads(body))


def read(wire: Mapping[str, Any]) -> Event:
    """The ``Event`` that Togai's JSON says."""
    return Event(
        wire["schemaName"],
        wire["accountId"],
        [Attribute(a["name"], a["value"], a.get("unit")) for a in wire["attributes"]],
        wire["dimensions"],
        wire["timestamp"],
        wire["id"],
    )


def id_of(body: bytes) -> str:
    """The id of an encoded event, read without the rest of it."""
    found = _ID.search(body)
    event_id: str = json.loads(found[1]) if found else json.loads(body)["id"]
    return event_id
