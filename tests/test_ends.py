"""Every way a process ends, with every kind of server: what was accepted is billed, or told, and in time."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from itertools import product
from pathlib import Path

import attrs
import pytest

from togai_shipper.testing import FakeTogai, faults

pytestmark = pytest.mark.processes

PROGRAM = Path(__file__).parent / "programs" / "ending.py"
CLOSE_TIMEOUT = 1.5  # seconds, of the program's shipper where not all can be delivered
AMPLE = 20.0  # the same where all is to be, threads that track to the very end included
MARGIN = 4.0  # seconds more, for a machine that is busy: it bounds a hang

#: How a process ends, and the exit status that this has.
ENDS = {
    "end of main": 0,
    "sys.exit": 3,
    "exception": 1,
    "interrupt": -signal.SIGINT,
    "sigterm, handled": -signal.SIGTERM,
    "daemon threads": 0,
    "a thread outlives main": 0,
}
WITHOUT_A_WORD = {
    "sigterm, not handled": -signal.SIGTERM,
    "os._exit": 4,
}  # no Python runs: nothing can be promised

SERVERS = {
    "fine": lambda received: None,
    "unavailable": lambda received: faults.Refuse(503),
    "hanging": lambda received: faults.Hang(),
    "dripping its head": lambda received: faults.Drip(1.0, "headers"),
    "dripping its body": lambda received: faults.Drip(1.0),
    "refusing": None,
}


@attrs.frozen
class Ended:
    """What became of a program."""

    status: int
    took: float
    accepted: set[str]
    dropped: set[str]
    error: str
    togai: FakeTogai


def run(how: str, togai: FakeTogai, url: str, close_timeout: float, notes: Path) -> Ended:
    environment = {
        **os.environ,
        "TOGAI_API_KEY": "secret",
        "TOGAI_BASE_URL": url,
        "TOGAI_CLOSE_TIMEOUT": str(close_timeout),
    }
    ended = subprocess.run(
        [sys.executable, str(PROGRAM), how, str(notes)],
        env=environment,
        check=False,
        timeout=60,
        capture_output=True,
        text=True,
    )
    at = time.monotonic()
    lines = [line.split() for line in notes.read_text().splitlines()]
    said = {
        kind: [line[1] for line in lines if line[0] == kind] for kind in ("accepted", "dropped", "ending")
    }
    took = at - float(said["ending"][0])
    return Ended(ended.returncode, took, set(said["accepted"]), set(said["dropped"]), ended.stderr, togai)


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[tuple[str, str], Future[Ended]]]:
    """Every program, four at a time."""
    folder = tmp_path_factory.mktemp("notes")
    with ExitStack() as stack:
        nobody = stack.enter_context(socket.socket())
        nobody.bind(("127.0.0.1", 0))
        pool = stack.enter_context(ThreadPoolExecutor(4))
        runs = {}
        for number, (how, kind) in enumerate(product([*ENDS, *WITHOUT_A_WORD], SERVERS)):
            togai = stack.enter_context(FakeTogai(api_key="secret", rate_limit=None))
            togai.on_request = SERVERS[kind]
            url = togai.url if SERVERS[kind] else f"http://127.0.0.1:{nobody.getsockname()[1]}"
            close_timeout = AMPLE if kind == "fine" else CLOSE_TIMEOUT
            runs[how, kind] = pool.submit(run, how, togai, url, close_timeout, folder / str(number))
        yield runs


@pytest.mark.parametrize("server", SERVERS)
@pytest.mark.parametrize("how", ENDS)
def test_what_was_accepted_is_billed_once_or_told_and_the_end_comes_in_time(
    ended: dict[tuple[str, str], Future[Ended]], how: str, server: str
) -> None:
    it = ended[how, server].result()

    assert it.status == ENDS[how]
    assert len(it.accepted) >= 700
    lost = it.togai.ledger.lost(it.accepted)
    assert it.togai.ledger.billed_twice == set()
    if server == "fine":
        assert it.dropped == lost == set()
        assert it.took < AMPLE
    else:
        assert it.took < CLOSE_TIMEOUT + MARGIN
        told = re.search(r"closed with (\d+) events undelivered", it.error)
        assert told
        assert len(lost) <= int(told[1])
        if how == "daemon threads" and not it.dropped:
            return  # there was no time to decode all that they had tracked by then
        assert lost <= it.dropped
        assert len(it.dropped) == int(told[1])


@pytest.mark.parametrize("server", SERVERS)
@pytest.mark.parametrize("how", WITHOUT_A_WORD)
def test_an_end_at_which_no_python_runs_bills_nothing_twice_and_hangs_nowhere(
    ended: dict[tuple[str, str], Future[Ended]], how: str, server: str
) -> None:
    it = ended[how, server].result()

    assert it.status == WITHOUT_A_WORD[how]
    assert it.togai.ledger.billed_twice == set()
    assert it.took < MARGIN


THREE = """
import logging, time
from togai_shipper import Shipper

