"""What must not bend: close(), stats(), receipts, many shippers in one process, threads.

Run: ``python -m benchmarks.curves``; it fails where one bends. Each figure has a process of its own.
The events' values vary: account, numbers, one dimension that is unique.
"""

from __future__ import annotations

import gc
import json
import os
import resource
import statistics
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

from togai_shipper import Shipper
from togai_shipper._config import Config
from togai_shipper._engine.batching import Batch, singles
from togai_shipper._engine.runtime import Runtime
from togai_shipper._event import encode, fresh_id
from togai_shipper._pipeline import Pipeline

from .rounds import SILENT
from .sections import Goal, Section, run, table
from .sink import sink

CLOSED = (10_000, 100_000, 1_000_000)  # events pending as close(2) is called
SINGLES = (100, 10_000, 100_000)  # events that wait to go by themselves
RECEIPTS = 100_000
SHIPPERS = (250, 500, 1_000)
THREADS = 8
CALLS = 80_000
PATIENCE = 600.0  # seconds that one figure may take
STAMP = "2026-01-01T00:00:00.000Z"
Figures = dict[str, float]


def _fields(number: int) -> tuple[str, str, dict[str, Any], dict[str, str]]:
    attributes = {"count": 1, "bytes": number, "latency": (number / 7, "Milliseconds")}
    return "api_call", f"acct-{number % 5000}", attributes, {"region": "eu", "request": f"{number:032x}"}


def _shipper(url: str, **options: Any) -> Shipper:
    options = {"rate_limit": None, "max_queue_size": 4_000_000, "max_queue_bytes": 10**10, **options}
    return Shipper("key", base_url=url, **options)


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _resident() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def closed(url: str, count: int) -> Figures:
    """``close(2)`` with ``on_error`` set and so many events pending, the server being silent."""
    told: list[int] = []
    shipper = _shipper(url, on_error=lambda _, events: told.append(len(events)))
    for number in range(count):
        shipper.track(*_fields(number))
    before, begun = _peak(), time.monotonic()
    shipper.close(2)
    return {"seconds": time.monotonic() - begun, "MB": _peak() - before, "told": float(sum(told))}


def asked(_: str, count: int) -> Figures:
    """``stats()`` beside so many waiting single events."""
    config = Config.load({}, api_key="key", base_url="http://127.0.0.1:1", max_queue_size=count)
    pipeline = Pipeline(config, Runtime(start_thread=None))
    for _number in range(count):
        pipeline.put(encode("api_call", "acme", {"n": 1}, {}, STAMP, fresh_id()))
    with pipeline.lock:
        taken = []
        while isinstance(batch := pipeline.buffer.take(), Batch):
            taken.append(batch)
        for batch in taken:
            pipeline.buffer.release(batch, 0, 0, last=singles(batch))
    took = []
    for _number in range(200):
        begun = time.perf_counter()
        pipeline.health.stats()
        took.append(time.perf_counter() - begun)
    return {"ms": statistics.median(took) * 1000}


