"""Every figure of ``Stats`` under the name by which it is measured: one table for all who export it.

Counts only grow while a process lives. What was accepted is no count among them, since a file of a spool may
be taken over by another process, with its events: it is what is delivered, relayed, rejected, dropped and
pending.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Literal, TypeAlias, get_args

import attrs

from togai_shipper import Shipper, Stats, _default
from togai_shipper._outcome import State

#: Why events are dropped: named from the start, so that the first one shows as an increase.
DROPS = ("closed", "past dedupe window", "corrupt")
NO_REPLY = "none"  # the status of a request without a whole reply
#: What is found at Togai: named from the start, likewise.
UNBILLED = (
    *("INGESTION_FAILED_SCHEMA_NOT_DEFINED", "INGESTION_FAILED", "INGESTION_FAILED_PAST_GRACE_PERIOD"),
    *("INGESTION_FAILED_UNITS_INVALID", "INGESTION_FAILED_ENRICHMENT_FAILED", "duplicate_alone"),
)
FOUND = (
    *("INGESTION_COMPLETED_EVENT_METERED", "INGESTION_COMPLETED_EVENT_NOT_METERED"),
    *("INGESTION_COMPLETED_NO_MATCHING_METERS", "INGESTION_FAILED_ACCOUNT_NOT_FOUND", "unseen", *UNBILLED),
)

Readings: TypeAlias = Iterator[tuple[tuple[str, ...], float]]  # the values of its labels, and the figure


@attrs.frozen
class Figure:
    """One figure: ``counter`` grows, ``gauge`` stands, ``total`` adds up what single requests took."""

    name: str  # with dots, as OpenTelemetry has it
    kind: Literal["counter", "gauge", "total"]
    unit: str
    help: str
    read: Callable[[Stats, bool], Readings]
    labels: tuple[str, ...] = ()


def _one(figure: Callable[[Stats], float]) -> Callable[[Stats, bool], Readings]:
    return lambda stats, _: iter([((), figure(stats))])


def _ends(stats: Stats, _: bool) -> Readings:  # noqa: FBT001  as every figure is read
    yield ("delivered", ""), stats.delivered - stats.duplicates
    yield ("delivered", "duplicate"), stats.duplicates
    yield ("relayed", ""), stats.relayed
    yield ("rejected", ""), stats.rejected
    for reason, count in {**dict.fromkeys(DROPS, 0), **stats.dropped}.items():
        yield ("dropped", reason), count
    for reason, count in stats.refused.items():
        yield ("refused", reason), count


def _left_out(stats: Stats, _: bool) -> Readings:  # noqa: FBT001  likewise
    for reason, count in stats.left_out.items():
        yield (reason,), count


def _limits(stats: Stats, _: bool) -> Readings:  # noqa: FBT001  likewise
    for option, bound in stats.limits.items():
        yield (option,), bound


def _used(stats: Stats, _: bool) -> Readings:  # noqa: FBT001  likewise
    for option, taken in stats.used.items():
        yield (option,), taken


def _replies(stats: Stats, _: bool) -> Readings:  # noqa: FBT001  likewise
    for status, count in {202: 0, None: 0, **stats.replies}.items():
        yield (NO_REPLY if status is None else str(status),), count


def _found(stats: Stats, _: bool) -> Readings:  # noqa: FBT001  likewise
    for result, count in {**dict.fromkeys(FOUND, 0), **stats.looked_up}.items():
        yield (result,), count


def _unbilled(stats: Stats, _: bool) -> Readings:  # noqa: FBT001  likewise
    for status, count in {**dict.fromkeys(UNBILLED, 0), **stats.unbilled}.items():
        yield (status,), count


def _states(stats: Stats, _: bool) -> Readings:  # noqa: FBT001  likewise
    for state in get_args(State):
        yield (state,), stats.state == state


FIGURES = (
    Figure(
        "togai_shipper.events",
        "counter",
        "{event}",
        "Events that met their end here. refused: never accepted. delivered, duplicate: Togai had them"
        " already. relayed: the relay has them, and is yet to deliver them.",
        _ends,
        ("outcome", "reason"),
    ),
    Figure(
        "togai_shipper.left_out",
        "counter",
        "{work}",
        "Requests, calls, blocks and tasks that were measured and are no event. slash redirect, preflight:"
        " requests that ask for no work. twice: another middleware made an event of it.",
        _left_out,
        ("reason",),
    ),
    Figure(
        "togai_shipper.events.recovered",
        "counter",
        "{event}",
        "Events taken over from the spools of earlier processes, or replayed.",
        _one(lambda stats: stats.recovered),
    ),
    Figure(
        "togai_shipper.events.corrupt",
        "counter",
        "{event}",
        "Events found damaged in the spool, which are not sent.",
        _one(lambda stats: stats.corrupt_rows),
    ),
    Figure(
        "togai_shipper.events.pending",
        "gauge",
        "{event}",
        "Events accepted that have not met their end.",
        _one(lambda stats: stats.pending),
    ),
    Figure(
        "togai_shipper.events.in_flight",
        "gauge",
        "{event}",
        "Pending events that a flusher holds.",
        _one(lambda stats: stats.in_flight),
    ),
    Figure(
        "togai_shipper.events.in_lane",
        "gauge",
        "{event}",
        "Pending events that wait by themselves: Togai rejects everything like them.",
        _one(lambda stats: stats.in_lane),
    ),
    Figure(
        "togai_shipper.limit",
        "gauge",
        "",
        "The bounds of what may wait, by the names of their options: events, or bytes.",
        _limits,
        ("bound",),
    ),
    Figure(
        "togai_shipper.limit.used",
        "gauge",
        "",
        "What is taken of each bound. An event that finds no room is refused, and lost.",
        _used,
        ("bound",),
    ),
    Figure(
        "togai_shipper.oldest_pending",
        "gauge",
        "s",
        "Age of the oldest pending event; 0 if none is.",
        _one(lambda stats: stats.oldest_pending_age),
    ),
    Figure(
        "togai_shipper.requests",
        "counter",
        "{request}",
        "Requests that are over, by HTTP status; none: without a whole reply.",
        _replies,
        ("status",),
    ),
    Figure(
        "togai_shipper.request",
        "total",
        "s",
        "Time that requests took, until their reply was whole or given up.",
        _one(lambda stats: stats.request_seconds),
    ),
    Figure(
        "togai_shipper.requests.in_flight",
        "gauge",
        "{request}",
        "Requests on the wire.",
        _one(lambda stats: stats.requests - sum(stats.replies.values())),
    ),
    Figure(
        "togai_shipper.requests.search",
        "counter",
        "{request}",
        "Requests made to find which events Togai rejects.",
        _one(lambda stats: stats.search_requests),
    ),
    Figure(
        "togai_shipper.retries",
        "counter",
        "{request}",
        "Requests that repeated an earlier one.",
        _one(lambda stats: stats.retries),
    ),
    Figure(
        "togai_shipper.sent",
        "counter",
        "By",
        "Size of the bodies of all requests.",
        _one(lambda stats: stats.bytes_sent),
    ),
    Figure(
        "togai_shipper.healthy",
        "gauge",
        "",
        "Whether events get through as they should: 1, or 0.",
        lambda _, healthy: iter([((), healthy)]),
    ),
    Figure(
        "togai_shipper.state",
        "gauge",
        "",
        "How the shipper stands: 1 for the state that it is in, 0 for the others.",
        _states,
        ("state",),
    ),
    Figure(
        "togai_shipper.events.spooled",
        "gauge",
        "{event}",
        "Pending events that are on disk.",
        _one(lambda stats: stats.spooled),
    ),
    Figure(
        "togai_shipper.spool",
        "gauge",
        "By",
        "Size of the pending events on disk.",
        _one(lambda stats: stats.spool_bytes),
    ),
    Figure(
        "togai_shipper.spool.durable",
        "gauge",
        "",
        "Whether what is accepted is on disk some 10 ms later: 1, or 0; 0 without a spool.",
        _one(lambda stats: stats.durable),
    ),
    Figure(
        "togai_shipper.events.stranded",
        "gauge",
        "{event}",
        "Events on disk that are not this shipper's to send.",
        _one(lambda stats: stats.stranded),
    ),
    Figure(
        "togai_shipper.dead_letters",
        "gauge",
        "{event}",
        "Events kept on disk that were not delivered and will not be, until replayed or purged.",
        _one(lambda stats: stats.dead_letters),
    ),
    Figure(
        "togai_shipper.relay.held",
        "gauge",
        "{event}",
        "Relayed events kept in memory until the Redis that took them shows that it is still the same one.",
        _one(lambda stats: stats.relay_held),
    ),
    Figure(
        "togai_shipper.relay.repeated",
        "counter",
        "{event}",
        "Events handed over once more, since another Redis answered, which may not have them.",
        _one(lambda stats: stats.relay_repeated),
    ),
    Figure(
        "togai_shipper.relay.unproven",
        "counter",
        "{event}",
        "Relayed events that left memory before that was shown, since there was no room.",
        _one(lambda stats: stats.relay_unproven),
    ),
    Figure(
        "togai_shipper.relay.events",
        "gauge",
        "{event}",
        "Events in the relay, everybody's, when this process last looked.",
        _one(lambda stats: stats.relay_events),
    ),
    Figure(
        "togai_shipper.relay.dead_letters",
        "gauge",
        "{event}",
        "Dead letters in the relay, everybody's, when this process last looked.",
        _one(lambda stats: stats.relay_dead),
    ),
    Figure(
        "togai_shipper.relay.stalled",
        "gauge",
        "",
        "Whether the relay holds events and none has left it for 10 minutes: 1, or 0.",
        _one(lambda stats: stats.relay_stalled),
    ),
    Figure(
        "togai_shipper.looked_up",
        "counter",
        "{event}",
        "Delivered events that were looked up at Togai afterwards, by what became of them there.",
        _found,
        ("result",),
    ),
    Figure(
        "togai_shipper.unbilled",
        "counter",
        "{event}",
        "Of those, events that Togai has and does not bill, by its status.",
        _unbilled,
        ("status",),
    ),
)

Shippers: TypeAlias = Mapping[str, Shipper]


def standing(shippers: Shippers | Shipper | None) -> Iterator[tuple[str, Stats, bool]]:
    """Yield each shipper's name, its ``stats()`` in this process, and whether it is healthy."""
    if shippers is None:
        if (default := _default.made()) is not None:
            yield "default", _default.stats(), default.healthy
        return
    if isinstance(shippers, Shipper):
        shippers = {"default": shippers}
    for name, shipper in list(shippers.items()):  # meanwhile another thread may add one
        yield name, shipper.stats(), shipper.healthy
