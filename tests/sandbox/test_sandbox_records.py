"""What the sandbox's ledger keeps of events, held against a plain list; and when events happened."""

from __future__ import annotations

import json
from collections import Counter
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from bare_client import event
from hypothesis import given
from hypothesis import strategies as st
from manual_clock import ManualClock

from togai_shipper.sandbox import statuses
from togai_shipper.sandbox.event_time import happened
from togai_shipper.sandbox.ledger import BillingLedger
from togai_shipper.sandbox.paging import MOST_TOKENS, BadQuery, Tokens
from togai_shipper.sandbox.records import LIST_ORDERS, ListOrder, Record, Records, place_of
from togai_shipper.sandbox.switches import Switches

MOMENTS = st.integers(0, 5).map(lambda second: f"2024-01-01T00:00:0{second}Z")
IDS = st.sampled_from(["a", "b", None])

# A step adds an event, forgets down to so many, puts a record in the place of one, or sorts some.
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("add"), IDS, MOMENTS),
        st.tuples(st.just("keep"), st.integers(0, 4)),
        st.tuples(st.just("replace"), st.integers(0, 9)),
        st.tuples(st.just("sort"), st.integers(0, 3)),
    ),
    max_size=30,
)


def all_in(records: Records, order: ListOrder, size: int) -> list[Record]:
    """All records of an order, page by page."""
    found: list[Record] = []
    while page := records.after(place_of(found[-1]) if found else None, size, order):
        assert len(page) <= size
        found += page
        assert len(found) <= len(records)  # none comes twice
    return found


@given(STEPS, st.integers(1, 3))
def test_records_are_found_as_in_a_plain_list(steps: list[Any], size: int) -> None:
    records, kept = Records(), list[Record]()
    for step in steps:
        match step:
            case "add", event_id, moment:
                kept.append(records.add(event(event_id, timestamp=moment), statuses.METERED, 0.0))
            case "keep", most:
                records.keep_newest(most)
                kept = kept[max(0, len(kept) - most) :]
            case "replace", place if place < len(kept):
                old = kept[place]
                kept[place] = Record(old.number, old.event, statuses.REVERTED, 0.0, old.happened)
                records.replace(old, kept[place])
            case "sort", most:
                records.sort_some(most)
    assert records.sort_some(100)

    by_moment = sorted(kept, key=place_of)
    assert list(records) == list(reversed(records))[::-1] == kept
    assert len(records) == len(kept)
    assert {order: all_in(records, order, size) for order in LIST_ORDERS} == {
        "newest": by_moment[::-1],
        "oldest": by_moment,
        "received": kept,
    }
    for event_id in ("a", "b"):
        assert list(records.of_id(event_id)) == [each for each in kept if each.event.get("id") == event_id]
    assert all(records.numbered(each.number) is each for each in kept)
    assert records.numbered(kept[0].number - 1 if kept else records.next_number) is None


def test_a_sorted_record_that_is_forgotten_is_not_found_by_its_moment() -> None:
    records = Records()
    kept = [
        records.add(event(str(number), timestamp="2024-01-01T00:00:00Z"), statuses.METERED, 0.0)
        for number in (1, 2)
    ]
    records.sort_some(2)

    records.keep_newest(1)

    assert all_in(records, "oldest", 5) == kept[1:]


# --- what is counted --------------------------------------------------------------------------------------

CHANGES = st.lists(
    st.one_of(
        st.tuples(st.just("accept"), st.sampled_from("abc"), MOMENTS),
        st.tuples(st.just("revert"), st.integers(0, 9)),
        st.tuples(st.just("wait"), st.integers(1, 40)),
    ),
    max_size=25,
)


@given(CHANGES, st.sampled_from([0.0, 30.0]), st.sampled_from([0.0, 50.0]))
def test_counts_are_those_of_all_records_by_what_each_shows(
    changes: list[Any], settle_after: float, metrics_lag: float
) -> None:
    clock = ManualClock()
    switches = Switches(clock=clock, settle_after=settle_after, metrics_lag=metrics_lag)
    ledger = BillingLedger(switches)
    for change in changes:
        match change:
            case "accept", event_id, moment:
                ledger.accept([event(event_id, timestamp=moment)])
            case "revert", place if place < len(ledger.records):
                if ledger.records[place].status != statuses.REVERTED:
                    ledger.revert(ledger.records[place])
            case "wait", seconds:
                clock.now += seconds

    shown = [ledger.status(each) for each in ledger.records if clock.now >= each.created + metrics_lag]
    counted: Counter[str] = Counter()
    for kind, count in ledger.counts().items():
        counted[kind.status] += count
    assert counted == Counter(shown)
    assert sum(row.events for row in ledger.bill) == ledger.metered
    assert ledger.totals.not_billed == 0


# --- when an event happened -------------------------------------------------------------------------------


@given(
    st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30)),  # noqa: DTZ001  the zone comes below
    st.sampled_from(["Z", "z", "+00:00", "-11:30", "+14:00", "", " UTC"]),
    st.sampled_from(["seconds", "milliseconds", "microseconds"]),
)
def test_a_moment_is_that_of_the_standard_library(moment: datetime, zone: str, precision: str) -> None:
    text = moment.isoformat("T", "seconds" if zone == " UTC" else precision)
    if zone == " UTC":
        text = text.replace("T", " ")
    offset = timedelta(hours=int(zone[:3]), minutes=int(zone[0] + zone[4:])) if ":" in zone else timedelta()
    exact = datetime.fromisoformat(text).replace(tzinfo=timezone(offset))

    assert happened(text + zone) == pytest.approx(exact.timestamp(), abs=1e-4)


# --- tokens -----------------------------------------------------------------------------------------------


def test_of_many_tokens_the_newest_are_known() -> None:
    tokens: Tokens[int] = Tokens()
    issued = [tokens.issue(number) for number in range(MOST_TOKENS + 1)]

    assert tokens.start(issued[-1]) == MOST_TOKENS
    with pytest.raises(BadQuery, match="nextToken: is not known"):
        tokens.start(issued[0])
    assert json.loads(json.dumps(issued[-1])) == issued[-1]
