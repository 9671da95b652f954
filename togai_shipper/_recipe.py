"""A recipe: what the event of some measured work holds.

Its parts are values, or functions of the work that was done (a call, a block, a request). What a function
raises concerns the event alone.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import Any, Generic, NamedTuple, Protocol, TypeAlias, TypeVar

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


class EventFields(NamedTuple):
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
    failures: bool | None = True  # whether work that failed counts; None: unless it may come again by its key
    idempotency_key: TextOf[W] | None = None
    when: Callable[[W], bool] | None = None  # whether work counts

    def __attrs_post_init__(self) -> None:
        """Check what says which work counts.

        Raises:
            TypeError: ``when`` is no plain function, or stands beside ``failures=False``.

        """
        if self.when is None:
            return
        if not callable(self.when):
            raise TypeError(f"when must be a function that returns a bool, not {type(self.when).__name__}")
        if any(map(inspect.iscoroutinefunction, (self.when, type(self.when).__call__))):
            raise TypeError("when must be a function that returns a bool, not a coroutine function")
        if self.failures is False:
            raise TypeError("failures=False cannot stand beside when, which says what counts")

    def counts(self, work: W) -> bool:
        """Whether ``work`` counts. Raises what ``when`` raises."""
        if self.when is not None:
            return bool(self.when(work))
        if self.failures is not None:
            return self.failures or not work.failed
        return self.idempotency_key is None or not work.failed

    def fields_of(self, work: W) -> EventFields | None:
        """Return what the event of ``work`` holds; ``None``: nobody is billed.

        Raises:
            InvalidEvent: one of the functions raised; the message says which.

        """
        account_id, key = self.account_id, self.idempotency_key
        if callable(account_id):
            account_id = _answer("account_id", None, account_id, work)
        if account_id is None:
            return None
        if callable(key):
            key = _answer("idempotency_key", None, key, work)
        if key is not None and work.failed:
            key = _key_of_failed(key)
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


def _key_of_failed(key: Any) -> Any:
    """Return the key for the id of work that failed, so that the id of ``key`` stays for what ends well."""
    return f"{key}\0failed" if isinstance(key, str) and key else key  # else it is refused, as any bad key


def _answer(field: str, name: Any, function: Callable[[Any], Any], work: Any) -> Any:
    """Return what a function returns for the work; it stands for a field, or for what has a name in it."""
    try:
        return function(work)
    except InvalidEvent:
        raise
    except Exception as error:  # the application's code: its work is done all the same
        where = field if name is None else f"{field}[{name!r}]"
        raise InvalidEvent(where, f"its function raised {type(error).__name__}") from error


def _filled(field: str, given: Any, work: Any) -> Any:
    if callable(given):
        given = _answer(field, None, given, work)
    is_mapping = type(given) is dict or isinstance(given, Mapping)
    if is_mapping and any(map(callable, given.values())):
        return {
            name: _answer(field, name, value, work) if callable(value) else value
            for name, value in given.items()
        }
    return given
