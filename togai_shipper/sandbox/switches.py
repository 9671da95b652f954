"""Every choice of the stand-in, in one place.

What Togai documents is code; what it leaves open, or what was only concluded, is a switch here, with the
likeliest reading as its default. A switch may be turned while the sandbox runs: the next request sees it.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Literal, TypeAlias

import attrs
from attrs.validators import in_

from .contract import MAX_EVENTS

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

DAY = 86_400.0  # seconds

Shape: TypeAlias = Literal["A", "B", "C", "details"]
SHAPES = ("A", "B", "C", "details")


@attrs.define(eq=False, kw_only=True)
class Switches:
    """How the sandbox behaves when nothing goes wrong on purpose.

    Durations are seconds, sizes are bytes.

    Attributes:
        clock: the wall clock, seconds since 1970: dedupe window, ``createdAt``, tokens, the ``Date`` header.
        rate_limit: requests a second that each ingestion endpoint takes; ``None``: any number.
        other_rate_limit: likewise, for all other endpoints together.
        unauthenticated_limit: requests without a good key that one source may make in 30 minutes, each
            answered 401, and those beyond 429; ``None``: any number.
        batch_limit: events a batch may hold.
        max_body_bytes: the longest body; ``None``: any.
        duplicate_reply: the answer to an id that was taken before: 202 (recorded as a duplicate), 207
            (likewise, and reported), or a status such as 409 or 400, which refuses the request as a whole.
        partial_shape: how a 207 is put: ``"A"`` (a list ``errors``), ``"B"`` (one event, not in a list),
            ``"C"`` (names nobody), ``"details"`` (as C, with the list in ``details``).
        dedupe_window: how long an id is remembered after it was taken; ``None``: for ever.
        schemas: the event schemas that exist; ``None``: any. A mapping also says, for each, which attributes
            and dimensions its events need. Events of other schemas are accepted, and fail afterwards.
        accounts: the accounts and aliases that exist; ``None``: any. Likewise.
        grace_period: how long after the end of its calendar month (UTC) an event counts; ``None``: for ever.
        settle_after: how long a record shows ``INGESTION_IN_PROGRESS`` before it shows what became of it.
        unknown_event: the answer to the lookup of an id that is not there: 404, 400, or 200 (an empty list).
        trailing_page: whether the last page of a list carries a token that leads to an empty page.
        headers: further headers of every reply that comes from the application.
        history: how many requests are remembered; ``None``: all.

    """

    clock: Callable[[], float] = time.time
    rate_limit: float | None = 50.0
    other_rate_limit: float | None = 10.0
    unauthenticated_limit: int | None = None
    batch_limit: int = MAX_EVENTS
    max_body_bytes: int | None = None
    duplicate_reply: int = 202
    partial_shape: Shape = attrs.field(default="C", validator=in_(SHAPES))
    dedupe_window: float | None = 45 * DAY
    schemas: Mapping[str, Collection[str]] | Collection[str] | None = None
    accounts: Collection[str] | None = None
    grace_period: float | None = None
    settle_after: float = 0.0
    unknown_event: int = 404
    trailing_page: bool = False
    headers: Mapping[str, str] = attrs.field(factory=dict)
    history: int | None = None
