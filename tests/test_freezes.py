"""A process that is frozen past its deadline makes one attempt before it gives up."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import pytest
from virtual import OK, Sent, World, world

from togai_shipper._engine.shutdown import AFTER_FREEZE, OVERSLEPT, Shutdown, thawed
from togai_shipper._engine.verdict import Reply
from togai_shipper._engine.waiters import Waiter
from togai_shipper._outcome import FlushReport
from togai_shipper.testing import FakeTogai, faults

HOUR = 3600.0
UNAVAILABLE = Reply(503, b"")
NO_REPLY = Reply(None, error="no reply: timed out")


def frozen_once(w: World, reply: Reply, then: Callable[[Sent], Any] = lambda _: OK) -> None:
    """The process is frozen while it waits for the first reply; ``then`` answers the others."""

    def first(sent: Sent) -> Reply:
        w.clock.now += HOUR
        w.server.answer = then
        return reply

    w.server.answer = first


@pytest.mark.parametrize("reply", [NO_REPLY, UNAVAILABLE])
def test_a_close_that_was_frozen_past_its_deadline_makes_one_attempt(reply: Reply) -> None:
    w = world()
    w.put(3)
    frozen_once(w, reply)

    begun = w.clock.now
    assert w.pipeline.close(10) == FlushReport(delivered=3)
    assert w.clock.now - begun < HOUR + AFTER_FREEZE


def test_a_flush_that_was_frozen_past_its_deadline_makes_one_attempt() -> None:
    w = world()
    w.put(3)
    frozen_once(w, NO_REPLY)

    assert w.pipeline.flush(10) == FlushReport(delivered=3)


def test_a_freeze_leaves_time_for_an_attempt_not_for_as_many_as_fail() -> None:
    w = world()
    w.put(3)
    frozen_once(w, NO_REPLY, lambda _: UNAVAILABLE)

    begun = w.clock.now
    assert w.pipeline.close(10) == FlushReport(dropped=3)
    assert len(w.server.sent) > 1
    assert w.clock.now - begun < HOUR + AFTER_FREEZE + 0.5


def test_a_process_that_is_frozen_in_a_backoff_makes_one_attempt() -> None:
    w = world()
    w.put(3)
    w.server.replies = [UNAVAILABLE]
    bell = w.pipeline.gate.turn
    waited = bell.wait

    def wait(rings: object, timeout: float | None) -> None:
        waited(rings, timeout)
        w.clock.now += HOUR if len(w.server.sent) == 1 else 0.0

    bell.wait = wait  # type: ignore[method-assign]  # the freeze

    assert w.pipeline.close(10) == FlushReport(delivered=3)


def test_a_deadline_that_passed_while_nobody_was_frozen_stays() -> None:
    assert thawed(10.0, planned=10.0, now=10.0 + OVERSLEPT) == 10.0
    assert thawed(10.0, planned=5.0, now=9.0) == 10.0
    assert thawed(10.0, planned=5.0, now=HOUR) == HOUR + AFTER_FREEZE


def test_a_shipper_that_is_open_or_closed_has_no_deadline_to_move() -> None:
    shutdown = Shutdown()
    shutdown.woke(0.0, HOUR)
    assert shutdown.deadline == float("inf")
    shutdown.begin(0.0, 10.0, is_probing=False)
    shutdown.finish()
    shutdown.woke(0.0, HOUR)
    assert shutdown.deadline == 10.0


PROGRAM = """
import json, sys
from togai_shipper import Shipper
shipper = Shipper("secret", base_url=sys.argv[1], flush_interval=60)
for n in range(20):
    shipper.track("api_call", "acme", {"n": n})
print("closing" if sys.argv[2] == "close" else "flushing", flush=True)
report = getattr(shipper, sys.argv[2])(3)
print(json.dumps([report.delivered, report.dropped, report.pending]), flush=True)
"""


@pytest.mark.processes
@pytest.mark.parametrize(
    ("call", "fault"), [("close", faults.Hang()), ("close", faults.Slow(5)), ("flush", faults.Slow(5))]
)
def test_a_process_that_is_stopped_and_goes_on_delivers(call: str, fault: Any) -> None:
    """``Slow``: the reply comes while it is stopped."""
    with FakeTogai(api_key="secret") as togai:
        togai.on_request = lambda request: fault
        with subprocess.Popen(
            [sys.executable, "-c", PROGRAM, togai.url, call], stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout is not None
            process.stdout.readline()
            assert togai.wait(lambda: bool(togai.requests))
            os.kill(process.pid, signal.SIGSTOP)
            time.sleep(7)  # the process is stopped that long: its deadline passes, and more
            togai.on_request = None
            os.kill(process.pid, signal.SIGCONT)
            assert json.loads(process.stdout.readline()) == [20, 0, 0]
        assert togai.ledger.metered == 20


@pytest.mark.parametrize("made", [Shutdown, lambda: Waiter(target=0, deadline=0.0, left=0)])
def test_a_machine_that_is_overloaded_for_long_moves_a_deadline_once(made: Callable[[], Any]) -> None:
    waits = made()
    if isinstance(waits, Shutdown):
        waits.begin(0.0, 10.0, is_probing=False)
    waits.deadline = 10.0

    for now in (11.0, 14.0, 17.0):
        waits.woke(now - 2 * OVERSLEPT, now)

    assert waits.deadline == 11.0 + AFTER_FREEZE
