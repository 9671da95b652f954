"""A Redis of a test's own."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def redis_server() -> Iterator[str]:
    """Start one that keeps nothing; yield the path of its socket."""
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/redis"
        command = ["redis-server", "--port", "0", "--unixsocket", path, "--save", "", "--dir", folder]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout
            assert any("ready to accept connections" in line.lower() for line in process.stdout)
            try:
                yield path
            finally:
                process.kill()
