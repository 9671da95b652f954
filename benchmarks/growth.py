"""What one more event costs when many are queued already, the server being silent.

Run: ``python -m benchmarks.growth``.
"""

from __future__ import annotations

from .contenders import label
from .rounds import SILENT, compare
from .sections import Goal, Section, run, table

AT = [1, 1_000, 10_000, 100_000, 1_000_000]  # queued
CALLS = 5_000


def measure(rounds: int) -> Section:
    """Ours, and by hand."""
    found = compare(("by_hand", "ours"), "growth", rounds=rounds, at=AT, calls=CALLS, latency=SILENT)
    heads = ("p50 us at so many queued", *(f"{count:,}" for count in AT))
    rows = [(label(name), *(f"{of[f'{count:,}']:.2f}" for count in AT)) for name, of in found.items()]
    ours = found["ours"]
    goals = [
        Goal(
            "`track()` p50 at 1,000,000 queued, of an empty queue",
            ours["1,000,000"] / ours["1"],
            1.1,
            unit="x",
        )
    ]
    return Section("One more queued event", table(heads, rows), goals)


if __name__ == "__main__":
    run(measure)
