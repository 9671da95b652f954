"""Whether an event is taken: checked and encoded, given to ``before_send``, and handed to the store.

The end is an ``Outcome``, pending or refused. What is refused is counted; it is also logged and told to
``on_error``, unless an exception tells its caller, or the application asked for it.
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any

from ._caller import caller
from ._config import Config
from ._engine.batching import ENVELOPE
from ._engine.receipt import Receipt
from ._event import (
    MAX_TOLD,
    ChosenId,
    Event,
    Stamp,
    chosen_id,
    decode,
    decode_own,
    encode,
    fresh_id,
    id_of,
    schema_of,
    timestamp_text,
)
from ._outcome import LeftOut, Outcome, Refusal
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
        self._is_off = not config.enabled and config.before_send is None

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
        if self._is_plain:
            if self.pipeline.put(event) is None:
                return accepted_id
        elif self._is_off:
            self.pipeline.refuse("disabled")
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
            return Receipt(self._refused("feedback"))
        try:
            event, event_id = self._encoded(*given)
        except Exception as error:  # whatever the caller's objects raise
            return Receipt(self.refuse_invalid(error, given))
        held = Receipt()
        if self._is_plain and self.pipeline.put(event, held, event_id) is None:
            return held
        wanted = self._wanted(event)
        if isinstance(wanted, Outcome):
            return Receipt(wanted)
        refused = self._put(wanted, held, event_id if wanted is event else id_of(wanted))
        return held if refused is None else Receipt(refused)

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
        if isinstance(wanted, Outcome):
            return wanted
        refused = self._put(wanted)
        return Outcome(id_of(wanted), "pending") if refused is None else refused

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
        given = decode_own(event)
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

    def _put(self, event: bytes, held: Receipt | None = None, event_id: str = "") -> Outcome | None:
        """Hand an event to the store; return the outcome where it is refused."""
        refused = self.pipeline.put(event, held, event_id)
        cause = self.pipeline.why_full(event) if refused == "full" else None
        may_wait = cause is None  # else room is made as Togai rejects others of its kind: too slowly
        if refused == "full" and may_wait and self._config.overflow == "block" and self._may_block():
            refused = self.pipeline.put_waiting(event, self._config.block_timeout, held, event_id)
        if refused is None:
            return None
        if refused == "closed":
            error = ShipperClosed("track() after close(); the event is not accepted")
            return self._refuse("closed", error, event)
        raises = self._config.overflow == "raise"
        # Decoded only for who sees it: a full buffer must not slow its callers down as well.
        given = decode(event) if raises or self._config.on_error is not None else None
        waiting = counted(self.pipeline.pending, "event waits", "events wait")
        why = f"the buffer is full, {waiting}"
        if cause is not None:
            why = f"Togai rejects every event that has {cause}, and too many like it wait"
        full = QueueFull(f"{why}; the event is not accepted", given)
        if raises:
            self.pipeline.refuse("full")
            raise full
        return self._refuse("full", full, event)

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

    def leave_out(self, reason: LeftOut) -> None:
        """Count work that was measured and is no event, since that was asked for."""
        self.pipeline.leave_out(reason)

    def tell_undecided(self, schema_name: object, error: Exception) -> None:
        """Log that ``when`` raised, so that what it was asked about counts."""
        text = "when raised %s for schema %s: what it was asked about counts"
        self.pipeline.log.complain(f"when {schema_name}", text, type(error).__name__, schema_name)

    def tell_refused(self, reason: Refusal, error: TogaiShipperError, event: bytes | None = None) -> None:
        """Log that an event was refused, and whose it was, and call ``on_error``; it is counted already."""
        about: dict[str, object] = {"reason": reason}
        args: list[object] = [reason, error]
        text = "an event was refused (%s): %s"
        if isinstance(error, InvalidEvent):
            about["field"] = error.field.partition("[")[0]
        if schema_name := _schema_of(getattr(error, "given", None)) if event is None else schema_of(event):
            about["schema"] = schema_name
            text += "; schema %s"
            args.append(schema_name)
        if isinstance(error, ConfigurationError):  # every event is refused until somebody mends the options
            about["problem"] = error
        elif who := caller():
            about["caller"] = who
            text += "; tracked at %s"
            args.append(who)
        kind = f"refused {reason}"
        self.pipeline.log.complain(kind, text, *args, level=logging.ERROR, loss=True, about=about)
        self.pipeline.reporter.tell_undelivered(error)

    def _refuse(self, reason: Refusal, error: TogaiShipperError, event: bytes | None = None) -> Outcome:
        self.pipeline.refuse(reason)
        self.tell_refused(reason, error, event)
        return Outcome(None, "refused", reason, error)

    def _refused(self, reason: Refusal, event_id: str | None = None) -> Outcome:
        """Count an event that nobody is told of: it is refused because that was asked for."""
        self.pipeline.refuse(reason)
        return Outcome(event_id, "refused", reason)


def _schema_of(given: Any) -> str:
    """Return the schema's name of what the caller handed over, if it is one."""
    name = given.schema_name if isinstance(given, Event) else given[0] if type(given) is tuple else None
    return name if isinstance(name, str) and 0 < len(name) <= MAX_TOLD else ""


def _invalid(error: Exception) -> InvalidEvent:
    """Return what the caller's objects raised as an ``InvalidEvent``."""
    if isinstance(error, InvalidEvent):
        return error
    invalid = InvalidEvent("event", f"could not be read: {type(error).__name__}")
    invalid.__cause__ = error
    return invalid
