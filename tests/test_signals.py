"""Which thread takes a signal: none of ours, and what our writing causes, nobody."""

from __future__ import annotations

import _thread
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator

import pytest

from togai_shipper import Shipper
from togai_shipper._process import signals
from togai_shipper._process.threads import start_thread
from togai_shipper.testing import FakeTogai

SYNCHRONOUS = {signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGTRAP, signal.SIGSYS}
PIPE = signal.SIGPIPE
Ship = Callable[..., Shipper]


def mask() -> set[int]:
    return set(signal.pthread_sigmask(signal.SIG_BLOCK, ()))


def on_a_thread(function: Callable[[], object], *, ours: bool = True) -> None:
    """Run it on a new thread, to its end; what it raises is raised here."""
    raised: list[BaseException] = []
    over = threading.Event()

    def run() -> None:
        try:
            function()
        except BaseException as error:  # for the test
            raised.append(error)
        over.set()

    if ours:
        start_thread(run, ())
    else:
        threading.Thread(target=run).start()
    assert over.wait(30)
    if raised:
        raise raised[0]


def write_to_nobody() -> None:
    """Cause a SIGPIPE, as a connection does that the other side has closed."""
    ours, theirs = os.pipe()
    os.close(ours)
    with pytest.raises(BrokenPipeError):
        os.write(theirs, b"request")
    os.close(theirs)


@pytest.fixture
def _default_effect() -> Iterator[None]:
    """SIGPIPE ends this process."""
    before = signal.signal(PIPE, signal.SIG_DFL)
    yield
    signal.signal(PIPE, before)


# --- our threads ---


def test_a_thread_of_ours_blocks_all_but_what_a_thread_does_to_itself() -> None:
    seen: list[set[int]] = []
    on_a_thread(lambda: seen.append(mask()))

    assert seen == [signal.valid_signals() - SYNCHRONOUS - {signal.SIGABRT, signal.SIGKILL, signal.SIGSTOP}]
    assert mask() == set()


