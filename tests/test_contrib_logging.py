"""Usage from log records, judged by what reached Togai."""

from __future__ import annotations

import doctest
import logging
from collections.abc import Callable, Iterator
from logging.config import dictConfig
from logging.handlers import QueueHandler
from queue import SimpleQueue
from typing import Any

import pytest

import togai_shipper
from togai_shipper import InvalidEvent, Shipper
from togai_shipper.contrib import logging as module
from togai_shipper.contrib.logging import Handler
from togai_shipper.testing import FakeTogai

Ship = Callable[..., Shipper]
Usage = dict[str, Any]

RENDER: Usage = {"schema_name": "render", "account_id": "acme"}


@pytest.fixture
def usage() -> Iterator[logging.Logger]:
    """A logger that has no handler before or after the test."""
    logger = logging.getLogger("usage of a test")
    logger.setLevel(logging.INFO)
    yield logger
    logger.handlers.clear()
    logger.filters.clear()


def test_a_record_with_usage_is_delivered_as_it_says(
    togai: FakeTogai, ship: Ship, usage: logging.Logger
) -> None:
    usage.addHandler(Handler(shipper := ship()))
    said = {
        **RENDER,
        "attributes": {"pages": (12, "Pages")},
        "dimensions": {"region": "eu"},
        "event_id": "e-1",
        "timestamp": "2026-01-31T23:59:59Z",
    }
    usage.info("rendered", extra={"togai": said})
    assert shipper.flush(10)

    assert togai.ledger.get("e-1").event == {
        "id": "e-1",
        "schemaName": "render",
        "accountId": "acme",
        "timestamp": "2026-01-31T23:59:59.000Z",
        "attributes": [{"name": "pages", "value": "12", "unit": "Pages"}],
        "dimensions": {"region": "eu"},
    }


def test_an_event_has_the_time_at_which_its_record_was_made(
    togai: FakeTogai, ship: Ship, usage: logging.Logger
) -> None:
    shipper, queue = ship(), SimpleQueue[logging.LogRecord]()
    usage.addHandler(QueueHandler(queue))
    usage.info("rendered", extra={"togai": {**RENDER, "event_id": "e-1"}})
    record = queue.get()
    record.created = 1_790_000_000.5  # it has waited in the queue since then
    Handler(shipper).handle(record)
    assert shipper.flush(10)

    assert togai.ledger.get("e-1").event["timestamp"] == "2026-09-21T14:13:20.500Z"


def test_a_record_that_several_handlers_get_is_billed_once(
    togai: FakeTogai, ship: Ship, usage: logging.Logger
) -> None:
    shipper, queue = ship(), SimpleQueue[logging.LogRecord]()
    for handler in (Handler(shipper), Handler(shipper), QueueHandler(queue)):
        usage.addHandler(handler)
    usage.info("rendered", extra={"togai": RENDER})
    Handler(shipper).handle(queue.get())
    usage.info("rendered", extra={"togai": RENDER})
    assert shipper.flush(10)

    assert (shipper.stats().delivered, togai.ledger.metered) == (5, 2)


def test_a_job_that_is_run_again_bills_once_by_its_idempotency_key(
    togai: FakeTogai, ship: Ship, usage: logging.Logger
) -> None:
    usage.addHandler(Handler(shipper := ship()))
    for _ in range(2):
        usage.info("ordered", extra={"togai": {**RENDER, "idempotency_key": "order-4711"}})
    shipper.flush(10)

    assert togai.ledger.metered == 1
    assert shipper.stats().delivered == 2


def test_other_records_and_those_that_are_filtered_out_are_no_events(
    togai: FakeTogai, ship: Ship, usage: logging.Logger
) -> None:
    shipper = ship()
    handler = Handler(shipper, "WARNING")
    handler.addFilter(lambda record: record.getMessage() != "not this")
    usage.addHandler(handler)
    usage.warning("rendered")
    usage.warning("rendered", extra={"togai": None})
    usage.info("rendered", extra={"togai": RENDER})
    usage.warning("not this", extra={"togai": RENDER})
    usage.warning("rendered", extra={"togai": RENDER})
    assert shipper.flush(10)

    assert togai.ledger.metered == 1
    assert sum(shipper.stats().refused.values()) == 0


