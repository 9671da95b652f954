"""What a single field of an event may hold: the limits of Togai's ``Event`` schema, texts, and numbers."""

from __future__ import annotations

import re
from decimal import Decimal
from operator import index
from typing import Any, SupportsFloat, SupportsIndex, TypeAlias

from togai_shipper.exceptions import InvalidEvent

MAX_ATTRIBUTES = 10  # an event; Togai's limit, as are the lengths below
MAX_NAME = 50  # characters: schema name, attribute name, unit
MAX_ACCOUNT = 512  # characters
MAX_DIMENSION = 200  # characters of a dimension's value
MAX_DIMENSIONS = 10_000  # our own bound, far above any that Togai names: an endless mapping has an end
MAX_ID = 50  # characters: Togai takes 512, but looks up ids of at most 50
MAX_DIGITS = 512  # before the point, and (our own bound) behind it

Number: TypeAlias = int | float | Decimal | str | SupportsIndex | SupportsFloat

_WIRE_NUMBER = re.compile(r"-?[0-9]{1,512}(\.[0-9]{1,512})?")
_TOO_HIGH = 10**MAX_DIGITS
_TOO_LOW = -_TOO_HIGH


# --- texts ------------------------------------------------------------------------------------------------


def kind_of(value: object) -> str:
    """Name the type of ``value``, for a message that must not show the value itself."""
    return type(value).__name__


def checked_text(field: str, value: Any, low: int, high: int) -> str:
    """Return ``value`` as an exact ``str`` of ``low`` to ``high`` characters that UTF-8 can carry."""
    if not isinstance(value, str):
        raise InvalidEvent(field, f"must be a str of {low} to {high} characters, not {kind_of(value)}")
    text = str.__str__(value)  # what a subclass says of itself (an enum's str) is not what it holds
    if not low <= len(text) <= high:
        raise InvalidEvent(field, f"must have {low} to {high} characters, not {len(text)} ({kind_of(value)})")
    if not text.isascii():
        _check_unicode(field, text)
    return text


def _check_unicode(field: str, text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise InvalidEvent(field, "must not hold a lone surrogate, which UTF-8 cannot carry (str)") from None


def checked_schema_name(given: str) -> str:
    """Return the name of an event schema as an exact ``str``."""
    return checked_text("schema_name", given, 1, MAX_NAME)


def checked_account_id(given: str) -> str:
    """Return an account's id or alias as an exact ``str``."""
    return checked_text("account_id", given, 1, MAX_ACCOUNT)


def checked_dimension_key(key: Any) -> str:
    """Return the name of a dimension as an exact ``str``; it may be of any length."""
    if not isinstance(key, str):
        raise InvalidEvent("dimensions", f"must have names that are str, not {kind_of(key)}")
    text = str.__str__(key)
    _check_unicode("dimensions", text)
    return text


def dimension_field(name: str) -> str:
    """Name a dimension for a message; cut, since its name may be of any length."""
    return f"dimensions[{name!r:.60}]"


# --- numbers ----------------------------------------------------------------------------------------------


def number(name: str, value: Any) -> str:
    """Write ``value`` as Togai takes it: plain decimal digits, exact, without exponent."""
    kind = type(value)
    if kind is int:
        if _TOO_LOW < value < _TOO_HIGH:
            return repr(value)
    elif kind is float:
        text = repr(value)
        if "e" not in text and "n" not in text:  # neither an exponent nor nan, inf
            return text
    elif kind is Decimal or kind is str:
        text = str(value)
        if _WIRE_NUMBER.fullmatch(text):  # a Decimal of these has the same digits in any format
            return text
    return _any_number(f"attributes[{name!r}]", value)


def _any_number(field: str, value: Any) -> str:
    if isinstance(value, str):
        if not _WIRE_NUMBER.fullmatch(value):
            raise InvalidEvent(
                field,
                f"must be plain digits like '-12.50', at most {MAX_DIGITS} before and behind the point "
                f"({kind_of(value)})",
            )
        return str.__str__(value)
    if isinstance(value, bool) or getattr(getattr(value, "dtype", None), "kind", "i") not in "iuf":
        raise InvalidEvent(field, f"must be a number, not {kind_of(value)}")
    if isinstance(value, Decimal):
        return _decimal(field, value, Decimal(value))
    if hasattr(value, "__index__"):
        whole = index(value)
        if not _TOO_LOW < whole < _TOO_HIGH:
            raise InvalidEvent(field, f"must have at most {MAX_DIGITS} digits ({kind_of(value)})")
        return repr(whole)
    if hasattr(value, "__float__"):
        return _decimal(field, value, Decimal(repr(float(value))))
    raise InvalidEvent(field, f"must be a number, not {kind_of(value)}")


def _decimal(field: str, given: Any, value: Decimal) -> str:
    if not value.is_finite():
        raise InvalidEvent(field, f"must be finite ({kind_of(given)})")
    _, digits, exponent = value.as_tuple()
    if len(digits) + int(exponent) > MAX_DIGITS or -int(exponent) > MAX_DIGITS:
        # Checked before it is formatted: Decimal("1E-300000000") would become a text of 300 MB.
        raise InvalidEvent(
            field, f"must have at most {MAX_DIGITS} digits before and behind the point ({kind_of(given)})"
        )
    return format(value, "f")
