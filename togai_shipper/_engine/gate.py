"""The gate that every request passes: rate limit, pause on 429, parked line.

All of it is touched only while holding the shipper's one lock; waiting is done outside. A flusher calls
``enter`` before each request, ``step_out`` after it, and ``heed`` with what the reply meant.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable

import attrs

from togai_shipper._config import Config
from togai_shipper._outcome import Delivered, Rejected, Settled

from .bell import Bell
from .verdict import Accepted, Park, Partly, Refused, TryLater, Verdict

BURST = 5  # requests that may go at once after a rest; few beside Togai's 50 a second
ROUNDING = 1e-6  # of a token: less is not missing, but lost in the arithmetic
ANSWER = 5.0  # seconds that a request which goes alone has for its reply before the next may go after all
ANSWER_CLOSING = 1.0  # the same while closing
MAX_PAUSE = 60.0  # seconds: our own exponential after a 429; a Retry-After may ask for more
MAX_PAUSE_CLOSING = 1.0  # the same while closing
LONGER, SHORTER = 1.5, 0.8  # the linger after a 429, and after a good reply: two of those undo one of these
MIN_LINGER, MAX_LINGER = 1.0, 60.0  # seconds of a linger that was made longer
MAX_REJECTED_IN_A_ROW = 20  # single events; then Togai is refusing everything, and the rest is kept
KEY_PROBES = (
    600.0,
    3600.0,
)  # seconds to the first probe after a 401, and at most; 5 bad tries in 30 min block an IP
LINE_PROBES = (5.0, 600.0)  # the same after any other reason to park
UNAUTHORIZED = 401


class Bucket:
    """Requests a second to one endpoint, as a token bucket."""

    def __init__(self, rate: float | None, now: float) -> None:
        self._rate = rate
        self._tokens = float(BURST)
        self._at = now

    def wait(self, now: float) -> float:
        """Seconds until a request may go."""
        if self._rate is None:
            return 0.0
        self._tokens = min(float(BURST), self._tokens + (now - self._at) * self._rate)
        self._at = now
        missing = 1.0 - self._tokens
        return missing / self._rate if missing > ROUNDING else 0.0

    def spend(self) -> None:
        """One request goes."""
        self._tokens -= 1.0


@attrs.define(eq=False)
class Parking:
    """Why the line is parked, and when it is probed next."""

    cause: Park
    probes: Counter[float] = attrs.field(factory=Counter)
    probe_at: float = 0.0
    probing: bool = False


class Gate:
    """Who may send, and when. One for all flushers of a shipper."""

    def __init__(
        self,
        config: Config,
        lock: threading.RLock,
        clock: Callable[[], float],
        random: Callable[[], float],
        turn: Bell,
    ) -> None:
        self._config = config
        self.lock = lock
        self._clock = clock
        self._random = random
        self.turn = turn  # rung when a waiting request should look again
        now = clock()
        self._buckets = {path: Bucket(config.rate_limit, now) for path in ("/ingest", "/ingestBatch")}
        # Until a reply shows that Togai takes from us (at the start, after a 429) requests go one at a time.
        self.trusted = False
        self._stops = 1  # how often the line was parked or paused, and one
        self._under_way = 0
        self._answer_by = 0.0  # then one that hangs no longer keeps the next from going
        self._paused_until = 0.0
        self._pauses = 0
        # Seconds that a batch which is not full waits for more events. Where processes share a quota, pauses
        # alone do not share it out: who is refused waits ever longer, who is not goes on as before. So each
        # sends less often, and more at once, until nearly all requests are taken.
        self.linger = config.flush_interval
        self.parking: Parking | None = None
        self.accepted = 0  # requests that Togai took
        self._rejected_in_a_row = 0
        self.closing: float | None = None  # the deadline, once close() was called
        self.dead = False  # closing, and nothing more can be sent before the deadline
        self._failing_since: float | None = None
        self.last_error: str | None = None

    # --- a flusher's way through ---

    def enter(
        self, path: str, deadline: Callable[[], float], *, probe: bool = False, again: bool = False
    ) -> int:
        """Wait for this request's turn; 0 where it cannot go now (parked, or past its deadline).

        What is returned else goes to ``heed`` with the verdict. ``again``: a second request of one whose turn
        it is already.
        """
        while True:
            with self.lock:
                now = self._clock()
                if (self.parking and not probe) or self.dead or now >= deadline():
                    return 0
                wait = self._wait(path, now, self._under_way - again)
                if wait == 0.0:
                    self._buckets[path].spend()
                    self._under_way += not again
                    self._answer_by = now + (ANSWER if self.closing is None else ANSWER_CLOSING)
                    return self._stops
                left = deadline() - now
                rings = self.turn.rings
            wait = min(left, left if wait is None else wait)
            self.turn.wait(rings, None if wait == float("inf") else wait)

    def _wait(self, path: str, now: float, others: int) -> float | None:
        """Seconds until a request may go; ``None``: until another one is back."""
        if now < self._paused_until:
            return self._paused_until - now
        if others >= self._config.max_in_flight:
            return None
        if others and (alone := self.alone_for(now)):
            return alone
        return self._buckets[path].wait(now)

    def alone_for(self, now: float) -> float:
        """Seconds for which no request may go beside the one that is under way, if one is."""
        return 0.0 if self.trusted or not self._under_way else max(0.0, self._answer_by - now)

    def step_out(self) -> None:
        """A request is over."""
        with self.lock:
            self._under_way -= 1
            self.turn.ring()

    def heed(self, verdict: Verdict, turn: int | None = None, *, probe: bool = False) -> Park | None:
        """Note what a reply means for every request; returns the cause if it parks the line.

        A good reply to a request that went before the line was stopped (parked, or paused) does not open it.
        """
        with self.lock:
            self.turn.ring()
            is_current = probe or turn is None or turn == self._stops
            if isinstance(verdict, Accepted):
                self.accepted += 1
                if is_current:
                    self._trust()
                    self.parking = None
                return None
            if not isinstance(verdict, (Partly, Refused)):
                self.fail(verdict.message)
            elif is_current:
                self._trust()
            if isinstance(verdict, Park):
                return self.park(verdict, probe=probe)
            if isinstance(verdict, TryLater) and verdict.throttled:
                self._pause(verdict, self._clock())
            if probe:
                self._probe_again(self._clock())
            return None

    def _trust(self) -> None:
        self.trusted = True
        self._pauses = 0
        self.linger = max(self._config.flush_interval, self.linger * SHORTER)
        self._failing_since = None
        self.last_error = None

    def fail(self, message: str) -> None:
        """An attempt failed: if all do for a while, that is told."""
        with self.lock:
            self.last_error = message
            if self._failing_since is None:
                self._failing_since = self._clock()

    def _pause(self, verdict: TryLater, now: float) -> None:
        most = MAX_PAUSE if self.closing is None else MAX_PAUSE_CLOSING
        own = self._random() * min(most, self._config.backoff_initial * 2.0**self._pauses)
        self._pauses = min(self._pauses + 1, 16)
        longer = min(MAX_LINGER, LONGER * max(MIN_LINGER, self.linger))
        self.linger = max(self._config.flush_interval, longer)
        self.trusted = False
        self._stops += 1
        self._paused_until = max(self._paused_until, now + max(verdict.after or 0.0, own))
        if self.closing is not None and self._paused_until >= self.closing:
            self.give_up()

    def paused_for(self) -> float:
        """Seconds that every request still has to wait."""
        return max(0.0, self._paused_until - self._clock())

    def failing_for(self, now: float) -> float:
        """Seconds since which every attempt has failed."""
        return 0.0 if self._failing_since is None else now - self._failing_since

    # --- parked ---

    def park(self, cause: Park, *, probe: bool = False) -> Park | None:
        """Stop the line; returns the cause if it was not parked for that kind of cause already.

        While parked, only a probe tells more; or a refused key, for which probes must become rare.
        """
        known = self.parking
        is_new = known is None or known.cause.on_key != cause.on_key
        if known is None:
            self.parking = Parking(cause)
            self.trusted = False
            self._stops += 1
            self.turn.ring()
        elif probe or (is_new and cause.on_key):
            known.cause = cause
        else:  # on its way already when the line was parked
            return None
        self._probe_again(self._clock())
        return cause if is_new else None

    def _probe_again(self, now: float) -> None:
        """The next probe, after one that failed (or none yet)."""
        parking = self.parking
        if parking is None:  # a probe sent before the line was opened by another reply
            return
        first, longest = KEY_PROBES if parking.cause.status == UNAUTHORIZED else LINE_PROBES
        wait = min(longest, first * 2.0 ** min(parking.probes[first], 16))
        if parking.cause.on_key:
            wait *= 0.5 + self._random()
        parking.probes[first] += 1  # for each schedule by itself: causes that alternate reset neither
        parking.probing = False
        parking.probe_at = now + wait

    def probe_wait(self, now: float) -> float | None:
        """Seconds until a parked line may be probed; ``None`` while a probe is under way."""
        parking = self.parking
        if parking is None or parking.probing:
            return None
        return max(0.0, parking.probe_at - now)

    @property
    def is_probing(self) -> bool:
        """Whether a probe is under way."""
        return self.parking is not None and self.parking.probing

    def begin_probe(self) -> None:
        """A flusher takes the next probe upon itself."""
        assert self.parking  # noqa: S101  who probes has seen, under the same lock, that the line is parked
        self.parking.probing = True

    def abandon_probe(self) -> None:
        """The probe was not sent after all; another may be at once."""
        if self.parking:
            self.parking.probing = False

    def probe_now(self) -> None:
        """Something changed: probe at once."""
        if self.parking:
            self.parking.probe_at = self._clock()

    def is_stuck(self) -> bool:
        """Parked, and no probe is under way or due: nothing will move soon."""
        wait = self.probe_wait(self._clock())
        return self.parking is not None and wait is not None and wait > 0.0

    def heed_outcome(self, outcome: Settled) -> Park | None:
        """Note what became of events; parks, and returns why, when Togai seems to refuse everything."""
        if isinstance(outcome, Delivered):
            self._rejected_in_a_row = 0
        elif isinstance(outcome, Rejected):
            self._rejected_in_a_row += 1
            if self._rejected_in_a_row >= MAX_REJECTED_IN_A_ROW and not self.parking:
                self._rejected_in_a_row = 0
                message = (
                    f"{MAX_REJECTED_IN_A_ROW} events in a row rejected, the last: {outcome.error.message}"
                )
                self.fail(message)
                return self.park(Park(outcome.error.status, message, on_key=False))
        return None

    # --- closing ---

    def close(self, deadline: float) -> None:
        """From now on everything has to be over by ``deadline``."""
        self.closing = deadline
        self._answer_by = min(self._answer_by, self._clock() + ANSWER_CLOSING)
        if self._paused_until >= deadline:  # the pause cannot be waited out: one request decides for all
            self._paused_until = self._clock()
        self.turn.ring()

    def give_up(self) -> None:
        """Closing, and the line is dead: send nothing more."""
        with self.lock:
            self.dead = True
            self.turn.ring()
