"""Objects that the process knows of without keeping them alive.

Up to Python 3.13 a ``weakref.WeakSet`` raises when a member is added while another thread looks through it.
This registry is looked through by way of a copy that is made in one step, so threads, signal handlers and
destructors may add to it at any time.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from typing import Generic, TypeVar

T = TypeVar("T")


class Registry(Generic[T]):
    """Holds its members weakly: each is found until its last user lets go of it."""

    def __init__(self) -> None:
        self._members: dict[int, weakref.ref[T]] = {}  # by identity: a member need not be hashable

    def add(self, member: T) -> None:
        """Find ``member`` from now on, as long as somebody else holds it."""
        key = id(member)
        self._members[key] = weakref.ref(member, lambda _: self._members.pop(key, None))

    def __iter__(self) -> Iterator[T]:
        known = list(self._members.values())  # in one step: no Python code runs in between
        return iter([member for reference in known if (member := reference()) is not None])
