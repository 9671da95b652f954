"""How many bytes a request may have, as it is learnt from refusals and from silence."""

from __future__ import annotations

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from togai_shipper._engine.batching import Batch
from togai_shipper._engine.byte_cap import LEAST, MAX_DIVISIONS, MAX_INTERVAL, ByteCap, Learnt
from togai_shipper._engine.verdict import Accepted, Park, Refused, Reply, TryLater, Verdict, judge

MOST = 900_000
TAKEN = Accepted()
IN_PART = judge(Reply(207, b"{}"))
NO = Refused(400, "no", duplicate=False, too_large=False)
PARKED = Park(403, "no", on_key=False)
BOOM = TryLater(500, "boom")
UNSENT = TryLater(None, "refused", maybe_read=False)

TOO_LARGE = [
    judge(Reply(413, b'{"message": "too large"}')),
    judge(Reply(422, b"{}")),
    judge(Reply(413, b"<html>")),
]
LATE = [TryLater(None, "no reply"), judge(Reply(408)), judge(Reply(504))]


def sized(size: int, count: int = 2, fills: int = 0, split: int = 0) -> Batch:
    """A batch whose body has ``size`` bytes."""
    batch = Batch([b"x"] * count, position=0, since=0.0, fills=fills, split=split)
    return attrs.evolve(batch, events=[b"x" * (1 + size - batch.size), *batch.events[1:]])


def learnt(size: int) -> ByteCap:
    """A cap that has learnt so many bytes from two halves."""
    cap = ByteCap(MOST)
    for part in (size - 10, size):
        cap.learn(sized(part, split=1), TAKEN)
    assert cap.bytes == size
    return cap


def send(cap: ByteCap, most: int, verdict: Verdict) -> int:
    """Send a full request to somebody who takes ``most`` bytes, else gives ``verdict``; return its bytes."""
    full = sized(cap.limit, fills=cap.limit)
    cap.note_cut(full)
    settle(cap, full, most, verdict)
    return full.size


