"""What finally became of events, as the application is told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, TypeAlias, get_args

import attrs

from .exceptions import DeliveryError, TogaiShipperError

#: Why ``track()`` did not accept an event.
Refusal: TypeAlias = Literal["invalid", "full", "closed", "filtered", "disabled", "feedback", "misconfigured"]
REFUSALS: tuple[Refusal, ...] = get_args(Refusal)

#: Why an event was given up.
Drop: TypeAlias = Literal["closed", "past dedupe window", "corrupt"]

#: Why work that was measured is no event. ``slash redirect``, ``preflight``: requests that ask for no work.
#: ``twice``: another middleware made an event of it. ``when``: that, or ``failures=False``, said so.
LeftOut: TypeAlias = Literal["slash redirect", "preflight", "twice", "when", "no account"]
LEFT_OUT: tuple[LeftOut, ...] = get_args(LeftOut)

Status: TypeAlias = Literal["delivered", "relayed", "rejected", "dropped", "refused", "pending"]
State: TypeAlias = Literal["open", "parked", "closing", "closed"]


@attrs.frozen
class Delivered:
    """The server took these events, or reported them as duplicates of what it has."""

    events: Sequence[bytes]
    duplicates: int = 0


@attrs.frozen
class Relayed:
    """A relay took these events; whether Togai takes them is seen where it is drained."""

    events: Sequence[bytes]


@attrs.frozen
class Rejected:
    """The server refused these very events for good."""

    events: Sequence[bytes]
    error: DeliveryError


@attrs.frozen
class Dropped:
    """We gave these events up."""

    events: Sequence[bytes]
    reason: Drop
    error: DeliveryError


#: Events that have their outcome, all the same one.
Settled: TypeAlias = Delivered | Relayed | Rejected | Dropped


@attrs.frozen
class Outcome:
    """What became of one event, as a receipt of ``submit()`` says; true only when it is delivered.

    Attributes:
        event_id: the event's id; ``None`` where it was refused before it had one.
        status: ``"delivered"``; ``"relayed"``: the relay has it, and nobody has billed it yet;
            ``"rejected"``: Togai refused it for good; ``"dropped"``: given up;
            ``"refused"``: never accepted; ``"pending"``: kept in the spool by ``close()``, and delivered by
            the next process with the same directory.
        reason: why it was refused or dropped, as in ``stats()``; ``None`` for the others.
        error: what ``on_error`` is told, where it was; it says whether the event may have been delivered.
        duplicate: delivered, and Togai reported that it had the id already.

    """

    event_id: str | None
    status: Status
    reason: str | None = None
    error: TogaiShipperError | None = None
    duplicate: bool = False

    def __bool__(self) -> bool:
        return self.status == "delivered"


@attrs.frozen
class Finding:
    """An event that Togai took and does not bill, as ``on_unbilled`` is told.

    Togai has it: track it again, and it is a second event there. ``remedy`` says what helps.

    Attributes:
        event_id: the event's id.
        schema_name: its event schema, as it was tracked.
        account_id: its account id or alias, as it was tracked.
        timestamp: when it happened, as UTC text with milliseconds.
        status: Togai's own, ``"INGESTION_FAILED_SCHEMA_NOT_DEFINED"`` for instance; or ``"duplicate_alone"``:
            for more than 6 hours Togai has shown a repetition of it, and not the event itself.
        description: Togai's words on that, at most 250 characters; perhaps empty.
        remedy: what to do about it, in a sentence.

    """

    event_id: str
    schema_name: str
    account_id: str
    timestamp: str
    status: str
    description: str = ""
    remedy: str = ""


@attrs.frozen
class Stats:
    """A snapshot of one shipper in this process.

    ``accepted == delivered + relayed + rejected + dropped + pending``.

    Attributes:
        accepted: calls of ``track()`` that returned an id to be delivered.
        delivered: events that Togai took, ``duplicates`` of them reported as already there.
        relayed: events that a relay took, which it is yet to deliver.
        rejected: events that Togai refused for good.
        dropped: events given up, by reason.
        pending: events that have no outcome yet, ``in_flight`` of them held by a flusher.
        in_lane: those of them that wait by themselves, and are tried one at a time: Togai has rejected
            everything lately that shares their account, schema, or names of attributes and dimensions.
        refused: events never accepted, by reason.
        left_out: requests, calls, blocks and tasks that were measured and are no event, by reason.
        limits: the bounds that this shipper has, by the names of their options: ``"max_queue_size"`` (events
            in memory), ``"max_queue_bytes"`` and, with ``spool``, ``"max_spool_bytes"``.
        used: what is taken of each of them; an event that finds no room is refused (``"full"``).
        retries: requests that repeated an earlier one.
        requests: requests made.
        search_requests: those of them that went into finding which events Togai rejects: with a part of a
            batch that it refused, or with events ``in_lane``.
        bytes_sent: bytes of their bodies.
        replies: requests that are over, by HTTP status; ``None``: without a whole reply.
        request_seconds: what those took, all together.
        oldest_pending_age: seconds since the oldest pending event was accepted, to 0.1 s; 0 if none is.
        spooled: pending events that are on disk; this and what follows is 0 or false without ``spool``.
        spool_bytes: what they take there; and what is delivered and cannot leave the disk, since another
            program reads the file and has kept more than 8 MB of its ``-wal`` from being emptied.
        durable: the spool works: what is accepted is on disk some 10 ms later.
        recovered: events taken over from earlier processes, or replayed; counted in ``accepted``, too.
        stranded: events on disk that this shipper does not send: they are for another base URL, or may have
            been sent before, and the clocks do not tell how long ago. A file of another user's counts as one.
        corrupt_rows: events found damaged on disk, which are not sent.
        dead_letters: events kept on disk that were not delivered and will not be, until replayed or purged.
        relay_held: relayed events that are kept in memory, since the Redis that took them has not shown since
            that it is still the same one; this and what follows is 0 or false without ``relay``.
        relay_repeated: events handed over once more, since another Redis answered, which may not have them.
        relay_unproven: relayed events that left memory before that was shown, since there was no room.
        relay_events: events in the relay, everybody's, when this process last handed over or looked.
        relay_dead: dead letters in the relay, likewise.
        relay_stalled: the relay holds events, and none has left it for 10 minutes: nobody drains it.
        looked_up: delivered events that were looked up at Togai afterwards, by what became of them there: a
            status of Togai's, such as ``"INGESTION_COMPLETED_EVENT_METERED"``; ``"unseen"``: Togai has shown
            none for more than 6 hours; ``"duplicate"`` and ``"duplicate_alone"``: nothing but repetitions.
        unbilled: those of them that Togai has and does not bill, by status: see ``on_unbilled``.
        last_error: why delivery last failed, or why ``healthy`` is false; ``None`` when all is well.
        state: ``"open"``, ``"parked"``, ``"closing"`` or ``"closed"``.

    """

    accepted: int = 0
    delivered: int = 0
    duplicates: int = 0
    relayed: int = 0
    rejected: int = 0
    dropped: Mapping[str, int] = attrs.field(factory=dict)
    pending: int = 0
    in_flight: int = 0
    in_lane: int = 0
    refused: Mapping[str, int] = attrs.field(factory=lambda: dict.fromkeys(REFUSALS, 0))
    left_out: Mapping[str, int] = attrs.field(factory=lambda: dict.fromkeys(LEFT_OUT, 0))
    limits: Mapping[str, int] = attrs.field(factory=dict)
    used: Mapping[str, int] = attrs.field(factory=dict)
    retries: int = 0
    requests: int = 0
    search_requests: int = 0
    bytes_sent: int = 0
    replies: Mapping[int | None, int] = attrs.field(factory=dict)
    request_seconds: float = 0.0
    oldest_pending_age: float = 0.0
    spooled: int = 0
    spool_bytes: int = 0
    durable: bool = False
    recovered: int = 0
    stranded: int = 0
    corrupt_rows: int = 0
    dead_letters: int = 0
    relay_held: int = 0
    relay_repeated: int = 0
    relay_unproven: int = 0
    relay_events: int = 0
    relay_dead: int = 0
    relay_stalled: bool = False
    looked_up: Mapping[str, int] = attrs.field(factory=dict)
    unbilled: Mapping[str, int] = attrs.field(factory=dict)
    last_error: str | None = None
    state: State = "open"


@attrs.frozen
class FlushReport:
    """What became of events since ``flush()`` or ``close()`` was called.

    True only when everything that the call waited for is delivered, or relayed.

    Attributes:
        delivered: events delivered since the call began.
        rejected: events refused for good by Togai since then.
        dropped: events given up since then.
        pending: events accepted before the call that are still undelivered.
        relayed: events that a relay took since then, which it is yet to deliver.
        held: events relayed by now that would be handed over once more if the relay lost them: what took them
            has not shown since that it still has them.

    """

    delivered: int = 0
    rejected: int = 0
    dropped: int = 0
    pending: int = 0
    relayed: int = 0
    held: int = 0

    def __bool__(self) -> bool:
        return not (self.rejected or self.dropped or self.pending)
