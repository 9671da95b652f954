"""What each process has of its own: a forked child makes another and leaves its parent's alone, for ever.

``this_process()`` tells which one is asked for. That needs no at-fork hook, so it also holds where none runs
(uWSGI).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

from .this_process import Process, this_process


class Owned(Protocol):
    """Belongs to the process that made it."""

    process: Process


T = TypeVar("T", bound=Owned)

# A parent's, kept so that no destructor of ours touches what the parent still uses.
_inherited: list[Owned] = []


class PerProcess(Generic[T]):
    """Holds one ``T`` for each process that asks; ``make`` is given that of the parent, if there is one."""

    def __init__(
        self, make: Callable[[T | None], T], this_process: Callable[[], Process] = this_process
    ) -> None:
        self._make = make
        self._this_process = this_process
        self._children: dict[Process, T] = {}  # by process: a forked child may itself be a parent
        self.latest = make(None)  # the parent's, in a child that has not asked yet

    def here(self) -> T:
        """Return the one of this process; make it if it is not there yet.

        Several threads may ask at once, or a signal handler in between: all get the same one.
        """
        latest, here = self.latest, self._this_process()
        if latest.process is not here:
            _inherited.append(latest)
            self.latest = latest = self._children.setdefault(here, self._make(latest))
        return latest
