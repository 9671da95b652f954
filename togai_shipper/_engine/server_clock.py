"""What time it is at the server, as far as its replies tell."""

from __future__ import annotations

from collections.abc import Callable


class ServerClock:
    """The server's wall clock, told by its latest reply. One attribute is replaced as a whole: no lock."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._dated: tuple[float, float] | None = None  # its wall clock, and our clock when it said so
        self.has_replied = False  # with a date, or without

    def note(self, date: float | None) -> None:
        """Note what a reply of Togai's own, which comes now, says: a date in seconds since 1970, or none."""
        if date is not None:
            self._dated = (date, self._clock())
        self.has_replied = True

    def now(self) -> float | None:
        """Its seconds since 1970; ``None`` before its first reply."""
        if self._dated is None:
            return None
        date, at = self._dated
        return date + self._clock() - at
