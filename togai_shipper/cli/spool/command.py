"""The group ``togai-shipper spool``, which holds all commands on a spool."""

from __future__ import annotations

import click

from .changes import purge, replay
from .export import export
from .inspection import ls, show, verify_command


@click.group()
def spool() -> None:
    """Look into a spool or a relay, and work with what was not delivered.

    DIR is the directory that the application was given as spool= or TOGAI_SPOOL, or the URL of a relay
    (redis://, rediss://, unix://); it may be left out if TOGAI_SPOOL or TOGAI_RELAY is set (the
    first wins), so that no password stands in the command. All commands work while the application runs.

    \b
    Examples:
      togai-shipper spool ls DIR              how much waits, and why
      togai-shipper spool ls --dead DIR       what Togai refused
      togai-shipper spool replay DIR          send that again
    """  # noqa: D301  \b is click's sign for "keep these lines"


for command in (ls, show, verify_command, replay, purge, export):
    spool.add_command(command)
