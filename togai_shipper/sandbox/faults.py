"""What can go wrong with one request to an ingestion endpoint. Each fault is a frozen value.

``ingest`` says how many of the request's events are accepted before it goes wrong, from the first one on:
``"none"``, ``"half"`` (rounded down) or ``"all"``. So a reply may differ from what has happened: a 503 with
``ingest="all"`` bills every event. Of a request that Togai would refuse anyway (wrong key, invalid event)
nothing is accepted, whatever ``ingest`` says.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import attrs
from attrs.validators import ge, gt, in_, instance_of, lt, optional

from .switches import SHAPES, Shape

if TYPE_CHECKING:
    from datetime import datetime

Ingest: TypeAlias = Literal["none", "half", "all"]
Events: TypeAlias = Callable[[dict[str, Any]], Any] | tuple[str | int, ...]

_IS_SHARE = in_(("none", "half", "all"))
_MAX_STATUS = 599


def _reply_status(_fault: object, _field: object, status: int) -> None:
    if not 200 <= status <= _MAX_STATUS:  # noqa: PLR2004  the first status of a final reply
        raise ValueError(f"status must be 200 to {_MAX_STATUS}, not {status!r}")


def which(events: Callable[[dict[str, Any]], Any] | Iterable[str | int] | str | int) -> Events:
    """Return a predicate as it is; an id or an index, or several of them, as a tuple."""
    if callable(events):
        return events
    return (events,) if isinstance(events, (str, int)) else tuple(events)


def picks(meant: Events, index: int, event: Any) -> bool:
    """Whether a predicate, or a tuple of ids and indices, picks this event of a request."""
    if callable(meant):
        return bool(meant(event))
    return index in meant or (isinstance(event, dict) and event.get("id") in meant)


# --- replies ----------------------------------------------------------------------------------------------


@attrs.frozen
class Partial:
    """A 207: the bad events are not accepted, all others are.

    Attributes:
        shape: of the body. ``"A"``: ``{"errors": [{"message", "eventPayload"}, ...]}``. ``"B"``: one
            ``{"message", "eventPayload"}``, of the first bad event only. ``"C"``: ``{"success": false, ...}``
            without any event's name. ``"details"``: as C, with the list of A in ``details``.
        bad: a predicate on an event (as a dict), or its id or index, or several; the first event by default.
        message: the message for each bad event.
        code: an error code, sent with it in C and ``"details"``.
        names: whether the bad events' payloads are sent, in A, B and ``"details"``.

    """

    shape: Shape = attrs.field(default="C", validator=in_(SHAPES))
    bad: Events = attrs.field(default=(0,), converter=which)
    message: str = "event was not accepted"
    code: str | None = None
    names: bool = True


@attrs.frozen
class Refuse:
    """A reply with any status, and Togai's body ``{"message": ...}``."""

    status: int = attrs.field(default=400, validator=_reply_status)
    message: str = "refused by the sandbox"
    ingest: Ingest = attrs.field(default="none", kw_only=True, validator=_IS_SHARE)


@attrs.frozen
class Throttle:
    """A 429 (or another status), with or without the header ``Retry-After``.

    Attributes:
        retry_after: seconds; or a ``datetime`` with a zone, sent as an HTTP date; or a text, sent as it is;
            ``None``: no such header.
        status: 503, for instance.

    """

    retry_after: float | str | datetime | None = None
    status: int = attrs.field(default=429, validator=_reply_status)
    message: str = "too many requests"
    ingest: Ingest = attrs.field(default="none", kw_only=True, validator=_IS_SHARE)


@attrs.frozen
class Html:
    """An error page in HTML, as a gateway sends it."""

    status: int = attrs.field(default=502, validator=_reply_status)
    ingest: Ingest = attrs.field(default="none", kw_only=True, validator=_IS_SHARE)


