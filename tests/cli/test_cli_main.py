"""``togai-shipper`` itself."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from togai_shipper import __version__
from togai_shipper.cli.app import cli

WITHOUT = Path(__file__).parents[1] / "programs" / "without.py"  # hides a module, and is the command line


def run(*command: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *map(str, command)], capture_output=True, text=True, timeout=60, check=False
    )


def test_its_version_is_the_library_s() -> None:
    result = CliRunner().invoke(cli, ["--version"])

    assert result.output == f"togai-shipper, version {__version__}\n"


COMMANDS = [[], ["demo"], ["sandbox"], ["doctor"], ["drain"], ["send"], ["spool"], ["events"], ["reconcile"]]
COMMANDS += [["spool", name] for name in ("ls", "show", "verify", "replay", "export", "purge")]


@pytest.mark.parametrize("command", COMMANDS)
def test_each_help_has_examples(command: list[str]) -> None:
    for option in ("-h", "--help"):
        result = CliRunner().invoke(cli, [*command, option])

        assert result.exit_code == 0
        assert "Examples:" in result.output


@pytest.mark.parametrize("command", [[], ["spool"]])
def test_a_group_without_a_command_shows_its_help(command: list[str]) -> None:
    result = CliRunner().invoke(cli, command)

    assert result.exit_code == 2
    assert "\nExamples:\n" in result.output.replace("  Examples", "Examples")


def test_every_line_of_help_fits_a_terminal() -> None:
    for command in COMMANDS:
        text = CliRunner().invoke(cli, [*command, "--help"]).output

        assert max(map(len, text.splitlines())) <= 80


@pytest.mark.processes
@pytest.mark.parametrize(
    "command",
    [
        "doctor --no-request",
        "doctor --no-request --json",
        "spool ls .",
        "send --dry-run --job x -",
        "--help",
        "-V",
    ],
)
@pytest.mark.parametrize(
    ("output", "why"),
    [
        (">/dev/full", "standard output: cannot be written: No space left on device"),
        (">&-", "standard output is closed"),
    ],
)
def test_where_standard_output_is_full_or_closed_a_command_says_so_in_one_line(
    command: str, output: str, why: str, tmp_path: Path
) -> None:
    line = f'exec "$0" -m togai_shipper {command} {output} < /dev/null'
    done = subprocess.run(
        ["/bin/sh", "-c", line, sys.executable],
        env={**os.environ, "TOGAI_API_KEY": "k", "TOGAI_BASE_URL": "http://127.0.0.1:9"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == f"Error: {why}"
    assert "Traceback" not in done.stderr
    assert "fault of togai-shipper" not in done.stderr


def test_where_standard_error_is_closed_a_command_does_what_it_does() -> None:
    done = run(
        "-c",
        "import os, sys; os.close(2); os.execv(sys.executable, [sys.executable, *sys.argv[1:]])",
        "-m",
        "togai_shipper",
        "-V",
    )

    assert (done.returncode, done.stdout) == (0, f"togai-shipper, version {__version__}\n")


@pytest.mark.parametrize(
    ("module", "command"),
    [
        ("click", "--version"),
        ("rich", "doctor --help"),
        ("uvicorn", "sandbox --help"),
        ("starlette", "sandbox --help"),
    ],
)
def test_without_its_extra_it_says_in_one_line_how_to_get_it(module: str, command: str) -> None:
    done = run(WITHOUT, module, *command.split())

    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr == "togai-shipper: the command line is an extra: pip install 'togai-shipper[cli]'\n"


def test_any_other_missing_module_is_a_bug_and_shown_as_one() -> None:
    done = run(WITHOUT, "requests", "doctor", "--help")

    assert done.returncode == 1
    assert "\n  ModuleNotFoundError: No module named 'requests'" in done.stderr


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_can_complete_its_commands(shell: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COMP_WORDS", "togai-shipper spo")
    monkeypatch.setenv("COMP_CWORD", "spo" if shell == "fish" else "1")
    monkeypatch.setenv("_TOGAI_SHIPPER_COMPLETE", f"{shell}_complete")

    completed = CliRunner().invoke(cli, prog_name="togai-shipper").output

    assert "spool" in completed
    assert "send" not in completed


def test_the_package_can_be_run() -> None:
    done = run("-m", "togai_shipper", "--version")

    assert (done.returncode, done.stdout) == (0, f"togai-shipper, version {__version__}\n")
