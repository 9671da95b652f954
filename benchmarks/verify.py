"""What look-ups cost: a flusher for each event, ``close()`` beside one that hangs, and Togai for a fleet.

Run: ``python -m benchmarks.verify``.
"""

from __future__ import annotations

import heapq
import random
import statistics
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime, timezone

from togai_shipper._config import Config
from togai_shipper._engine.look_ups import METERED, Found
from togai_shipper._engine.sampling import Sample, Sampler, heads_of
from togai_shipper._event import encode, fresh_id
from togai_shipper._pipeline import Pipeline
from togai_shipper.testing import FakeTogai, faults

from .sections import Goal, Section, run, table

BATCH = 500
SCHEMAS = (1, 3, 100)
PROCESSES, HOURS = 1000, 1.5
TODAY = datetime(2026, 3, 5, tzinfo=timezone.utc)


def event(schema: str) -> bytes:
    """An event of a usual size."""
    attributes = {"count": 1, "latency": (12.5, "Milliseconds")}
    return encode(schema, "acme", attributes, {"region": "eu-west-1"}, "2026-03-05T00:00:00.000Z", fresh_id())


def sampled(schemas: int, rounds: int) -> float:
    """Microseconds for each event of a batch of which no sample is wanted: nearly all of them are such."""
    events = [event(f"schema_{n % schemas}") for n in range(BATCH)]
    sampler = Sampler(0.1, lambda: 0.5)
    now = 0.0
    sampler.take(events, now, TODAY, first=True)
    best = float("inf")
    for _ in range(10 * rounds):
        before = time.perf_counter()
        for _ in range(100):
            sampler.may_want(heads_of(events), now)
        best = min(best, time.perf_counter() - before)
    return best / 100 / BATCH * 1e6


def closed(togai: FakeTogai, verify: float) -> float:
    """Milliseconds that ``close()`` takes with an event left, beside a look-up that hangs, if any is made."""
    togai.clear()
    pipeline = Pipeline(Config.load({}, api_key="secret", base_url=togai.url, verify=verify))
    pipeline.put(event("api_call"))
    pipeline.flush(10)
    if verify:
        assert togai.wait(lambda: any("/events/" in request.path for request in togai.requests), 30)
    else:
        time.sleep(1.0)  # as long as the other one waits for its look-up
    pipeline.put(event("api_call"))
    before = time.perf_counter()
    assert pipeline.close(10).delivered == 1
    return (time.perf_counter() - before) * 1e3


def fleet(processes: int, hours: float, chance: random.Random, schemas: Sequence[str]) -> Iterator[float]:
    """When processes look up that all start at once, and deliver without end."""
    events = [event(schema) for schema in schemas]
    samplers = [Sampler(0.1, chance.random) for _ in range(processes)]
    due: list[tuple[float, int]] = []
    for number, sampler in enumerate(samplers):
        sampler.take(events, 0.0, TODAY, first=True)
        heapq.heappush(due, (0.0, number))
    while due[0][0] < hours * 3600:
        now, number = heapq.heappop(due)
        sampler = samplers[number]
        found = sampler.next(now)
        if isinstance(found, Sample):
            yield now
            sampler.note(Found(METERED), now)
            sampler.take(events, now, TODAY, first=True)
            found = sampler.next(now)
        assert isinstance(found, float)
        heapq.heappush(due, (now + found, number))


def peak(times: Sequence[float]) -> float:
    """Look-ups a second in the ten seconds that have most."""
    return max(Counter(int(at // 10) for at in times).values()) / 10


def measure(rounds: int) -> Section:
    """All three."""
    costs = {schemas: sampled(schemas, rounds) for schemas in SCHEMAS}
    with FakeTogai("secret", rate_limit=None) as togai:
        togai.on_lookup = lambda _: faults.Hang()
        taken: dict[float, list[float]] = {0: [], 60: []}
        for _ in range(4 * rounds):
            for verify, found in taken.items():
                found.append(closed(togai, verify))
    without, beside = (statistics.median(found) for found in taken.values())
    most = peak([*fleet(PROCESSES, HOURS, random.Random(7), "abc")])  # noqa: S311  a simulation
    rows = [
        *((f"a flusher, us an event, {schemas} schemas", f"{cost:.2f}") for schemas, cost in costs.items()),
        ("close(), ms, without look-ups", f"{without:.1f}"),
        ("close(), ms, beside one that hangs", f"{beside:.1f}"),
        (f"{PROCESSES:,} processes that start at once, look-ups a second at most", f"{most:.1f}"),
    ]
    goals = [
        Goal("a sampler, for each event that is delivered", max(costs.values()), 0.25, unit=" us"),
        Goal("`close()` beside a look-up that hangs, more than without", beside - without, 5, unit=" ms"),
        Goal(f"look-ups a second of {PROCESSES:,} processes", most, 4),
    ]
    return Section("Look-ups", table(("what", "seen"), rows), goals)


if __name__ == "__main__":
    run(measure)
