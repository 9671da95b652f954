"""The records that Togai shows of events: those of an id, and pages of those with a status."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import date, datetime, timezone
from typing import Any
from urllib.parse import quote, urlencode

import attrs

from togai_shipper._engine.look_ups import UNKNOWN
from togai_shipper._printable import printable

from .not_answered import NotAnswered
from .togai_asked import TogaiAsked

PAGE = 50  # records: the most that Togai gives at once
PATH = "/events"
_STATUS = re.compile("[A-Z_]{1,60}")


@attrs.frozen
class EventRecord:
    """A record of an event: each arrival of its id makes one.

    Attributes:
        id: of the event; empty if it has none.
        schema: its event schema.
        account: its account, as the event names it.
        happened: its own time, as Togai shows it.
        created: when Togai has received it, as Togai shows it.
        status: what became of it.
        description: Togai's words on that.

    """

    id: str
    schema: str
    account: str
    happened: str
    created: str
    status: str
    description: str

    def day(self, *, of_receipt: bool) -> date | None:
        """Return the day on which it happened, or was received, in UTC; ``None``: it does not tell."""
        try:
            moment = datetime.fromisoformat(
                (self.created if of_receipt else self.happened).replace("Z", "+00:00")
            )
            moment = moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)
            return moment.astimezone(timezone.utc).date()
        except (ValueError, OverflowError):
            return None


def records_of(togai: TogaiAsked, event_id: str) -> list[EventRecord]:
    """Return all records of an id; none if Togai has no such event. Raises ``NotAnswered``."""
    answer = togai.get(f"{PATH}/{quote(event_id, safe='')}")
    if answer.is_refusal:
        return []
    records = [_record(each) for each in _listed(answer.body, "GET /events/ID")]
    return [each for each in records if each.id in ("", event_id)]


def pages(togai: TogaiAsked, most: int, **query: str) -> Iterator[list[EventRecord]]:
    """Yield pages of records, at most so many of them. Raises ``NotAnswered``: also if there are more.

    Args:
        togai: whom to ask.
        most: how many pages.
        query: ``status``, ``account_id`` and ``schema_name``.

    """
    query = {**query, "pageSize": str(PAGE)}
    tokens: set[str] = set()
    for _ in range(most):
        answer = togai.get(f"{PATH}?{urlencode(query)}")
        if answer.is_refusal and not answer.is_missing:
            raise NotAnswered(f"GET {PATH}: Togai refuses the question: {answer.message}")
        if answer.is_refusal:  # so it may say that there are none
            return
        yield [_record(each) for each in _listed(answer.body, f"GET {PATH}")]
        token = answer.body.get("nextToken")
        if not token:
            return
        if not isinstance(token, str) or token in tokens:
            raise NotAnswered(f"GET {PATH}: Togai's pages lead nowhere: the same nextToken again, or none")
        tokens.add(token)
        query["nextToken"] = token
    raise NotAnswered(f"GET {PATH}: there are more than {most:,} pages, which are not all read")


def _listed(body: Mapping[str, Any], asked: str) -> list[dict[str, Any]]:
    events = body.get("events", [])
    if isinstance(events, list) and all(isinstance(each, dict) for each in events):
        return events
    raise NotAnswered(f"{asked}: the answer is not as Togai documents it: events is no list of objects")


def _record(value: Mapping[str, Any]) -> EventRecord:
    payload, said = value.get("eventPayload"), value.get("ingestionStatus")
    payload = payload if isinstance(payload, dict) else {}
    said = said if isinstance(said, dict) else {}
    status = _text(said, "status")
    return EventRecord(
        _text(payload, "id"),
        _text(payload, "schemaName"),
        _text(payload, "accountId"),
        _text(payload, "timestamp"),
        _text(value, "createdAt"),
        status if _STATUS.fullmatch(status) else UNKNOWN,
        printable(_text(said, "statusDescription"))[:250],
    )


def _text(value: Mapping[str, Any], name: str) -> str:
    text = value.get(name)
    return text if isinstance(text, str) else ""
