"""Batches: what goes into one, how it is divided, and cut anew."""

from __future__ import annotations

import json
from itertools import accumulate, pairwise
from typing import Any
from unittest.mock import ANY

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import batches

from togai_shipper._engine.batching import (
    ALIKE,
    ENVELOPE,
    Batch,
    cut,
    due,
    halves,
    recut,
    singles,
)


def sized(size: int, count: int = 1, split: int = 0) -> Batch:
    """A batch whose body has ``size`` bytes."""
    batch = Batch([b"x"] * count, position=0, since=0.0, split=split)
    return attrs.evolve(batch, events=[b"x" * (1 + size - batch.size), *batch.events[1:]])


# --- one batch ----------------------------------------------------------------------------------------------


@given(batches())
def test_a_body_is_what_togai_documents_and_as_long_as_it_was_reckoned(batch: Batch) -> None:
    events = [json.loads(event) for event in batch.events]

    if batch.single:
        assert batch.path == "/ingest"
        assert json.loads(batch.body()) == {"event": events[0]}
    else:
        assert batch.path == "/ingestBatch"
        assert json.loads(batch.body()) == {"events": events}
    assert batch.size == len(batch.body())
    assert len(batch) == len(events)


def test_batches_are_told_apart_by_identity() -> None:
    assert sized(100) != sized(100)
    assert len({sized(100), sized(100)}) == 2


# --- cutting ------------------------------------------------------------------------------------------------


@given(st.lists(st.integers(0, 300)), st.integers(1, 10), st.integers(1, 1000))
def test_batches_cut_one_after_the_other_are_the_input_and_keep_both_limits(
    sizes: list[int], max_events: int, max_bytes: int
) -> None:
    left = list(sizes)
    cuts = []
    while left:
        count = cut(left, max_events, max_bytes)
        assert count >= 1
        cuts.append(left[:count])
        left = left[count:]

    assert [size for batch in cuts for size in batch] == sizes
    for batch in cuts:
        body = Batch([b"x" * size for size in batch], 0, 0.0).body()
        assert len(batch) <= max_events
        assert len(body) <= max_bytes or len(batch) == 1
    for batch, following in pairwise(cuts):
        one_more = Batch([b"x" * size for size in [*batch, following[0]]], 0, 0.0)
        assert len(one_more) > max_events or one_more.size > max_bytes, "it was full"


def test_a_cut_fits_to_the_byte() -> None:
    fits = ENVELOPE + 10 + 1 + 10

    assert cut([10, 10, 10], 500, fits) == 2
    assert cut([10, 10, 10], 500, fits - 1) == 1


def test_of_nothing_nothing_is_cut() -> None:
    assert cut([], 500, 1000) == 0


def test_a_batch_is_due_when_it_is_old_or_full_or_in_a_hurry() -> None:
    assert due(0.0, 5.0, full=False, flushed=False) == 5.0
    assert due(2.0, 5.0, full=False, flushed=False) == 3.0
    assert due(5.0, 5.0, full=False, flushed=False) == 0.0
    assert due(9.0, 5.0, full=False, flushed=False) == 0.0
    assert due(0.0, 5.0, full=True, flushed=False) == 0.0
    assert due(0.0, 5.0, full=False, flushed=True) == 0.0


# --- dividing -----------------------------------------------------------------------------------------------

HISTORY = ("since", "attempts", "maybe_read", "not_before", "refusals", "refused_at")


def history(batch: Batch) -> tuple[object, ...]:
    return tuple(getattr(batch, name) for name in HISTORY)


@given(batches(low=2), st.integers(0, 9))
def test_halves_are_the_whole_with_its_history(batch: Batch, split: int) -> None:
    first, second = halves(batch, split)

    assert [*first.events, *second.events] == batch.events
    assert 0 <= len(second) - len(first) <= 1
    assert (first.position, second.position) == (batch.position, batch.position + len(first))
    for half in (first, second):
        assert history(half) == history(batch)
        assert (half.split, half.server_errors, half.divided, half.fills) == (split, 0, True, 0)


