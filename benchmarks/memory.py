"""What a queued event takes of memory, while the server is silent.

Run: ``python -m benchmarks.memory``.
"""

from __future__ import annotations

from .contenders import label, peers
from .rounds import SILENT, compare
from .sections import Goal, Section, run, table

CALLS = 100_000


def measure(rounds: int) -> Section:
    """Everybody's queue."""
    everybody = ("by_hand", "floor", "ours", *peers())
    found = compare(everybody, "memory", rounds=min(rounds, 3), calls=CALLS, latency=SILENT)
    rows = [(label(name), f"{of['bytes']:,.0f}") for name, of in found.items()]
    goals = [Goal("memory a queued event", found["ours"]["bytes"], 500, unit=" B")]
    text = f"What the process has grown by with {CALLS:,} events queued:\n\n"
    return Section("Memory", text + table(("who", "bytes an event"), rows), goals)


if __name__ == "__main__":
    run(measure)
