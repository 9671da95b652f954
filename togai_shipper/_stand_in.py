"""What stands in for the default shipper while its options are wrong: it takes no event, and says so.

A variable of the environment that is missing or mistyped must not break the request that tracks an event. A
stand-in has everything that a ``Shipper`` has; it needs no network library, and starts nothing.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

import attrs

from ._config import ApiKey, Config
from ._engine.ledger import Ledger
from ._engine.log import Log
from ._engine.receipt import Receipt
from ._engine.receipts import Receipts
from ._engine.shutdown import Shutdown
from ._intake import Intake
from ._outcome import FlushReport, LeftOut, Outcome, Refusal, Stats
from ._plural import counted
from ._process.per_process import PerProcess
from ._process.this_process import this_process
from ._secret import Secret
from ._shipper import Shipper
from .exceptions import ConfigurationError, ShipperClosed

if TYPE_CHECKING:
    from ._pipeline import Pipeline


class StandIn(Shipper):
    """A shipper whose options are wrong: every event is refused as ``misconfigured``, and nothing is raised.

    But for ``strict``, where that can be read: an invalid event is an error of the caller's.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.error = ConfigurationError("not looked at yet")
        self._clock = clock
        self._config = _readable()
        self._own: PerProcess[Intake] = PerProcess(self._opened)

    def _opened(self, inherited: Intake | None) -> Intake:
        was_closed = inherited is not None and inherited.pipeline.shutdown.has_begun
        refusing = Refusing(self._clock, lambda: self.error)
        if was_closed:
            refusing.begin_closing(0.0)
        return _RefusingIntake(self._config, refusing)

    def note(self, error: ConfigurationError) -> None:
        """Say from now on that this is wrong; other options may be right meanwhile."""
        self.error = error
        self._config = _readable()
        self._intake.use(self._config)

    def tell_over(self) -> None:
        """Log that the options are right by now: a shipper takes its place."""
        refused = counted(self.stats().refused["misconfigured"], "event was", "events were")
        text = "the options are right now, and events are taken; %s refused before"
        self._pipeline.log.recovered("refused misconfigured", text, refused)

    @property
    def is_closed(self) -> bool:
        """Whether ``close()`` was called: no event is taken before ``configure()``."""
        return self._pipeline.shutdown.has_begun


def _readable() -> Config:
    return attrs.evolve(Config.readable(os.environ), enabled=True)


class Refusing:
    """In place of a pipeline, as far as a shipper and its intake ask: counts and tells what is refused."""

    def __init__(self, clock: Callable[[], float], error: Callable[[], ConfigurationError]) -> None:
        self.process = this_process()
        self.error = error
        self.log = Log(clock)
        self.shutdown = Shutdown()
        self.pending = 0
        self.health = self.reporter = self
        self._lock = threading.RLock()
        self._ledger = Ledger(Receipts())

    # --- an event ---

    def is_feedback(self) -> bool:
        """Whether the calling thread came to ``track()`` through a log record of our own doing."""
        return self.log.is_feedback(frozenset())

    def put(self, event: bytes, held: Receipt | None = None, event_id: str = "") -> str:  # noqa: ARG002  as a pipeline is asked
        """Take no event."""
        return "closed"

    def refuse(self, reason: Refusal) -> None:
        """Count a call of ``track()`` that was not accepted."""
        with self._lock:
            self._ledger.refuse(reason)

    def leave_out(self, reason: LeftOut) -> None:
        """Count work that was measured and is no event."""
        with self._lock:
            self._ledger.leave_out(reason)

    def tell_undelivered(self, error: Exception) -> None:
        """Call nobody: callbacks are no options of the environment."""

    # --- how it stands ---

    def complaint(self) -> str:
        """Why no event gets through."""
        return str(self.error())

    def stats(self) -> Stats:
        """Every figure at one instant."""
        with self._lock:
            state: Any = "closed" if self.shutdown.is_done else "open"
            return Stats(
                refused=dict(self._ledger.refused),
                left_out=dict(self._ledger.left_out),
                last_error=self.complaint(),
                state=state,
            )

    # --- the end, of nothing ---

    def flush(self, timeout: float) -> FlushReport:  # noqa: ARG002  as a pipeline is asked
        """There is nothing to be sent."""
        return FlushReport()

    def sync(self, timeout: float) -> bool:  # noqa: ARG002  likewise
        """There is no spool."""
        return False

    def begin_closing(self, timeout: float) -> None:
        """Refuse events as ``closed`` from now on."""
        self.shutdown.begin(0.0, timeout, is_probing=False)
        self.shutdown.finish()

    def close(self, timeout: float) -> FlushReport:
        """Refuse events as ``closed`` from now on; nothing is pending."""
        self.begin_closing(timeout)
        return FlushReport()

    def abandon(self) -> None:
        """Do nothing when the shipper is dropped unclosed: nothing is pending."""

    def set_api_key(self, key: ApiKey | Secret[Any]) -> None:
        """Use no key: it may not be all that is missing."""


class _RefusingIntake(Intake):
    """Checks events, since ``strict`` may ask for it, and refuses them all."""

    def __init__(self, config: Config, refusing: Refusing) -> None:
        super().__init__(config, cast("Pipeline", refusing))
        self._refusing = refusing

    def _put(self, event: bytes, held: Receipt | None = None, event_id: str = "") -> Outcome:  # noqa: ARG002  none is held
        if self._refusing.shutdown.has_begun:
            error = ShipperClosed("track() after close(); the event is not accepted")
            return self._refuse("closed", error, event)
        return self._refuse("misconfigured", self._refusing.error())
