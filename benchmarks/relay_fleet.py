"""Real processes that hand over to a real Redis, two real drainers, and the sandbox as Togai, with its quota.

Run: ``python -m benchmarks.fleet --real``. The workers, each with a shipper of its own, share a few
processes, as many as two CPUs hold beside all else; they track at the pace of the fleet that they are a part
of, and the table says how large a part that is.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import attrs
import redis

from togai_shipper import Shipper
from togai_shipper.testing import FakeTogai

from .contenders import ACCOUNT, DIMENSIONS, NUMBERS, SCHEMA
from .outage import cpu_of, drain_environment
from .sections import Goal, Section, table

QUOTA = 50.0
SECONDS = 20.0  # in which they track
PATIENCE = 90.0  # seconds after that in which all has to be delivered
LOOK = 0.02  # seconds between looks
BURST = 0.02  # seconds, at least, between two times that one worker tracks
SPREAD = 3.0  # seconds over which the workers begin: no deployment starts all at the same instant


@attrs.frozen
class Real:
    """So many workers of a fleet, of which all together track at a rate."""

    processes: int  # that run here
    workers: int  # in all of them: each has a shipper of its own
    of: int  # that the fleet has
    rate: float  # events a second of the whole fleet


FLEETS = {
    "fleet-200": Real(8, 200, 200, 2_500),
    "fleet-1000": Real(8, 200, 1_000, 20_000),  # as many as two CPUs hold beside all else
    "full-rate": Real(40, 40, 40, 20_000),  # what 1,000 track, likewise
}
P50, P99 = {"fleet-1000": 1.5, "full-rate": 1.5}, {"fleet-200": 1.5, "fleet-1000": 5.0, "full-rate": 5.0}


@attrs.frozen
class Told:
    """What one worker says of itself at its end."""

    tracked: int
    relayed: int
    is_well: bool
    cpu: float  # seconds


@attrs.frozen
class Seen:
    """What became of a fleet's events."""

    fleet: Real
    told: Sequence[Told]
    delays: Sequence[float]  # seconds from track() until Togai had it, sorted
    lost: int
    twice: int
    requests: int
    throttled: int
    busiest_second: int
    drainer: float  # microseconds of CPU an event
    redis: float

    @property
    def tracked(self) -> int:
        """Events of all workers."""
        return sum(each.tracked for each in self.told)

    def delay(self, part: float) -> float:
        """The delay that such a part of the events does not exceed."""
        return self.delays[min(len(self.delays) - 1, int(len(self.delays) * part))]


# --- a worker -----------------------------------------------------------------------------------------------


def work(number: int, workers: int, url: str, base_url: str, rate: float) -> Told:
    """Track at random times, each worker at a rate; an event's id says when it was tracked."""
    chance = random.Random(number)  # noqa: S311  it guards no secret
    time.sleep(chance.random() * SPREAD)
    cpu = time.process_time()
    tracked, start = 0, time.monotonic()
    shippers = [Shipper(relay=url, base_url=base_url) for _ in range(workers)]
    while (now := time.monotonic()) < start + SECONDS:
        while tracked < (now - start) * rate * workers:  # by the plan: who was late catches up
            event_id = f"{number}-{tracked}-{now:.3f}"
            chance.choice(shippers).track(SCHEMA, ACCOUNT, NUMBERS, DIMENSIONS, event_id=event_id)
            tracked += 1
        time.sleep(2 * chance.random() * max(1 / rate / workers, BURST))
    reports = [shipper.close(60) for shipper in shippers]
    relayed = sum(shipper.stats().relayed for shipper in shippers)
    return Told(tracked, relayed, all(reports), time.process_time() - cpu)


def nursery(count: int, workers: int, url: str, base_url: str, rate: float) -> None:
    """Fork so many processes, with so many workers each, and print what each says."""
    pipes = []
    for number in range(count):
        reading, writing = os.pipe()
        if not os.fork():
            os.close(reading)
            os.write(writing, json.dumps(attrs.astuple(work(number, workers, url, base_url, rate))).encode())
            os._exit(0)
        os.close(writing)
        pipes.append(reading)
    for reading in pipes:
        with os.fdopen(reading, "rb") as pipe:
            print(pipe.read().decode(), flush=True)


# --- around it ----------------------------------------------------------------------------------------------


@contextmanager
def durable_redis() -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """Start a redis-server that syncs each write to disk; it may run on any CPU."""
    with tempfile.TemporaryDirectory(dir=os.environ.get("BENCHMARK_DIR")) as folder:
        path = str(Path(folder) / "redis.sock")
        command = ["redis-server", "--port", "0", "--unixsocket", path, "--dir", folder, "--save", ""]
        command += ["--appendonly", "yes", "--appendfsync", "always"]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)  # noqa: S603  our own
        try:
            _until(Path(path).exists)
            yield f"unix://{path}", process
        finally:
            process.kill()
            process.wait()


def _until(is_so: Callable[[], Any], patience: float = PATIENCE) -> None:
    deadline = time.monotonic() + patience
    while not is_so():
        assert time.monotonic() < deadline, "it never comes true"
        time.sleep(LOOK)


