"""Numbers in sentences."""

from __future__ import annotations

from typing import Any

import pytest
from virtual import world

from togai_shipper._engine.verdict import Reply
from togai_shipper._plural import counted


@pytest.mark.parametrize(
    ("count", "said"), [(0, "0 events wait"), (1, "1 event waits"), (1204, "1204 events wait")]
)
def test_one_is_said_in_the_singular(count: int, said: str) -> None:
    assert counted(count, "event waits", "events wait") == said
    assert counted(count, "event") == said.rpartition(" ")[0]


@pytest.mark.parametrize(
    ("count", "parked", "given_up"),
    [(1, "; 1 event waits, ", "with 1 event undelivered"), (2, "; 2 events wait, ", "with 2 events undel")],
)
def test_the_log_says_how_many_events_wait_or_are_given_up(
    caplog: Any, count: int, parked: str, given_up: str
) -> None:
    w = world([Reply(401, b"{}")] * 9)
    w.put(count)

    w.pipeline.flush(10)
    assert parked in caplog.text
    w.pipeline.close(0.0)
    assert given_up in caplog.text
