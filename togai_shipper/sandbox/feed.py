"""What the page shows of the requests that came: rows of plain values, ready for JSON. Pure.

A viewer's ``Feed`` is shown all requests that are kept, again and again, and returns rows of what is new.
Where more is new than anybody can read, it returns the newest, and says how many it left out; whoever filters
is shown what matches.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import datetime, timezone
from typing import Any, TypeAlias

import attrs

from . import contract
from .event_outcome import EventOutcome
from .journal import Answered

Row: TypeAlias = dict[str, Any]
Place: TypeAlias = tuple[Answered, int]  # a request, and the index of an event in it

MOST_EVENTS, MOST_REQUESTS = 40, 40  # rows of one update
FIRST_EVENTS = 200  # rows of events of a viewer's first update
MOST_COPIES = 100

_UNSHOWN = frozenset(("authorization", "cookie", "proxy-authorization"))
_LONGEST = 600  # characters of a text in a row; the opened event has all


@attrs.frozen
class Update:
    """What is new to a viewer: rows, oldest first, and how many of each were left out."""

    requests: list[Row]
    events: list[Row]
    requests_left_out: int
    events_left_out: int


class Feed:
    """What one viewer has been shown."""

    def __init__(self, query: str = "") -> None:
        self._words = query.lower().split()
        self._open: set[int] = set()
        self._over: set[int] = set()
        self._is_first = True

    def update(self, requests: Sequence[Answered], wall: float) -> Update:
        """Return what is new; ``wall`` is what must be added to ``at`` for seconds since 1970."""
        open_, over = self._open, self._over
        new = [each for each in requests if each.number not in (open_ if each.ended is None else over)]
        self._over = {each.number for each in requests if each.ended is not None}
        self._open = {each.number for each in requests if each.ended is None}
        most, self._is_first = (FIRST_EVENTS if self._is_first else MOST_EVENTS), False
        places, left_out = self._newest(new, most)
        return Update(
            requests=[request_row(each, wall) for each in new[-MOST_REQUESTS:]],
            events=[event_row(request, index, wall) for request, index in places],
            requests_left_out=max(0, len(new) - MOST_REQUESTS),
            events_left_out=left_out,
        )

    def _newest(self, new: Sequence[Answered], most: int) -> tuple[list[Place], int]:
        over = [each for each in new if each.ended is not None]
        if self._words:
            found = [place for each in over for place in matching(each, self._words)]
            return found[-most:], max(0, len(found) - most)
        newest: list[Place] = []
        for each in reversed(over):
            indices = range(len(each.events))[-(most - len(newest)) :] if len(newest) < most else ()
            newest[:0] = [(each, index) for index in indices]
        return newest, sum(len(each.events) for each in over) - len(newest)


# --- rows -------------------------------------------------------------------------------------------------


def request_row(request: Answered, wall: float) -> Row:
    """Return what the timeline shows of a request."""
    outcomes: dict[str, int] = {}
    for each in request.outcomes:
        if each is not None:
            outcomes[each.kind] = outcomes.get(each.kind, 0) + 1
    return {
        "number": request.number,
        "time": moment(request.at + wall),
        "method": request.method,
        "path": short(request.path),
        "events": len(request.events),
        "bytes": request.size,
        "ms": None if request.ended is None else round(1000 * (request.ended - request.at), 1),
        "status": request.status,
        "reason": request.reason,
        "repeats": request.repeats,
        "outcomes": outcomes,
    }


def event_row(request: Answered, index: int, wall: float) -> Row:
    """Return what the list shows of an event."""
    event = request.events[index]
    return {
        "request": request.number,
        "index": index,
        "time": moment(request.at + wall),
        "id": short(event.get("id", "")),
        "schema": short(event.get("schemaName", "")),
        "account": short(event.get("accountId", "")),
        "attributes": short(attributes_of(event)),
        **outcome_row(request.outcomes[index]),
    }


def outcome_row(outcome: EventOutcome | None) -> Row:
    """Return what became of an event, and why."""
    return {"outcome": outcome.kind if outcome else "under way", "reason": outcome.reason if outcome else ""}


def opened(requests: Sequence[Answered], number: int, index: int, wall: float) -> Row | None:
    """Return all about one event, the request that brought it, and every copy of it that is kept."""
    request = next((each for each in requests if each.number == number), None)
    if request is None or not 0 <= index < len(request.events):
        return None
    event = request.events[index]
    copies = [
        event_row(each, place, wall) for each, place in copies_of(requests, event.get("id")) if "id" in event
    ]
    return {
        **event_row(request, index, wall),
        "json": json.dumps(event, indent=2, ensure_ascii=False),
        "brought_by": request_row(request, wall),
        "headers": [
            [name, "(not shown)" if name.lower() in _UNSHOWN else value]
            for name, value in request.headers.items()
        ],
        "copies": copies[:MOST_COPIES],
    }


def copies_of(requests: Sequence[Answered], event_id: Any) -> Iterator[Place]:
    """Yield where an id came, oldest first."""
    for request in requests:
        if event_id in request.ids:
            for index, event in enumerate(request.events):
                if event.get("id") == event_id:
                    yield request, index


def matching(request: Answered, words: Sequence[str]) -> Iterator[Place]:
    """Yield the events of a request that have every word: in their JSON, or in what became of them."""
    for index, event in enumerate(request.events):
        row = outcome_row(request.outcomes[index])
        text = f"{text_of(event)} {row['outcome']} {row['reason']}".lower()
        if all(word in text for word in words):
            yield request, index


def exported(requests: Sequence[Answered], query: str) -> Iterator[bytes]:
    """Yield the lines of a file of events: each that can be sent, and each id once."""
    seen: set[str] = set()
    words = query.lower().split()
    for request in requests:
        for _, index in matching(request, words):
            event = request.events[index]
            if is_event(event) and event.get("id") not in seen:
                seen.update([event["id"]] if "id" in event else [])
                yield json.dumps(event, separators=(",", ":")).encode() + b"\n"


# --- texts ------------------------------------------------------------------------------------------------


def text_of(event: dict[str, Any]) -> str:
    """Return what a filter looks for words in: the values of the event, in lower case."""
    dimensions = event.get("dimensions")
    pairs = dimensions.items() if isinstance(dimensions, dict) else ()
    parts = [event.get("id"), event.get("schemaName"), event.get("accountId"), event.get("timestamp")]
    parts += [attributes_of(event), *(f"{name}={value}" for name, value in pairs)]
    return " ".join(map(str, parts)).lower()


def attributes_of(event: dict[str, Any]) -> str:
    """Return the attributes in one line, for instance ``count=1 ms=9 Milliseconds``."""
    attributes = event.get("attributes")
    each = attributes if isinstance(attributes, list) else []
    pairs = ((a.get("name"), a.get("value"), a.get("unit")) for a in each if isinstance(a, dict))
    return "  ".join(f"{name}={value}" + (f" {unit}" if unit else "") for name, value, unit in pairs)


def is_event(event: dict[str, Any]) -> bool:
    """Whether this event keeps the contract."""
    try:
        contract.check(event, "")
    except contract.Breach:
        return False
    return True


def short(value: Any) -> str:
    """Return a text that is short enough for a row, whatever was sent in its place."""
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= _LONGEST else text[:_LONGEST] + "…"


def moment(seconds: float) -> str:
    """Return a moment in UTC, to the millisecond."""
    return datetime.fromtimestamp(seconds, timezone.utc).isoformat(timespec="milliseconds")
