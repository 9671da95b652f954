"""One batch until there is a verdict on it: the only file that knows tenacity.

What the network does comes back as a verdict; nothing here raises for it. A batch whose outcome is unknown is
sent again, the same bytes with the same ids, until Togai answers, however long that takes.
"""

from __future__ import annotations

from collections.abc import Callable

import attrs
import tenacity

from togai_shipper._config import Config
from togai_shipper._outcome import Ledger

from .batching import Batch
from .gate import Gate
from .settlement import MAX_SERVER_ERRORS, is_past_window
from .transport import Key, KeyUnavailable, NoSession, Source, Transport
from .verdict import Park, Reply, TryLater, Verdict, is_line_dead, judge

NO_REPLY = Reply(None)
NOT_SENT = TryLater(None, "not sent", maybe_read=False)
CLOSING_BACKOFF = 1.0  # seconds at most between attempts while closing


@attrs.define(eq=False)
class Carried:
    """A batch on its way: how it stands before the attempt under way, and what the last attempt came to."""

    batch: Batch
    verdict: Verdict = NOT_SENT
    parked: Park | None = None  # set where a reply of this batch parked the line
    closing: float | None = None  # the deadline of close(), if it was called before the last attempt

    def attempted(self, verdict: Verdict) -> None:
        """Another attempt came to ``verdict``; what the one before it left behind is now history."""
        last = self.verdict
        is_500 = isinstance(verdict, TryLater) and verdict.status == 500  # noqa: PLR2004  the table's status
        self.batch = attrs.evolve(
            self.batch,
            attempts=self.batch.attempts + 1,
            maybe_read=self.batch.maybe_read or (isinstance(last, TryLater) and last.maybe_read),
            server_errors=self.batch.server_errors + 1 if is_500 else 0,
        )
        self.verdict = verdict

    def history(self) -> Batch:
        """The batch with every attempt in its past: as it goes back into the line, undecided."""
        last = self.verdict
        maybe_read = isinstance(last, TryLater) and last.maybe_read
        return attrs.evolve(self.batch, probe=False, maybe_read=self.batch.maybe_read or maybe_read)


@attrs.frozen
class Trip:
    """What one delivery may take, asked anew each time; and who has to know how its batch stands."""

    deadline: Callable[[], float]  # when the request under way has to be over
    tried_until: Callable[[], float]  # until when it is tried again
    noted: Callable[[Batch], bool]  # called under the lock; false: it was given up, and is not to be sent


