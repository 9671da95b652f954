"""What a command does when it cannot print: one rule, for all commands.

A command does its work, whoever reads. Once a stream cannot be written (its reader has gone, the disk is
full, it was closed), what is meant for it is given up, and nothing fails for that. What is said on the way
goes to standard error, and is missed by nobody. What a command is asked for goes to standard output: if that
is lost, the command ends where it would print more of it, and its exit status is not 0.
"""

from __future__ import annotations

import io
import os
import select
import sys
from typing import Any, TextIO

import click


class OutputLost(click.exceptions.Exit):
    """What was printed to standard output cannot be written: ends the command with exit status 1."""

    def __init__(self) -> None:
        super().__init__(1)


class GuardedStream(io.FileIO):
    """A descriptor that is written to until that fails; what is written after that is gone.

    ``failure`` is the error of the write that failed.
    """

    def __init__(self, descriptor: int) -> None:
        super().__init__(descriptor, "wb", closefd=False)
        self.failure: OSError | None = None

    def write(self, data: Any) -> int:
        """Write as much as fits, and wait until something does; never raise ``OSError``."""
        if self.failure is None:
            try:
                while (written := super().write(data)) is None:  # somebody has made it non-blocking
                    select.select((), (self,), ())
            except OSError as error:
                self.failure = error
            else:
                return written
        return memoryview(data).nbytes


def guard_streams() -> None:
    """Have this process write to guarded streams, with escapes for what they cannot encode.

    A descriptor that was closed is filled with one that fails: else the next file to be opened, such as a
    spool's, would be in its place, and what is printed would end in it.
    """
    if sys.stdin is None:
        os.open(os.devnull, os.O_WRONLY)  # the lowest number that is free
    sys.stdout, sys.stderr = _guarded(sys.stdout), _guarded(sys.stderr)


def _guarded(given: TextIO | None) -> TextIO:
    descriptor = os.open(os.devnull, os.O_RDONLY) if given is None else given.fileno()
    return io.TextIOWrapper(
        io.BufferedWriter(GuardedStream(descriptor)),
        "utf-8" if given is None else given.encoding,
        "backslashreplace",
        line_buffering=bool(getattr(given, "line_buffering", True)),
    )


def why_lost() -> OSError | None:
    """Return why standard output is lost; ``None`` as long as it can be written."""
    raw = getattr(getattr(sys.stdout, "buffer", None), "raw", None)
    return raw.failure if isinstance(raw, GuardedStream) else None


def stop_if_lost() -> None:
    """Raise ``OutputLost`` where standard output is lost."""
    if why_lost() is not None:
        raise OutputLost
