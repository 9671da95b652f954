"""The simulated world: promises hold in it, it is the same each time, and finds bugs that are put back."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
BUGS = (
    "a 1xx taken as final",
    "a cause is a sentence",
    "a new id on retry",
    "delete before the reply",
    "losses are not told",
    "no hold",
    "no pid check",
    "no wait after the takeover",
    "one clock",
    "proven by age",
    "sends without a fresh lease",
    "settle without the mark",
    "settles before the reply",
    "singles at two thirds",
)


def world(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tests.world", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=1500,
        check=False,
    )


def test_in_the_first_worlds_every_promise_holds() -> None:
    done = world("--seeds", "4")

    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    "seed", ["149", pytest.param("204", marks=pytest.mark.night)]
)  # the latter with a relay
def test_a_world_is_the_same_each_time_it_is_told(seed: str) -> None:
    stories = [world("--story", seed).stdout for _ in range(2)]

    assert "tracks" in stories[0]
    assert stories[0] == stories[1]


@pytest.mark.night
@pytest.mark.parametrize("bug", BUGS)
def test_a_bug_that_is_put_back_is_found_within_2000_seeds(bug: str) -> None:
    done = world("--seeds", "2000", "--bug", bug, "--quiet")

    assert done.returncode == 1, done.stdout + done.stderr
    assert "seed" in done.stdout


@pytest.mark.processes
def test_a_seed_that_fails_is_shrunk_and_tells_its_story() -> None:
    done = world("--seeds", "100", "--bug", "a new id on retry")

    assert done.returncode == 1
    assert "tracks" in done.stdout
    assert "=> " in done.stdout
