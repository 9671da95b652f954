"""What a relay costs: handing batches over to a Redis that syncs each to disk, its memory, and reading them.

Run: ``python -m benchmarks.relay``. It needs ``redis-server``, and measures the way to Redis alone.
"""

from __future__ import annotations

import os
import random
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from pathlib import Path

import attrs
import redis

from togai_shipper import Event
from togai_shipper.relay.answers import Done
from togai_shipper.relay.entries import MARK_BYTES, fields_of, read
from togai_shipper.relay.journal import counted
from togai_shipper.relay.link import Link

from .child import percentile
from .contenders import DIMENSIONS, SCHEMA
from .rounds import cpus
from .sections import Goal, Section, run, table

BASE = "https://api.togai.com"
ROOM = 1024**3
ENTRIES = {12: 4000, 50: 2000, 500: 400}  # events an entry: entries that are handed over
AT_ONCE = 40  # entries that are read and settled together
RATES = {12: 20_000, 50: 80_000, 500: 300_000}
COSTS = {12: 14.0, 50: 4.0, 500: 2.0}
BYTES = {12: 95.0, 500: 72.0}


@attrs.frozen
class Figures:
    """Of one run with entries of one length; all times of an event in microseconds of this process's CPU."""

    events: float  # a second
    handing_over: float
    p50: float  # milliseconds a batch
    p99: float
    memory: float  # bytes an event
    reading: float
    counting: float  # the same, with what the journal is told


@contextmanager
def server() -> Iterator[str]:
    """Start a redis-server, on another CPU than ours if there are two; yield its URL."""
    ours, theirs = cpus()
    with tempfile.TemporaryDirectory(dir=os.environ.get("BENCHMARK_DIR")) as folder:
        path = str(Path(folder) / "redis.sock")
        command = ["redis-server", "--port", "0", "--unixsocket", path, "--dir", folder, "--save", ""]
        command += ["--appendonly", "yes", "--appendfsync", "always"]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)  # noqa: S603  our own
        had = os.sched_getaffinity(0)
        try:
            if ours is not None and theirs is not None:
                os.sched_setaffinity(process.pid, {theirs})
                os.sched_setaffinity(0, {ours})
            while not Path(path).exists():
                time.sleep(0.01)
            yield f"unix://{path}"
        finally:
            os.sched_setaffinity(0, had)
            process.kill()
            process.wait()


def batches(length: int, count: int) -> list[list[bytes]]:
    """Events as an application makes them, each with an id, a time and figures of its own."""
    chance = random.Random(1)  # noqa: S311  it guards no secret
    return [[_event(chance) for _ in range(length)] for _ in range(count)]


def _event(chance: random.Random) -> bytes:
    numbers = {"count": 1, "bytes": chance.randrange(100_000), "latency": round(chance.expovariate(0.1), 3)}
    path = f"/v1/things/{chance.randrange(10_000)}"
    dimensions = {**DIMENSIONS, "path": path, "status": chance.choice(("200", "200", "404"))}
    return Event(SCHEMA, f"account-{chance.randrange(1000)}", numbers, dimensions).encode()


def once(length: int) -> Figures:
    """Hand over, look at the memory, read and settle."""
    count = ENTRIES[length]
    work, taken = batches(length, count), []
    with server() as url:
        link, client = Link(url, "togai"), redis.Redis.from_url(url)
        link.add(fields_of(work[0], bytes(MARK_BYTES), 1), BASE, ROOM)
        memory = client.info("memory")["used_memory"]
        start, cpu = time.perf_counter(), time.process_time()
        for batch in work:
            before = time.perf_counter()
            link.add(fields_of(batch, os.urandom(MARK_BYTES), 1), BASE, ROOM)
            taken.append(time.perf_counter() - before)
        wall, cpu = time.perf_counter() - start, time.process_time() - cpu
        memory = client.info("memory")["used_memory"] - memory
        half = (count + 1) // 2
        link.lease("take", "benchmark", "", fingerprint="f", base_url=BASE)
        reading = _drain(link, half, is_counted=False)
        counting = _drain(link, count + 1 - half, is_counted=True)
        assert link.facts()["events"] == "0"
    events = length * count
    return Figures(
        events / wall,
        cpu / events * 1e6,
        percentile(taken, 0.5) * 1e3,
        percentile(taken, 0.99) * 1e3,
        memory / events,
        reading / (length * half) * 1e6,
        counting / (length * (count + 1 - half)) * 1e6,
    )


def _drain(link: Link, count: int, *, is_counted: bool) -> float:
    """Read and settle so many entries; return the CPU's seconds."""
    cpu, after = time.process_time(), "0"
    while count:
        entries = [read(*each) for each in link.read(after, min(AT_ONCE, count))]
        done = [Done(each.id, each.mark, len(each.events), each.size, {}, each.events) for each in entries]
        leaving = (each.delivered for each in done)
        counts = counted(leaving, "delivered", int(time.time() * 1000)) if is_counted else None
        assert len(link.settle("benchmark", done, 0, counts).removed) == len(done)
        count, after = count - len(done), entries[-1].id
    return time.process_time() - cpu


def medians(found: Sequence[Figures]) -> Figures:
    """The median of each figure."""
    return Figures(*map(statistics.median, zip(*map(attrs.astuple, found), strict=True)))


def measure(rounds: int) -> Section:
    """Entries of 12, 50 and 500 events."""
    title = "Handing over to a relay"
    if not shutil.which("redis-server"):
        return Section(title, "Not measured: there is no `redis-server`.")
    found = {length: medians([once(length) for _ in range(rounds)]) for length in ENTRIES}
    rows = [
        (
            length,
            f"{one.events:,.0f}",
            f"{one.handing_over:.1f}",
            f"{one.p50:.2f} / {one.p99:.2f}",
            f"{one.memory:.0f}",
            f"{one.reading:.1f}",
            f"{one.counting:.1f}",
        )
        for length, one in found.items()
    ]
    heads = (
        "events an entry",
        "events/s",
        "us of CPU an event",
        "ms an entry, p50 / p99",
        "bytes of Redis an event",
        "us of CPU an event, read and settled",
        "the same, counted by the journal",
    )
    goals = [
        *(Goal(f"handed over, entries of {n}, events/s", found[n].events, RATES[n], True) for n in RATES),  # noqa: FBT003  at least
        *(
            Goal(f"handed over, entries of {n}, CPU an event", found[n].handing_over, COSTS[n], unit=" us")
            for n in COSTS
        ),
        *(
            Goal(f"Redis's memory an event, entries of {n}", found[n].memory, BYTES[n], unit=" B")
            for n in BYTES
        ),
        Goal("handing over 12 events, p50", found[12].p50, 0.5, unit=" ms"),
        Goal("handing over 12 events, p99", found[12].p99, 1.0, unit=" ms"),
    ]
    size = statistics.mean(map(len, chain(*batches(12, 100))))
    text = f"Events of {size:.0f} bytes; one connection, `appendonly yes`, `appendfsync always`.\n\n"
    return Section(title, text + table(heads, rows), goals)


if __name__ == "__main__":
    run(measure)
