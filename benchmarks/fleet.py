"""How many workers share one account's quota: the real pipeline in virtual time, hours of it in minutes.

Run: ``python -m benchmarks.fleet``; with ``--real``, real processes: see ``real``.
"""

from __future__ import annotations

import logging
import random
import re
import sys
from array import array
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import attrs

from togai_shipper._config import Config
from togai_shipper._engine.batching import Batch
from togai_shipper._engine.runtime import Runtime
from togai_shipper._engine.verdict import Reply
from togai_shipper._event import encode
from togai_shipper._pipeline import Pipeline
from togai_shipper.relay.drainer import Drainer, load
from togai_shipper.sandbox.quota import TokenBucket

from .sections import Goal, Section, run, table
from .virtual import Time, VirtualBell
from .virtual_relay import VirtualRelay

QUOTA = 50.0  # requests a second that Togai takes at one endpoint from one account
CAPACITY = 500 * QUOTA  # events a second, all batches being full
LATENCY = 0.2  # seconds that a reply takes
BURSTS = 50.0  # times a second at most that one application tracks, each time as many events as are due
BASE_URL = "http://127.0.0.1:1"
WALL = 1_790_000_000.0  # what clocks on walls say at the start
LEAD = 15.0  # seconds that drainers are there before the fleet
PATIENCE = 7200.0  # seconds after the last event in which all have to be delivered
STEADY_AFTER = 5.0  # seconds of a lone worker that do not count
EVENT = encode("api_call", "acme", {"count": 1}, {}, "2026-01-01T00:00:00.000Z", "ID").replace(b"ID", b"%d")
IDS = re.compile(rb'"id":"(\d+)"')


@attrs.frozen
class Fleet:
    """So many workers, all started at once, each of which tracks at random times, at a rate of its own."""

    workers: int
    rate: float  # events a second, of all together
    seconds: float = 60.0
    options: Mapping[str, Any] = attrs.field(factory=dict)
    retry_after: float | None = None  # what a 429 says
    unlike: float = 10.0  # the busiest tracks at most so many times as much as the quietest
    seed: int = 1
    relay: bool = False  # they hand over, and a drainer sends; another stands by


class Account:
    """Togai as one account meets it: a quota at each endpoint, and a ledger of what was taken."""

    def __init__(self, time: Time, retry_after: float | None) -> None:
        self._time = time
        self._retry_after = retry_after
        self._buckets: dict[str, TokenBucket] = {}
        self._tracked: list[tuple[int, float]] = []  # by event: the worker, and when
        self.taken = bytearray()  # by event: how often
        self.refused: set[int] = set()  # what no buffer had room for
        self.requests: list[tuple[float, int]] = []  # when, and how many events were taken; 0: 429
        self.delays: dict[int, array[float]] = {}  # by worker: from tracked to delivered

    def track(self, worker: int, pipeline: Pipeline) -> None:
        """One event more."""
        number = len(self.taken)
        self.taken.append(0)
        self._tracked.append((worker, self._time.now))
        if pipeline.put(EVENT % number) is not None:
            self.refused.add(number)

    @property
    def waits(self) -> bool:
        """Whether events that were accepted are yet to come."""
        return self.taken.count(0) > len(self.refused)

    def open(self) -> None:
        """There is no session."""

    def close(self) -> None:
        """Likewise."""

    def send(self, batch: Batch, key: str, time_left: float, may_begin: Any = None) -> Reply:  # noqa: ARG002  a transport's
        """One request."""
        self._time.sleep(LATENCY / 2)
        bucket = self._buckets.setdefault(batch.path, TokenBucket(self._time))
        ids = list(map(int, IDS.findall(batch.body()))) if bucket.take(QUOTA) else []
        self.requests.append((self._time.now, len(ids)))
        self._time.sleep(LATENCY / 2)
        for number in ids:
            self.taken[number] += 1
            worker, since = self._tracked[number]
            self.delays.setdefault(worker, array("d")).append(self._time.now - since)
        if ids:
            return Reply(202, b'{"success": true}')
        return Reply(429, b'{"message": "slow down"}', retry_after=self._retry_after)


