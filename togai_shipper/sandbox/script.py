"""Which fault the next request meets: a queue, a callback, and poison. Tests set it, the server asks."""

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
    """Events for whose sake every request that holds them is refused."""

    which: Events
    status: int
    message: str

    def is_in(self, event: dict[str, Any]) -> bool:
        """Whether this event is one of them."""
        return picks(self.which, -1, event)


class Script:
    """Is asked once for each ingestion request that the quotas let through.

    It needs no lock: operations of ``deque`` and assignments are atomic, and nothing here takes two steps.
    """

    def __init__(self) -> None:
        self._queue: deque[Fault | None] = deque()
        self._poisons: deque[Poison] = deque()
        self.on_request: Callable[[Received], Fault | None] | None = None

    @property
    def left(self) -> int:
        """How many faults of the queue no request has met yet."""
        return len(self._queue)

    @property
    def poisons(self) -> tuple[Poison, ...]:
        """All poison that has not been cured, oldest first."""
        return tuple(self._poisons)

    def add(self, *faults: Fault | None) -> None:
        """Put these faults at the end of the queue."""
        self._queue.extend(faults)

    def poison(self, which: Events, status: int, message: str) -> None:
        """Refuse every request that holds such an event."""
        self._poisons.append(Poison(which, status, message))

    def cure(self) -> None:
        """Forget all poison."""
        self._poisons.clear()

    def next(self, received: Received) -> Fault | None:
        """Return the next fault of the queue; if it is empty, what the callback returns."""
        try:
            return self._queue.popleft()
        except IndexError:
            return None if self.on_request is None else self.on_request(received)
