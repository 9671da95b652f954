"""What several test modules of the relay start from."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from servers import RedisServer, running
from stocked import Relay


@pytest.fixture(scope="module")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with running(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    """A Redis for one test, which may kill it."""
    with running(tmp_path / "redis") as made:
        yield made


@pytest.fixture
def relay(redis_server: RedisServer) -> Relay:
    client = redis_server.client()
    client.config_set("maxmemory", 0)
    client.flushall()
    return Relay(redis_server)
