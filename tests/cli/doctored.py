"""A network for the tests of ``togai-shipper doctor``, where all is well unless told otherwise."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Iterator
from datetime import datetime, timezone
from email.utils import format_datetime
from pathlib import Path
from typing import Any

from click.testing import CliRunner

from togai_shipper.cli.app import cli
from togai_shipper.cli.doctor.check import Check
from togai_shipper.cli.doctor.world import ServerReply, World

KEY = "a-secret-key"
URL = "https://api.togai.com"
NOW = 1_800_000_000.0
DATE = format_datetime(datetime.fromtimestamp(NOW, timezone.utc), usegmt=True)
CERTIFICATE = Path(__file__).parents[1] / "loopback.pem"  # of localhost, self-signed; its key opens nothing


class Net:
    """A network where all is well, unless told otherwise; it notes what is asked."""

    def __init__(self, answer: ServerReply | None = None) -> None:
        self.asked: list[tuple[str, str | None]] = []
        self.ends: list[socket.socket] = []
        self._answer = answer or ServerReply(404, DATE)

    def connect(self, _host: str, _port: int) -> socket.socket:
        here, there = socket.socketpair()
        self.ends.append(there)
        return here

    def ask(self, url: str, key: str | None) -> ServerReply:
        self.asked.append((url, key))
        return self._answer

    def world(self, **changes: Any) -> World:
        facts: dict[str, Any] = {
            "addresses": lambda host, port: ["192.0.2.1"],
            "connect": self.connect,
            "handshake": lambda connection, host: {"notAfter": "Jan  1 00:00:00 2100 GMT"},
            "lacking": str,
            "ask": self.ask,
            "proxy_of": lambda url: None,
            "now": lambda: NOW,
            "free": lambda path: 10**12,
            "installed": {"requests": "2.34.2", "urllib3": "2.8.0"}.get,
        }
        return World(**(facts | changes))


def run(world: World, *arguments: object, **environ: str | None) -> Any:
    alone = {name: None for name in os.environ if name.upper().startswith("TOGAI_")}
    env = {**alone, "TOGAI_API_KEY": KEY, **environ}
    return CliRunner().invoke(cli, ["doctor", *map(str, arguments)], env=env, obj=world)


def fails(*_: object) -> Any:
    raise OSError(errno.ECONNREFUSED, "Connection refused")


def levels(found: Iterator[Check]) -> list[tuple[str, str]]:
    return [(check.level, check.name) for check in found]
