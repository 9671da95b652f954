"""Real processes that share one quota: by themselves, and by a relay, with all that it has to hold.

Run: ``python -m benchmarks.fleet --real``, on a machine that does nothing else: some six minutes. Each part
is printed as soon as it is there; ``--only PART``, which may be given again, repeats some of them.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import time
from array import array
from collections.abc import Callable, Mapping
from multiprocessing.connection import Connection

from togai_shipper import Event, Shipper
from togai_shipper.testing import FakeTogai

from . import outage, relay, relay_fleet
from .child import percentile
from .sections import Goal, Section, goals_table, table

QUOTA = 50.0  # requests a second that the sandbox takes
PROCESSES, RATE, SECONDS = 8, 250.0, 20.0  # and events a second of each
FLUSH_INTERVAL = 0.1  # seconds: 80 requests a second of all, where 50 are taken


def _process(url: str, worker: int, pipe: Connection) -> None:
    tracked, delays = array("d"), array("d")

    def delivered(events: tuple[Event, ...]) -> None:
        now = time.monotonic()
        delays.extend(now - tracked[int(event.id.partition("-")[2])] for event in events)

    start = time.monotonic()
    with Shipper("secret", base_url=url, flush_interval=FLUSH_INTERVAL, on_delivered=delivered) as shipper:
        while (now := time.monotonic()) < start + SECONDS:
            while len(tracked) < (now - start) * RATE:
                tracked.append(now)
                shipper.track("api_call", "acme", {"n": 1}, event_id=f"{worker}-{len(tracked) - 1}")
            time.sleep(0.01)
        report = shipper.close(60)
    pipe.send((len(tracked), sorted(delays), report.pending + report.dropped + report.rejected))


def measure_alone() -> Section:
    """Eight processes beside the sandbox and its quota, judged by its ledger."""
    spawn, rows, ids = multiprocessing.get_context("spawn"), [], set()
    with FakeTogai("secret", rate_limit=QUOTA) as togai:
        pipes = []
        for worker in range(PROCESSES):
            ours, theirs = multiprocessing.Pipe()
            spawn.Process(target=_process, args=(togai.url, worker, theirs), daemon=True).start()
            pipes.append(ours)
        for worker, pipe in enumerate(pipes):
            tracked, delays, undelivered = pipe.recv()
            ids |= {f"{worker}-{number}" for number in range(tracked)}
            parts = (f"{percentile(delays, part):.2f}" for part in (0.5, 0.99, 1))
            rows.append((worker, tracked, len(delays), undelivered, *parts))
        statuses = [answered.status for answered in togai.requests]
        lost, twice = len(togai.ledger.lost(ids)), len(togai.ledger.billed_twice)
    text = table(("process", "tracked", "delivered", "not", "delay s p50", "p99", "max"), rows)
    text += (
        f"\n\n{len(statuses)} requests, {statuses.count(202) / SECONDS:.0f} a second taken, "
        f"{100 * statuses.count(429) / len(statuses):.0f} % got 429. By the sandbox's ledger "
        f"{len(ids):,} events: {lost} lost, {twice} billed twice."
    )
    return Section(f"{PROCESSES} real processes that share one quota", text)


# --- all parts ---

ROUNDS = 3  # of what takes seconds


def main() -> None:
    """Measure all parts, or some, and print each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", action="append", choices=[*parts()], help="a part; may be given again")
    arguments = parser.parse_args()
    goals: list[Goal] = []
    for name, measure in parts().items():
        if name in (arguments.only or parts()):
            start = time.monotonic()
            section = measure()
            goals += section.goals
            seconds, load = time.monotonic() - start, os.getloadavg()[0]
            print(
                f"## {section.title}\n\n{section.text}\n\n({name}: {seconds:.0f} s, load {load:.1f})\n",
                flush=True,
            )
    print(goals_table(goals))


def parts() -> Mapping[str, Callable[[], Section]]:
    """Each part by its name."""
    return {
        "alone": measure_alone,
        "fleet-200": lambda: relay_fleet.measure("fleet-200"),
        "fleet-1000": lambda: relay_fleet.measure("fleet-1000"),
        "full-rate": lambda: relay_fleet.measure("full-rate"),
        "hand-over": lambda: relay.measure(ROUNDS),
        "outage": outage.measure,
    }
