"""Bad lines, kept as they are in a file of their own, so that they can be mended and sent."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

import click


class RejectsFile:
    """Of CSV, the header comes first. Every error ends the command: what cannot be kept would be lost."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._has_header = False
        try:
            self._file: BinaryIO = path.open("wb")
        except OSError as error:
            raise click.UsageError(f"--rejects {path}: {error.strerror}") from error

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

    def close(self) -> None:
        """Close it."""
        self._file.close()
