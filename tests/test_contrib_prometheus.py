"""Prometheus, by the official client: pages fetched over HTTP, judged by what reached Togai."""

from __future__ import annotations

import doctest
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Thread
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, make_server

import pytest
import requests
from prometheus_client import CollectorRegistry, make_wsgi_app
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as plain

import togai_shipper
from togai_shipper import Shipper, Stats, _default
from togai_shipper.contrib import prometheus as module
from togai_shipper.contrib.prometheus import ShipperCollector
from togai_shipper.testing import FakeTogai, faults

Ship = Callable[..., Shipper]
Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]
EVENTS = "togai_shipper_events_total"


class Quiet(WSGIRequestHandler):
    """Logs no request."""

    def log_message(self, *_: Any) -> None: ...


class Page:
    """A /metrics page as Prometheus fetches it."""

    def __init__(self, registry: CollectorRegistry) -> None:
        app: Any = make_wsgi_app(registry)
        self._server = make_server("127.0.0.1", 0, app, handler_class=Quiet)
        self._thread = Thread(
            target=self._server.serve_forever, args=(0.01,)
        )  # seconds until it sees its end
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}/metrics"
        self.kinds: dict[str, str] = {}

    def fetch(self, accept: str = "text/plain") -> str:
        reply = requests.get(self.url, headers={"Accept": accept}, timeout=10)
        assert reply.status_code == 200
        return reply.text

    def read(self) -> Samples:
        samples: Samples = {}
        for family in plain(self.fetch()):
            for sample in family.samples:
                key = sample.name, frozenset(sample.labels.items())
                assert key not in samples, "told twice"
                samples[key] = sample.value
                self.kinds[sample.name] = family.type
        return samples

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def page_of() -> Iterator[Callable[..., Page]]:
    """Serve pages; all are closed at the end."""
    pages: list[Page] = []

    def make(*args: object) -> Page:
        registry = CollectorRegistry(auto_describe=True)
        registry.register(ShipperCollector(*args))  # type: ignore[arg-type]  # whatever the test gives
        pages.append(Page(registry))
        return pages[-1]

    yield make
    for page in pages:
        page.close()


def of(samples: Samples, name: str, **labels: str) -> float:
    return samples[name, frozenset({"shipper": "default", **labels}.items())]


def test_a_page_says_what_became_of_each_event(
    togai: FakeTogai, ship: Ship, page_of: Callable[..., Page]
) -> None:
    page = page_of(shipper := ship())
    togai.duplicate_reply = 409
    togai.script(faults.Reset(ingest="all"))
    shipper.track("api_call", "acme")
    assert shipper.flush(10)
    togai.poison(lambda event: event["accountId"] == "bad")
    for account in ("acme", "acme", "bad"):
        shipper.track("api_call", account)
    shipper.track("", "acme")
    with shipper.measure("api_call", None):
        pass
    assert not shipper.flush(10)

    samples = page.read()
    delivered = of(samples, EVENTS, outcome="delivered", reason="")
    duplicates = of(samples, EVENTS, outcome="delivered", reason="duplicate")
    assert delivered + duplicates == togai.ledger.metered == 3
    assert duplicates == 1
    assert of(samples, EVENTS, outcome="rejected", reason="") == 1
    assert of(samples, EVENTS, outcome="refused", reason="invalid") == 1
    assert of(samples, EVENTS, outcome="dropped", reason="closed") == 0
    assert of(samples, "togai_shipper_left_out_total", reason="no account") == 1
    assert of(samples, "togai_shipper_left_out_total", reason="slash redirect") == 0
    assert of(samples, "togai_shipper_events_pending") == 0


