"""``relay.hold``: what may be let go, and what has to be handed over again."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from producing import FIRST, SECOND

from togai_shipper.relay.entries import fields_of
from togai_shipper.relay.hold import Hold, Parcel


def parcel(count: int = 3) -> Parcel:
    return Parcel(fields_of([b'{"id":"x"}'] * count, b"k" * 16, 1), count)


def test_the_same_server_proves_what_is_old_enough_and_nothing_else() -> None:
    hold = Hold(10)
    hold.put(parcel(), FIRST, 100)
    hold.put(parcel(4), FIRST, 101)

    assert hold.judge(FIRST, 109.9) == 0
    assert hold.events == 7
    assert hold.judge(FIRST, 110) == 0
    assert (hold.events, hold.due_at) == (4, 111)
    assert hold.judge(None, 200) == 0
    assert hold.events == 4


def test_another_server_has_to_be_given_all_again_but_not_by_an_older_answer() -> None:
    hold = Hold(10)
    first, second = parcel(), parcel(4)
    hold.put(first, FIRST, 100)
    hold.put(second, SECOND, 105)

    assert hold.judge(FIRST, 104) == 0, "the answer is older than what the second server took"
    assert hold.judge(SECOND, 106) == 3
    assert (hold.owed, hold.events, hold.take_owed()) == (3, 7, first)
    hold.put_back(first)
    assert hold.take_owed() is first
    assert (hold.owed, hold.take_owed()) == (3, None)
    hold.put(first, SECOND, 107)
    hold.settle_owed(first)
    assert (hold.owed, hold.events, hold.repeated) == (0, 7, 3)


def test_an_answer_that_was_asked_for_before_a_batch_went_says_nothing_of_it() -> None:
    hold = Hold(10)
    hold.put(parcel(), SECOND, 105)

    assert hold.judge(FIRST, 104) == 0
    assert (hold.events, hold.owed) == (3, 0)
    assert hold.judge(FIRST, 106) == 3, "it was asked after that: the second one is gone again"


def test_what_has_no_room_leaves_early_and_is_counted_and_what_is_owed_stays() -> None:
    size = parcel().size
    hold = Hold(10, 2 * size)
    hold.put(parcel(), FIRST, 100)
    hold.judge(SECOND, 101)
    for at in range(102, 105):
        hold.put(parcel(), SECOND, at)

    assert (hold.events, hold.left_early, hold.owed) == (6, 6, 3)


@given(st.lists(st.tuples(st.sampled_from("pjr"), st.booleans(), st.floats(0, 5)), max_size=60))
def test_each_event_is_proven_held_or_owed_and_none_is_proven_by_age_alone(
    story: list[tuple[str, bool, float]],
) -> None:
    hold, now, put, by = Hold(10), 0.0, 0, FIRST
    last_proof: dict[object, float] = {}
    for act, is_second, seconds in story:
        now += seconds
        by = SECOND if is_second else FIRST
        if act == "p":
            hold.put(parcel(1), by, now)
            put += 1
        elif act == "j":
            hold.judge(by, now)
            last_proof[by] = now
        elif (owed := hold.take_owed()) is not None:
            hold.put(owed, by, now)
            hold.settle_owed(owed)
        assert hold.owed <= hold.events <= put
        if not last_proof:
            assert hold.events == put
