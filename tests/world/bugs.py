"""Faults that are put into the package, to see that a world finds them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

Bug = Callable[[], AbstractContextManager[None]]
BUGS: dict[str, Bug] = {}


def bug(make: Callable[[], Iterator[None]]) -> Bug:
    """Name a bug after its function."""
    made = contextmanager(make)
    BUGS[make.__name__.replace("_", " ")] = made
    return made


def seeded(name: str | None) -> AbstractContextManager[None]:
    """Have this bug in the package for a while."""
    return nullcontext() if name is None else BUGS[name]()
