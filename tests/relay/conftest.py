"""What several test modules of the relay start from."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from servers import RedisServer, running
from stocked import Relay


@pytest.fixture(scope="module")
def one_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with running(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture
def relay(one_redis: RedisServer) -> Relay:
    client = one_redis.client()
    client.config_set("maxmemory", 0)
    client.flushall()
    return Relay(one_redis)