def test_a_thread_of_ours_is_born_with_signals_blocked_and_its_starter_has_its_own_mask_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A signal may come before it runs its first instruction, which no test can await."""
    before, at_birth, start = mask(), [], _thread.start_new_thread

    def starting(function: Callable[..., None], arguments: tuple[object, ...]) -> int:
        at_birth.append(mask())
        return start(function, arguments)

    monkeypatch.setattr(_thread, "start_new_thread", starting)  # as gevent does
    on_a_thread(mask)
    assert at_birth == [
        set(signal.valid_signals()) - SYNCHRONOUS - {signal.SIGKILL, signal.SIGSTOP, signal.SIGABRT}
    ]
    assert mask() == before


def test_a_starter_has_its_own_mask_back_though_the_start_fails_and_though_a_handler_raises() -> None:
    def interrupted() -> None:
        signal.raise_signal(signal.SIGINT)
        in_time.append("blocked until the thread is started")
        raise RuntimeError("can't start new thread")

    before, in_time = mask(), []
    with pytest.raises(KeyboardInterrupt):
        signals.deaf(interrupted)
    assert in_time
    assert mask() == before


def test_the_application_runs_with_the_mask_of_who_started_the_thread_also_where_ours_started_it() -> None:
    seen: list[set[int]] = []

    def call() -> None:
        with signals.as_application():
            seen.append(mask())
            with signals.as_application():
                pass
            seen.append(mask())

    def ours() -> None:
        call()
        assert mask() > SYNCHRONOUS or signal.SIGTERM in mask()
        on_a_thread(call)

    def applications() -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
        on_a_thread(ours)

    on_a_thread(applications, ours=False)
    assert seen == [{signal.SIGUSR1}] * 4


def test_a_greenlet_on_its_starters_thread_blocks_nothing_and_another_thread_does() -> None:
    def greenlet() -> None:
        signals.keep_out(signals.starter())
        assert mask() == set()
        with signals.as_application():
            assert mask() == set()

    def thread() -> None:
        signals.keep_out(started_by)
        assert signal.SIGTERM in mask()
        with signals.as_application():
            assert mask() == set()

    started_by = signals.starter()
    on_a_thread(greenlet, ours=False)
    on_a_thread(thread, ours=False)


def test_what_is_told_and_asked_of_the_application_on_our_threads_has_its_mask(
    togai: FakeTogai, ship: Ship
) -> None:
    import requests  # noqa: PLC0415  for a session alone

    seen: dict[str, set[int]] = {}

    def note(name: str) -> None:
        assert threading.current_thread() is not threading.main_thread()
        seen[name] = mask()

    def key() -> str:
        note("api_key")
        return "secret"

    def session() -> requests.Session:
        note("session_factory")
        return requests.Session()

    def on_error(error: object, events: object) -> None:
        note("on_error")

    def on_delivered(events: object) -> None:
        note("on_delivered")

    togai.poison(lambda event: event["accountId"] == "gone", status=400, message="no such account")
    shipper = ship(api_key=key, session_factory=session, on_error=on_error, on_delivered=on_delivered)
    receipt = shipper.submit("api_call", "acme")
    receipt.add_done_callback(lambda _: note("receipt"))
    receipt.result(30)
    shipper.submit("api_call", "gone").result(30)
    shipper.close(30)

    assert set(seen) == {"api_key", "session_factory", "on_error", "on_delivered", "receipt"}
    assert set().union(*seen.values()) == set()


# --- SIGPIPE ---


@pytest.mark.usefixtures("_default_effect")
def test_a_sigpipe_that_we_cause_on_a_callers_thread_is_consumed() -> None:
    with signals.without_sigpipe():
        write_to_nobody()
        assert PIPE in signal.sigpending()

    assert PIPE not in mask()
    assert PIPE not in signal.sigpending()


@pytest.mark.usefixtures("_default_effect")
@pytest.mark.parametrize("in_callback", [False, True])
def test_none_is_left_on_a_thread_of_ours_that_would_reach_the_application_there(in_callback: bool) -> None:  # noqa: FBT001  a parameter of pytest's
    def write() -> None:
        with signals.without_sigpipe():
            write_to_nobody()

    def ours() -> None:
        if in_callback:
            with signals.as_application():
                write()
                assert PIPE not in mask()
        else:
            write()
        assert PIPE not in signal.sigpending()
        assert PIPE in mask()

    on_a_thread(ours)


@pytest.mark.usefixtures("_default_effect")
def test_one_that_was_pending_before_stays_pending() -> None:
    def caller() -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, {PIPE})
        write_to_nobody()  # the application's own
        with signals.without_sigpipe():
            write_to_nobody()
        assert PIPE in signal.sigpending()
        assert PIPE in mask()
        signal.sigwait({PIPE})

    on_a_thread(caller, ours=False)


SENT = """
import os, signal, subprocess
from togai_shipper._process.signals import without_sigpipe

heard = []
signal.signal(signal.SIGPIPE, lambda number, _: heard.append(number))
ours, theirs = os.pipe()
os.close(ours)
with without_sigpipe():
    try:
        os.write(theirs, b"request")
    except BrokenPipeError:
        pass
    subprocess.run(["sh", "-c", "kill -PIPE $PPID"], check=True)
    assert heard == []
assert heard == [signal.SIGPIPE]
"""


def test_one_that_somebody_sends_meanwhile_is_sent_again() -> None:
    subprocess.run([sys.executable, "-c", SENT], check=True, timeout=60)  # no other thread there may take it


@pytest.mark.usefixtures("_default_effect")
def test_it_stays_blocked_until_the_last_greenlet_on_a_thread_has_written() -> None:
    first, second = signals.without_sigpipe(), signals.without_sigpipe()
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    write_to_nobody()
    second.__exit__(None, None, None)

    assert PIPE not in mask()


def test_where_python_ignores_it_nothing_is_blocked_so_that_children_are_as_ever() -> None:
    assert signal.getsignal(PIPE) is signal.SIG_IGN
    with signals.without_sigpipe():
        assert mask() == set()
        write_to_nobody()
