"""A shipper as an object: made, shown, copied, collected, given a new key."""

from __future__ import annotations

import copy
import gc
import pickle
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from insides import pipeline_of
from shippers import Ship, unused

from togai_shipper import (
    ConfigurationError,
    FlushReport,
    Shipper,
)
from togai_shipper._pipeline import Pipeline
from togai_shipper._process import exits
from togai_shipper.testing import FakeTogai


def test_making_one_starts_nothing_and_asks_nobody() -> None:
    before = threading.active_count()
    shipper = Shipper("secret", base_url="http://127.0.0.1:1", session_factory=lambda: pytest.fail("asked"))

    assert threading.active_count() == before
    assert shipper.stats().requests == 0
    assert shipper.close() == FlushReport()


def test_a_shipper_can_be_neither_pickled_nor_copied() -> None:
    shipper = unused()
    for attempt in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="neither pickled nor copied"):
            attempt(shipper)


def test_a_shipper_that_is_collected_unclosed_warns_and_delivers(togai: FakeTogai) -> None:
    shipper = Shipper("secret", base_url=togai.url, flush_interval=0.05)
    event_id = shipper.track("api_call", "acme")
    with pytest.warns(ResourceWarning, match="unclosed <Shipper open: 1 pending"):  # noqa: PT031  collected here or there
        del shipper
        gc.collect()

    assert togai.wait(lambda: event_id in togai.ledger.ids)


def until(condition: Callable[[], bool], pipeline: Pipeline) -> bool:
    """Whether it comes true within 10 s."""
    over_at = time.monotonic() + 10
    while not condition() and time.monotonic() < over_at:
        pipeline.line.progress.wait(pipeline.line.progress.rings, 0.05)
    return condition()


@pytest.mark.parametrize("where", ["memory", "spool"])
def test_a_shipper_that_is_collected_unclosed_ends_once_its_events_are_delivered(
    togai: FakeTogai, tmp_path: Path, where: str
) -> None:
    togai.stop()
    options: Any = {"spool": tmp_path} if where == "spool" else {}
    shipper = Shipper("secret", base_url=togai.url, flush_interval=0.05, backoff_initial=0.1, **options)
    event_id = shipper.track("api_call", "acme")
    pipeline = pipeline_of(shipper)  # what it leaves behind
    with pytest.warns(ResourceWarning, match="unclosed <Shipper open: 1 pending"):  # noqa: PT031  collected here or there
        del shipper
        gc.collect()
    assert pipeline in exits.orphans()
    togai.start()

    assert until(lambda: pipeline not in exits.orphans(), pipeline)
    assert (pipeline.flushers.alive, pipeline.health.state) == (0, "closed")
    assert event_id in togai.ledger.ids
    assert until(lambda: not list(tmp_path.glob("*.db")), pipeline)  # another thread may still remove it


def test_a_shipper_that_is_collected_without_an_event_ends_the_writer_of_its_spool(
    togai: FakeTogai, tmp_path: Path
) -> None:
    shipper = Shipper("secret", base_url=togai.url, spool=tmp_path)
    shipper.flush(1)
    pipeline = pipeline_of(shipper)
    del shipper
    gc.collect()

    assert until(lambda: pipeline.health.state == "closed", pipeline)


def test_its_repr_tells_how_it_stands(togai: FakeTogai, ship: Ship) -> None:
    shipper = ship()
    assert repr(shipper) == "<Shipper open: 0 pending, 0 delivered, 0 rejected, 0 dropped>"
    shipper.track("api_call", "acme")
    shipper.close()

    assert repr(shipper) == "<Shipper closed: 0 pending, 1 delivered, 0 rejected, 0 dropped>"


def test_a_bad_new_key_is_refused_and_the_one_in_use_stays(togai: FakeTogai, ship: Ship) -> None:
    shipper = ship()
    with pytest.raises(ConfigurationError, match="api_key"):
        shipper.set_api_key("with blank")
    shipper.set_api_key(lambda: "secret")
    shipper.track("api_call", "acme")

    assert shipper.flush(10)


def test_a_timeout_is_a_number(ship: Ship) -> None:
    with pytest.raises(ValueError, match="timeout"):
        ship().flush(float("nan"))
