"""Events a second, by how long a reply takes and how many requests may be on the wire.

Run: ``python -m benchmarks.throughput``.
"""

from __future__ import annotations

from .contenders import label
from .rounds import compare
from .sections import Goal, Section, run, table

LATENCIES = (0.0, 0.02, 0.1, 0.5)  # seconds
IN_FLIGHT = (1, 4, 16)
BATCH = 500
SECONDS = 3.0  # that a measurement takes, about


def measure(rounds: int) -> Section:
    """Ours and the floor, with several requests on the wire; by hand has one."""
    rows = []
    reached = 0.0
    for latency in LATENCIES:
        for in_flight in IN_FLIGHT:
            bound = BATCH * in_flight / latency if latency else 0.0
            calls = int(min(100_000, bound * SECONDS) if bound else 100_000) // BATCH * BATCH
            names = (
                ("by_hand", "floor", "ours", "ours_spooled")
                if in_flight == 1
                else ("floor", "ours", "ours_spooled")
            )
            found = compare(
                names, "track", rounds=min(rounds, 3), calls=calls, latency=latency, in_flight=in_flight
            )
            if (latency, in_flight) == (0.1, 4):
                reached = found["ours"]["events/s"]
            rows += [
                (
                    f"{latency * 1e3:.0f} ms",
                    in_flight,
                    label(name),
                    f"{of['events/s']:,.0f}",
                    f"{bound:,.0f}" if bound else "",
                )
                for name, of in found.items()
            ]
    goals = [
        Goal("events/s at 100 ms a reply, 4 on the wire", reached, 18_000, at_least=True),
    ]
    heads = ("a reply takes", "on the wire", "who", "events/s", "bound")
    return Section("Events a second", table(heads, rows), goals)


if __name__ == "__main__":
    run(measure)
