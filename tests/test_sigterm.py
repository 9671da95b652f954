"""Signals that end a process, sent to real ones: SIGTERM handled by us, and Ctrl-C during ``close()``."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import takewhile

from togai_shipper._plural import counted
from togai_shipper.testing import FakeTogai, faults

PATIENCE = 30.0  # seconds after which a test has failed: it bounds a hang
AT_ONCE = 5.0  # seconds that an end without waiting may take on a busy machine; each program may wait for 30

BEGIN = """
import logging, os, signal, threading
from togai_shipper import ConfigurationError, Shipper

def say(*words):
    os.write(1, (" ".join(map(str, words)) + "\\n").encode())

def on_error(error, events):
    for event in events:
        say("dropped", event.id)

def wait_for_ever():
    # In short waits: Python does not see a signal that comes just before a call that then never returns.
    while not threading.Event().wait(0.1):
        pass

def make(**options):
    options = {"flush_interval": 60, "close_timeout": 30, "on_error": on_error, **options}
    return Shipper(**options)

def track(shipper, count):
    for _ in range(count):
        say("accepted", shipper.track("api_call", "acme"))

logging.basicConfig()
"""


class Program:
    """One that runs, and says in lines what it does."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.said: list[list[str]] = []
        self.error = ""  # what it logged

    def read_until(self, word: str) -> None:
        """Read what it says, up to this line; it is an error if that never comes."""
        assert self.process.stdout
        self.said += [
            line.split() for line in takewhile(lambda line: line != f"{word}\n", self.process.stdout)
        ]
        assert self.process.poll() is None

    def interrupt_until_it_ends(self) -> None:
        """Press Ctrl-C, twice a second, as people do."""
        until = time.monotonic() + PATIENCE
        while self.process.poll() is None and time.monotonic() < until:
            self.process.send_signal(signal.SIGINT)
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(0.5)

    def end(self) -> int:
        """Wait for its end; returns its exit status, as a signal's negative number."""
        output, self.error = self.process.communicate(timeout=PATIENCE)
        self.said += [line.split() for line in output.splitlines()]
        return self.process.returncode

    def ids(self, word: str) -> list[str]:
        return [line[1] for line in self.said if line[0] == word]


