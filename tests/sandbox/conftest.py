"""What the sandbox's own tests start from: a sandbox on a clock that the test moves, and a bare client."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import requests
from manual_clock import ManualClock

from togai_shipper.testing import FakeTogai


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def togai(clock: ManualClock) -> Iterator[FakeTogai]:
    """A sandbox without quotas, on the clock that the test moves."""
    with FakeTogai(clock=clock, rate_limit=None, other_rate_limit=None) as togai:
        yield togai


@pytest.fixture
def session() -> Iterator[requests.Session]:
    """A client that has the key, and knows nothing of the library."""
    with requests.Session() as session:
        session.trust_env = False
        session.headers["Authorization"] = "Bearer secret"
        yield session