def settle(cap: ByteCap, batch: Batch, most: int, verdict: Verdict) -> None:
    """Let a batch be taken if it has at most so many bytes; if it is refused, let its halves."""
    if batch.size <= most:
        cap.learn(batch, TAKEN)
        return
    split = cap.division(batch)
    cap.learn(batch, verdict)
    if verdict in TOO_LARGE:
        for _ in range(2):
            settle(cap, sized(batch.size // 2, split=split), most, verdict)


# --- refused ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sizes", [(300_000, 400_000), (400_000, 300_000)])
def test_the_cap_falls_to_the_larger_half_when_both_are_taken(sizes: tuple[int, int]) -> None:
    cap = ByteCap(MOST)

    cap.learn(sized(sizes[0], split=1), TAKEN)
    assert cap.bytes == MOST
    cap.learn(sized(sizes[1], split=1), TAKEN)
    assert cap.bytes == 400_000


@pytest.mark.parametrize("verdict", [*TOO_LARGE, NO, IN_PART, PARKED], ids=str)
def test_the_cap_stays_where_one_half_is_not_taken(verdict: Verdict) -> None:
    cap = ByteCap(MOST)

    cap.learn(sized(300_000, split=1), TAKEN)
    cap.learn(sized(400_000, split=1), verdict)
    cap.learn(sized(400_000, split=1), TAKEN)

    assert cap.bytes == MOST


@pytest.mark.parametrize("verdict", [BOOM, UNSENT, LATE[0]], ids=str)
def test_a_half_that_is_taken_later_is_taken(verdict: Verdict) -> None:
    cap = ByteCap(MOST)

    cap.learn(sized(300_000, split=1), TAKEN)
    cap.learn(sized(400_000, split=1), verdict)
    cap.learn(sized(400_000, split=1), TAKEN)

    assert cap.bytes == 400_000


def test_halves_of_different_batches_are_not_mistaken_for_each_other() -> None:
    cap = ByteCap(MOST)

    cap.learn(sized(300_000, split=1), TAKEN)
    cap.learn(sized(200_000, split=2), TAKEN)
    assert cap.bytes == MOST
    cap.learn(sized(250_000, split=2), TAKEN)
    assert cap.bytes == 250_000


def test_of_divided_batches_not_more_than_a_few_are_remembered() -> None:
    cap = ByteCap(MOST)
    for split in range(1, MAX_DIVISIONS + 2):
        cap.learn(sized(300_000, split=split), TAKEN)

    cap.learn(sized(400_000, split=1), TAKEN)
    assert cap.bytes == MOST, "the oldest is forgotten"
    cap.learn(sized(400_000, split=MAX_DIVISIONS + 1), TAKEN)
    assert cap.bytes == 400_000, "the newest is known"


def test_each_division_has_its_name_but_for_those_that_teach_nothing() -> None:
    cap = learnt(40_000)

    names = [cap.division(sized(size)) for size in (40_000, 30_000, 40_001)]

    assert names == [1, 2, 0]


def test_longer_requests_that_are_taken_nevertheless_raise_the_cap() -> None:
    cap = learnt(40_000)

    cap.learn(sized(70_000, split=9), TAKEN)

    assert cap.bytes == 70_000


def test_the_cap_never_falls_under_a_kilobyte_nor_under_what_was_asked_for() -> None:
    cap, small = ByteCap(MOST), ByteCap(900)
    for each in (cap, small):
        each.learn(sized(100, split=1), TAKEN)
        each.learn(sized(200, split=1), TAKEN)

    assert (cap.bytes, small.bytes) == (LEAST, 900) == (1024, 900)


# --- found again ------------------------------------------------------------------------------------------


def test_a_limit_that_is_lifted_is_found_within_ten_full_requests() -> None:
    cap = learnt(1024)

    sizes = [send(cap, MOST, TOO_LARGE[0]) for _ in range(11)]

    assert sizes == [2048 * 2**n for n in range(9)] + [MOST, MOST]
    assert cap.bytes == MOST


@pytest.mark.parametrize("verdict", [*TOO_LARGE, *LATE], ids=str)
def test_a_limit_that_stays_is_tried_less_and_less_often_and_found_when_it_is_lifted(
    verdict: Verdict,
) -> None:
    cap = ByteCap(MOST)
    for _ in range(20):
        send(cap, 40_000, verdict)

    sizes = [send(cap, 40_000, verdict) for _ in range(1000)]
    in_vain = [number for number, size in enumerate(sizes) if size > 40_000]
    assert 20_000 < cap.bytes <= 40_000
    assert len(in_vain) <= 1000 / MAX_INTERVAL + 6

    for _ in range(MAX_INTERVAL + 10):
        send(cap, MOST, verdict)
    assert cap.bytes == MOST


def test_while_one_request_of_twice_the_size_is_under_way_no_other_goes() -> None:
    cap = learnt(40_000)

    assert cap.limit == 80_000
    cap.note_cut(sized(80_000, fills=80_000))
    assert cap.limit == 40_000


def test_halves_as_long_as_what_is_known_to_fit_change_nothing() -> None:
    cap = learnt(40_000)

    for _ in range(2):
        cap.learn(sized(40_000, split=2), TAKEN)

    assert cap.bytes == 40_000


def test_a_request_that_was_not_full_says_nothing_about_the_cap() -> None:
    cap = learnt(40_000)
    cap.note_cut(sized(80_000))

    for _ in range(99):
        cap.learn(sized(30_000), TAKEN)

    assert cap.limit == 40_000


# --- silence ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("verdict", LATE, ids=str)
def test_where_long_requests_get_no_reply_half_as_long_ones_are_tried_until_one_is_taken(
    verdict: Verdict,
) -> None:
    cap = ByteCap(MOST)

    sizes = [send(cap, 60_000, verdict) for _ in range(6)]

    assert sizes == [900_000, 450_000, 225_000, 112_500, 56_250, 112_500]
    assert cap.bytes == 56_250


def test_a_request_that_was_taken_in_part_got_through_as_well() -> None:
    cap = ByteCap(MOST)
    cap.learn(sized(800_000), LATE[0])

    cap.learn(sized(400_000), IN_PART)

    assert cap.bytes == 400_000


@pytest.mark.parametrize("verdict", [BOOM, UNSENT, PARKED, NO], ids=str)
def test_what_says_nothing_about_the_size_changes_nothing(verdict: Verdict) -> None:
    cap = ByteCap(MOST)

    cap.learn(sized(800_000), verdict)

    assert (cap.limit, cap.bytes) == (MOST, MOST)


@pytest.mark.parametrize("last", [sized(LEAST), sized(700, count=1)], ids=["the least", "one event"])
def test_where_not_even_the_shortest_gets_a_reply_all_is_as_before(last: Batch) -> None:
    cap = ByteCap(MOST)
    for size in (800_000, 400_000, 2_000):
        cap.learn(sized(size), LATE[0])
    assert cap.limit == LEAST

    cap.learn(last, LATE[0])

    assert (cap.limit, cap.bytes) == (MOST, MOST)


def test_one_event_that_goes_by_itself_does_not_end_the_trial() -> None:
    cap = ByteCap(MOST)
    cap.learn(sized(800_000), LATE[0])

    cap.learn(attrs.evolve(sized(700, count=1), single=True), LATE[0])

    assert cap.limit == 400_000


def test_one_that_is_longer_than_the_trial_and_taken_ends_it() -> None:
    cap = ByteCap(MOST)
    cap.learn(sized(800_000), LATE[0])

    cap.learn(sized(700_000), TAKEN)

    assert (cap.limit, cap.bytes) == (MOST, MOST)


# --- told -------------------------------------------------------------------------------------------------


def test_a_refusal_is_told_when_requests_become_shorter_and_once() -> None:
    cap = ByteCap(MOST)
    told = []
    for _ in range(3):
        full = sized(60_000)
        split = cap.division(full)
        told += [cap.learn(full, TOO_LARGE[2])]
        told += [cap.learn(sized(30_000, split=split), TAKEN) for _ in range(2)]

    said = "HTTP 413, a page that is not Togai's"
    assert [each for each in told if each] == [Learnt(60_000, 30_000, is_refused=True, refusal=said)]


def test_silence_is_told_once_longer_requests_fail_while_shorter_ones_are_taken() -> None:
    cap = ByteCap(MOST)

    assert cap.learn(sized(800_000), LATE[0]) is None
    assert cap.learn(sized(400_000), TAKEN) is None, "it may have been an outage"
    assert cap.learn(sized(800_000), LATE[0]) == Learnt(800_000, 400_000, is_refused=False)
    assert cap.learn(sized(800_000), LATE[0]) is None


def test_once_all_was_well_it_is_told_anew() -> None:
    cap = learnt(400_000)
    cap.learn(sized(MOST), TAKEN)

    for _ in range(2):
        last = cap.learn(sized(400_000, split=3), TAKEN)

    assert last == Learnt(0, 400_000, is_refused=True)


# --- whatever happens -------------------------------------------------------------------------------------

verdicts = st.sampled_from([TAKEN, TAKEN, TAKEN, IN_PART, NO, PARKED, BOOM, UNSENT, *TOO_LARGE, *LATE])
ends = st.tuples(
    st.integers(100, MOST), st.integers(1, 4), st.sampled_from((0, 2000, MOST)), st.integers(0, 3), verdicts
)


@given(st.integers(1024, MOST), st.lists(ends))
def test_whatever_happens_the_cap_stays_within_its_bounds_and_comes_back(
    most: int, happened: list[tuple[int, int, int, int, Verdict]]
) -> None:
    cap = ByteCap(most)

    for size, count, fills, split, verdict in happened:
        cap.learn(sized(min(size, most), count, min(fills, most), split), verdict)
        assert min(LEAST, most) <= cap.bytes <= most
        assert min(LEAST, most) <= cap.limit <= min(most, 2 * cap.bytes)

    for _ in range(MAX_INTERVAL + 11):
        send(cap, most, TAKEN)
    assert cap.bytes == cap.limit == most


@given(st.integers(2_000, MOST), st.sampled_from([*TOO_LARGE, *LATE]))
def test_whatever_the_limit_is_the_cap_is_soon_within_half_of_it(limit: int, verdict: Verdict) -> None:
    cap = ByteCap(MOST)

    for _ in range(20):
        send(cap, limit, verdict)

    assert min(limit, MOST) // 2 <= cap.bytes <= limit
