"""A server as its users start it: a process of its own, served on loopback, ended with all its children."""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import requests

from togai_shipper.testing import FakeTogai

APPS = Path(__file__).parent / "apps"
BIN = Path(sys.executable).parent
PATIENCE = 30.0  # seconds after which a test has failed


class Notes:
    """What a server's processes have tracked, in their own words, by a named pipe: so it can be awaited."""

    def __init__(self, path: Path) -> None:
        os.mkfifo(path)
        self.path = path
        self._pipe = os.open(path, os.O_RDWR | os.O_NONBLOCK)  # a writer too: it never ends
        self._rest = b""
        self.all: list[dict[str, Any]] = []

    def read(self, timeout: float = 0.0) -> None:
        """Take in what there is, waiting for something if need be."""
        if select.select([self._pipe], [], [], timeout)[0]:
            *lines, self._rest = (self._rest + os.read(self._pipe, 1 << 16)).split(b"\n")
            self.all += map(json.loads, lines)

    def wait(self, predicate: Callable[[], bool]) -> None:
        """Read until the predicate is true."""
        until = time.monotonic() + PATIENCE
        while not predicate():
            left = until - time.monotonic()
            assert left > 0, self.all
            self.read(left)

    def ids(self, *pids: int) -> set[str]:
        """What was tracked, by these processes or by all."""
        return {event for note in self.all if not pids or note["pid"] in pids for event in note["ids"]}

    @property
    def pids(self) -> set[int]:
        """The processes that tracked anything."""
        return {note["pid"] for note in self.all}

    def close(self) -> None:
        os.close(self._pipe)


class Server:
    """One that runs."""

    def __init__(
        self,
        process: subprocess.Popen[bytes],
        environment: dict[str, str],
        notes: Notes,
        url: str,
        log: Path,
    ) -> None:
        self.process = process
        self._environment = environment
        self.notes = notes
        self.folder = log.parent
        self.url = url
        self._log = log

    def get(self, path: str = "/") -> dict[str, Any]:
        """Make a request of the app; returns what it tracked, and in which process."""
        reply = requests.get(self.url + path, headers={"Connection": "close"}, timeout=PATIENCE)
        assert reply.status_code == 200, reply.text
        tracked = reply.json()
        self.notes.wait(lambda: tracked in self.notes.all)
        return tracked

    def ask(self, path: str) -> None:
        """Make a request of the app that will never be answered; returns when it has tracked."""
        before = len(self.notes.all)
        host, port = self.url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), PATIENCE) as connection:
            connection.sendall(f"GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
            self.notes.wait(lambda: len(self.notes.all) > before and len(self.notes.all[-1]["ids"]) > 1)

    def run(self, *program: str) -> None:
        """Run a Python program beside the apps, in the server's environment."""
        subprocess.run(
            [sys.executable, *program], cwd=APPS, env=self._environment, timeout=PATIENCE, check=True
        )

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Stop it; returns its exit status."""
        self.process.send_signal(number)
        status = self.process.wait(PATIENCE)
        self.notes.read()
        return status

    @property
    def log(self) -> str:
        """What it wrote to its standard streams."""
        return self._log.read_text()


@contextmanager
def serving(
    togai: FakeTogai, *command: str, folder_of_apps: Path = APPS, **environment: str
) -> Iterator[Server]:
    """Run a command beside the apps; in it ``{fd}`` is the descriptor to listen on, ``{folder}`` its own.

    What it tracks is delivered by the end of a process alone: the interval is too long for anything else.
    """
    with tempfile.TemporaryDirectory() as folder, socket.create_server(("127.0.0.1", 0)) as listening:
        os.set_inheritable(listening.fileno(), True)  # noqa: FBT003  the name says it
        notes, log = Notes(Path(folder, "notes")), Path(folder, "log")
        given = {
            "TOGAI_API_KEY": "secret",
            "TOGAI_BASE_URL": togai.url,
            "TOGAI_FLUSH_INTERVAL": "60",
            "NOTES": str(notes.path),
            "HOME": folder,
            "FOLDER": folder,
        }
        others = {name: value for name, value in os.environ.items() if not name.startswith("COV")}
        environment = {**others, **given, **environment}
        with log.open("wb") as output:
            process = subprocess.Popen(
                [
                    str(BIN / command[0]),
                    *(part.format(fd=listening.fileno(), folder=folder) for part in command[1:]),
                ],
                cwd=folder_of_apps,
                env=environment,
                pass_fds=[listening.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        host, port = listening.getsockname()
        server = Server(process, environment, notes, f"http://{host}:{port}", log)
        try:
            yield server
        except BaseException:
            print(server.log)  # noqa: T201  pytest shows it with the failure
            raise
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            notes.close()


def assert_each_is_billed_once(togai: FakeTogai, ids: Iterable[str]) -> None:
    """These and no others, each sent once: so by one process alone."""
    expected = set(ids)
    assert togai.ledger.lost(expected) == set()
    assert togai.ledger.ids == expected
    assert togai.ledger.billed_twice == set()
    assert {togai.ledger.get(event).receipts for event in expected} == {1}
