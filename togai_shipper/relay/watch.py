"""Whether anybody drains the relay, as far as one producer sees. Pure.

A producer that says so too late costs nothing; one that says so wrongly wakes somebody at night. So only what
was seen counts: the relay held events at each look, and none has left it, for ``STALLED`` seconds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .answers import Standing

STALLED = 600.0  # seconds
LOOK_EVERY = 60.0  # seconds between the looks of a producer that has nothing to hand over


class Watch:
    """What the relay said of itself, the last time and before."""

    def __init__(self) -> None:
        self._seen: tuple[str, int] | None = None  # the relay, and how many events had left it
        self._since = 0.0  # when that was first seen, with events in the relay
        self._looked_at = 0.0
        self._is_waiting = False  # it held events, and none has left it since the look before
        self.events = 0
        self.dead = 0

    def note(self, standing: Standing, now: float, *, added: int = 0) -> None:
        """Note how the relay stands, ``added`` of its events being new."""
        has_moved = (standing.epoch, standing.out) != self._seen
        if has_moved or self.events <= 0 or standing.events <= added:
            self._since = now
        self._seen = (standing.epoch, standing.out)
        self._is_waiting = standing.events > 0 and not (has_moved and not added)
        self._looked_at = now
        self.events, self.dead = standing.events, standing.dead

    def stalled_for(self) -> float:
        """Return for how many seconds nothing has left it, as of the last look."""
        return self._looked_at - self._since if self.events > 0 else 0.0

    @property
    def is_stalled(self) -> bool:
        """Whether the relay holds events and nobody drains it."""
        return self.stalled_for() >= STALLED

    @property
    def due_at(self) -> float | None:
        """When to look again, if nothing is handed over before."""
        return self._looked_at + LOOK_EVERY if self._is_waiting else None
