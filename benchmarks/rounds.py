"""Contenders measured in turn, round after round, each in a process of its own beside a sink of its own."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from typing import Any

from .contenders import PEERS
from .sink import sink

Found = dict[str, dict[str, float]]
SILENT = 100_000.0  # seconds of latency, where no reply is to come
PATIENCE = 300.0  # seconds that one measurement may take
PEER_ROUNDS = 3  # that a peer is measured at most: some take long


def cpus() -> tuple[int | None, int | None]:
    """One for what is measured and one for the sink, if there are two."""
    have = sorted(os.sched_getaffinity(0))
    return (have[0], have[1]) if len(have) > 1 else (None, None)


def once(
    contender: str,
    measure: str,
    *,
    latency: float = 0.0,
    in_flight: int = 4,
    busy: bool = False,
    **options: Any,
) -> dict[str, float]:
    """The figures of one process; and how busy the sink was meanwhile, in percent of one CPU."""
    ours, theirs = cpus()
    with (
        tempfile.TemporaryDirectory(dir=os.environ.get("BENCHMARK_DIR")) as folder,
        sink(latency, theirs) as togai,
    ):
        task = {
            "contender": contender,
            "measure": measure,
            "url": togai.url,
            "in_flight": in_flight,
            "folder": folder,
            "cpu": ours,
            "busy": busy,
            "options": options,
        }
        before = togai.count()
        command = [sys.executable, "-m", f"{__package__}.child", json.dumps(task)]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, timeout=PATIENCE)  # noqa: S603  our own
        after = togai.count()
        figures: dict[str, float] = json.loads(done.stdout)
        if "wall" in figures:
            count, wall = options["calls"], figures["wall"] * options["calls"] / 1e6
            came = after.events - before.events
            assert came == count or contender in PEERS, f"{contender}: {came} of {count} came"
            figures["lost %"] = (1 - came / count) * 100
            figures["events/s"] *= came / count
            figures["sink busy %"] = (after.busy - before.busy) / wall * 100
        return figures


def compare(contenders: Sequence[str], measure: str, *, rounds: int, **options: Any) -> Found:
    """The median of each figure of each contender, all of them measured in turn."""
    taken: dict[str, list[dict[str, float]]] = {name: [] for name in contenders}
    for number in range(rounds):
        for name in contenders:
            if number < PEER_ROUNDS or name not in PEERS:
                taken[name].append(once(name, measure, **options))
    return {
        name: {figure: statistics.median(one[figure] for one in some) for figure in some[0]}
        for name, some in taken.items()
    }
