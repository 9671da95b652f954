"""The group ``togai-shipper``, which holds all commands."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click

from togai_shipper import TogaiShipperError, __version__
from togai_shipper._printable import printable

from .demo.command import demo
from .doctor.command import doctor
from .drain import drain
from .sandbox import sandbox
from .send.command import send
from .spool.command import spool


class _Group(click.Group):
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
    except click.ClickException as error:
        raise click.ClickException(printable(error.format_message())) from error


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, "--version", "-V", prog_name="togai-shipper")
def cli() -> None:
    """Carry usage events to Togai: nothing lost silently, nothing billed twice.

    \b
    Examples:
      togai-shipper demo                  see it work; nothing else is needed
      togai-shipper sandbox --fail 0.3    a stand-in for Togai that fails
      togai-shipper send usage.ndjson     the events of a file, each billed once
      togai-shipper doctor                is everything there for delivery?
      togai-shipper spool ls DIR          what waits on disk, and why
      togai-shipper drain --once DIR      deliver it, if the application is gone
    """  # noqa: D301  \b is click's sign for "keep these lines"


cli.add_command(demo)
cli.add_command(doctor)
cli.add_command(drain)
cli.add_command(sandbox)
cli.add_command(send)
cli.add_command(spool)
