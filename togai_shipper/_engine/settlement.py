"""What becomes of a batch by a verdict. Pure: outcomes, and the batches in which the rest goes on.

Every event of the batch is in exactly one of the two. No batch goes round for ever, whatever is answered to
it: what goes on is a part of the batch, or has one more of its few ``refusals``, or there is an outage, and
each try waits longer than the one before.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import attrs

from togai_shipper._event import ChosenId, id_of
from togai_shipper._outcome import Delivered, Dropped, Rejected, Relayed, Settled
from togai_shipper.exceptions import EventDropped, EventRejected, PayloadTooLarge

from .batching import Batch, halves, singles
from .dedupe_window import DEDUPE_WINDOW
from .verdict import (
    Accepted,
    Complaint,
    Park,
    Partly,
    Refused,
    TryLater,
    Verdict,
    has_arrived,
    is_choking,
    is_line_dead,
    is_page,
    is_refused_for_size,
    may_be_too_long,
)

# 500s in a row for one batch, or pages of a gateway; then it is divided: one event must not stop the line.
MAX_SERVER_ERRORS = 5
MAX_TRIES = 5  # attempts with one batch without a word on it; from then on others go in between
SET_ASIDE = 60.0  # seconds between tries of a single event on which the server chokes
MAX_ASIDE = 3600.0  # the same, where a gateway keeps refusing it: what those seconds grow to
LET_OTHERS_GO = 0.25  # the same while closing, also for a batch
NEVER = math.inf  # it is not tried again
MAX_REFUSALS = 3  # times one event may park the line, others being accepted between, before it is rejected


@attrs.frozen
class Settlement:
    """The outcomes of some events of a batch, and how the others go on.

    ``again``: batches that go first in the line. ``last``: those that go to its end.
    """

    outcomes: Sequence[Settled] = ()
    again: Sequence[Batch] = ()
    last: Sequence[Batch] = ()


@attrs.frozen
class Circumstances:
    """What the settlement of a batch depends on beside its verdict."""

    now: float  # monotonic seconds
    closing: bool = False
    left: float = math.inf  # closing: seconds until the deadline
    may_divide: bool = True  # closing: the rate limit has room for more requests than there are
    parked: bool = False
    accepted: int = 0  # requests accepted so far
    split: int = 1  # a name for this division, not used before


def settle(batch: Batch, verdict: Verdict, at: Circumstances) -> Settlement:
    """Divide a batch by the verdict on it; ``batch`` holds what was known before the reply."""
    later = attrs.evolve(
        batch, probe=False, not_before=0.0, why_aside="", maybe_read=batch.maybe_read or _may_be_read(verdict)
    )
    match verdict:
        case Accepted(relayed=relayed):
            return Settlement([Relayed(batch.events) if relayed else Delivered(batch.events)])
        case Partly():
            return _settle_partly(batch, later, verdict, at)
        case Refused() if len(batch) > 1:
            return Settlement(again=halves(later, split=at.split if verdict.too_large else 0))
        case Refused(status, message, duplicate, too_large):
            return _refuse(batch, status, Complaint(message, duplicate), at, too_large=too_large)
        case TryLater():
            return _try_later(batch, later, verdict, at)
    return _unpark(batch, later, verdict, at)


def is_past_window(batch: Batch, now: float) -> bool:
    """Whether sending it once more could bill it twice: it may be there, and Togai may forget its id.

    Reckoned on the monotonic clock: a wall clock that jumps must not throw revenue away.
    """
    return batch.maybe_read and now - batch.since > DEDUPE_WINDOW


def past_window(batch: Batch) -> Settlement:
    """Give such a batch up."""
    reason: Final = "past dedupe window"
    return Settlement(
        [Dropped(batch.events, reason, EventDropped(None, reason, batch.attempts, maybe_delivered=True))]
    )


def left_at_close(batches: Sequence[Batch]) -> list[Dropped]:
    """What ``close()`` could not deliver: those never sent apart from those that may be there."""
    outcomes = []
    for maybe_read in (False, True):
        left = [batch for batch in batches if batch.maybe_read is maybe_read]
        if left:
            attempts = max(batch.attempts for batch in left)
            error = EventDropped(None, "closed", attempts, maybe_delivered=maybe_read)
            # Of a million events by themselves none is looked at.
            events = left[0].events if len(left) == 1 else [event for batch in left for event in batch.events]
            outcomes.append(Dropped(events, "closed", error))
    return outcomes


def _may_be_read(verdict: Verdict) -> bool:
    match verdict:
        case TryLater(maybe_read=maybe_read):
            return maybe_read
        case Park():
            return False
    return True


def _settle_partly(batch: Batch, later: Batch, verdict: Partly, at: Circumstances) -> Settlement:
    ids = [id_of(event) for event in batch.events]
    if batch.single:
        return _settle_alone(batch, later, verdict, at)
    if not verdict.named or not verdict.named.keys() <= set(ids):
        return Settlement(again=singles(later))
    taken: list[bytes] = []
    outcomes: list[Settled] = []
    again: list[Batch] = []
    for event_id, alone, alone_later in zip(ids, singles(batch), singles(later), strict=True):
        named = verdict.named.get(event_id)
        if named is None:
            taken += alone.events
        elif named.duplicate:
            refused = _refuse(alone, verdict.status, named, at)
            outcomes += refused.outcomes
            again += refused.last
        else:
            again.append(alone_later)
    return Settlement([Delivered(taken), *outcomes] if taken else outcomes, again)


def _settle_alone(batch: Batch, later: Batch, verdict: Partly, at: Circumstances) -> Settlement:
    """Settle an event that went by itself; a 207 that names nobody, or another one, is no word on it."""
    refusal = verdict.named.get(id_of(batch.events[0]))
    if refusal is None and (verdict.refusal.duplicate or (verdict.status != 207 and not verdict.named)):  # noqa: PLR2004  the table
        refusal = verdict.refusal
    if refusal is not None:
        return _refuse(batch, verdict.status, refusal, at)
    refusals = batch.refusals + 1
    if refusals >= MAX_REFUSALS and not at.parked:  # it may be there: the earlier ones made it maybe_read
        return Settlement([_rejected(batch, verdict.status, verdict.refusal.message)])
    return Settlement(last=[attrs.evolve(later, refusals=refusals)])


def _refuse(
    batch: Batch, status: int | None, refusal: Complaint, at: Circumstances, *, too_large: bool = False
) -> Settlement:
    """Settle one event that is refused; while the line is parked that is not believed, and it waits."""
    # Togai knows the id: our event, if an earlier request may have brought it; or the caller's own repeat.
    if refusal.duplicate and (batch.maybe_read or isinstance(batch.events[0], ChosenId)):
        return Settlement([Delivered(batch.events, duplicates=1)])
    if at.parked:
        return Settlement(last=[attrs.evolve(batch, probe=False, not_before=0.0)])
    message = refusal.message
    if refusal.duplicate:
        message = f"id clash, this id was never sent before: {message}"
    return Settlement([_rejected(batch, status, message, too_large=too_large)])


def _rejected(batch: Batch, status: int | None, message: str, *, too_large: bool = False) -> Rejected:
    kind = PayloadTooLarge if too_large else EventRejected
    return Rejected(batch.events, kind(status, message, batch.attempts, maybe_delivered=batch.maybe_read))


def _try_later(batch: Batch, later: Batch, verdict: TryLater, at: Circumstances) -> Settlement:
    if is_past_window(later, at.now):
        return past_window(later)
    if is_refused_for_size(verdict) and len(batch) > 1:
        return Settlement(again=halves(later, split=at.split))
    if at.closing and not is_line_dead(verdict):
        return _try_last(batch, later, at)
    if batch.server_errors < MAX_SERVER_ERRORS and not is_refused_for_size(verdict):
        yields = lets_others_try(batch, verdict)
        later = attrs.evolve(later, yields=yields)
        goes_last = batch.probe or (batch.single and yields)
        return Settlement(last=[later]) if goes_last else Settlement(again=[later])
    if len(batch) > 1:
        return Settlement(again=halves(later))
    return Settlement(last=[_set_aside(batch, later, verdict, at)])


def lets_others_try(batch: Batch, verdict: Verdict) -> bool:
    """Whether it was tried often without a word on it, and nobody knows whether others fare better.

    One that may be too long is cut anew each time, and joined with others, and so has other rules.
    """
    if batch.attempts < MAX_TRIES or not has_arrived(verdict) or is_choking(verdict):
        return False
    return len(batch) == 1 or not may_be_too_long(verdict)


def _set_aside(batch: Batch, later: Batch, verdict: TryLater, at: Circumstances) -> Batch:
    """Let an event wait on which the server chokes, or that a gateway refuses by itself."""
    (alone,) = singles(later)
    said = "no whole reply to it" if verdict.status is None else f"{verdict.status} to it"
    wait, why = SET_ASIDE, f"Togai answers {said}, and others get through"
    if verdict.status == 500:  # noqa: PLR2004  the table
        why = "Togai answers 500"
    if is_page(verdict):
        wait = min(MAX_ASIDE, wait * 2.0 ** min(16, max(0, batch.server_errors - MAX_SERVER_ERRORS)))
        why = f"a gateway or proxy refuses it, a request of {alone.size:,} bytes (HTTP {verdict.status})"
    # It keeps its 500s, so that one more sets it aside again.
    return attrs.evolve(alone, server_errors=batch.server_errors, not_before=at.now + wait, why_aside=why)


def _try_last(batch: Batch, later: Batch, at: Circumstances) -> Settlement:
    """How a batch on which the server chokes goes on while closing: others first, and then it once more."""
    if batch.server_errors <= 1:
        later = attrs.evolve(later, refused_at=at.accepted)
    elif batch.server_errors >= MAX_SERVER_ERRORS:
        is_the_cause = at.accepted > batch.refused_at  # Togai took others since
        if len(batch) > 1 and (is_the_cause or at.may_divide):
            return Settlement(last=halves(later))
        if len(batch) == 1 and is_the_cause:
            return Settlement(last=[attrs.evolve(later, not_before=NEVER)])
    return Settlement(last=[attrs.evolve(later, not_before=at.now + min(LET_OTHERS_GO, at.left / 4))])


def _unpark(batch: Batch, later: Batch, verdict: Park, at: Circumstances) -> Settlement:
    """How the batch that parked the line goes on once it is open: divided, if it may be the cause itself."""
    if _is_of_the_key(batch, verdict, at):
        if verdict.status is not None:
            later = attrs.evolve(later, refused_at=at.accepted)
        return Settlement(last=[later]) if batch.probe else Settlement(again=[later])
    if len(batch) > 1:
        return Settlement(again=halves(later))
    refusals = batch.refusals + (at.accepted > batch.refused_at)
    if refusals >= MAX_REFUSALS:
        return Settlement([_rejected(batch, verdict.status, verdict.message)])
    (alone,) = singles(later)
    return Settlement(last=[attrs.evolve(alone, refusals=refusals, refused_at=at.accepted)])


def _is_of_the_key(batch: Batch, verdict: Park, at: Circumstances) -> bool:
    """Whether it is the key that is refused: not where others were accepted since this batch was refused."""
    is_first = verdict.status is None or batch.refused_at < 0
    return verdict.for_all or (verdict.on_key and (is_first or at.accepted <= batch.refused_at))
