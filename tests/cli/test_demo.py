"""``togai-shipper demo``, as a user runs it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from typing import Any

import pytest
from click.testing import CliRunner, Result

from togai_shipper.cli.app import cli
from togai_shipper.cli.demo.command import run_and_watch
from togai_shipper.cli.streams import OutputLost


def run(*arguments: str, **environment: str) -> Result:
    return CliRunner(env=environment).invoke(cli, ["demo", "--rate", "0", *arguments])


def test_the_books_balance_whatever_the_sandbox_does() -> None:
    result = run("--events", "2000", "--seed", "1")

    assert result.exit_code == 0, result.output
    assert "It balances: 2,000 tracked = 1,999 delivered + 1 rejected, and stats() agrees." in result.output
    assert "lost              0" in result.output
    assert "billed twice      0" in result.output
    assert "reason: latency: there is no unit Fortnights (HTTP 400)" in result.output
    assert "503: Togai is down" in result.output
    assert "log: ERROR: event" in result.output
    assert "\x1b" not in result.output


def test_without_faults_nothing_is_rejected_and_nothing_repeated() -> None:
    result = run("--events", "1500", "--no-faults", "--json")

    facts = json.loads(result.stdout)
    assert result.exit_code == 0
    assert (facts["tracked"], facts["delivered"], facts["rejected"]) == (1_500, 1_500, {})
    assert (facts["lost"], facts["billed_twice"], facts["retries"], facts["copies"]) == (0, 0, 0, 0)
    assert "tracked 1,500" in result.stderr


def test_a_sandbox_that_forgets_ids_bills_twice_and_the_ledger_says_so() -> None:
    result = run("--events", "2000", "--no-dedupe")

    assert result.exit_code == 1
    assert "It does not balance:" in result.output
    assert "billed twice" in result.output


def test_on_a_terminal_it_draws_bars() -> None:
    result = run("--events", "1000", "--no-faults", FORCE_COLOR="1", TERM="xterm", COLUMNS="80")

    assert result.exit_code == 0
    assert "1,000 / 1,000" in result.output
    assert "\x1b[" in result.output


def test_a_wrong_option_of_the_environment_is_told_in_one_line() -> None:
    result = run("--events", "10", TOGAI_RATE_LIMIT="fast")

    assert result.exit_code == 1
    assert (
        result.stderr
        == "Error: TOGAI_RATE_LIMIT: must be requests a second, more than 0, or None, not 'fast'\n"
    )


@pytest.mark.parametrize("wrong", [("--events", "0"), ("--rate", "-1"), ("--seed", "x"), ("--fast",)])
def test_wrong_usage_is_exit_status_2(wrong: tuple[str, ...]) -> None:
    assert run(*wrong).exit_code == 2


# --- Ctrl-C -----------------------------------------------------------------------------------------------


def test_ctrl_c_stops_the_job_early_and_waits_for_its_end() -> None:
    stopping = threading.Event()
    looks: list[bool] = []

    def look() -> None:
        looks.append(stopping.is_set())
        if len(looks) == 1:
            raise KeyboardInterrupt

    run_and_watch(lambda: assert_(stopping.wait(10)), look, stopping.set)

    assert looks[-1] is True


def test_where_the_viewer_is_gone_the_job_is_stopped() -> None:
    stopping = threading.Event()

    def look() -> None:
        raise OutputLost

    with pytest.raises(OutputLost):
        run_and_watch(lambda: assert_(stopping.wait(10)), look, stopping.set)


def test_what_the_job_raises_is_raised() -> None:
    def job() -> None:
        raise RuntimeError("no")

    with pytest.raises(RuntimeError, match="no"):
        run_and_watch(job, lambda: None, lambda: None)


def assert_(truth: Any) -> None:
    assert truth


# --- as a process -----------------------------------------------------------------------------------------

DEMO = [sys.executable, "-m", "togai_shipper", "demo"]


def test_it_runs_as_a_process_of_its_own() -> None:
    done = subprocess.run(
        [*DEMO, "--events", "2000", "--seed", "1"], capture_output=True, text=True, timeout=60, check=False
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert "It balances: 2,000 tracked = 1,999 delivered + 1 rejected" in done.stdout
    assert done.stderr == ""


def test_at_ctrl_c_the_books_of_what_was_tracked_so_far_are_closed() -> None:
    with subprocess.Popen(
        [*DEMO, "--events", "1000000", "--no-faults"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if "delivered 0 " not in line and "delivered" in line:
                process.send_signal(signal.SIGINT)
                break
        rest, errors = process.communicate(timeout=60)

    assert process.returncode == 0, rest + errors
    assert "It balances:" in rest
    assert "1,000,000 tracked" not in rest
    assert errors == ""
