"""Another process reads a spool's file, and stays, or has locked it."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from spooled import files, on_disk

from togai_shipper import Shipper
from togai_shipper.testing import FakeTogai

pytestmark = pytest.mark.processes

MOST = 5_000_000  # bytes that the spool may take
SLACK = 3_000_000  # bytes: a -wal that nobody keeps, and some commits
ROUNDS = 400  # of events; what has not come about then never does
PROGRAM = """
import sqlite3, sys
connection = sqlite3.connect(f"file:{sys.argv[1]}?mode=rw", uri=True, isolation_level=None)
connection.execute(sys.argv[2])
print(connection.execute("SELECT count(*) FROM event").fetchone(), flush=True)
sys.stdin.read()
"""


@contextmanager
def other(path: Path, statement: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run a process that begins a transaction in this file, and stays in it."""
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(path), statement], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdin
    assert process.stdout
    assert process.stdout.readline()
    with process:
        try:
            yield process
        finally:
            process.kill()


def track(shipper: Shipper, count: int) -> None:
    for _ in range(count):
        assert shipper.track("api_call", "acme", {"n": 1}, {"a": "x" * 190, "b": "y" * 190})


@pytest.fixture
def shipper(ship: Callable[..., Shipper], folder: Path) -> Shipper:
    made = ship(spool=str(folder), max_spool_bytes=MOST)
    track(made, 1)
    assert made.sync(10)
    return made


def test_a_reader_that_stays_costs_a_bounded_room_and_no_event(
    togai: FakeTogai, shipper: Shipper, folder: Path
) -> None:
    rounds = iter(range(ROUNDS))
    with other(files(folder)[0], "BEGIN"):
        while shipper.stats().durable:
            next(rounds)
            track(shipper, 200)
            assert shipper.flush(10)
            assert on_disk(folder) < MOST + SLACK
        track(shipper, 2000)
        assert shipper.flush(30)
        assert on_disk(folder) < MOST + SLACK
        assert "another program reads it" in str(shipper.stats().last_error)
        assert not shipper.healthy
    deadline = time.monotonic() + 10
    while not shipper.sync(1):
        assert time.monotonic() < deadline
        track(shipper, 1)
        shipper.flush(1)
    assert shipper.healthy
    assert shipper.close(10)
    assert togai.ledger.metered == shipper.stats().accepted
    assert files(folder) == []


def test_a_lock_that_stays_costs_no_event_and_little_time(
    togai: FakeTogai, shipper: Shipper, folder: Path
) -> None:
    with other(files(folder)[0], "BEGIN IMMEDIATE"):
        for _ in range(3):
            track(shipper, 10)
            assert shipper.flush(4)  # less than SQLite waits where it is not told otherwise
        assert "another program has locked it" in str(shipper.stats().last_error)
    assert shipper.close(10)
    assert togai.ledger.metered == shipper.stats().accepted
