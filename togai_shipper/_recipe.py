"""A recipe: what the event of some measured work holds.

Its parts are values, or functions of the work that was done (a call, a block, a request). What a function
raises concerns the event alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import Any, Generic, Protocol, TypeAlias, TypeVar

import attrs

from ._event import MAX_ATTRIBUTES, Attribute, Attributes, ListedAttributes, Number
from .exceptions import InvalidEvent

Amount: TypeAlias = Number | tuple[Number, str]

W = TypeVar("W", bound="Work")

TextOf: TypeAlias = str | Callable[[W], str | None]
AttributesOf: TypeAlias = (
    Mapping[str, Amount | Callable[[W], Amount]] | ListedAttributes | Callable[[W], Attributes]
)
DimensionsOf: TypeAlias = Mapping[str, str | Callable[[W], str]] | Callable[[W], Mapping[str, str] | None]


class Work(Protocol):
    """What was done, once it is over."""

    @property
    def seconds(self) -> float:
        """How long it took."""

    @property
    def failed(self) -> bool:
        """Whether it failed."""


@attrs.frozen
class EventFields:
    """What ``track()`` is to be given beside the schema name."""

    account_id: str
    attributes: Attributes
    dimensions: Mapping[str, str] | None
    idempotency_key: str | None = None


def _lasting(attributes: Any) -> Any:
    """Return attributes that last for more than one event: a generator gives its own only once."""
    return tuple(islice(attributes, MAX_ATTRIBUTES + 1)) if isinstance(attributes, Iterator) else attributes


@attrs.frozen
class Recipe(Generic[W]):
    """Says what an event of some work holds; a function among it is called with the work."""

    schema_name: str
    account_id: TextOf[W]
    attributes: AttributesOf[W] = attrs.field(default=(), converter=_lasting)
    dimensions: DimensionsOf[W] | None = None
    duration: str | None = None  # the attribute that gets the milliseconds
    outcome: str | None = None  # the dimension that gets "ok" or "error"
    failures: bool = True  # whether work that failed counts
    idempotency_key: TextOf[W] | None = None

    def fields_of(self, work: W) -> EventFields | None:
        """Return what the event of ``work`` holds; ``None``: nobody is billed, or it does not count.

        Raises:
            InvalidEvent: one of the functions raised; the message says which.

        """
        if work.failed and not self.failures:
            return None
        account_id = _asked("account_id", self.account_id, work)
        if account_id is None:
            return None
        key = _asked("idempotency_key", self.idempotency_key, work)
        return EventFields(account_id, self._attributes(work), self._dimensions(work), key)

    def _attributes(self, work: W) -> Attributes:
        attributes = _filled("attributes", self.attributes, work)
        if self.duration is None:
            return attributes  # type: ignore[no-any-return]
        took = (round(work.seconds * 1000, 3), "Milliseconds")
        if isinstance(attributes, Mapping):
            return {**attributes, self.duration: took}
        return [*attributes, Attribute(self.duration, *took)]

    def _dimensions(self, work: W) -> Mapping[str, str] | None:
        dimensions: Mapping[str, str] | None = _filled("dimensions", self.dimensions, work)
        if self.outcome is None:
            return dimensions
        return {**(dimensions or {}), self.outcome: "error" if work.failed else "ok"}


def _asked(field: str, given: Any, work: Any) -> Any:
    """Return ``given``, or what it returns for the work where it is a function."""
    if not callable(given):
        return given
    try:
        return given(work)
    except InvalidEvent:
        raise
    except Exception as error:  # the application's code: its work is done all the same
        raise InvalidEvent(field, f"its function raised {type(error).__name__}") from error


def _filled(field: str, given: Any, work: Any) -> Any:
    given = _asked(field, given, work)
    if isinstance(given, Mapping) and any(map(callable, given.values())):
        return {name: _asked(f"{field}[{name!r}]", value, work) for name, value in given.items()}
    return given
