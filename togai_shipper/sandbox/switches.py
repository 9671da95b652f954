"""What a test can choose about the sandbox, in one place.

Here are Togai's limits and quotas, the schemas and accounts of the organisation, and what Togai leaves open
where a client can see the difference; the default is then the likeliest reading. A switch may be changed
while the sandbox runs: the next request sees it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from datetime import timezone, tzinfo
from typing import Any, Literal, TypeAlias

import attrs
from attrs.validators import in_

from .catalog_reading import accounts_given, schemas_given
from .contract import MAX_EVENTS
from .periods import zone_of
from .records import LIST_ORDERS, ListOrder

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
            gets a 401; ``None``: any number.
        unauthenticated_reply: the status that those beyond get.
        locks_out: whether beyond that limit the source's requests with a valid key get it, too.
        batch_limit: how many events a batch may hold.
        max_body_bytes: how long a body may be; ``None``: any length.
        duplicate_reply: the reply to an id that was accepted before: 202 (it is recorded as a duplicate),
            207 (the same, and it is named), or a status such as 409 or 400, which refuses the whole request.
        partial_shape: the shape of a 207, as in ``faults.Partial``: ``"A"`` (a list ``errors``), ``"B"`` (one
            event, not in a list), ``"C"`` (names none), ``"details"`` (as C, with the list in ``details``).
        dedupe_window: how long an id is remembered after it was accepted; ``None``: for ever.
        schemas: the event schemas that exist; ``None``: all. Names; or objects as ``GET /event_schema`` lists
            them; or the path of a file with ``{"event_schemas": [...]}``; or a mapping of each name to the
            names of its attributes and dimensions. Where a schema names any, its events need all of them, and
            may have no other attribute. Other events are accepted, and fail afterwards.
        accounts: the accounts and aliases that exist; ``None``: all. Names; or objects as ``GET /accounts``
            lists them; or the path of a file with ``{"accounts": [...]}``. Events of others fail afterwards.
        inactive_count: whether schemas and accounts that are not ACTIVE work as if they were.
        loose_names: whether a schema is found whatever the case of its name, and the blanks around it.
        extra_attributes_fail: whether an event fails that has an attribute which its schema does not name.
        extra_dimensions_fail: the same for a dimension.
        other_units_fail: whether an event fails that has another unit than the schema's ``defaultUnit``.
        template_makes_ids: whether Togai makes the ids of events whose schema has an ``eventIdTemplate``, and
            ignores those that come; if not, only of events that come without one.
        ends_in: a function of an event (as a dict) that returns the status it ends in, for example
            ``"UNKNOWN"``, or ``None``: what its schema and account make of it.
        grace_period: how long after the end of its calendar month (UTC) an event is billed, and may be
            corrected; ``None``: ever.
        repeat_after_failure: what an id gets that comes again after it ended in ``INGESTION_FAILED*``:
            ``"duplicate"`` (it is recorded as one), ``"processed"`` (it counts as new).
        settle_after: how long a record shows ``INGESTION_IN_PROGRESS`` before it shows its final status.
        may_look_up: whether the key may do more than bring events; if not, look-ups and corrections
            get a 403.
        events_lag: how long after it was accepted a record is shown by ``GET /events`` and
            ``GET /events/{id}``.
        list_order: the order of ``GET /events``: ``"newest"`` event first, by its own timestamp; ``"oldest"``
            first; ``"received"``: in the order in which they were accepted.
        newest_record_first: whether ``GET /events/{id}`` has the copy first that was accepted last.
        unknown_event: the reply to a look-up that finds no event, by its id or in a list, and to a correction
            that finds none: 404, 400, or 200 (an empty list, at which Togai's own clients fail: their lists
            hold one event at least).
        empty_list: how a 200 says that a page of ``GET /events`` holds nothing: ``"list"`` (an empty one), or
            ``"no key"``.
        trailing_page: whether the last page of a list has a token that leads to an empty page.
        null_token: whether the last page has ``"nextToken": null``, rather than none.
        day_rule: when ``POST /metrics`` counts an event: on the day that its timestamp says (``"event"``), or
            when it was accepted (``"receipt"``).
        day_zone: the time zone in which days, weeks and months begin: its name, or a ``tzinfo``.
        whole_periods: whether ``POST /metrics`` counts whole periods, also where its range begins or ends
            within one.
        raw_statuses: whether it knows ``RAW_EVENT_STATUS`` as a group, and the single statuses as a filter;
            if not, they get a 400.
        metrics_limit: how many data points it returns.
        metrics_limit_of: of what these are: of the ``"response"``, a ``"query"``, or a ``"group"``.
        metrics_over_limit: what more get: ``"refuse"`` (a 400), ``"cut"`` (they are left out silently).
        unknown_names: what a filter gets that names a schema or account which does not exist: ``"nothing"``
            (no data), ``"refuse"`` (a 400).
        unknown_groups: whether events of schemas and accounts that do not exist are shown where the counts
            are grouped by these.
        duplicates_count: whether duplicates are counted as unprocessed.
        zero_points: whether periods without events are shown, as 0.
        metrics_lag: how long after it was accepted a record is counted.
        metrics_follow: whether corrections change what is counted.
        unknown_account_corrects: whether an event whose account does not exist can be corrected, by the
            account that it names.
        headers: more headers for every reply, except for those that are no valid HTTP.
        history: how many requests ``FakeTogai.requests`` keeps; ``None``: all.
        event_history: how many events the ledger, and how many the requests keep whole, the newest ones;
            ``None``: all. Of older ones the ledger keeps its counts and the ids.
        id_history: how many ids the ledger knows, the newest ones; ``None``: all. A copy of an older one
            counts as a new event.

    """

    clock: Callable[[], float] = time.time
    rate_limit: float | None = 50.0
    other_rate_limit: float | None = 10.0
    unauthenticated_limit: int | None = None
    unauthenticated_reply: int = attrs.field(default=429, validator=in_((429, 403, 401)))
    locks_out: bool = False
    batch_limit: int = MAX_EVENTS
    max_body_bytes: int | None = None
    duplicate_reply: int = 202
    partial_shape: Shape = attrs.field(default="C", validator=in_(SHAPES))
    dedupe_window: float | None = 45 * DAY
    schemas: Any = attrs.field(default=None, converter=schemas_given)
    accounts: Any = attrs.field(default=None, converter=accounts_given)
    inactive_count: bool = False
    loose_names: bool = False
    extra_attributes_fail: bool = True
    extra_dimensions_fail: bool = False
    other_units_fail: bool = False
    template_makes_ids: bool = False
    ends_in: Callable[[dict[str, Any]], str | None] | None = None
    grace_period: float | None = None
    repeat_after_failure: Literal["duplicate", "processed"] = attrs.field(
        default="duplicate", validator=in_(("duplicate", "processed"))
    )
    settle_after: float = 0.0
    may_look_up: bool = True
    events_lag: float = 0.0
    list_order: ListOrder = attrs.field(default="newest", validator=in_(LIST_ORDERS))
    newest_record_first: bool = False
    unknown_event: int = 404
    empty_list: Literal["list", "no key"] = attrs.field(default="list", validator=in_(("list", "no key")))
    trailing_page: bool = False
    null_token: bool = False
    day_rule: Literal["event", "receipt"] = attrs.field(default="event", validator=in_(("event", "receipt")))
    day_zone: tzinfo = attrs.field(default=timezone.utc, converter=zone_of)
    whole_periods: bool = False
    raw_statuses: bool = True
    metrics_limit: int = 300
    metrics_limit_of: Literal["response", "query", "group"] = attrs.field(
        default="response", validator=in_(("response", "query", "group"))
    )
    metrics_over_limit: Literal["refuse", "cut"] = attrs.field(
        default="refuse", validator=in_(("refuse", "cut"))
    )
    unknown_names: Literal["nothing", "refuse"] = attrs.field(
        default="nothing", validator=in_(("nothing", "refuse"))
    )
    unknown_groups: bool = True
    duplicates_count: bool = True
    zero_points: bool = False
    metrics_lag: float = 0.0
    metrics_follow: bool = True
    unknown_account_corrects: bool = True
    headers: Mapping[str, str] = attrs.field(factory=dict)
    history: int | None = None
    event_history: int | None = None
    id_history: int | None = None
