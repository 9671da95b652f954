"""How long one statement may run: what a damaged or forged file makes endless comes to an end."""

from __future__ import annotations

from collections.abc import Callable

OPERATIONS = (
    1_000_000  # of SQLite's machine between two looks at the clock, some 50 ms: few, for the GIL's sake
)
MAX_STEP = 1.0  # seconds that count of those between two looks: a process may be frozen, a disk slow


class Patience:
    """The time of the statement that runs now, by a clock that only goes forward."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._left = 0.0
        self._seen = 0.0

    def begin(self, seconds: float) -> None:
        """Give so many seconds to the statement that comes now."""
        self._left, self._seen = seconds, self._clock()

    def is_over(self) -> bool:
        """Tell whether the statement has had its time; asked while it runs."""
        now = self._clock()
        self._left -= min(now - self._seen, MAX_STEP)
        self._seen = now
        return self._left <= 0.0
