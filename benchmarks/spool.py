"""What the spool costs: ``track()`` with it and without, idle and beside a thread that computes; durability.

Run: ``python -m benchmarks.spool``.
"""

from __future__ import annotations

import os
import tempfile
import time

from togai_shipper import Shipper

from .child import computing, percentile
from .contenders import ACCOUNT, DIMENSIONS, NUMBERS, SCHEMA
from .rounds import compare
from .sections import Goal, Section, run, table
from .sink import sink

CALLS = 50_000
RATES = (2_000, 25_000)  # events a second; the latter is all that Togai takes of an account
BESIDE = {False: "", True: ", beside a thread that computes"}


def durable_after() -> float:
    """Milliseconds from accepted to durable, p99, at some 100 events a second."""
    taken: list[float] = []
    with tempfile.TemporaryDirectory(dir=os.environ.get("BENCHMARK_DIR")) as folder, sink() as togai:
        shipper = Shipper("key", base_url=togai.url, spool=folder)
        for _ in range(300):
            before = time.perf_counter()
            shipper.track(SCHEMA, ACCOUNT, NUMBERS, DIMENSIONS)
            while shipper.stats().spooled + shipper.stats().delivered <= len(taken):
                time.sleep(0.0002)
            taken.append(time.perf_counter() - before)
            time.sleep(0.005)
        assert shipper.close(60)
    return percentile(taken, 0.99) * 1e3


def measure(rounds: int) -> Section:
    """With and without, in turn."""
    rows, goals = [], []
    for busy in (False, True):
        for rate in (*RATES, None):
            if rate is None:
                found = compare(("ours", "ours_spooled"), "track", rounds=rounds, calls=CALLS, busy=busy)
            else:
                found = compare(
                    ("ours", "ours_spooled"), "paced", rounds=rounds, rate=rate, seconds=1.5, busy=busy
                )
            pace = "back to back" if rate is None else f"{rate:,}/s"
            for figure in ("average", "p50", "p99"):
                without, with_ = (found[name][figure] for name in ("ours", "ours_spooled"))
                rows.append(
                    (
                        f"{pace}{BESIDE[busy]}: {figure}",
                        f"{without:.1f}",
                        f"{with_:.1f}",
                        f"{with_ / without:.2f}x",
                    )
                )
            share = found["ours_spooled"]["average"] / found["ours"]["average"]
            goals.append(
                Goal(f"`track()` with the spool, {pace}{BESIDE[busy]}, of without", share, 1.2, unit="x")
            )
    text = table(("`track()`", "us without", "us with the spool", "ratio"), rows)
    ends = compare(("ours", "ours_spooled"), "track", rounds=rounds, calls=2 * CALLS)
    goals.append(Goal("events/s with the spool", ends["ours_spooled"]["events/s"], 25_000, at_least=True))
    idle = durable_after()
    with computing():
        busy_ms = durable_after()
    text += f"\n\nAccepted to durable, p99: {idle:.0f} ms; beside a thread that computes {busy_ms:.0f} ms."
    goals.append(Goal("accepted to durable, p99, beside a thread that computes", busy_ms, 100, unit=" ms"))
    return Section("The spool", text, goals)


if __name__ == "__main__":
    run(measure)
