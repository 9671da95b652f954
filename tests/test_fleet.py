"""Workers that share one account's quota, in virtual time: the real pipeline, with its threads."""

from __future__ import annotations

from benchmarks.fleet import Fleet, simulate

FRUGAL = Fleet(workers=20, rate=2000, seconds=20, options={"flush_interval": 1.0})
GREEDY = Fleet(workers=20, rate=1000, seconds=60, options={"flush_interval": 0.2})  # 100 requests a second


def test_workers_that_ask_for_less_than_the_quota_are_never_refused() -> None:
    found = simulate(FRUGAL)

    assert (found.lost, found.twice, found.refused, found.silent) == (0, 0, 0, 0)
    assert found.throttled == 0.0
    assert found.delays[-1] < 1.5


def test_workers_that_ask_for_twice_the_quota_lose_nothing_and_share_it() -> None:
    found = simulate(GREEDY)

    assert (found.lost, found.twice, found.refused, found.silent) == (0, 0, 0, 0)
    assert found.throttled > 0.0
    assert found.busiest_second <= 100  # what a rest had saved, and a second's worth
    assert found.medians[-1] < 2.0
    assert found.longest[-1] < 8.0  # nobody is starved; with pauses alone it would be 13 s
    assert found.throttled_at_last < 10.0


def test_workers_that_are_told_how_long_to_wait_share_the_quota_too() -> None:
    found = simulate(Fleet(workers=20, rate=1000, seconds=20, options=GREEDY.options, retry_after=1.0))

    assert (found.lost, found.twice, found.refused, found.silent) == (0, 0, 0, 0)
    assert found.longest[-1] < 6.0


def test_workers_that_hand_over_to_a_relay_are_never_refused_and_lose_nothing() -> None:
    found = simulate(Fleet(workers=20, rate=1000, seconds=20, options=GREEDY.options, relay=True))

    assert (found.lost, found.twice, found.refused, found.silent) == (0, 0, 0, 0)
    assert found.throttled == 0.0
    assert found.busiest_second <= 50
    assert found.delays[-1] < 1.5


def test_a_run_depends_on_its_seed_alone() -> None:
    assert simulate(FRUGAL) == simulate(FRUGAL)
