"""What time it is at the server, as far as its replies tell; and whether somebody waits to know it."""

from __future__ import annotations

from collections.abc import Callable


class ServerClock:
    """The server's wall clock, told by its latest reply. Each attribute is replaced as a whole: no lock."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._dated: tuple[float, float] | None = None  # its wall clock, and our clock when it said so
        self.has_replied = False  # with a date, or without
        self._is_wanted = False
        self._was_unanswered = False

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

    # --- who waits for it ---

    def want(self) -> None:
        """Note that somebody keeps events only since nobody knows what time it is there."""
        self._is_wanted = True

    def note_unanswered(self) -> None:
        """Note that it was asked, and that nothing came back which counts."""
        self._was_unanswered = True

    @property
    def is_wanted(self) -> bool:
        """Whether it is to be asked."""
        return self._is_wanted and not self.has_replied

    @property
    def is_awaited(self) -> bool:
        """Whether it is to be asked, and the answer may come soon: none has failed to come yet."""
        return self.is_wanted and not self._was_unanswered
