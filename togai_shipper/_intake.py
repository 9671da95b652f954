"""Whether an event is taken: checked and encoded, given to ``before_send``, and handed to the store.

The end is an ``Outcome``, pending or refused. What is refused is counted; it is also logged and told to
``on_error``, unless an exception tells its caller, or the application asked for it.
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any

from ._config import Config
from ._engine.batching import ENVELOPE
from ._engine.receipts import Receipt, receipt
from ._event import ChosenId, Event, Stamp, chosen_id, decode, encode, fresh_id, id_of, timestamp_text
from ._outcome import Outcome, Refusal
from ._plural import counted
from ._process.event_loop import is_running
from .exceptions import ConfigurationError, InvalidEvent, QueueFull, ShipperClosed, TogaiShipperError

if TYPE_CHECKING:
    from ._pipeline import Pipeline

_stamp = Stamp()


class Intake:
    """The way into the pipeline of one process."""

    def __init__(self, config: Config, pipeline: Pipeline) -> None:
        self.pipeline = pipeline
        self.process = pipeline.process
        self.use(config)

    def use(self, config: Config) -> None:
        """Check events by these options from now on."""
        self._config = config
        self._most = config.max_batch_bytes - ENVELOPE  # bytes of an event
        self._is_plain = config.enabled and config.before_send is None

    # --- ways in ---

    def track(
        self,
        schema_name: Any,
        account_id: Any,
        attributes: Any,
        dimensions: Any,
        timestamp: Any,
        event_id: Any,
        idempotency_key: Any,
    ) -> str | None:
        """Take an event by its parts; return its id, or ``None`` where it is refused."""
        if self.pipeline.is_feedback():
            return self._refused("feedback").event_id
        try:
            event, accepted_id = self._encoded(
                schema_name, account_id, attributes, dimensions, timestamp, event_id, idempotency_key
            )
        except Exception as error:  # whatever the caller's objects raise
            given = (schema_name, account_id, attributes, dimensions, timestamp, event_id, idempotency_key)
            return self.refuse_invalid(error, given).event_id
        if self._is_plain and self.pipeline.put(event) is None:
            return accepted_id
        return self._hand_over(event).event_id

    def track_event(self, event: Event) -> str | None:
        """Take an ``Event``; return its id, or ``None`` where it is refused."""
        if self.pipeline.is_feedback():
            return self._refused("feedback").event_id
        try:
            if not isinstance(event, Event):
                raise InvalidEvent("event", f"must be an Event, not {type(event).__name__}")  # noqa: TRY301  told like the rest
            encoded = ChosenId(event.encode())
            self._check_size(encoded)
        except Exception as error:  # whatever a subclass raises
            return self.refuse_invalid(error, event).event_id
        return self._hand_over(encoded).event_id

    def submit(self, *given: Any) -> Receipt:
        """Take an event by its parts, as ``track`` does; return the receipt that will have its outcome."""
        if self.pipeline.is_feedback():
            return receipt(self._refused("feedback"))
        try:
            event, _ = self._encoded(*given)
        except Exception as error:  # whatever the caller's objects raise
            return receipt(self.refuse_invalid(error, given))
        wanted = self._wanted(event)
        if isinstance(wanted, Outcome):
            return receipt(wanted)
        held = receipt()
        outcome = self._put(wanted, held)
        return receipt(outcome) if outcome.status == "refused" else held

    # --- what is taken ---

    def _encoded(
        self,
        schema_name: Any,
        account_id: Any,
        attributes: Any,
        dimensions: Any,
        timestamp: Any,
        event_id: Any,
        idempotency_key: Any,
    ) -> tuple[bytes, str]:
        """Encode an event as it goes to Togai; return it and its id."""
        is_ours = event_id is None and idempotency_key is None
        event_id = fresh_id() if is_ours else chosen_id(schema_name, account_id, event_id, idempotency_key)
        stamp = _stamp(time.time_ns()) if timestamp is None else timestamp_text(timestamp)
        event = encode(schema_name, account_id, attributes, dimensions, stamp, event_id)
        if len(event) > self._most:  # looked at here, so that each event costs one call less
            self._check_size(event)
        return (event if is_ours else ChosenId(event)), event_id

    def _check_size(self, event: bytes) -> None:
        if len(event) > self._most:
            raise InvalidEvent(
                "event", f"must encode to at most {self._most} bytes (max_batch_bytes), has {len(event)}"
            )

    def _hand_over(self, event: bytes) -> Outcome:
        """Take an event the longer way: through ``before_send``, into a buffer that may be full."""
        wanted = self._wanted(event)
        return wanted if isinstance(wanted, Outcome) else self._put(wanted)

    def _wanted(self, event: bytes) -> bytes | Outcome:
        """Return the event as it is to be sent, or the outcome where it is not to be sent."""
        if self._config.before_send is not None:
            changed = self._filtered(event)
            if isinstance(changed, Outcome):
                return changed
            event = changed
        if not self._config.enabled:
            return self._refused("disabled", id_of(event))
        return event

    def _filtered(self, event: bytes) -> bytes | Outcome:
        """Return what ``before_send`` makes of an event, or the outcome where it drops it or raises."""
        given = decode(event)
        try:
            changed = self._config.before_send(given)
            if changed is given:
                return event
            if changed is not None:
                if not isinstance(changed, Event):
                    raise TypeError(f"before_send returned {type(changed).__name__}")  # noqa: TRY301  told like what it raises
                encoded = changed.encode()
                self._check_size(encoded)
                return type(event)(encoded) if changed.id == given.id else ChosenId(encoded)
        except Exception as error:  # the application's code: an event that it cannot redact is not sent
            problem = InvalidEvent(
                "before_send", f"raised {type(error).__name__}; the event is not sent", given
            )
            problem.__cause__ = error
            return self._refuse("filtered", problem)
        return self._refused("filtered")

    def _put(self, event: bytes, held: Receipt | None = None) -> Outcome:
        refused = self.pipeline.put(event, held)
        if refused == "full" and self._config.overflow == "block" and self._may_block():
            refused = self.pipeline.put_waiting(event, self._config.block_timeout, held)
        if refused is None:
            return Outcome(id_of(event), "pending")
        if refused == "closed":
            return self._refuse("closed", ShipperClosed("track() after close(); the event is not accepted"))
        raises = self._config.overflow == "raise"
        # Decoded only for who sees it: a full buffer must not slow its callers down as well.
        given = decode(event) if raises or self._config.on_error is not None else None
        full = QueueFull(
            f"the buffer is full, {counted(self.pipeline.pending, 'event waits', 'events wait')}; "
            "the event is not accepted",
            given,
        )
        if raises:
            self.pipeline.refuse("full")
            raise full
        return self._refuse("full", full)

    def _may_block(self) -> bool:
        """Whether the caller may wait: a flusher would wait for itself, an event loop would stand still."""
        if is_running():
            text = 'overflow="block" does not block under a running event loop: the event is refused'
            self.pipeline.log.complain("event loop", text)
            return False
        return not self.pipeline.flushers.is_here

    # --- what is refused ---

    def refuse_invalid(self, error: Exception, given: Any) -> Outcome:
        """Count an invalid event and tell of it; where ``strict`` is set, raise it in the caller instead."""
        invalid = _invalid(error)
        invalid.given = given  # it is on its way to the caller, or to on_error
        if self._config.strict:
            self.pipeline.refuse("invalid")
            raise invalid
        return self._refuse("invalid", invalid)

    def refuse_unmeasured(self, error: Exception) -> None:
        """Count an event that could not be made of some work, and tell of it; raise nothing."""
        self._refuse("invalid", _invalid(error))

    def tell_refused(self, reason: Refusal, error: TogaiShipperError) -> None:
        """Log that an event was refused, and call ``on_error``; it is counted already."""
        kind = error.field.partition("[")[0] if isinstance(error, InvalidEvent) else ""
        level = logging.WARNING
        if isinstance(error, ConfigurationError):  # every event is refused until somebody mends the options
            kind, level = str(error), logging.ERROR
        text = "an event was refused (%s): %s"
        self.pipeline.log.complain(f"{reason} {kind}", text, reason, error, level=level, loss=True)
        self.pipeline.reporter.tell_undelivered(error)

    def _refuse(self, reason: Refusal, error: TogaiShipperError) -> Outcome:
        self.pipeline.refuse(reason)
        self.tell_refused(reason, error)
        return Outcome(None, "refused", reason, error)

    def _refused(self, reason: Refusal, event_id: str | None = None) -> Outcome:
        """Count an event that nobody is told of: it is refused because that was asked for."""
        self.pipeline.refuse(reason)
        return Outcome(event_id, "refused", reason)


def _invalid(error: Exception) -> InvalidEvent:
    """Return what the caller's objects raised as an ``InvalidEvent``."""
    if isinstance(error, InvalidEvent):
        return error
    invalid = InvalidEvent("event", f"could not be read: {type(error).__name__}")
    invalid.__cause__ = error
    return invalid
