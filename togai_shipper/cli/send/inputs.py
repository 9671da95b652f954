"""Files, gzipped or not, and standard input: opened, checked, and read as events."""

from __future__ import annotations

import gzip
import io
import stat
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

import attrs

from .columns import BadHeader, Columns, FieldSource, header_of
from .parsing import TOO_LONG, Line, Read, is_blank, lines_of, read_csv, read_json

_BLOCK = 1 << 18  # bytes that are read from a file at once


class Unreadable(Exception):  # noqa: N818  like BadLine
    """An input cannot be opened, or cannot be read any further; the text says why."""


@attrs.frozen(kw_only=True)
class LineFormat:
    """How the lines of an input are read.

    Attributes:
        is_csv: whether it is CSV; else it is NDJSON.
        mapped: for CSV, what ``--map`` says.
        ignoring: for CSV, whether unknown columns are left out.

    """

    is_csv: bool
    mapped: dict[str, FieldSource] = attrs.field(factory=dict)
    ignoring: bool = False


class Input:
    """A file or standard input.

    Args:
        name: its name in messages.
        path: the file; ``None``: ``stdin`` is read.
        stdin: standard input, if it is read.
        form: how its lines are read.

    """

    def __init__(
        self, name: str, path: Path | None, form: LineFormat, *, stdin: BinaryIO | None = None
    ) -> None:
        self.name = name
        self.form = form
        self.header: bytes | None = None  # of CSV, known when it is open
        self.size: int | None = None  # bytes; unknown for pipes and the like
        self._path = path
        self._stdin = stdin
        self._raw: io.FileIO | None = None
        self._stream: BinaryIO | io.BufferedIOBase | None = None
        self._lines: Iterator[Line] = iter(())
        self._columns: Columns | None = None
        self._done = 0  # bytes, set when all is read

    def check(self) -> None:
        """Open it and look at its header. Raises ``Unreadable`` or ``BadHeader``."""
        self._open()
        if self.size is not None:
            self.close()  # there may be more inputs than a process can have open

    def events(self) -> Iterator[Read]:
        """Read its events, once. Raises ``Unreadable`` where it cannot be read any further."""
        if self._stream is None:
            self._open()
        try:
            yield from self._reads()
        except (OSError, EOFError, zlib.error) as error:
            raise Unreadable(_why(error)) from error
        finally:
            self._done = self.size or 0
            self.close()

    def _reads(self) -> Iterator[Read]:
        return read_json(self._lines) if self._columns is None else read_csv(self._lines, self._columns)

    def position(self) -> int:
        """Return how many bytes of it have been read; any thread may ask."""
        try:
            return self._raw.tell() if self._raw and self.size else self._done
        except (ValueError, OSError):  # it has just been closed, or is being closed at this moment
            return self._done

    def _open(self) -> None:
        try:
            self._stream = self._opened()
            self._lines = lines_of(self._stream, blank=self.form.is_csv)
            if self.form.is_csv:
                self._begin_csv()
        except (OSError, EOFError, zlib.error) as error:
            self.close()
            raise Unreadable(_why(error)) from error
        except BadHeader:
            self.close()
            raise

    def _opened(self) -> BinaryIO | io.BufferedIOBase:
        if self._path is None:
            return self._stdin  # type: ignore[return-value]  # without a path there is stdin
        self._raw = io.FileIO(self._path)
        status = self._path.stat()
        if stat.S_ISREG(status.st_mode):
            self.size = status.st_size
        buffered = io.BufferedReader(self._raw, _BLOCK)
        if self._path.suffix != ".gz":
            return buffered
        # Without another buffer around it, which would lose what it holds if the file is cut short.
        return gzip.GzipFile(fileobj=buffered)

    def _begin_csv(self) -> None:
        first = next((line for line in self._lines if not is_blank(line[1])), None)
        if first is None:  # an empty file has no rows, whatever its columns
            return
        _, self.header = first
        if self.header is None:
            raise BadHeader(f"the header: {TOO_LONG}")
        self._columns = Columns(header_of(self.header), self.form.mapped, ignoring=self.form.ignoring)

    def close(self) -> None:
        """Close the file; standard input stays open."""
        if self._raw is not None:
            self._raw.close()
        self._stream = None


def _why(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__


def total(inputs: Sequence[Input]) -> int | None:
    """Return the bytes of all inputs together, if that is known."""
    sizes = [each.size for each in inputs]
    return None if None in sizes else sum(size or 0 for size in sizes)
