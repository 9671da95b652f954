"""Which process this is, where a pid comes again, and where no hook tells of a fork."""

from __future__ import annotations

import subprocess
import sys

import attrs

from togai_shipper._process.per_process import PerProcess
from togai_shipper._process.this_process import Process, this_process

PARENT, CHILD, GRANDCHILD = Process(100), Process(200), Process(100)


@attrs.frozen
class Own:
    """What a process has of its own."""

    process: Process
    inherited: Own | None


def test_a_grandchild_with_its_grandparents_pid_leaves_alone_what_that_has_made() -> None:
    here = [PARENT]
    own = PerProcess(lambda inherited: Own(here[0], inherited), lambda: here[0])
    made = [own.here()]
    for process in (CHILD, GRANDCHILD):
        here[0] = process
        assert own.here() is own.here()
        made.append(own.here())

    assert [each.process for each in made] == [PARENT, CHILD, GRANDCHILD]
    assert made[2].inherited is made[1]


def test_it_is_the_same_one_as_long_as_nobody_forks() -> None:
    assert this_process() is this_process()
    assert this_process().is_here


FORKS = """
import os
from togai_shipper._process.this_process import this_process

def in_a_child(function):
    child = os.fork()
    if child == 0:
        function()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0

def grandchild():
    os.getpid = lambda: pid  # as the system may have it, once the first process is gone
    assert not first.is_here
    assert this_process() is not first
    assert this_process() is this_process()

def child():
    assert this_process() is not first
    assert this_process().pid == os.getpid()
    in_a_child(grandchild)

first, pid = this_process(), os.getpid()
in_a_child(child)
assert this_process() is first
os.getpid = lambda: pid + 1  # where no hook runs
assert not first.is_here
assert this_process() is not first
assert this_process() is this_process()
"""


def test_a_fork_makes_another_process_whatever_its_pid_and_where_no_hook_runs_another_pid_does() -> None:
    subprocess.run([sys.executable, "-c", FORKS], check=True, timeout=60)
