"""How fast the sandbox finds what became of an event, with many of them; and what it takes to ingest one.

Run: ``python -m benchmarks.lookups``. The server's own time: what its event loop can do nothing else in.
"""

from __future__ import annotations

import asyncio
import json
import random
import statistics
import time
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any

from togai_shipper.sandbox.event_lists import EventLists
from togai_shipper.sandbox.ledger import BillingLedger
from togai_shipper.sandbox.metrics import Metrics
from togai_shipper.sandbox.switches import Switches

from .sections import Goal, Section, run, table

SIZES = (200_000, 1_000_000)  # records
BATCH = 500  # events
LOOKUPS = 2_000
_START = datetime(2024, 5, 1, tzinfo=timezone.utc)


def measure(_rounds: int) -> Section:
    """Look up by id, page by page and as counts, among more and more records."""
    found = [_among(size) for size in SIZES]
    rows = [
        (
            f"{size:,}",
            f"{of['ingest']:.1f}",
            f"{of['id']:.3f} / {of['id, worst of 99 %']:.3f}",
            f"{of['page']:.2f}",
            f"{of['counts']:.0f}",
        )
        for size, of in zip(SIZES, found, strict=True)
    ]
    goals = [Goal("sandbox: look-up by id at 1,000,000 records", found[-1]["id"], 1.0, unit=" ms")]
    heads = ("records", "us to ingest one", "ms by id, median / p99", "ms a page", "ms for counts of a day")
    text = "In the sandbox's event loop, all records kept whole, 100 accounts, 7 schemas:\n\n"
    return Section("Look-ups in the sandbox", text + table(heads, rows), goals)


def _among(size: int) -> dict[str, float]:
    switches = Switches()
    ledger = BillingLedger(switches)
    ingest = 0.0
    for first in range(0, size, BATCH):
        events = [_event(number) for number in range(first, first + BATCH)]
        ingest += _seconds(lambda events=events: ledger.accept(events))  # type: ignore[misc]
    lists, metrics = EventLists(ledger, switches), Metrics(ledger, switches)
    ids = [str(random.randrange(size)) for _ in range(LOOKUPS)]  # noqa: S311  it guards nothing
    by_id = [_seconds(lambda each=each: json.dumps(lists.single(each))) for each in ids]  # type: ignore[misc]
    asyncio.run(lists.page({}))  # the first one sorts
    pages = [_seconds(lambda: asyncio.run(lists.page({"account_id": "acme-7"}))) for _ in range(20)]
    query = {"id": "m", "name": "EVENTS", "aggregationPeriod": "DAY", "groupBy": "SCHEMA_NAME"}
    day = {"startTime": "2024-05-01T00:00:00Z", "endTime": "2024-05-02T00:00:00Z", "metricQueries": [query]}
    counts = [_seconds(lambda: metrics.answer(day)) for _ in range(5)]
    return {
        "ingest": 1e6 * ingest / size,
        "id": 1e3 * statistics.median(by_id),
        "id, worst of 99 %": 1e3 * statistics.quantiles(by_id, n=100)[-1],
        "page": 1e3 * statistics.median(pages),
        "counts": 1e3 * statistics.median(counts),
    }


def _event(number: int) -> dict[str, Any]:
    return {
        "id": str(number),
        "schemaName": f"schema-{number % 7}",
        "accountId": f"acme-{number % 100}",
        "timestamp": f"{_START + timedelta(seconds=number // 20):%Y-%m-%dT%H:%M:%S}.000Z",
        "attributes": [{"name": "count", "value": "1"}],
        "dimensions": {"region": "eu"},
    }


def _seconds(call: Callable[[], object]) -> float:
    start = time.process_time()
    call()
    return time.process_time() - start


if __name__ == "__main__":
    run(measure)
