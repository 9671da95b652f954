"""Ways to ship one and the same event, each in a module of its own, named for it.

A module has ``start(url, in_flight, folder)``, which returns ``track`` (one event, called from any thread)
and ``finish`` (returns once all that was tracked is acknowledged).
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from typing import TypeAlias

Contender: TypeAlias = tuple[Callable[[], object], Callable[[], object]]

SCHEMA = "api_call"  # stands once in each event: by it the sink counts
ACCOUNT = "acme"
NUMBERS = {"count": 1, "bytes": 20480, "latency": 12.5}
DIMENSIONS = {"region": "eu-west-1", "path": "/v1/things", "method": "GET", "status": "200"}

LABELS = {
    "by_hand": "by hand",
    "floor": "the floor",
    "ours": "togai_shipper",
    "ours_spooled": "togai_shipper, spool",
}
PEERS: dict[str, str] = {}  # contender -> what it imports; ``benchmarks/peers.txt`` installs them


def peers() -> tuple[str, ...]:
    """Those that are installed."""
    return tuple(name for name, module in PEERS.items() if find_spec(module.partition(".")[0]))


def label(name: str) -> str:
    """How a table calls it."""
    return LABELS.get(name, name.replace("_", "-"))
