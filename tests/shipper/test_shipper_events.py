"""Which events a shipper takes, which it refuses and how the application is told."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from shippers import Ship, Told, unused

from togai_shipper import (
    Attribute,
    Event,
    InvalidEvent,
)
from togai_shipper.testing import FakeTogai


def test_an_event_arrives_as_it_was_given(togai: FakeTogai, ship: Ship) -> None:
    shipper = ship()
    event_id = shipper.track(
        "api_call",
        "acme",
        {"count": 1, "latency": (12.5, "Milliseconds"), "price": Decimal("0.10"), "tiny": 1e-7},
        {"region": "eu-west-1"},
        timestamp="2026-01-31T23:59:59.9999+01:00",
    )
    assert shipper.flush(10)

    assert togai.ledger.get(event_id).event == {
        "schemaName": "api_call",
        "id": event_id,
        "timestamp": "2026-01-31T22:59:59.999Z",
        "accountId": "acme",
        "attributes": [
            {"name": "count", "value": "1"},
            {"name": "latency", "value": "12.5", "unit": "Milliseconds"},
            {"name": "price", "value": "0.10"},
            {"name": "tiny", "value": "0.0000001"},
        ],
        "dimensions": {"region": "eu-west-1"},
    }


def test_what_the_caller_changes_after_the_call_changes_nothing(togai: FakeTogai, ship: Ship) -> None:
    shipper = ship()
    attributes = {"count": 1}
    event_id = shipper.track("api_call", "acme", attributes)
    attributes["count"] = 1000
    shipper.flush(10)

    assert togai.ledger.get(event_id).event["attributes"] == [{"name": "count", "value": "1"}]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("", "acme"), "schema_name: must have 1 to 50 characters"),
        (("x" * 51, "acme"), "1 to 50 characters, not 51"),
        ((None, "acme"), "1 to 50 characters, not NoneType"),
        (("api_call", ""), "account_id: must have 1 to 512 characters"),
        (("api_call", "acme", {"n": True}), "attributes['n']: must be a number, not bool"),
        (("api_call", "acme", {"n": float("nan")}), "attributes['n']: must be finite (float)"),
        (("api_call", "acme", {"n": object()}), "attributes['n']: must be a number, not object"),
        (("api_call", "acme", {}, {"d": 5}), "1 to 200 characters, not int"),
        (("api_call", "acme", {}, {"d": "\ud800"}), "surrogate"),
    ],
)
def test_an_invalid_event_is_counted_told_and_logged_and_all_others_are_untouched(
    togai: FakeTogai, ship: Ship, caplog: pytest.LogCaptureFixture, arguments: Any, says: str
) -> None:
    told = Told()
    shipper = ship(on_error=told)
    good = shipper.track("api_call", "acme")

    assert [shipper.track(*arguments) for _ in range(2)] == [None, None]  # from one place: it is logged once

    assert shipper.flush(10)
    assert togai.ledger.get(good).metered == 1
    stats = shipper.stats()
    assert (stats.accepted, stats.refused["invalid"]) == (1, 2)
    (error, events), _ = told
    assert isinstance(error, InvalidEvent)
    assert says in str(error)
    assert error.given[: len(arguments)] == arguments
    assert events == ()
    assert len([record for record in caplog.records if says in record.getMessage()]) == 1


def test_strict_raises_in_the_caller_and_counts() -> None:
    told = Told()
    shipper = unused(strict=True, on_error=told)
    with pytest.raises(InvalidEvent, match="with a zone"):
        shipper.track("api_call", "acme", timestamp="2026-01-31T23:59:59")

    assert shipper.stats().refused["invalid"] == 1
    assert told == []


def test_whatever_the_callers_objects_raise_is_an_invalid_event() -> None:
    class Hostile(dict[str, int]):
        def items(self) -> Any:
            raise ZeroDivisionError

    told = Told()
    assert unused(on_error=told).track("api_call", "acme", Hostile(n=1)) is None
    [(error, _)] = told
    assert isinstance(error, InvalidEvent)
    assert isinstance(error.__cause__, ZeroDivisionError)


def test_an_event_larger_than_a_body_may_be_is_invalid() -> None:
    told = Told()
    shipper = unused(max_batch_bytes=2000, on_error=told)

    assert shipper.track("api_call", "acme", {}, {f"d{n}": "x" * 200 for n in range(10)}) is None
    assert "max_batch_bytes" in str(told[0][0])


def test_event_id_and_idempotency_key_exclude_each_other() -> None:
    told = Told()
    assert unused(on_error=told).track("api_call", "acme", event_id="a", idempotency_key="b") is None
    assert "exclude each other" in str(told[0][0])


def test_an_empty_idempotency_key_is_invalid_for_it_would_bill_every_order_once() -> None:
    told = Told()
    assert unused(on_error=told).track("api_call", "acme", idempotency_key="") is None
    assert "idempotency_key: must not be empty" in str(told[0][0])


def test_an_idempotency_key_gives_the_same_id_for_ever() -> None:
    shipper = unused(enabled=False)
    first, again, other = (
        shipper.track("job", account, idempotency_key="order-7/1") for account in ("acme", "acme", "zeta")
    )

    assert first == again != other


def test_an_event_that_was_built_before_is_tracked_under_its_own_id(togai: FakeTogai, ship: Ship) -> None:
    shipper = ship()
    event = Event("api_call", "acme", [Attribute("count", 3, "Calls")], {"region": "eu"})

    assert shipper.track_event(event) == event.id
    assert shipper.flush(10)
    assert togai.ledger.get(event.id).event["attributes"] == [
        {"name": "count", "value": "3", "unit": "Calls"}
    ]


def test_something_else_than_an_event_is_invalid() -> None:
    told = Told()
    assert unused(on_error=told).track_event({"schema_name": "api_call"}) is None  # type: ignore[arg-type]  # the point
    assert "must be an Event, not dict" in str(told[0][0])
