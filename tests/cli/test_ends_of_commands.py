"""What a command leaves undone where a stream is full, closed or not read: nothing; and how it says so."""

from __future__ import annotations

import ast
import os
import pty
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import attrs
import pytest
from click.testing import CliRunner
from other_users import as_user, needs_root
from sending import Send, accounts, environment, line, write
from spools import Spool, letter

from togai_shipper import Shipper
from togai_shipper.cli.app import cli
from togai_shipper.testing import FakeTogai, faults


@attrs.frozen
class End:
    """How a command of a shell ended; of a pipeline, its first part."""

    status: int
    stdout: str
    stderr: str


def shell(line: str, **variables: str) -> End:
    """Run ``togai-shipper`` with what follows it on a shell's command line."""
    command, bar, reader = line.partition("| ")
    with tempfile.NamedTemporaryFile() as status:
        script = f'{{ "$0" -m togai_shipper {command}; echo $? > "$1"; }} {bar}{reader}'
        done = subprocess.run(
            ["/bin/sh", "-c", script, sys.executable, status.name],
            env={**os.environ, **variables},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        told = int(status.read())
    assert "Traceback" not in done.stderr + done.stdout
    assert "fault of togai-shipper" not in done.stderr + done.stdout
    return End(told, done.stdout, done.stderr)


@pytest.fixture
def there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.processes
@pytest.mark.usefixtures("there")
@pytest.mark.parametrize(
    "streams",
    [
        "> /dev/full",
        ">&-",
        "2> /dev/full",
        "2>&-",
        "> /dev/full 2>&1",
        ">&- 2>&- <&-",
        "| head -0",
        "2>&1 | head -1",
        "2>&1 | head -0",
    ],
)
def test_a_file_is_sent_to_its_end_whatever_becomes_of_the_streams(togai: FakeTogai, streams: str) -> None:
    write("a.ndjson", line("a"), *["garbage"] * 3000, line("b"))

    end = shell(f"send --no-spool a.ndjson {streams}", **environment(togai))

    assert end.status == 1
    assert accounts(togai) == ["a", "b"]


@pytest.mark.processes
@pytest.mark.usefixtures("there")
@pytest.mark.parametrize(
    ("streams", "status", "said"),
    [
        ("2> /dev/full", 0, ""),
        ("2>&-", 0, ""),
        ("> /dev/full", 1, "Error: standard output: cannot be written: No space left on device"),
        (">&-", 1, "Error: standard output is closed"),
        ("| head -0", 1, ""),
    ],
)
def test_a_summary_that_cannot_be_printed_goes_to_standard_error(
    togai: FakeTogai, streams: str, status: int, said: str
) -> None:
    write("a.ndjson", line("a"))

    end = shell(f"send --no-spool a.ndjson {streams}", **environment(togai))

    assert end.status == status
    assert (end.stderr if status else end.stdout).startswith("1 line: 1 delivered (")
    assert end.stderr.splitlines()[1:] == ([said] if said else [])
    assert accounts(togai) == ["a"]


@pytest.mark.processes
@pytest.mark.parametrize("streams", ["> /dev/full", "| head -0", "2>&1 | head -0"])
def test_a_drain_goes_on_whoever_reads(
    togai: FakeTogai, ship: Callable[..., Shipper], tmp_path: Path, streams: str
) -> None:
    shipper = ship(spool=str(tmp_path / "spool"), flush_interval=60)
    for _ in range(100):
        shipper.track("api_call", "acme")
    assert shipper.sync()
    shipper.close(0)

    end = shell(f"drain --once {tmp_path / 'spool'} {streams}", **environment(togai))

    assert end.status == 1
    assert togai.ledger.metered == 100
    if "2>" not in streams:
        assert "100 delivered, 0 waiting." in end.stderr


@pytest.mark.processes
def test_what_only_prints_ends_where_nobody_reads(spool: Spool) -> None:
    spool.file(*[f"e-{number}" for number in range(3000)])

    end = shell(f"spool export --pending {spool.path} | head -1")

    assert (end.status, end.stdout.count("\n"), end.stderr) == (1, 1, "")


@pytest.mark.processes
def test_what_was_changed_is_told_where_standard_output_is_full(spool: Spool) -> None:
    spool.file(letters=(letter("e-1"),))

    end = shell(f"spool replay {spool.path} > /dev/full")

    assert end.status == 1
    assert end.stderr.startswith("1 dead letter is pending again.\n")
    assert spool.ids() == ({"e-1"}, set())


@pytest.mark.usefixtures("there")
def test_where_standard_input_is_closed_nothing_is_sent_and_it_says_so(togai: FakeTogai) -> None:
    end = shell("send --job night - <&-", **environment(togai))

    assert end.status == 2
    assert end.stderr.splitlines()[-1] == "Error: - (standard input) is closed."


def test_where_standard_input_is_closed_nobody_is_asked(spool: Spool) -> None:
    spool.file(letters=(letter("e-1"),))

    end = shell(f"spool purge --all {spool.path} <&-")

    assert end.status == 1
    assert end.stderr == "Error: standard input is closed, so nobody can be asked\n"
    assert spool.ids() == (set(), {"e-1"})


def test_where_the_current_directory_is_gone_it_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()

    end = CliRunner().invoke(cli, ["spool", "ls", "."])

    assert end.exit_code == 1
    assert end.stderr == "Error: the current directory does not exist any more\n"


def test_another_file_that_is_missing_is_a_fault_and_shown_as_one() -> None:
    group = type(cli)("a-group", on_demand={})

    @group.command()
    def fail() -> None:
        raise FileNotFoundError

    assert isinstance(CliRunner().invoke(group, ["fail"]).exception, FileNotFoundError)


# --- no home ----------------------------------------------------------------------------------------------


@needs_root
@pytest.mark.parametrize(
    ("command", "status", "said"),
    [
        ("send --dry-run a.ndjson", 0, ""),
        ("send a.ndjson", 0, "No record of this job can be kept (this user has no home directory"),
        ("send --jobs", 1, "Error: the record of jobs cannot be read: this user has no home directory"),
        ("doctor --no-request", 0, ""),
        ("spool ls .", 0, ""),
        ("drain --once .", 1, "Error: .: cannot be written to"),
        ("sandbox --port 0 --for 0", 0, ""),
    ],
)
def test_a_user_without_a_home_and_without_a_name_is_told_what_that_means(
    togai: FakeTogai, place_for_all: Path, command: str, status: int, said: str
) -> None:
    (place_for_all / "a.ndjson").write_text(f"{line('a')}\n")
    variables = {**environment(togai), "HOME": None, "XDG_STATE_HOME": None}

    def run() -> tuple[int, str]:
        os.chdir(place_for_all)
        result = CliRunner(env=variables).invoke(cli, command.split(), catch_exceptions=False)
        return result.exit_code, result.stderr

    ended, told = ast.literal_eval(as_user(54_321, run))

    assert (ended, told[: len(said)]) == (status, said)
    assert told.count("\n") <= 1


# --- a terminal that is closed ----------------------------------------------------------------------------


@pytest.mark.processes
def test_a_terminal_that_is_closed_ends_it_and_what_is_left_is_in_the_spool(
    togai: FakeTogai, send: Send, tmp_path: Path
) -> None:
    togai.on_request = lambda _: faults.Refuse(503)
    write("a.ndjson", line("a"), line("b"))
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)  # so that it goes on reading
    pid, terminal = pty.fork()
    if pid == 0:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)  # ours may be ignored, as by nohup
        arguments = ["-m", "togai_shipper", "send", "--spool", "kept", "--job", "x", "a.ndjson", str(fifo)]
        variables = {**os.environ, **environment(togai), "TOGAI_CLOSE_TIMEOUT": "0.1"}
        os.execve(sys.executable, [sys.executable, *arguments], variables)  # noqa: S606  as a shell does
    with fifo.open("wb") as pipe:
        pipe.write(f"{line('c')}\n".encode())  # without which nothing is sent
        pipe.flush()
        assert togai.wait(lambda: len(togai.requests) > 1, 30)
        os.close(terminal)  # the system sends SIGHUP, and no line can be written any more
        _, status = os.waitpid(pid, 0)
    togai.on_request = None

    assert os.waitstatus_to_exitcode(status) == 1
    result = send("a.ndjson", "--job", "x", "--spool", "kept", spool=True)
    assert "that an earlier run had left" in result.stdout
    assert {"a", "b"} <= set(accounts(togai)) <= {"a", "b", "c"}  # it may not have come to the third
