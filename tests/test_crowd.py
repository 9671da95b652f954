"""A few threads are at work with requests at once, whoever hangs; the others wait for their turn."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from togai_shipper import Shipper
from togai_shipper._process.crowd import MOST, STUCK, Crowd
from togai_shipper.testing import FakeTogai, faults

Ship = Callable[..., Shipper]


class Workers:
    """Threads that are at work until they are let go; each may be away for the network meanwhile."""

    def __init__(self, crowd: Crowd) -> None:
        self._crowd = crowd
        self.begun = threading.Semaphore(0)
        self.goes_away, self.comes_back, self.ends = (threading.Event() for _ in range(3))
        self._threads: list[threading.Thread] = []

    def start(self, count: int, patience: float = 60.0, *, goes_away: bool = False) -> None:
        work = self._work_away if goes_away else self._work
        for _ in range(count):
            self._threads.append(threading.Thread(target=work, args=(patience,)))
            self._threads[-1].start()

    def _work(self, patience: float) -> None:
        with self._crowd.at_work(patience), self._crowd.at_work(patience):
            self.begun.release()
            assert self.ends.wait(60)

    def _work_away(self, patience: float) -> None:
        with self._crowd.at_work(patience):
            self.begun.release()
            assert self.goes_away.wait(60)
            with self._crowd.away():
                assert self.comes_back.wait(60)
            assert self.ends.wait(60)

    def end(self) -> None:
        for event in (self.goes_away, self.comes_back, self.ends):
            event.set()
        for thread in self._threads:
            thread.join()

    def have_begun(self, count: int) -> bool:
        return all(self.begun.acquire(timeout=30) for _ in range(count))


@pytest.fixture
def workers() -> Workers:
    return Workers(Crowd(2))


def test_as_many_as_there_may_be_begin_and_each_that_ends_lets_another_begin(workers: Workers) -> None:
    workers.start(5)
    assert workers.have_begun(2)
    assert not workers.begun.acquire(blocking=False)
    workers.end()

    assert workers.have_begun(3)


def test_one_that_waits_for_the_network_lets_another_begin_and_waits_for_nobody_when_it_is_back(
    workers: Workers,
) -> None:
    workers.start(2, goes_away=True)
    assert workers.have_begun(2)
    workers.start(2)
    workers.goes_away.set()
    assert workers.have_begun(2)
    workers.comes_back.set()

    workers.end()


def test_who_has_waited_for_too_long_begins_all_the_same(workers: Workers) -> None:
    workers.start(2)
    assert workers.have_begun(2)
    workers.start(1, patience=0.01)

    assert workers.have_begun(1)
    workers.end()


def test_where_all_who_are_at_work_hang_one_more_begins_and_makes_room_for_the_next() -> None:
    crowd = Crowd(2, stuck=0.01)
    hanging, others = Workers(crowd), Workers(crowd)
    hanging.start(2)
    assert hanging.have_begun(2)
    others.ends.set()
    others.start(3)

    assert others.have_begun(3)
    others.end()
    hanging.end()
    last = Workers(crowd)
    last.start(2)
    assert last.have_begun(2)
    last.end()


def test_who_is_not_at_work_may_wait_for_the_network(workers: Workers) -> None:
    with Crowd(1).away():
        pass


def test_servers_that_hang_keep_no_other_shipper_from_its_own(togai: FakeTogai, ship: Ship) -> None:
    with FakeTogai(api_key="secret") as silent:
        silent.on_request = lambda received: faults.Hang()
        hanging = [ship(base_url=silent.url) for _ in range(MOST + 1)]
        for each in hanging:
            each.track("api_call", "acme")
        assert silent.wait(lambda: len(silent.requests) == len(hanging))
        shipper = ship()
        shipper.track("api_call", "acme")

        assert shipper.flush(STUCK - 1)
        for each in hanging:
            each.close(0)
