"""The errors that applications see.

::

    TogaiShipperError
    ├── ConfigurationError          an option is missing or wrong
    ├── InvalidEvent (ValueError)   what was tracked breaks the contract
    ├── QueueFull                   the buffer is full and overflow="raise"
    ├── ShipperClosed               tracked after close()
    └── DeliveryError               events could not be delivered, or delivery is parked
        ├── Unauthorized            Togai refuses the key
        ├── EventRejected           Togai refuses this event for good
        ├── PayloadTooLarge         Togai finds this one event too large
        └── EventDropped            we gave the event up, and say why
"""

from __future__ import annotations

from typing import Any


class TogaiShipperError(Exception):
    """The root of every error of this library."""


class ConfigurationError(TogaiShipperError):
    """An option is missing or has a value that cannot work; names the option and the value, never the key."""


class InvalidEvent(TogaiShipperError, ValueError):  # noqa: N818  the public name says what it is
    """What was tracked breaks Togai's contract.

    The message names the field, the limit and the kind of value, never the value.

    Attributes:
        field: the name of the field at fault, for instance ``"attributes['count']"``.
        problem: what is wrong with it.
        given: what the caller handed over, as it was (``None`` where nothing was kept).

    """

    def __init__(self, field: str, problem: str, given: Any = None) -> None:
        super().__init__(field, problem)
        self.field = field
        self.problem = problem
        self.given = given

    def __str__(self) -> str:
        return f"{self.field}: {self.problem}"


class QueueFull(TogaiShipperError):  # noqa: N818  named as queue.Full is
    """The buffer holds ``max_queue_size`` events or ``max_queue_bytes`` bytes.

    Attributes:
        given: the ``Event`` that found no room.

    """

    def __init__(self, problem: str, given: Any = None) -> None:
        super().__init__(problem)
        self.given = given


class ShipperClosed(TogaiShipperError):  # noqa: N818  a state, not a mishap
    """An event was tracked after ``close()``."""


class DeliveryError(TogaiShipperError):
    """Events could not be delivered, or delivery is parked as a whole; handed to ``on_error``.

    Attributes:
        status: the HTTP status that decided, or ``None`` where there was no reply.
        message: what the server said (at most 500 characters), or our own reason.
        attempts: how many requests were made with these events (0: never sent).
        maybe_delivered: true where an attempt may have been read by Togai. Such an event may be sent
            again with the same id, and counts once; under a new id it would be billed twice.

    """

    def __init__(
        self, status: int | None, message: str, attempts: int = 0, *, maybe_delivered: bool = False
    ) -> None:
        super().__init__(status, message, attempts)
        self.status = status
        self.message = message
        self.attempts = attempts
        self.maybe_delivered = maybe_delivered

    def __str__(self) -> str:
        status = f"HTTP {self.status}"
        return self.message if self.status is None or status in self.message else f"{self.message} ({status})"


class Unauthorized(DeliveryError):  # noqa: N818  the public name says what it is
    """Togai refuses the key (401), or no key could be had: delivery is parked, nothing is dropped."""


class EventRejected(DeliveryError):  # noqa: N818  likewise
    """Togai refuses this very event for good."""


class PayloadTooLarge(EventRejected):
    """Togai finds this one event too large (413, or 422)."""


class EventDropped(DeliveryError):  # noqa: N818  likewise
    """We gave the event up; ``message`` says why (``closed``, ``past dedupe window``, ``corrupt``)."""
