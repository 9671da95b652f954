"""Outcomes and how they are counted."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from virtual import world

from togai_shipper import EventDropped, EventRejected, FlushReport, Stats
from togai_shipper._engine.ledger import Ledger
from togai_shipper._engine.receipts import Receipts
from togai_shipper._outcome import LEFT_OUT, REFUSALS, Delivered, Dropped, Rejected, Settled

NO = EventRejected(400, "no", 1)
CLOSED = EventDropped(None, "closed", 0)


def test_a_ledger_begins_with_nothing_and_every_reason_to_refuse() -> None:
    ledger = Ledger(Receipts())

    assert ledger.settled == 0
    assert ledger.dropped == {}
    assert ledger.refused == dict.fromkeys(
        ("invalid", "full", "closed", "filtered", "disabled", "feedback", "misconfigured"), 0
    )
    assert (ledger.requests, ledger.retries, ledger.bytes_sent) == (0, 0, 0)
    assert (ledger.replies, ledger.request_seconds) == ({}, 0.0)


def test_each_outcome_counts_all_its_events_where_it_belongs() -> None:
    ledger = Ledger(Receipts())

    for outcome in (
        Delivered([b"1", b"2"]),
        Delivered([b"3"], duplicates=1),
        Rejected([b"4"], NO),
        Dropped([b"5", b"6"], "closed", CLOSED),
        Dropped([b"7"], "closed", CLOSED),
        Dropped([b"8"], "past dedupe window", CLOSED),
    ):
        ledger.record(outcome)

    assert (ledger.delivered, ledger.duplicates, ledger.rejected) == (3, 1, 1)
    assert ledger.dropped == {"closed": 3, "past dedupe window": 1}
    assert ledger.settled == 8


events = st.lists(st.just(b"{}"), max_size=4)
outcomes: st.SearchStrategy[Settled] = st.one_of(
    st.builds(Delivered, events),
    st.builds(Rejected, events, st.just(NO)),
    st.builds(Dropped, events, st.sampled_from(("closed", "past dedupe window")), st.just(CLOSED)),
)


@given(st.lists(outcomes))
def test_what_is_settled_is_what_was_recorded(recorded: Sequence[Settled]) -> None:
    ledger = Ledger(Receipts())

    for outcome in recorded:
        ledger.record(outcome)

    assert ledger.settled == sum(len(outcome.events) for outcome in recorded)
    assert ledger.settled == ledger.delivered + ledger.rejected + sum(ledger.dropped.values())


def test_two_ledgers_count_apart() -> None:
    one, other = Ledger(Receipts()), Ledger(Receipts())

    one.refused["full"] += 1
    one.record(Dropped([b"1"], "closed", CLOSED))

    one.leave_out("preflight")

    assert other.refused["full"] == 0
    assert (one.left_out["preflight"], other.left_out["preflight"]) == (1, 0)
    assert other.dropped == {}


def test_stats_begin_with_nothing_and_are_frozen() -> None:
    stats = Stats()

    nothing: dict[str, Any] = {"refused": dict.fromkeys(REFUSALS, 0), "left_out": dict.fromkeys(LEFT_OUT, 0)}
    assert stats == Stats(**nothing, dropped={}, last_error=None, state="open")
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        stats.accepted = 1
    assert Stats().dropped is not Stats().dropped


@given(*[st.integers(0, 3)] * 4)
def test_a_report_is_true_only_where_nothing_is_undelivered(
    delivered: int, rejected: int, dropped: int, pending: int
) -> None:
    report = FlushReport(delivered, rejected, dropped, pending)

    assert bool(report) == (rejected == dropped == pending == 0)


def test_stats_say_which_bounds_there_are_and_what_is_taken_of_them() -> None:
    w = world(max_queue_size=10, max_queue_bytes=5000)
    w.put(3)

    stats = w.pipeline.health.stats()
    assert stats.limits == {"max_queue_size": 10, "max_queue_bytes": 5000}
    assert stats.used == {"max_queue_size": 3, "max_queue_bytes": w.pipeline.buffer.size}
    assert w.pipeline.buffer.size > 0


def test_with_a_spool_stats_say_how_much_of_it_is_taken(tmp_path: Path) -> None:
    w = world(spool=str(tmp_path / "spool"), max_spool_bytes=100_000)
    w.put(3)
    w.pipeline.sync(10)

    stats = w.pipeline.health.stats()
    assert stats.limits["max_spool_bytes"] == 100_000
    assert stats.used["max_spool_bytes"] == stats.spool_bytes > 0
    w.pipeline.close(0)
