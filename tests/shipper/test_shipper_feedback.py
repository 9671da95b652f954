"""What log handlers track while the shipper itself logs does not come back to it."""

from __future__ import annotations

import logging

from shippers import Ship

from togai_shipper import (
    Event,
)
from togai_shipper.testing import FakeTogai


def test_log_records_of_our_own_requests_do_not_come_back_as_events(togai: FakeTogai, ship: Ship) -> None:
    shipper = ship()

    class Meter(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            shipper.track("log_line", "acme", {"n": 1}, {"logger": record.name})

    root, meter = logging.getLogger(), Meter()
    level = root.level
    root.addHandler(meter)
    root.setLevel(logging.DEBUG)
    try:
        event_id = shipper.track("api_call", "acme")
        shipper.track("", "acme")  # refused, and that is logged
        assert shipper.flush(10)
        shipper.close()
    finally:
        root.removeHandler(meter)
        root.setLevel(level)

    assert shipper.stats().refused["feedback"] >= 2
    assert togai.ledger.ids == {event_id}


def test_a_log_handler_that_tracks_events_or_closes_does_not_come_back_to_itself(
    togai: FakeTogai, ship: Ship
) -> None:
    shipper = ship(flush_interval=60)
    shipper.track("api_call", "acme")

    class Closing(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            shipper.track_event(Event("log_line", "acme"))
            shipper.close(0)  # has to say that it gave up an event, and comes here again

    logger, handler = logging.getLogger("togai_shipper"), Closing()
    logger.addHandler(handler)
    try:
        shipper.track("", "acme")
    finally:
        logger.removeHandler(handler)

    stats = shipper.stats()
    assert (stats.refused["feedback"], stats.dropped) == (2, {"closed": 1})
