"""What an import takes, beside that of requests.

Run: ``python -m benchmarks.imports``.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time

from .contenders import PEERS, label, peers
from .sections import Goal, Section, run, table


def _seconds(statement: str) -> float:
    start = time.perf_counter()
    compiled = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    subprocess.run([sys.executable, "-c", statement], check=True, env=compiled)  # noqa: S603  our own
    return time.perf_counter() - start


def measure(rounds: int) -> Section:
    """Milliseconds over a bare interpreter, in turn."""
    statements = {
        "nothing": "pass",
        "requests": "import requests",
        "togai_shipper": "import togai_shipper",
        "togai_shipper, and a first Shipper": "import togai_shipper; togai_shipper.Shipper('key')",
    }
    statements |= {label(name): f"import {', '.join(PEERS[name].imports)}" for name in peers()}
    for statement in statements.values():
        _seconds(statement)  # so that all is compiled
    taken: dict[str, list[float]] = {name: [] for name in statements}
    for _ in range(3 * rounds):
        for name, statement in statements.items():
            taken[name].append(_seconds(statement))
    found = {name: statistics.median(some) * 1e3 for name, some in taken.items()}
    bare = found.pop("nothing")
    goals = [
        Goal("import, over that of requests", found["togai_shipper"] - found["requests"], 15, unit=" ms")
    ]
    rows = [(name, f"{milliseconds - bare:.0f}") for name, milliseconds in found.items()]
    return Section("Import", table(("import", "ms over a bare interpreter"), rows), goals)


if __name__ == "__main__":
    run(measure)
