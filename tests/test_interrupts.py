"""Ctrl-C, or a signal handler, between any two lines: whoever comes next is not kept waiting."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest
from insides import pipeline_of
from interrupting import each_line_of, lines_of
from virtual import World, world

from togai_shipper import FlushReport
from togai_shipper._engine.closing import Closing
from togai_shipper._engine.shutdown import Shutdown
from togai_shipper._engine.verdict import Reply
from togai_shipper.testing import FakeTogai


def closed() -> None:
    w = world()
    w.put(3)
    w.pipeline.close(5)


CLOSING = [
    pytest.param(function, number, id=f"{function.__qualname__}-{number}")
    for function in (Closing.begin, Closing.close, Shutdown.begin)
    for number in range(lines_of(function, closed))
]


@pytest.mark.parametrize("server", ["fine", "down"])
@pytest.mark.parametrize(("function", "number"), CLOSING)
def test_a_close_that_is_interrupted_as_it_begins_can_be_called_once_more(
    function: Any, number: int, server: str
) -> None:
    told: list[int] = []
    w = world(on_error=lambda error, events: told.append(len(events)))
    if server == "down":
        w.server.answer = lambda sent: Reply(None, error="no reply: down")
    w.put(3)
    passed = iter(range(1000))

    def interrupt() -> None:
        if next(passed) == number:
            raise KeyboardInterrupt

    with each_line_of(function, interrupt), pytest.raises(KeyboardInterrupt):
        w.pipeline.close(5)
    w.pipeline.close(5)

    assert w.pipeline.health.state == "closed"
    assert w.pipeline.health.stats().delivered + sum(told) == 3
    assert w.clock.now < 1020


@pytest.mark.parametrize("call", ["flush", "close"])
def test_who_interrupts_the_start_of_a_thread_does_not_wait_for_that_thread(call: str) -> None:
    """A signal handler that flushes, or another thread while the start takes its time and then fails."""
    worlds: list[World] = []
    reports: list[FlushReport] = []

    def start(*_: Any) -> None:
        if not reports:
            reports.append(FlushReport())
            reports.append(getattr(worlds[0].pipeline, call)(30))
        raise RuntimeError("can't start new thread")

    worlds.append(world(thread=start))
    worlds[0].put(1)

    assert reports[1] == FlushReport(delivered=1)
    assert worlds[0].clock.now < 1001


def test_a_flusher_whose_callback_has_raised_is_free_again(togai: FakeTogai, ship: Any) -> None:
    told = threading.Event()

    def on_delivered(_: Any) -> None:
        told.set()
        raise ValueError("the application's")

    shipper = ship(on_delivered=on_delivered)
    shipper.track("api_call", "acme")
    assert told.wait(20)
    assert shipper.flush(20)
    pipeline = pipeline_of(shipper)
    until = time.monotonic() + 20
    while not pipeline.flushers.available and time.monotonic() < until:
        pipeline.line.progress.wait(pipeline.line.progress.rings, 0.01)

    assert (pipeline.flushers.alive, pipeline.flushers.available) == (1, 1)
