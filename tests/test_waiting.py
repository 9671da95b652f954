"""Batches that wait: whatever is done to them, how many and how old they are is known without a look."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from togai_shipper._engine.batching import Batch
from togai_shipper._engine.waiting import Aside, Waiting

TIMES = st.sampled_from([1.0, 2.0, 3.0, 4.0])
KINDS = ["append", "appendleft", "extend", "popleft", "pop", "remove", "clear"]
STEPS = st.lists(st.tuples(st.sampled_from(KINDS), TIMES), max_size=30)


def batch(since: float, not_before: float = 0.0, why: str = "") -> Batch:
    return Batch([b"{}"], 0, since, not_before=not_before, why_aside=why)


@given(STEPS)
def test_a_line_knows_its_oldest_batch_whatever_came_and_went(steps: list[tuple[str, float]]) -> None:
    waiting = Waiting()
    for step, since in steps:
        if step == "append":
            waiting.append(batch(since))
        elif step == "appendleft":
            waiting.appendleft(batch(since))
        elif step == "extend":
            waiting.extend([batch(since), batch(since)])
        elif step == "clear":
            waiting.clear()
        elif waiting and step == "popleft":
            waiting.popleft()
        elif waiting and step == "pop":
            waiting.pop()
        elif waiting:
            waiting.remove(waiting[len(waiting) // 2])

        assert waiting.ages.oldest() == min((each.since for each in waiting), default=None)


@given(st.lists(st.tuples(TIMES, TIMES, st.sampled_from(["", "why", "another"])), max_size=20), TIMES)
def test_what_is_set_aside_comes_back_at_its_time_the_first_one_first(
    given: list[tuple[float, float, str]], now: float
) -> None:
    aside = Aside()
    batches = [batch(*each) for each in given]
    for each in batches:
        aside.add(each)

    back = list(iter(lambda: aside.pop(now), None))

    assert back == sorted((each for each in batches if each.not_before <= now), key=lambda b: b.not_before)
    left = [each for each in batches if each.not_before > now]
    assert sorted(map(id, aside)) == sorted(map(id, left))
    assert len(aside) == len(left)
    assert aside.ages.oldest() == min((each.since for each in left), default=None)
    assert aside.next_at == min((each.not_before for each in left), default=None)
    explained = [each.why_aside for each in left if each.why_aside]
    assert aside.explained == (len(explained), explained[0] if explained else "")


def test_one_that_is_never_tried_again_waits_until_all_are_asked_for() -> None:
    aside = Aside()
    never = batch(1.0, math.inf)
    aside.add(never)

    assert aside.pop(1e9) is None
    assert aside.pop() is never


def test_after_all_is_taken_back_nothing_is_set_aside() -> None:
    aside = Aside()
    aside.add(batch(1.0, 5.0, "why"))
    aside.clear()

    assert (len(aside), aside.next_at, aside.ages.oldest(), aside.explained) == (0, None, None, (0, ""))
