"""``togai-shipper sandbox``, as a user runs it."""

from __future__ import annotations

import io
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Any

import pytest
import requests
from click.testing import CliRunner

from togai_shipper import Shipper
from togai_shipper.cli.app import cli
from togai_shipper.cli.random_faults import FAULTS
from togai_shipper.cli.sandbox import Feed
from togai_shipper.cli.terminal import Screen
from togai_shipper.testing import FakeTogai, faults


def run(*arguments: str, **environment: str) -> Any:
    return CliRunner(env=environment).invoke(cli, ["sandbox", *arguments])


@pytest.fixture
def port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@pytest.fixture
def interrupt() -> Callable[..., None]:
    """Press Ctrl-C, once."""
    pressed = threading.Lock()

    def press(*_: object) -> None:
        if pressed.acquire(blocking=False):
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    return press


def track_one(port: int, **options: Any) -> Shipper:
    """A shipper that tries until somebody listens."""
    quick: dict[str, Any] = {"flush_interval": 0.01, "backoff_initial": 0.01, "backoff_max": 0.05}
    shipper = Shipper("sandbox", base_url=f"http://127.0.0.1:{port}", **quick, **options)
    shipper.track("api_call", "acme", {"count": 1}, {"region": "eu-west-1"})
    return shipper


# --- the command ------------------------------------------------------------------------------------------


def test_it_says_how_to_point_a_shipper_at_it() -> None:
    result = run("--port", "0", "--api-key", "two words", "--no-quota", "--for", "0")

    assert result.exit_code == 0, result.output
    assert "export TOGAI_BASE_URL=http://127.0.0.1:" in result.output
    assert "export TOGAI_API_KEY='two words'" in result.output
    assert "0 events billed, 0 copies recognised by id and not billed, 0 billed twice" in result.output


def test_it_serves_until_ctrl_c_and_then_says_what_it_would_bill(
    port: int, interrupt: Callable[..., None]
) -> None:
    shipper = track_one(port, on_delivered=interrupt)

    result = run("--port", str(port))

    shipper.close(0)
    assert result.exit_code == 0, result.output
    assert "202  POST /ingestBatch          1 event " in result.output
    assert "1 event billed" in result.output
    assert "Aborted" not in result.output


def test_quiet_it_prints_no_line_for_each_request(port: int, interrupt: Callable[..., None]) -> None:
    shipper = track_one(port, on_delivered=interrupt)

    result = run("--port", str(port), "--quiet", "--host", "localhost")

    shipper.close(0)
    assert "POST" not in result.output
    assert "1 event billed" in result.output


def test_a_share_of_requests_goes_wrong_in_the_way_asked_for(
    port: int, interrupt: Callable[..., None]
) -> None:
    shipper = track_one(port, on_delivered=interrupt)

    result = run("--port", str(port), "--fail", "0.5", "--fault", "lost", "--seed", "1", "--latency", "0.01")

    shipper.close(0)
    assert "502  POST /ingestBatch          1 event " in result.output
    assert "fault lost" in result.output
    assert "1 event billed" in result.output


def test_on_a_terminal_what_it_would_bill_is_seen_all_the_time() -> None:
    result = run("--port", "0", "--for", "0.05", FORCE_COLOR="1", TERM="xterm", COLUMNS="80")

    assert result.output.count("0 events billed, ") > 1
    assert "\x1b[" in result.output


def test_a_port_in_use_is_told_in_one_line() -> None:
    with FakeTogai() as other:
        result = run("--port", str(other.port))

    assert result.exit_code == 1
    assert result.stderr == f"Error: cannot listen on 127.0.0.1:{other.port}: Address already in use\n"


@pytest.mark.parametrize("host", ["0.0.0.0", "::1", "example.com", "192.0.2.1"])
def test_it_listens_on_loopback_alone(host: str) -> None:
    result = run("--host", host)

    assert result.exit_code == 2
    assert f"{host} is not on loopback" in result.output


@pytest.mark.parametrize("name", list(FAULTS))
def test_each_fault_is_explained(name: str) -> None:
    explained = run("--help").output.partition("What can go wrong")[2].partition("Examples")[0]

    assert name in explained.replace(",", " ").split()


# --- the feed ---------------------------------------------------------------------------------------------


@pytest.fixture
def page() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def feed(page: io.StringIO) -> Feed:
    return Feed(Screen(file=page), quiet=False)


def test_each_request_is_one_line_however_often_the_feed_looks(feed: Feed, page: io.StringIO) -> None:
    with FakeTogai("key") as togai:
        for _ in range(2):
            requests.get(f"{togai.url}/events", headers={"Authorization": "Bearer key"}, timeout=10)
            feed.show(togai.requests)
            feed.show(togai.requests)

    assert page.getvalue().splitlines() == ["200  GET  /events"] * 2


def test_a_request_that_waits_has_its_line_when_it_is_answered(feed: Feed, page: io.StringIO) -> None:
    with FakeTogai("sandbox") as togai:
        togai.script(faults.Hold())
        shipper = track_one(togai.port)
        assert togai.wait(lambda: togai.requests)
        feed.show(togai.requests)
        assert page.getvalue().splitlines() == []

        togai.release()
        assert shipper.flush(10)
        feed.show(togai.requests)
        shipper.close()

    assert len(page.getvalue().splitlines()) == 1


@pytest.mark.parametrize("name", ["reset", "cut"])
@pytest.mark.parametrize("latency", [0.0, 0.01])
def test_a_request_that_is_never_answered_has_its_line_too(
    feed: Feed, page: io.StringIO, name: str, latency: float
) -> None:
    with FakeTogai("sandbox") as togai:
        mishap = FAULTS[name]
        togai.script(faults.Slow(latency, then=mishap) if latency else mishap)
        with track_one(togai.port) as shipper:
            assert shipper.flush(10)
        feed.show(togai.requests)

    first, second = page.getvalue().splitlines()
    assert first.startswith("---  POST /ingestBatch")
    assert first.endswith(f"fault {name}")
    assert second.startswith("202  POST /ingestBatch")


# --- as a process -----------------------------------------------------------------------------------------


def test_ctrl_c_ends_the_process_cleanly() -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "togai_shipper", "sandbox", "--port", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        start = "".join(iter(process.stdout.readline, "  export TOGAI_API_KEY=sandbox\n"))
        port = int(start.rpartition("TOGAI_BASE_URL=http://127.0.0.1:")[2])
        with track_one(port) as shipper:
            assert shipper.flush(10)
        process.send_signal(signal.SIGINT)
        rest, errors = process.communicate(timeout=30)

    assert process.returncode == 0, rest + errors
    assert "1 event billed" in rest
    assert errors == ""
