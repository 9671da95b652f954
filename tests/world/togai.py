"""A Togai that keeps its own record: which ids it has taken, and which events it has billed."""

from __future__ import annotations

import json
import random
from typing import TYPE_CHECKING, Any

import attrs

if TYPE_CHECKING:
    from .judge import Judge

MEMORY = 45 * 86_400.0  # seconds for which Togai knows an id
ALREADY = (  # how Togai may say that it knows an event
    "Event with id {} already exists",
    "An event already exists with identifier {}",
    "duplicate event id",
    "DUPLICATE_EVENT: {}",
    "id {} was already ingested",
    "event id must be unique: {} is already known",
)


@attrs.frozen
class Request:
    """One request, whole."""

    path: str
    key: str
    body: bytes

    def events(self) -> list[Any]:
        if self.is_look_up:
            return []
        content = json.loads(self.body)
        return list(content["events"]) if self.path.endswith("/ingestBatch") else [content["event"]]

    @property
    def is_look_up(self) -> bool:
        return not self.path.endswith(("/ingest", "/ingestBatch"))

    @property
    def looked_up(self) -> str | None:
        """The event whose records are asked for."""
        return self.path.partition("/events/")[2] or None

    @property
    def is_single(self) -> bool:
        return self.path.endswith("/ingest")


@attrs.frozen
class Answer:
    """What is to be told: a status, JSON or a page, and headers."""

    status: int
    body: bytes
    headers: tuple[tuple[str, str], ...] = ()
    is_page: bool = False


def told(status: int, **said: Any) -> Answer:
    """Togai's own word."""
    return Answer(status, json.dumps(said).encode())


class Togai:
    """Takes events, and says so in the ways that it may."""

    def __init__(self, seed: int, judge: Judge) -> None:
        self._random = random.Random(f"togai {seed}")
        self._judge = judge
        self.key = "secret-1"
        self.limit = 10**9  # bytes of a body that it takes
        self.tells_duplicates = self._random.random() < 0.5
        self.wording = self._random.choice(ALREADY)
        self.names_refused = self._random.choice(("whole", "named", "unnamed", "single"))
        self.first: dict[str, float] = {}  # id -> when it was taken
        self.billed: dict[str, list[str]] = {}  # event's name -> the ids under which it was billed
        self.bodies: dict[str, str] = {}  # id -> the event, as it first came
        self.heals = False  # what it choked on is mended
        self.closed: set[str] = set()  # schemas of which it takes nothing for now
        self.refused: set[str] = set()  # ids of events that it has refused, each by its own word

    # --- the record ---

    def take(self, events: list[Any], now: float) -> None:
        """Take events: bill each that is not known by its id."""
        for event in events:
            event_id, name = event["id"], event["accountId"]
            text = json.dumps(event, sort_keys=True)
            if self.bodies.setdefault(event_id, text) != text:
                self._judge.fail(f"{name} has changed: {self.bodies[event_id]}, now {text}")
            if event_id in self.first and now - self.first[event_id] < MEMORY:
                continue
            self.first[event_id] = now
            ids = self.billed.setdefault(name, [])
            ids.append(event_id)
            if len(ids) > 1:
                self._judge.fail(f"{name} is billed twice, as {' and '.join(ids)}")

    def knows(self, event: Any, now: float) -> bool:
        """Whether it has taken an event, and remembers."""
        return event["id"] in self.first and now - self.first[event["id"]] < MEMORY

    # --- its word ---

    def answer(self, request: Request, now: float) -> Answer:
        """Take what can be taken of a request, and answer it."""
        if request.key != self.key:
            return told(401, message="invalid token")
        if request.looked_up is not None:
            return told(200, events=self._records(request.looked_up))
        if request.is_look_up:
            return told(self._random.choice((200, 404)), data=[])
        events = request.events()
        if len(request.body) > self.limit:
            return told(self._random.choice((413, 422)), message="request entity too large")
        if not self.heals and any(event["schemaName"] == "choking" for event in events):
            self.take(self._some(events, self.is_good), now)
            return told(500, message="internal error")
        bad = [event for event in events if not self.is_good(event)]
        if request.is_single:
            return self._answer_single(events[0], now)
        if bad and self.names_refused == "whole":
            self.refused.update(event["id"] for event in events if len(events) == 1)
            return told(400, message="bad events")
        known = [event for event in events if self.knows(event, now)] if self.tells_duplicates else []
        self.take([event for event in events if self.is_good(event)], now)
        if self.names_refused == "unnamed" and (bad or known):
            return told(207, success=False, statusCode=207, message="some events were not ingested")
        named = [_item(event, "unknown attribute") for event in bad]
        named += [_item(event, self.wording.format(event["id"])) for event in known]
        if named:
            return told(207, errors=named)
        return told(202, success=True)

    def _records(self, event_id: str) -> list[Any]:
        """An event that it has taken, it has billed."""
        if event_id not in self.bodies:
            return []
        status = {"status": "INGESTION_COMPLETED_EVENT_METERED", "statusDescription": "metered"}
        return [{"eventPayload": json.loads(self.bodies[event_id]), "ingestionStatus": status}]

    def _answer_single(self, event: Any, now: float) -> Answer:
        if not self.is_good(event):
            self.refused.add(event["id"])
            return told(400, message="unknown attribute", success=False)
        if self.tells_duplicates and self.knows(event, now):
            return told(400, message=self.wording.format(event["id"]))
        self.take([event], now)
        return told(202, success=True)

    def _some(self, events: list[Any], *wanted: Any) -> list[Any]:
        """A part of them, from the first on; bad ones never."""
        count = self._random.choice((0, len(events) // 2, len(events)))
        return [event for event in events[:count] if all(want(event) for want in wanted)]

    def is_good(self, event: Any) -> bool:
        """Whether Togai takes such an event now."""
        return event["schemaName"] != "refused" and event["schemaName"] not in self.closed

    def take_some(self, request: Request, now: float) -> None:
        """Take a part of a request whose reply tells nothing of it."""
        if request.key == self.key and len(request.body) <= self.limit:
            events = [event for event in request.events() if self.heals or event["schemaName"] != "choking"]
            self.take(self._some(events, self.is_good), now)


def _item(event: Any, message: str) -> dict[str, Any]:
    return {"message": message, "eventPayload": event}
