"""The end of this process, seen from within; real exits are in test_ends.py and test_exits.py."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from togai_shipper import ConfigurationError, Shipper
from togai_shipper._process import exits
from togai_shipper.testing import FakeTogai, faults

Ship = Callable[..., Shipper]


@pytest.fixture
def terminated() -> Iterator[list[int]]:
    """A SIGTERM handler of the application's, and the signals that came to it."""
    came: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: came.append(number))
    yield came
    signal.signal(signal.SIGTERM, before)


def test_the_exit_hook_closes_what_is_open_with_one_deadline(togai: FakeTogai, ship: Ship) -> None:
    shippers = [ship(flush_interval=60) for _ in range(3)]
    ids = [shipper.track("api_call", "acme") for shipper in shippers]
    exits.close_all()

    assert {shipper.stats().state for shipper in shippers} == {"closed"}
    assert togai.ledger.lost([event_id for event_id in ids if event_id]) == set()


def test_sigterm_closes_first_and_then_calls_the_handler_that_was_there(
    togai: FakeTogai, ship: Ship, terminated: list[int]
) -> None:
    shipper = ship(flush_interval=60, handle_sigterm=True)
    other = ship(flush_interval=60, handle_sigterm=True)
    ids = [shipper.track("api_call", "acme"), other.track("api_call", "acme")]
    os.kill(os.getpid(), signal.SIGTERM)

    assert togai.wait(lambda: togai.ledger.metered == 2)
    shipper.close()
    while not terminated:  # the signal is sent again once both are closed
        signal.sigtimedwait([], 0.01)
    assert terminated == [signal.SIGTERM]
    assert togai.ledger.lost([event_id for event_id in ids if event_id]) == set()
    assert {shipper.stats().state, other.stats().state} == {"closed"}


def test_a_sigterm_handler_is_refused_off_the_main_thread(ship: Ship) -> None:
    raised: list[Exception] = []

    def make() -> None:
        try:
            ship(handle_sigterm=True)
        except ConfigurationError as error:
            raised.append(error)

    thread = threading.Thread(target=make)
    thread.start()
    thread.join()
    assert "handle_sigterm" in str(raised[0])


def test_the_first_interrupt_of_close_waits_for_what_is_on_the_wire_and_the_rest_is_told(
    togai: FakeTogai, ship: Ship
) -> None:
    told: list[Any] = []
    shipper = ship(batch_size=10, max_in_flight=1, on_error=lambda error, events: told.extend(events))
    togai.script(faults.Hold())
    ids = [shipper.track("api_call", "acme") for _ in range(25)]
    assert togai.wait(lambda: len(togai.requests) == 1)
    release = threading.Timer(0.2, togai.release)

    class Interrupted(BaseException):
        """As a signal handler raises it in the main thread."""

    def interrupt(number: int, frame: Any) -> None:
        release.start()
        raise Interrupted

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.1)
        with pytest.raises(Interrupted):
            shipper.close(30)
    finally:
        signal.signal(signal.SIGALRM, before)

    stats = shipper.stats()
    assert (stats.delivered, stats.dropped, stats.pending) == (10, {"closed": 15}, 0)
    assert togai.ledger.lost([event_id for event_id in ids if event_id]) == {event.id for event in told}


KEYS = """
import os
from togai_shipper import Shipper

shipper = Shipper("revoked")
shipper.set_api_key("secret")
child = os.fork()
if child == 0:
    shipper.track("api_call", "child")
    os._exit(0 if shipper.close(30) else 1)
assert os.waitpid(child, 0)[1] == 0
"""


def test_a_forked_child_has_the_key_that_was_set_last(togai: FakeTogai) -> None:
    environment = {**os.environ, "TOGAI_BASE_URL": togai.url}
    subprocess.check_call([sys.executable, "-c", KEYS], env=environment, timeout=60)

    assert togai.ledger.metered == 1


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")  # the child needs no thread of the sandbox
def test_a_child_has_a_pipeline_of_its_own_and_a_closed_shipper_stays_closed_in_it(
    togai: FakeTogai, ship: Ship
) -> None:
    shipper, closed = ship(flush_interval=60), ship()
    closed.close()
    mine = shipper.track("api_call", "parent")
    child = os.fork()
    if child == 0:
        good = closed.track("api_call", "child") is None and shipper.pending == 0
        good = good and bool(shipper.track("api_call", "child")) and bool(shipper.close(20))
        os._exit(0 if good else 1)

    assert os.waitpid(child, 0)[1] == 0
    assert shipper.pending == 1
    assert shipper.close()
    assert togai.ledger.metered == 2
    assert togai.ledger.get(mine).receipts == 1


def test_an_interrupt_of_the_exit_hook_gives_up_what_is_left_of_every_shipper(
    togai: FakeTogai, ship: Ship
) -> None:
    togai.on_request = lambda received: faults.Refuse(503)
    shippers = [ship(flush_interval=60) for _ in range(3)]
    for shipper in shippers:
        shipper.track("api_call", "acme")

    def interrupt(number: int, frame: Any) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.1)
        with pytest.raises(KeyboardInterrupt):
            exits.close_all()
    finally:
        signal.signal(signal.SIGALRM, before)

    assert {shipper.stats().state for shipper in shippers} == {"closed"}
    assert [shipper.stats().dropped for shipper in shippers] == [{"closed": 1}] * 3


NO_THREADS = """
import _thread, os, signal

def refused(function, arguments):  # as by a system that has no memory for one
    raise RuntimeError("can't start new thread")

_thread.start_new_thread = refused
from togai_shipper import Shipper

shipper = Shipper(handle_sigterm=True)
shipper.track("api_call", "acme")
os.kill(os.getpid(), signal.SIGTERM)
"""


def test_sigterm_closes_on_the_main_thread_where_no_other_can_be_started(togai: FakeTogai) -> None:
    environment = {**os.environ, "TOGAI_API_KEY": "secret", "TOGAI_BASE_URL": togai.url}
    ended = subprocess.run([sys.executable, "-c", NO_THREADS], env=environment, check=False, timeout=60)

    assert ended.returncode == -signal.SIGTERM
    assert togai.ledger.metered == 1
