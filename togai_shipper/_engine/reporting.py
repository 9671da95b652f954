"""What the application and its people are told of each thing that happens: which log line, which callback."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from togai_shipper._event import id_of
from togai_shipper._outcome import Delivered, Dropped, Relayed, Settled
from togai_shipper._plural import counted
from togai_shipper.exceptions import DeliveryError, Unauthorized

from .byte_cap import Learnt
from .callbacks import Callbacks
from .log import Log
from .verdict import Park

PATIENCE = 10.0  # seconds of failed attempts before the log speaks of them: most such mend themselves


class Reporter:
    """Speaks for one shipper in one process."""

    def __init__(self, log: Log, callbacks: Callbacks) -> None:
        self._log = log
        self._callbacks = callbacks

    def tell(self, outcome: Settled) -> None:
        """Tell of events that got their outcome."""
        self._callbacks.resolve_receipts()
        if isinstance(outcome, Delivered):
            self._callbacks.delivered(outcome.events)
        elif not isinstance(outcome, Relayed):
            kind = f"{type(outcome).__name__} {outcome.error.status}"
            event_id = id_of(outcome.events[0])
            self._log.complain(kind, "event %s undelivered: %s", event_id, outcome.error, loss=True)
            self.tell_undelivered(outcome.error, outcome.events)

    def tell_undelivered(self, error: Exception, events: Sequence[bytes] = ()) -> None:
        """Call ``on_error`` alone."""
        self._callbacks.resolve_receipts()
        self._callbacks.undelivered(error, events)

    def tell_failing(self, seconds: float, message: str, pending: int) -> None:
        """Tell that every attempt of the last ``seconds`` has failed."""
        if seconds >= PATIENCE:
            text = "delivery has failed for %.0f s (%s); %s, it is tried again"
            self._log.complain("failing", text, seconds, message, _waiting(pending))

    def tell_set_aside(self, event: bytes, why: str) -> None:
        """Tell that the server chokes on this very event, or a gateway refuses it."""
        text = "event %s is set aside, and tried once a minute or less often: %s"
        self._log.complain("set aside", text, id_of(event), why, level=logging.ERROR)

    def tell_learnt(self, learnt: Learnt) -> None:
        """Tell that requests are shorter from now on."""
        why = "was refused as too large" if learnt.is_refused else "had no reply in time, a shorter one had"
        text = "a request of %d bytes %s; they have at most %d bytes now, more as soon as more get through"
        self._log.complain("learnt", text, learnt.failed, why, learnt.most)

    def tell_parked(self, cause: Park, pending: int) -> None:
        """Tell that nothing can be delivered until somebody mends the key or the line.

        Once a minute at most: a line may open for one event, and be parked by the next.
        """
        kind = Unauthorized if cause.on_key else DeliveryError
        error = kind(cause.status, cause.message)
        mend = "set_api_key() tries at once" if cause.on_key else "it is probed, less and less often"
        text = "delivery is parked: %s; %s, none is dropped; %s"
        waiting = _waiting(pending)
        if self._log.complain(f"parked {cause.status}", text, error, waiting, mend, level=logging.ERROR):
            self.tell_undelivered(error)

    def tell_opened(self, name: str, pending: int) -> None:
        """Tell that a parked line is open: who is called ``name`` takes events."""
        waiting = counted(pending, "waits", "wait")
        self._log.write(logging.INFO, "%s takes events again; %s", name, waiting)

    def tell_closed(
        self, outcomes: Sequence[Dropped], why: str | None, *, kept: int = 0, where: str | None = None
    ) -> None:
        """Log what ``close()`` had to give up, and to leave for later; calls of ``on_error`` are deferred."""
        why_not = why or "there was no time"
        if kept:
            text = "closed with %s undelivered, kept in %s until delivered; last error: %s"
            self._log.write(logging.WARNING, text, counted(kept, "event"), where, why_not, loss=True)
        lost = sum(len(outcome.events) for outcome in outcomes)
        if lost:
            text = "closed with %s undelivered and given up; last error: %s"
            self._log.write(logging.ERROR, text, counted(lost, "event"), why_not, loss=True)
        self._callbacks.keep_for_last([(outcome.error, outcome.events) for outcome in outcomes])


def _waiting(pending: int) -> str:
    return counted(pending, "event waits", "events wait")
