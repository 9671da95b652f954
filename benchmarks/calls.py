"""What ways around a plain ``track()`` take, of that: switched off, with ``before_send``, by ``metered``.

By the time of the calling thread alone, in turn, in one process: the ratios hold on a busy machine, too.

Run: ``python -m benchmarks.calls``.
"""

from __future__ import annotations

import logging
import statistics
import time
from collections.abc import Callable
from typing import Any

import attrs

from togai_shipper import Event, Shipper

from .contenders import ACCOUNT, DIMENSIONS, NUMBERS, SCHEMA
from .sections import Goal, Section, run, table
from .sink import sink

CALLS = 4_000  # in a row
TURNS = 5  # of a round
PLAIN = "`track()`"
LIMITS = {
    "`enabled=False`": 0.9,
    "`metered`, attributes from `call.arguments`": 2.0,
    "`before_send` that looks at the event": 3.0,
}
CHANGING = (
    "`before_send` that changes a dimension"  # a new event is made and checked: most of it is attrs.evolve
)


def _redacted(event: Event) -> Event:
    return attrs.evolve(event, dimensions={**event.dimensions, "path": "/"})


def _looked_at(event: Event) -> Event | None:
    return None if event.account_id == "internal" else event


def _ways(url: str) -> dict[str, Callable[[], object]]:
    options: dict[str, Any] = {"base_url": url, "rate_limit": None, "verify": 0, "max_queue_size": 1_000_000}

    def tracking(**more: Any) -> Callable[[], object]:
        shipper = Shipper("key", **options, **more)
        return lambda: shipper.track(SCHEMA, ACCOUNT, NUMBERS, DIMENSIONS)

    @Shipper("key", **options).metered(
        SCHEMA,
        lambda call: call.arguments["account"],
        {"count": 1, "bytes": lambda call: call.arguments["size"], "latency": 12.5},
        DIMENSIONS,
    )
    def work(account: str, size: int = 20480, *, verbose: bool = False) -> None: ...

    return {
        PLAIN: tracking(),
        "`enabled=False`": tracking(enabled=False),
        "`metered`, attributes from `call.arguments`": lambda: work(ACCOUNT, 20480),
        "`before_send` that looks at the event": tracking(before_send=_looked_at),
        CHANGING: tracking(before_send=_redacted),
    }


def _seconds(call: Callable[[], object]) -> float:
    start = time.thread_time()
    for _ in range(CALLS):
        call()
    return time.thread_time() - start


def measure(rounds: int) -> Section:
    """Each way in turn."""
    logging.getLogger("togai_shipper").setLevel(logging.CRITICAL)
    with sink() as server:
        ways = _ways(server.url)
        taken: dict[str, list[float]] = {name: [] for name in ways}
        for number in range(TURNS * rounds + 1):
            for name, call in ways.items():
                seconds = _seconds(call)
                if number:  # the first calls of a process are not what is asked about
                    taken[name].append(seconds / CALLS * 1e6)
    found = {name: statistics.median(some) for name, some in taken.items()}
    rows = [(name, f"{us:.1f}", f"{us / found[PLAIN]:.2f}x") for name, us in found.items()]
    goals = [
        Goal(f"{name}, of {PLAIN}", found[name] / found[PLAIN], limit, unit="x")
        for name, limit in LIMITS.items()
    ]
    return Section("Ways around a plain call", table(("a call", "us", "of plain"), rows), goals)


if __name__ == "__main__":
    run(measure)
