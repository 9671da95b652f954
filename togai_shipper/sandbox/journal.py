"""The requests that came, with their replies, in order; and a way to wait for them.

The server writes; any thread reads and waits. Everything mutable is touched only while holding ``_changed``;
predicates and callbacks run outside it.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Any

import attrs

from .event_outcome import EventOutcome, refused

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from .faults import Fault
    from .switches import Switches


@attrs.frozen
class Received:
    """A request, as it came.

    Attributes:
        at: when it came, in seconds of the monotonic clock.
        method: for instance ``"POST"``.
        path: for instance ``"/ingestBatch"``.
        headers: they are looked up without regard to case.
        events: the events in it, as dicts, unchecked; ``[]`` if the body cannot be read.
        ids: the ids of those that have one.
        number: 0 for the first request.
        size: the length of the body, in bytes.
        query: what follows the question mark in its URL.

    """

    at: float
    method: str
    path: str
    headers: Mapping[str, str] = attrs.field(repr=False)
    events: list[dict[str, Any]] = attrs.field(repr=False)
    ids: tuple[str, ...] = attrs.field(repr=False)
    number: int
    size: int
    query: str = ""


@attrs.frozen
class Answered(Received):
    """A request, and what became of it.

    Attributes:
        status: of the reply; ``None`` if there is no reply yet, or the connection was dropped, or the client
            had left by then.
        fault: the fault that it met, if any.
        reason: why it was refused, if it was.
        outcomes: what became of each of its events; ``None`` of one for which that is still open.
        ended: when it was over, with a reply or without one; ``None`` until then.
        repeats: the number of the last request that brought the first of its ids that came before; ``None``
            if none did.

    """

    status: int | None = None
    fault: Fault | None = None
    reason: str = ""
    outcomes: tuple[EventOutcome | None, ...] = attrs.field(default=(), repr=False)
    ended: float | None = None
    repeats: int | None = None


@attrs.define(eq=False)
class NotedRequest:
    """A request on its way; what is known of it changes under the journal's lock, until it is over."""

    received: Received
    fault: Fault | None = None
    repeats: int | None = None
    outcomes: list[EventOutcome | None] = attrs.field(init=False)
    _answered: Answered | None = attrs.field(init=False, default=None)

    def __attrs_post_init__(self) -> None:
        self.outcomes = [None] * len(self.received.events)

    def snapshot(self) -> Answered:
        """Return what is known of it now."""
        return self._answered or self._as_answered()

    @property
    def refused(self) -> list[str]:
        """The ids of its events that were refused."""
        events = zip(self.received.events, self.outcomes, strict=True)
        return [event["id"] for event, outcome in events if _is_refused(event, outcome)]

    def end(self, status: int | None, reason: str, ended: float) -> None:
        """Refuse the events that have no outcome yet, and keep what is known now for good."""
        rest = refused(reason or ("not answered" if status is None else f"answered {status}"))
        self.outcomes = [each or rest for each in self.outcomes]
        self._answered = self._as_answered(status=status, reason=reason, ended=ended)

    def _as_answered(self, **known: Any) -> Answered:
        facts = attrs.asdict(self.received, recurse=False)
        known |= {"fault": self.fault, "outcomes": tuple(self.outcomes), "repeats": self.repeats}
        return Answered(**facts, **known)


def _is_refused(event: dict[str, Any], outcome: EventOutcome | None) -> bool:
    return outcome is not None and outcome.kind == "refused" and isinstance(event.get("id"), str)


class Journal:
    """Records requests, oldest first."""

    def __init__(self, switches: Switches, now: Callable[[], float] = time.monotonic) -> None:
        self._switches = switches
        self.now = now  # the real clock, even if a test has frozen time.monotonic
        self._changed = threading.Condition()
        self._requests: deque[NotedRequest] = deque()
        self._events = 0  # in these requests
        self._number = 0
        self._version = 0  # grows with every change, so that a waiter misses none
        self.failure: Exception | None = None

    @property
    def requests(self) -> tuple[Answered, ...]:
        """Every request, also those that have no reply yet."""
        with self._changed:
            return tuple(noted.snapshot() for noted in self._requests)

    @property
    def count(self) -> int:
        """How many requests have come."""
        with self._changed:
            return self._number

    def wait(self, predicate: Callable[[], Any], timeout: float) -> bool:
        """Wait until the predicate is true; it is called again after each request, reply or change."""
        deadline = self.now() + timeout
        while True:
            with self._changed:
                version = self._version
            if predicate():
                return True
            with self._changed:
                left = deadline - self.now()
                if not self._changed.wait_for(lambda seen=version: self._version != seen, left):  # type: ignore[misc]
                    return False

    # --- written by the server ---

    def open(self, **facts: Any) -> NotedRequest:
        """Record a request that has come."""
        with self._changed:
            noted = NotedRequest(Received(number=self._number, **facts))
            self._number += 1
            self._requests.append(noted)
            self._events += len(noted.received.events)
            while len(self._requests) > 1 and self._is_over_full():
                self._events -= len(self._requests.popleft().received.events)
            self._notify()
        return noted

    def _is_over_full(self) -> bool:
        requests, events = self._switches.history, self._switches.event_history
        return (requests is not None and len(self._requests) > requests) or (
            events is not None and self._events > events
        )

    def join(self, noted: NotedRequest, repeats: int | None) -> None:
        """Record which request came before with the same events."""
        with self._changed:
            noted.repeats = repeats
            self._notify()

    def meet(self, noted: NotedRequest, fault: Fault | None) -> None:
        """Record which fault the request meets."""
        with self._changed:
            noted.fault = fault
            self._notify()

    def settle(self, noted: NotedRequest, outcomes: Iterable[tuple[int, EventOutcome]]) -> None:
        """Record what became of these events of the request, by their index."""
        with self._changed:
            for index, outcome in outcomes:
                noted.outcomes[index] = outcome
            self._notify()

    def close(self, noted: NotedRequest, status: int | None, reason: str) -> None:
        """Record the reply, before it is sent: who gets the reply finds it recorded."""
        with self._changed:
            noted.end(status, reason, self.now())
            self._notify()

    def fail(self, failure: Exception) -> None:
        """Record that a test's own callback, or the sandbox, has raised."""
        with self._changed:
            self.failure = self.failure or failure
            self._notify()

    def clear(self) -> None:
        """Forget every request; the next one has number 0."""
        with self._changed:
            self._requests.clear()
            self._number = self._events = 0
            self._notify()

    def forget(self) -> None:
        """Forget every request; the next one has the next number."""
        with self._changed:
            self._requests.clear()
            self._events = 0
            self._notify()

    def _notify(self) -> None:
        self._version += 1
        self._changed.notify_all()
