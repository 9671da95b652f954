"""Ways to ship events, each in a module of its own, named for it.

A module has ``start(url, in_flight, folder)``, which returns ``track`` (one event, called from any thread)
and ``finish`` (returns once all that was tracked is acknowledged, or lost).

All ship one and the same event; those named ``…_varied`` events that differ from call to call, as an
application's do.

A peer is set as its documentation has it in production, with as many senders as it has by default, but with
room for all that is measured and batches as near to 500 events as it allows.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import suppress
from importlib.util import find_spec
from itertools import cycle
from typing import TypeAlias

import attrs

Contender: TypeAlias = tuple[Callable[[], object], Callable[[], object]]
Value: TypeAlias = float | str

SCHEMA = "api_call"  # stands once in each event: by it the sink counts
ACCOUNT = "acme"
NUMBERS = {"count": 1, "bytes": 20480, "latency": 12.5}
DIMENSIONS = {"region": "eu-west-1", "path": "/v1/things", "method": "GET", "status": "200"}
PROPERTIES: dict[str, Value] = {**NUMBERS, **DIMENSIONS}  # for those who do not tell them apart
ROOM = 2_000_000  # events that a queue may hold
VARIED = 50_000  # events that differ, made beforehand; after so many they begin again


def calls_of(track: Callable[..., object], *, varied: bool) -> Callable[[], object]:
    """Return a call of ``track``: with one and the same event, or each time with another one.

    Then account, numbers and dimensions vary as those of an application do, and one dimension never repeats.
    """
    if not varied:
        return lambda: track(SCHEMA, ACCOUNT, NUMBERS, DIMENSIONS)
    chance = random.Random(1)  # noqa: S311  it guards no secret
    following = cycle([_varied(chance) for _ in range(VARIED)]).__next__
    return lambda: track(SCHEMA, *following())


def _varied(chance: random.Random) -> tuple[str, dict[str, float], dict[str, str]]:
    numbers = {
        "count": chance.randint(1, 9),
        "bytes": chance.randint(100, 1_000_000),
        "latency": round(chance.uniform(1, 500), 3),
    }
    dimensions = {
        "region": chance.choice(("eu-west-1", "eu-central-1", "us-east-1")),
        "path": f"/v1/things/{chance.randint(1, 200)}",
        "status": chance.choice(("200", "200", "200", "404")),
        "request": f"{chance.getrandbits(64):016x}",
    }
    return f"account-{chance.randint(1, 5_000)}", numbers, dimensions


@attrs.frozen
class Peer:
    """A library that carries events elsewhere."""

    distribution: str
    imports: tuple[str, ...]
    stamps_id: bool
    stamps_time: bool

    @property
    def is_installed(self) -> bool:
        """Whether it is."""
        with suppress(ModuleNotFoundError):
            return all(find_spec(module) for module in self.imports)
        return False


OWN_LABELS = {
    "by_hand": "by hand",
    "floor": "the floor",
    "ours": "togai_shipper",
    "ours_spooled": "togai_shipper, spool",
    "by_hand_varied": "by hand, events vary",
    "floor_varied": "the floor, events vary",
    "ours_varied": "togai_shipper, events vary",
    "ours_spooled_varied": "togai_shipper, spool, events vary",
}
PEERS = {
    "segment": Peer("segment-analytics-python", ("segment.analytics",), stamps_id=True, stamps_time=True),
    "posthog": Peer("posthog", ("posthog",), stamps_id=True, stamps_time=True),
    "snowplow": Peer("snowplow-tracker", ("snowplow_tracker",), stamps_id=True, stamps_time=True),
    "amplitude": Peer("amplitude-analytics", ("amplitude",), stamps_id=True, stamps_time=True),
    "opentelemetry": Peer(
        "opentelemetry-sdk",
        ("opentelemetry.sdk._logs.export", "opentelemetry.exporter.otlp.proto.http._log_exporter"),
        stamps_id=False,
        stamps_time=True,
    ),
    "libhoney": Peer("libhoney", ("libhoney",), stamps_id=False, stamps_time=True),
    "sentry": Peer("sentry-sdk", ("sentry_sdk",), stamps_id=False, stamps_time=True),
}


def peers() -> tuple[str, ...]:
    """Those that are installed."""
    return tuple(name for name, peer in PEERS.items() if peer.is_installed)


def absent() -> str:
    """A sentence that names those that are not, if any."""
    names = [peer.distribution for peer in PEERS.values() if not peer.is_installed]
    return (
        f"Not installed, so not measured: {', '.join(names)} (see `benchmarks/peers.txt`)." if names else ""
    )


def label(name: str) -> str:
    """How a table calls it."""
    return PEERS[name].distribution if name in PEERS else OWN_LABELS[name]


def stamps(name: str) -> tuple[str, ...]:
    """What it gives each event unasked."""
    if name not in PEERS:
        return ("id", "time")
    return ("id",) * PEERS[name].stamps_id + ("time",) * PEERS[name].stamps_time
