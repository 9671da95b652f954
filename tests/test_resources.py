"""A normal end leaves nothing open: Python in development mode, where a leak is an error, stays silent."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from togai_shipper.testing import FakeTogai, faults

pytestmark = pytest.mark.processes

BEGIN = """
import asyncio, gc, os, sys, threading, time
import togai_shipper
from togai_shipper import Shipper

def made():
    return Shipper(flush_interval=0.05, spool=os.environ.get("TOGAI_SPOOL"))

def track(shipper, count=3):
    for _ in range(count):
        shipper.track("api_call", "acme", {"count": 1})

def ended(pipeline):
    return pipeline.health.state == "closed" and not pipeline.flushers.alive

shipper = made()
"""

ENDS = {
    "close": "track(shipper); shipper.close()",
    "flush, then close": "track(shipper); shipper.flush(); track(shipper, 600); shipper.close()",
    "close without time": "track(shipper); shipper.close(0)",
    "exit": "track(shipper)",
    "exit after a flush": "track(shipper); shipper.flush()",
    "exit with more after a flush": "track(shipper); shipper.flush(); track(shipper)",
    "with": "\nwith shipper:\n    track(shipper)",
    "async with": """
async def main():
    async with shipper:
        track(shipper)

asyncio.run(main())
""",
    "the default shipper": "togai_shipper.track('api_call', 'acme')",
    "unused": "",
    "collected unused": "del shipper",
    "collected": "track(shipper); shipper.flush(); del shipper; time.sleep(0.2)",
    "collected just before the exit": "track(shipper); shipper.flush(); del shipper",
    "sys.exit": "track(shipper); sys.exit()",
    "sys.exit in a thread": """
def work():
    track(shipper)
    sys.exit()

thread = threading.Thread(target=work)
thread.start()
""",
    "a child": """
track(shipper)
if os.fork():
    os.wait()
track(shipper)
""",
    "two shippers": "other = made(); track(shipper); track(other); shipper.close()",
    "a receipt": "shipper.submit('api_call', 'acme'); shipper.close()",
}


FAILING = ("close", "exit", "exit with more after a flush", "collected")


@pytest.mark.parametrize("where", ["memory", "spool"])
@pytest.mark.parametrize(
    ("end", "server"),
    [*((end, "well") for end in ENDS), *((end, how) for end in FAILING for how in ("unavailable", "gone"))],
)
def test_nothing_is_left_open(togai: FakeTogai, tmp_path: Path, end: str, where: str, server: str) -> None:
    if server == "unavailable":
        togai.on_request = lambda received: faults.Refuse(503)
    elif server == "gone":
        togai.stop()
    environment = {
        **os.environ,
        "TOGAI_API_KEY": "secret",
        "TOGAI_BASE_URL": togai.url,
        "TOGAI_CLOSE_TIMEOUT": "0.7",
        **({"TOGAI_SPOOL": str(tmp_path)} if where == "spool" else {}),
    }
    program = [sys.executable, "-X", "dev", "-W", "error::ResourceWarning", "-c", BEGIN + ENDS[end]]
    done = subprocess.run(program, env=environment, capture_output=True, text=True, check=False, timeout=60)

    said = [line for line in done.stderr.splitlines() if not line.startswith("closed with ")]
    if server != "well" and "collected" in end:  # with events pending, that is told as an unclosed shipper
        said = [line for line in said if "unclosed <socket" in line or "unclosed database" in line]
    assert (said, done.returncode) == ([], 0)
