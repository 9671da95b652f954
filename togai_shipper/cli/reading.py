"""Files, gzipped or not, and standard input, as events: one line after the other, in constant memory.

A line that is no event comes out as what is wrong with it, and the next one is read.
"""

from __future__ import annotations

import csv
import gzip
import io
import stat
import zlib
from collections import deque
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import BinaryIO, TypeAlias

import attrs

from . import facts
from .columns import BadHeader, Columns, Source, cells, header_of
from .facts import BadLine, Facts

MAX_LINE = 1 << 20  # bytes; an event has at most 900,000
MAX_ROW = 1 << 16  # bytes of a row that goes over several lines
MAX_ROW_LINES = 100  # after its first, and without blank ones
_BOM = b"\xef\xbb\xbf"
_BLOCK = 1 << 18  # bytes that are read at once

#: A line's number from 1 and its bytes without the line's end; ``None``: longer than ``MAX_LINE``.
Line: TypeAlias = tuple[int, bytes | None]
#: The line's number, its bytes (``None``: not kept), and the facts, or what is wrong with it.
Read: TypeAlias = tuple[int, bytes | None, Facts | BadLine]

_TOO_LONG = BadLine(f"has more than {MAX_LINE:,} bytes")


def lines_of(stream: BinaryIO | io.BufferedIOBase, *, blank: bool = False) -> Iterator[Line]:
    """Each line that is not blank, and with ``blank`` those, too."""
    number = 0
    for line in iter(partial(stream.readline, MAX_LINE), b""):
        number += 1
        if len(line) == MAX_LINE and line[-1:] != b"\n":
            while (rest := stream.readline(MAX_LINE)) and rest[-1:] != b"\n":
                pass
            yield number, None
            continue
        text = line.rstrip(b"\r\n")
        if number == 1:
            text = text.removeprefix(_BOM)
        if blank or not _is_blank(text):
            yield number, text


def _is_blank(line: bytes | None) -> bool:
    return line is not None and (not line or line.isspace())


# --- the two formats --------------------------------------------------------------------------------------


def read_json(lines: Iterator[Line]) -> Iterator[Read]:
    """NDJSON: an event a line."""
    for number, line in lines:
        if line is None:
            yield number, None, _TOO_LONG
            continue
        try:
            yield number, line, facts.of_json(line)
        except BadLine as bad:
            yield number, line, bad


def read_csv(lines: Iterator[Line], columns: Columns) -> Iterator[Read]:
    """CSV: an event a row, which may go over several lines where a cell does; blank ones are part of that.

    A quote that is opened by mistake would swallow all rows up to the next quote. So what goes over several
    lines is a row only if it has the right number of columns; else its first line is bad, and the second one
    is looked at by itself.
    """
    ahead: deque[Line] = deque()  # looked at, and not read
    while (line := ahead.popleft() if ahead else next(lines, None)) is not None:
        number, raw = line
        if raw is None:
            yield number, None, _TOO_LONG
            continue
        if _is_blank(raw):
            continue
        try:
            try:
                row = cells(facts.text_of(raw))
            except csv.Error as error:
                raw, row = _over_several_lines(raw, ahead, lines, columns.width, error)
            yield number, raw, columns.facts(row)
        except BadLine as bad:
            yield number, raw, bad


def _over_several_lines(
    raw: bytes, ahead: deque[Line], lines: Iterator[Line], width: int, error: csv.Error
) -> tuple[bytes, list[str]]:
    """The whole row that ``raw`` begins, taken out of what comes; raises ``BadLine`` and takes nothing."""
    if raw.count(b'"') % 2:
        # Nothing was looked at beyond this line: looking ends at a line with an odd number of quotes.
        parts, size, not_blank = [raw], len(raw), 0
        for following in lines:
            ahead.append(following)
            more = following[1]
            if more is None or size + len(more) >= MAX_ROW:
                break
            parts.append(more)
            size += 1 + len(more)
            if more.count(b'"') % 2:
                whole = b"\n".join(parts)
                row = _cells_or_none(whole)
                if row is None or len(row) != width:
                    break
                ahead.clear()
                return whole, row
            not_blank += not _is_blank(more)
            if not_blank == MAX_ROW_LINES:
                break
    raise BadLine(f"is no CSV: {error}")


def _cells_or_none(raw: bytes) -> list[str] | None:
    try:
        return cells(facts.text_of(raw))
    except (csv.Error, BadLine):
        return None


# --- inputs -----------------------------------------------------------------------------------------------


class Unreadable(Exception):  # noqa: N818  like BadLine
    """An input cannot be opened, or not be read any further; the text says why."""


@attrs.frozen(kw_only=True)
class Format:
    """How lines are to be understood.

    Attributes:
        is_csv: CSV, else NDJSON.
        mapped: of CSV, what ``--map`` says.
        ignoring: of CSV, whether a column that means nothing is left out.

    """

    is_csv: bool
    mapped: dict[str, Source] = attrs.field(factory=dict)
    ignoring: bool = False


class Input:
    """A file or standard input.

    Args:
        name: as it is called in messages.
        path: of the file; ``None``: ``stdin`` is read.
        stdin: what is read then.
        form: how its lines are to be understood.

    """

    def __init__(self, name: str, path: Path | None, form: Format, *, stdin: BinaryIO | None = None) -> None:
        self.name = name
        self.form = form
        self.header: bytes | None = None  # of CSV, known once it is open
        self.size: int | None = None  # bytes, if it has an end that is known
        self._path = path
        self._stdin = stdin
        self._raw: io.FileIO | None = None
        self._stream: BinaryIO | io.BufferedIOBase | None = None
        self._lines: Iterator[Line] = iter(())
        self._columns: Columns | None = None
        self._done = 0  # bytes, once it is read

    def check(self) -> None:
        """Open it and look at its header. Raises ``Unreadable`` or ``BadHeader``."""
        self._open()
        if self.size is not None:
            self.close()  # there may be more of them than a process can have open

    def events(self) -> Iterator[Read]:
        """What is in it, once. Raises ``Unreadable`` where it cannot be read any further."""
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
        """How many bytes of it are read, from any thread."""
        try:
            return self._raw.tell() if self._raw and self.size else self._done
        except ValueError:  # closed meanwhile
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
            return self._stdin  # type: ignore[return-value]  # there is one of the two
        self._raw = io.FileIO(self._path)
        status = self._path.stat()
        if stat.S_ISREG(status.st_mode):
            self.size = status.st_size
        buffered = io.BufferedReader(self._raw, _BLOCK)
        if self._path.suffix != ".gz":
            return buffered
        # Not in another buffer: where a file is cut, that would lose what it holds.
        return gzip.GzipFile(fileobj=buffered)

    def _begin_csv(self) -> None:
        first = next((line for line in self._lines if not _is_blank(line[1])), None)
        if first is None:  # an empty file has no rows, whatever its columns
            return
        _, self.header = first
        if self.header is None:
            raise BadHeader(f"the header: {_TOO_LONG}")
        self._columns = Columns(header_of(self.header), self.form.mapped, ignoring=self.form.ignoring)

    def close(self) -> None:
        """Close the file; standard input is not ours."""
        if self._raw is not None:
            self._raw.close()
        self._stream = None


def _why(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__


def total(inputs: Sequence[Input]) -> int | None:
    """The bytes of all of them, if that is known."""
    sizes = [each.size for each in inputs]
    return None if None in sizes else sum(size or 0 for size in sizes)
