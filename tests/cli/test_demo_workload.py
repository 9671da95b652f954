"""The simulated web workload."""

from __future__ import annotations

import threading
from collections import Counter
from typing import Any

import pytest

from togai_shipper import Shipper
from togai_shipper.cli.demo.workload import (
    ACCOUNTS,
    POISON,
    THREADS,
    SimulatedUsage,
    Workload,
    is_poison,
    usages,
)
from togai_shipper.testing import FakeTogai


class Tracked:
    """Takes what is tracked, as a ``Shipper`` does."""

    def __init__(self) -> None:
        self.usages: list[SimulatedUsage] = []

    def __call__(self, *usage: Any) -> str | None:
        self.usages.append(SimulatedUsage(*usage))
        return f"id-{len(self.usages)}"


def texts(tracked: Tracked) -> list[str]:
    return sorted(map(str, tracked.usages))


def test_a_seed_is_the_same_usage_each_time() -> None:
    assert list(usages(7, 0, 200)) == list(usages(7, 0, 200))


def test_another_seed_or_another_thread_is_other_usage() -> None:
    assert list(usages(7, 0, 200)) != list(usages(8, 0, 200))
    assert list(usages(7, 0, 200)) != list(usages(7, 1, 200))


def test_several_dozens_of_accounts_use_three_things() -> None:
    usage = list(usages(7, 0, 2_000))

    assert len({each.account_id for each in usage}) == len(ACCOUNTS) == 48
    kinds = Counter(each.schema_name for each in usage)
    assert [kind for kind, _ in kinds.most_common()] == ["api_call", "llm_tokens", "storage"]


def test_the_library_finds_all_of_it_valid() -> None:
    checker = Shipper(enabled=False, strict=True)

    for usage in [*usages(7, 0, 2_000), POISON]:
        assert checker.track(usage.schema_name, usage.account_id, usage.attributes, usage.dimensions)


@pytest.mark.parametrize("events", [1, THREADS - 1, 1_000])
def test_all_events_are_tracked_and_their_ids_kept(events: int) -> None:
    tracked = Tracked()
    workload = Workload(tracked, seed=1, events=events, rate=1_000_000)

    workload.run()

    assert workload.calls == len(workload.ids) == len(tracked.usages) == events


def test_which_events_are_tracked_does_not_depend_on_the_threads() -> None:
    first, second = Tracked(), Tracked()

    Workload(first, seed=1, events=500).run()
    Workload(second, seed=1, events=500).run()

    assert texts(first) == texts(second)


@pytest.mark.parametrize("events", [1, 500])
def test_one_of_them_is_poison_where_asked_for(events: int) -> None:
    tracked = Tracked()

    Workload(tracked, seed=1, events=events, poison=True).run()

    assert tracked.usages.count(POISON) == 1
    assert len(tracked.usages) == events


def test_the_poison_is_known_on_the_wire() -> None:
    with FakeTogai("secret") as togai, Shipper("secret", base_url=togai.url) as shipper:
        Workload(shipper.track, seed=1, events=50, poison=True).run()
        assert shipper.flush(10)

        taken = [record.event for record in togai.ledger.records]
        assert sum(map(is_poison, taken)) == 1


def test_what_is_not_accepted_has_no_id() -> None:
    workload = Workload(lambda *_: None, seed=1, events=20)

    workload.run()

    assert workload.ids == [None] * 20


def test_stopped_it_tracks_no_more() -> None:
    workload: Workload
    first = threading.Event()

    def track(*_usage: Any) -> str:
        if not first.is_set():
            first.set()
            workload.stop()
        return "id"

    workload = Workload(track, seed=1, events=1_000_000)
    workload.run()

    assert 0 < workload.calls < 1_000_000


def test_what_track_raises_ends_the_run() -> None:
    def track(*_usage: Any) -> str:
        raise RuntimeError("strict")

    with pytest.raises(RuntimeError, match="strict"):
        Workload(track, seed=1, events=20).run()
