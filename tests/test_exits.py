"""What an exit does besides delivering: no thread starts, nothing inherited is closed, each is told once."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from togai_shipper.testing import FakeTogai, faults

AT_ONCE = 5.0  # seconds that an end without waiting may take on a busy machine; to wait would take 30

BEGIN = """
import logging, multiprocessing, os, signal, sys, threading, time
import togai_shipper
from togai_shipper import Shipper

signal.alarm(50)  # the watchdog

def say(*words):
    os.write(1, (" ".join(map(str, words)) + "\\n").encode())

def make(**options):
    def on_error(error, events):
        for event in events:
            say("dropped", event.id, os.getpid())

    return Shipper(**{"flush_interval": 60, "close_timeout": 30, "on_error": on_error, **options})

def track(shipper, whose="parent", count=7):
    for _ in range(count):
        say("accepted", shipper.track("api_call", whose), os.getpid())

logging.basicConfig()
"""


class Ended:
    """A program that has ended, and what it said."""

    def __init__(
        self, program: str, togai: FakeTogai, folder: Path, *arguments: str, before: str = ""
    ) -> None:
        path = folder / "program.py"
        path.write_text(before + BEGIN + program)
        environment = {**os.environ, "TOGAI_API_KEY": "secret", "TOGAI_BASE_URL": togai.url}
        done = subprocess.run(
            [sys.executable, "-W", "ignore::DeprecationWarning", str(path), *arguments],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        self.status, self.error = done.returncode, done.stderr
        self.said = [line.split() for line in done.stdout.splitlines()]

    def words(self, first: str) -> list[str]:
        """The second word of every line that begins so."""
        return [line[1] for line in self.said if line[0] == first]


# --- threads ---------------------------------------------------------------------------------------------

THREADS = """
import _thread

def refuse(function, *arguments, **more):
    say("started", function)
    raise RuntimeError("can't create new thread at interpreter shutdown")  # as Python 3.12 says

shipper = make(batch_size=2, max_in_flight=8, close_timeout=float(sys.argv[2]))
if "without a flusher" in sys.argv:
    start, _thread.start_new_thread = _thread.start_new_thread, None  # as where memory is short
    track(shipper)
    _thread.start_new_thread = start
    say("flushers", len(os.listdir("/proc/self/task")) - 1)
else:
    track(shipper)
for module in (_thread, threading):
    for name in dir(module):
        if name.lstrip("_").startswith("start_"):  # each Python has its own
            setattr(module, name, refuse)
"""


@pytest.mark.parametrize("flusher", ["with a flusher", "without a flusher"])
@pytest.mark.parametrize("server", ["fine", "unavailable"])
def test_no_thread_is_started_at_exit(togai: FakeTogai, tmp_path: Path, flusher: str, server: str) -> None:
    if server == "unavailable":
        togai.on_request = lambda received: faults.Refuse(503)
    program = Ended(THREADS, togai, tmp_path, flusher, "30" if server == "fine" else "0.3")

    assert program.status == 0, program.error
    assert program.words("started") == []
    assert program.words("flushers") == (["0"] if flusher == "without a flusher" else [])
    assert len(program.words("accepted")) == 7
    assert togai.ledger.lost(program.words("accepted")) == set(program.words("dropped"))
    assert togai.ledger.metered == (7 if server == "fine" else 0)


# --- what a child inherits -------------------------------------------------------------------------------

INHERITED = """
shipper = make()
track(shipper)
child = os.fork()
if child == 0:
    say("threads", threading.active_count())
    sys.exit(0)  # runs the exit hooks that it has inherited, and has nothing of its own to close
