"""Measuring around somebody's code, which does not notice: one event at the end of a call or a block."""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable, Mapping
from decimal import Context, Decimal
from functools import wraps
from itertools import islice
from types import TracebackType
from typing import Any, ParamSpec, TypeAlias, TypeVar

import attrs

from ._event import MAX_ATTRIBUTES, MAX_DIGITS, Attribute, Attributes, Number, number
from ._parameters import Parameters
from ._recipe import Recipe
from .exceptions import InvalidEvent

P = ParamSpec("P")
R = TypeVar("R")

Meter: TypeAlias = Callable[[Recipe[Any], Any], object]  # tracks an event of some work, and never raises

# Wide enough for a sum of any numbers that an event may hold to be exact.
_exact = Context(prec=2 * MAX_DIGITS + 20, Emax=2 * MAX_DIGITS + 20, Emin=-2 * MAX_DIGITS - 20)

# --- functions ----------------------------------------------------------------------------------------------


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
    _parameters: Parameters = attrs.field(
        default=attrs.Factory(lambda self: Parameters(self.function), takes_self=True), eq=False, repr=False
    )

    @property
    def failed(self) -> bool:
        """Whether it raised; a coroutine that was cancelled did."""
        return self.error is not None

    @property
    def arguments(self) -> Mapping[str, Any]:
        """All arguments by the names of the function's parameters, with their defaults."""
        return self._parameters.named(self.args, self.kwargs)


def metering(meter: Meter, recipe: Recipe[Call], function: Callable[P, R]) -> Callable[P, R]:
    """Wrap ``function`` so that an event follows each of its calls."""
    if not callable(function) or isinstance(function, staticmethod):
        kind = type(function).__name__
        raise TypeError(f"metered: what is decorated is a {kind}, not a function; put metered beneath it")
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        name = getattr(function, "__qualname__", repr(function))
        raise TypeError(f"metered: {name} is a generator function; use measure() inside it")

    parameters, clock = Parameters(function), time.monotonic

    def note(
        begun: float,
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        result: Any,
        error: BaseException | None,
    ) -> None:
        meter(recipe, Call(function, args, kwargs, result, error, clock() - begun, parameters))

    @wraps(function)
    def metered(*args: P.args, **kwargs: P.kwargs) -> R:
        begun = clock()
        try:
            result = function(*args, **kwargs)
        except BaseException as error:
            note(begun, args, kwargs, None, error)
            raise
        note(begun, args, kwargs, result, None)
        return result

    @wraps(function)
    async def metered_coroutine(*args: P.args, **kwargs: P.kwargs) -> Any:
        begun = clock()
        try:
            result = await function(*args, **kwargs)  # type: ignore[misc]  # a coroutine
        except BaseException as error:
            note(begun, args, kwargs, None, error)
            raise
        note(begun, args, kwargs, result, None)
        return result

    is_coroutine = any(map(inspect.iscoroutinefunction, (function, type(function).__call__)))
    return metered_coroutine if is_coroutine else metered  # type: ignore[return-value]  # the same


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
        """Return ``attributes`` together with what was added.

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
