"""What the spool costs: ``track()`` with and without, idle and beside a busy thread; durability; throughput.

Run: ``python -m benchmarks.spool``. Medians of several rounds, with and without in turn, in one process.
"""

from __future__ import annotations

import gc
import os
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from togai_shipper import Shipper
from togai_shipper._event import Attributes

from .sink import Sink, sink

ROUNDS = 7
BESIDE = {False: " nothing beside it", True: " beside a busy thread"}
CALLS = 20_000
ATTRIBUTES: Attributes = {"count": 1, "bytes": 20480, "latency": (12.5, "Milliseconds")}
DIMENSIONS = {"region": "eu-west-1", "path": "/v1/things", "method": "GET", "status": "200"}


@contextmanager
def busy_thread(wanted: bool) -> Iterator[None]:  # noqa: FBT001  the one thing that it is asked
    """A thread that computes, as an application's may."""
    stop = threading.Event()

    def compute() -> None:
        total = 0
        while not stop.is_set():
            for number in range(10_000):
                total += number * number

    thread = threading.Thread(target=compute, daemon=True)
    if wanted:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        if wanted:
            thread.join()


def percentile(values: list[float], share: float) -> float:
    """The value that ``share`` of them do not exceed."""
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def shipper_for(togai: Sink, folder: str | None) -> Shipper:
    """As its users have it, but without a quota."""
    return Shipper("key", base_url=togai.url, rate_limit=None, spool=folder, max_queue_size=1_000_000)


def track_costs(togai: Sink, folder: str | None) -> tuple[float, float, float]:
    """Microseconds a call: mean, p50, p99."""
    shipper = shipper_for(togai, folder)
    shipper.track("api_call", "acme", ATTRIBUTES, DIMENSIONS)
    shipper.flush()
    clock, track, taken = time.perf_counter, shipper.track, []
    gc.collect()
    start = clock()
    for _ in range(CALLS):
        before = clock()
        track("api_call", "acme", ATTRIBUTES, DIMENSIONS)
        taken.append(clock() - before)
    mean = (clock() - start) / CALLS
    shipper.close(60)
    return mean * 1e6, percentile(taken, 0.5) * 1e6, percentile(taken, 0.99) * 1e6


def durable_after(togai: Sink, folder: str) -> float:
    """Milliseconds from accepted to durable, p99, at some 100 events a second."""
    shipper = shipper_for(togai, folder)
    taken = []
    for _ in range(300):
        before = time.perf_counter()
        shipper.track("api_call", "acme", ATTRIBUTES, DIMENSIONS)
        while shipper.stats().spooled + shipper.stats().delivered <= len(taken):
            time.sleep(0.0002)
        taken.append(time.perf_counter() - before)
        time.sleep(0.005)
    shipper.close(60)
    return percentile(taken, 0.99) * 1e3


def throughput(togai: Sink, folder: str | None, events: int = 200_000) -> float:
    """Events a second, from the first ``track()`` to the last acknowledgement."""
    shipper = Shipper(
        "key", base_url=togai.url, rate_limit=None, spool=folder, overflow="block", block_timeout=60
    )
    start = time.perf_counter()
    for _ in range(events):
        shipper.track("api_call", "acme", ATTRIBUTES, DIMENSIONS)
    report = shipper.close(120)
    assert report, report
    return events / (time.perf_counter() - start)


def medians(measure: Callable[[str | None], tuple[float, ...]]) -> list[tuple[float, ...]]:
    """Of several rounds, without a spool and with one in turn."""
    found: list[list[tuple[float, ...]]] = [[], []]
    for _ in range(ROUNDS):
        for which, taken in enumerate(found):
            with tempfile.TemporaryDirectory(dir=os.environ.get("BENCHMARK_DIR")) as folder:
                taken.append(measure(folder if which else None))
    return [tuple(map(statistics.median, zip(*taken, strict=True))) for taken in found]


def main() -> None:
    """Measure, and print the table."""
    with sink() as togai:
        for beside in (False, True):
            with busy_thread(beside):
                bare, spooled = medians(lambda folder: track_costs(togai, folder))
            print("track()," + BESIDE[beside])
            for name, a, b in zip(("mean", "p50", "p99"), bare, spooled, strict=True):
                print(f"    {name:4}  {a:6.1f} us without, {b:6.1f} us with the spool: {b / a:.2f}x")
        for beside in (False, True):
            with busy_thread(beside), tempfile.TemporaryDirectory() as folder:
                print(f"accepted to durable, p99,{BESIDE[beside]}: {durable_after(togai, folder):.0f} ms")
        (without,), (with_,) = medians(lambda folder: (throughput(togai, folder),))
        print(f"events/s to the last acknowledgement: {without:,.0f} without, {with_:,.0f} with the spool")


if __name__ == "__main__":
    main()
