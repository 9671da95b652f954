"""The simulated web workload: usage that looks real, and the threads that track it.

The seed alone decides which usage there is; the threads decide only in which order it is tracked.
"""

from __future__ import annotations

import threading
import time
from bisect import bisect
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from itertools import accumulate
from random import Random
from typing import Any, TypeAlias

import attrs

Amount: TypeAlias = int | Decimal | tuple[float | int | Decimal, str]

THREADS = 8  # as a small web server has
_BURST = 16  # events between two looks at the clock, which costs as much as tracking an event

# --- what happens -----------------------------------------------------------------------------------------

_OWNERS = ("acme", "birch", "cobalt", "delta", "ember", "fjord", "garnet", "harbor")
_TRADES = ("bank", "foods", "games", "health", "labs", "media")
ACCOUNTS = tuple(f"{owner}-{trade}" for trade in _TRADES for owner in _OWNERS)
_FEW_BUY_MOST = tuple(accumulate(1 / rank for rank in range(1, len(ACCOUNTS) + 1)))

_ROUTES = (
    ("GET", "/v1/search"),
    ("GET", "/v1/documents/{id}"),
    ("POST", "/v1/documents"),
    ("PATCH", "/v1/documents/{id}"),
    ("DELETE", "/v1/documents/{id}"),
    ("POST", "/v1/exports"),
)
_REGIONS = ("eu-west-1", "us-east-1", "ap-south-1")
_STATUSES = ("200", "200", "200", "200", "200", "200", "201", "304", "404", "500")
_MODELS = ("small", "small", "small", "large")
_TIERS = ("standard", "archive")


@attrs.frozen
class SimulatedUsage:
    """The arguments of one call of ``track()``."""

    schema_name: str
    account_id: str
    attributes: Mapping[str, Amount]
    dimensions: Mapping[str, str]


#: An event that the sandbox always refuses. The library cannot know that: only Togai knows which units exist.
POISON = SimulatedUsage(
    "api_call",
    ACCOUNTS[0],
    {"count": 1, "latency": (Decimal("0.000001"), "Fortnights")},
    {"method": "GET", "route": "/v1/search", "region": "eu-west-1", "status": "200"},
)
WHY_POISON = "latency: there is no unit Fortnights"


def is_poison(event: Mapping[str, Any]) -> bool:
    """Whether an event, in Togai's JSON, is the poisoned one."""
    return any(attribute.get("unit") == "Fortnights" for attribute in event["attributes"])


def _api_call(chance: Random, account: str) -> SimulatedUsage:
    method, route = chance.choice(_ROUTES)
    return SimulatedUsage(
        "api_call",
        account,
        {
            "count": 1,
            "latency": (round(chance.lognormvariate(3.5, 0.8), 3), "Milliseconds"),
            "sent": (int(chance.expovariate(1 / 20_000)), "Bytes"),
        },
        {
            "method": method,
            "route": route,
            "region": chance.choice(_REGIONS),
            "status": chance.choice(_STATUSES),
        },
    )


def _llm_tokens(chance: Random, account: str) -> SimulatedUsage:
    return SimulatedUsage(
        "llm_tokens",
        account,
        {"input_tokens": chance.randint(20, 8_000), "output_tokens": chance.randint(1, 1_500)},
        {"model": chance.choice(_MODELS), "region": chance.choice(_REGIONS)},
    )


def _storage(chance: Random, account: str) -> SimulatedUsage:
    return SimulatedUsage(
        "storage",
        account,
        {"stored": (Decimal(chance.randint(1, 900_000_000)).scaleb(-6), "GB-hours")},
        {"tier": chance.choice(_TIERS), "region": chance.choice(_REGIONS)},
    )


def usages(seed: int, thread: int, count: int) -> Iterator[SimulatedUsage]:
    """Make the usage that one thread tracks: mostly API calls, some tokens, a little storage."""
    chance = Random(f"{seed}/{thread}")  # noqa: S311  it must be the same in each run, and protects nothing
    for _ in range(count):
        account = ACCOUNTS[bisect(_FEW_BUY_MOST, chance.random() * _FEW_BUY_MOST[-1])]
        kind = chance.random()
        report = _api_call if kind < 0.75 else _llm_tokens if kind < 0.95 else _storage  # noqa: PLR2004  shares
        yield report(chance, account)


# --- who tracks it ---------------------------------------------------------------------------------------


class Workload:
    """Threads that track usage, as those of a web server would.

    Args:
        track: ``Shipper.track``.
        seed: decides which usage it is.
        events: how many events to track, the poison included.
        rate: how many events all threads together track in a second; ``None``: as many as they can.
        poison: whether one of the events is ``POISON``.

    """

    def __init__(
        self,
        track: Callable[[str, str, Any, Any], str | None],
        *,
        seed: int,
        events: int,
        rate: float | None = None,
        poison: bool = False,
    ) -> None:
        self._track = track
        self._seed = seed
        self._shares = [events // THREADS + (thread < events % THREADS) for thread in range(THREADS)]
        self._pause = 0.0 if rate is None else THREADS / rate  # seconds between two events of one thread
        self._poison_at = self._shares[0] // 2 if poison else None
        self._ids: list[list[str | None]] = [[] for _ in range(THREADS)]  # each thread writes to its own list
        self._stopping = threading.Event()

    @property
    def calls(self) -> int:
        """How often ``track()`` was called so far."""
        return sum(map(len, self._ids))

    @property
    def ids(self) -> list[str | None]:
        """What each of these calls returned."""
        return [event_id for ids in self._ids for event_id in ids]

    def run(self) -> None:
        """Track all events; return when that is done, or after ``stop()``."""
        with ThreadPoolExecutor(THREADS, "web") as threads:
            for done in [threads.submit(self._report, *share) for share in enumerate(self._shares)]:
                done.result()

    def stop(self) -> None:
        """Track no more; ``run()`` returns soon."""
        self._stopping.set()

    def _report(self, thread: int, count: int) -> None:
        ids = self._ids[thread]
        began = time.monotonic()
        for number, usual in enumerate(usages(self._seed, thread, count)):
            if number % _BURST == 0:
                self._stopping.wait(max(0.0, began + number * self._pause - time.monotonic()))
                if self._stopping.is_set():
                    return
            usage = POISON if thread == 0 and number == self._poison_at else usual
            ids.append(self._track(usage.schema_name, usage.account_id, usage.attributes, usage.dimensions))
