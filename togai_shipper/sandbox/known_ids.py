"""What the ledger knows of each id: little, because there may be a million. Not thread-safe."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

import attrs


@attrs.define(eq=False, weakref_slot=False)
class Known:
    """What is kept of one id.

    Attributes:
        receipts: how many copies came.
        accepted: how many of them were accepted.
        metered: how many are billed now.
        altered: how many differed from the first one that was kept when they came.
        request: the number of the last request that brought it.
        accepted_at: when it was last accepted as new, in seconds since 1970; ``None``: it may come as new.
        is_refused: whether its last copy was refused for good.

    """

    receipts: int = 0
    accepted: int = 0
    metered: int = 0
    altered: int = 0
    request: int | None = None
    accepted_at: float | None = None
    is_refused: bool = False


class KnownIds:
    """The ids that came, the newest ones if only so many are to be known."""

    def __init__(self) -> None:
        self._known: dict[str, Known] = {}
        self._oldest_first: deque[str] = deque()  # a dict walks past all that it has lost to its first
        self.forgotten = 0

    def __iter__(self) -> Iterator[tuple[str, Known]]:
        """Yield each id, and what is known of it."""
        return iter(self._known.items())

    def get(self, event_id: str) -> Known | None:
        """Return what is known of an id."""
        return self._known.get(event_id)

    def learn(self, event_id: str) -> Known:
        """Begin to know an id."""
        self._known[event_id] = known = Known()
        self._oldest_first.append(event_id)
        return known

    def keep_newest(self, most: int | None) -> None:
        """Forget the oldest ids until no more than so many are known."""
        while most is not None and len(self._known) > most:
            del self._known[self._oldest_first.popleft()]
            self.forgotten += 1
