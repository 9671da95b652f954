"""What hangs is told while it hangs: in the log after 10 s, by ``healthy`` after a minute."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests
from virtual import Clock, world

from togai_shipper._config import Config
from togai_shipper._engine.bell import Bell
from togai_shipper._engine.exchange import exchange, while_waiting
from togai_shipper._engine.runtime import Runtime
from togai_shipper._event import encode, fresh_id
from togai_shipper._pipeline import Pipeline
from togai_shipper.testing import FakeTogai, faults

HASTE = 20.0  # times as fast as the world's


class HurriedBell(Bell):
    """Whoever waits for it waits a part of the time."""

    def wait(self, rings: Any, timeout: float | None) -> None:
        super().wait(rings, None if timeout is None else timeout / HASTE)


class Lines(logging.Handler):
    """Notes at what time of the hurried clock a line was logged."""

    def __init__(self, clock: Callable[[], float]) -> None:
        super().__init__()
        self._clock = clock
        self.said: list[tuple[float, str]] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.said.append((self._clock(), record.getMessage()))


@pytest.fixture
def clock() -> Callable[[], float]:
    return lambda: time.monotonic() * HASTE


@pytest.fixture
def lines(clock: Callable[[], float]) -> Iterator[Lines]:
    handler = Lines(clock)
    logging.getLogger("togai_shipper").addHandler(handler)
    yield handler
    logging.getLogger("togai_shipper").removeHandler(handler)


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, "never"
        time.sleep(0.01)  # between looks at a condition for which nothing rings


def tracked(clock: Callable[[], float], size: int = 0, **options: Any) -> Pipeline:
    runtime = Runtime(clock=clock, bell=HurriedBell)
    pipeline = Pipeline(Config.load({}, **{"api_key": "secret", "flush_interval": 0.1, **options}), runtime)
    for _ in range(max(1, size // 10_000)):
        filler = {f"d{n}": "x" * 200 for n in range(min(size, 10_000) // 200)}
        event = encode("api_call", "acme", {"n": 1}, filler, "2026-01-01T00:00:00.000Z", fresh_id())
        assert pipeline.put(event) is None
    return pipeline


@pytest.mark.parametrize("size", [0, 800_000])
def test_a_server_that_takes_connections_and_never_answers_is_told_while_it_hangs(
    clock: Callable[[], float], lines: Lines, size: int
) -> None:
    with FakeTogai(api_key="secret") as togai:
        togai.on_request = lambda request: faults.Hang()
        begun = clock()
        pipeline = tracked(clock, size, base_url=togai.url, timeout=(5, 300))

        until(lambda: bool(lines.said))
        (at, text), *_ = lines.said
        assert 10 <= at - begun < 50
        assert "delivery has had no reply for" in text
        assert "(the request has gone, and nothing has come back for " in text
        assert pipeline.health.complaint() is None
        until(lambda: pipeline.health.complaint() is not None)
        assert 60 <= clock() - begun < 120
        why = str(pipeline.health.last_error())
        assert why.startswith("every attempt of the last minute failed: no reply yet, ")
        assert len(lines.said) == 1
        assert not pipeline.ledger.replies
        pipeline.give_up()


@pytest.mark.parametrize("hanging", ["api_key", "session_factory"])
def test_a_function_of_the_application_that_hangs_makes_it_unhealthy(
    clock: Callable[[], float], hanging: str
) -> None:
    goes_on = threading.Event()

    def function() -> Any:
        goes_on.wait(30)
        return "secret" if hanging == "api_key" else requests.Session()

    begun = clock()
    pipeline = tracked(clock, base_url="http://127.0.0.1:1", **{hanging: function})

    until(lambda: pipeline.health.complaint() is not None)

    assert 60 <= clock() - begun < 120
    goes_on.set()
    pipeline.give_up()


def test_callbacks_that_hang_on_every_flusher_make_it_unhealthy(clock: Callable[[], float]) -> None:
    goes_on = threading.Event()
    with FakeTogai(api_key="secret") as togai:
        pipeline = tracked(
            clock,
            50_000,
            base_url=togai.url,
            batch_size=1,
            max_in_flight=2,
            on_delivered=lambda events: goes_on.wait(30),
        )
        until(lambda: pipeline.health.complaint() is not None)

        assert "on_delivered has not returned for" in str(pipeline.health.complaint())
        goes_on.set()
        until(lambda: not pipeline.pending)
        assert pipeline.health.complaint() is None
        pipeline.close(10)


def test_what_drips_and_is_no_reply_yet_is_told_once_a_second() -> None:
    clock, told = Clock(), []

    class Socket:
        def settimeout(self, seconds: float) -> None: ...

        def fileno(self) -> int:
            return -1  # one that the system knows nothing of

    def hint() -> int:
        clock.now += 0.5
        return 1

    with while_waiting(lambda words: told.append(clock())), exchange(60.0, clock=clock) as current:
        for _ in range(10):
            current.patiently(Socket(), hint)

    assert told == [1001.0, 1002.0, 1003.0, 1004.0, 1005.0]


def test_replies_that_are_slow_and_good_are_no_failure() -> None:
    w = world()
    w.server.latency = 9.0
    for _ in range(20):
        w.put(1)
        w.pipeline.flush(10)

    assert w.pipeline.health.complaint() is None
