"""What the application and its people are told of each thing that happens: which log line, which callback."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence

from togai_shipper._event import id_of, schema_of
from togai_shipper._outcome import Delivered, Dropped, Finding, Relayed, Settled
from togai_shipper._plural import counted
from togai_shipper.exceptions import DeliveryError, Unauthorized

from .byte_cap import Learnt
from .callbacks import Callbacks
from .causes import Cause
from .log import Log
from .verdict import NO_REPLY_YET, Park

MOST_CAUSES = 5  # for which delivery fails, of which the log speaks before events get through again
_CHANGES = re.compile(
    r"^no reply yet, |^no reply: timed out, |[0-9][0-9,.]*"
)  # within a cause, time and again
PATIENCE = 10.0  # seconds of failed attempts before the log speaks of them: most such mend themselves


class Reporter:
    """Speaks for one shipper in one process."""

    def __init__(self, log: Log, callbacks: Callbacks) -> None:
        self._log = log
        self._callbacks = callbacks
        self._failing: set[str] = set()  # causes that were told since delivery fails, without figures
        self._failed_for = 0.0  # seconds for which it had failed when that was last looked at

    def tell(self, outcome: Settled) -> None:
        """Tell of events that got their outcome."""
        self._callbacks.resolve_receipts()
        if isinstance(outcome, Delivered):
            self._callbacks.delivered(outcome.events)
        elif not isinstance(outcome, Relayed):
            kind = f"{type(outcome).__name__} {outcome.error.status}"
            event = outcome.events[0]
            self._tell_lost(kind, id_of(event), schema_of(event), outcome.error)
            self.tell_undelivered(outcome.error, outcome.events)

    def _tell_lost(self, kind: str, event_id: str, schema_name: str, error: DeliveryError) -> None:
        text, about = "event %s undelivered: %s", {}
        args: list[object] = [event_id, error]
        if schema_name:  # else it is not what we have encoded
            text += "; schema %s"
            args.append(schema_name)
            about["schema"] = schema_name
        self._log.complain(kind, text, *args, level=logging.ERROR, loss=True, about=about)

    def tell_room(self, seconds: float, refused: int) -> None:
        """Tell that the buffer has room again, and has refused none for so long."""
        text = "the buffer has room again, and has refused no event for %.0f s; %s refused before, and lost"
        self._log.recovered("refused full", text, seconds, counted(refused, "event was", "events were"))

    def tell_undelivered(self, error: Exception, events: Sequence[bytes] = ()) -> None:
        """Call ``on_error`` alone."""
        self._callbacks.undelivered(error, events)

    def tell_failing(self, seconds: float, message: str, pending: int) -> None:
        """Tell that every attempt of the last ``seconds`` has failed; not where nothing waits any more.

        Once for each cause, until events get through again.
        """
        if seconds < PATIENCE or not pending:
            return
        about = {"cause": _CHANGES.sub("", message)}
        self._failed_for = seconds
        is_told = about["cause"] in self._failing or len(self._failing) >= MOST_CAUSES
        if is_told or self._log.is_held_back("failing", about):
            return
        self._failing.add(about["cause"])
        text = "delivery has failed for %.0f s (%s); %s, it is tried again"
        if message.startswith(NO_REPLY_YET):  # nothing has failed as yet
            message = message.removeprefix(f"{NO_REPLY_YET}, ")
            text = "delivery has had no reply for %.0f s (%s); %s"
        self._log.complain("failing", text, seconds, message, _waiting(pending), about=about)

    def tell_going_on(self, seconds: float, pending: int) -> None:
        """Tell that events get through again, if it was told that they do not.

        ``seconds``: what the latest reply took to come; where that is long, the way is slow still.
        """
        if self._failing and seconds < PATIENCE:
            self._failing.clear()
            text = "delivery goes on; it had failed for %.0f s; %s"
            waiting = counted(pending, "waits", "wait")
            self._log.write(
                logging.WARNING, text, self._failed_for, waiting, about={"kind": "failing is over"}
            )

    def tell_set_aside(self, event: bytes, why: str) -> None:
        """Tell that the server chokes on this very event, or a gateway refuses it."""
        text = "event %s is set aside, and tried once a minute or less often: %s"
        self._log.complain("set aside", text, id_of(event), why, level=logging.ERROR)

    def tell_learnt(self, learnt: Learnt) -> None:
        """Tell that requests are shorter from now on."""
        why = "had no reply in time, a shorter one had"
        if learnt.is_refused:
            why = f"was refused as too large ({learnt.refusal})"
        text = "a request of %d bytes %s; they have at most %d bytes now, more as soon as more get through"
        self._log.complain("learnt", text, learnt.failed, why, learnt.most)

    def tell_cause(self, cause: Cause) -> None:
        """Tell that events of a cause go into the lane from now on."""
        text = (
            "Togai rejects every event that has %s: such events wait by themselves now, and are tried one at "
            "a time until it takes one; where too many wait, new ones like them wait on disk or in the relay,"
            " or are refused"
        )
        self._log.complain("cause", text, cause, level=logging.ERROR, about={"shared": cause.trait[0]})

    def tell_search(self, share: float) -> None:
        """Tell that most requests serve to find bad events."""
        text = (
            "%s of the requests go into finding the events that Togai rejects, one by one; no account, "
            "schema or names are known, as yet, of which it takes nothing"
        )
        self._log.complain("search", text, f"{share:.0%}")

    def tell_cause_over(self, cause: Cause) -> None:
        """Tell that Togai takes such events again."""
        self._log.write(logging.WARNING, "Togai takes events again that have %s", cause)

    def tell_parked(self, cause: Park, pending: int) -> None:
        """Tell that nothing can be delivered until somebody mends the key or the line.

        Once a minute at most: a line may open for one event, and be parked by the next.
        """
        kind = Unauthorized if cause.on_key else DeliveryError
        error = kind(cause.status, cause.message)
        mend = (
            "a good key mends it, by set_api_key() or a restart"
            if cause.on_key
            else "it is probed, less and less often"
        )
        text = "delivery is parked: %s; %s, none is dropped; %s"
        waiting = _waiting(pending)
        about = {"status": cause.status}
        self._failing.clear()  # this says more, and has an end of its own
        if self._log.complain("parked", text, error, waiting, mend, level=logging.ERROR, about=about):
            self.tell_undelivered(error)

    def tell_opened(self, name: str, pending: int) -> None:
        """Tell that a parked line is open: who is called ``name`` takes events."""
        waiting = counted(pending, "waits", "wait")
        self._log.recovered("parked", "%s takes events again; %s", name, waiting)

    # --- what was looked up ---

    def tell_looked_up(self, finding: Finding, *, is_failure: bool) -> None:
        """Log how an event stands at Togai that took it: an error, or what may be meant to be so."""
        status, words = finding.status, finding.description
        text = "event %s of schema %s was delivered, and Togai does not bill it: %s; %s"
        said = f"{status} ({words})" if words else status
        level = logging.ERROR if is_failure else logging.WARNING
        self._log.write(level, text, finding.event_id, finding.schema_name, said, finding.remedy)

    def tell_unbilled(self, finding: Finding) -> None:
        """Call ``on_unbilled``."""
        self._callbacks.unbilled(finding)

    def tell_look_ups_refused(self) -> None:
        """Log that the key is refused for look-ups."""
        text = (
            "Togai refuses the key for look-ups (401); none is made until events are delivered with another"
        )
        self._log.write(logging.WARNING, text)

    def tell_no_look_ups(self, why: str) -> None:
        """Log that Togai answers no look-ups here."""
        text = "delivered events are not looked up by this process: Togai answers look-ups with %s"
        self._log.write(logging.INFO, text, why)

    def tell_look_ups_failed(self, error: BaseException) -> None:
        """Log that a look-up, or what the application does with it, has ended its thread; another begins."""
        text = f"the thread that looks events up was ended by {type(error).__name__}; delivery goes on"
        self._log.complain("look-ups", text, level=logging.ERROR, exc_info=True)

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
