"""``togai-shipper`` itself."""

from __future__ import annotations

import runpy
import subprocess
import sys

import pytest
from click.testing import CliRunner

from togai_shipper import __main__, __version__
from togai_shipper.cli.app import cli


def forget(monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    """Let a module not be installed, and the command line not have been imported."""
    monkeypatch.delitem(sys.modules, "togai_shipper.cli.app", raising=False)
    monkeypatch.setitem(sys.modules, missing, None)


def test_its_version_is_the_library_s() -> None:
    result = CliRunner().invoke(cli, ["--version"])

    assert result.output == f"togai-shipper, version {__version__}\n"


COMMANDS = [[], ["demo"], ["sandbox"], ["doctor"], ["send"], ["spool"]]
COMMANDS += [["spool", name] for name in ("ls", "show", "verify", "replay", "export", "purge")]


@pytest.mark.parametrize("command", COMMANDS)
def test_each_help_has_examples(command: list[str]) -> None:
    for option in ("-h", "--help"):
        result = CliRunner().invoke(cli, [*command, option])

        assert result.exit_code == 0
        assert "Examples:" in result.output


def test_every_line_of_help_fits_a_terminal() -> None:
    for command in COMMANDS:
        text = CliRunner().invoke(cli, [*command, "--help"]).output

        assert max(map(len, text.splitlines())) <= 80


@pytest.mark.parametrize("module", ["click", "rich", "uvicorn", "starlette"])
def test_without_its_extra_it_says_in_one_line_how_to_get_it(module: str) -> None:
    code = f"import sys; sys.modules[{module!r}] = None; import togai_shipper.__main__ as m; m.main()"

    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )

    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr == "togai-shipper: the command line is an extra: pip install 'togai-shipper[cli]'\n"


def test_a_missing_extra_is_exit_status_2(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    forget(monkeypatch, "click")

    with pytest.raises(SystemExit) as end:
        __main__.main()

    assert end.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_any_other_missing_module_is_a_bug_and_shown_as_one(monkeypatch: pytest.MonkeyPatch) -> None:
    forget(monkeypatch, "togai_shipper.cli.app")

    with pytest.raises(ModuleNotFoundError, match=r"togai_shipper\.cli\.app"):
        __main__.main()


def test_the_package_can_be_run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["togai-shipper", "--version"])
    monkeypatch.delitem(sys.modules, "togai_shipper.__main__")

    with pytest.raises(SystemExit) as end:
        runpy.run_module("togai_shipper", run_name="__main__")

    assert end.value.code == 0
    assert capsys.readouterr().out == f"togai-shipper, version {__version__}\n"