@attrs.frozen
class Empty:
    """A reply without a body."""

    status: int = attrs.field(default=202, validator=_reply_status)
    ingest: Ingest = attrs.field(default="all", kw_only=True, validator=_IS_SHARE)


@attrs.frozen
class Answer:
    """Any reply that HTTP allows; for others see ``Raw``.

    Attributes:
        status: 200 to 599.
        body: the bytes, sent as they are.
        content_type: ``None``: no such header.
        headers: more headers, for instance ``{"Location": "http://127.0.0.1:1/"}`` with a 302.

    """

    status: int = attrs.field(default=202, validator=_reply_status)
    body: bytes = attrs.field(default=b'{"success": true}', validator=instance_of(bytes))
    content_type: str | None = "application/json"
    headers: Mapping[str, str] = attrs.field(factory=dict)
    ingest: Ingest = attrs.field(default="none", kw_only=True, validator=_IS_SHARE)


@attrs.frozen
class Huge:
    """A very long reply: ``{"success": true}`` followed by blanks, ``size`` bytes in all."""

    size: int = attrs.field(default=64 * 1024 * 1024, validator=ge(17))
    status: int = attrs.field(default=202, validator=_reply_status)
    ingest: Ingest = attrs.field(default="none", kw_only=True, validator=_IS_SHARE)


# --- time -------------------------------------------------------------------------------------------------


@attrs.frozen
class Slow:
    """Wait, then do what ``then`` says (``None``: reply as Togai would), even if the client has left by then.

    Attributes:
        seconds: how long to wait.
        then: the fault that follows.
        ingest: how many events are accepted on arrival, before the wait; they are not accepted again
            after it. ``None``: none, they are all accepted after the wait.

    """

    seconds: float = attrs.field(validator=ge(0))
    then: Fault | None = None
    ingest: Ingest | None = attrs.field(default=None, kw_only=True, validator=optional(_IS_SHARE))


@attrs.frozen
class Hold:
    """Wait until ``FakeTogai.release()``, then do what ``then`` says; otherwise as ``Slow``."""

    then: Fault | None = None
    ingest: Ingest | None = attrs.field(default=None, kw_only=True, validator=optional(_IS_SHARE))


# --- the connection ---------------------------------------------------------------------------------------


@attrs.frozen
class Hang:
    """Send no reply: wait until the client leaves, or the sandbox stops."""

    ingest: Ingest = attrs.field(default="none", kw_only=True, validator=_IS_SHARE)


@attrs.frozen
class Reset:
    """Reset the connection (RST) without a reply."""

    ingest: Ingest = attrs.field(default="none", kw_only=True, validator=_IS_SHARE)


@attrs.frozen
class Cut:
    """A 202 whose body stops after ``sent`` of the 17 bytes it announced; then the connection closes."""

    sent: int = attrs.field(default=8, validator=[ge(0), lt(17)])
    ingest: Ingest = attrs.field(default="all", kw_only=True, validator=_IS_SHARE)


@attrs.frozen
class Drip:
    """A 202 that is sent at one byte every ``interval`` seconds, without end.

    Attributes:
        interval: seconds between two bytes.
        part: what is sent so slowly: the ``"body"`` after complete headers, or a line of the ``"headers"``.

    """

    interval: float = attrs.field(default=0.05, validator=gt(0))
    part: Literal["body", "headers"] = attrs.field(default="body", validator=in_(("body", "headers")))
    ingest: Ingest = attrs.field(default="none", kw_only=True, validator=_IS_SHARE)


@attrs.frozen
class Raw:
    """Exactly these bytes; then the connection closes. ``b""``: it closes without a reply."""

    data: bytes = attrs.field(default=b"", validator=instance_of(bytes))
    ingest: Ingest = attrs.field(default="none", kw_only=True, validator=_IS_SHARE)


Fault: TypeAlias = (
    Partial | Refuse | Throttle | Html | Empty | Answer | Huge | Slow | Hold | Hang | Reset | Cut | Drip | Raw
)
