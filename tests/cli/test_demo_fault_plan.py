"""What goes wrong in the demo, and when."""

from __future__ import annotations

from typing import Any

from togai_shipper.cli.demo.fault_plan import CLEAR, PHASES, POISONED, FaultPhase, FaultPlan
from togai_shipper.testing import Received, faults

DOWN = faults.Refuse(503)
PHASE = FaultPhase("down", 0.5, (DOWN, DOWN))


def request(*events: dict[str, Any]) -> Received:
    return Received(
        at=0.0, method="POST", path="/ingestBatch", headers={}, events=list(events), ids=(), number=0, size=0
    )


def test_a_phase_comes_when_its_share_of_the_events_has_arrived() -> None:
    arrived = [0.4, 0.5]
    plan = FaultPlan(lambda: arrived.pop(0), [PHASE])

    assert [plan(request()) for _ in range(3)] == [None, DOWN, DOWN]


def test_phases_come_one_after_another_and_then_it_is_clear() -> None:
    plan = FaultPlan(lambda: 1.0, [PHASE, FaultPhase("throttled", 0.9, [faults.Throttle()])])

    befell = [plan(request()) for _ in range(5)]

    assert befell == [DOWN, DOWN, faults.Throttle(), None, None]
    assert plan.past == {"down": 2, "throttled": 1}


def test_it_counts_as_clear_when_several_requests_in_a_row_fared_well() -> None:
    plan = FaultPlan(lambda: 1.0, [PHASE])
    assert plan.now == CLEAR

    seen = []
    for _ in range(10):
        plan(request())
        seen.append(plan.now)

    assert seen == ["down"] * 7 + [CLEAR] * 3


def test_a_request_with_the_poison_is_let_alone_for_the_poison_must_never_be_taken() -> None:
    plan = FaultPlan(lambda: 1.0, [PHASE])
    poison = {"attributes": [{"name": "latency", "value": "1", "unit": "Fortnights"}]}

    assert plan(request(poison)) is None
    assert plan.now == POISONED
    assert plan(request({"attributes": [{"name": "count", "value": "1"}]})) == DOWN


def test_the_demo_has_every_trouble_that_it_speaks_of() -> None:
    kinds = {type(fault).__name__ for phase in PHASES for fault in phase.faults}

    assert kinds == {"Refuse", "Throttle", "Html", "Reset", "Cut", "Partial"}
    assert [phase.after for phase in PHASES] == sorted(phase.after for phase in PHASES)
