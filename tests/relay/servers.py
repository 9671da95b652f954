"""Real redis-servers, which tests start, kill and start again."""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
import redis

REDIS = shutil.which("redis-server")
needs_redis = pytest.mark.skipif(REDIS is None, reason="needs redis-server (Debian's package of that name)")
PATIENCE = 20.0


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


class RedisServer:
    """One redis-server, with a port and a directory that stay when it is started again."""

    def __init__(self, directory: Path, *options: str, port: int | None = None) -> None:
        self.directory = directory
        self.port = port or free_port()
        self.options = options
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}"

    def client(self) -> redis.Redis:
        return redis.Redis(port=self.port, socket_timeout=PATIENCE)

    def start(self, *more: str) -> None:
        assert REDIS
        self.directory.mkdir(exist_ok=True)
        durable = ("--appendonly", "yes", "--appendfsync", "always", "--save", "")
        place = ("--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.directory))
        self._process = subprocess.Popen(
            [REDIS, *place, *durable, *self.options, *more], stdout=subprocess.DEVNULL
        )
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                self.client().ping()
            except redis.exceptions.RedisError:
                assert time.monotonic() < deadline, "redis-server does not start"
                assert self._process.poll() is None, "redis-server has ended"
                time.sleep(0.01)  # between looks at a server that rings nowhere
            else:
                return

    def signal(self, number: int) -> None:
        assert self._process
        self._process.send_signal(number)

    def kill(self) -> None:
        assert self._process
        self._process.kill()
        self._process.wait(PATIENCE)

    def freeze(self) -> None:
        self.signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self.signal(signal.SIGCONT)

    def come_back_empty(self) -> None:
        self.kill()
        shutil.rmtree(self.directory)
        self.start()

    def stop(self) -> None:
        if self._process and self._process.poll() is None:
            self.thaw()
            self.kill()


@contextmanager
def running(directory: Path, *options: str) -> Iterator[RedisServer]:
    server = RedisServer(directory, *options)
    try:
        yield server
    finally:
        server.stop()


def until(is_so: Callable[[], object], patience: float = PATIENCE) -> None:
    """Look again and again, at servers that ring nowhere, until it is so; an error of Redis is a no."""
    deadline = time.monotonic() + patience
    while True:
        with suppress(redis.exceptions.RedisError):
            if is_so():
                return
        assert time.monotonic() < deadline, "it never comes true"
        time.sleep(0.02)  # between looks at what rings nowhere
