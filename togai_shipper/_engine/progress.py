"""How far a request has come on its way, in words that tell a slow way from a server that says nothing.

What the system has taken of a request may wait there for long: on Linux it says how much of it the other side
has confirmed, and that alone counts.
"""

from __future__ import annotations

import struct
from contextlib import suppress
from typing import Any

import attrs

with suppress(ImportError):  # Windows has none
    import fcntl
    import termios

STILL = 5.0  # seconds without a byte, after which nothing moves


def unconfirmed(sock: Any) -> int:
    """Bytes that were handed to the system, and that the other side has not confirmed; 0: it does not say."""
    with suppress(NameError, AttributeError, OSError, ValueError):
        (count,) = struct.unpack("i", fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, bytes(4)))
        return int(count)
    return 0


@attrs.define(eq=False)
class Progress:
    """How far one exchange has come.

    Attributes:
        begun_at: monotonic seconds at which it was begun.
        moved_at: at which it was last seen to have come further.
        size: bytes of the request, as far as they are known.
        handed: of those, bytes that the system has taken.
        gone: of those, bytes that the other side has, when that was last looked at.
        received: bytes of the reply.

    """

    begun_at: float
    moved_at: float
    size: int = 0
    handed: int = 0
    gone: int = 0
    received: int = 0
    _seen: tuple[int, int] = (0, 0)

    def note(self, *, size: int = 0, handed: int = 0, received: int = 0) -> None:
        """Count bytes."""
        self.size += size
        self.handed += handed
        self.received += received

    def look(self, now: float, waiting: int) -> None:
        """Note how far it is, where ``waiting`` bytes are not confirmed."""
        self.gone = max(self.gone, self.handed - waiting)
        if self._seen != (self.gone, self.received):
            self._seen, self.moved_at = (self.gone, self.received), now

    def words(self, now: float) -> str:
        """Say whether it is slow, or stands still, and where."""
        still, seconds = now - self.moved_at, max(now - self.begun_at, 0.001)
        if self.received:
            came = f"{self.received:,} bytes of a reply have come in {seconds:.0f} s"
            return came + (f", none for {still:.0f} s" if still >= STILL else ", and it is not whole")
        if not self.size:
            return f"there is no connection after {seconds:.0f} s"
        if self.gone >= self.size:
            return f"the request has gone, and nothing has come back for {still:.0f} s"
        gone = f"{self.gone:,} of {self.size:,} bytes of the request have gone in {seconds:.0f} s"
        if still >= STILL:
            return f"nothing moves: {gone}, none for {still:.0f} s"
        return f"the way is slow: {gone}, {self.gone / seconds:,.0f} a second"
