"""What it takes to send a file of a million lines by the command line: lines a second, and memory.

Run: ``python -m benchmarks.send``. Both commands run as their users run them, the sandbox without its quota.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .contenders import ACCOUNT, DIMENSIONS, NUMBERS, SCHEMA
from .sections import Goal, Section, run, table

COUNTS = (100_000, 1_000_000)  # lines: memory is constant if it is the same for both
TOGAI = (sys.executable, "-m", "togai_shipper")


def _write(path: Path, count: int) -> None:
    event = {"schema_name": SCHEMA, "account_id": ACCOUNT, "attributes": NUMBERS, "dimensions": DIMENSIONS}
    with path.open("w") as lines:
        for number in range(count):
            stamp = f"2026-01-31T{number // 3600 % 24:02d}:{number // 60 % 60:02d}:{number % 60:02d}Z"
            lines.write(json.dumps({**event, "timestamp": stamp, "id": f"line {number}"}) + "\n")


@contextmanager
def _sandbox() -> Iterator[str]:
    command = [*TOGAI, "sandbox", "--port", "0", "--no-quota", "--quiet"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603  our own
        assert process.stdout is not None
        found = None
        while found is None:
            found = re.search(r"http://\S+:\d+", process.stdout.readline())
        try:
            yield found[0]
        finally:
            process.terminate()


def sent(count: int, *options: str) -> tuple[float, float]:
    """Lines a second, and the most megabytes that the command held."""
    with tempfile.TemporaryDirectory(dir=os.environ.get("BENCHMARK_DIR")) as folder, _sandbox() as url:
        path = Path(folder, "usage.ndjson")
        _write(path, count)
        environment = {
            **os.environ,
            "TOGAI_API_KEY": "sandbox",
            "TOGAI_BASE_URL": url,
            "TOGAI_RATE_LIMIT": "none",
        }
        given = [arg.format(folder=folder) for arg in options]
        begun = time.monotonic()
        process = subprocess.Popen(  # noqa: S603  our own
            [*TOGAI, "send", "--json", *given, str(path)],
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        assert process.returncode == 0
        return count / (time.monotonic() - begun), used.ru_maxrss / 1024


def measure(_: int) -> Section:
    """Once each: a run is long."""
    rows, found = [], {}
    for spool in (("--spool", "{folder}/spool"), ("--no-spool",)):
        for count in COUNTS:
            found[spool[0], count] = rate, most = sent(count, *spool)
            rows.append((f"{count:,} lines, {spool[0].strip('-')}", f"{rate:,.0f}", f"{most:.0f}"))
    rate, most = found["--spool", COUNTS[-1]]
    goals = [
        Goal("`send` of a million lines with the spool, lines/s", rate, 25_000, at_least=True),
        Goal("its memory", most, 150, unit=" MB"),
    ]
    return Section("Sending a file", table(("togai-shipper send", "lines/s", "MB at most"), rows), goals)


if __name__ == "__main__":
    run(measure)
