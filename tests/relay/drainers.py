"""Drainers as processes on one relay: started, killed, stopped, and judged by the server's own record."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from servers import RedisServer, until

from togai_shipper.relay.errors import RelayError
from togai_shipper.relay.journal_reading import read_relay_journal
from togai_shipper.relay.link import Link
from togai_shipper.testing import FakeTogai

PATIENCE = 60.0


class Drainers:
    """Some processes, and their relay."""

    def __init__(self, togai: FakeTogai, server: RedisServer, folder: Path) -> None:
        self.togai = togai
        self.server = server
        self.link = Link(server.url, "togai")
        self._folder = folder
        self._processes: list[subprocess.Popen[bytes]] = []

    def start(self, *arguments: str, relay: str = "", **environment: str) -> subprocess.Popen[bytes]:
        number = len(self._processes)
        with (self._folder / f"{number}.said").open("wb") as said:
            process = subprocess.Popen(
                [sys.executable, "-m", "togai_shipper", "drain", *arguments, relay or self.server.url],
                env={
                    **os.environ,
                    "TOGAI_API_KEY": "secret",
                    "TOGAI_BASE_URL": self.togai.url,
                    # Requests bunch on their way where a machine has no time, and what arrives is counted.
                    "TOGAI_RATE_LIMIT": "35",
                    **environment,
                },
                stdout=said,
                stderr=subprocess.STDOUT,
            )
        self._processes.append(process)
        return process

    def said(self) -> str:
        return "\n".join(path.read_text() for path in sorted(self._folder.glob("*.said")))

    def leader(self) -> subprocess.Popen[bytes] | None:
        """Who has the lease, if it lives."""
        try:
            _, said = self.link.lease("look", "nobody")
        except RelayError:
            return None
        parts = said.split("/")
        pid = int(parts[1]) if len(parts) == 3 else 0
        return next((each for each in self._processes if each.pid == pid and each.poll() is None), None)

    def await_leader(self) -> subprocess.Popen[bytes]:
        until(self.leader, PATIENCE)
        leader = self.leader()
        assert leader
        return leader

    def await_empty(self, left: int = 0) -> None:
        def is_empty() -> bool:
            try:
                return self.link.length() == left
            except RelayError:
                return False

        until(is_empty, PATIENCE)

    def end(self) -> None:
        for process in self._processes:
            process.send_signal(signal.SIGCONT)
            process.kill()
            process.wait()
        self.link.close()


@contextmanager
def drainers(togai: FakeTogai, server: RedisServer, folder: Path) -> Iterator[Drainers]:
    made = Drainers(togai, server, folder)
    try:
        yield made
    finally:
        made.end()


def judge(those: Drainers, ids: Collection[str], lost: int = 0, link: Link | None = None) -> None:
    """``link``: to the Redis that is left, where that is another one."""
    ledger = those.togai.ledger
    assert (len(ledger.lost(ids)), ledger.billed_twice, ledger.metered) == (lost, set(), len(ids) - lost)
    found = read_relay_journal(link or those.link, "togai")
    delivered = sum(each.count for each in found.counts if each.fate == "delivered")
    assert delivered >= ledger.metered or found.doubts, "what the journal does not count, it says"
    assert busiest_second(those.togai) <= 50
    assert 429 not in [request.status for request in those.togai.requests]


def busiest_second(togai: FakeTogai) -> int:
    """The most requests that came in any second, by the server's own record."""
    times = [request.at for request in togai.requests]
    first, most = 0, 0
    for last, at in enumerate(times):
        while times[first] <= at - 1.0:
            first += 1
        most = max(most, last - first + 1)
    return most
