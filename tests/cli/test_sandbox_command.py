"""``togai-shipper sandbox``, as a user runs it."""

from __future__ import annotations

import io
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import requests
from click.testing import CliRunner
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

from togai_shipper import Shipper
from togai_shipper.cli.app import cli
from togai_shipper.cli.sandbox.command import summary
from togai_shipper.cli.sandbox.feed import Feed
from togai_shipper.cli.sandbox.random_faults import FAULTS
from togai_shipper.cli.screen import Screen
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
    assert "202  /ingestBatch     1 event " in result.output
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
    assert "502  /ingestBatch     1 event " in result.output
    assert "fault lost" in result.output
    assert "1 event billed" in result.output


def test_lookups_go_wrong_by_a_share_of_their_own_and_switches_say_how_they_are_answered(
    port: int, interrupt: Callable[..., None]
) -> None:
    found = []

    def look_up(*_: object) -> None:
        key = {"Authorization": "Bearer sandbox"}
        found.append(
            requests.get(f"http://127.0.0.1:{port}/event_schema", headers=key, timeout=10).status_code
        )
        interrupt()

    shipper = track_one(port, on_delivered=look_up)
    wrong = ("--fail-lookups", "1", "--fault", "500", "--switch", "duplicate_reply=409")

    result = run("--port", str(port), *wrong)

    shipper.close(0)
    assert result.exit_code == 0, result.output
    assert found[:1] == [500]
    assert "1 event billed" in result.output


def test_a_switch_that_does_not_exist_is_told() -> None:
    result = run("--switch", "day=receipt", "--port", "0", "--for", "0")

    assert result.exit_code == 2
    assert "'day=receipt' is not NAME=VALUE with one of the names" in " ".join(result.stderr.split())


def test_an_event_that_a_correction_has_undone_is_not_summed_up_as_one_that_is_never_billed() -> None:
    with FakeTogai("key", accounts=set()) as togai:
        key = {"Authorization": "Bearer key"}
        event = {"id": "a", "schemaName": "s", "accountId": "acme", "timestamp": "2024-01-01T00:00:00Z"}
        body = {"event": event | {"attributes": [], "dimensions": {}}}
        requests.post(f"{togai.url}/ingest", json=body, headers=key, timeout=10)
        assert summary(togai)[0].endswith("1 accepted and never billed")

        togai.accounts = ["acme"]
        query = {"action": "REDO", "account_id": "acme", "event_id": "a"}
        requests.post(f"{togai.url}/events/correction", params=query, headers=key, timeout=10)

        assert summary(togai)[0] == (
            "1 event billed, 0 copies recognised by id and not billed, 0 billed twice"
        )


def test_on_a_terminal_what_it_would_bill_is_seen_all_the_time() -> None:
    result = run("--port", "0", "--for", "0.05", FORCE_COLOR="1", TERM="xterm", COLUMNS="80")

    assert result.output.count("0 events billed, ") > 1
    assert "\x1b[" in result.output


def test_a_port_in_use_is_told_in_one_line() -> None:
    with FakeTogai() as other:
        result = run("--port", str(other.port))

    assert result.exit_code == 1
    assert result.stderr == f"Error: cannot listen on 127.0.0.1:{other.port}: Address already in use\n"


@pytest.mark.parametrize(
    ("host", "why"),
    [
        ("0.0.0.0", "is not on loopback (127.0.0.1): it needs --allow-remote"),
        ("192.0.2.1", "is not on loopback (127.0.0.1): it needs --allow-remote"),
        ("::1", "is not an IPv4 address"),
        ("example.com", "is not an IPv4 address"),
    ],
)
def test_it_listens_on_loopback_alone(host: str, why: str) -> None:
    result = run("--host", host, "--port", "0", "--for", "0")

    assert result.exit_code == 2
    assert result.stderr.endswith(f"{host} {why}\n")


