"""The hold: batches that a relay took stay in memory until its Redis is proven to be the same one. Pure.

A Redis that comes back empty, or a replica that lagged and took over, has lost what was confirmed, and says
nothing of it. But it is another server then. So a batch is let go by an answer of the same server to what was
asked at least ``seconds`` after the batch was handed over, and by nothing else: not by age. By another
server's answer it is handed over again; the ids make that harmless where nothing was lost.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import TYPE_CHECKING

import attrs

from .entries import size_of

if TYPE_CHECKING:
    from .answers import Server

MOST_BYTES = 32 * 1024**2  # of what is held, packed: some 600,000 events


@attrs.frozen(eq=False)
class Parcel:
    """A batch as it is handed over, each time the same: the fields of an entry, and how many events."""

    fields: Mapping[bytes, bytes]
    count: int

    @property
    def size(self) -> int:
        """About what it takes in memory."""
        return size_of(self.fields)


@attrs.frozen(eq=False)
class _Held:
    parcel: Parcel
    server: Server
    at: float  # monotonic seconds at which it was handed over


class Hold:
    """The parcels that are held, and those that are to be handed over again."""

    def __init__(self, seconds: float, most_bytes: int = MOST_BYTES) -> None:
        self._seconds = seconds
        self._most_bytes = most_bytes
        self._held: deque[_Held] = deque()
        self._owed: deque[Parcel] = deque()
        self._size = 0
        self.owed = 0  # events that Redis may have lost, to be handed over again or on their way
        self.events = 0  # all that are held, are owed, or are being handed over again
        self.left_early = 0  # events for which there was no room
        self.repeated = 0  # events that were handed over again

    @property
    def due_at(self) -> float | None:
        """When the oldest one may be let go, if the same server answers then."""
        return self._held[0].at + self._seconds if self._held else None

    def put(self, parcel: Parcel, server: Server | None, at: float) -> None:
        """Hold a parcel that ``server`` took at ``at``; one that does not say who it is cannot be proven."""
        if server is None or self._seconds <= 0:
            return
        self._held.append(_Held(parcel, server, at))
        self._count(parcel, 1)
        while self._size > self._most_bytes and self._held:
            early = self._held.popleft().parcel
            self._count(early, -1)
            self.left_early += early.count

    def judge(self, server: Server | None, asked_at: float) -> int:
        """Note who has answered what was asked at ``asked_at``; return how many events are owed by that.

        What was handed over after that was asked is not spoken of: the answer may be older.
        """
        if server is None:
            return 0
        owed = 0
        while self._held and (first := self._held[0]).at <= asked_at:
            if first.server != server:
                self._owed.append(first.parcel)
                owed += first.parcel.count
                self.owed += first.parcel.count
            elif asked_at - first.at >= self._seconds:
                self._count(first.parcel, -1)
            else:
                break  # those behind it are younger
            self._held.popleft()
        return owed

    def take_owed(self) -> Parcel | None:
        """Take the next parcel to be handed over again; ``settle_owed`` or ``put_back`` has to follow."""
        if not self._owed:
            return None
        return self._owed.popleft()

    def settle_owed(self, parcel: Parcel) -> None:
        """Note that a parcel was handed over again; ``put`` was called for that."""
        self.owed -= parcel.count
        self._count(parcel, -1)
        self.repeated += parcel.count

    def put_back(self, parcel: Parcel) -> None:
        """Note that a parcel could not be handed over again, yet."""
        self._owed.appendleft(parcel)

    def _count(self, parcel: Parcel, sign: int) -> None:
        self.events += sign * parcel.count
        self._size += sign * parcel.size
