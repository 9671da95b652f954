"""What the reply to a look-up says of an event that Togai took: whether it will be billed. Pure.

Togai has a record of each arrival of an id. The one that says most about the bill counts, in this order:

=========================================  ==============================================================
a record with the status                   what it means
=========================================  ==============================================================
COMPLETED_EVENT_METERED                    it is metered, whatever else there is
IN_PROGRESS                                not yet known
another COMPLETED_*                        Togai has processed it, and no meter has counted it
FAILED_ACCOUNT_NOT_FOUND                   Togai takes it up again within 24 h once the account exists
another FAILED_*                           it is not billed
REVERTED, UNKNOWN, one that nobody knows   somebody has corrected it, or nothing can be said
FAILED_DUPLICATE_EVENT alone               the first arrival is not shown; perhaps not yet
no record of this id                       perhaps not yet
=========================================  ==============================================================

A record with another id says nothing: somebody on the way may have kept the reply to another question.
"""

from __future__ import annotations

import re
from typing import Any, TypeAlias

import attrs

from togai_shipper._printable import printable

from .verdict import Reply, json_object

METERED = "INGESTION_COMPLETED_EVENT_METERED"
IN_PROGRESS = "INGESTION_IN_PROGRESS"
ACCOUNT_NOT_FOUND = "INGESTION_FAILED_ACCOUNT_NOT_FOUND"
DUPLICATE = "INGESTION_FAILED_DUPLICATE_EVENT"
NOT_METERED = "INGESTION_COMPLETED_EVENT_NOT_METERED"
NO_MATCHING_METERS = "INGESTION_COMPLETED_NO_MATCHING_METERS"
UNKNOWN = "UNKNOWN"
UNSEEN = "unseen"  # our own word: Togai shows no record of the id
COMPLETED, FAILED = "INGESTION_COMPLETED", "INGESTION_FAILED"  # what statuses begin with
MAX_DESCRIPTION = 250  # characters of Togai's description that we keep
_STATUS = re.compile("[A-Z_]{1,60}")
_NOT_FOUND = (400, 404, 422)  # Togai's, of an id that it does not know, or cannot have
_LATER = (408, 425, 429)


@attrs.frozen
class Found:
    """What Togai has of the event: a status of its own, or ``UNSEEN``; and its words on it."""

    status: str
    description: str = ""


@attrs.frozen
class NoWord:
    """There is no word on the event now; ``after``: seconds until it is asked again, at least."""

    why: str
    throttled: bool = False
    after: float = 0.0


@attrs.frozen
class KeyRefused:
    """Togai refuses the key."""


@attrs.frozen
class NotAnswered:
    """Look-ups are not answered here at all, and why: the key has no right to them, or nobody knows them."""

    why: str


Answer: TypeAlias = Found | NoWord | KeyRefused | NotAnswered


def read_answer(reply: Reply, event_id: str) -> Answer:
    """Say what ``reply`` means for the event that was looked up; total over every status."""
    answer = json_object(reply.body)
    match reply.status:
        case None:
            return NoWord(reply.error)
        case 401:
            return KeyRefused()
        case status if status in _LATER or status >= 500 or reply.doubt:  # noqa: PLR2004  HTTP's
            return NoWord(reply.doubt or f"HTTP {status}", status == 429, reply.retry_after or 0.0)  # noqa: PLR2004  HTTP's
        case 200 if answer is not None:
            return _found(answer.get("events"), event_id, reply)
        case status if status in _NOT_FOUND and answer is not None:
            return Found(UNSEEN)
    page = "" if answer is not None else ", a page that is not Togai's"
    return NotAnswered(f"HTTP {reply.status}{page}")


def _found(records: Any, event_id: str, reply: Reply) -> Found:
    found = [
        _read(record)
        for record in (records if isinstance(records, list) else ())
        if isinstance(record, dict) and _is_of(record, event_id)
    ]
    best = min(found, key=lambda each: rank(each.status), default=Found(UNSEEN))
    # First blanked, then cut: a secret that is cut would not be known any more.
    return Found(best.status, printable(reply.blank(best.description)[:MAX_DESCRIPTION]))


def _is_of(record: dict[str, Any], event_id: str) -> bool:
    payload = record.get("eventPayload")
    told = payload.get("id") if isinstance(payload, dict) else None
    return told is None or told == event_id


def _read(record: dict[str, Any]) -> Found:
    said = record.get("ingestionStatus")
    said = said if isinstance(said, dict) else {}
    status, description = said.get("status"), said.get("statusDescription")
    is_status = isinstance(status, str) and _STATUS.fullmatch(status)
    return Found(str(status) if is_status else UNKNOWN, description if isinstance(description, str) else "")


def rank(status: str) -> int:
    """Say how much a record with this status counts beside others of its id; the least counts most."""
    exactly = {METERED: 0, IN_PROGRESS: 1, ACCOUNT_NOT_FOUND: 3, DUPLICATE: 6}
    if status in exactly:
        return exactly[status]
    if status.startswith(COMPLETED):
        return 2
    return 4 if status.startswith(FAILED) else 5
