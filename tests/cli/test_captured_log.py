"""The log lines that are kept off the screen."""

from __future__ import annotations

import logging

from togai_shipper.cli.captured_log import captured_log


def test_warnings_of_every_logger_are_captured_and_no_trace_is_left() -> None:
    before = list(logging.getLogger().handlers)

    with captured_log() as lines:
        logging.getLogger("togai_shipper").warning("event %s undelivered", "e-1")
        logging.getLogger("elsewhere").error("no")
        logging.getLogger("togai_shipper").info("not this")

    assert lines == ["WARNING: event e-1 undelivered", "ERROR: no"]
    assert logging.getLogger().handlers == before
