"""What ``before_send`` may do to an event."""

from __future__ import annotations

from typing import Any

import attrs
import pytest
from shippers import Ship, Told, unused

from togai_shipper.testing import FakeTogai


def test_before_send_may_redact_an_event(togai: FakeTogai, ship: Ship) -> None:
    shipper = ship(before_send=lambda event: attrs.evolve(event, dimensions={"user": "redacted"}))
    event_id = shipper.track("api_call", "acme", {"n": 1}, {"user": "jane"})
    kept = shipper.track("api_call", "acme", event_id="mine")
    shipper.flush(10)

    assert togai.ledger.get(event_id).event["dimensions"] == {"user": "redacted"}
    assert kept == "mine"


def test_before_send_may_leave_an_event_as_it_is_or_give_it_another_id(togai: FakeTogai, ship: Ship) -> None:
    assert ship(before_send=lambda event: event).track("api_call", "acme", event_id="mine") == "mine"
    assert (
        ship(before_send=lambda event: attrs.evolve(event, id="other")).track("api_call", "acme") == "other"
    )


def test_before_send_may_drop_an_event() -> None:
    told = Told()
    shipper = unused(before_send=lambda event: None, on_error=told)

    assert shipper.track("api_call", "acme") is None
    assert (shipper.stats().refused["filtered"], shipper.stats().accepted, told) == (1, 0, [])


@pytest.mark.parametrize(
    "hook", [lambda event: 1 / 0, lambda event: {"not": "an event"}], ids=["raises", "returns"]
)
def test_what_before_send_cannot_redact_is_not_sent(hook: Any) -> None:
    told = Told()
    shipper = unused(before_send=hook, on_error=told)

    assert shipper.track("api_call", "acme") is None
    assert (shipper.stats().refused["filtered"], shipper.stats().accepted) == (1, 0)
    assert "before_send" in str(told[0][0])
