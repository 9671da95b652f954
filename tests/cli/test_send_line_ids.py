"""Ids for lines that give none."""

from __future__ import annotations

import uuid
from collections import Counter
from contextlib import closing

from hypothesis import given
from hypothesis import strategies as st

from togai_shipper.cli.send.line_ids import LINES_NAMESPACE, LineIds
from togai_shipper.cli.send.occurrences import OccurrenceCounter

lines = st.lists(
    st.sampled_from([b"a", b"b", b"c", b"a\0" + b"0", b""]) | st.binary(max_size=20), max_size=30
)
jobs = st.text(st.characters(exclude_characters="\0", codec="utf-8"), max_size=10)


def ids_of(job: str, given_lines: list[bytes]) -> list[str]:
    with closing(OccurrenceCounter(8, 2)) as counter:
        ids = LineIds(job, counter)
        return [ids.next(line) for line in given_lines]


@given(jobs, lines)
def test_a_job_that_is_run_again_gives_the_same_ids_and_each_line_its_own(
    job: str, given_lines: list[bytes]
) -> None:
    first, second = ids_of(job, given_lines), ids_of(job, given_lines)

    assert first == second
    assert len(set(first)) == len(first)


@given(jobs, lines, st.randoms())
def test_lines_may_change_places(job: str, given_lines: list[bytes], random: object) -> None:
    shuffled = list(given_lines)
    random.shuffle(shuffled)  # type: ignore[attr-defined]  # hypothesis's own, which it can shrink

    assert Counter(ids_of(job, shuffled)) == Counter(ids_of(job, given_lines))


@given(jobs, jobs, lines)
def test_another_job_gives_other_ids(one: str, other: str, given_lines: list[bytes]) -> None:
    if one != other:
        assert not set(ids_of(one, given_lines)) & set(ids_of(other, given_lines))


def test_the_id_is_a_uuid5_of_job_line_and_how_often_the_line_came_before() -> None:
    expected = [str(uuid.uuid5(LINES_NAMESPACE, f"job\0line\0{before}")) for before in range(3)]

    assert ids_of("job", [b"line"] * 3) == expected


def test_the_ids_are_frozen_for_ever() -> None:
    assert str(LINES_NAMESPACE) == "26b98369-b299-4663-9037-4c05197bfe26"
    assert ids_of("a.ndjson", [b"{}", b"{}"]) == [
        "065ea983-17c4-56b0-ad5a-ebc596aef9bd",
        "1d106430-5923-5f67-9491-27f58611a48b",
    ]


def test_jobs_of_one_run_do_not_count_each_other_s_lines() -> None:
    with closing(OccurrenceCounter()) as counter:
        a, b = LineIds("a", counter), LineIds("b", counter)

        assert (a.next(b"x"), b.next(b"x")) == (ids_of("a", [b"x"])[0], ids_of("b", [b"x"])[0])
