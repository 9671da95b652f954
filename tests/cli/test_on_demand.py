"""A command loads what it needs: whoever asks for one does not wait for the libraries of the others."""

from __future__ import annotations

import os
import subprocess
import sys

import click
import pytest

import togai_shipper
from togai_shipper.cli.app import cli
from togai_shipper.cli.spool.command import spool

#: Libraries that take long to load, ours among them: what makes and ships events.
HEAVY = {
    *("asyncio", "attr", "cgi", "email", "http", "requests", "rich", "sqlite3", "starlette", "tenacity"),
    *("togai_shipper._config", "togai_shipper._pipeline", "togai_shipper._shipper", "urllib3", "uvicorn"),
}
SPOOL = {"attr", "email", "rich", "sqlite3"}
#: Of these, what each command may load. The email package is there for its dates.
MAY_LOAD = {
    "--version": set[str](),
    "--help": set[str](),
    "no-such-command": set[str](),
    "spool": set[str](),
    "spool --help": set[str](),
    "spool ls .": SPOOL,
    "spool verify .": SPOOL,
    "spool journal .": SPOOL,
    "sandbox --for 0 --port 0": {"asyncio", "attr", "email", "http", "rich", "starlette", "uvicorn"},
}

RUN = """
import sys
sys.argv = ["togai-shipper", *sys.argv[1:]]
from togai_shipper.__main__ import main
try:
    main()
finally:
    sys.stdout = sys.__stdout__
    print("\\n", *sys.modules)
"""


def loaded_by(program: str, *arguments: str, cwd: object = None) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        cwd=str(cwd or "."),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "Traceback" not in done.stderr
    return set(done.stdout.splitlines()[-1].split())


@pytest.mark.parametrize("command", MAY_LOAD)
def test_a_command_loads_none_of_the_libraries_that_only_others_need(command: str, tmp_path: object) -> None:
    measuring = loaded_by("import sys; print(*sys.modules)")  # coverage, if it is measured, loads more
    loaded = loaded_by(RUN, *command.split(), cwd=tmp_path) - measuring

    assert loaded & HEAVY <= MAY_LOAD[command]


def commands() -> list[tuple[click.Group, str]]:
    return [(group, name) for group in (cli, spool) for name in group.list_commands(click.Context(group))]


@pytest.mark.parametrize(("group", "name"), commands())
def test_a_group_s_help_says_of_a_command_what_the_command_says_of_itself(
    group: click.Group, name: str
) -> None:
    context = click.Context(group, terminal_width=200, max_content_width=200, **cli.context_settings)
    command = group.get_command(context, name)

    assert command is not None
    assert command.name == name
    assert f"{name} {command.get_short_help_str(1000)}" in " ".join(group.get_help(context).split())


def test_what_a_module_of_the_user_s_imports_from_the_package_is_there_in_a_command() -> None:
    program = """
import sys
sys.argv = ["/usr/bin/togai-shipper"]
import togai_shipper
from togai_shipper import *
assert "togai_shipper._shipper" in sys.modules
assert Shipper is togai_shipper.Shipper and track is togai_shipper.track
assert not hasattr(togai_shipper, "no_such_name")
print(*(name for name in togai_shipper.__all__ if name in globals()))
"""

    assert loaded_by(program) == set(togai_shipper.__all__)


def test_an_application_loads_all_of_the_package_at_once() -> None:
    program = "import sys, togai_shipper; before = set(sys.modules); from togai_shipper import *"

    assert loaded_by(f"{program}; print('more:', *set(sys.modules) - before)") == {"more:"}


def test_who_runs_the_package_as_a_module_loads_no_more_than_the_command_needs() -> None:
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "togai_shipper", "--version"],
        env={name: value for name, value in os.environ.items() if not name.startswith("COV")},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )

    loaded = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "togai_shipper.cli.app" in loaded
    assert not loaded & HEAVY
