"""All of it, into ``RESULTS.md``: ``python -m benchmarks``, an hour; ``--rounds 1`` for a look."""

from __future__ import annotations

import argparse
import os
import platform
import time
from contextlib import suppress
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from togai_shipper._plural import counted

from . import (
    beside,
    calls,
    command_line,
    cost,
    culprits,
    curves,
    fleet,
    growth,
    imports,
    intervals,
    journal,
    lookups,
    memory,
    relay,
    send,
    spool,
    spool_curves,
    throughput,
    track,
    verify,
)
from .contenders import absent
from .rounds import PEER_ROUNDS
from .sections import Section, goals_table

SCRIPTS = (
    track,
    calls,
    cost,
    throughput,
    memory,
    growth,
    curves,
    imports,
    command_line,
    beside,
    spool,
    spool_curves,
    journal,
    send,
    verify,
    lookups,
    relay,
    intervals,
    culprits,
    fleet,
)
RESULTS = Path(__file__).with_name("RESULTS.md")
PEERS_TXT = Path(__file__).with_name("peers.txt")


def _machine() -> str:
    cpu_info = Path("/proc/cpuinfo").read_text().splitlines()
    model = next((line.partition(":")[2].strip() for line in cpu_info if "model name" in line), "")
    packages = ["togai-shipper", "requests", "urllib3", *peers_txt()]
    return ", ".join(
        [
            f"{datetime.now(timezone.utc):%Y-%m-%d}",
            f"{platform.python_implementation()} {platform.python_version()}",
            f"{platform.system()} {platform.release()}",
            f"{len(os.sched_getaffinity(0))} CPUs {model or platform.machine()}",
            *(f"{name} {version(name)}" for name in packages),
        ]
    )


def peers_txt() -> list[str]:
    """The distributions of the peers that are installed."""
    found = []
    for line in PEERS_TXT.read_text().splitlines() if PEERS_TXT.exists() else ():
        name = line.partition("#")[0].partition("=")[0].strip()
        with suppress(PackageNotFoundError):
            if name and version(name):
                found.append(name)
    return found


def main() -> None:
    """Run all, and write what was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    sections: list[Section] = []
    for script in SCRIPTS:
        start = time.monotonic()
        sections.append(script.measure(rounds))
        print(f"{script.__name__}: {time.monotonic() - start:.0f} s\n\n{sections[-1].text}\n", flush=True)
    goals = [goal for section in sections for goal in section.goals]
    text = "\n\n".join(
        [
            "# Results",
            f"Written by `python -m benchmarks`: {_machine()}.",
            f"Medians of {counted(rounds, 'round')} (of peers {min(rounds, PEER_ROUNDS)}), all in turn in "
            f"one run; each on one CPU, the server on another. {absent()}".rstrip(),
            "## Goals",
            goals_table(goals),
            *(f"## {section.title}\n\n{section.text}" for section in sections),
        ]
    )
    RESULTS.write_text(text + "\n")
    print(goals_table(goals))


if __name__ == "__main__":
    main()
