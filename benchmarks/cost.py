"""What an event costs from ``track()`` to its acknowledgement: CPU, and time.

Run: ``python -m benchmarks.cost``.
"""

from __future__ import annotations

from .contenders import label, peers
from .rounds import compare
from .sections import Goal, Section, run, table

CALLS = 100_000
FIGURES = {
    "cpu": "CPU us",
    "wall": "wall us",
    "events/s": "events/s",
    "lost %": "lost %",
    "sink busy %": "sink busy %",
}


def measure(rounds: int) -> Section:
    """Everybody's cost, in turn."""
    own = ("by_hand", "floor", "ours", "ours_spooled")
    varied = tuple(f"{name}_varied" for name in own)
    found = compare((*own, *varied, *peers()), "track", rounds=rounds, calls=CALLS)
    rows = [
        (label(name), *(f"{of[figure]:,.{0 if of[figure] > 100 else 1}f}" for figure in FIGURES))  # noqa: PLR2004
        for name, of in found.items()
    ]
    ours, by_hand, varying = found["ours"], found["by_hand"], found["ours_varied"]
    goals = [
        Goal("CPU an event, end to end, of by hand", ours["cpu"] / by_hand["cpu"], 0.7, unit="x"),
        Goal("the same, events vary", varying["cpu"] / found["by_hand_varied"]["cpu"], 0.7, unit="x"),
        Goal("CPU an event, end to end, of the floor", ours["cpu"] / found["floor"]["cpu"], 1, unit="x"),
        Goal("events/s, of by hand", ours["events/s"] / by_hand["events/s"], 1.3, at_least=True, unit="x"),
    ]
    if best := min((found[name]["cpu"] for name in peers()), default=None):
        goals.append(Goal("CPU an event, end to end, of the best peer", ours["cpu"] / best, 1 / 3, unit="x"))
    text = f"{CALLS:,} events from the first call to the last acknowledgement, the sink replying at once:\n\n"
    return Section("What an event costs", text + table(("an event", *FIGURES.values()), rows), goals)


if __name__ == "__main__":
    run(measure)
