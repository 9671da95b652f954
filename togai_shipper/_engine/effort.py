"""How many of the latest requests went into finding the events that Togai rejects. Pure."""

from __future__ import annotations

MINUTE = 60.0  # seconds
WORTH_TELLING = 60  # requests a minute, of which so many have to be
MUCH = 0.5  # of the requests


class Effort:
    """Counts the requests of the minute under way, and of the one before."""

    def __init__(self) -> None:
        self._begun = 0.0
        self._before = self._requests = self._search_before = self._search = 0

    def note(self, now: float, *, is_search: bool) -> None:
        """Count a request; ``is_search``: it holds a part of a batch that was refused."""
        self._turn(now)
        self._requests += 1
        self._search += is_search

    def share(self, now: float) -> float:
        """Return the part of the requests of the last one or two minutes; 0 where that is not much."""
        self._turn(now)
        requests, search = self._before + self._requests, self._search_before + self._search
        share = search / requests if search >= WORTH_TELLING else 0.0
        return share if share >= MUCH else 0.0

    def _turn(self, now: float) -> None:
        if now >= self._begun + MINUTE:
            is_next = now < self._begun + 2 * MINUTE
            self._before = self._requests if is_next else 0
            self._search_before = self._search if is_next else 0
            self._requests = self._search = 0
            self._begun = now
