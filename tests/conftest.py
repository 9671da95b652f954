"""What several test modules start from."""

from __future__ import annotations

import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from togai_shipper import Shipper
from togai_shipper.testing import FakeTogai

KEY = "secret"

QUICK = {"backoff_initial": 0.005, "backoff_max": 0.02, "flush_interval": 0.02, "rate_limit": None}


@pytest.fixture
def togai() -> Iterator[FakeTogai]:
    """A Togai on loopback, without its quota."""
    with FakeTogai(api_key=KEY, rate_limit=None) as fake:
        yield fake


@pytest.fixture
def ship(togai: FakeTogai) -> Iterator[Callable[..., Shipper]]:
    """Make shippers for that Togai, quick ones unless told otherwise; all are closed at the end."""
    made: list[Shipper] = []

    def make(**options: Any) -> Shipper:
        options = {"api_key": KEY, "base_url": togai.url, **QUICK, **options}
        made.append(Shipper(**options))
        return made[-1]

    yield make
    for shipper in made:
        shipper.close(0)


@pytest.fixture
def place_for_all() -> Iterator[Path]:
    """A directory that other users can reach, which pytest's own is not."""
    made = Path(tempfile.mkdtemp(dir="/tmp"))
    made.chmod(0o755)
    yield made
    shutil.rmtree(made)


settings.register_profile("shared machine", deadline=None)  # examples are slow when the neighbours are busy
# The same examples each time: what decides whether a change lands must not hang on luck, nor must coverage.
settings.register_profile("decides", settings.get_profile("shared machine"), derandomize=True)
settings.load_profile("shared machine")

# What a script starts with & ignores Ctrl-C, and so would every process that a test starts, and interrupts.
signal.signal(signal.SIGINT, signal.default_int_handler)
