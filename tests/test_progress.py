"""How far a request has come, in words: a slow way is no server that hangs."""

from __future__ import annotations

import socket

import pytest

from togai_shipper._engine.exchange import exchange
from togai_shipper._engine.progress import STILL, Progress, unconfirmed


def moved(*looks: tuple[float, int, int, int], size: int = 100_000) -> Progress:
    """A request that was looked at: when, what the system had taken, what waited there, what had come."""
    progress = Progress(0.0, 0.0)
    progress.note(size=size)
    for now, handed, waiting, received in looks:
        progress.note(handed=handed - progress.handed, received=received - progress.received)
        progress.look(now, waiting)
    return progress


@pytest.mark.parametrize(
    ("progress", "now", "said"),
    [
        (
            moved((5, 100_000, 70_000, 0), (10, 100_000, 40_000, 0)),
            10.0,
            "the way is slow: 60,000 of 100,000 bytes of the request have gone in 10 s, 6,000 a second",
        ),
        (
            moved((5, 100_000, 70_000, 0), (10, 100_000, 70_000, 0)),
            10.0,
            "nothing moves: 30,000 of 100,000 bytes of the request have gone in 10 s, none for 5 s",
        ),
        (moved(), 5.0, "nothing moves: 0 of 100,000 bytes of the request have gone in 5 s, none for 5 s"),
        (
            moved((2, 100_000, 0, 0), (10, 100_000, 0, 0)),
            10.0,
            "the request has gone, and nothing has come back for 8 s",
        ),
        (
            moved((2, 100_000, 0, 0), (9, 100_000, 0, 12)),
            10.0,
            "12 bytes of a reply have come in 10 s, and it is not whole",
        ),
        (
            moved((2, 100_000, 0, 12), (9, 100_000, 0, 12)),
            10.0,
            "12 bytes of a reply have come in 10 s, none for 8 s",
        ),
        (moved(size=0), 7.0, "there is no connection after 7 s"),
    ],
)
def test_it_says_what_is_slow_and_what_stands_still(progress: Progress, now: float, said: str) -> None:
    assert progress.words(now) == said


def test_what_was_confirmed_stays_so_though_the_system_counts_what_tls_adds() -> None:
    progress = moved((1, 1000, 0, 0), (2, 1000, 1200, 0), size=1000)

    assert progress.gone == 1000


def test_bytes_that_the_other_side_has_not_read_are_not_confirmed() -> None:
    here, there = socket.socketpair()
    with here, there:
        here.settimeout(0)
        handed = here.send(bytes(20_000))
        assert unconfirmed(here) >= 0  # some systems do not say
        there.recv(handed)

    assert unconfirmed(here) == 0, "it is closed"


def test_a_request_that_is_late_says_how_far_it_was() -> None:
    now = [1000.0]

    class Stuck:
        def settimeout(self, seconds: float) -> None:
            now[0] += seconds

        def send(self, part: object) -> int:
            raise TimeoutError("timed out")

    with (
        exchange(STILL, clock=lambda: now[0]) as current,
        pytest.raises(TimeoutError, match="timed out, nothing moves: 0 of 4 bytes"),
    ):
        current.hand_over(Stuck(), b"four")