@given(batches())
def test_singles_are_the_whole_with_its_history(batch: Batch) -> None:
    parts = singles(batch)

    assert [part.events for part in parts] == [(event,) for event in batch.events]
    assert [part.position for part in parts] == [batch.position + n for n in range(len(batch))]
    for part in parts:
        assert history(part) == history(batch)
        assert (part.single, part.probe, part.split, part.server_errors) == (True, False, 0, 0)
        assert (part.divided, part.fills) == (True, 0)


def test_of_a_batch_the_first_events_alone_may_become_singles() -> None:
    batch = Batch([b"1", b"2", b"3"], 10, 0.0)

    (first,) = singles(batch, batch.events[:1])

    assert (first.events, first.position) == ((b"1",), 10)


@given(batches(low=2, high=40))
def test_halving_on_ends_with_each_event_alone(batch: Batch) -> None:
    alone = []
    line = [batch]
    while line:
        first = line.pop(0)
        if len(first) > 1:
            line[:0] = halves(first)
        else:
            alone.append(first)

    assert [event for part in alone for event in part.events] == batch.events
    assert [part.position for part in alone] == list(accumulate(map(len, alone[:-1]), initial=batch.position))


# --- cutting anew what was tried --------------------------------------------------------------------------


def parts(*counts: int, **facts: Any) -> list[Batch]:
    """Batches that follow each other, of so many events of 10 bytes."""
    ends = list(accumulate(counts, initial=0))
    return [Batch([b"%010d" % n for n in range(*pair)], pair[0], 5.0, **facts) for pair in pairwise(ends)]


@given(
    st.lists(batches(event_id=lambda n: f"id-{n}"), min_size=1, max_size=5),
    st.integers(1, 9),
    st.integers(1, 2000),
)
def test_what_is_cut_anew_are_the_same_events_in_the_same_places(
    line: list[Batch], max_events: int, max_bytes: int
) -> None:
    used, head, rest = recut(line, max_events, max_bytes)

    left = [*head.events, *(rest.events if rest else ())]
    assert [id(event) for event in left] == [id(event) for batch in line[:used] for event in batch.events]
    assert 1 <= len(head) <= max_events
    assert head.size <= max_bytes or len(head) == 1
    assert head.position == line[0].position
    assert rest is None or rest.position == head.position + len(head)
    for part in (head, rest) if rest else (head,):
        assert part.maybe_read == line[0].maybe_read
        assert part.since == min(batch.since for batch in line[:used])
        assert part.attempts == max(batch.attempts for batch in line[:used])
        assert part.divided == line[0].divided
        assert part.divided <= (used == 1)


def test_a_batch_is_cut_shorter_and_says_what_it_was_cut_for() -> None:
    used, head, rest = recut(parts(5), 500, ENVELOPE + 32)

    assert (used, len(head), head.fills) == (1, 3, ENVELOPE + 32)
    assert rest is not None
    assert (len(rest), rest.fills) == (2, 0)


def test_parts_that_follow_each_other_are_one_batch_again() -> None:
    used, head, rest = recut(parts(1, 1, 2, 4, 9), 8, 10_000)

    assert (used, len(head), head.fills, rest) == (4, 8, 0, None)


def test_of_parts_that_are_joined_no_more_is_taken_than_fits() -> None:
    used, head, rest = recut(parts(3, 3, 3), 5, 10_000)

    assert (used, len(head), head.fills) == (2, 5, 0)
    assert rest is not None
    assert (len(rest), rest.position) == (1, 5)


@pytest.mark.parametrize(
    "second",
    [
        {"divided": True},
        {"maybe_read": True},
        {"since": 5.0 + ALIKE + 1},
        {"position": 4},
    ],
    ids=str,
)
def test_what_has_another_history_or_place_is_not_joined(second: dict[str, Any]) -> None:
    first, other = parts(3, 3)

    assert recut([first, attrs.evolve(other, **second)], 500, 10_000)[:2] == (1, ANY)
    assert recut([attrs.evolve(first, divided=True), other], 500, 10_000)[0] == 1
    assert recut([first, other], 500, 10_000)[0] == 2


def test_half_of_a_batch_that_is_cut_anew_is_a_half_no_more() -> None:
    (half,) = parts(4, divided=True, split=7)

    assert recut([half], 500, 10_000)[1].split == 7
    _, head, rest = recut([half], 500, ENVELOPE + 21)
    assert rest is not None
    assert (head.split, rest.split, head.divided, rest.divided) == (0, 0, True, True)
