"""The file of ``--rejects``: bad lines, as they are, so that they can be corrected and sent."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

import click

from togai_shipper.cli.private_files import replaced_file
from togai_shipper.cli.terminal import printable_line


class BadLineLost(Exception):  # noqa: N818  it says what is lost
    """A bad line could not be kept; the text says why."""


class RejectsFile:
    """Keeps bad lines; for CSV, below the header. Where one cannot be kept, the command reads no further."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._has_header = False
        self._file: BinaryIO

    def __enter__(self) -> None:
        try:
            self._file = replaced_file(self._path)
        except OSError as error:
            raise click.UsageError(f"--rejects {self._path}: {error.strerror}") from error

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):  # all is written already, or the error was raised
            self._file.close()

    def write(self, line: bytes | None, header: bytes | None) -> None:
        """Keep a line. ``None`` stands for a line that is longer than any event, which is not kept.

        Raises ``BadLineLost``.
        """
        if line is None:
            return
        lines = [line]
        if header is not None and not self._has_header:
            self._has_header = True
            lines = [header, line]
        if self._file.isatty():
            lines = [*map(printable_line, lines)]
        try:
            self._file.writelines(each + b"\n" for each in lines)
            self._file.flush()
        except OSError as error:
            raise BadLineLost(f"--rejects {self._path} cannot be written: {error.strerror}") from error
