"""What a thread of the application that computes loses to events, in one process on one CPU.

Run: ``python -m benchmarks.beside``.
"""

from __future__ import annotations

from .contenders import label, peers
from .rounds import Found, compare
from .sections import Section, run, table

RATES = (200, 2_000, 20_000)  # events a second
OF_PEERS = 2_000  # the most that all of them are able to


def measure(rounds: int) -> Section:
    """Everybody's toll."""
    own = ("by_hand", "floor", "ours", "ours_spooled")
    found: dict[int, Found] = {
        rate: compare(
            (*own, *peers()) if rate == OF_PEERS else own, "beside", rounds=rounds, rate=rate, seconds=1.0
        )
        for rate in RATES
    }
    rows = [
        (label(name), *(f"{of[name]['lost %']:.1f} %" if name in of else "" for of in found.values()))
        for name in (*own, *peers())
    ]
    heads = ("loses at so many events/s", *(f"{rate:,}" for rate in RATES))
    return Section("Beside a thread that computes", table(heads, rows))


if __name__ == "__main__":
    run(measure)
