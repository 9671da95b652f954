"""Batches: what goes into one, how it is divided, and how the byte cap learns."""

from __future__ import annotations

import json
from itertools import accumulate, pairwise

import attrs
from hypothesis import given
from hypothesis import strategies as st
from strategies import batches

from togai_shipper._engine.batching import (
    ENVELOPE,
    MAX_DIVISIONS,
    MIN_LEARNT_BYTES,
    Batch,
    ByteCap,
    cut,
    due,
    halves,
    singles,
)

FULL = 500
MOST = 900_000


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
        assert (half.split, half.server_errors) == (split, 0)


@given(batches())
def test_singles_are_the_whole_with_its_history(batch: Batch) -> None:
    parts = singles(batch)

    assert [part.events for part in parts] == [(event,) for event in batch.events]
    assert [part.position for part in parts] == [batch.position + n for n in range(len(batch))]
    for part in parts:
        assert history(part) == history(batch)
        assert (part.single, part.probe, part.split, part.server_errors) == (True, False, 0, 0)


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


# --- the byte cap -------------------------------------------------------------------------------------------


def test_the_cap_falls_to_the_larger_half_when_both_are_taken() -> None:
    cap = ByteCap(MOST)

    cap.taken(sized(300_000, split=1), FULL)
    assert cap.bytes == MOST
    cap.taken(sized(400_000, split=1), FULL)
    assert cap.bytes == 400_000


def test_the_cap_does_not_depend_on_which_half_is_taken_first() -> None:
    cap = ByteCap(MOST)

    cap.taken(sized(400_000, split=1), FULL)
    cap.taken(sized(300_000, split=1), FULL)

    assert cap.bytes == 400_000


def test_the_cap_stays_where_one_half_is_not_taken() -> None:
    cap = ByteCap(MOST)

    cap.taken(sized(300_000, split=1), FULL)
    cap.not_taken(sized(400_000, split=1))
    cap.taken(sized(400_000, split=1), FULL)

    assert cap.bytes == MOST


def test_halves_of_different_batches_are_not_mistaken_for_each_other() -> None:
    cap = ByteCap(MOST)

    cap.taken(sized(300_000, split=1), FULL)
    cap.taken(sized(200_000, split=2), FULL)
    assert cap.bytes == MOST
    cap.taken(sized(250_000, split=2), FULL)
    assert cap.bytes == 250_000
    cap.taken(sized(400_000, split=1), FULL)
    assert cap.bytes == 250_000, "it never rises by halves"


def test_the_cap_never_falls_under_64_kib() -> None:
    cap = ByteCap(MOST)

    cap.taken(sized(100, split=1), FULL)
    cap.taken(sized(200, split=1), FULL)

    assert cap.bytes == MIN_LEARNT_BYTES == 65_536


def test_a_cap_that_is_less_than_64_kib_stays() -> None:
    cap = ByteCap(2000)

    cap.taken(sized(100, split=1), FULL)
    cap.taken(sized(200, split=1), FULL)

    assert cap.bytes == 2000


def test_the_cap_rises_by_a_tenth_with_each_full_batch_and_never_over_its_most() -> None:
    cap = ByteCap(MOST)
    cap.taken(sized(300_000, split=1), FULL)
    cap.taken(sized(400_000, split=1), FULL)

    cap.taken(sized(390_000), FULL)
    assert cap.bytes == 440_000, "full by bytes"
    cap.taken(sized(60_000, count=FULL), FULL)
    assert cap.bytes == 484_000, "full by count"
    for _ in range(20):
        cap.taken(sized(MOST), FULL)
    assert cap.bytes == MOST


def test_a_batch_that_was_not_full_says_nothing_about_the_cap() -> None:
    cap = ByteCap(MOST)
    cap.taken(sized(300_000, split=1), FULL)
    cap.taken(sized(400_000, split=1), FULL)

    cap.taken(sized(200_000, count=FULL - 1), FULL)
    cap.not_taken(sized(390_000))

    assert cap.bytes == 400_000


def test_of_divided_batches_not_more_than_a_few_are_remembered() -> None:
    cap = ByteCap(MOST)
    for split in range(1, MAX_DIVISIONS + 2):
        cap.taken(sized(300_000, split=split), FULL)

    cap.taken(sized(400_000, split=1), FULL)
    assert cap.bytes == MOST, "the oldest is forgotten"
    cap.taken(sized(400_000, split=MAX_DIVISIONS + 1), FULL)
    assert cap.bytes == 400_000, "the newest is known"


@given(
    st.integers(1024, MOST),
    st.lists(st.tuples(st.integers(100, MOST), st.integers(1, 4), st.integers(0, 3), st.booleans())),
)
def test_whatever_is_taken_the_cap_stays_within_its_bounds(
    most: int, ends: list[tuple[int, int, int, bool]]
) -> None:
    cap = ByteCap(most)

    for size, count, split, was_taken in ends:
        batch = sized(size, count, split)
        if was_taken:
            cap.taken(batch, batch_size=4)
        else:
            cap.not_taken(batch)
        assert min(MIN_LEARNT_BYTES, most) <= cap.bytes <= most