def test_what_does_not_exist_is_accepted_and_not_billed(
    port: int, interrupt: Callable[..., None], tmp_path: Path
) -> None:
    catalog = tmp_path / "catalog.json"
    catalog.write_text('{"schemas": [{"name": "old", "status": "ARCHIVED"}]}')
    shipper = track_one(port, on_delivered=interrupt)

    result = run("--port", str(port), "--catalog", str(catalog), "--schema", "sms:count", "--account", "acme")

    shipper.close(0)
    assert result.exit_code == 0, result.output
    assert "What exists: 1 schema, 1 account. All else is accepted and not billed." in result.output
    assert "Not active, so left out: old." in result.output
    assert "202  /ingestBatch     1 event " in result.output
    assert "1 not billed: no schema named 'api_call'" in result.output
    assert result.output.endswith("0 billed twice, 1 accepted and never billed\n")


def test_verbose_each_event_has_a_line(port: int, interrupt: Callable[..., None]) -> None:
    shipper = track_one(port, on_delivered=interrupt)

    result = run("--port", str(port), "--verbose", "--account", "acme")

    shipper.close(0)
    assert "What exists: every schema, 1 account." in result.output
    assert "api_call for acme count=1 region=eu-west-1" in result.output


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["--schema", "api_call:"], "'api_call:' is not NAME or NAME:attribute,attribute"),
        (["--catalog", "nowhere.json"], "File 'nowhere.json' does not exist."),
        (["--quiet", "--verbose"], "--quiet and --verbose contradict each other"),
    ],
)
def test_options_that_make_no_sense_are_told(arguments: list[str], why: str) -> None:
    result = run(*arguments)

    assert result.exit_code == 2
    assert why in result.stderr


def test_others_reach_it_if_that_is_asked_for_and_it_warns() -> None:
    result = run("--allow-remote", "--port", "0", "--for", "0")

    assert result.exit_code == 0, result.output
    assert "A stand-in for Togai; see it at http://127.0.0.1:" in result.stdout
    assert "Warning: whoever can reach this machine can use this sandbox" in result.stdout
    assert "TOGAI_ALLOW_INSECURE=true" in result.stdout
    assert "Warning" not in run("--allow-remote", "--host", "127.0.0.2", "--port", "0", "--for", "0").stdout


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

    assert page.getvalue().splitlines() == ["404  GET /events  no event is found"] * 2


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
    assert first.startswith("---  /ingestBatch")
    assert first.endswith(f"fault {name}  1 billed")
    assert second.startswith("202  /ingestBatch")
    assert second.endswith("1 known already")


# --- as a process -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_a_signal_ends_the_process_cleanly_with_what_it_would_bill(name: str) -> None:
    number = signal.Signals[name]
    with (
        subprocess.Popen(
            [sys.executable, "-m", "togai_shipper", "sandbox", "--port", "0"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=lambda: signal.signal(number, signal.SIG_DFL),  # noqa: PLW1509  ours may be ignored, as by nohup
        ) as process,
        ExitStack() as at_the_end,
    ):
        at_the_end.callback(process.kill)  # where it does not end: else all would wait for it
        assert process.stdout is not None
        start = "".join(iter(process.stdout.readline, "  export TOGAI_API_KEY=sandbox\n"))
        port = int(start.rpartition("TOGAI_BASE_URL=http://127.0.0.1:")[2])
        with track_one(port) as shipper:
            assert shipper.flush(10)
        process.send_signal(number)
        rest, errors = process.communicate(timeout=30)

    assert process.returncode == 0, rest + errors
    assert "1 event billed" in rest
    assert errors == ""


def test_without_quotas_no_endpoint_has_one(port: int, interrupt: Callable[..., None]) -> None:
    def ask_often() -> None:
        with requests.Session() as session:
            session.headers["Authorization"] = "Bearer sandbox"
            session.mount("http://", HTTPAdapter(max_retries=Retry(50, backoff_factor=0.05)))
            replies = [session.get(f"http://127.0.0.1:{port}/events", timeout=10) for _ in range(30)]
        asked.update(reply.status_code for reply in replies)
        interrupt()

    asked: set[int] = set()
    client = threading.Thread(target=ask_often)
    client.start()

    run("--port", str(port), "--no-quota", "--quiet")

    client.join()
    assert asked == {404}
