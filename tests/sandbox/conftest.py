"""What the sandbox's own tests start from: a bare client, and a clock that a test moves."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import requests
from manual_clock import ManualClock


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def session() -> Iterator[requests.Session]:
    """A client that has the key, and knows nothing of the library."""
    with requests.Session() as session:
        session.trust_env = False
        session.headers["Authorization"] = "Bearer secret"
        yield session
