"""A group that loads a command when it is asked for: who wants one does not wait for the others."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any, NamedTuple

import click


class OnDemand(NamedTuple):  # not of attrs: it alone would be waited for
    """A command that is not loaded yet.

    Attributes:
        where: the module, and the command's name there, as ``cli`` sees it: ``send.command:send``.
        help: the first sentence of the command's own help, which the group's shows.

    """

    where: str
    help: str

    def load(self) -> click.Command:
        """Return the command itself."""
        module, _, name = self.where.partition(":")
        command: click.Command = getattr(import_module(f"{__package__}.{module}"), name)
        return command


class OnDemandGroup(click.Group):
    """A group of these commands, by their names."""

    def __init__(self, *args: Any, on_demand: Mapping[str, OnDemand], **extra: Any) -> None:
        super().__init__(*args, **extra)
        self._on_demand = on_demand

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  as click asks
        """Return the names of all commands."""
        return sorted(self._on_demand)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Load a command and return it; ``None`` where there is none of this name."""
        wanted = self._on_demand.get(cmd_name)
        return super().get_command(ctx, cmd_name) if wanted is None else wanted.load()

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the names of all commands, and their first sentences, without loading one."""
        told = {name: click.Command(name, help=each.help) for name, each in self._on_demand.items()}
        click.Group(commands=told).format_commands(ctx, formatter)
