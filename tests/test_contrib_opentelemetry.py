"""OpenTelemetry, by its SDK, judged by what reached Togai; and the names, beside Prometheus' own."""

from __future__ import annotations

import doctest
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from opentelemetry.metrics import set_meter_provider
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader, Sum

from togai_shipper import Shipper
from togai_shipper.contrib import opentelemetry as module
from togai_shipper.contrib.opentelemetry import observe
from togai_shipper.contrib.prometheus import ShipperCollector
from togai_shipper.testing import FakeTogai, faults

Ship = Callable[..., Shipper]


@pytest.fixture
def reader() -> InMemoryMetricReader:
    return InMemoryMetricReader()


@pytest.fixture
def provider(reader: InMemoryMetricReader) -> Iterator[MeterProvider]:
    made = MeterProvider([reader], shutdown_on_exit=False)
    yield made
    made.shutdown()


def metrics(reader: InMemoryMetricReader) -> dict[str, Any]:
    data = reader.get_metrics_data()
    assert data is not None
    (scope,) = data.resource_metrics[0].scope_metrics
    assert scope.scope.name == "togai_shipper"
    return {metric.name: metric for metric in scope.metrics}


def read(reader: InMemoryMetricReader) -> dict[tuple[str, frozenset[tuple[str, Any]]], float]:
    return {
        (name, frozenset(point.attributes.items())): point.value
        for name, metric in metrics(reader).items()
        for point in metric.data.data_points
    }


def of(samples: Any, name: str, **attributes: str) -> float:
    return samples[f"togai_shipper.{name}", frozenset({"shipper": "default", **attributes}.items())]


def test_instruments_say_what_became_of_events_and_requests(
    togai: FakeTogai, ship: Ship, reader: InMemoryMetricReader, provider: MeterProvider
) -> None:
    observe(shipper := ship(max_in_flight=1), meter_provider=provider)
    togai.poison(lambda event: event["accountId"] == "bad")
    togai.script(faults.Refuse(503))
    for account in ("acme", "bad", "acme", ""):
        shipper.track("api_call", account)
    shipper.flush(10)

    samples = read(reader)
    assert of(samples, "events", outcome="delivered") == togai.ledger.metered == 2
    assert of(samples, "events", outcome="rejected") == 1
    assert of(samples, "events", outcome="refused", reason="invalid") == 1
    assert of(samples, "events.pending") == 0
    for status in ("503", "400", "202"):
        seen = sum(str(request.status) == status for request in togai.requests)
        assert of(samples, "requests", status=status) == seen
    assert of(samples, "request") == shipper.stats().request_seconds > 0
    assert of(samples, "healthy") == 1


def test_counts_are_sums_that_only_grow_and_what_stands_is_a_gauge(
    ship: Ship, reader: InMemoryMetricReader, provider: MeterProvider
) -> None:
    observe({"eu": ship()}, meter_provider=provider)
    kinds = {name: metric.data for name, metric in metrics(reader).items()}

    sums = {name for name, data in kinds.items() if isinstance(data, Sum)}
    assert all(kinds[name].is_monotonic for name in sums)
    assert {"togai_shipper.events", "togai_shipper.sent", "togai_shipper.request"} <= sums
    assert not {"togai_shipper.events.pending", "togai_shipper.state"} & sums


def test_translated_to_prometheus_the_names_are_those_that_its_collector_has(
    ship: Ship, reader: InMemoryMetricReader, provider: MeterProvider
) -> None:
    observe(shipper := ship(), meter_provider=provider)
    units = {"s": "_seconds", "By": "_bytes"}
    translated = {
        name.replace(".", "_") + units.get(metric.unit, "") for name, metric in metrics(reader).items()
    }

    assert translated == {family.name for family in ShipperCollector(shipper).collect()}


def test_unless_told_another_the_global_provider_observes(
    ship: Ship, reader: InMemoryMetricReader, provider: MeterProvider
) -> None:
    set_meter_provider(provider)
    observe(ship())

    assert of(read(reader), "healthy") == 1


def test_the_example_in_its_docstring_runs() -> None:
    assert doctest.testmod(module).attempted > 0
    assert doctest.testmod(module).failed == 0
