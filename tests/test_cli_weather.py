"""What the sandbox does on purpose, and when."""

from __future__ import annotations

from typing import Any

import pytest

from togai_shipper.cli.weather import CLEAR, FRONTS, MISHAPS, POISONED, Chance, Front, Weather
from togai_shipper.testing import Received, faults

DOWN = faults.Refuse(503)
FRONT = Front("down", 0.5, (DOWN, DOWN))


def request(*events: dict[str, Any]) -> Received:
    return Received(
        at=0.0, method="POST", path="/ingestBatch", headers={}, events=list(events), ids=(), number=0, size=0
    )


def test_a_front_comes_when_its_share_of_the_events_has_arrived() -> None:
    arrived = [0.4, 0.5]
    weather = Weather(lambda: arrived.pop(0), [FRONT])

    assert [weather(request()) for _ in range(3)] == [None, DOWN, DOWN]


def test_fronts_come_one_after_another_and_then_it_is_clear() -> None:
    weather = Weather(lambda: 1.0, [FRONT, Front("throttled", 0.9, [faults.Throttle()])])

    befell = [weather(request()) for _ in range(5)]

    assert befell == [DOWN, DOWN, faults.Throttle(), None, None]
    assert weather.past == {"down": 2, "throttled": 1}


def test_it_counts_as_clear_when_several_requests_in_a_row_fared_well() -> None:
    weather = Weather(lambda: 1.0, [FRONT])
    assert weather.now == CLEAR

    seen = []
    for _ in range(10):
        weather(request())
        seen.append(weather.now)

    assert seen == ["down"] * 7 + [CLEAR] * 3


def test_a_request_with_the_poison_is_let_alone_for_the_poison_must_never_be_taken() -> None:
    weather = Weather(lambda: 1.0, [FRONT])
    poison = {"attributes": [{"name": "latency", "value": "1", "unit": "Fortnights"}]}

    assert weather(request(poison)) is None
    assert weather.now == POISONED
    assert weather(request({"attributes": [{"name": "count", "value": "1"}]})) == DOWN


def test_the_demo_has_every_trouble_that_it_speaks_of() -> None:
    kinds = {type(mishap).__name__ for front in FRONTS for mishap in front.mishaps}

    assert kinds == {"Refuse", "Throttle", "Html", "Reset", "Cut", "Partial"}
    assert [front.after for front in FRONTS] == sorted(front.after for front in FRONTS)


def test_by_chance_a_share_of_requests_fares_ill() -> None:
    chance = Chance(0.3, ["503", "lost"], seed=1, latency=0.0)

    befell = [chance(request()) for _ in range(1_000)]

    assert 250 < sum(fault is not None for fault in befell) < 350
    assert set(befell) == {None, MISHAPS["503"], MISHAPS["lost"]}


def test_the_same_seed_is_the_same_chance() -> None:
    first, second = (Chance(0.3, list(MISHAPS), seed=1, latency=0.0) for _ in range(2))

    assert [first(request()) for _ in range(50)] == [second(request()) for _ in range(50)]


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_latency_comes_before_whatever_befalls(share: float) -> None:
    chance = Chance(share, ["503"], seed=None, latency=0.2)

    assert chance(request()) == faults.Slow(0.2, then=MISHAPS["503"] if share else None)