class Delivery:
    """Sends batches, each until its verdict."""

    def __init__(
        self,
        config: Config,
        gate: Gate,
        ledger: Ledger,
        key: Key,
        clock: Callable[[], float],
        random: Callable[[], float],
        failing: Callable[[str], None],
    ) -> None:
        self._config = config
        self._gate = gate
        self._ledger = ledger
        self._key = key
        self._clock = clock
        self._random = random
        self._failing = failing  # told before each backoff what the last attempt came to
        self._dated: tuple[float, float] | None = None  # the server's wall clock, and ours when it said so

    def deliver(self, carried: Carried, transport: Transport, trip: Trip) -> None:
        """Send until there is a verdict other than "try later", or no time or sense in trying on."""
        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_result(lambda verdict: isinstance(verdict, TryLater)),
            stop=lambda _: self._is_over(carried, trip),
            wait=self._backoff,
            sleep=lambda seconds: self._sleep(seconds, carried, trip),
            retry_error_callback=lambda _: None,
        )
        retrying(self._attempt, carried, transport, trip)

    def _attempt(self, carried: Carried, transport: Transport, trip: Trip) -> Verdict:
        batch, gate, source = carried.batch, self._gate, self._key.source
        carried.closing = gate.closing
        key = self._ready(transport)
        if not isinstance(key, str):
            with gate.lock:
                self._heed(carried, key, None, source, trip)
            return key
        turn = gate.enter(batch.path, trip.deadline, probe=batch.probe)
        if not turn:
            return carried.verdict
        verdict: Verdict | None = TryLater(None, "no reply: the flusher was stopped")
        try:
            verdict = self._exchange(batch, transport, key, trip)
        finally:
            with gate.lock:
                gate.step_out()
                if verdict is not None:
                    self._heed(carried, verdict, turn, source, trip)
        return verdict or carried.verdict

    def _ready(self, transport: Transport) -> str | Verdict:
        """The key, and a session; or why there is none.

        Asked for before our turn, since the application's code may take its time: what stops the line
        meanwhile stops us, too.
        """
        try:
            transport.open()
            return self._key.current()
        except NoSession as error:
            return TryLater(None, str(error), maybe_read=False)
        except KeyUnavailable as error:
            return Park(None, str(error), on_key=True)

    def _heed(self, carried: Carried, verdict: Verdict, turn: int | None, source: Source, trip: Trip) -> None:
        parked = self._gate.heed(verdict, turn, probe=carried.batch.probe)
        if self._key.source is source:
            carried.parked = parked or carried.parked
        else:  # set_api_key() came meanwhile: this is no word on the key in use, and nobody is told of it
            self._gate.probe_now()
        carried.attempted(verdict)
        trip.noted(carried.history())

    def _exchange(self, batch: Batch, transport: Transport, key: str, trip: Trip) -> Verdict | None:
        """One request; where the key is refused and there is another by now, one more. ``None``: not sent."""
        verdict = self._send(batch, transport, key, trip)
        if isinstance(verdict, Park) and verdict.on_key:
            try:
                renewed = self._key.renewed(key)
            except KeyUnavailable as error:
                return Park(None, str(error), on_key=True)
            if renewed and self._gate.enter(batch.path, trip.deadline, probe=batch.probe, again=True):
                return self._send(batch, transport, renewed, trip) or verdict
        return verdict

    def _send(self, batch: Batch, transport: Transport, key: str, trip: Trip) -> Verdict | None:
        body = batch.body()
        with self._gate.lock:
            if not trip.noted(attrs.evolve(batch, attempts=batch.attempts + 1, maybe_read=True)):
                return None
            self._ledger.requests += 1
            self._ledger.retries += batch.attempts > 0
            self._ledger.bytes_sent += len(body)
        begun, reply = self._clock(), NO_REPLY
        try:
            reply = transport.send(batch.path, body, key, trip.deadline() - begun)
        finally:
            with self._gate.lock:
                self._ledger.replied(reply.status, self._clock() - begun)
        if reply.date is not None:
            self._dated = (reply.date, self._clock())
        return judge(reply)

    def server_time(self) -> float | None:
        """The server's wall clock now, as far as its replies tell."""
        if self._dated is None:
            return None
        date, at = self._dated
        return date + self._clock() - at

    # --- retrying ---

    def _is_over(self, carried: Carried, trip: Trip) -> bool:
        batch, now = carried.batch, self._clock()
        return (
            batch.probe
            or self._gate.parking is not None
            or self._gate.dead
            or batch.server_errors >= MAX_SERVER_ERRORS
            or is_past_window(carried.batch, now)
            or now >= trip.tried_until()
            or (self._gate.closing is not None and batch.single and not is_line_dead(carried.verdict))
        )

    def _backoff(self, state: tenacity.RetryCallState) -> float:
        """Random exponential with full jitter, never less than the server asks for."""
        assert state.outcome is not None  # noqa: S101  tenacity asks only after an attempt
        verdict: TryLater = state.outcome.result()
        self._failing(verdict.message)
        if verdict.throttled:
            return self._gate.paused_for()
        most = self._config.backoff_max if self._gate.closing is None else CLOSING_BACKOFF
        doubled = self._config.backoff_initial * 2.0 ** min(state.attempt_number - 1, 32)
        return max(verdict.after or 0.0, self._random() * min(most, doubled))

    def _sleep(self, seconds: float, carried: Carried, trip: Trip) -> None:
        """Wait; but no longer once the shipper closes, the line is parked, or its time is up."""
        until = self._clock() + seconds
        while True:
            rings = self._gate.turn.rings
            left = min(until, trip.tried_until()) - self._clock()
            if (
                left <= 0
                or self._gate.closing != carried.closing
                or self._gate.parking is not None
                or self._gate.dead
            ):
                return
            self._gate.turn.wait(rings, left)