@contextmanager
def two_drainers(url: str, base_url: str) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Start a drainer that leads, and another that stands by."""
    command = [sys.executable, "-m", "togai_shipper", "drain", url]
    environ = drain_environment(base_url)
    started = [
        subprocess.Popen(command, env=environ, stdout=subprocess.DEVNULL)  # noqa: S603  our own
        for _ in range(2)
    ]
    try:
        client = redis.Redis.from_url(url)
        _until(lambda: client.get("{togai}:lease"))
        client.close()
        yield started
    finally:
        for each in started:
            each.kill()
            each.wait()


def observe(fleet: Real) -> Seen:
    """Run a fleet until all is delivered."""
    rate = fleet.rate / fleet.of
    with ExitStack() as stack:
        togai = stack.enter_context(FakeTogai("secret", rate_limit=QUOTA))
        url, server = stack.enter_context(durable_redis())
        drainers = stack.enter_context(two_drainers(url, togai.url))
        before = [cpu_of(each.pid) for each in (server, *drainers)]
        arguments = map(str, (fleet.processes, fleet.workers // fleet.processes, url, togai.url, rate))
        command = [sys.executable, "-m", __name__, *arguments]
        said = subprocess.run(command, check=True, capture_output=True, text=True).stdout  # noqa: S603  our own
        told = [Told(*json.loads(line)) for line in said.splitlines()]
        client = stack.enter_context(redis.Redis.from_url(url))
        _until(lambda: client.hget("{togai}:relay", "events") == b"0")
        cpu = [cpu_of(each.pid) - spent for each, spent in zip((server, *drainers), before, strict=True)]
        return _seen(fleet, told, togai, cpu)


def _seen(fleet: Real, told: Sequence[Told], togai: FakeTogai, cpu: Sequence[float]) -> Seen:
    first: dict[str, float] = {}
    times: list[float] = []
    for request in togai.requests:
        times.append(request.at)
        if request.status != 429:  # noqa: PLR2004  too many requests: none was taken
            for event_id in request.ids:
                first.setdefault(event_id, request.at)
    tracked = sum(each.tracked for each in told)
    return Seen(
        fleet,
        told,
        sorted(at - float(event_id.rpartition("-")[2]) for event_id, at in first.items()),
        lost=tracked - len(first),
        twice=len(togai.ledger.billed_twice),
        requests=len(times),
        throttled=sum(request.status == 429 for request in togai.requests),  # noqa: PLR2004  likewise
        busiest_second=_busiest_second(sorted(times)),
        drainer=sum(cpu[1:]) / tracked * 1e6,
        redis=cpu[0] / tracked * 1e6,
    )


def _busiest_second(times: Sequence[float]) -> int:
    first, most = 0, 0
    for last, at in enumerate(times):
        while times[first] <= at - 1.0:
            first += 1
        most = max(most, last - first + 1)
    return most


# --- what is said -------------------------------------------------------------------------------------------

HEADS = (
    "workers",
    "events/s: meant, tracked",
    "delay s p50 / p99 / max",
    "events each",
    "429",
    "busiest second",
    "lost / twice",
    "CPU us an event: worker, drainers, Redis",
)


def _row(seen: Seen) -> tuple[object, ...]:
    fleet = seen.fleet
    part = "" if fleet.workers == fleet.of else f" of {fleet.of:,}"
    meant, cpu = fleet.rate * fleet.workers / fleet.of, sum(each.cpu for each in seen.told)
    return (
        f"{fleet.workers:,}{part}",
        f"{meant:,.0f}, {seen.tracked / SECONDS:,.0f}",
        " / ".join(f"{seen.delay(share):.2f}" for share in (0.5, 0.99, 1)),
        f"{seen.tracked / max(1, seen.requests - seen.throttled):.0f}",
        seen.throttled,
        seen.busiest_second,
        f"{seen.lost} / {seen.twice}",
        f"{cpu / seen.tracked * 1e6:.0f}, {seen.drainer:.0f}, {seen.redis:.0f}",
    )


def measure(name: str) -> Section:
    """One fleet."""
    fleet = FLEETS[name]
    seen = observe(fleet)
    assert all(each.is_well and each.relayed == each.tracked for each in seen.told), (
        "something was not relayed"
    )
    what = (
        f"{fleet.workers:,} real workers with a relay, {fleet.rate * fleet.workers / fleet.of:,.0f} events/s"
    )
    goals = [Goal(f"{what}, p50", seen.delay(0.5), P50[name], unit=" s")] if name in P50 else []
    goals += [
        Goal(f"{what}, p99", seen.delay(0.99), P99[name], unit=" s"),
        Goal(f"{what}, 429", seen.throttled, 0),
        Goal(f"{what}, requests in the busiest second", seen.busiest_second, 50),
        Goal(f"{what}, lost or billed twice", seen.lost + seen.twice, 0),
    ]
    return Section(
        f"{fleet.workers:,} workers in {fleet.processes} processes that hand over to a relay",
        table(HEADS, [_row(seen)]),
        goals,
    )


if __name__ == "__main__":
    nursery(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4], float(sys.argv[5]))