logging.basicConfig()
shippers = [Shipper(close_timeout=1.0), Shipper(close_timeout=1.5), Shipper(close_timeout=0.5)]
for shipper in shippers:
    shipper.track("api_call", "acme")
print(time.monotonic())
"""


def test_all_shippers_of_a_process_share_one_deadline_at_its_exit(togai: FakeTogai) -> None:
    togai.on_request = lambda received: faults.Hang()
    environment = {**os.environ, "TOGAI_API_KEY": "secret", "TOGAI_BASE_URL": togai.url}
    ended = subprocess.run(
        [sys.executable, "-c", THREE], env=environment, capture_output=True, text=True, check=True
    )

    assert ended.stderr.count("undelivered and given up") == 3
    assert time.monotonic() - float(ended.stdout) < 1.5 + MARGIN


CHILDREN = """
import multiprocessing, os, sys
from togai_shipper import Shipper

shipper = Shipper(flush_interval=60)

def work(name):
    os.write(1, f"{shipper.track('job', name)}\\n".encode())  # in one piece: others write here, too

if __name__ == "__main__":
    context = multiprocessing.get_context(sys.argv[1])
    work("parent")
    if sys.argv[2] == "process":
        processes = [context.Process(target=work, args=(f"child {n}",)) for n in range(3)]
        for process in processes:
            process.start()
        for process in processes:
            process.join()
    else:
        with context.Pool(2) as pool:
            pool.map(work, [f"child {n}" for n in range(6)])
            pool.close()
            pool.join()
"""


@pytest.mark.parametrize("kind", ["process", "pool"])
@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_children_of_multiprocessing_deliver_when_they_end(
    togai: FakeTogai, tmp_path: Path, method: str, kind: str
) -> None:
    program = tmp_path / "children.py"
    program.write_text(CHILDREN)
    environment = {**os.environ, "TOGAI_API_KEY": "secret", "TOGAI_BASE_URL": togai.url}
    said = subprocess.check_output(
        [sys.executable, str(program), method, kind], env=environment, text=True, timeout=90
    )

    ids = said.split()
    assert len(set(ids)) == len(ids) == (4 if kind == "process" else 7)
    assert togai.ledger.lost(ids) == set()
    assert {togai.ledger.get(event_id).receipts for event_id in ids} == {1}


IGNORED = """
import os, signal, sys, threading
from togai_shipper import Shipper

signal.signal(signal.SIGTERM, signal.SIG_IGN)
shipper = Shipper(handle_sigterm=True, flush_interval=60)
shipper.track("api_call", "acme")
os.kill(os.getpid(), signal.SIGTERM)
while shipper.stats().state != "closed":
    shipper.flush(0.05)
print("goes on")
"""


def test_a_sigterm_that_was_ignored_closes_and_stays_ignored(togai: FakeTogai) -> None:
    environment = {**os.environ, "TOGAI_API_KEY": "secret", "TOGAI_BASE_URL": togai.url}
    said = subprocess.check_output([sys.executable, "-c", IGNORED], env=environment, text=True, timeout=60)

    assert said == "goes on\n"
    assert togai.ledger.metered == 1


LOCKED = """
import logging, os, signal, threading
from togai_shipper import Shipper

handler = logging.StreamHandler()
logging.getLogger().addHandler(handler)
shipper = Shipper(handle_sigterm=True, flush_interval=60)
shipper.track("api_call", "acme")
with handler.lock:  # as if the signal came in the middle of a log line
    os.kill(os.getpid(), signal.SIGTERM)
    threading.Lock().acquire() or threading.Event().wait(60)
    threading.Event().wait(60)
"""


def test_a_sigterm_that_finds_the_main_thread_holding_locks_still_closes(togai: FakeTogai) -> None:
    environment = {**os.environ, "TOGAI_API_KEY": "secret", "TOGAI_BASE_URL": togai.url}
    ended = subprocess.run([sys.executable, "-c", LOCKED], env=environment, check=False, timeout=60)

    assert ended.returncode == -signal.SIGTERM
    assert togai.ledger.metered == 1
