"""Signals sent to real processes that have threads of ours: the application gets them, and nobody else."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from togai_shipper.testing import FakeTogai

pytestmark = pytest.mark.processes

BEGIN = """
import logging, os, signal, socket, subprocess, sys, threading, time
from togai_shipper import Shipper

signal.alarm(50)  # the watchdog
logging.basicConfig()

def say(*words):
    os.write(1, (" ".join(map(str, words)) + "\\n").encode())

def blocked(thread):
    with open(f"/proc/self/task/{thread}/status") as status:
        return next(int(line.split()[1], 16) for line in status if line.startswith("SigBlk"))
"""


def run(program: str, togai: FakeTogai, **environment: str) -> list[str]:
    """Run a program to its end, which has to be a good one; return what it said."""
    told = {"TOGAI_API_KEY": "secret", "TOGAI_BASE_URL": togai.url, "TOGAI_FLUSH_INTERVAL": "0.05"}
    done = subprocess.run(
        [sys.executable, "-c", BEGIN + program],
        env={**os.environ, **told, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, (done.returncode, done.stdout, done.stderr)
    return done.stdout.splitlines()


THREADS = """
shipper = Shipper(spool=os.environ["SPOOL"])
shipper.track("api_call", "acme")
assert shipper.flush(10)
while True:
    ours = [thread for thread in os.listdir("/proc/self/task") if int(thread) != os.getpid()]
    masks = {blocked(thread) for thread in ours}
    if len(ours) >= 2 and len(masks) == 1:
        break
(mask,) = masks
for name in ("TERM", "INT", "PIPE", "ALRM", "CHLD", "USR1", "RTMAX"):
    assert mask >> (getattr(signal, f"SIG{name}") - 1) & 1, name
for name in ("SEGV", "BUS", "FPE", "ILL", "ABRT"):
    assert not mask >> (getattr(signal, f"SIG{name}") - 1) & 1, name
say("main", blocked(os.getpid()))
shipper.close()
"""


def test_flushers_and_the_spools_writer_block_signals_and_the_main_thread_does_not(
    togai: FakeTogai, tmp_path: Path
) -> None:
    assert run(THREADS, togai, SPOOL=str(tmp_path / "spool")) == ["main 0"]


WAITING = """
shipper = Shipper()
shipper.track("api_call", "acme")
assert shipper.flush(10)
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1})
subprocess.Popen(["sh", "-c", "for n in HUP USR1 TERM; do kill -$n $PPID; sleep 0.2; done"])
for _ in range(3):
    say(signal.sigwait({signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1}).name)
say(bool(shipper.close()))
"""


def test_a_program_that_waits_for_signals_gets_each(togai: FakeTogai) -> None:
    assert run(WAITING, togai) == ["SIGHUP", "SIGUSR1", "SIGTERM", "True"]


CHILDREN = """
children = {}

def start(name):
    children[name] = subprocess.Popen(["sleep", "50"])

def key():
    start("api_key")
    return "secret"

shipper = Shipper(key, on_delivered=lambda events: start("on_delivered"))
receipt = shipper.submit("api_call", "acme")
receipt.add_done_callback(lambda outcome: start("receipt"))
assert receipt.result(20)
shipper.close()
for name, child in sorted(children.items()):
    child.terminate()
    say(name, child.wait(10))
"""


def test_a_process_that_a_function_of_the_application_starts_can_be_terminated(togai: FakeTogai) -> None:
    assert run(CHILDREN, togai) == [
        f"{name} {-signal.SIGTERM}" for name in ("api_key", "on_delivered", "receipt")
    ]


RESETTING = """
signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # so that | head works
server = socket.create_server(("127.0.0.1", 0))
server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
count = 0

def serve():
    global count
    while True:
        connection, _ = server.accept()
        connection.recv(1000)  # the head; then it goes away, while the body still comes
        connection.shutdown(socket.SHUT_WR)
        time.sleep(0.05)
        connection.close()
        count += 1

threading.Thread(target=serve, daemon=True).start()
url = f"http://127.0.0.1:{server.getsockname()[1]}"
options = dict(base_url=url, backoff_initial=0.01, backoff_max=0.02, max_batch_bytes=8_000_000)
shipper = Shipper(**options)
if os.environ["WHERE"] == "caller":
    import _thread
    def refuse(*_):
        raise RuntimeError("can't start new thread")
    _thread.start_new_thread = refuse  # as where memory is short
for _ in range(1000):
    shipper.track("api_call", "acme", {"count": 1}, {f"d{n}": "x" * 200 for n in range(60)})
while count < 5:
    shipper.flush(0.5)
say("alive", shipper.pending)
assert signal.SIGPIPE not in signal.pthread_sigmask(signal.SIG_BLOCK, ())
shipper.close(0.1)
"""


@pytest.mark.parametrize("where", ["flusher", "caller"])
def test_a_server_that_goes_away_in_the_middle_of_a_request_ends_no_process_that_takes_sigpipe_so(
    togai: FakeTogai, where: str
) -> None:
    assert run(RESETTING, togai, WHERE=where) == ["alive 1000"]