def share(values: Sequence[float], part: float) -> float:
    """The value that ``part`` of them, sorted, do not exceed."""
    return values[min(len(values) - 1, int(len(values) * part))]


@attrs.frozen
class Found:
    """What became of a fleet's events; rates are of the time in which they were tracked."""

    tracked: int
    refused: int  # by a full buffer
    lost: int
    twice: int
    requests: float  # a second, taken
    events: float  # a second, delivered
    throttled: float  # percent of the requests
    throttled_at_last: float  # the same in the last third
    busiest_second: int  # requests taken in one second; a rest lets a second's worth go at once beside it
    delays: Sequence[float]  # seconds from track() to delivered, sorted
    medians: Sequence[float]  # seconds, of each worker; sorted
    longest: Sequence[float]  # likewise
    silent: int  # workers of whose events none was delivered
    late: float  # seconds from the last event tracked to the last delivered


def simulate(fleet: Fleet, *, steady_after: float = 0.0) -> Found:
    """Run a fleet until all is delivered."""
    time, chance = Time(), random.Random(fleet.seed)  # noqa: S311  it guards no secret
    account = Account(time, fleet.retry_after)
    runtime = Runtime(
        clock=time,
        wall=lambda: WALL + time(),
        random=chance.random,
        bell=lambda: VirtualBell(time),
        start_thread=time.start_thread,
    )
    pipelines, drainers = (
        _relayed(fleet, account, time, runtime) if fleet.relay else _alone(fleet, account, runtime)
    )
    begun = time.now
    weights = [fleet.unlike ** chance.random() for _ in pipelines]
    for worker, (pipeline, weight) in enumerate(zip(pipelines, weights, strict=True)):
        _work(
            worker, pipeline, account, time, chance, fleet.rate * weight / sum(weights), begun + fleet.seconds
        )
    time.sleep(fleet.seconds)
    while any(pipeline.pending for pipeline in pipelines) or account.waits:
        assert time.now < begun + fleet.seconds + PATIENCE, "events wait for ever"
        time.sleep(0.1)
    late = time.now - begun - fleet.seconds
    for pipeline in pipelines:
        pipeline.close(10)
    for drainer in drainers:
        drainer.close()
    return _found(fleet, account, begun, steady_after, late)


def _alone(fleet: Fleet, account: Account, runtime: Runtime) -> tuple[list[Pipeline], list[Drainer]]:
    config = Config.load({}, api_key="key", base_url=BASE_URL, **fleet.options)
    # It sends, and closes.
    return [Pipeline(config, runtime, _sends_by(account)) for _ in range(fleet.workers)], []


def _relayed(
    fleet: Fleet, account: Account, time: Time, runtime: Runtime
) -> tuple[list[Pipeline], list[Drainer]]:
    relay: Any = VirtualRelay(time, BASE_URL)
    config = Config.load({}, relay="redis://127.0.0.1:1", base_url=BASE_URL, **fleet.options)
    pipelines = [Pipeline(config, runtime, link=relay.open) for _ in range(fleet.workers)]
    drainers = []
    for number in range(2):
        options = load({}, api_key="key", base_url=BASE_URL)
        of_its_own = attrs.evolve(runtime, wall=partial(_wall, time, number))
        connect = _sends_by(account)
        owner = f"host/{number}/0"
        drainers.append(Drainer(options, relay, "togai", owner, runtime=of_its_own, connect=connect))
        drainers[-1].start()
    time.sleep(LEAD)
    return pipelines, drainers


def _wall(time: Time, ahead: float) -> float:
    return WALL + time() + ahead  # the name of a drainer has it


def _sends_by(account: Account) -> Any:
    return lambda _: account


