"""Togai is away for five minutes, and back: what a relay takes in memory, and how fast a drainer catches up.

Run: ``python -m benchmarks.outage``. It needs ``redis-server``; Togai is the sink, which counts, and is never
the bottleneck. ``--events 300000`` for a look.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attrs
import redis

from togai_shipper._event import fresh_id
from togai_shipper.relay.entries import MARK_BYTES, fields_of, size_of
from togai_shipper.relay.link import Link
from togai_shipper.relay.scripts import ADD

from .relay import batches, server
from .rounds import cpus
from .sections import Goal, Section, goals_table, table
from .sink import Sink, sink

SECONDS, RATE = 300, 5_000  # of the outage; and events a second meanwhile
LENGTHS = (12, 500)  # events an entry: many hosts, and few
LATENCY = 0.05  # seconds that a reply takes
ROOM = 4 * 1024**3
PATIENCE = 300.0  # seconds in which it has to be over
AT_ONCE = 200  # entries that are handed over in one write: they are made here faster than hosts make them
TICK = os.sysconf("SC_CLK_TCK")


@attrs.frozen
class Caught:
    """What one outage has cost; times of an event in microseconds of CPU."""

    length: int  # events an entry
    events: int
    memory: float  # MiB of Redis
    rate: float  # events a second, from the first request to the last reply
    drainer: float
    redis: float
    each: float  # events a request


def cpu_of(pid: int) -> float:
    """Seconds of CPU that a process has taken."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def fill(url: str, base_url: str, events: int, length: int) -> float:
    """Hand over so many events, as producers have while nobody drained; return MiB of memory."""
    client: Any = redis.Redis.from_url(url)
    link = Link(url, "togai")
    client.config_set("appendfsync", "no")  # how fast it was handed over is measured elsewhere
    client.script_load(ADD.text)
    before = int(client.info("memory")["used_memory"])
    made = [[event.split(b'"id":"', 1) for event in batch] for batch in batches(length, 60_000 // length)]
    now = int(time.time() * 1000)
    for first in range(0, events // length, AT_ONCE):
        pipeline = client.pipeline(transaction=False)
        for number in range(first, min(first + AT_ONCE, events // length)):
            batch = [_with_an_id(*event) for event in made[number % len(made)]]
            fields = fields_of(batch, os.urandom(MARK_BYTES), now)
            flat = [part for item in fields.items() for part in item]
            arguments = [base_url, "e" * 16, ROOM, len(batch), size_of(fields), now, *flat]
            pipeline.execute_command(
                "EVALSHA", ADD.sha, 2, link.keys["events"], link.keys["relay"], *arguments
            )
        pipeline.execute()
    memory = (int(client.info("memory")["used_memory"]) - before) / 1024**2
    client.config_set("appendfsync", "always")
    link.close()
    client.close()
    return memory


def _with_an_id(head: bytes, tail: bytes) -> bytes:
    event_id = fresh_id().encode()
    return b'%b"id":"%b%b' % (head, event_id, tail[len(event_id) :])


def drain_environment(base_url: str) -> dict[str, str]:
    """Return what a drainer is told, and nothing of ours."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith("TOGAI_")}
    return {**ours, "TOGAI_API_KEY": "secret", "TOGAI_BASE_URL": base_url}


@contextmanager
def drainer(url: str, base_url: str) -> Iterator[subprocess.Popen[bytes]]:
    """Start a drainer, on our CPU."""
    process = subprocess.Popen(  # noqa: S603  our own
        [sys.executable, "-m", "togai_shipper", "drain", url],
        env=drain_environment(base_url),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def caught_up(togai: Sink, url: str, events: int, memory: float, length: int) -> Caught:
    """Drain it."""
    client = redis.Redis.from_url(url)
    pid = client.info("server")["process_id"]
    with drainer(url, togai.url) as process:
        deadline = time.monotonic() + PATIENCE
        while not togai.count().requests:
            assert time.monotonic() < deadline, "nothing comes"
            time.sleep(0.02)
        first, start = togai.count().events, time.monotonic()
        cpu, its = cpu_of(process.pid), cpu_of(pid)
        while togai.count().events < events:
            assert time.monotonic() < deadline, "it does not catch up"
            time.sleep(0.02)
        wall, count = time.monotonic() - start, events - first
        cpu, its = cpu_of(process.pid) - cpu, cpu_of(pid) - its
        while client.hget("{togai}:relay", "out") != b"%d" % events:
            assert time.monotonic() < deadline, "it is not settled"
            time.sleep(0.02)
        said = togai.count()
        assert said.events == events, "billed twice"
    return Caught(
        length, events, memory, count / wall, cpu / count * 1e6, its / count * 1e6, events / said.requests
    )


def once(length: int, events: int) -> Caught:
    """One outage, of entries of one length."""
    events -= events % length
    _, theirs = cpus()
    with sink(LATENCY, theirs) as togai, server() as url:
        return caught_up(togai, url, events, fill(url, togai.url, events, length), length)


def _row(caught: Caught) -> tuple[object, ...]:
    return (
        caught.length,
        f"{caught.events:,}",
        f"{caught.memory:.0f}",
        f"{caught.memory * 1024**2 / caught.events:.0f}",
        f"{caught.rate:,.0f}",
        f"{caught.each:.0f}",
        f"{caught.drainer:.1f}",
        f"{caught.redis:.1f}",
    )


def measure(events: int = SECONDS * RATE) -> Section:
    """One outage, of entries of 12 events; and the fifth part of one, of entries of 500."""
    title = "Togai is away for five minutes"
    if not shutil.which("redis-server"):
        return Section(title, "Not measured: there is no `redis-server`.")
    many, few = (once(length, part) for length, part in zip(LENGTHS, (events, events // 5), strict=True))
    heads = (
        "events an entry",
        "events",
        "MiB of Redis",
        "bytes an event",
        "caught up, events/s",
        "events a request",
        "drainer, us of CPU an event",
        "Redis, likewise",
    )
    part = many.events / (SECONDS * RATE)
    text = (
        f"{RATE:,} events/s for {SECONDS} s; a reply takes {LATENCY * 1e3:.0f} ms, a drainer as it is set by"
    )
    text += " default, on one CPU, Redis and the sink on another.\n\n"
    goals = [
        Goal("memory of Redis, 5 minutes of outage at 5,000 events/s", many.memory / part, 130, unit=" MiB"),
        Goal("caught up after that, events/s", many.rate, 20_000, True),  # noqa: FBT003  at least
        Goal("drainer, entries of 12, CPU an event", many.drainer, 25, unit=" us"),
        Goal("drainer, entries of 500, CPU an event", few.drainer, 25, unit=" us"),
    ]
    return Section(title, text + table(heads, [_row(many), _row(few)]), goals)


def main() -> None:
    """Measure, and print what was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=SECONDS * RATE, help="fewer for a look")
    section = measure(parser.parse_args().events)
    print(f"{section.title}\n\n{section.text}\n\n{goals_table(section.goals)}")


if __name__ == "__main__":
    main()
