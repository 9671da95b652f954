"""How long a person waits for the command line, beside a program of click's that says hello.

Run: ``python -m benchmarks.command_line``.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from .sections import Goal, Section, run, table

HELLO = "import click\n@click.command()\ndef f(): click.echo('hi')\nf()"
LIMITS = {"--version": 2.2, "--help": 2.6, "spool ls": 3.6}  # times hello: 110, 130, 180 ms where it takes 50
SERVING = "sandbox, until it serves"


def _run(command: list[str], folder: str) -> float:
    start = time.perf_counter()
    subprocess.run(command, check=True, cwd=folder, env=_environment(), stdout=subprocess.DEVNULL)  # noqa: S603  our own
    return time.perf_counter() - start


def _served(command: list[str], folder: str) -> float:
    """Until the line with its URL is there: it listens then."""
    start = time.perf_counter()
    with subprocess.Popen(command, cwd=folder, env=_environment(), stdout=subprocess.PIPE) as process:  # noqa: S603  our own
        assert process.stdout is not None
        process.stdout.readline()
        taken = time.perf_counter() - start
        process.terminate()
        process.stdout.read()
    return taken


def _environment() -> dict[str, str]:
    paths = os.pathsep.join(filter(None, (str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH"))))
    environ = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    return {**environ, "PYTHONPATH": paths, "PYTHONUNBUFFERED": "1"}


def measure(rounds: int) -> Section:
    """Each command in turn, in processes of its own."""
    ours = [sys.executable, "-m", "togai_shipper"]
    with tempfile.TemporaryDirectory() as folder:
        commands = {
            "click's hello": (_run, [sys.executable, "-c", HELLO]),
            "--version": (_run, [*ours, "--version"]),
            "--help": (_run, [*ours, "--help"]),
            "spool ls": (_run, [*ours, "spool", "ls", folder]),
            SERVING: (_served, [*ours, "sandbox", "--port", "0"]),
        }
        taken: dict[str, list[float]] = {name: [] for name in commands}
        for number in range(3 * rounds + 1):
            for name, (how, command) in commands.items():
                seconds = how(command, folder)
                if number:  # in the first round Python may compile
                    taken[name].append(seconds)
    found = {name: statistics.median(some) * 1e3 for name, some in taken.items()}
    hello = found["click's hello"]
    rows = [(name, f"{took:.0f}", f"{took / hello:.1f}x") for name, took in found.items()]
    goals = [
        Goal(f"`togai-shipper {name}`, of click's hello", found[name] / hello, limit, unit="x")
        for name, limit in LIMITS.items()
    ]
    return Section("The command line", table(("command", "ms", "of click's hello"), rows), goals)


if __name__ == "__main__":
    run(measure)
