"""How many events a fault accepts before it happens, and which faults there cannot be."""

from __future__ import annotations

import threading
from typing import Any

import pytest
import requests
from five_events import FIVE, TAKEN, bare, batch, event

from togai_shipper.testing import FakeTogai, faults


@pytest.mark.parametrize("share", ["none", "half", "all"])
@pytest.mark.parametrize(
    "fault",
    [
        faults.Refuse,
        faults.Throttle,
        faults.Html,
        faults.Empty,
        faults.Answer,
        faults.Huge,
        faults.Hang,
        faults.Reset,
        faults.Cut,
        faults.Drip,
        faults.Raw,
    ],
)
def test_a_fault_takes_its_share_of_the_batch_before_it_happens(
    togai: FakeTogai, fault: Any, share: str
) -> None:
    togai.script(fault(ingest=share))

    with bare(togai):
        assert togai.wait(
            lambda: togai.requests and togai.requests[0].fault and togai.ledger.metered == TAKEN[share]
        )

    assert togai.ledger.ids == {f"e-{n}" for n in range(TAKEN[share])}
    assert togai.ledger.get("e-0").receipts == 1


@pytest.mark.parametrize("fault", [faults.Refuse(503, ingest="all"), faults.Partial(bad=())])
def test_a_fault_takes_nothing_of_what_would_be_refused_anyway(
    togai: FakeTogai, session: requests.Session, fault: Any
) -> None:
    togai.script(fault, fault)

    for events, key in (([*FIVE, event(colour="red")], "secret"), (FIVE, "wrong")):
        session.headers["Authorization"] = f"Bearer {key}"
        assert batch(session, togai, events).status_code in (503, 207)

    assert len(togai.ledger) == 0


@pytest.mark.parametrize(
    ("fault", "fields"),
    [
        (faults.Refuse, {"status": 199}),
        (faults.Answer, {"status": 600}),
        (faults.Reset, {"ingest": "most"}),
        (faults.Slow, {"seconds": -1}),
        (faults.Hold, {"ingest": "most"}),
        (faults.Drip, {"interval": 0}),
        (faults.Drip, {"part": "feet"}),
        (faults.Cut, {"sent": 17}),
        (faults.Huge, {"size": 16}),
        (faults.Partial, {"shape": "D"}),
    ],
)
def test_a_fault_that_cannot_be_is_an_error_at_once(fault: Any, fields: Any) -> None:
    with pytest.raises(ValueError, match=next(iter(fields))):
        fault(**fields)


@pytest.mark.parametrize(("fault", "field"), [(faults.Raw, "data"), (faults.Answer, "body")])
def test_bytes_are_bytes(fault: Any, field: str) -> None:
    with pytest.raises(TypeError, match=field):
        fault(**{field: "text"})


def test_requests_that_wait_do_not_keep_others_waiting(togai: FakeTogai, session: requests.Session) -> None:
    togai.script(faults.Hang(), faults.Hold(), faults.Slow(60))
    waiting = [bare(togai, [event(f"w-{n}")]) for n in range(3)]
    assert togai.wait(lambda: len(togai.requests) == 3)

    assert batch(session, togai).status_code == 202

    for connection in waiting:
        connection.close()


def test_many_clients_at_once_get_what_is_theirs(togai: FakeTogai) -> None:
    def send(worker: int) -> None:
        with requests.Session() as session:
            session.trust_env = False
            session.headers["Authorization"] = "Bearer secret"
            for n in range(10):
                assert batch(session, togai, [event(f"{worker}-{n}")]).status_code == 202

    workers = [threading.Thread(target=send, args=(worker,)) for worker in range(8)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(10)

    assert togai.ledger.metered == 80
    assert sorted(request.number for request in togai.requests) == list(range(80))
