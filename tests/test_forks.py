"""Forks, and calls from where a call is interrupted: by real processes, judged by the server's ledger."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from togai_shipper.testing import FakeTogai

pytestmark = pytest.mark.processes

PROGRAMS = Path(__file__).parent / "programs"


def said(program: str, togai: FakeTogai, *arguments: str) -> list[str]:
    environment = {**os.environ, "TOGAI_API_KEY": "secret", "TOGAI_BASE_URL": togai.url}
    done = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", str(PROGRAMS / program), *arguments],
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        timeout=150,
        check=True,
    )
    return done.stdout.splitlines()


@pytest.mark.parametrize("look_ups", ["0.1", "60"])
def test_of_200_forks_under_load_each_process_delivers_its_own_events_and_no_other(
    togai: FakeTogai, monkeypatch: pytest.MonkeyPatch, look_ups: str
) -> None:
    monkeypatch.setenv("TOGAI_VERIFY", look_ups)
    lines = [line.split() for line in said("forking.py", togai)]

    assert [line for line in lines if line[0] == "failed"] == []
    assert ["closed", "True"] in lines
    ids = [
        event_id for line in lines if line[0] in ("parent", "child", "grandchild") for event_id in line[1:]
    ]
    assert "refused" not in ids
    assert len([line for line in lines if line[0] == "child"]) == 150
    assert len([line for line in lines if line[0] == "grandchild"]) == 50
    assert len(set(ids)) == len(ids)
    assert togai.ledger.lost(ids) == set()
    assert togai.ledger.billed_twice == set()
    assert togai.ledger.metered == len(ids)
    for whose in ("parent", "child", "grandchild"):
        mine = {event_id for line in lines if line[0] == whose for event_id in line[1:]}
        assert {togai.ledger.get(event_id).event["accountId"] for event_id in mine} == {whose}


HOOKLESS = """
import _thread, ctypes, os
from togai_shipper import Shipper

def none(function, arguments):  # a process of one thread, as uWSGI's master; others need the hooks
    raise RuntimeError("can't start new thread")

real, _thread.start_new_thread = _thread.start_new_thread, none
shipper = Shipper(flush_interval=60)
print("parent", shipper.track("api_call", "parent"), flush=True)
child = ctypes.PyDLL(None).fork()  # no at-fork hook of Python's runs
_thread.start_new_thread = real
if child == 0:
    print("child", shipper.track("api_call", "child"), flush=True)
    os._exit(0 if shipper.close(30) else 1)
assert os.waitpid(child, 0)[1] == 0
assert shipper.pending == 1
"""


def test_a_fork_that_runs_no_hooks_is_noticed_all_the_same(togai: FakeTogai) -> None:
    environment = {**os.environ, "TOGAI_API_KEY": "secret", "TOGAI_BASE_URL": togai.url}
    lines = subprocess.check_output(
        [sys.executable, "-c", HOOKLESS], env=environment, text=True, timeout=60
    ).split()

    assert togai.ledger.get(lines[1]).event["accountId"] == "parent"
    assert togai.ledger.get(lines[3]).event["accountId"] == "child"
    assert togai.ledger.metered == 2


def test_track_may_come_from_wherever_track_is_interrupted(togai: FakeTogai) -> None:
    ids = said("reentering.py", togai)

    assert len(set(ids)) == len(ids)
    schemas = [togai.ledger.get(event_id).event["schemaName"] for event_id in ids]
    assert (schemas.count("api_call"), schemas.count("died")) == (20_000, 1_000)
    assert schemas.count("alarm") > 20
    assert schemas.count("log") >= 40
    assert togai.ledger.lost(ids) == set()
    assert togai.ledger.metered == len(ids)