def test_a_page_says_how_requests_ended_and_how_long_they_took(
    togai: FakeTogai, ship: Ship, page_of: Callable[..., Page]
) -> None:
    shipper = ship(max_in_flight=1)
    page = page_of(shipper)
    togai.script(faults.Refuse(503), faults.Refuse(500), faults.Reset())
    shipper.track("api_call", "acme")
    shipper.flush(10)

    samples = page.read()
    seen = Counter("none" if request.status is None else str(request.status) for request in togai.requests)
    assert seen == {"503": 1, "500": 1, "none": 1, "202": 1}
    assert {status: of(samples, "togai_shipper_requests_total", status=status) for status in seen} == seen
    assert of(samples, "togai_shipper_request_seconds_count") == 4
    assert of(samples, "togai_shipper_request_seconds_sum") == shipper.stats().request_seconds > 0
    assert of(samples, "togai_shipper_retries_total") == 3
    assert of(samples, "togai_shipper_sent_bytes_total") == shipper.stats().bytes_sent
    assert of(samples, "togai_shipper_requests_in_flight") == 0


def test_a_page_says_what_waits_while_a_request_hangs(
    togai: FakeTogai, ship: Ship, page_of: Callable[..., Page]
) -> None:
    page = page_of(shipper := ship())
    togai.script(faults.Hold())
    shipper.track("api_call", "acme")
    assert togai.wait(lambda: togai.requests)

    samples = page.read()
    togai.release()
    assert of(samples, "togai_shipper_events_pending") == 1
    assert of(samples, "togai_shipper_events_in_flight") == 1
    assert of(samples, "togai_shipper_requests_in_flight") == 1
    assert of(samples, "togai_shipper_oldest_pending_seconds") > 0
    assert of(samples, "togai_shipper_state", state="open") == 1


def test_a_page_says_that_the_key_is_refused(
    togai: FakeTogai, ship: Ship, page_of: Callable[..., Page]
) -> None:
    page = page_of(shipper := ship(api_key="wrong"))
    shipper.track("api_call", "acme")
    shipper.flush(10)

    samples = page.read()
    assert of(samples, "togai_shipper_healthy") == 0
    assert of(samples, "togai_shipper_state", state="parked") == 1
    assert of(samples, "togai_shipper_state", state="open") == 0
    assert of(samples, "togai_shipper_requests_total", status="401") == 1


def test_a_page_says_what_is_on_disk(
    togai: FakeTogai, ship: Ship, page_of: Callable[..., Page], tmp_path: Path
) -> None:
    page = page_of(shipper := ship(spool=tmp_path, flush_interval=60))
    togai.poison(lambda event: event["accountId"] == "bad")
    shipper.track("api_call", "bad")
    shipper.flush(10)
    shipper.track("api_call", "acme")
    assert shipper.sync(10)

    samples = page.read()
    assert of(samples, "togai_shipper_spool_durable") == 1
    assert of(samples, "togai_shipper_events_spooled") == 1
    assert of(samples, "togai_shipper_spool_bytes") == shipper.stats().spool_bytes > 0
    shipper.close(10)
    assert of(page.read(), "togai_shipper_dead_letters") == 1


def test_a_page_says_how_full_each_bound_is(ship: Ship, page_of: Callable[..., Page], tmp_path: Path) -> None:
    shipper = ship(flush_interval=60, max_queue_size=10, spool=tmp_path)
    page = page_of(shipper)
    shipper.track("api_call", "acme")
    assert shipper.sync(10)

    samples = page.read()
    assert of(samples, "togai_shipper_limit", bound="max_queue_size") == 10
    assert of(samples, "togai_shipper_limit_used", bound="max_queue_size") == 1
    used = of(samples, "togai_shipper_limit_used", bound="max_spool_bytes")
    assert 0 < used == of(samples, "togai_shipper_spool_bytes")
    assert used < of(samples, "togai_shipper_limit", bound="max_spool_bytes")


