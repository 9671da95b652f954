"""Every command has its help where Python has removed the docstrings (``-OO``, ``PYTHONOPTIMIZE=2``)."""

from __future__ import annotations

import subprocess
import sys

WALK = """
import click
from togai_shipper.cli.app import cli

def walk(command, path):
    assert command.help, path
    if isinstance(command, click.Group):
        with click.Context(command) as ctx:
            for name in command.list_commands(ctx):
                walk(command.get_command(ctx, name), f"{path} {name}")
    print(path, len(command.help))

walk(cli, "togai-shipper")
"""


def walked(*options: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, *options, "-c", WALK], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_each_command_has_its_help_without_docstrings() -> None:
    told = walked("-OO")

    assert len(told) > 15
    assert told == walked()
