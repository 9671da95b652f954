"""Where pending events are kept beyond a process's memory: the seam between the buffer and what is durable.

The buffer is all that flushers see. What is durable stands before it (events come into the buffer once they
are safe, and as there is room) and behind it (it learns what became of each, and keeps what is left at the
end). ``Memory`` is the store that keeps nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from togai_shipper._outcome import Settled

from .batching import Batch


class Store(Protocol):
    """What the buffer asks of it under the shipper's lock, and, below, the pipeline without."""

    @property
    def waiting(self) -> int:
        """Events accepted that are not in the buffer."""

    @property
    def coming(self) -> int:
        """How many of them come into it, after those that are there; the others wait for another time."""

    def oldest_since(self) -> float | None:
        """Monotonic seconds at which the oldest of those was accepted."""

    def settled(self, outcome: Settled) -> None:
        """These events of the buffer have their outcome."""

    def kept(self, left: Sequence[Batch]) -> list[Batch]:
        """The end: take back what is left in the buffer; returns what cannot be kept."""

    def complaint(self) -> str | None:
        """Why events are not as safe as they should be."""

    def figures(self) -> dict[str, Any]:
        """The store's part of ``Stats``."""

    # --- without the lock ---

    def begin(self, *, drives: bool) -> None:
        """Somebody flushes: see to it that what earlier processes have left is looked for."""

    def drive(self) -> bool:
        """Do the store's own work here, if no thread of its own does; says whether there was some."""

    def sync(self, timeout: float, *, waits: bool = True) -> bool:
        """Whether all that was accepted so far is durable; waits for that, ``timeout`` seconds at most."""

    def save(self) -> None:
        """The end is near: make durable what can be."""

    def finish(self) -> None:
        """The end: the buffer is closed, and has given back what was left."""


class Memory:
    """Nothing is kept: what memory holds at the end is given up."""

    waiting = 0
    coming = 0

    def oldest_since(self) -> None:
        """Nothing waits here."""

    def settled(self, outcome: Settled) -> None:
        """Nothing to be forgotten."""

    def kept(self, left: Sequence[Batch]) -> list[Batch]:
        """All of it is given up."""
        return list(left)

    def complaint(self) -> None:
        """They are as safe as they should be."""

    def figures(self) -> dict[str, Any]:
        """Nothing to be told."""
        return {}

    def begin(self, *, drives: bool) -> None:
        """Nothing was left."""

    def drive(self) -> bool:
        """Nothing to do."""
        return False

    def sync(self, timeout: float, *, waits: bool = True) -> bool:  # noqa: ARG002  a store's own
        """Nothing is durable."""
        return False

    def save(self) -> None:
        """Nothing can be."""

    def finish(self) -> None:
        """Nothing is open."""
