"""Ways to ship one and the same event, each in a module of its own, named for it.

A module has ``start(url, in_flight, folder)``, which returns ``track`` (one event, called from any thread)
and ``finish`` (returns once all that was tracked is acknowledged, or lost).

A peer is set as its documentation has it in production, with as many senders as it has by default, but with
room for all that is measured and batches as near to 500 events as it allows.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from importlib.util import find_spec
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
