"""The bell: who waits is woken, what rings in between is not lost, and a ring may interrupt a ring."""

from __future__ import annotations

import queue
import threading
from typing import Any

import pytest

from togai_shipper._engine.bell import LONGEST, Bell

PATIENCE = 30.0  # seconds; bounds a failure, no test waits for it to pass


def waiter(bell: Bell, timeout: float | None = PATIENCE) -> threading.Thread:
    """A thread that waits for the bell by now."""
    thread = threading.Thread(target=bell.wait, args=(bell.rings, timeout), daemon=True)
    before = len(bell.waiting)
    thread.start()
    while len(bell.waiting) == before and thread.is_alive():
        pass
    return thread


def test_whoever_waits_is_woken() -> None:
    bell = Bell()
    threads = [waiter(bell), waiter(bell), waiter(bell, None)]

    bell.ring()

    for thread in threads:
        thread.join(PATIENCE)
        assert not thread.is_alive()
    assert not bell.waiting


def test_what_rang_before_the_wait_began_is_not_lost() -> None:
    bell = Bell()
    rings = bell.rings

    bell.ring()

    bell.wait(rings, None)  # returns, or this test hangs
    assert not bell.waiting


def test_a_ring_from_within_a_ring_is_not_taken_back() -> None:
    # As a signal handler may: whoever read the bell before either of them does not wait.
    bell = Bell()
    first = bell.rings
    bell.ring()
    second = bell.rings
    bell.ring()

    assert bell.rings not in (first, second)
    bell.wait(first, None)
    bell.wait(second, None)


@pytest.mark.parametrize("timeout", [0.0, -1.0, 0.001, -float("inf")])
def test_a_wait_ends_with_its_time(timeout: float) -> None:
    bell = Bell()

    bell.wait(bell.rings, timeout)

    assert not bell.waiting


@pytest.mark.parametrize("timeout", [LONGEST, 1e300, float("inf")])
def test_a_wait_may_be_longer_than_any_clock(timeout: float) -> None:
    bell = Bell()
    thread = waiter(bell, timeout)

    bell.ring()

    thread.join(PATIENCE)
    assert not thread.is_alive()


class Token:
    """A waiting thread's place, and what happens the moment it is woken."""

    def __init__(self, then: Any = lambda: None) -> None:
        self.woken = 0
        self._then = then

    def put(self, _: None) -> None:
        self.woken += 1
        self._then()


def test_another_ring_may_wake_the_last_one_first() -> None:
    bell = Bell()
    last = Token()
    bell.waiting.extend([Token(bell.ring), last])

    bell.ring()

    assert last.woken == 1
    assert not bell.waiting


def test_a_ring_wakes_those_who_wait_by_then_and_no_more() -> None:
    # One that waits again at once would else be woken for ever, by a ring in somebody's track().
    bell = Bell()
    again = Token()
    bell.waiting.append(Token(lambda: bell.waiting.append(again)))

    bell.ring()

    assert again.woken == 0
    assert list(bell.waiting) == [again]


def test_a_wait_that_is_interrupted_leaves_nothing_behind() -> None:
    bell = Bell()

    with pytest.raises(TypeError):
        bell.wait(bell.rings, "soon")

    assert not bell.waiting


def consume(bell: Bell, work: queue.SimpleQueue[int], done: list[int]) -> None:
    """Take from ``work`` until something negative comes, waiting for the bell wherever it is empty."""
    while True:
        rings = bell.rings
        try:
            item = work.get_nowait()
        except queue.Empty:
            bell.wait(rings, None)
            continue
        if item < 0:
            return
        done.append(item)


def produce(bell: Bell, work: queue.SimpleQueue[int], items: range) -> None:
    for item in items:
        work.put(item)
        bell.ring()


def join(*threads: threading.Thread) -> None:
    for thread in threads:
        thread.join(PATIENCE)
        assert not thread.is_alive(), "waits for a ring that it has missed"


def test_nobody_is_lost_where_many_ring_and_wait() -> None:
    bell = Bell()
    work: queue.SimpleQueue[int] = queue.SimpleQueue()
    done: list[int] = []
    consumers = [threading.Thread(target=consume, args=(bell, work, done), daemon=True) for _ in range(3)]
    producers = [
        threading.Thread(target=produce, args=(bell, work, range(500)), daemon=True) for _ in range(3)
    ]

    for thread in (*consumers, *producers):
        thread.start()
    join(*producers)
    produce(bell, work, range(-3, 0))
    join(*consumers)

    assert sorted(done) == sorted([*range(500)] * 3)
