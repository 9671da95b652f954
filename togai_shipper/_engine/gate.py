"""The gate that every request passes: rate limit, pause after a 429, parked line.

Changed only while holding the shipper's lock; one attribute by itself may be read without it. Waiting is done
outside. A flusher calls ``enter`` before each request, ``step_out`` after it, and ``on_verdict`` with what
the reply meant.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from togai_shipper._config import Config
from togai_shipper._outcome import Delivered, Rejected, Relayed, Settled

from .batching import fits
from .parking import Parking
from .runtime import FOREVER, Runtime
from .shutdown import Shutdown
from .verdict import NO_REPLY_YET, Accepted, Park, Partly, Refused, TryLater, Verdict, words_of

BURST = 5  # requests that may go at once after a rest; few beside Togai's 50 a second
ROUNDING = 1e-6  # of a token: less is not missing, but lost in the arithmetic
ANSWER = 5.0  # seconds that a request which goes alone has for its reply before the next may go after all
ANSWER_CLOSING = 1.0  # the same while closing
LATELY = 60.0  # seconds for which a refusal may be why there was no time for the rest
MAX_PAUSE = 60.0  # seconds: our own exponential after a 429; a Retry-After may ask for more
MAX_PAUSE_CLOSING = 1.0  # the same while closing
LONGER, SHORTER = 1.5, 0.8  # the linger after a 429, and after a good reply: two of those undo one of these
MIN_LINGER, MAX_LINGER = 1.0, 60.0  # seconds of a linger that was made longer
# Single events refused, by Togai for good or by a gateway; then all are refused, and the rest is kept.
MAX_REJECTED_IN_A_ROW = 20
TOO_LARGE = 413
LONG = 10.0  # seconds that an attempt takes until it is told how far it has come


class Bucket:
    """Requests a second to one endpoint, as a token bucket."""

    def __init__(self, rate: float | None, now: float) -> None:
        self._rate = rate
        self._tokens = float(BURST)
        self._at = now

    def wait(self, now: float, count: int = 1) -> float:
        """Seconds until a request may go; or the last of ``count``, one after the other."""
        if self._rate is None:
            return 0.0
        self._tokens = min(float(BURST), self._tokens + (now - self._at) * self._rate)
        self._at = now
        missing = count - self._tokens
        return missing / self._rate if missing > ROUNDING else 0.0

    def spend(self) -> None:
        """Take the token of a request that goes."""
        self._tokens -= 1.0

    def give_back(self) -> None:
        """Take it back: the request was never sent."""
        self._tokens += 1.0


class Gate:
    """Who may send, and when. One for all flushers of a shipper."""

    def __init__(self, config: Config, runtime: Runtime, lock: threading.RLock, shutdown: Shutdown) -> None:
        self._config = config
        self.lock = lock
        self._clock = runtime.clock
        self._random = runtime.random
        self._shutdown = shutdown
        self.turn = runtime.bell()  # rung when a waiting request should look again
        self.parking = Parking(runtime.clock, runtime.random)
        now = self._clock()
        self._buckets = {path: Bucket(config.rate_limit, now) for path in ("/ingest", "/ingestBatch")}
        # Until a reply shows that Togai takes from us (at the start, after a 429) requests go one at a time.
        self.is_trusted = False
        self._stops = 1  # counts how often the line was parked or paused, from 1 on: 0 says "cannot go"
        self._under_way = 0
        self._answer_by = 0.0  # from then on the next request may go, even if one still hangs
        self._paused_until = 0.0
        self._pauses = 0
        # Seconds that a batch which is not full waits for more events. Where processes share a quota, pauses
        # alone do not share it out: who is refused waits ever longer, who is not goes on as before. So each
        # sends less often, and more at once, until nearly all requests are taken.
        self.linger = config.flush_interval
        self.accepted = 0  # requests that Togai took
        self.answer_seconds = 0.0  # what the latest reply took to come
        self._rejected_in_a_row = 0
        self._pages_in_a_row = 0  # single events that a gateway refused
        self._attempts: dict[int, float] = {}  # thread -> when its attempt began that is under way
        self._waiting: dict[int, str] = {}  # how far the attempts of those threads have come, in words
        self._failing_since: float | None = None  # when the first attempt began of those that failed in a row
        self.failed_in_a_row = 0  # attempts since the latest good reply
        self._good_at = self._clock()  # when the latest good reply came
        self.last_error: str | None = None
        self._refusal: tuple[float, str] | None = None  # when somebody last did not take a request; his words

    # --- a flusher's way through ---

    def enter(
        self,
        path: str,
        deadline: Callable[[], float],
        *,
        probe: bool = False,
        again: bool = False,
        woke: Callable[[float], object] = lambda _: None,
    ) -> int:
        """Wait for this request's turn; return 0 where it cannot go now (parked, or past its deadline).

        Otherwise return a number, which goes to ``on_verdict`` with the verdict. ``again``: a second request
        of one whose turn it is already. ``woke`` is told after each wait when that was to end.
        """
        while True:
            with self.lock:
                now = self._clock()
                is_stopped = (self.parking.cause and not probe) or self._shutdown.is_given_up
                if is_stopped or now >= deadline():
                    return 0
                wait = self._wait(path, now, self._under_way - again)
                if wait == 0.0:
                    self._buckets[path].spend()
                    self._under_way += not again
                    self._answer_by = now + (ANSWER_CLOSING if self._shutdown.has_begun else ANSWER)
                    return self._stops
                left = deadline() - now
                rings = self.turn.rings
            wait = min(left, left if wait is None else wait)
            self.turn.wait(rings, None if wait == FOREVER else wait)
            woke(now + wait)

    def _wait(self, path: str, now: float, others: int) -> float | None:
        """Seconds until a request may go; ``None``: until another one is back."""
        if now < self._paused_until:
            return self._paused_until - now
        if others >= self._config.max_in_flight:
            return None
        if others and (alone := self.alone_for(now)):
            return alone
        return self._buckets[path].wait(now)

    def wait_for_rate(self, path: str, now: float) -> float:
        """Seconds for which the rate limit lets no request go."""
        return self._buckets[path].wait(now)

    def alone_for(self, now: float) -> float:
        """Seconds for which no request may go beside the one that is under way, if one is."""
        return 0.0 if self.is_trusted or not self._under_way else max(0.0, self._answer_by - now)

    def step_out(self, unsent: str | None = None) -> None:
        """Note that a request is over; ``unsent``: its path, where nothing of it can have reached Togai."""
        with self.lock:
            self._under_way -= 1
            if unsent:
                self._buckets[unsent].give_back()
            self.turn.ring()

    def on_verdict(self, verdict: Verdict, turn: int | None = None, *, probe: bool = False) -> Park | None:
        """Note what a reply means for every request; return the cause if it parks the line.

        A good reply to a request of before the line was stopped (parked, or paused) does not open it.
        """
        with self.lock:
            self.turn.ring()
            is_current = probe or turn is None or turn == self._stops
            if not isinstance(verdict, Accepted) and verdict.status is not None:
                self._refusal = (self._clock(), words_of(verdict))
            if isinstance(verdict, Accepted):
                self.accepted += 1
                if is_current:
                    self._trust()
                    self.parking.open()
                return None
            if not isinstance(verdict, (Partly, Refused)):
                self.note_failure(words_of(verdict), is_without_reply=verdict.status is None)
            elif is_current:
                self._trust()
                if probe and self.parking.is_by_key:  # the event is refused, and so the key is not
                    self.parking.open()
            if isinstance(verdict, Park):
                return self.park(verdict, probe=probe)
            if isinstance(verdict, TryLater) and verdict.throttled:
                self._pause(verdict, self._clock())
            if probe:
                self.parking.plan_probe(is_answered=isinstance(verdict, (Partly, Refused)))
            return None

    def _trust(self) -> None:
        self.is_trusted = True
        self._pauses = 0
        self.linger = max(self._config.flush_interval, self.linger * SHORTER)
        self._failing_since = None
        self.failed_in_a_row = 0
        self._good_at = self._clock()
        self.last_error = None

    def _distrust(self) -> None:
        """Let requests go one at a time until a good reply comes to one that went after this."""
        self.is_trusted = False
        self._stops += 1

    def _pause(self, verdict: TryLater, now: float) -> None:
        most = MAX_PAUSE_CLOSING if self._shutdown.has_begun else MAX_PAUSE
        own = self._random() * min(most, self._config.backoff_initial * 2.0**self._pauses)
        self._pauses = min(self._pauses + 1, 16)
        longer = min(MAX_LINGER, LONGER * max(MIN_LINGER, self.linger))
        self.linger = max(self._config.flush_interval, longer)
        self._distrust()
        self._paused_until = max(self._paused_until, now + max(verdict.after or 0.0, own))
        if self._shutdown.has_begun and self._paused_until >= self._shutdown.deadline:
            self.give_up()

    def paused_for(self) -> float:
        """Seconds that every request still has to wait."""
        return max(0.0, self._paused_until - self._clock())

    def note_reply(self, seconds: float) -> None:
        """Note how long a reply took to come."""
        self.answer_seconds = seconds

    # --- attempts that fail ---

    @contextmanager
    def attempt(self) -> Iterator[None]:
        """Around what this thread attempts: if it hangs, it fails from its beginning on."""
        me = threading.get_ident()
        with self.lock:
            self._attempts[me] = self._clock()
        try:
            yield
        finally:
            with self.lock:
                self._attempts.pop(me, None)
                self._waiting.pop(me, None)

    def note_waiting(self, words: str) -> None:
        """Note how far the attempt of this thread has come that has no reply yet."""
        with self.lock:
            self._waiting[threading.get_ident()] = words

    def waits_for(self, now: float) -> str | None:
        """Say how far the attempt has come that takes longest, where it takes long."""
        begun, who = min(((begun, who) for who, begun in self._attempts.items()), default=(now, 0))
        return self._waiting.get(who, NO_REPLY_YET) if now - begun >= LONG else None

    def note_failure(self, message: str, *, is_without_reply: bool = False) -> None:
        """Note that an attempt, this thread's, failed: if all do for a while, that is told."""
        with self.lock:
            # Closing, what gets no reply has perhaps had no time: that does not hide what failed before.
            if not (self._shutdown.has_begun and self.last_error and is_without_reply):
                self.last_error = message
            self.failed_in_a_row += 1
            if self._failing_since is None:
                begun = self._attempts.get(threading.get_ident(), self._clock())
                self._failing_since = max(begun, self._good_at)

    def refused_lately(self) -> str | None:
        """What somebody said who did not take a request, in the last minute; others may have got through."""
        if self._refusal is None or self._clock() - self._refusal[0] > LATELY:
            return None
        return self._refusal[1]

    def failing_for(self, now: float) -> float:
        """Seconds for which every attempt has failed, or has had no reply yet."""
        since = [max(begun, self._good_at) for begun in self._attempts.values()]
        if self._failing_since is not None:
            since.append(self._failing_since)
        return now - min(since, default=now)

    # --- parked ---

    def park(self, cause: Park, *, probe: bool = False) -> Park | None:
        """Stop the line; return the cause if it was not parked for that kind of cause already."""
        if self.parking.cause is None:
            self._distrust()
            self.turn.ring()
        return self.parking.park(cause, probe=probe)

    def on_outcome(self, outcome: Settled) -> Park | None:
        """Note what became of events; park, and return why, where Togai seems to refuse everything."""
        self._pages_in_a_row = 0
        if isinstance(outcome, (Delivered, Relayed)):
            self._rejected_in_a_row = 0
        elif isinstance(outcome, Rejected):
            self._rejected_in_a_row += 1
            if self._rejected_in_a_row >= MAX_REJECTED_IN_A_ROW and not self.parking.cause:
                self._rejected_in_a_row = 0
                message = (
                    f"{MAX_REJECTED_IN_A_ROW} events in a row rejected, the last: {outcome.error.message}"
                )
                self.note_failure(message)
                return self.park(Park(outcome.error.status, message, on_key=False))
        return None

    def on_page(self, status: int | None, size: int) -> Park | None:
        """Note that a gateway refused a single event; park, and return why, where it refuses everything."""
        self._pages_in_a_row += 1
        if self._pages_in_a_row < MAX_REJECTED_IN_A_ROW or self.parking.cause:
            return None
        self._pages_in_a_row = 0
        message = (
            f"{MAX_REJECTED_IN_A_ROW} events in a row refused by a gateway or proxy before Togai, "
            f"the last a request of {size:,} bytes"
        )
        if status == TOO_LARGE:
            message += "; it has to let longer ones through (nginx: client_max_body_size)"
        return self.park(Park(status, message, on_key=False))

    # --- closing ---

    def heed_deadline(self) -> None:
        """Let nothing wait longer than the shutdown's deadline allows, now that there is one."""
        now = self._clock()
        self._answer_by = min(self._answer_by, now + ANSWER_CLOSING)
        if self._paused_until >= self._shutdown.deadline:
            self._paused_until = now  # the pause cannot be waited out: one request decides for all
        self.turn.ring()

    def has_time_for(self, count: int, path: str, within: float = FOREVER) -> bool:
        """Whether so many requests, one after the other, fit into what rate limit and deadline leave."""
        now = self._clock()
        wait = max(self._paused_until - now, self._buckets[path].wait(now, count))
        return fits(count, wait, self.answer_seconds, min(within, self._shutdown.deadline - now))

    def give_up(self) -> None:
        """Send nothing more before the end."""
        with self.lock:
            self._shutdown.give_up()
            self.turn.ring()