def _work(
    worker: int,
    pipeline: Pipeline,
    account: Account,
    time: Time,
    chance: random.Random,
    rate: float,
    until: float,
) -> None:
    """An application that tracks so many events a second, by virtual time's calls."""
    bursts, due = min(rate, BURSTS), 0.0

    def burst() -> None:
        nonlocal due
        due += rate / bursts
        while due >= 1.0:
            due -= 1.0
            account.track(worker, pipeline)
        later()

    def later() -> None:
        when = time.now + chance.expovariate(bursts)
        if when < until:
            time.at(when, burst)

    later()


def _found(fleet: Fleet, account: Account, begun: float, since: float, late: float) -> Found:
    requests = [(at - begun, events) for at, events in account.requests]
    during = [(at, events) for at, events in requests if since <= at < fleet.seconds]
    last = [events for at, events in during if at >= fleet.seconds * 2 / 3]
    taken = [at for at, events in during if events]
    span = fleet.seconds - since
    by_worker = [sorted(some) for some in account.delays.values()]
    first, busiest = 0, 0
    for latest, at in enumerate(taken):
        while taken[first] <= at - 1.0:
            first += 1
        busiest = max(busiest, latest - first + 1)
    return Found(
        tracked=len(account.taken),
        refused=len(account.refused),
        lost=account.taken.count(0) - len(account.refused),
        twice=len(account.taken) - account.taken.count(0) - account.taken.count(1),
        requests=len(taken) / span,
        events=sum(events for _, events in during) / span,
        throttled=100 * (1 - len(taken) / len(during)),
        throttled_at_last=100 * last.count(0) / max(1, len(last)),
        busiest_second=busiest,
        delays=sorted(delay for some in by_worker for delay in some),
        medians=sorted(share(some, 0.5) for some in by_worker),
        longest=sorted(some[-1] for some in by_worker),
        silent=fleet.workers - len(by_worker),
        late=late,
    )


def _row(fleet: Fleet, found: Found) -> tuple[object, ...]:
    options = ", ".join(f"`{name}={value:.3g}`" for name, value in fleet.options.items())
    if fleet.retry_after is not None:
        options = f"`Retry-After: {fleet.retry_after:.0f}`"
    return (
        fleet.workers,
        f"{fleet.rate:,.0f}",
        options,
        f"{found.requests:.1f}",
        f"{found.events / found.requests:.0f}",
        f"{found.throttled:.0f} %",
        f"{found.throttled_at_last:.0f} %",
        " / ".join(f"{share(found.delays, part):.1f}" for part in (0.5, 0.99, 1)),
        f"{share(found.medians, 0.5):.1f} / {found.medians[-1]:.1f}",
        f"{share(found.longest, 0.5):.1f} / {found.longest[-1]:.1f}",
        f"{found.late:.0f}",
    )


HEADS = (
    "workers",
    "events/s",
    "set",
    "requests/s taken",
    "events each",
    "429",
    "429, last third",
    "delay s p50 / p99 / max",
    "median delay s: typical / worst worker",
    "longest delay s: typical / worst worker",
    "all after s",
)
ALONE: tuple[Mapping[str, Any], ...] = (
    {"max_in_flight": 4, "rate_limit": 45},
    {"max_in_flight": 12, "rate_limit": 45},
    {"max_in_flight": 12, "rate_limit": 50},
    {"max_in_flight": 10, "rate_limit": None},
    {"max_in_flight": 16, "rate_limit": None},
)
SHARED = tuple(
    Fleet(workers, CAPACITY * load, 60.0) for workers in (20, 200) for load in (0.1, 0.5, 0.8, 0.95)
)
BEYOND = (
    *(Fleet(workers, CAPACITY / 10, 120.0) for workers in (240, 300, 400, 1000)),
    Fleet(400, CAPACITY / 10, 120.0, retry_after=1.0),
    Fleet(400, CAPACITY / 10, 120.0, {"flush_interval": 10.0}),
    Fleet(400, CAPACITY / 10, 120.0, {"rate_limit": 45 / 400}),
    Fleet(1000, CAPACITY / 10, 120.0, {"flush_interval": 25.0}),
    Fleet(20, CAPACITY * 0.8, 120.0, {"rate_limit": 45 / 20}),
)


