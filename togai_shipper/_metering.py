"""Usage measured around somebody's code, which does not notice: one event at its end.

A recipe says what that event holds: values, or functions of the work that was done (a call, a block, a
request). What they raise is the event's affair alone.
"""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable, Iterator, Mapping
from decimal import Context, Decimal
from functools import wraps
from itertools import islice
from types import TracebackType
from typing import Any, Generic, ParamSpec, Protocol, TypeAlias, TypeVar

import attrs

from ._event import MAX_ATTRIBUTES, MAX_DIGITS, Attribute, Attributes, ListedAttributes, Number, number
from .exceptions import InvalidEvent

Amount: TypeAlias = Number | tuple[Number, str]

P = ParamSpec("P")
R = TypeVar("R")
W = TypeVar("W", bound="Work")
T = TypeVar("T")

TextOf: TypeAlias = str | Callable[[W], str | None]
AttributesOf: TypeAlias = (
    Mapping[str, Amount | Callable[[W], Amount]] | ListedAttributes | Callable[[W], Attributes]
)
DimensionsOf: TypeAlias = Mapping[str, str | Callable[[W], str]] | Callable[[W], Mapping[str, str] | None]

# Wide enough for a sum of any numbers that an event may hold to be exact.
_exact = Context(prec=2 * MAX_DIGITS + 20, Emax=2 * MAX_DIGITS + 20, Emin=-2 * MAX_DIGITS - 20)


class Work(Protocol):
    """What was done, once it is over."""

    @property
    def seconds(self) -> float:
        """How long it took."""

    @property
    def failed(self) -> bool:
        """Whether it failed."""


