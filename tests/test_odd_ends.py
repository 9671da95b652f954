"""Odd ends: a child's first moments, signals that meet an exit, handlers of others, late shippers."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

import pytest
from test_exits import Ended

from togai_shipper.testing import FakeTogai, faults

pytestmark = pytest.mark.processes

INTERRUPTED_CHILDREN = """
shipper = make()
track(shipper, count=1)
for number in range(100):
    child = os.fork()
    if child == 0:
        ids = []
        signal.signal(signal.SIGALRM, lambda *_: ids.append(shipper.track("api_call", "child")))
        signal.setitimer(signal.ITIMER_REAL, 0.00002 + 0.0000015 * number)
        ids.append(shipper.track("api_call", "child"))
        while len(ids) < 2:
            signal.sigtimedwait([], 0.001)
        for event_id in ids:
            say("accepted", event_id)
        os._exit(0 if shipper.close() and shipper.stats().accepted == 2 else 7)
    say("status", os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""

THREADED_CHILDREN = """
sys.setswitchinterval(0.0001)
shipper = make()
track(shipper, count=1)
for _ in range(30):
    child = os.fork()
    if child == 0:
        threads = [threading.Thread(target=track, args=(shipper, "child", 1)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        os._exit(0 if shipper.close() and shipper.stats().accepted == 8 else 7)
    say("status", os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.mark.parametrize("program", [INTERRUPTED_CHILDREN, THREADED_CHILDREN], ids=["signals", "threads"])
def test_whoever_is_first_in_a_child_all_its_events_are_in_one_line(
    togai: FakeTogai, tmp_path: Path, program: str
) -> None:
    ended = Ended(program, togai, tmp_path)

    assert ended.status == 0, ended.error
    assert set(ended.words("status")) == {"0"}
    assert togai.ledger.lost(ended.words("accepted")) == set()
    assert togai.ledger.metered == len(ended.words("accepted"))


LATE_CHILD = """
shipper = make()

def work():
    def late():
        multiprocessing.parent_process()
        while not multiprocessing.util._exiting:
            threading.Event().wait(0.001)
        say("late", track(shipper, "child", 1))
        say("refused", shipper.stats().refused["closed"])
    threading.Thread(target=late).start()

child = multiprocessing.get_context("fork").Process(target=work)
child.start()
child.join()
"""


@pytest.mark.skipif(sys.version_info >= (3, 13), reason="there such a child runs its atexit handlers last")
def test_what_a_thread_that_outlives_a_child_of_multiprocessing_tracks_first_is_refused_and_told(
    togai: FakeTogai, tmp_path: Path
) -> None:
    ended = Ended("import multiprocessing.util\n" + LATE_CHILD, togai, tmp_path)

    assert ended.status == 0, ended.error
    assert ended.words("refused") == ["1"]
    assert "after close()" in ended.error


CHAINED = """
first = make(handle_sigterm=True)
ours = signal.getsignal(signal.SIGTERM)
signal.signal(signal.SIGTERM, lambda *arguments: (say("called"), ours(*arguments)))
second = make(handle_sigterm=True)
track(first)
track(second)
os.kill(os.getpid(), signal.SIGTERM)
threading.Event().wait(40)
"""

COLLECTED = """
def use():
    track(make(handle_sigterm=True))

use()
os.kill(os.getpid(), signal.SIGTERM)
threading.Event().wait(40)
"""

EXITING = """
import _thread

shipper = make(handle_sigterm=True)
track(shipper)

def refuse(*_):
    raise RuntimeError("can't create new thread at interpreter shutdown")  # as Python 3.12 says

_thread.start_new_thread = refuse
parent = os.getpid()
if os.fork() == 0:  # whoever sends the signal once the exit waits for the reply
    while not os.path.exists(sys.argv[1]):
        signal.sigtimedwait([], 0.01)
    os.kill(parent, signal.SIGTERM)
    os._exit(0)
"""


@pytest.mark.parametrize("program", [CHAINED, COLLECTED], ids=["another's handler between", "collected"])
def test_a_sigterm_closes_all_that_asked_for_it_and_then_ends_the_process(
    togai: FakeTogai, tmp_path: Path, program: str
) -> None:
    ended = Ended(program, togai, tmp_path)

    assert ended.status == -signal.SIGTERM
    assert togai.ledger.lost(ended.words("accepted")) == set()
    assert len([line for line in ended.said if line[0] == "called"]) == (program is CHAINED)


def test_a_sigterm_during_the_exit_waits_for_it_though_no_thread_can_be_had(
    togai: FakeTogai, tmp_path: Path
) -> None:
    asked = tmp_path / "asked"

    def hold_until_the_signal_came(received: object) -> faults.Fault:
        asked.touch()
        return faults.Slow(1.0)

    togai.on_request = hold_until_the_signal_came
    ended = Ended(EXITING, togai, tmp_path, str(asked))

    assert ended.status == -signal.SIGTERM
    assert len(ended.words("accepted")) == 7
    assert togai.ledger.lost(ended.words("accepted")) == set()


LATE = """
import atexit

def late():
    shipper = make()
    say("late", shipper.track("api_call", "acme"), shipper.stats().refused["closed"])

atexit.unregister(togai_shipper._process.exits.end)
atexit.register(late)
atexit.register(togai_shipper._process.exits.end)  # as if late() had been registered before our import
"""


def test_a_shipper_made_after_our_exit_hook_refuses_and_counts(togai: FakeTogai, tmp_path: Path) -> None:
    ended = Ended(LATE, togai, tmp_path)

    assert ended.said == [["late", "None", "1"]]
    assert "the event is not accepted" in ended.error


ENDED_BY_A_CALLBACK = """
def on_error(error, events):
    for event in events:
        say("dropped", event.id)
    raise SystemExit(7)

for _ in range(3):
    track(make(on_error=on_error, close_timeout=0.5), count=2)
"""


def test_a_callback_that_exits_at_the_exit_keeps_nobody_from_being_told(
    togai: FakeTogai, tmp_path: Path
) -> None:
    togai.on_request = lambda received: faults.Refuse(503)
    ended = Ended(ENDED_BY_A_CALLBACK, togai, tmp_path)

    assert sorted(ended.words("dropped")) == sorted(ended.words("accepted"))
    assert len(ended.words("dropped")) == 6


LONGER = """
shipper = make(close_timeout=1)
track(shipper)
threading.Thread(target=shipper.close, args=(40,), daemon=True).start()
while shipper.stats().state != "closing":
    pass
say("ending", time.monotonic())
"""


def test_an_exit_takes_its_own_time_though_an_earlier_close_has_more(
    togai: FakeTogai, tmp_path: Path
) -> None:
    togai.on_request = lambda received: faults.Hang()
    ended = Ended(LONGER, togai, tmp_path)

    assert ended.status == 0, ended.error
    assert sorted(ended.words("dropped")) == sorted(ended.words("accepted"))


CAME_BACK = """
def on_delivered(events):
    if os.getpid() == parent and not forked.is_set():
        child = os.fork()
        if child == 0:
            say("accepted", shipper.track("api_call", "child"), os.getpid())
            if sys.argv[1] == "raises":
                raise ValueError("in the child")
            return
        forked.set()
        say("status", os.waitpid(child, 0)[1])

parent, forked = os.getpid(), threading.Event()
shipper = make(on_delivered=on_delivered, batch_size=7, max_in_flight=1)
track(shipper)
track(shipper)
assert forked.wait(30)
"""


@pytest.mark.parametrize("how", ["returns", "raises"])
def test_a_child_that_comes_back_from_a_callback_delivers_its_own_and_ends(
    togai: FakeTogai, tmp_path: Path, how: str
) -> None:
    ended = Ended(CAME_BACK, togai, tmp_path, how)

    assert ended.words("status") == ["0"]
    assert len(ended.words("accepted")) == 15
    assert {togai.ledger.get(event_id).receipts for event_id in ended.words("accepted")} == {1}
    assert ended.words("dropped") == []


SHOWN = """
shipper = make()
track(shipper)
child = os.fork()
if child == 0:
    signal.alarm(20)
    say("shown", repr(shipper))
    os._exit(0)
os.waitpid(child, 0)
"""


def test_a_child_shows_its_own_counts_and_takes_no_lock_of_its_parent(
    togai: FakeTogai, tmp_path: Path
) -> None:
    ended = Ended(SHOWN, togai, tmp_path)

    assert "shown <Shipper open: 0 pending," in "\n".join(" ".join(line) for line in ended.said)
