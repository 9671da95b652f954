"""How many requests a client may make: token buckets with a valid key, a count without."""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from .switches import Switches

UNAUTHENTICATED_WINDOW = 1800.0  # seconds


class TokenBucket:
    """Lets ``rate`` requests a second through, and up to one second's worth at once."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._spent = 0.0  # tokens missing from a full bucket
        self._at = monotonic()

    def take(self, rate: float | None) -> bool:
        """Whether one more request may pass now; it always may if ``rate`` is ``None``."""
        now = self._monotonic()
        spent, self._at = max(0.0, self._spent - (now - self._at) * (rate or 0.0)), now
        if rate is None:
            self._spent = 0.0
            return True
        has_token = spent + 1.0 <= max(1.0, rate)
        self._spent = spent + has_token
        return has_token


class Quotas:
    """One bucket for each ingestion endpoint, one for all others, and one count for each source."""

    def __init__(self, switches: Switches, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._switches = switches
        self._monotonic = monotonic  # the real clock, even if a test has frozen time.monotonic
        self._buckets: dict[str, TokenBucket] = {}
        self._strangers: dict[str, deque[float]] = {}

    def admit(self, endpoint: str | None) -> bool:
        """Whether a request with a valid key may pass, to an ingestion endpoint or (``None``) to another."""
        switches = self._switches
        rate = switches.other_rate_limit if endpoint is None else switches.rate_limit
        bucket = self._buckets.setdefault(endpoint or "elsewhere", TokenBucket(self._monotonic))
        return bucket.take(rate)

    def admit_stranger(self, source: str) -> bool:
        """Whether a request without a valid key still gets a 401, as those within the limit do."""
        limit = self._switches.unauthenticated_limit
        if limit is None:
            return True
        times = self._recent(source)
        times.append(self._monotonic())
        return len(times) <= limit

    def is_locked_out(self, source: str) -> bool:
        """Whether a source has made so many requests without a valid key that those with one fail, too."""
        limit = self._switches.unauthenticated_limit
        return self._switches.locks_out and limit is not None and len(self._recent(source)) > limit

    def _recent(self, source: str) -> deque[float]:
        times = self._strangers.setdefault(source, deque())
        while times and self._monotonic() - times[0] >= UNAUTHENTICATED_WINDOW:
            times.popleft()
        return times
