"""What a call of ``track()`` takes: back to back, from several threads, and at a steady rate.

Run: ``python -m benchmarks.track``.
"""

from __future__ import annotations

from .contenders import label, peers, stamps
from .rounds import Found, compare
from .sections import Goal, Section, run, table

CALLS = 100_000
THREADS = (4, 8)
RATE = 2_000  # events a second
FLAT_OUT = ("mean", "p50", "p99", "p99.9", "lost %")
BY_MANY = ("p50", "p99", "p99.9", "cpu")
STEADY = ("average", "p50", "p99", "p99.9")


def _table(found: Found, figures: tuple[str, ...]) -> str:
    return table(
        ("us a call", *figures),
        [(label(name), *(f"{of[figure]:,.1f}" for figure in figures)) for name, of in found.items()],
    )


def _others() -> str:
    some = [f"{label(name)} {' and '.join(stamps(name))}" for name in peers()]
    return f"\n\nWhat other libraries stamp: {', '.join(some)}." if some else ""


def measure(rounds: int) -> Section:
    """``track()`` of everybody, in turn; of peers, by one thread."""
    own = ("by_hand", "floor", "ours", "ours_spooled")
    varied = tuple(f"{name}_varied" for name in own)
    everybody = (*own, *varied, *peers())
    alone = compare(everybody, "track", rounds=rounds, calls=CALLS)
    many = {count: compare(own, "track", rounds=rounds, calls=CALLS, threads=count) for count in THREADS}
    paced = compare((*own, *peers()), "paced", rounds=rounds, rate=RATE, seconds=2.0)
    ours, by_hand = alone["ours"], alone["by_hand"]
    goals = [
        Goal("`track()` mean, back to back, of by hand", ours["mean"] / by_hand["mean"], 0.9, unit="x"),
        Goal(
            "the same, events vary",
            alone["ours_varied"]["mean"] / alone["by_hand_varied"]["mean"],
            0.9,
            unit="x",
        ),
        Goal("`track()` p50, back to back", ours["p50"], 6, unit=" us"),
        Goal("`track()` p99", ours["p99"], 40, unit=" us"),
        Goal("`track()` p99.9", ours["p99.9"], 1000, unit=" us"),
        Goal(
            "paced at 2,000/s: p50, of by hand", paced["ours"]["p50"] / paced["by_hand"]["p50"], 1, unit="x"
        ),
        Goal(
            "paced at 2,000/s: p99, of by hand", paced["ours"]["p99"] / paced["by_hand"]["p99"], 1, unit="x"
        ),
        Goal("8 threads: CPU an event, of one thread's", many[8]["ours"]["cpu"] / ours["cpu"], 1.5, unit="x"),
        Goal("8 threads: p99, of one thread's", many[8]["ours"]["p99"] / ours["p99"], 3, unit="x"),
    ]
    alike = [alone[name]["mean"] for name in peers() if stamps(name) == stamps("ours")]
    if alike:
        goals.append(
            Goal(
                "`track()` mean, back to back, of the best peer that stamps id and time",
                ours["mean"] / min(alike),
                1 / 3,
                unit="x",
            )
        )
    parts = [f"One thread, {CALLS:,} calls back to back:\n\n{_table(alone, FLAT_OUT)}{_others()}"]
    parts += [f"{count} threads, back to back:\n\n{_table(found, BY_MANY)}" for count, found in many.items()]
    parts.append(f"One thread, {RATE:,} events a second:\n\n{_table(paced, STEADY)}")
    return Section("What a call of `track()` takes", "\n\n".join(parts), goals)


if __name__ == "__main__":
    run(measure)
