"""What it takes to send files by the command line: lines a second on one CPU, and memory.

Run: ``python -m benchmarks.send``. The command runs as its users run it, on one CPU; what writes its lines
and takes its events is on another. Whatever varies from line to line in files of customers varies here, too.
Beside it stands ``json.loads`` of each line, alone, in a process of its own.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import attrs

from .contenders import SCHEMA
from .rounds import cpus
from .sections import Goal, Section, run, table
from .sink import sink

FEW, MANY, VERY_MANY = 100_000, 1_000_000, 10_000_000  # lines: memory is constant if it is the same for all
ACCOUNTS = 5_000
REGIONS = ("eu-west-1", "eu-central-1", "us-east-1", "ap-south-1")
TOGAI = (sys.executable, "-m", "togai_shipper", "send", "--json")
NOTE = (
    "From the start of the process to its end. Where the CPU does other work, too, lines a second of the"
    " clock are fewer than of its time: the goals are for its time."
)
HEADER = (
    "schema_name,account_id,timestamp,attributes.count,attributes.latency,attributes.latency.unit,"
    "dimensions.region,dimensions.endpoint\n"
)
ALONE = """
import json, sys
for line in open(sys.argv[1], "rb"):
    json.loads(line)
"""


@attrs.frozen
class Run:
    """What one process took."""

    lines: int
    seconds: float
    cpu: float  # seconds
    most: float  # megabytes

    @property
    def rate(self) -> float:
        """Lines a second of a CPU, its start and end included."""
        return self.lines / self.cpu

    def row(self, what: str) -> tuple[str, str, str, str, str]:
        """It as a row of a table."""
        microseconds, passed = self.cpu / self.lines * 1e6, self.lines / self.seconds
        return what, f"{microseconds:.1f}", f"{self.rate:,.0f}", f"{passed:,.0f}", f"{self.most:.0f}"


def _events(count: int) -> Iterator[tuple[str, str, int, float, str, str]]:
    chosen = random.Random(7)  # noqa: S311  no secrets
    whole, part = chosen.randrange, chosen.random
    for number in range(count):
        second = number * 86_400 // count
        clock = f"{second // 3600:02d}:{second // 60 % 60:02d}:{second % 60:02d}.{whole(1000):03d}"
        yield (
            f"customer-{whole(ACCOUNTS)}",
            f"2026-01-{1 + whole(31):02d}T{clock}Z",
            whole(1, 1000),
            round(part() * 500, 3),
            REGIONS[whole(4)],
            f"/v1/things/{whole(200)}",
        )


def _ndjson(count: int) -> Iterator[str]:
    for account, stamp, calls, latency, region, endpoint in _events(count):
        event = {
            "schema_name": SCHEMA,
            "account_id": account,
            "timestamp": stamp,
            "attributes": {"count": calls, "latency": [latency, "Milliseconds"]},
            "dimensions": {"region": region, "endpoint": endpoint},
        }
        yield json.dumps(event) + "\n"


def _csv(count: int) -> Iterator[str]:
    yield HEADER
    for account, stamp, calls, latency, region, endpoint in _events(count):
        yield f"{SCHEMA},{account},{stamp},{calls},{latency},Milliseconds,{region},{endpoint}\n"


LINES = {"ndjson": _ndjson, "csv": _csv}


@contextmanager
def _on(cpu: int | None) -> Iterator[None]:
    """Run what is started here on this CPU alone."""
    before = os.sched_getaffinity(0)
    if cpu is not None:
        os.sched_setaffinity(0, {cpu})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def _run(count: int, command: list[str], piped: Iterator[str] | None = None, **variables: str) -> Run:
    ours, theirs = cpus()
    environment = {**os.environ, "TOGAI_API_KEY": "secret", "TOGAI_RATE_LIMIT": "none", **variables}
    begun = time.monotonic()
    with _on(ours):
        process = subprocess.Popen(  # noqa: S603  our own
            command,
            env=environment,
            stdin=subprocess.PIPE if piped else subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            text=True,
        )
    if piped:
        assert process.stdin is not None
        with _on(theirs), process.stdin as pipe:
            pipe.writelines(piped)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    seconds = time.monotonic() - begun
    return Run(count, seconds, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024)


def sent(path: Path, count: int, *options: str) -> Run:
    """Send a file to a sink."""
    with (
        tempfile.TemporaryDirectory(dir=os.environ.get("BENCHMARK_DIR")) as state,
        sink(cpu=cpus()[1]) as togai,
    ):
        found = _run(count, [*TOGAI, *options, str(path)], TOGAI_BASE_URL=togai.url, XDG_STATE_HOME=state)
        assert togai.count().events == (0 if "--dry-run" in options else count)
        return found


def measure(_: int) -> Section:
    """Once each: a run is long."""
    found: dict[str, Run] = {}
    with tempfile.TemporaryDirectory(dir=os.environ.get("BENCHMARK_DIR")) as folder:
        for form, written in LINES.items():
            for count in (FEW, MANY):
                path = Path(folder, f"usage.{form}")
                with path.open("w") as file:
                    file.writelines(written(count))
                named = f"{count:,} lines of {form.upper()}"
                if form == "ndjson":
                    command = [sys.executable, "-c", ALONE, str(path)]
                    found[f"json.loads alone, {named}"] = _run(count, command)
                found[f"send --dry-run, {named}"] = sent(path, count, "--dry-run")
                found[f"send, {named}"] = sent(path, count)
                found[f"send --no-spool, {named}"] = sent(path, count, "--no-spool")
        piped = [*TOGAI, "--dry-run", "--job", "x", "--format", "csv", "-"]
        last = f"send --dry-run, {VERY_MANY:,} lines of CSV by a pipe"
        found[last] = _run(VERY_MANY, piped, _csv(VERY_MANY), XDG_STATE_HOME=folder)
    lines = f"{MANY:,} lines of NDJSON"
    goals = [
        Goal(
            f"`send` of {lines} with the spool, lines/s of CPU",
            found[f"send, {lines}"].rate,
            25_000,
            at_least=True,
        ),
        Goal(
            "`send --dry-run` of them, lines/s of CPU",
            found[f"send --dry-run, {lines}"].rate,
            60_000,
            at_least=True,
        ),
        Goal("memory of `send`, of them", found[f"send, {lines}"].most, 150, unit=" MB"),
        Goal(f"memory of `send --dry-run`, of {VERY_MANY:,} lines", found[last].most, 150, unit=" MB"),
    ]
    heads = ("one process, on one CPU", "us of CPU a line", "lines/s of CPU", "lines/s", "MB at most")
    text = table(heads, (one.row(what) for what, one in found.items()))
    return Section("Sending a file", f"{NOTE}\n\n{text}", goals)


if __name__ == "__main__":
    run(measure)
