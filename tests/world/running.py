"""Many seeds, on several processes: a few hundred each, since the dead tasks of a world are never freed."""

from __future__ import annotations

import gc
import os
import pickle
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import attrs

from . import bugs
from .kernel import simulated
from .relay_plan import drawn
from .world import Result, live

CHUNK = 100  # seeds that one process runs


@attrs.define
class Tally:
    """What became of some seeds."""

    seeds: int = 0
    steps: int = 0
    seconds: float = 0.0
    slowest: float = 0.0
    counts: Counter[str] = attrs.field(factory=Counter)
    failures: list[tuple[int, str]] = attrs.field(factory=list)

    def add(self, seed: int, result: Result, seconds: float) -> None:
        """Count one more."""
        self.seeds += 1
        self.steps += result.steps
        self.seconds += seconds
        self.slowest = max(self.slowest, seconds)
        self.counts.update(result.counts)
        if result.failure is not None:
            self.failures.append((seed, result.failure))

    def join(self, other: Tally) -> None:
        """Count what another has counted."""
        self.seeds += other.seeds
        self.steps += other.steps
        self.seconds += other.seconds
        self.slowest = max(self.slowest, other.slowest)
        self.counts.update(other.counts)
        self.failures += other.failures


def run(seeds: Sequence[int], bug: str | None = None, *, until_found: bool = False) -> Tally:
    """Run seeds in this process; ``until_found``: stop at the first that fails."""
    tally = Tally()
    gc.disable()  # a dead task that is collected would be unwound
    with simulated():
        for seed in seeds:
            begun = time.process_time()
            with bugs.seeded(bug):
                result = live(drawn(seed))
            seconds = time.process_time() - begun
            if bug is not None and result.failure is not None and live(drawn(seed)).failure is not None:
                result.failure = None  # it has nothing to do with the bug
            tally.add(seed, result, seconds)
            if until_found and tally.failures:
                break
    return tally


def run_apart(
    seeds: range, jobs: int = 1, bug: str | None = None, *, until_found: bool = False
) -> Iterator[Tally]:
    """Run seeds in processes of their own, ``jobs`` at a time; yields what each has found."""
    chunks = [seeds[at : at + CHUNK] for at in range(0, len(seeds), CHUNK)]
    with tempfile.TemporaryDirectory() as folder:
        running: dict[int, Path] = {}
        while chunks or running:
            while chunks and len(running) < jobs:
                seeds = chunks.pop(0)
                path = Path(folder) / str(seeds[0])
                running[_forked(seeds, path, bug, until_found=until_found)] = path
            pid, status = os.wait()
            assert status == 0, "a process that ran seeds has failed"
            tally: Tally = pickle.loads(running.pop(pid).read_bytes())  # noqa: S301  our own
            if until_found and tally.failures:
                chunks.clear()
            yield tally


def _forked(seeds: Sequence[int], path: Path, bug: str | None, *, until_found: bool) -> int:
    pid = os.fork()
    if pid:
        return pid
    status = 1
    try:
        path.write_bytes(pickle.dumps(run(seeds, bug, until_found=until_found)))
        status = 0
    except BaseException:
        traceback.print_exc()
        raise
    finally:
        os._exit(status)
