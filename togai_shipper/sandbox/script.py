"""Which fault the next request meets: queues, callbacks, and poison. Tests set them, the server asks."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

import attrs

from .faults import Events, Fault, Hold, Partial, Refuse, Slow, Throttle, picks

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
    """Is asked once for each request that the quotas let through: one that brings events, or any other.

    It needs no lock: operations of ``deque`` and assignments are atomic, and nothing here takes two steps.
    """

    def __init__(self) -> None:
        self._queue: deque[Fault | None] = deque()
        self._lookups: deque[Fault | None] = deque()
        self._poisons: deque[Poison] = deque()
        self.standing: Fault | None = None
        self.stands_once = False
        self.on_request: Callable[[Received], Fault | None] | None = None
        self.on_lookup: Callable[[Received], Fault | None] | None = None

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

    def add_lookups(self, *faults: Fault | None) -> None:
        """Put these faults at the end of the queue for look-ups. Raises ``ValueError``."""
        for fault in faults:
            _check_lookup(fault)
        self._lookups.extend(faults)

    def stand(self, fault: Fault | None, *, once: bool = False) -> None:
        """Let every request meet this fault, or only the next one: after the queue, before the callback."""
        self.standing, self.stands_once = fault, once

    def poison(self, which: Events, status: int, message: str) -> None:
        """Refuse every request that holds such an event."""
        self._poisons.append(Poison(which, status, message))

    def cure(self) -> None:
        """Forget all poison."""
        self._poisons.clear()

    def next_lookup(self, received: Received) -> Fault | None:
        """Return the next fault of a look-up: of its queue, the standing one, or what its callback returns.

        The standing one it meets only if that is about no event, and stands for every request.
        """
        try:
            return self._lookups.popleft()
        except IndexError:
            pass
        standing = self.standing
        if isinstance(standing, (Refuse, Throttle, Slow)) and not self.stands_once:
            return standing
        fault = None if self.on_lookup is None else self.on_lookup(received)
        _check_lookup(fault)
        return fault

    def next(self, received: Received) -> Fault | None:
        """Return the next fault: of the queue, the standing one, or what the callback returns."""
        try:
            return self._queue.popleft()
        except IndexError:
            pass
        standing = self.standing
        if standing is not None and (received.path == "/ingestBatch" or not isinstance(standing, Partial)):
            self.standing = None if self.stands_once else standing
            return standing
        return None if self.on_request is None else self.on_request(received)


def _check_lookup(fault: Fault | None) -> None:
    while isinstance(fault, (Slow, Hold)):
        fault = fault.then
    if isinstance(fault, Partial):
        raise ValueError(  # noqa: TRY004  the type is right, but not here
            "Partial is a reply to a batch of events: no other request can meet it"
        )