def receipts(url: str, count: int) -> Figures:
    """``submit()`` beside ``track()``: a call, what a receipt takes, and CPU more until all are settled."""
    silent = _shipper("http://127.0.0.1:1", flush_interval=3600, batch_size=500, max_in_flight=1)
    found = {name: _cost_of(getattr(silent, name), count // 2) for name in ("track", "submit")}
    gc.collect()
    before = _resident()
    kept = [silent.submit(*_fields(number)) for number in range(count)]
    gc.collect()
    grown = (_resident() - before) / len(kept)
    begun = time.process_time()
    shipper = _shipper(url)
    for number in range(count):
        shipper.track(*_fields(number))
    shipper.flush(60)
    tracked, begun = time.process_time() - begun, time.process_time()
    held = [shipper.submit(*_fields(number)) for number in range(count)]
    shipper.flush(60)
    assert all(each.result(60) for each in held)
    submitted = time.process_time() - begun
    return {"ratio": found["submit"] / found["track"], "bytes": grown, "seconds": submitted - tracked}


def _cost_of(call: Callable[..., object], count: int) -> float:
    """Microseconds of CPU a call; what it returns is kept, as a caller keeps a receipt."""
    least, kept = float("inf"), []
    for _ in range(5):
        begun = time.process_time()
        kept += [call(*_fields(number)) for number in range(count // 5)]
        least = min(least, time.process_time() - begun)
    return least / (count // 5) * 1e6


def many(url: str, count: int) -> Figures:
    """The first delivery of each of so many shippers, all of which have something to send at once."""
    shippers = [_shipper(url, flush_interval=1.0, verify=0) for _ in range(count)]
    begun, cpu = time.monotonic(), time.process_time()
    for number, shipper in enumerate(shippers):
        shipper.track(*_fields(number))
    while sum(shipper.stats().delivered for shipper in shippers) < count:
        time.sleep(0.2)
    return {"seconds": time.monotonic() - begun, "cpu": time.process_time() - cpu}


def crowded(url: str, calls: int) -> Figures:
    """CPU an event by 8 threads, on every CPU there is, of one thread's: ours, and a bare loop's."""
    found = {}
    for name, call in (("ours", _shipper(url).track), ("bare", _bare())):
        alone, together = (_cpu_of(call, threads, calls) for threads in (1, THREADS))
        found[name] = together / alone
    return found


def _bare() -> Callable[..., object]:
    """The least that anybody does: JSON, and a queue."""
    queued: deque[str] = deque(maxlen=100_000)

    def call(schema: str, account: str, attributes: Any, dimensions: Any) -> None:
        queued.append(json.dumps([schema, account, attributes, dimensions, fresh_id(), time.time()]))

    return call


def _cpu_of(call: Callable[..., object], threads: int, calls: int) -> float:
    def work() -> None:
        for number in range(calls // threads):
            call(*_fields(number))

    begun = time.process_time()
    running = [threading.Thread(target=work) for _ in range(threads)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    return time.process_time() - begun


def _once(name: str, count: int) -> Figures:
    with sink(SILENT if name == "closed" else 0.0) as togai:
        command = [sys.executable, "-m", "benchmarks.curves", name, togai.url, str(count)]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, timeout=PATIENCE)  # noqa: S603  our own
    figures: Figures = json.loads(done.stdout.splitlines()[-1])
    return figures


def _median(name: str, count: int, rounds: int) -> Figures:
    taken = [_once(name, count) for _ in range(rounds)]
    return {figure: statistics.median(one[figure] for one in taken) for figure in taken[0]}


def measure(rounds: int) -> Section:
    """Each curve, at each of its sizes."""
    rounds = min(rounds, 3)
    ends = {count: _median("closed", count, rounds) for count in CLOSED}
    stats = {count: _median("asked", count, rounds) for count in SINGLES}
    receipt = _median("receipts", RECEIPTS, rounds)
    first = {count: _median("many", count, rounds) for count in SHIPPERS}
    by_many = _median("crowded", CALLS, rounds)
    few, most = SHIPPERS[0], SHIPPERS[-1]
    goals = [
        Goal("`close(2)` with `on_error`, 1,000,000 pending", ends[CLOSED[-1]]["seconds"], 3, unit=" s"),
        Goal("the same, memory more", ends[CLOSED[-1]]["MB"], 20, unit=" MB"),
        Goal("`stats()` beside 100,000 waiting singles", stats[SINGLES[-1]]["ms"], 0.2, unit=" ms"),
        Goal("`submit()`, CPU of `track()`'s", receipt["ratio"], 2.5, unit="x"),
        Goal("a receipt and its event", receipt["bytes"], 1024, unit=" B"),
        Goal("100,000 receipts settled, CPU more than tracked", receipt["seconds"], 1, unit=" s"),
        Goal(
            f"{most:,} shippers, CPU of each first delivery, of {few}'s",
            first[most]["cpu"] / most / (first[few]["cpu"] / few),
            1.5,
            unit="x",
        ),
        Goal(
            "8 threads, CPU an event of one thread's, of a bare loop's",
            by_many["ours"] / by_many["bare"],
            1.1,
            unit="x",
        ),
    ]
    rows = [
        *(
            (
                f"close(2), {count:,} pending",
                f"{of['seconds']:.1f} s, +{of['MB']:.0f} MB, {of['told']:,.0f} told",
            )
            for count, of in ends.items()
        ),
        *((f"stats() beside {count:,} waiting singles", f"{of['ms']:.3f} ms") for count, of in stats.items()),
        ("submit()", f"{receipt['ratio']:.2f}x of track(), {receipt['bytes']:,.0f} B with its event"),
        (f"{RECEIPTS:,} receipts settled", f"{receipt['seconds']:.2f} s of CPU more than tracked"),
        *(
            (
                f"{count:,} shippers until each has delivered",
                f"{of['seconds']:.1f} s, {of['cpu']:.1f} s of CPU",
            )
            for count, of in first.items()
        ),
        (
            f"{THREADS} threads on all CPUs, of one",
            f"ours {by_many['ours']:.2f}x, bare {by_many['bare']:.2f}x",
        ),
    ]
    return Section("What must not bend", table(("what", "seen"), rows), goals)


if __name__ == "__main__":
    if len(sys.argv) == 4 and not sys.argv[1].startswith("-"):  # noqa: PLR2004  as _once calls it
        print(json.dumps(globals()[sys.argv[1]](sys.argv[2], int(sys.argv[3]))), flush=True)
        os._exit(0)  # what is still queued at a silent server stays there
    run(measure)
