"""One batch, attempt after attempt, until there is a verdict other than "try later".

No other file knows tenacity.

What the network does comes back as a verdict; nothing here raises for it. A batch whose outcome is unknown is
sent again, the same bytes with the same ids, until Togai answers, however long that takes.
"""

from __future__ import annotations

from collections.abc import Callable

import attrs
import tenacity

from togai_shipper._config import Config
from togai_shipper._event import id_of
from togai_shipper._process.signals import as_application, without_sigpipe
from togai_shipper._secret import Secret

from .batching import Batch
from .destination import Connection
from .exchange import while_waiting
from .gate import Gate
from .key import Key, KeySource, KeyUnavailable
from .ledger import Ledger
from .runtime import FOREVER, Runtime
from .server_clock import ServerClock
from .settlement import MAX_SERVER_ERRORS, is_past_window, lets_others_try
from .shutdown import Shutdown
from .transport import NoSession
from .verdict import (
    NO_REPLY_YET,
    Park,
    Reply,
    TryLater,
    Verdict,
    has_arrived,
    is_choking,
    is_line_dead,
    is_refused_for_size,
    is_togais_word,
    judge,
    may_be_the_request,
    may_be_too_long,
)

NO_REPLY = Reply(None)
TELL_EVERY = 5.0  # seconds of a long wait between attempts, after which it may be told that they fail
NOT_SENT = TryLater(None, "not sent", maybe_read=False)
CLOSING_BACKOFF = 1.0  # seconds at most between attempts while closing; and a quarter of what is left


@attrs.define(eq=False)
class Carried:
    """A batch on its way: how it stands before the attempt under way, and what the last attempt came to."""

    batch: Batch
    verdict: Verdict = NOT_SENT
    parked: Park | None = None  # set where a reply of this batch parked the line
    deadline: float = FOREVER  # of the shutdown, as it was before the last attempt

    def begin_attempt(self, deadline: float) -> None:
        """Note the deadline of the shutdown as it is before the attempt."""
        self.deadline = deadline

    def note_parked(self, parked: Park | None) -> None:
        """Note whether the reply has parked the line."""
        self.parked = parked or self.parked

    def note_repeated(self) -> None:
        """Note that the application's session has sent it more than once in this attempt."""
        self.batch = attrs.evolve(self.batch, maybe_read=True)

    def attempted(self, verdict: Verdict, accepted: int) -> None:
        """Note what another attempt came to; the verdict before it becomes a part of the batch's history.

        ``accepted``: how many requests were accepted so far, of any batch.
        """
        batch = self.batch
        is_others_turn = accepted > batch.tried_at >= 0
        errors = batch.server_errors if has_arrived(verdict) else 0
        self.batch = attrs.evolve(
            batch,
            attempts=batch.attempts + 1,
            maybe_read=self._maybe_read,
            server_errors=errors + (is_choking(verdict) or (may_be_the_request(verdict) and is_others_turn)),
            tried_at=accepted,
        )
        self.verdict = verdict

    def history(self) -> Batch:
        """The batch with every attempt in its past: as it goes back into the line, undecided."""
        return attrs.evolve(self.batch, probe=False, maybe_read=self._maybe_read)

    @property
    def _maybe_read(self) -> bool:
        last = self.verdict
        return self.batch.maybe_read or (isinstance(last, TryLater) and last.maybe_read)


@attrs.frozen
class Trip:
    """What one delivery may take, asked anew each time; and who has to know how it goes.

    Attributes:
        deadline: asked when the request under way has to be over, and until when it is tried again.
        note: told, under the lock, how the batch stands; it returns false where that was given up.
        woke: told after each wait when that was to end.
        failing: told before each backoff, and while no reply comes, what is wrong.

    """

    deadline: Callable[[], float]
    note: Callable[[Batch], bool]
    woke: Callable[[float], None]
    failing: Callable[[str], None]


