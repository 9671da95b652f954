"""The arguments of calls by the names of a function's parameters. Pure.

Reading a signature takes three times as long as tracking an event, so ``Parameters`` reads it once. Most
calls are of functions that take no ``*args`` and no ``**kwargs``: they are put together here, any other by
``inspect``.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping
from typing import Any

import attrs

_P = inspect.Parameter


@attrs.frozen
class _Plain:
    """The parameters of a function that takes no ``*args`` and no ``**kwargs``."""

    defaults: dict[str, Any]  # by all names, in order; of one without a default: None
    positional: tuple[str, ...]
    by_name: frozenset[str]
    required: frozenset[str]
    enough: float  # arguments without a name that leave none of the required ones out

    def named(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any] | None:
        """Return the arguments; ``None`` where the call is wrong."""
        count = len(args)
        before = self.positional[:count]
        if count != len(before) or (kwargs and not self._may_follow(kwargs, before)):
            return None
        if count < self.enough and self.required.difference(before, kwargs):
            return None
        named = self.defaults.copy()
        named.update(zip(before, args))  # noqa: B905  as many: looked at above
        named.update(kwargs)
        return named

    def _may_follow(self, kwargs: Mapping[str, Any], before: tuple[str, ...]) -> bool:
        return kwargs.keys() <= self.by_name and kwargs.keys().isdisjoint(before)


def _plain(signature: inspect.Signature) -> _Plain | None:
    parameters = signature.parameters
    kinds = {name: parameter.kind for name, parameter in parameters.items()}
    if _P.VAR_POSITIONAL in kinds.values() or _P.VAR_KEYWORD in kinds.values():
        return None
    required = frozenset(name for name, each in parameters.items() if each.default is _P.empty)
    positional = tuple(name for name, kind in kinds.items() if kind is not _P.KEYWORD_ONLY)
    return _Plain(
        {name: None if name in required else each.default for name, each in parameters.items()},
        positional,
        frozenset(name for name, kind in kinds.items() if kind is not _P.POSITIONAL_ONLY),
        required,
        len(required) if required.issubset(positional) else math.inf,
    )


class Parameters:
    """The parameters of a function, read when they are first asked for."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function
        self._read: tuple[inspect.Signature, _Plain | None] | None = None

    def named(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """Return the arguments of a call by the names of the parameters, with their defaults.

        Raises:
            TypeError: the function cannot be called with these.
            ValueError: it does not tell its parameters.

        """
        if self._read is None:
            signature = inspect.signature(self._function)
            self._read = signature, _plain(signature)
        signature, plain = self._read
        named = None if plain is None else plain.named(args, kwargs)
        if named is None:
            bound = signature.bind(*args, **kwargs)
            bound.apply_defaults()
            named = bound.arguments
        return named
