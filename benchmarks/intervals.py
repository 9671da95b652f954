"""How long an event waits with a short ``flush_interval``, and how many requests that takes.

In virtual time: the real pipeline, events at random times, a server that replies soon. It is exact, and needs
no rounds.

Run: ``python -m benchmarks.intervals``; with ``--real``, by threads, HTTP and the machine's own clock. Beside
each stands then how long a thread waited that does nothing but wait for as long: so late the machine is.
"""

from __future__ import annotations

import logging
import random
import re
import sys
import threading
import time as real_time
from array import array
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import attrs

from togai_shipper import Event, Shipper
from togai_shipper._config import Config
from togai_shipper._engine.batching import Batch
from togai_shipper._engine.runtime import Runtime
from togai_shipper._engine.verdict import Reply
from togai_shipper._event import encode
from togai_shipper._pipeline import Pipeline

from .sections import Goal, Section, run, table
from .sink import sink
from .virtual import Time, VirtualBell

REPLY = 0.005  # seconds that a reply takes
RATES = (200, 1_000, 2_000, 5_000, 10_000)  # events a second
INTERVALS = (0.01, 0.05, 0.1)  # seconds
SECONDS = 20.0
STEADY_AFTER = 2.0  # seconds that do not count
EVENT = encode("api_call", "acme", {"count": 1}, {}, "2026-01-01T00:00:00.000Z", "ID").replace(b"ID", b"%d")
IDS = re.compile(rb'"id":"(\d+)"')


@attrs.frozen
class Found:
    """What became of the events: seconds from tracked to there, sorted; and requests a second."""

    waits: list[float]
    requests: float
    bare: list[float] = attrs.Factory(lambda: [0.0])  # a bare thread's waits, sorted

    @property
    def bare_p99(self) -> float:
        """Milliseconds that 99 of 100 waits of a bare thread do not exceed."""
        return self.bare[int(len(self.bare) * 0.99)] * 1000

    @property
    def p99(self) -> float:
        """Milliseconds that 99 of 100 events do not exceed."""
        return self.waits[int(len(self.waits) * 0.99)] * 1000

    @property
    def p50(self) -> float:
        """Milliseconds that half of the events do not exceed."""
        return self.waits[len(self.waits) // 2] * 1000


class Server:
    """Takes everything, and notes when it came."""

    def __init__(self, time: Time) -> None:
        self._time = time
        self.tracked = array("d")
        self.waits: list[float] = []
        self.requests = 0

    def track(self, pipeline: Pipeline) -> None:
        """One event more."""
        assert pipeline.put(EVENT % len(self.tracked)) is None
        self.tracked.append(self._time.now)

    def open(self) -> None:
        """There is no session."""

    def close(self) -> None:
        """Likewise."""

    def send(self, batch: Batch, key: str, time_left: float, may_begin: Any = None) -> Reply:  # noqa: ARG002  a transport's
        """One request."""
        now = self._time.now
        since = [self.tracked[int(number)] for number in IDS.findall(batch.body())]
        if since[0] >= STEADY_AFTER:
            self.waits += [now - each for each in since]
            self.requests += 1
        self._time.sleep(REPLY)
        return Reply(202, b'{"success": true}')


def simulate(rate: float, options: Mapping[str, Any]) -> Found:
    """Track so many events a second, at random times."""
    time, chance = Time(), random.Random(1)  # noqa: S311  it guards no secret
    server = Server(time)
    runtime = Runtime(
        clock=time,
        wall=lambda: 1_790_000_000.0 + time(),
        random=chance.random,
        bell=lambda: VirtualBell(time),
        start_thread=time.start_thread,
    )
    config = Config.load({}, api_key="key", base_url="http://127.0.0.1:1", verify=0, **options)
    pipeline = Pipeline(config, runtime, lambda _: server)  # type: ignore[arg-type, return-value]  # as a transport

    def one() -> None:
        server.track(pipeline)
        if time.now < SECONDS:
            time.at(time.now + chance.expovariate(rate), one)

    time.at(0.0, one)
    time.sleep(SECONDS + 2)
    assert not pipeline.pending
    pipeline.close(10)
    return Found(sorted(server.waits), server.requests / (SECONDS - STEADY_AFTER))


def by_the_clock(rate: float, options: Mapping[str, Any]) -> Found:
    """The same by real threads: each event waits until the reply with its word has come."""
    began: dict[str, float] = {}
    waits: list[float] = []
    clock = real_time.perf_counter

    def note(events: tuple[Event, ...]) -> None:
        now = clock()
        waits.extend(now - began.pop(event.id) for event in events)

    bare: list[float] = []
    is_over = threading.Event()

    def wait() -> None:
        while not is_over.is_set():
            begun = clock()
            threading.Event().wait(options["flush_interval"])
            bare.append(clock() - begun)

    with sink() as server:
        threading.Thread(target=wait, daemon=True).start()
        shipper = Shipper("key", base_url=server.url, on_delivered=note, verify=0, **options)
        start, count = clock(), 0
        while (passed := clock() - start) < SECONDS / 2:
            while count < passed * rate:
                event_id = f"e{count}"
                began[event_id] = clock()
                shipper.track("api_call", "acme", {"count": count}, event_id=event_id)
                count += 1
            threading.Event().wait(0.001)
        is_over.set()
        assert shipper.close(10)
        requests = server.count().requests
    return Found(sorted(waits), requests / (SECONDS / 2), sorted(bare))


def measure(_: int, how: Any = simulate, intervals: Sequence[float] = INTERVALS) -> Section:
    """Each interval at each rate."""
    logging.getLogger("togai_shipper").setLevel(logging.CRITICAL)
    found = {
        (interval, rate): how(rate, {"flush_interval": interval}) for interval in intervals for rate in RATES
    }
    rows = [
        (
            f"{interval} s",
            f"{rate:,}",
            f"{of.p50:.0f}",
            f"{of.p99:.0f}",
            f"{of.requests:.1f}",
            f"{of.bare_p99:.0f}",
        )
        for (interval, rate), of in found.items()
    ]
    goals = []
    for interval in set(intervals) & {0.01, 0.05}:
        some, what = (
            [found[interval, rate] for rate in RATES],
            f"`flush_interval` {interval} s, 200 to 10,000/s",
        )
        goals.append(Goal(f"{what}: p99", max(of.p99 for of in some), 70, unit=" ms"))
        if interval * 45 > 1:  # else the rate limit decides
            goals.append(Goal(f"{what}: requests/s", max(of.requests for of in some), 21))
    heads = ("`flush_interval`", "events/s", "p50 ms", "p99 ms", "requests/s", "a bare thread's p99 ms")
    return Section("Short intervals", table(heads, rows), goals)


if __name__ == "__main__":
    if "--real" in sys.argv:
        sys.argv.remove("--real")
        run(partial(measure, how=by_the_clock, intervals=(0.05,)))
    else:
        run(measure)
