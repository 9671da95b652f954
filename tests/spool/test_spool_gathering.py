"""What gathers before it is written, alone."""

from __future__ import annotations

from virtual import Clock

from togai_shipper.spool.gathering import ENOUGH, LINGER, OVERDUE, Gathering


def test_an_event_is_taken_back_unless_another_came_after_it() -> None:
    gathering = Gathering(Clock(), 10**9)
    first, second = b"first", b"second"
    gathering.add(first)
    gathering.add(second)

    assert not gathering.take_back(first)
    assert gathering.take_back(second)
    assert (len(gathering), gathering.size) == (1, len(first))
    assert gathering.take_back(first)
    assert not gathering.take_back(first)


def test_a_commit_is_due_a_moment_after_the_oldest_or_at_once_when_somebody_waits_or_it_is_full() -> None:
    clock = Clock()
    gathering = Gathering(clock, 10**9)
    assert gathering.add(b"event")
    clock.now += 0.001

    assert gathering.due_at(clock.now, is_closing=False) == clock.now - 0.001 + LINGER
    assert gathering.due_at(clock.now, is_closing=True) == clock.now
    assert gathering.hurry() == 1
    assert gathering.due_at(clock.now, is_closing=False) == clock.now
    gathering.end_commit(len(gathering.begin_commit()))
    for _ in range(ENOUGH):
        gathering.add(b"event")
    assert gathering.due_at(clock.now, is_closing=False) == clock.now


def test_all_that_has_gathered_while_a_slow_disk_wrote_goes_into_the_next_commit() -> None:
    gathering = Gathering(Clock(), 10**9)
    gathering.add(b"event")
    writing = gathering.begin_commit()
    for _ in range(3 * ENOUGH):
        gathering.add(b"event")
    gathering.end_commit(len(writing))

    assert gathering.is_a_commits_worth
    assert len(gathering.begin_commit()) == 3 * ENOUGH


def test_the_writer_is_woken_for_the_first_event_and_again_where_it_does_not_come() -> None:
    """Who tracked the first may have been interrupted by an exception before it had woken the writer."""
    clock = Clock()
    gathering = Gathering(clock, 10**9)

    assert gathering.add(b"event")
    assert not gathering.add(b"event")
    clock.now += OVERDUE
    assert gathering.add(b"event")
    assert not gathering.add(b"event")


def test_at_the_end_what_is_being_written_may_be_on_disk_and_the_rest_is_not() -> None:
    gathering = Gathering(Clock(), 10**9)
    gathering.add(b"being written")
    gathering.begin_commit()
    gathering.add(b"not yet")

    assert [(batch.events, batch.maybe_read) for batch in gathering.give_up()] == [
        ([b"being written"], True),
        ([b"not yet"], False),
    ]
    assert gathering.end_commit(1) is None