began = time.monotonic()
assert os.waitpid(child, 0)[1] == 0
say("took", time.monotonic() - began)
say("pending", shipper.pending)
shipper.close(0)
"""


def test_an_inherited_exit_hook_sends_nothing_tells_nothing_and_waits_for_nothing_in_a_child(
    togai: FakeTogai, tmp_path: Path
) -> None:
    togai.on_request = lambda received: faults.Hang()
    program = Ended(INHERITED, togai, tmp_path)

    assert program.status == 0, program.error
    assert program.words("threads") == ["1"]
    assert float(program.words("took")[0]) < AT_ONCE
    assert program.words("pending") == ["7"]
    assert program.words("dropped") == program.words("accepted")  # by the parent alone
    assert program.error.count("undelivered and given up") == 1


DEFAULT = """
say("accepted", togai_shipper.track("api_call", "parent"), os.getpid())
child = os.fork()
if child == 0:
    say("accepted", togai_shipper.track("api_call", "child"), os.getpid())
    sys.exit(0)
assert os.waitpid(child, 0)[1] == 0
"""


def test_the_default_shipper_of_a_child_delivers_its_own_event_when_the_child_exits(
    togai: FakeTogai, tmp_path: Path
) -> None:
    program = Ended(DEFAULT, togai, tmp_path)

    assert program.status == 0, program.error
    assert {togai.ledger.get(event_id).receipts for event_id in program.words("accepted")} == {1}
    assert sorted(record.event["accountId"] for record in togai.ledger.records) == ["child", "parent"]


AT_WORK = """
def on_delivered(events):
    if os.getpid() == parent:
        inside.set()
        go_on.wait()

parent, inside, go_on = os.getpid(), threading.Event(), threading.Event()
shipper = make(batch_size=7, max_in_flight=1, on_delivered=on_delivered)
track(shipper)
if sys.argv[1] == "in a callback":
    assert inside.wait(30)
else:  # while a request is held by the server, which lets go of it once the child has been heard
    while not shipper.stats().requests:
        pass
child = os.fork()
if child == 0:
    track(shipper, "child")
    sys.exit(0)
assert os.waitpid(child, 0)[1] == 0
go_on.set()
track(shipper)
"""


@pytest.mark.parametrize("where", ["in a callback", "in a request"])
def test_a_fork_while_a_flusher_is_at_work_leaves_both_processes_whole(
    togai: FakeTogai, tmp_path: Path, where: str
) -> None:
    if where == "in a request":
        togai.script(faults.Hold())

        def release_once_the_child_was_heard(received: object) -> None:
            togai.release()

        togai.on_request = release_once_the_child_was_heard
    program = Ended(AT_WORK, togai, tmp_path, where)

    assert program.status == 0, program.error
    assert len(program.words("accepted")) == 21
    assert program.words("dropped") == []
    assert {togai.ledger.get(event_id).receipts for event_id in program.words("accepted")} == {1}
    assert {togai.ledger.get(line[1]).event["accountId"] for line in program.said[7:14]} == {"child"}


# --- children of multiprocessing -------------------------------------------------------------------------

CHILDREN = """
shipper = make(close_timeout=0.5)

def work(_):
    track(shipper, "child", 3)

if __name__ == "__main__":
    context = multiprocessing.get_context(sys.argv[1])
    if sys.argv[2] == "process":
        processes = [context.Process(target=work, args=(number,)) for number in range(3)]
        for process in processes:
            process.start()
        for process in processes:
            process.join()
    else:
        with context.Pool(2) as pool:
            pool.map(work, range(4), chunksize=1)
            pool.close()
            pool.join()
"""


@pytest.mark.parametrize("kind", ["process", "pool"])
@pytest.mark.parametrize(
    "method", ["fork", *(pytest.param(each, marks=pytest.mark.processes) for each in ("spawn", "forkserver"))]
)
def test_a_child_of_multiprocessing_that_cannot_deliver_says_so_once(
    togai: FakeTogai, tmp_path: Path, method: str, kind: str
) -> None:
    togai.on_request = lambda received: faults.Refuse(503)
    program = Ended(CHILDREN, togai, tmp_path, method, kind)

    assert program.status == 0, program.error
    accepted = [tuple(line[1:]) for line in program.said if line[0] == "accepted"]
    dropped = [tuple(line[1:]) for line in program.said if line[0] == "dropped"]
    assert len(accepted) == (9 if kind == "process" else 12)
    assert sorted(dropped) == sorted(accepted)  # each by the process that accepted it
    assert program.error.count("undelivered and given up") == len({pid for _, pid in accepted})


# --- a shipper made while the process ends, or forks ------------------------------------------------------

AT_EACH_LINE = """
import atexit

