"""The group ``togai-shipper``, which holds all commands."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from togai_shipper import TogaiShipperError, __version__
from togai_shipper._printable import printable

from .not_answered import NotAnswered
from .on_demand import OnDemand, OnDemandGroup

_COMMANDS = {
    "catalog": OnDemand(
        "catalog:catalog",
        "Print the event schemas that Togai has, as JSON: keep them in a file beside your code.",
    ),
    "demo": OnDemand(
        "demo.command:demo",
        "Track a simulated web workload, let things go wrong, and show that every event is billed once.",
    ),
    "doctor": OnDemand(
        "doctor.command:doctor",
        "Check all that delivery needs: key, options, server, clock, spool, relay, packages.",
    ),
    "drain": OnDemand(
        "drain:drain",
        "Deliver what a relay holds, or what is left in a spool whose application is gone.",
    ),
    "events": OnDemand(
        "events.command:events",
        "Look at events in Togai: those with these IDs, or those that it did not process.",
    ),
    "reconcile": OnDemand(
        "reconcile.command:reconcile",
        "Prove a day, or a month: that every event which was tracked is billed.",
    ),
    "sandbox": OnDemand(
        "sandbox.command:sandbox",
        "Run a stand-in for Togai until Ctrl-C, SIGTERM or SIGHUP.",
    ),
    "send": OnDemand(
        "send.command:send",
        "Send the events of files: NDJSON or CSV, packed by gzip or not; - is standard input.",
    ),
    "spool": OnDemand(
        "spool.command:spool",
        "Look into a spool or a relay, and work with what was not delivered.",
    ),
    "top": OnDemand("top.command:top", "Show how each process stands, a line for each, the worst first."),
}


class _Group(OnDemandGroup):
    """Prints what is wrong in one line, if the user or the world did it; any other exception is a bug."""

    def make_context(self, *args: Any, **extra: Any) -> click.Context:
        with _printable_errors():
            return super().make_context(*args, **extra)

    def invoke(self, ctx: click.Context) -> Any:
        with _printable_errors():
            return super().invoke(ctx)


@contextmanager
def _printable_errors() -> Iterator[None]:
    """Make the message of an error one line: it names files and values that come from strangers."""
    try:
        yield
    except TogaiShipperError as error:
        raise click.ClickException(printable(str(error))) from error
    except click.exceptions.NoArgsIsHelpError:
        raise  # its message is the help, in many lines
    except click.UsageError as error:
        raise click.UsageError(printable(error.format_message()), error.ctx) from error
    except NotAnswered as error:  # it has an exit status of its own
        raise NotAnswered(printable(error.format_message())) from error
    except click.ClickException as error:
        raise click.ClickException(printable(error.format_message())) from error
    except FileNotFoundError as error:
        if _is_somewhere():
            raise
        raise click.ClickException("the current directory does not exist any more") from error


def _is_somewhere() -> bool:
    """Whether there is a current directory: it may have been removed."""
    try:
        return bool(Path.cwd())
    except OSError:
        return False


_CLI_HELP = """
Carry usage events to Togai: nothing lost silently, nothing billed twice.

A command does its work also where nobody reads what it prints, or the disk is full that it prints to.
What came of it goes to standard error then, and the exit status is 1 in place of 0.

\b
Examples:
  togai-shipper demo                  see it work; nothing else is needed
  togai-shipper sandbox --fail 0.3    a stand-in for Togai that fails
  togai-shipper send usage.ndjson     the events of a file, each billed once
  togai-shipper doctor                is everything there for delivery?
  togai-shipper catalog               the event schemas that Togai has
  togai-shipper reconcile DIR         was everything billed that was tracked?
  togai-shipper events ID             what Togai has of an event
  togai-shipper top DIR               how each process stands
  togai-shipper spool ls DIR          what waits on disk, and why
  togai-shipper drain --once DIR      deliver it, if the application is gone
"""


@click.group(
    cls=_Group, on_demand=_COMMANDS, context_settings={"help_option_names": ["-h", "--help"]}, help=_CLI_HELP
)
@click.version_option(__version__, "--version", "-V", prog_name="togai-shipper")
def cli() -> None:
    """Carry usage events to Togai: nothing lost silently, nothing billed twice."""
