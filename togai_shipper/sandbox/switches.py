"""What a test can choose about the sandbox, in one place.

Here are Togai's limits and quotas, the schemas and accounts of the organisation, and what Togai leaves open
where a client can see the difference; the default is then the likeliest reading. A switch may be changed
while the sandbox runs: the next request sees it.
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
    """How the sandbox behaves where no fault is asked for.

    Durations are seconds, sizes are bytes.

    Attributes:
        clock: the wall clock, in seconds since 1970, for the dedupe window, ``createdAt``, tokens and the
            ``Date`` header.
        rate_limit: how many requests a second each ingestion endpoint accepts; ``None``: any number.
        other_rate_limit: the same for all other endpoints together.
        unauthenticated_limit: how many requests without a valid key one source may make in 30 minutes; each
            gets a 401, and those beyond get a 429; ``None``: any number.
        batch_limit: how many events a batch may hold.
        max_body_bytes: how long a body may be; ``None``: any length.
        duplicate_reply: the reply to an id that was accepted before: 202 (it is recorded as a duplicate),
            207 (the same, and it is named), or a status such as 409 or 400, which refuses the whole request.
        partial_shape: the shape of a 207, as in ``faults.Partial``: ``"A"`` (a list ``errors``), ``"B"`` (one
            event, not in a list), ``"C"`` (names none), ``"details"`` (as C, with the list in ``details``).
        dedupe_window: how long an id is remembered after it was accepted; ``None``: for ever.
        schemas: the event schemas that exist; ``None``: all. A mapping also says which attributes and
            dimensions the events of each need. Events of other schemas are accepted, and fail afterwards.
        accounts: the accounts and aliases that exist; ``None``: all. Events of others fail afterwards, too.
        grace_period: how long after the end of its calendar month (UTC) an event is billed; ``None``: ever.
        settle_after: how long a record shows ``INGESTION_IN_PROGRESS`` before it shows its final status.
        unknown_event: the reply to a lookup of an unknown id: 404, 400, or 200 (an empty list).
        trailing_page: whether the last page of a list has a token that leads to an empty page.
        headers: more headers for every reply, except for those that are no valid HTTP.
        history: how many requests ``FakeTogai.requests`` keeps; ``None``: all.

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