def test_no_counter_ever_falls_while_events_meet_every_end(
    togai: FakeTogai, ship: Ship, page_of: Callable[..., Page]
) -> None:
    page = page_of(shipper := ship(max_queue_size=50, batch_size=5))
    togai.poison(lambda event: event["accountId"] == "bad")
    before: Samples = {}
    for round_ in range(30):
        togai.script(faults.Refuse(503), faults.Reset(ingest="half"))
        for number in range(10):
            shipper.track("api_call", "bad" if number == round_ % 10 else "acme", {"n": number})
        shipper.track("api_call", "")
        samples = page.read()
        counters = {
            key: value
            for key, value in samples.items()
            if page.kinds[key[0]] == "counter" or key[0].endswith(("_sum", "_count"))
        }
        assert all(value >= before.get(key, 0) for key, value in counters.items())
        assert before.keys() <= counters.keys()
        before = counters
    shipper.close(0)

    samples = page.read()
    ended = sum(value for (name, labels), value in samples.items() if name == EVENTS)
    assert ended == 30 * 11
    assert of(samples, "togai_shipper_events_pending") == 0


def test_several_shippers_stand_side_by_side(
    togai: FakeTogai, ship: Ship, page_of: Callable[..., Page]
) -> None:
    eu, us = ship(), ship()
    page = page_of({"eu": eu, "us": us})
    eu.track("api_call", "acme")
    assert eu.flush(10)

    samples = page.read()
    assert of(samples, EVENTS, shipper="eu", outcome="delivered", reason="") == togai.ledger.metered == 1
    assert of(samples, EVENTS, shipper="us", outcome="delivered", reason="") == 0


def test_a_shipper_that_is_added_during_a_scrape_is_told_of_in_the_next(
    togai: FakeTogai, page_of: Callable[..., Page]
) -> None:
    class Asked(Shipper):
        """As if another thread made a tenant's shipper just when this one is asked."""

        def stats(self) -> Stats:
            shippers.setdefault("later", Shipper(enabled=False))
            return super().stats()

    shippers: dict[str, Shipper] = {"first": Asked(enabled=False)}
    page = page_of(shippers)

    assert of(page.read(), "togai_shipper_events_pending", shipper="first") == 0
    assert of(page.read(), "togai_shipper_events_pending", shipper="later") == 0


def test_the_default_shipper_is_told_of_once_there_is_one(
    togai: FakeTogai, page_of: Callable[..., Page]
) -> None:
    page = page_of()
    with _default.replaced(Shipper):  # as in a process that has made none
        assert page.read() == {}
        togai_shipper.configure(api_key="secret", base_url=togai.url)
        togai_shipper.track("api_call", "acme")
        togai_shipper.flush(10)

        assert of(page.read(), EVENTS, outcome="delivered", reason="") == togai.ledger.metered == 1


def test_openmetrics_reads_the_page_as_well(ship: Ship, page_of: Callable[..., Page]) -> None:
    page = page_of(ship())
    families = {family.name: family for family in openmetrics(page.fetch("application/openmetrics-text"))}

    assert families["togai_shipper_request_seconds"].unit == "seconds"
    assert families["togai_shipper_events"].type == "counter"


def test_registering_asks_no_shipper_and_a_part_of_the_page_may_be_fetched(ship: Ship) -> None:
    registry = CollectorRegistry(auto_describe=True)
    registry.register(ShipperCollector(ship()))

    assert [family.name for family in registry.restricted_registry([EVENTS]).collect()] == [
        "togai_shipper_events"
    ]
    with pytest.raises(ValueError, match="Duplicated"):
        registry.register(ShipperCollector(ship()))


@pytest.mark.parametrize(
    "module", ["", ".contrib", ".contrib.logging", ".contrib.aws_lambda", ".contrib.celery"]
)
def test_who_does_not_export_to_them_loads_no_framework(module: str) -> None:
    program = f"import sys, togai_shipper{module}; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    ).stdout.split()

    assert not {"prometheus_client", "opentelemetry", "celery", "requests"} & set(loaded)


def test_the_example_in_its_docstring_runs() -> None:
    assert doctest.testmod(module).attempted > 0
    assert doctest.testmod(module).failed == 0
