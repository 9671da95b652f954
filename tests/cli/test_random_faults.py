"""What goes wrong in the sandbox by chance."""

from __future__ import annotations

import attrs
import pytest

from togai_shipper.cli.sandbox.random_faults import FAULTS, RandomFaults
from togai_shipper.testing import Received, faults

REQUEST = Received(
    at=0.0, method="POST", path="/ingestBatch", headers={}, events=[], ids=(), number=0, size=0
)


def test_by_chance_a_share_of_requests_fares_ill() -> None:
    fault_of = RandomFaults(0.3, ["503", "lost"], seed=1, latency=0.0)

    befell = [fault_of(REQUEST) for _ in range(1_000)]

    assert 250 < sum(fault is not None for fault in befell) < 350
    assert set(befell) == {None, FAULTS["503"], FAULTS["lost"]}


def test_the_same_seed_is_the_same_chance() -> None:
    first, second = (RandomFaults(0.3, list(FAULTS), seed=1, latency=0.0) for _ in range(2))

    assert [first(REQUEST) for _ in range(50)] == [second(REQUEST) for _ in range(50)]


@pytest.mark.parametrize("path", ["/ingest", "/metrics", "/events/e-1"])
@pytest.mark.parametrize("names", [["207"], ["207", "503"]])
def test_a_single_event_or_a_lookup_never_gets_a_207_by_chance(names: list[str], path: str) -> None:
    fault_of = RandomFaults(1.0, names, seed=1, latency=0.0)

    befell = {fault_of(attrs.evolve(REQUEST, path=path)) for _ in range(50)}

    assert befell == ({FAULTS["503"]} if "503" in names else {None})


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_latency_comes_before_whatever_befalls(share: float) -> None:
    fault_of = RandomFaults(share, ["503"], seed=None, latency=0.2)

    assert fault_of(REQUEST) == faults.Slow(0.2, then=FAULTS["503"] if share else None)
