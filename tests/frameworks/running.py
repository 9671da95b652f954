"""A program of the page on frameworks: a process of its own, asked over loopback, stopped by a signal."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib import metadata
from pathlib import Path

import pytest
import requests
from snippets import snippets

from togai_shipper.testing import FakeTogai

HERE = Path(__file__).parent
HOW_TO = HERE.parent.parent / "docs" / "how-to"
PAGE = HOW_TO / "frameworks.md"
PAGES = ("frameworks.md", "workers.md", "rq.md")  # that have programs which are run here
BIN = Path(sys.executable).parent
MOD_WSGI = "4.9.4"  # Debian's
PATIENCE = 30.0  # seconds after which a test has failed


def pinned() -> dict[str, str]:
    """The versions that the page names, by distribution."""
    lines = (HERE / "requirements.txt").read_text("utf-8").splitlines()
    pairs = (line.split("==") for line in lines if not line.startswith("#"))
    return {name.partition("[")[0]: version for name, version in pairs}


def needs(*names: str) -> pytest.MarkDecorator:
    """Skip a test where one of these is not installed in the version that the page names."""
    versions = pinned()
    missing = [f"{name} {versions[name]}" for name in names if installed(name) != versions[name]]
    return pytest.mark.skipif(
        bool(missing), reason=f"not installed: {', '.join(missing)}; see tests/frameworks/requirements.txt"
    )


def installed(name: str) -> str | None:
    """The version of a distribution that is installed, if it is."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def write_programs(folder: Path) -> None:
    """Write the programs of the pages, and those beside this module, into a folder."""
    for name in PAGES:
        for snippet in snippets((HOW_TO / name).read_text("utf-8")):
            if snippet.is_file:
                (folder / snippet.title).write_text(snippet.text, "utf-8")
    for app in (HERE / "apps").iterdir():
        (folder / app.name).write_text(app.read_text("utf-8"), "utf-8")


def free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        port: int = listening.getsockname()[1]
        return port


def until(predicate: Callable[[], bool]) -> bool:
    """Wait until it is so; false where it is not in time."""
    end = time.monotonic() + PATIENCE
    while not predicate():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)  # between looks at a condition for which nothing rings
    return True


class Running:
    """One that runs."""

    def __init__(self, process: subprocess.Popen[bytes], port: int, log: Path) -> None:
        self.process = process
        self.port = port
        self.log = log

    def get(self, path: str) -> None:
        """Make a request, which is answered."""
        url, close = f"http://127.0.0.1:{self.port}{path}", {"Connection": "close"}
        assert requests.get(url, headers=close, timeout=PATIENCE).status_code == 200

    def wait_until_it_listens(self) -> None:
        def listens() -> bool:
            assert self.process.poll() is None
            with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), PATIENCE):
                return True
            return False

        assert until(listens)

    def wait_until_it_says(self, text: str, times: int) -> None:
        assert until(lambda: self.log.read_text().count(text) >= times)

    def stop(self, number: int = signal.SIGTERM) -> None:
        """Stop it in its normal way, and wait until it is gone."""
        self.process.send_signal(number)
        self.process.wait(PATIENCE)


@contextmanager
def running(
    togai: FakeTogai, *command: str, folder: Path, port: int = 0, **environment: str
) -> Iterator[Running]:
    """Run a command in a folder; ``{port}`` in it is one to listen on.

    What is tracked is delivered by the end of a process alone: the interval is too long for anything else.
    """
    port = port or free_port()
    given = {
        "TOGAI_API_KEY": "secret",
        "TOGAI_BASE_URL": togai.url,
        "TOGAI_FLUSH_INTERVAL": "60",
        "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": ".",
        "PYTHONUNBUFFERED": "1",
        "HOME": str(folder),
    }
    others = {name: value for name, value in os.environ.items() if not name.startswith(("COV", "TOGAI"))}
    log = folder / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [part.format(port=port) for part in command],
            cwd=folder,
            env={**others, **given, **environment},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield Running(process, port, log)
    except BaseException:
        print(log.read_text())  # noqa: T201  pytest shows it with the failure
        raise
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def assert_all_is_billed_once(togai: FakeTogai, work: int) -> None:
    """So much work, and no more; each event sent once, so by one process alone."""
    assert togai.ledger.metered == work
    assert togai.ledger.billed_twice == set()
    assert {togai.ledger.get(event).receipts for event in togai.ledger.ids} == {1}