def named(
    function: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> Mapping[str, Any]:
    """The arguments of a call by the names of the function's parameters, with their defaults."""
    bound = inspect.signature(function).bind(*args, **kwargs)
    bound.apply_defaults()
    return bound.arguments


@attrs.frozen
class Call:
    """A call of a metered function, once it is over: what the functions of ``Shipper.metered`` are given.

    Attributes:
        function: the function itself.
        args: its positional arguments, as they were given.
        kwargs: its keyword arguments.
        result: what it returned; ``None`` where it raised.
        error: what it raised, or ``None``.
        seconds: how long it took.

    """

    function: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    result: Any
    error: BaseException | None
    seconds: float

    @property
    def failed(self) -> bool:
        """Whether it raised; a coroutine that was cancelled did."""
        return self.error is not None

    @property
    def arguments(self) -> Mapping[str, Any]:
        """All arguments by the names of the function's parameters, with their defaults."""
        return named(self.function, self.args, self.kwargs)


@attrs.frozen
class Usage:
    """What ``track()`` is to be given."""

    account_id: str
    attributes: Attributes
    dimensions: Mapping[str, str] | None
    idempotency_key: str | None = None


def _lasting(attributes: Any) -> Any:
    """For more than one event: a generator gives its attributes once."""
    return tuple(islice(attributes, MAX_ATTRIBUTES + 1)) if isinstance(attributes, Iterator) else attributes


@attrs.frozen
class Recipe(Generic[W]):
    """What an event of some work holds; whatever may be a function is one of the work."""

    schema_name: str
    account_id: TextOf[W]
    attributes: AttributesOf[W] = attrs.field(default=(), converter=_lasting)
    dimensions: DimensionsOf[W] | None = None
    duration: str | None = None  # the attribute that gets the milliseconds
    outcome: str | None = None  # the dimension that gets "ok" or "error"
    failures: bool = True  # whether work that failed counts
    idempotency_key: TextOf[W] | None = None

    def usage(self, work: W) -> Usage | None:
        """Of this work; ``None`` where there is nobody to be billed, or it is not to be counted.

        Raises:
            InvalidEvent: one of the functions raised; the message says which.

        """
        if work.failed and not self.failures:
            return None
        account_id = _asked("account_id", self.account_id, work)
        if account_id is None:
            return None
        key = _asked("idempotency_key", self.idempotency_key, work)
        return Usage(account_id, self._attributes(work), self._dimensions(work), key)

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
    """``given``, or what it says of the work."""
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


Meter: TypeAlias = Callable[[Recipe[Any], Any], None]  # tracks an event of some work, and never raises


# --- functions ----------------------------------------------------------------------------------------------


def metering(meter: Meter, recipe: Recipe[Call], function: Callable[P, R]) -> Callable[P, R]:
    """``function``, followed by an event for each of its calls."""
    if not callable(function) or isinstance(function, staticmethod):
        kind = type(function).__name__
        raise TypeError(f"metered: what is decorated is a {kind}, not a function; put metered beneath it")
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        name = getattr(function, "__qualname__", repr(function))
        raise TypeError(f"metered: {name} is a generator function; use measure() inside it")

    @wraps(function)
    def metered(*args: P.args, **kwargs: P.kwargs) -> R:
        with _Running(meter, recipe, function, args, kwargs) as running:
            result = running.result = function(*args, **kwargs)
        return result

    @wraps(function)
    async def metered_coroutine(*args: P.args, **kwargs: P.kwargs) -> Any:
        with _Running(meter, recipe, function, args, kwargs) as running:
            result = running.result = await function(*args, **kwargs)  # type: ignore[misc]  # a coroutine
        return result

    is_coroutine = any(map(inspect.iscoroutinefunction, (function, type(function).__call__)))
    return metered_coroutine if is_coroutine else metered  # type: ignore[return-value]  # the same


class _Running:
    """Around a call."""

    def __init__(
        self,
        meter: Meter,
        recipe: Recipe[Call],
        function: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.result: Any = None
        self._meter = meter
        self._recipe = recipe
        self._call = (function, args, kwargs)
        self._clock = clock
        self._begun = clock()

    def __enter__(self) -> _Running:  # noqa: PYI034  typing.Self comes with Python 3.11
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._meter(self._recipe, Call(*self._call, self.result, error, self._clock() - self._begun))


# --- blocks -------------------------------------------------------------------------------------------------


class Measure:
    """A block of code under way, which ``Shipper.measure`` has made.

    Attributes:
        account_id: whom it is billed to; may be set until the end. ``None``: nobody, no event is made.
        dimensions: may be filled until the end.
        failed: whether the block raised, once it is over.
        seconds: how long it took.

    """

    def __init__(
        self,
        meter: Meter,
        recipe: Recipe[Measure],
        account_id: str | None,
        dimensions: Mapping[str, str] | None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.account_id = account_id
        self.dimensions = dict(dimensions) if isinstance(dimensions, Mapping) else {}
        self.failed = False  # not what it raised: that refers to the block, and so to this
        self.seconds = 0.0
        self._meter = meter
        self._recipe = recipe
        self._clock = clock
        self._begun = clock()
        self._added: list[tuple[str, Any, str | None]] = []  # appended to by any thread

    def add(self, name: str, value: Number = 1, unit: str | None = None) -> None:
        """Add to an attribute of the event; the sum is exact. From any thread.

        Args:
            name: the attribute's, 1 to 50 characters.
            value: as in ``track()`` (default 1).
            unit: 1 to 50 characters, always the same one for a name.

        Nothing is raised here: what cannot be added makes the event invalid, at the end of the block.

        """
        self._added.append((name, value, unit))

    def sums(self, attributes: Attributes) -> tuple[Attribute, ...]:
        """``attributes``, and what was added.

        Raises:
            InvalidEvent: a value is no number, or a name has more than one unit.

        """
        given = attributes.items() if isinstance(attributes, Mapping) else attributes
        sums: dict[str, tuple[Decimal, str | None]] = {}
        most = islice(given, MAX_ATTRIBUTES + 1)  # one more is told as too many, an endless one has an end
        for name, value, unit in [*map(_apart, most), *self._added]:
            amount = Decimal(number(name, value))
            before, known = sums.get(name, (Decimal(0), unit))
            if known != unit:
                raise InvalidEvent(f"attributes[{name!r}]", "must have one unit, not several (str)")
            sums[name] = (_exact.add(before, amount), unit)
        return tuple(Attribute(name, value, unit) for name, (value, unit) in sums.items())

    def __enter__(self) -> Measure:  # noqa: PYI034  typing.Self comes with Python 3.11
        self._begun = self._clock()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.seconds = self._clock() - self._begun
        self.failed = error is not None
        self._meter(self._recipe, self)
        self._added.clear()  # used for another block, it adds that one's alone


def _apart(given: Any) -> tuple[str, Any, str | None]:
    match given:
        case Attribute(name=name, value=value, unit=unit):
            return name, value, unit
        case (name, tuple((value, unit))):
            return name, value, unit
        case (name, value):
            return name, value, None
    raise InvalidEvent("attributes", f"must hold attributes, not {type(given).__name__}")