RELAYED = (
    Fleet(200, CAPACITY / 10, 60.0, relay=True),
    Fleet(1000, CAPACITY / 10, 60.0, relay=True),
    Fleet(1000, CAPACITY * 0.8, 30.0, relay=True),
)


def measure(_: int) -> Section:
    """One worker at full speed, fleets under the quota, fleets that ask for more; no rounds: it is exact."""
    logging.getLogger("togai_shipper").setLevel(logging.CRITICAL)  # virtual complaints
    alone = [
        (options, simulate(Fleet(1, 1.08 * CAPACITY, 30.0, options), steady_after=STEADY_AFTER))
        for options in ALONE
    ]
    shared = [(fleet, simulate(fleet)) for fleet in SHARED]
    beyond = [(fleet, simulate(fleet)) for fleet in BEYOND]
    relayed = [(fleet, simulate(fleet)) for fleet in RELAYED]
    every = [found for _, found in (*alone, *shared, *beyond, *relayed)]
    rows = [
        (
            options["max_in_flight"],
            options["rate_limit"],
            f"{found.requests:.1f}",
            f"{found.events:,.0f}",
            f"{found.throttled:.1f} %",
            f"{found.refused:,}",
        )
        for options, found in alone
    ]
    heads = ("`max_in_flight`", "`rate_limit`", "requests/s taken", "events/s", "429", "refused, buffer full")
    intro = (
        f"In virtual time: the real pipeline, {LATENCY * 1e3:.0f} ms a reply, {QUOTA:.0f} requests/s for all "
        f"({QUOTA:.0f} at once after a rest), then 429. One worker that is given 8 % more than "
        f"{CAPACITY:,.0f} events/s:"
    )
    ledger = (
        f"{sum(found.tracked for found in every):,} events tracked, "
        f"{sum(found.refused for found in every):,} refused by a full buffer (first table); of the others "
        f"{sum(found.lost for found in every)} lost, {sum(found.twice for found in every)} taken twice."
    )
    text = "\n\n".join(
        [
            intro,
            table(heads, rows),
            "Workers started at once, the busiest with up to 10 times the events of the quietest, defaults:",
            table(HEADS, [_row(*one) for one in shared]),
            "More workers than `50 * flush_interval`; and what options do:",
            table(HEADS, [_row(*one) for one in beyond]),
            "Workers that hand over to a relay, with a drainer and another that stands by:",
            table(HEADS, [_row(*one) for one in relayed]),
            ledger,
        ]
    )
    under = [found for fleet, found in shared if fleet.rate <= 0.8 * CAPACITY]
    goals = [
        Goal("one process, events/s at 200 ms a reply and 50 requests/s", alone[2][1].events, 24_900, True),  # noqa: FBT003  at least
        Goal("events lost or taken twice, fleets", sum(found.lost + found.twice for found in every), 0),
        Goal(
            "200 workers up to 80 % of the quota, the worst worker's median delay",
            max(found.medians[-1] for found in under),
            15,
            unit=" s",
        ),
        *_goals_of_the_relay(*(found for _, found in relayed)),
    ]
    return Section("Workers that share one quota", text, goals)


def _goals_of_the_relay(few: Found, _: Found, many: Found) -> Iterator[Goal]:
    yield Goal("200 workers with a relay, 2,500 events/s, p99", share(few.delays, 0.99), 1.5, unit=" s")
    what = "1,000 workers with a relay, 20,000 events/s"
    yield Goal(f"{what}, p50", share(many.delays, 0.5), 1.5, unit=" s")
    yield Goal(f"{what}, p99", share(many.delays, 0.99), 5, unit=" s")
    yield Goal(f"{what}, 429", many.throttled, 0, unit=" %")
    yield Goal(f"{what}, requests in the busiest second", many.busiest_second, 50)


if __name__ == "__main__":
    if "--real" in sys.argv:
        sys.argv.remove("--real")
        from .real import main

        main()
    else:
        run(measure)
