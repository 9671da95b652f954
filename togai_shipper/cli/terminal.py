"""What commands print; no other module of the command line writes to a terminal.

Names of files, contents of events, messages of servers and of SQLite come from strangers. Here they are made
printable: no control character, no escape sequence, no direction mark and no line end of theirs reaches the
terminal, and no markup of the terminal library is read in them.
"""

from __future__ import annotations

import io
import json
import os
import re
import sys
import threading
from collections.abc import Iterable
from types import TracebackType
from typing import Any

import click
from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

from togai_shipper._printable import printable, printable_traceback

_SIZE = re.compile("[1-9][0-9]{0,4}")  # of a terminal, in COLUMNS and LINES


class _StandardOutput(io.FileIO):
    """Standard output, which may be a file on a full disk: the first write that fails ends the command.

    What is written after that is gone: else what is left in the buffer would fail once more at the exit.
    """

    def write(self, data: Any) -> int:
        """Write, or raise ``click.ClickException``, which no handler takes for an error of another file."""
        try:
            return super().write(data)
        except BrokenPipeError:  # whoever reads it has seen enough: click ends without a word
            raise
        except OSError as error:
            nothing = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nothing, self.fileno())
            os.close(nothing)
            raise click.ClickException(f"standard output: cannot be written: {error.strerror}") from error


def prepare_streams() -> None:
    """Have this process write escapes for what its streams cannot encode, and tracebacks that are printable.

    For a process that is a command and nothing else. Exits where there is no standard output: a file that is
    opened later would be in its place.
    """
    if sys.stdout is None:
        click.echo("Error: standard output is closed", err=True)
        sys.exit(1)
    sys.stdout = io.TextIOWrapper(
        io.BufferedWriter(_StandardOutput(sys.stdout.fileno(), "wb", closefd=False)),
        sys.stdout.encoding,
        "backslashreplace",
        line_buffering=bool(sys.stdout.line_buffering),
    )
    if isinstance(sys.stderr, io.TextIOWrapper):  # None where it is closed
        sys.stderr.reconfigure(errors="backslashreplace")
    sys.excepthook = _print_exception
    threading.excepthook = lambda given: _print_exception(
        given.exc_type, given.exc_value, given.exc_traceback
    )


def _print_exception(kind: type[BaseException], error: BaseException | None, _: TracebackType | None) -> None:
    click.echo("This is a fault of togai-shipper, please report it:", err=True)
    click.echo(printable_traceback(error or kind()), err=True)


def print_line(line: str = "", *, err: bool = False) -> None:
    """Print one line to standard output, or to standard error."""
    click.echo(printable(line), err=err)


def print_lines(lines: Iterable[str], *, err: bool = False) -> None:
    """Print lines, one by one."""
    for line in lines:
        print_line(line, err=err)


def printable_line(line: bytes) -> bytes:
    """Return a line of a file as a terminal may be given it."""
    return printable(line.decode(errors="replace")).encode()


def print_json(value: object, *, indent: int | None = None) -> None:
    """Print a value as JSON, in which every character of a stranger that is not ASCII is escaped."""
    click.echo(json.dumps(value, indent=indent))


def confirm(question: str) -> None:
    """Ask on standard error; raise ``click.Abort`` unless the answer is yes."""
    click.confirm(printable(question), abort=True, err=True)


def styled(text: str, style: str = "") -> Text:
    """Make a text for a ``Screen``, a cell of a table for example."""
    return Text(printable(text), style)


class Screen(Console):
    """A terminal, or a file in its place: draws tables, bars and styled lines."""

    def __init__(self, **options: Any) -> None:
        # The library fails at digits of other scripts here, and draws nothing on 0 columns.
        environ = {
            name: text
            for name, text in os.environ.items()
            if name not in ("COLUMNS", "LINES") or _SIZE.fullmatch(text)
        }
        super().__init__(**{"_environ": environ, **options}, highlight=False, markup=False, emoji=False)

    def say(self, *parts: str | Text) -> None:
        """Print one line, which the terminal may wrap and nobody else does."""
        texts = [part if isinstance(part, Text) else styled(part) for part in parts]
        self.print(Text.assemble(*texts), soft_wrap=True)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Render as the library does; whatever is drawn, its text is printable."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else segment._replace(text=_printable_lines(segment.text))


def _printable_lines(text: str) -> str:
    return "\n".join(map(printable, text.split("\n")))
