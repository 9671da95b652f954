"""What an event holds beside its head: attributes and dimensions, in every shape that ``track`` takes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence, ValuesView
from collections.abc import Set as AbstractSet
from itertools import islice
from typing import Any, TypeAlias

import attrs

from togai_shipper.exceptions import InvalidEvent

from .fields import (
    MAX_ATTRIBUTES,
    MAX_DIMENSION,
    MAX_DIMENSIONS,
    MAX_NAME,
    Number,
    checked_dimension_key,
    checked_text,
    dimension_field,
    kind_of,
    number,
)

# --- attributes -------------------------------------------------------------------------------------------


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
        name = checked_text("attribute name", name, 1, MAX_NAME)
        self.__attrs_init__(  # attrs makes it: the checked values become the fields
            name,
            number(name, value),
            None if unit is None else checked_text("attribute unit", unit, 1, MAX_NAME),
        )


# At runtime any iterable of attributes will do. Here "Iterable" would be what a dict is, too, and mypy would
# then infer nothing for one whose values are of several kinds: {"count": 1, "ms": (12.5, "Milliseconds")}.
ListedAttributes: TypeAlias = (
    Sequence[Attribute] | AbstractSet[Attribute] | ValuesView[Attribute] | Iterator[Attribute]
)
Attributes: TypeAlias = Mapping[str, Number | tuple[Number, str]] | ListedAttributes


def checked_attributes(given: Any) -> tuple[Attribute, ...]:
    """Check attributes in any shape that ``track`` takes; an endless one is not read to its end."""
    if type(given) is tuple and len(given) <= MAX_ATTRIBUTES and _are_attributes(given):
        return given
    items = given.items() if isinstance(given, Mapping) else given
    if isinstance(items, (str, bytes)) or not isinstance(items, Iterable):
        raise InvalidEvent("attributes", f"must be a mapping or attributes, not {kind_of(given)}")
    taken = tuple(_attribute(item) for item in islice(items, MAX_ATTRIBUTES + 1))
    if len(taken) > MAX_ATTRIBUTES:
        raise InvalidEvent("attributes", f"must be at most {MAX_ATTRIBUTES} ({kind_of(given)})")
    if len({attribute.name for attribute in taken}) < len(taken):
        raise InvalidEvent("attributes", f"must have different names ({kind_of(given)})")
    return taken


def _are_attributes(given: tuple[Any, ...]) -> bool:
    """Whether these are attributes with different names, as they are of an event that was made before."""
    names = set()
    for each in given:
        if type(each) is not Attribute:
            return False
        names.add(each.name)
    return len(names) == len(given)


def _attribute(item: Any) -> Attribute:
    match item:
        case Attribute():
            return item
        case (name, tuple((value, unit))):
            return Attribute(name, value, unit)
        case (name, value):
            return Attribute(name, value, None)
    raise InvalidEvent("attributes", f"must hold attributes, not {kind_of(item)}")


# --- dimensions -------------------------------------------------------------------------------------------


def checked_dimensions(given: Mapping[str, str] | None) -> dict[str, str]:
    """Check dimensions, in any mapping; an endless one is not read to its end."""
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise InvalidEvent("dimensions", f"must be a mapping, not {kind_of(given)}")
    if type(given) is dict and len(given) <= MAX_DIMENSIONS and _are_plain(given):
        return given.copy()
    taken: dict[str, str] = {}
    for key, value in given.items():
        name = checked_dimension_key(key)
        if name in taken:
            raise InvalidEvent("dimensions", f"must have different names ({kind_of(given)})")
        if len(taken) == MAX_DIMENSIONS:
            raise InvalidEvent("dimensions", f"must be at most {MAX_DIMENSIONS} ({kind_of(given)})")
        taken[name] = checked_text(dimension_field(name), value, 1, MAX_DIMENSION)
    return taken


def _are_plain(given: dict[Any, Any]) -> bool:
    """Whether dimensions are as most are, and nothing has to be said of them."""
    for key, value in given.items():
        if type(key) is not str or type(value) is not str:
            return False
        if not (key.isascii() and value.isascii() and 0 < len(value) <= MAX_DIMENSION):
            return False
    return True
