"""Which events the options of ``togai-shipper spool`` choose."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from spools import DAY, event, letter

from togai_shipper.cli.spool.events import StoredEvent
from togai_shipper.cli.spool.selection import Selection
from togai_shipper.spool.rows import PAST_WINDOW


@pytest.mark.parametrize(
    ("given", "fits"),
    [
        ({}, True),
        ({"ids": ["a", "b"]}, True),
        ({"ids": ["b"]}, False),
        ({"reasons": ["rejected"]}, True),
        ({"reasons": [PAST_WINDOW]}, False),
        ({"schemas": ["api_call"], "accounts": ["acme"]}, True),
        ({"schemas": ["other"]}, False),
        ({"accounts": ["other"]}, False),
        ({"older_than": 86_400.0}, True),
        ({"older_than": 86_400.1}, False),
        ({"newer_than": 86_400.1}, True),
        ({"newer_than": 86_400.0}, False),
    ],
)
def test_an_event_fits_each_of_what_is_given(given: dict[str, Any], fits: bool) -> None:  # noqa: FBT001  a row's column
    dead = letter("a", dead_ms=10 * DAY)

    assert Selection(**given).takes(StoredEvent(Path(), 1, dead.body, 5 * DAY, dead), 11 * DAY) is fits


def test_a_pending_event_is_dead_for_no_reason() -> None:
    stored = StoredEvent(Path(), 1, event("a"), 10 * DAY)

    assert not Selection(reasons=["rejected"]).takes(stored, 11 * DAY)
    assert Selection(ids=["a"], older_than=86_400).takes(stored, 11 * DAY)
    assert StoredEvent(Path(), 1, b"[]", 0).id == ""
