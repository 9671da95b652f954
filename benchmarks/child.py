"""What one process measures of one contender, and prints as JSON; ``rounds`` starts it."""

from __future__ import annotations

import gc
import json
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from importlib import import_module
from pathlib import Path

from .contenders import Contender

Figures = dict[str, float]

LAG = 0.0005  # seconds between looks of what is paced, where it would be early


def percentile(values: list[float], share: float) -> float:
    """The value that ``share`` of them do not exceed."""
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def _percentiles(taken: list[float]) -> Figures:
    return {"average": sum(taken) / len(taken) * 1e6} | {
        f"p{share * 100:g}": percentile(taken, share) * 1e6 for share in (0.5, 0.99, 0.999)
    }


def _timed_calls(track: Callable[[], object], calls: int) -> list[float]:
    clock, taken = time.perf_counter, []
    for _ in range(calls):
        before = clock()
        track()
        taken.append(clock() - before)
    return taken


def _in_threads(count: int, work: Callable[[], object]) -> None:
    threads = [threading.Thread(target=work) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def track(contender: Contender, *, calls: int, threads: int = 1) -> Figures:
    """``track()`` called without pause by some threads, and what an event costs from end to end."""
    call, finish = contender
    taken: list[list[float]] = []
    share = calls // threads
    start, cpu = time.perf_counter(), time.process_time()
    if threads == 1:
        taken.append(_timed_calls(call, share))
    else:
        _in_threads(threads, lambda: taken.append(_timed_calls(call, share)))
    tracked = time.perf_counter()
    finish()
    wall, cpu = time.perf_counter() - start, time.process_time() - cpu
    count = share * threads
    return {
        "mean": (tracked - start) * threads / count * 1e6,
        **_percentiles([one for some in taken for one in some]),
        "cpu": cpu / count * 1e6,
        "wall": wall / count * 1e6,
        "events/s": count / wall,
    }


def paced(contender: Contender, *, rate: float, seconds: float) -> Figures:
    """``track()`` called at a steady rate."""
    call, finish = contender
    clock, taken = time.perf_counter, []
    start = clock()
    for number in range(int(rate * seconds)):
        due = start + number / rate
        while (wait := due - clock()) > 0:
            time.sleep(min(wait, LAG))
        before = clock()
        call()
        taken.append(clock() - before)
    finish()
    return _percentiles(taken)


def memory(contender: Contender, *, calls: int) -> Figures:
    """Bytes that a queued event takes: what the process has grown by, the server being silent."""
    call, _ = contender
    for _ in range(2_000):
        call()
    gc.collect()
    before = _resident()
    for _ in range(calls):
        call()
    gc.collect()
    return {"bytes": (_resident() - before) / calls}


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def growth(contender: Contender, *, at: list[int], calls: int) -> Figures:
    """``track()`` with so many events queued, the server being silent."""
    call, _ = contender
    found: Figures = {}
    queued = 0
    for _ in range(calls):  # the first calls of a process are not what is asked about
        call()
    queued += calls
    for count in at:
        while queued < count:
            call()
            queued += 1
        found[f"{count:,}"] = percentile(_timed_calls(call, calls), 0.5) * 1e6
        queued += calls
    return found


def beside(contender: Contender, *, rate: float, seconds: float) -> Figures:
    """What a thread that computes loses by another thread's events, of so many a second."""
    call, finish = contender
    alone = _computed(seconds)
    over = threading.Event()

    def produce() -> None:
        start, number = time.perf_counter(), 0
        while not over.is_set():
            while number <= (time.perf_counter() - start) * rate:
                call()
                number += 1
            time.sleep(LAG)

    thread = threading.Thread(target=produce)
    thread.start()
    shared = _computed(seconds)
    over.set()
    thread.join()
    finish()
    return {"lost %": (1 - shared / alone) * 100}


def _computed(seconds: float) -> float:
    until, done, total = time.perf_counter() + seconds, 0, 0
    start = time.perf_counter()
    while time.perf_counter() < until:
        for number in range(1_000):
            total += number * number
        done += 1
    return done / (time.perf_counter() - start)


@contextmanager
def computing() -> Iterator[None]:
    """A thread that computes meanwhile, as an application's may."""
    over = False

    def compute() -> None:
        total = 0
        while not over:
            for number in range(10_000):
                total += number * number

    thread = threading.Thread(target=compute, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over = True
        thread.join()


def main() -> None:
    """Measure what the arguments say."""
    task = json.loads(sys.argv[1])
    if task["cpu"] is not None:
        os.sched_setaffinity(0, {task["cpu"]})
    module = import_module(f"{__package__}.contenders.{task['contender']}")
    contender = module.start(task["url"], task["in_flight"], task["folder"])
    with computing() if task["busy"] else nullcontext():
        figures = globals()[task["measure"]](contender, **task["options"])
    print(json.dumps(figures), flush=True)
    os._exit(0)  # what is still queued at a silent server stays there


if __name__ == "__main__":
    main()
