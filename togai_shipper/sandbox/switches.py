"""Every choice of the stand-in, in one place.

What Togai documents is code; what it leaves open, or what was only concluded, is a switch here, with the
likeliest reading as its default. A switch may be turned while the sandbox runs: the next request sees it.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Literal, TypeAlias

import attrs
from attrs.validators import in_

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
        monotonic: the clock of quotas and of the times of requests.
        rate_limit: requests a second that each ingestion endpoint takes; ``None``: any number.
        other_rate_limit: likewise, for all other endpoints together.
        burst: how many requests may come at once before a rate limit bites; ``None``: one second's worth.
        throttle_retry_after: the ``Retry-After`` of a reply to one request too many; ``None``: without one.
        unauthenticated_limit: requests without a good key that one source may make in 30 minutes, each
            answered 401; ``None``: any number.
        unauthenticated_status: the answer to those beyond.
        token_lifetime: how long a token from ``POST /authenticate`` is good.
        batch_limit: events a batch may hold.
        over_limit_status: the answer to a batch that holds more.
        max_body_bytes: the longest body; ``None``: any.
        over_size_status: the answer to a longer one.
        media_status: the answer to what is not plain ``application/json``; ``None``: it is read anyway.
        invalid_batch: what becomes of a batch with an invalid event: ``"refuse"`` (400, nothing taken),
            ``"prefix"`` (400, what stands before it is taken), ``"partial"`` (207, the valid ones are taken).
        duplicate_reply: the answer to an id that was taken before: 202 (recorded as a duplicate), 207
            (likewise, and reported), or a status such as 409 or 400, which refuses the request as a whole.
        partial_shape: how a 207 is put: ``"A"`` (a list ``errors``), ``"B"`` (one event, not in a list),
            ``"C"`` (names nobody), ``"details"`` (as C, with the list in ``details``).
        dedupe_window: how long an id is remembered after it was taken; ``None``: for ever.
        dedupe_scope: among what ids are unique: ``"organisation"``, each ``"account"``, each ``"schema"``.
        length_unit: what lengths of texts are counted in: ``"characters"``, ``"utf16"`` units, or ``"bytes"``
            of UTF-8.
        duplicate_attributes: whether an event may repeat an attribute name.
        zoneless_timestamps: whether a timestamp may come without a zone (it then means UTC).
        max_dimensions: dimensions an event may have; ``None``: any number.
        schemas: the event schemas that exist; ``None``: any. A mapping also says, for each, which attributes
            and dimensions its events need. Events of other schemas are accepted, and fail afterwards.
        accounts: the accounts and aliases that exist; ``None``: any. Likewise.
        grace_period: how long after the end of its calendar month (UTC) an event counts; ``None``: for ever.
        settle_after: how long a record shows ``INGESTION_IN_PROGRESS`` before it shows what became of it.
        unknown_event: the answer to the lookup of an id that is not there: 404, 400, or 200 (an empty list).
        trailing_page: whether the last page of a list carries a token that leads to an empty page.
        date: whether replies carry a ``Date``.
        headers: further headers of every reply that comes from the application.
        keep_alive: how long an idle connection is kept open; read at the start.
        history: how many requests are remembered; ``None``: all.

    """

    clock: Callable[[], float] = time.time
    monotonic: Callable[[], float] = time.monotonic
    rate_limit: float | None = 50.0
    other_rate_limit: float | None = 10.0
    burst: float | None = None
    throttle_retry_after: float | None = None
    unauthenticated_limit: int | None = None
    unauthenticated_status: int = 429
    token_lifetime: float = DAY
    batch_limit: int = 500
    over_limit_status: int = 400
    max_body_bytes: int | None = None
    over_size_status: int = 422
    media_status: int | None = 415
    invalid_batch: Literal["refuse", "prefix", "partial"] = attrs.field(
        default="refuse", validator=in_(("refuse", "prefix", "partial"))
    )
    duplicate_reply: int = 202
    partial_shape: Shape = attrs.field(default="C", validator=in_(SHAPES))
    dedupe_window: float | None = 45 * DAY
    dedupe_scope: Literal["organisation", "account", "schema"] = attrs.field(
        default="organisation", validator=in_(("organisation", "account", "schema"))
    )
    length_unit: Literal["characters", "utf16", "bytes"] = attrs.field(
        default="characters", validator=in_(("characters", "utf16", "bytes"))
    )
    duplicate_attributes: bool = True
    zoneless_timestamps: bool = True
    max_dimensions: int | None = None
    schemas: Mapping[str, Collection[str]] | Collection[str] | None = None
    accounts: Collection[str] | None = None
    grace_period: float | None = None
    settle_after: float = 0.0
    unknown_event: int = 404
    trailing_page: bool = False
    date: bool = True
    headers: Mapping[str, str] = attrs.field(factory=dict)
    keep_alive: int = 75
    history: int | None = None
