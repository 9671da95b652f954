"""What the spool's journal costs in the transaction that removes delivered events.

Run: ``python -m benchmarks.journal``.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from togai_shipper._event import encode, fresh_id
from togai_shipper.spool.file import SpoolFile
from togai_shipper.spool.tally import Tally

from .sections import Goal, Section, run, table

BATCH = 2000  # what the writer removes at once when it is busy
SCHEMAS = (1, 10, 100)
DAY, NOW_MS = "2026-03-05", 1_772_668_800_000


def event(schema: str) -> bytes:
    """An event of a usual size."""
    attributes = {"count": 1, "latency": (12.5, "Milliseconds")}
    return encode(schema, "acme", attributes, {"region": "eu-west-1"}, "2026-03-05T00:00:00.000Z", fresh_id())


def settled(directory: Path, schemas: int, keeps: str | None, rounds: int) -> float:
    """Microseconds for each event, the removal with it; ``keeps`` is None: nothing is counted."""
    file = SpoolFile.create(directory / f"host-{schemas}-{abs(hash(keeps)) % 16**8:08x}.db", {})
    best = float("inf")
    for _ in range(5 * rounds):
        events = [event(f"schema_{n % schemas}") for n in range(BATCH)]
        first = file.append([(0, False, each) for each in events])
        before = time.thread_time()
        tally = Tally(keeps or "counts")
        if keeps is not None:
            tally.add(events, DAY, "delivered")
        file.settle(range(first, first + BATCH), tally, NOW_MS)
        best = min(best, time.thread_time() - before)
    file.close()
    return best / BATCH * 1e6


def measure(rounds: int) -> Section:
    """With the journal, without, and with what is kept on request."""
    with tempfile.TemporaryDirectory() as made:
        without = {schemas: settled(Path(made), schemas, None, rounds) for schemas in SCHEMAS}
        more = {
            (keeps, schemas): settled(Path(made), schemas, keeps, rounds) - without[schemas]
            for keeps in ("counts", "accounts", "ids")
            for schemas in SCHEMAS
        }
    rows = [
        (f'`journal="{keeps}"`', *(f"{more[keeps, schemas]:.2f}" for schemas in SCHEMAS))
        for keeps in ("counts", "accounts", "ids")
    ]
    goals = [
        Goal(
            "the journal, for each delivered event", max(more["counts", n] for n in SCHEMAS), 0.7, unit=" us"
        ),
        Goal('the same with `journal="ids"`', max(more["ids", n] for n in SCHEMAS), 2.0, unit=" us"),
    ]
    text = table(("us of CPU an event, more than without", *(f"{n} schemas" for n in SCHEMAS)), rows)
    return Section("The journal", text, goals)


if __name__ == "__main__":
    run(measure)
