"""A shipper on a wire, and the judge of what it said: the server's own record of what it took."""

from __future__ import annotations

import os
import re
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests
from wire_server import CERTIFICATE, WireServer, wait

from togai_shipper import DeliveryError, Event, FlushReport, Outcome, Shipper

TIMEOUT = 0.25  # seconds that a request has for its reply
SLACK = 2.0  # seconds that a shared machine may take more than a deadline
OPTIONS = {
    "timeout": (TIMEOUT, TIMEOUT),
    "backoff_initial": 0.005,
    "backoff_max": 0.02,
    "flush_interval": 0.01,
    "rate_limit": None,
    "batch_size": 3,
    "max_in_flight": 1,
}


class Judged:
    """A shipper that sends to ``server``, and all that it says of its events."""

    def __init__(self, server: WireServer, **options: Any) -> None:
        self.server = server
        self.delivered: Counter[str] = Counter()  # id -> how often told
        self.failed: Counter[str] = Counter()
        self._receipts: list[Future[Outcome]] = []  # of the event with that number
        self._numbers: dict[str, str] = {}  # id -> number
        self.report: FlushReport | None = None
        if server.url.startswith("https"):
            options["session_factory"] = _trusting
        options = {**OPTIONS, "base_url": server.url, **options}
        self.shipper = Shipper(
            "secret",
            before_send=self._before_send,
            on_delivered=self._on_delivered,
            on_error=self._on_error,
            **options,
        )

    def _before_send(self, event: Event) -> Event:
        self._numbers[str(event.id)] = event.dimensions["number"]
        return event

    def _on_delivered(self, events: tuple[Event, ...]) -> None:
        self.delivered.update(str(event.id) for event in events)

    def _on_error(self, error: Exception, events: tuple[Event, ...]) -> None:
        if isinstance(error, DeliveryError):
            self.failed.update(str(event.id) for event in events)

    # --- what it is told to do ---

    def track(self, count: int = 1, padding: int = 0) -> None:
        """Track events, each with a number of its own, and about ``padding`` bytes longer than need be."""
        for _ in range(count):
            number = str(len(self._receipts))
            dimensions = {"number": number, **{f"padding-{n}": "x" * 200 for n in range(padding // 200)}}
            self._receipts.append(self.shipper.submit("api_call", "acme", {"count": 1}, dimensions))

    def settle(self, timeout: float = 10.0) -> bool:
        """Wait until nothing is pending but what is set aside for a minute; whether that came true."""
        until = time.monotonic() + timeout
        while self._is_moving() and time.monotonic() < until:
            self.shipper.flush(min(0.1, timeout))
        return not self._is_moving()

    def _is_moving(self) -> bool:
        stats = self.shipper.stats()
        aside = re.match("([0-9]+) events? (is|are) set aside", stats.last_error or "")
        return stats.pending != (int(aside[1]) if aside else 0)

    def close(self, timeout: float = 5.0) -> FlushReport:
        """Close it, by its deadline."""
        began = time.monotonic()
        self.report = self.shipper.close(timeout)
        took = time.monotonic() - began
        assert took < timeout + SLACK, f"close({timeout}) took {took:.1f} s"
        return self.report

    # --- the judgement ---

    @property
    def outcomes(self) -> dict[str, Outcome]:
        """What the receipts say; raises where one says nothing though the shipper is closed."""
        found = [receipt.result(SLACK) for receipt in self._receipts]
        assert {outcome.event_id for outcome in found} == set(self._numbers)
        return {str(outcome.event_id): outcome for outcome in found}

    def assert_identity(self) -> None:
        """Every event that was accepted is in one place."""
        stats = self.shipper.stats()
        settled = stats.delivered + stats.rejected + sum(stats.dropped.values())
        assert stats.accepted == settled + stats.pending, stats

    def assert_honest(self) -> None:
        """After ``close()``, and once the server has ended: nothing was said that is not so."""
        record, outcomes = self.server.record, self.outcomes
        for event_id, outcome in outcomes.items():
            is_taken = record.taken[event_id] > 0
            if outcome.status == "delivered":
                assert is_taken, f"told as delivered, and never taken: {record.story(event_id)}"
            elif is_taken:
                assert isinstance(outcome.error, DeliveryError)
                is_told = outcome.error.maybe_delivered
                assert is_told, f"told as not delivered, and taken: {outcome} {record.story(event_id)}"
        self._assert_told_once(outcomes)
        self._assert_one_id_each()

    def _assert_told_once(self, outcomes: dict[str, Outcome]) -> None:
        stats = self.shipper.stats()
        self.assert_identity()
        assert stats.pending == 0
        assert stats.accepted == len(outcomes)
        assert stats.delivered == sum(outcome.status == "delivered" for outcome in outcomes.values())
        assert stats.rejected == sum(outcome.status == "rejected" for outcome in outcomes.values())
        for event_id, outcome in outcomes.items():
            is_delivered = outcome.status == "delivered"
            assert (self.delivered[event_id], self.failed[event_id]) == (is_delivered, not is_delivered)

    def _assert_one_id_each(self) -> None:
        for event_id, number in self._numbers.items():
            assert self.server.record.ids.get(number, {event_id}) == {event_id}


@contextmanager
def judged(server: WireServer, **options: Any) -> Iterator[Judged]:
    """Have a shipper on ``server``; at the end it is closed, judged, and has left no thread behind."""
    before = _threads()
    client = Judged(server, **options)
    try:
        yield client
        client.close()
    finally:
        client.shipper.close(0)
        server.stop()
    assert server.record.failures == []
    client.assert_honest()
    assert wait(lambda: _threads() <= before, SLACK), [each.name for each in threading.enumerate()]


def carry(server: WireServer, **options: Any) -> Judged:
    """Track six events, and have all delivered; at the end the server behaves."""
    with judged(server, **options) as client:
        client.track(6)
        assert client.settle(), client.shipper.stats()
        server.behave()
        assert client.close()
    assert client.shipper.stats().delivered == len(client.outcomes)
    return client


def _threads() -> set[str]:
    """The threads of this process but the servers', by the system's count."""
    servers = {str(each.native_id) for each in threading.enumerate() if each.name == "wire-server"}
    return set(os.listdir("/proc/self/task")) - servers  # noqa: PTH208  names, not paths


def _trusting() -> requests.Session:
    session = requests.Session()
    session.verify = str(Path(CERTIFICATE))
    return session
