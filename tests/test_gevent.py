"""Under gevent, patched before the package is imported, after it, and after a shipper was made.

In processes of their own, for a patch cannot be taken back.
"""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from togai_shipper.testing import FakeTogai, faults

PATCH = "from gevent import monkey; monkey.patch_all()\n"
IMPORT = "from togai_shipper import Shipper\n"
MAKE = "shipper = Shipper(flush_interval=60, batch_size=100)\n"

# Tracks, and ticks while the replies are awaited. Standard output: that it has ticked, then the ids.
USE = """
import gevent

def tick():
    for _ in range(20):
        gevent.sleep(0.001)
    print("ticked while waiting:", not waiting.ready(), flush=True)

ids = []
def track():
    for _ in range(50):
        ids.append(shipper.track("api_call", "acme"))
        gevent.sleep(0)

gevent.joinall([gevent.spawn(track) for _ in range(10)], raise_error=True)
"""
WAIT = """
waiting = gevent.spawn(getattr(shipper, "{method}"), 20)
gevent.spawn(tick)
assert waiting.get()
print(*ids, flush=True)
"""
EXIT = """
print(*ids, flush=True)
"""

orders = pytest.mark.parametrize(
    "beginning",
    [PATCH + IMPORT + MAKE, IMPORT + PATCH + MAKE, IMPORT + MAKE + PATCH],
    ids=["patched before import", "patched after import", "patched after a shipper was made"],
)


def started(togai: FakeTogai, program: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "TOGAI_API_KEY": "secret", "TOGAI_BASE_URL": togai.url}
    ignoring = "ignore:Monkey-patching ssl"  # gevent's word on urllib3 being imported; plain http here
    return subprocess.Popen(
        [sys.executable, "-W", ignoring, "-c", program],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@orders
@pytest.mark.parametrize("method", ["flush", "close"])
def test_other_greenlets_run_while_a_slow_reply_is_awaited_and_nothing_is_lost(
    togai: FakeTogai, beginning: str, method: str
) -> None:
    togai.script(faults.Hold())
    with started(togai, beginning + USE + WAIT.format(method=method)) as process:
        assert process.stdout is not None
        try:
            told = process.stdout.readline()
            assert togai.wait(lambda: togai.requests, 60)  # what comes after it would be held for ever
            togai.release()
            output, errors = process.communicate(timeout=60)
        finally:
            process.kill()

    assert (told, errors, process.returncode) == ("ticked while waiting: True\n", "", 0)
    ids = output.split()
    assert (len(ids), togai.ledger.metered) == (500, 500)
    assert togai.ledger.lost(ids) == set()
    assert togai.ledger.accepted == 500


@orders
def test_the_end_of_the_program_delivers_what_is_pending(togai: FakeTogai, beginning: str) -> None:
    with started(togai, beginning + USE + EXIT) as process:
        try:
            output, errors = process.communicate(timeout=60)
        finally:
            process.kill()

    assert (errors, process.returncode) == ("", 0)
    ids = output.split()
    assert (len(ids), togai.ledger.metered) == (500, 500)
    assert togai.ledger.lost(ids) == set()
    assert togai.ledger.accepted == 500
