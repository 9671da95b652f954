"""Threads: when one is started, and what happens when one cannot be, or ends."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Any

import pytest
import requests
from virtual import world

from togai_shipper import FlushReport, Shipper
from togai_shipper._config import Config
from togai_shipper._event import encode
from togai_shipper._pipeline import Pipeline
from togai_shipper.testing import FakeTogai, faults

Ship = Callable[..., Shipper]


class Refusing:
    """A system that starts no thread."""

    def __init__(self) -> None:
        self.attempts = 0

    def __call__(self, *_: Any) -> None:
        self.attempts += 1
        raise RuntimeError("can't start new thread")


def test_a_thread_that_cannot_be_started_is_tried_again_once_a_second_and_told(
    caplog: pytest.LogCaptureFixture,
) -> None:
    system = Refusing()
    w = world(thread=system)
    w.put(50)
    assert system.attempts == 1
    w.clock.now += 1
    w.put(50)

    assert system.attempts == 2
    assert "can't start new thread" in str(w.pipeline.health.complaint())
    assert caplog.text.count("no flusher thread can be started") == 1
    assert w.pipeline.flush(10) == FlushReport(delivered=100)


def test_close_sends_on_its_own_thread_where_no_other_can_be_started() -> None:
    w = world(thread=Refusing())
    w.put(700)

    assert w.pipeline.close(10) == FlushReport(delivered=700)


def alive(shipper: Shipper) -> int:
    """Flusher threads of a shipper."""
    return shipper._pipeline.flushers.alive  # noqa: SLF001  threads are nobody else's business


def test_one_flusher_is_started_at_first_and_another_only_for_a_whole_batch_while_all_are_busy(
    togai: FakeTogai, ship: Ship
) -> None:
    shipper = ship(batch_size=10, max_in_flight=3, flush_interval=0.01)
    shipper.track("api_call", "acme")
    assert shipper.flush(10)
    assert alive(shipper) == 1
    togai.on_request = lambda received: faults.Hold()
    for _ in range(60):
        shipper.track("api_call", "acme")

    assert togai.wait(lambda: len(togai.requests) == 4)
    assert alive(shipper) == 3
    togai.on_request = None
    togai.release()
    assert shipper.close(10)


def test_a_backlog_is_sent_by_all_flushers_once_the_first_reply_is_there(
    togai: FakeTogai, ship: Ship
) -> None:
    shipper = ship(batch_size=10, max_in_flight=4)
    togai.on_request = lambda received: faults.Hold()
    for _ in range(100):
        shipper.track("api_call", "acme")
    assert togai.wait(lambda: len(togai.requests) == 1)
    togai.release()

    assert togai.wait(lambda: len(togai.requests) == 5)  # the first one, and then four at once
    togai.on_request = None
    togai.release()
    assert shipper.close(10)


class Ending(requests.Session):
    """A session whose first request ends the flusher that makes it."""

    kind: type[BaseException] = SystemExit
    left = 1

    def post(self, *args: Any, **kwargs: Any) -> requests.Response:  # type: ignore[override]  # the same, passed on
        if type(self).left:
            type(self).left -= 1
            raise self.kind
        return super().post(*args, **kwargs)


@pytest.mark.parametrize("kind", [SystemExit, MemoryError])
def test_a_flusher_that_is_ended_is_replaced_and_its_batch_delivered(
    togai: FakeTogai, ship: Ship, kind: type[BaseException]
) -> None:
    Ending.kind, Ending.left = kind, 1
    shipper = ship(session_factory=Ending)
    ids = [shipper.track("api_call", "acme") for _ in range(40)]
    while Ending.left:
        shipper.flush(0.1)
    ids.append(shipper.track("api_call", "acme"))

    assert shipper.flush(10)
    assert togai.ledger.lost([event_id for event_id in ids if event_id]) == set()
    assert togai.ledger.billed_twice == set()


def test_a_session_factory_that_raises_is_told_and_tried_again(
    togai: FakeTogai, ship: Ship, caplog: pytest.LogCaptureFixture
) -> None:
    failures = iter([OSError("no certificate")])

    def factory() -> requests.Session:
        for error in failures:
            raise error
        return requests.Session()

    shipper = ship(session_factory=factory)
    shipper.track("api_call", "acme")

    assert shipper.flush(10)
    assert "no certificate" in caplog.text


def test_close_leaves_no_thread_behind(togai: FakeTogai, ship: Ship) -> None:
    shipper = ship(batch_size=5)
    for _ in range(100):
        shipper.track("api_call", "acme")
    shipper.close(10)

    assert alive(shipper) == 0


def test_a_thread_that_is_not_ours_to_name_does_all_that_a_flusher_does(togai: FakeTogai) -> None:
    threads: list[threading.Thread] = []

    def start(function: Callable[..., None], arguments: tuple[object, ...]) -> None:
        threads.append(threading.Thread(target=function, args=arguments, daemon=True))
        threads[-1].start()

    config = Config.load({}, api_key="secret", base_url=togai.url, flush_interval=0.01)
    pipeline = Pipeline(config, thread=start)
    pipeline.put(encode("api_call", "acme", {}, {}, "2026-01-01T00:00:00.000Z", "one"))
    assert togai.wait(lambda: togai.ledger.metered == 1)
    pipeline.begin_closing(10)  # with nobody who waits for it: the last flusher to end finishes
    for thread in threads:
        thread.join(10)

    assert pipeline.health.state == "closed"


def test_the_default_shipper_may_be_configured_before_its_first_use() -> None:
    program = (
        "import togai_shipper as t; t.configure(enabled=False); assert t.track('a', 'b'); assert t.close()"
    )

    assert subprocess.run([sys.executable, "-c", program], check=False, timeout=60).returncode == 0