def test_a_filter_may_give_another_record(togai: FakeTogai, ship: Ship, usage: logging.Logger) -> None:
    shipper = ship()
    handler = Handler(shipper)
    other = logging.makeLogRecord({"togai": {**RENDER, "event_id": "e-1"}})
    handler.filter = lambda record: other  # type: ignore[method-assign,assignment,return-value]  # as Python 3.12 has it
    usage.addHandler(handler)
    usage.info("rendered")
    assert shipper.flush(10)

    assert togai.ledger.ids == {"e-1"}


@pytest.mark.parametrize(
    ("said", "problem"),
    [
        ("render", "togai: must be a mapping, not str"),
        ({**RENDER, "dimension": {"region": "eu"}}, "togai: has unknown 'dimension'; there is schema_name"),
        ({**RENDER, 5: 5}, "togai: has unknown 5; there is schema_name"),
        ({"account_id": "acme"}, "schema_name: must be a str of 1 to 50 characters, not NoneType"),
        ({"schema_name": "render"}, "account_id: must be a str of 1 to 512 characters, not NoneType"),
        ({**RENDER, "attributes": {"pages": "many"}}, "attributes['pages']"),
        ({**RENDER, "timestamp": "yesterday"}, "timestamp"),
    ],
)
def test_what_is_no_event_is_counted_told_and_logged_once_and_nothing_is_raised(
    ship: Ship, usage: logging.Logger, caplog: pytest.LogCaptureFixture, said: Any, problem: str
) -> None:
    told: list[Exception] = []
    shipper = ship(on_error=lambda error, events: told.append(error))
    usage.addHandler(Handler(shipper))
    for _ in range(3):
        usage.info("rendered", extra={"togai": said})

    assert shipper.stats().refused["invalid"] == 3
    assert [isinstance(error, InvalidEvent) and problem in str(error) for error in told] == [True] * 3
    (line,) = [record.getMessage() for record in caplog.records if record.name == "togai_shipper"]
    assert problem in line


def test_what_a_strict_shipper_raises_goes_to_stderr_as_logging_has_it(
    ship: Ship, usage: logging.Logger, capsys: pytest.CaptureFixture[str]
) -> None:
    usage.addHandler(Handler(shipper := ship(strict=True)))
    usage.info("rendered", extra={"togai": {**RENDER, "dimension": {}}})
    usage.info("rendered", extra={"togai": {"account_id": "acme"}})

    assert capsys.readouterr().err.count("--- Logging error ---") == 2
    assert shipper.stats().refused["invalid"] == 2


def test_on_the_root_logger_our_own_records_make_no_events(
    togai: FakeTogai, ship: Ship, usage: logging.Logger
) -> None:
    """Though a filter of the application's marks every record there is as usage."""
    shipper = ship()
    handler = Handler(shipper)

    def mark(record: logging.LogRecord) -> bool:
        record.togai = {**RENDER, "dimensions": {"logger": record.name}}
        return True

    handler.addFilter(mark)
    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.DEBUG)
    root.addHandler(handler)
    try:
        usage.info("rendered")
        shipper.track("", "acme")  # which is logged
        assert shipper.flush(10)
    finally:
        root.removeHandler(handler)
        root.setLevel(level)

    events = [record.event["dimensions"]["logger"] for record in togai.ledger.records]
    assert events == ["usage of a test"]
    assert shipper.stats().refused["feedback"] >= 2


def test_configured_by_a_dictionary_it_tracks_with_the_default_shipper(
    togai: FakeTogai, usage: logging.Logger
) -> None:
    togai_shipper.configure(api_key="secret", base_url=togai.url)
    dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "handlers": {"togai": {"class": "togai_shipper.contrib.logging.Handler"}},
            "loggers": {usage.name: {"handlers": ["togai"], "level": "INFO"}},
        }
    )
    usage.info("rendered", extra={"togai": RENDER})
    assert togai_shipper.flush(10)

    assert togai.ledger.metered == 1
    togai_shipper.configure(enabled=False)


def test_the_example_in_its_docstring_runs() -> None:
    tried = doctest.testmod(module)
    logging.getLogger("usage").handlers.clear()
    assert tried.attempted > 0
    assert tried.failed == 0
