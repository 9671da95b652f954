"""``examples/compose.yaml``: its commands, run without Docker, and judged by its own sandbox."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml
from requests.adapters import HTTPAdapter
from serving import BIN, PATIENCE
from urllib3 import Retry

EXAMPLES = Path(__file__).parents[2] / "examples"
COMPOSE: dict[str, Any] = yaml.safe_load((EXAMPLES / "compose.yaml").read_text("utf-8"))

pytestmark = [
    pytest.mark.servers,
    pytest.mark.skipif(not shutil.which("redis-server"), reason="needs redis-server, of Debian"),
]


class Services:
    """The services of the file as processes; their hosts are this machine, and their ports free ones."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self._folder = folder
        self._stack = stack
        self.ports = {"8080": free_port(), "6379": free_port(), "8000": free_port()}

    def start(self, name: str, *more: str) -> subprocess.Popen[bytes]:
        service = COMPOSE["services"][name]
        command = [self._here(word) for word in shlex.split(service["command"])] + list(more)
        environment = {key: self._here(value) for key, value in service.get("environment", {}).items()}
        with (self._folder / f"{name}.log").open("wb") as log:
            process = subprocess.Popen(
                command,
                cwd=EXAMPLES,
                env={"PATH": f"{BIN}:{os.environ['PATH']}", **environment},
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        self._stack.callback(self._end, process)
        return process

    def said(self, name: str) -> str:
        return (self._folder / f"{name}.log").read_text("utf-8")

    def _here(self, text: str) -> str:
        for port, free in self.ports.items():
            text = text.replace(f":{port}", f":{free}")
        # 0.0.0.0 leads to this machine, and is no address of loopback: the key needs leave to go there.
        return text.replace("//sandbox:", "//0.0.0.0:").replace("//redis:", "//127.0.0.1:")

    @staticmethod
    def _end(process: subprocess.Popen[bytes]) -> None:
        process.terminate()
        process.wait(PATIENCE)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


@pytest.fixture
def services(tmp_path: Path) -> Iterator[Services]:
    with ExitStack() as stack:
        yield Services(tmp_path, stack)


def test_what_the_application_serves_is_billed_by_the_sandbox(services: Services, tmp_path: Path) -> None:
    ports = services.ports
    sandbox = services.start("sandbox", "--port", str(ports["8080"]))
    services.start("redis", "--port", str(ports["6379"]), "--dir", str(tmp_path))
    for name in ("app", "drainer"):
        services.start(name)

    with requests.Session() as session:
        retry = Retry(connect=100, backoff_factor=0.1, backoff_max=0.5)
        session.mount("http://", HTTPAdapter(max_retries=retry))
        session.headers["Authorization"] = "Bearer token-of-acme"
        for item in range(5):
            assert session.get(f"http://127.0.0.1:{ports['8000']}/items/{item}", timeout=PATIENCE).ok
        session.headers["Authorization"] = "Bearer sandbox"
        lookup = f"http://127.0.0.1:{ports['8080']}/events?status=PROCESSED"
        until = time.monotonic() + 2 * PATIENCE
        while len(session.get(lookup, timeout=PATIENCE).json().get("events", ())) < 5:
            assert time.monotonic() < until, (services.said("drainer"), services.said("sandbox"))
            time.sleep(0.2)  # between looks, within the quota

    sandbox.terminate()
    sandbox.wait(PATIENCE)
    assert re.search("5 events billed, .* 0 billed twice$", services.said("sandbox").strip())


def test_no_port_of_the_example_is_open_to_other_machines() -> None:
    published = [port for service in COMPOSE["services"].values() for port in service.get("ports", ())]

    assert published
    assert all(port.startswith("127.0.0.1:") for port in published)
