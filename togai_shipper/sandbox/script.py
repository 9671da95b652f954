"""What is to go wrong next: the queue, the callback, the poison. Set by tests, asked by the server."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

import attrs

from .faults import Events, Fault, picks

if TYPE_CHECKING:
    from collections.abc import Callable

    from .journal import Received


@attrs.frozen
class Poison:
    """Events that sink every request they are in."""

    which: Events
    status: int
    message: str

    def is_in(self, event: dict[str, Any]) -> bool:
        """Whether this event carries it."""
        return picks(self.which, -1, event)


class Script:
    """Asked once for each ingestion request that the quotas let through.

    ``deque`` operations and assignments are atomic, and nothing here takes two steps; so there is no lock.
    """

    def __init__(self) -> None:
        self._queue: deque[Fault | None] = deque()
        self._poisons: deque[Poison] = deque()
        self.on_request: Callable[[Received], Fault | None] | None = None

    @property
    def left(self) -> int:
        """How many of the queue no request has met yet."""
        return len(self._queue)

    @property
    def poisons(self) -> tuple[Poison, ...]:
        """What has not been cured, oldest first."""
        return tuple(self._poisons)

    def add(self, *faults: Fault | None) -> None:
        """Put these at the end of the queue."""
        self._queue.extend(faults)

    def poison(self, which: Events, status: int, message: str) -> None:
        """Let these events sink every request they are in."""
        self._poisons.append(Poison(which, status, message))

    def cure(self) -> None:
        """Let no event sink a request any more."""
        self._poisons.clear()

    def next(self, received: Received) -> Fault | None:
        """What this request is to meet: the next of the queue, or else what the callback says."""
        try:
            return self._queue.popleft()
        except IndexError:
            return None if self.on_request is None else self.on_request(received)