reached = set()

def make_another(frame, event, argument):  # as a signal handler, a destructor or another thread may, anywhere
    line = frame.f_code, frame.f_lineno
    if event == "line" and line not in reached and os.getpid() == process and not sys.is_finalizing():
        reached.add(line)
        others.append(make(**options))
        if options:
            others[-1].track("api_call", "another")
    return make_another

others, options, process = [], {}, os.getpid()
"""

MADE_AT_EXIT = """
shippers = [make() for _ in range(3)]
for shipper in shippers:
    track(shipper)
atexit.register(sys.settrace, make_another)
"""


def test_shippers_made_at_every_line_of_an_exit_keep_no_other_from_delivering(
    togai: FakeTogai, tmp_path: Path
) -> None:
    program = Ended(AT_EACH_LINE + MADE_AT_EXIT, togai, tmp_path)

    assert (program.status, program.error) == (0, "")
    assert len(program.words("accepted")) == 21
    assert togai.ledger.lost(program.words("accepted")) == set()


AFTER_THE_LIBRARY = """
import atexit
atexit.register(lambda: (go_on.set(), thread.join(20)))  # its exit hook has run by then
"""

ENDS_WHILE_ONE_IS_MADE = """
class Here:
    def __init__(self, line):
        self.line, self.lines = line, 0

    def __call__(self, frame, event, argument):
        if event == "line" and frame.f_code.co_filename.endswith("_shipper.py"):
            self.lines += 1
            if self.lines == self.line:
                stopped.set()
                go_on.wait(20)
        return self

def make_one():
    sys.settrace(here)
    shipper = make()
    sys.settrace(None)
    event_id = shipper.track("api_call", "late")
    say("accepted" if event_id else "refused", event_id)
    finished.append(here.lines < here.line)
    stopped.set()

make()  # whatever is imported once
line = status = 0
while status == 0 and line < 500:  # a process for each line of making one
    line += 1
    finished, stopped, go_on, here = [], threading.Event(), threading.Event(), Here(line)
    child = os.fork()
    if child:
        status = os.waitpid(child, 0)[1]
        continue
    thread = threading.Thread(target=make_one, daemon=True)
    thread.start()
    stopped.wait(20)
    sys.exit(finished[:1] == [True])  # no such line any more
say("lines", line)
os._exit(0)
"""


@pytest.mark.processes  # a process for each line
def test_a_process_that_ends_at_any_line_of_making_a_shipper_delivers_or_refuses_its_event(
    togai: FakeTogai, tmp_path: Path
) -> None:
    program = Ended(ENDS_WHILE_ONE_IS_MADE, togai, tmp_path, before=AFTER_THE_LIBRARY)

    assert program.status == 0, program.error
    assert "Traceback" not in program.error
    assert 10 < int(program.words("lines")[0]) < 500
    assert program.words("refused")
    assert togai.ledger.lost(program.words("accepted")) == set()


MADE_AT_FORK = """
options = {"spool": sys.argv[1]}
shippers = [make(**options) for _ in range(3)]
for shipper in shippers:
    track(shipper)
    shipper.sync()
sys.settrace(make_another)
child = os.fork()
sys.settrace(None)
if child == 0:
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
say("others", len(others))
"""


def test_spools_opened_at_every_line_of_a_fork_leave_it_as_it_is(togai: FakeTogai, tmp_path: Path) -> None:
    program = Ended(AT_EACH_LINE + MADE_AT_FORK, togai, tmp_path, str(tmp_path / "spool"))

    assert (program.status, program.error) == (0, "")
    assert int(program.words("others")[0]) > 3
    assert togai.ledger.lost(program.words("accepted")) == set()
