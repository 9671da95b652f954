"""Where users live: AWS Lambda's and Celery's ends."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
from celery.signals import worker_process_shutdown

import togai_shipper
from togai_shipper import Shipper
from togai_shipper.contrib import celery
from togai_shipper.contrib.aws_lambda import flush_after
from togai_shipper.testing import FakeTogai, faults

Ship = Callable[..., Shipper]


class Context:
    """What Lambda hands over beside the event."""

    def __init__(self, milliseconds: int) -> None:
        self._milliseconds = milliseconds

    def get_remaining_time_in_millis(self) -> int:
        return self._milliseconds


def test_an_invocation_delivers_before_it_ends(togai: FakeTogai, ship: Ship) -> None:
    shipper = ship(flush_interval=60)

    @flush_after(shipper=shipper)
    def handler(event: Any, context: Any) -> Any:
        return shipper.track("invocation", "acme"), event

    event_id, event = handler("given", Context(60_000))
    assert event == "given"
    assert togai.ledger.get(event_id).metered == 1
    assert handler.__name__ == "handler"


def test_an_invocation_that_raises_delivers_too(togai: FakeTogai, ship: Ship) -> None:
    shipper = ship(flush_interval=60)

    @flush_after(shipper=shipper, timeout=30)
    def handler(event: Any, context: Any) -> None:
        shipper.track("invocation", "acme")
        raise LookupError

    with pytest.raises(LookupError):
        handler(None, None)
    assert togai.ledger.metered == 1


def test_an_invocation_is_not_kept_beyond_its_time(togai: FakeTogai, ship: Ship) -> None:
    togai.on_request = lambda received: faults.Hang()
    shipper = ship(flush_interval=60)

    @flush_after(shipper=shipper, timeout=3600)
    def handler(event: Any, context: Any) -> None:
        shipper.track("invocation", "acme")

    handler(None, Context(600))  # of which half a second is Lambda's
    handler(None, Context(0))
    assert shipper.pending == 2


def test_an_invocation_flushes_the_default_shipper_unless_told_another(togai: FakeTogai) -> None:
    togai_shipper.configure(api_key="secret", base_url=togai.url, flush_interval=60)

    @flush_after
    def handler(event: Any, context: Any) -> None:
        togai_shipper.track("invocation", "acme")

    handler(None, Context(60_000))
    assert togai.ledger.metered == 1
    togai_shipper.configure(enabled=False)


def test_an_invocation_that_tracks_nothing_makes_no_shipper() -> None:
    program = (
        "from togai_shipper.contrib.aws_lambda import flush_after\n"
        "from togai_shipper import _default\n"
        "assert flush_after(lambda event, context: event)(5, None) == 5\n"
        "assert _default.made() is None"
    )

    assert subprocess.run([sys.executable, "-c", program], check=False, timeout=60).returncode == 0


def test_a_handler_that_is_a_coroutine_is_refused() -> None:
    async def handler(event: Any, context: Any) -> None: ...

    with pytest.raises(TypeError, match="plain function"):
        flush_after(handler)


def test_a_celery_worker_process_that_ends_delivers(togai: FakeTogai, ship: Ship) -> None:
    shipper = ship(flush_interval=60)
    celery.install(shipper)
    event_id = shipper.track("task", "acme")
    worker_process_shutdown.send(sender=None)

    assert togai.ledger.get(event_id).metered == 1
    assert shipper.stats().state == "closed"
