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

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

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

    """

    at: float
    method: str
    path: str
    headers: Mapping[str, str] = attrs.field(repr=False)
    events: list[dict[str, Any]] = attrs.field(repr=False)
    ids: tuple[str, ...] = attrs.field(repr=False)
    number: int
    size: int


@attrs.frozen
class Answered(Received):
    """A request, and what became of it.

    Attributes:
        status: of the reply; ``None`` if there is no reply yet, or the connection was dropped, or the client
            had left by then.
        fault: the fault that it met, if any.

    """

    status: int | None = None
    fault: Fault | None = None


@attrs.define(eq=False)
class NotedRequest:
    """A request on its way; ``status`` and ``fault`` change once, under the journal's lock."""

    received: Received
    status: int | None = None
    fault: Fault | None = None

    def snapshot(self) -> Answered:
        """Return what is known of it now."""
        return Answered(**attrs.asdict(self.received, recurse=False), status=self.status, fault=self.fault)


class Journal:
    """Records requests, oldest first."""

    def __init__(self, switches: Switches, now: Callable[[], float] = time.monotonic) -> None:
        self._switches = switches
        self.now = now  # the real clock, even if a test has frozen time.monotonic
        self._changed = threading.Condition()
        self._requests: deque[NotedRequest] = deque()
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
            while self._switches.history is not None and len(self._requests) > self._switches.history:
                self._requests.popleft()
            self._notify()
        return noted

    def meet(self, noted: NotedRequest, fault: Fault | None) -> None:
        """Record which fault the request meets."""
        with self._changed:
            noted.fault = fault
            self._notify()

    def close(self, noted: NotedRequest, status: int | None) -> None:
        """Record the reply's status, before it is sent: who gets the reply finds it recorded."""
        with self._changed:
            noted.status = status
            self._notify()

    def note(self) -> None:
        """Let those who wait call their predicate again: the ledger has changed."""
        with self._changed:
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
            self._number = 0
            self._notify()

    def _notify(self) -> None:
        self._version += 1
        self._changed.notify_all()
