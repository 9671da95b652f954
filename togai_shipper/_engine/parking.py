"""The parked line: why nothing is sent, and when one event is tried again.

Changed only while holding the shipper's lock; one attribute by itself may be read without it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from .verdict import Park

# Seconds to the first probe after a 401, and at most: 5 bad tries in 30 minutes block an address.
KEY_PROBES = (600.0, 3600.0)
LINE_PROBES = (5.0, 600.0)  # the same after any other reason to park
UNAUTHORIZED, FORBIDDEN = 401, 403
REFUSALS = (400, 409, 413, 422)  # statuses by which single events are refused
CLOSING_PROBES = 1.0  # seconds at most between probes while closing; and a quarter of what is left


class Parking:
    """Whether the line is parked, by what, and when it is probed next."""

    def __init__(self, clock: Callable[[], float], random: Callable[[], float]) -> None:
        self._clock = clock
        self._random = random
        self.cause: Park | None = None  # ``None``: the line is open
        self.probe_at = 0.0  # monotonic seconds
        self._parked_at = 0.0  # monotonic seconds at which a reply parked the line, or kept it parked
        self.is_probing = False
        self._is_hurried = False  # the next probe goes as soon as this one has failed
        # One counter for each schedule: causes that alternate do not reset them.
        self._probes: Counter[float] = Counter()

    def park(self, cause: Park, *, probe: bool = False) -> Park | None:
        """Park the line; return the cause, if it was not parked for that kind of cause already.

        While it is parked, only a probe changes the cause; or a refused key, whose probes must become rare.
        """
        known = self.cause
        is_new = known is None or known.on_key != cause.on_key
        if known is not None and not probe and not (is_new and cause.on_key):
            return None  # the request was on its way already when the line was parked
        self.cause = cause
        self.plan_probe()
        return cause if is_new else None

    @property
    def is_by_key(self) -> bool:
        """Whether the line is parked, since the key is refused or cannot be had."""
        return self.cause is not None and self.cause.on_key

    @property
    def is_by_refusals(self) -> bool:
        """Whether the line is parked, since one event after the other was refused."""
        return self.cause is not None and not self.cause.on_key and self.cause.status in REFUSALS

    def open(self) -> None:
        """Let requests go again."""
        self.cause = None
        self.is_probing = False
        self._probes.clear()

    def plan_probe(self, *, is_answered: bool = False) -> None:
        """Set when the next probe goes, after one that failed (or none yet).

        ``is_answered``: Togai had a word on its event alone. That is no proof that the line is open, but the
        next event may be a better one, and should not wait for long. Where refusals have parked the line, it
        is no news.
        """
        if self.cause is None:  # a probe sent before the line was opened by another reply
            return
        first, longest = KEY_PROBES if self.cause.status == UNAUTHORIZED else LINE_PROBES
        if self.cause.every is not None:
            first = longest = self.cause.every
        wait = min(longest, first * 2.0 ** min(self._probes[first], 16))
        if self.cause.on_key:
            wait *= 0.5 + self._random()
        self._probes[first] = (
            0 if is_answered and self.cause.status not in REFUSALS else self._probes[first] + 1
        )
        if self._is_hurried and self.cause.status in REFUSALS:
            wait = 0.0
        self.is_probing = self._is_hurried = False
        self._parked_at = self._clock()
        self.probe_at = self._parked_at + wait

    def probe_wait(self, now: float) -> float | None:
        """Seconds until a parked line may be probed; ``None`` while it is open, or a probe is under way."""
        if self.cause is None or self.is_probing:
            return None
        return max(0.0, self.probe_at - now)

    def closing_wait(self, now: float, left: float) -> float | None:
        """Seconds until the next probe while closing, after one that failed, with ``left`` seconds to go.

        ``None``: no other. A refused key and refused events stay refused, but a gateway may find Togai again.
        """
        if self.cause is None or self.is_by_key or self.cause.status in (FORBIDDEN, *REFUSALS):
            return None
        wait = min(CLOSING_PROBES, max(0.1, left / 4))
        return left if self.is_probing else max(0.0, self._parked_at + wait - now)

    def begin_probe(self) -> None:
        """Note that a flusher takes the next probe."""
        assert self.cause  # noqa: S101  who probes has seen, under the same lock, that the line is parked
        self.is_probing = True
        self._is_hurried = False

    def abandon_probe(self) -> None:
        """Note that the probe was not sent after all; another may be at once."""
        self.is_probing = False

    def probe_now(self) -> None:
        """Probe at once, since something has changed."""
        self.probe_at = self._clock()

    def probe_next(self) -> None:
        """Probe at once; or, where a probe is under way, as soon as that one has failed."""
        self.probe_now()
        self._is_hurried = self.is_probing

    def is_stuck(self) -> bool:
        """Whether the line is parked, and no probe is under way or due: nothing will move soon."""
        wait = self.probe_wait(self._clock())
        return wait is not None and wait > 0.0