class Delivery:
    """Sends batches, each until its verdict."""

    def __init__(
        self,
        config: Config,
        runtime: Runtime,
        shutdown: Shutdown,
        gate: Gate,
        ledger: Ledger,
        key: Key,
        server_clock: ServerClock,
    ) -> None:
        self._config = config
        self._clock = runtime.clock
        self._random = runtime.random
        self._shutdown = shutdown
        self._gate = gate
        self._ledger = ledger
        self._key = key
        self._server_clock = server_clock

    def deliver(self, carried: Carried, connection: Connection, trip: Trip) -> None:
        """Send until there is a verdict other than "try later", or no time to try on, or no use in it.

        ``carried`` has what came of it.
        """
        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_result(lambda verdict: isinstance(verdict, TryLater)),
            stop=lambda _: self._is_over(carried, trip),
            wait=lambda state: self._backoff(carried.verdict, self._failed(state.attempt_number), trip),
            sleep=lambda seconds: self._sleep(seconds, carried, trip),
            retry_error_callback=lambda _: None,
        )
        retrying(self._attempt, carried, connection, trip)
        if self._is_to_be_recut(carried) or self._is_to_let_others_try(carried):
            # Where others get through, this one is too long, or is the cause itself, and they need not wait.
            failed = min(carried.batch.attempts, self._gate.failed_in_a_row)
            self._sleep(self._backoff(carried.verdict, failed, trip), carried, trip)

    @staticmethod
    def _is_to_be_recut(carried: Carried) -> bool:
        """Whether the batch goes back into the line, where the next one is cut shorter, or whole again."""
        batch = carried.batch
        return may_be_too_long(carried.verdict) and not (batch.single or batch.probe)

    def _is_to_let_others_try(self, carried: Carried) -> bool:
        return not self._shutdown.has_begun and lets_others_try(carried.batch, carried.verdict)

    def _attempt(self, carried: Carried, connection: Connection, trip: Trip) -> Verdict:
        batch, gate, source = carried.batch, self._gate, self._key.source
        carried.begin_attempt(self._shutdown.deadline)
        with gate.attempt():
            key = self._ready(connection)
            if not isinstance(key, Secret):
                with gate.lock:
                    self._on_verdict(carried, key, None, source, trip)
                return key
        turn = gate.enter(batch.path, trip.deadline, probe=batch.probe, woke=trip.woke)
        if not turn:
            return carried.verdict
        with gate.attempt():
            return self._in_turn(carried, connection, key, turn, source, trip)

    def _in_turn(
        self,
        carried: Carried,
        connection: Connection,
        key: Secret[str],
        turn: int,
        source: KeySource,
        trip: Trip,
    ) -> Verdict:
        batch, gate = carried.batch, self._gate
        verdict: Verdict | None = TryLater(None, "no reply: the flusher was stopped")
        try:
            # Asked this late: the process may have been frozen for weeks in a backoff, or while it waited.
            is_expired = is_past_window(carried.history(), self._clock())
            verdict = None if is_expired else self._exchange(carried, connection, key, trip)
        finally:
            with gate.lock:
                gate.step_out(None if verdict is None or _may_be_sent(verdict) else batch.path)
                if verdict is not None:
                    self._on_verdict(carried, verdict, turn, source, trip)
        return verdict or carried.verdict

    def _ready(self, connection: Connection) -> Secret[str] | Verdict:
        """The key, and a session; or why there is none.

        Asked for before our turn, since the application's code may take its time: what stops the line
        meanwhile stops us, too.
        """
        try:
            with as_application():
                connection.open()
            return self._key.current()
        except NoSession as error:
            return TryLater(None, str(error), maybe_read=False)
        except KeyUnavailable as error:
            return Park(None, str(error), on_key=True)

    def _on_verdict(
        self, carried: Carried, verdict: Verdict, turn: int | None, source: KeySource, trip: Trip
    ) -> None:
        parked = self._gate.on_verdict(verdict, turn, probe=carried.batch.probe)
        if self._key.source is source:
            carried.note_parked(parked)
        else:  # set_api_key() came meanwhile: this is no word on the key in use, and nobody is told of it
            self._gate.parking.probe_now()
        carried.attempted(verdict, self._gate.accepted)
        trip.note(carried.history())

    def _exchange(
        self, carried: Carried, connection: Connection, key: Secret[str], trip: Trip
    ) -> Verdict | None:
        """One request; where the key is refused and there is another by now, one more. ``None``: not sent."""
        batch = carried.batch
        verdict = self._send(carried, connection, key, trip)
        if isinstance(verdict, Park) and verdict.on_key:
            try:
                renewed = self._key.renewed(key)
            except KeyUnavailable as error:
                return Park(None, str(error), on_key=True)
            if renewed and self._gate.enter(batch.path, trip.deadline, probe=batch.probe, again=True):
                return self._send(carried, connection, renewed, trip) or verdict
        return verdict

    def _send(self, carried: Carried, connection: Connection, key: Secret[str], trip: Trip) -> Verdict | None:
        batch = carried.batch
        attempted = attrs.evolve(carried.history(), probe=batch.probe, attempts=batch.attempts + 1)
        begun_with = attrs.evolve(attempted, maybe_read=True)
        with self._gate.lock:
            if not trip.note(attempted):  # pragma: no cover  close() has given it up in this very moment
                return None
            self._ledger.request(batch.size, is_retry=batch.attempts > 0)
            is_lane = batch.cause is not None
            is_search = batch.divided and not batch.split
            self._ledger.search(self._clock(), is_search=is_search, is_lane=is_lane)

        def may_begin() -> bool:  # close() may have given it up while a connection was made, as never sent
            with self._gate.lock:
                return trip.note(begun_with)

        begun, reply = self._clock(), NO_REPLY
        time_left = trip.deadline() - begun
        try:
            with without_sigpipe(), while_waiting(lambda words: self._wait_on(words, trip)):
                reply = connection.send(batch, key, time_left, may_begin)
        finally:
            trip.woke(begun + min(self._config.timeout[1], time_left))
            with self._gate.lock:
                seconds = self._clock() - begun
                self._ledger.replied(reply.status, seconds)
                if reply.status is not None:
                    self._gate.note_reply(seconds)
        if reply.repeated:
            carried.note_repeated()
        verdict = judge(reply, id_of(batch.events[0]) if len(batch) == 1 else None)
        if is_togais_word(reply, verdict):
            self._server_clock.note(reply.date)
        elif reply.verdict is not None:  # of a relay, which does not tell Togai's time: nobody waits for that
            self._server_clock.note(None)
        return verdict

    def _wait_on(self, progress: str, trip: Trip) -> None:
        words = f"{NO_REPLY_YET}, {progress}"
        self._gate.note_waiting(words)
        trip.failing(words)

    # --- retrying ---

    def _is_over(self, carried: Carried, trip: Trip) -> bool:
        batch, now = carried.batch, self._clock()
        return (
            batch.probe
            or self._gate.parking.cause is not None
            or self._shutdown.is_given_up
            or batch.server_errors >= MAX_SERVER_ERRORS
            or is_refused_for_size(carried.verdict)
            or self._is_to_be_recut(carried)
            or self._is_to_let_others_try(carried)
            or is_past_window(carried.history(), now)
            or now >= trip.deadline()
            or (self._shutdown.has_begun and not is_line_dead(carried.verdict))  # all others first
        )

    def _failed(self, attempts: int) -> int:
        """How often in a row it failed, or what any flusher carries: where nobody gets through, all wait."""
        return max(attempts, self._gate.failed_in_a_row // self._config.max_in_flight)

    def _backoff(self, verdict: Verdict, attempts: int, trip: Trip) -> float:
        """Random exponential with full jitter, never less than the server asks for."""
        assert isinstance(verdict, TryLater)  # noqa: S101  any other verdict ends the retries
        trip.failing(verdict.message)
        if verdict.throttled:
            return self._gate.paused_for()
        most = self._config.backoff_max
        if self._shutdown.has_begun:
            most = min(CLOSING_BACKOFF, max(0.1, (self._shutdown.deadline - self._clock()) / 4))
        doubled = self._config.backoff_initial * 2.0 ** min(attempts - 1, 32)
        return max(verdict.after or 0.0, self._random() * min(most, doubled))

    def _sleep(self, seconds: float, carried: Carried, trip: Trip) -> None:
        """Wait; but no longer once the shipper closes, the line is parked, or its time is up.

        While it closes, no longer either once another request was accepted: somebody is there again.
        """
        until, accepted = self._clock() + seconds, self._gate.accepted
        while True:
            rings = self._gate.turn.rings
            left = min(until, trip.deadline()) - self._clock()
            if (
                left <= 0
                or self._shutdown.deadline != carried.deadline
                or (self._shutdown.has_begun and self._gate.accepted != accepted)
                or self._gate.parking.cause is not None
                or self._shutdown.is_given_up
            ):
                return
            now, wait = self._clock(), min(left, TELL_EVERY)
            self._gate.turn.wait(rings, wait)
            trip.woke(now + wait)
            if wait < left and isinstance(carried.verdict, TryLater):
                trip.failing(carried.verdict.message)


def _may_be_sent(verdict: Verdict) -> bool:
    return not isinstance(verdict, TryLater) or verdict.status is not None or verdict.maybe_read
