"""The lines that commands print; only this module and ``screen`` write to a terminal.

Names of files, contents of events, messages of servers and of SQLite come from strangers. Here they are made
printable: no control character, no escape sequence, no direction mark and no line end of theirs reaches the
terminal.
"""

from __future__ import annotations

import errno
import json
import sys
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from types import TracebackType

import click

from togai_shipper._printable import printable, printable_traceback

from .streams import OutputLost, guard_streams, stop_if_lost, why_lost


def prepare_streams() -> None:
    """Have this process give up streams that cannot be written, and print tracebacks that are printable.

    For a process that is a command and nothing else.
    """
    guard_streams()
    sys.excepthook = _print_exception
    threading.excepthook = lambda given: _print_exception(
        given.exc_type, given.exc_value, given.exc_traceback
    )


@contextmanager
def output_checked() -> Iterator[None]:
    """Say at the end of a command that standard output was lost, and see to it that its exit status does."""
    try:
        yield
    except SystemExit as end:
        sys.stdout.flush()
        if (failure := why_lost()) is None:
            raise
        if failure.errno != errno.EPIPE:  # else whoever reads it has seen enough
            is_closed = failure.errno == errno.EBADF
            why = " is closed" if is_closed else f": cannot be written: {failure.strerror}"
            print_line(f"Error: standard output{why}", err=True)
        raise SystemExit(end.code or 1) from None


def _print_exception(kind: type[BaseException], error: BaseException | None, _: TracebackType | None) -> None:
    click.echo("This is a fault of togai-shipper, please report it:", err=True)
    click.echo(printable_traceback(error or kind()), err=True)


def print_line(line: str = "", *, err: bool = False) -> None:
    """Print one line to standard output, or to standard error. Raises ``OutputLost``."""
    click.echo(printable(line), err=err)
    if not err:
        stop_if_lost()


def print_lines(lines: Iterable[str], *, err: bool = False) -> None:
    """Print lines, one by one."""
    for line in lines:
        print_line(line, err=err)


def printable_line(line: bytes) -> bytes:
    """Return a line of a file as a terminal may be given it."""
    return printable(line.decode(errors="replace")).encode()


def print_json(value: object, *, indent: int | None = None) -> None:
    """Print a value as JSON, in which every character of a stranger that is not ASCII is escaped.

    Raises ``OutputLost``.
    """
    click.echo(json.dumps(value, indent=indent))
    stop_if_lost()


def print_outcome(lines: Sequence[str], value: object = None) -> None:
    """Print what came of a command's work: these lines, or a value as JSON.

    Where standard output is lost, the lines go to standard error, and the exit status says it at the end.
    """
    try:
        if value is None:
            print_lines(lines)
        else:
            print_json(value, indent=2)
    except OutputLost:
        print_lines(lines, err=True)


def confirm(question: str) -> None:
    """Ask on standard error; raise ``click.Abort`` unless the answer is yes."""
    if sys.stdin is None:
        raise click.ClickException("standard input is closed, so nobody can be asked")
    click.confirm(printable(question), abort=True, err=True)
