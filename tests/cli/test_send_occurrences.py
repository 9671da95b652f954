"""How often a number has come before, counted in memory and in a file."""

from __future__ import annotations

from collections import Counter
from contextlib import closing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from togai_shipper.cli.send.counts_on_disk import CountsOnDisk
from togai_shipper.cli.send.occurrences import OccurrenceCounter

few = (
    st.integers(0, 12)
    | st.sampled_from([2**64 - 1, 2**63, 2**32])
    | st.integers(0, 12).map(lambda n: n << 60)
)


@pytest.mark.parametrize(("in_memory", "repeated"), [(1000, 1000), (1000, 0), (5, 2), (1, 1), (1, 0)])
@given(st.lists(few, max_size=60))
def test_it_counts_the_same_in_memory_and_on_disk(in_memory: int, repeated: int, numbers: list[int]) -> None:
    with closing(OccurrenceCounter(in_memory, repeated)) as counter:
        told = [counter.count(number or 1) for number in numbers]

    assert told == [
        [each or 1 for each in numbers[:at]].count(number or 1) for at, number in enumerate(numbers)
    ]


@pytest.mark.parametrize("words", [1, 2, 1 << 10])
@given(st.lists(st.lists(few, max_size=10), max_size=4))
def test_a_filter_that_is_too_small_for_its_numbers_hides_none(words: int, written: list[list[int]]) -> None:
    with closing(CountsOnDisk(words)) as counts:
        times: Counter[int] = Counter()
        for numbers in written:
            times.update(numbers)
            counts.write(numbers, times)

        assert {number: counts.times(number) for number in times} == times
        assert counts.times(2**64 - 3) == 0
