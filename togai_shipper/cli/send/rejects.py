"""Bad lines, kept as they are in a file of their own, so that they can be mended and sent."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

import click


class RejectsFile:
    """Of CSV, the header comes first. Every error ends the command: what cannot be kept would be lost."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._has_header = False
        self._file: BinaryIO

    def __enter__(self) -> None:
        try:
            self._file = self._path.open("wb")
        except OSError as error:
            raise click.UsageError(f"--rejects {self._path}: {error.strerror}") from error

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):  # all of it is written already, or it was told that it cannot be
            self._file.close()

    def write(self, line: bytes | None, header: bytes | None) -> None:
        """Keep a line; one that is longer than any event can be (``None``) is not kept, only told of."""
        if line is None:
            return
        text = line + b"\n"
        if header is not None and not self._has_header:
            self._has_header = True
            text = header + b"\n" + text
        try:
            self._file.write(text)
            self._file.flush()
        except OSError as error:
            raise click.ClickException(f"--rejects {self._path}: {error.strerror}") from error
