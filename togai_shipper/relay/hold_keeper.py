"""The keeper of a producer's hold: asks Redis who it is when nobody else does, and hands over again.

It is one thread, there while something is held, or waits in the relay. What a flusher hears from Redis does
for it; a producer that is idle has to ask.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Protocol

from togai_shipper._config import Config
from togai_shipper._engine.log import Log
from togai_shipper._engine.runtime import Runtime
from togai_shipper._engine.shutdown import Shutdown
from togai_shipper._engine.threads import Threads
from togai_shipper._plural import counted
from togai_shipper._process.signals import without_sigpipe

from .hold import Hold, Parcel
from .watch import Watch

LAST_LOOK = 1.0  # seconds at most for asking, at the end, whether Redis is the same one still


class Hand(Protocol):
    """What the keeper hands over by, and asks. Used by one thread."""

    def give(self, parcel: Parcel, time_left: float) -> None:
        """Hand a parcel over. Raises ``RelayError``."""

    def look(self, time_left: float) -> None:
        """Ask how the relay stands. Raises ``RelayError``."""

    def close(self) -> None:
        """Close the connection."""


class Keeper:
    """Keeps the hold of one shipper in one process. What it decides by changes under the shipper's lock."""

    def __init__(
        self,
        config: Config,
        runtime: Runtime,
        lock: threading.RLock,
        shutdown: Shutdown,
        log: Log,
        hold: Hold,
        watch: Watch,
        connect: Callable[[], Hand],
        blank: Callable[[str], str],
    ) -> None:
        self._config = config
        self._clock = runtime.clock
        self._random = runtime.random
        self._lock = lock
        self._shutdown = shutdown
        self._log = log
        self._hold = hold
        self._watch = watch
        self._connect = connect
        self._blank = blank  # takes the password out of a text
        self._bell = runtime.bell()
        self._wakes_at = 0.0  # monotonic seconds until which it waits
        self._failures = 0  # in a row
        self._threads = Threads(
            1,
            runtime,
            lock,
            cannot_start="no thread can be started for the relay's hold",
            work=self.work,
            failed=self._failed,
            ended=self.ensure,
        )

    def ensure(self) -> None:
        """See to it that somebody keeps what is held: called without the lock, whenever that has grown."""
        with self._lock:
            wait = self._wait()
            is_early = wait is not None and self._clock() + wait < self._wakes_at
        if is_early:
            self._bell.ring()
        if wait is not None and not self._threads.alive:
            self._threads.start_if(lambda: self._wait() is not None)

    def end(self) -> None:
        """All is over."""
        self._bell.ring()

    def _wait(self) -> float | None:
        """Seconds until there is something to do; ``None``: there is not. Called under the lock."""
        if self._shutdown.is_done:
            return None
        if self._hold.owed:
            return 0.0
        times = [at for at in (self._hold.due_at, self._watch.due_at) if at is not None]
        return max(0.0, min(times) - self._clock()) if times else None

    # --- on its thread ---

    def work(self) -> None:
        """Ask and hand over again, as it becomes due, until there is nothing more."""
        hand = self._connect()
        try:
            while True:
                rings = self._bell.rings
                with self._lock:
                    wait = self._wait()
                    self._wakes_at = self._clock() + (wait or 0.0)
                if wait is None:
                    return
                if wait > 0.0:
                    self._bell.wait(rings, wait)
                elif not self._try(hand, self._config.timeout[1]):
                    self._bell.wait(self._bell.rings, self._backoff())
        finally:
            hand.close()

    def settle(self) -> None:
        """Ask Redis once who it is, and hand over on this thread what is owed, until the deadline."""
        hand = self._connect()
        try:
            left = min(LAST_LOOK, self._shutdown.deadline - self._clock())
            if left > 0 and not self._hold.owed and not self._try(hand, left) and self._hold.events:
                text = (
                    "closed while Redis, which had taken %s, does not answer: if it has lost them, so have we"
                )
                self._log.write(logging.WARNING, text, counted(self._hold.events, "relayed event"))
            while (left := self._shutdown.deadline - self._clock()) > 0 and self._hold.owed:
                rings = self._bell.rings
                if not self._try(hand, left, only_owed=True):
                    self._bell.wait(rings, min(self._backoff(), left))
        finally:
            hand.close()

    def _try(self, hand: Hand, time_left: float, *, only_owed: bool = False) -> bool:
        """Do the next thing that is due; return whether it was done."""
        with self._lock:
            parcel = self._hold.take_owed()
        if parcel is None and only_owed:
            return False  # another thread has it in hand
        is_done = False
        try:
            with without_sigpipe():
                if parcel is None:
                    hand.look(time_left)
                else:
                    hand.give(parcel, time_left)
            is_done = True
        except Exception as error:  # a RelayError; or a bug, and even so nothing that is owed is forgotten
            self._note_failure(self._blank(f"{type(error).__name__}: {error}"))
        finally:
            with self._lock:
                if parcel is not None:
                    (self._hold.settle_owed if is_done else self._hold.put_back)(parcel)
                self._failures = 0 if is_done else self._failures + 1
        return is_done

    def _backoff(self) -> float:
        most = min(self._config.backoff_max, self._config.backoff_initial * 2.0 ** min(self._failures, 16))
        return most * (0.5 + self._random() / 2)

    def _note_failure(self, message: str) -> None:
        if self._hold.owed:
            text = "%s, which the relay may have lost, cannot be handed over again (%s); it is tried again"
            waiting = counted(self._hold.owed, "event")
            self._log.complain("relay owed", text, waiting, message)

    def _failed(self, error: BaseException) -> None:
        text = f"the keeper of the relay's hold was ended by {type(error).__name__}; another takes its place"
        self._log.complain("relay keeper", text, level=logging.ERROR, exc_info=True)