@contextmanager
def running(program: str, togai: FakeTogai) -> Iterator[Program]:
    environment = {**os.environ, "TOGAI_API_KEY": "secret", "TOGAI_BASE_URL": togai.url}
    with subprocess.Popen(
        [sys.executable, "-c", BEGIN + program],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield Program(process)
        finally:
            process.kill()


def assert_all_is_accounted_for(program: Program, togai: FakeTogai) -> None:
    """Each accepted event is billed, or was told once; where some were told, so does one line of the log."""
    accepted, dropped = program.ids("accepted"), program.ids("dropped")
    assert accepted
    assert len(set(dropped)) == len(dropped)
    assert togai.ledger.lost(accepted) == set(dropped)
    assert togai.ledger.billed_twice == set()
    said = [line for line in program.error.splitlines() if "undelivered and given up" in line]
    assert len(said) == bool(dropped)
    assert not dropped or f"{counted(len(dropped), 'event')} undelivered" in said[0]


# --- SIGTERM ---------------------------------------------------------------------------------------------


WAITING = """
shipper = make(handle_sigterm=True)
track(shipper, 7)
say("ready")
wait_for_ever()
"""


def test_without_another_handler_the_process_delivers_and_then_dies_of_the_signal(togai: FakeTogai) -> None:
    with running(WAITING, togai) as program:
        program.read_until("ready")
        program.process.terminate()

        assert program.end() == -signal.SIGTERM
        assert program.ids("dropped") == []
        assert_all_is_accounted_for(program, togai)


HANDLER = """
def own(number, frame):
    say("called", shipper.stats().state, shipper.stats().delivered, number)
    called.set()

called = threading.Event()
signal.signal(signal.SIGTERM, own)
shipper = make(handle_sigterm=True)
another = make(handle_sigterm=True)  # does not install itself twice
track(shipper, 7)
track(another, 7)
say("ready")
while not called.wait(0.05):
    pass
say("goes on")
"""


def test_a_handler_that_was_there_is_called_once_after_everything_is_delivered(togai: FakeTogai) -> None:
    with running(HANDLER, togai) as program:
        program.read_until("ready")
        program.process.terminate()

        assert program.end() == 0
        assert [line for line in program.said if line[0] == "called"] == [["called", "closed", "7", "15"]]
        assert program.said[-1] == ["goes", "on"]
        assert_all_is_accounted_for(program, togai)


BLOCKED = """
shipper = make(handle_sigterm=True)
track(shipper, 7)
lock = threading.Lock()
lock.acquire()
say("ready")
while True:
    lock.acquire(timeout=0.1)  # see wait_for_ever()
"""

LOGGING = """
shipper = make(handle_sigterm=True)
track(shipper, 7)
handler = logging.getLogger().handlers[0]
handler.acquire()  # of which no other thread gets a word out
say("ready")
wait_for_ever()
"""


def test_a_main_thread_that_waits_for_a_lock_keeps_nothing_back(togai: FakeTogai) -> None:
    with running(BLOCKED, togai) as program:
        program.read_until("ready")
        program.process.terminate()

        assert program.end() == -signal.SIGTERM
        assert program.ids("dropped") == []
        assert_all_is_accounted_for(program, togai)


def test_nor_does_one_that_holds_the_lock_of_the_log(togai: FakeTogai) -> None:
    with running(LOGGING, togai) as program:
        program.read_until("ready")
        program.process.terminate()

        assert program.end() == -signal.SIGTERM
        assert togai.ledger.lost(program.ids("accepted")) == set()


def test_a_second_sigterm_ends_the_process_at_once(togai: FakeTogai) -> None:
    togai.on_request = lambda received: faults.Hang()
    with running(WAITING, togai) as program:
        program.read_until("ready")
        program.process.terminate()
        assert togai.wait(lambda: togai.requests)  # it is closing
        program.process.terminate()
        sent = time.monotonic()

        assert program.end() == -signal.SIGTERM
        assert time.monotonic() - sent < AT_ONCE
        assert togai.ledger.billed_twice == set()


THREAD = """
def elsewhere():
    try:
        make(handle_sigterm=True)
    except ConfigurationError as error:
        say("refused", error)

thread = threading.Thread(target=elsewhere)
thread.start()
thread.join()
say("untouched", signal.getsignal(signal.SIGTERM) is signal.SIG_DFL)
"""


def test_off_the_main_thread_it_is_refused_in_plain_words_and_installs_nothing(togai: FakeTogai) -> None:
    with running(THREAD, togai) as program:
        assert program.end() == 0
        refused, untouched = program.said
        assert {"handle_sigterm:", "main", "thread"} <= set(refused)
        assert untouched == ["untouched", "True"]


# --- Ctrl-C during close() ---------------------------------------------------------------------------------

CLOSING = """
shipper = make(batch_size=10, max_in_flight=1, rate_limit=None)
track(shipper, 25)

def say_once_it_closes():
    while shipper.stats().state != "closing":
        threading.Event().wait(0.001)
    say("ready")

threading.Thread(target=say_once_it_closes, daemon=True).start()
try:
    shipper.close()
except KeyboardInterrupt:
    stats = shipper.stats()
    say("interrupted", stats.state, stats.delivered, stats.dropped.get("closed"), stats.pending)
"""


def test_the_first_interrupt_of_close_is_honoured_when_what_is_on_the_wire_is_back(togai: FakeTogai) -> None:
    togai.script(faults.Hold())
    with running(CLOSING, togai) as program:
        program.read_until("ready")
        assert togai.wait(lambda: togai.requests)
        program.process.send_signal(signal.SIGINT)
        togai.release()

        assert program.end() == 0
        last = program.said[-1]
        assert last[:2] == ["interrupted", "closed"]
        assert int(last[2]) >= 10
        assert int(last[2]) + int(last[3]) == 25
        assert int(last[4]) == 0
        assert_all_is_accounted_for(program, togai)


def test_the_second_interrupt_of_close_is_honoured_at_once_and_what_is_left_is_told(togai: FakeTogai) -> None:
    togai.on_request = lambda received: faults.Hang()
    with running(CLOSING, togai) as program:
        program.read_until("ready")
        assert togai.wait(lambda: togai.requests)
        sent = time.monotonic()
        program.interrupt_until_it_ends()
        program.end()
        assert time.monotonic() - sent < AT_ONCE
        assert len(program.ids("dropped")) == 25
        assert_all_is_accounted_for(program, togai)


AT_EXIT = """
shippers = [make(batch_size=10, rate_limit=None) for _ in range(2)]
for shipper in shippers:
    track(shipper, 15)
say("ready")
"""


def test_an_interrupt_while_the_process_exits_ends_it_and_every_shipper_tells_what_is_left(
    togai: FakeTogai,
) -> None:
    togai.on_request = lambda received: faults.Hang()
    with running(AT_EXIT, togai) as program:
        program.read_until("ready")
        assert togai.wait(lambda: len(togai.requests) >= 2)
        sent = time.monotonic()
        program.interrupt_until_it_ends()
        program.end()
        assert time.monotonic() - sent < AT_ONCE
        assert len(set(program.ids("dropped"))) == len(program.ids("dropped")) == 30
        assert togai.ledger.lost(program.ids("accepted")) == set(program.ids("dropped"))
        assert program.error.count("undelivered and given up") == 2
