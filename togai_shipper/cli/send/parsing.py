"""Read the lines of a stream as events, NDJSON or CSV, in constant memory.

For a line that is no event, the reason comes out instead, and reading goes on with the next line.
"""

from __future__ import annotations

import csv
import io
from collections import deque
from collections.abc import Iterator
from functools import partial
from typing import BinaryIO, TypeAlias

from . import line_fields
from .columns import Columns, cells
from .line_fields import BadLine, LineFields

MAX_LINE = 1 << 20  # bytes; an event has at most 900,000
MAX_ROW = 1 << 16  # bytes of a row that is several lines long
MAX_ROW_LINES = 100  # of such a row, after its first line; blank lines do not count
_BOM = b"\xef\xbb\xbf"

#: A line's number, from 1, and its bytes without the line's end (``None`` if longer than ``MAX_LINE``).
Line: TypeAlias = tuple[int, bytes | None]
#: A line's number, its bytes (``None`` if not kept), and its fields, or what is wrong with it.
Read: TypeAlias = tuple[int, bytes | None, LineFields | BadLine]

TOO_LONG = BadLine(f"has more than {MAX_LINE:,} bytes")


def lines_of(stream: BinaryIO | io.BufferedIOBase, *, blank: bool = False) -> Iterator[Line]:
    """Read each line that is not blank; with ``blank``, also those that are."""
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
        if blank or not is_blank(text):
            yield number, text


def is_blank(line: bytes | None) -> bool:
    """Whether a line has nothing but white space."""
    return line is not None and (not line or line.isspace())


# --- the two formats --------------------------------------------------------------------------------------


def read_json(lines: Iterator[Line]) -> Iterator[Read]:
    """Read NDJSON: each line is an event."""
    for number, line in lines:
        if line is None:
            yield number, None, TOO_LONG
            continue
        try:
            yield number, line, line_fields.of_json(line)
        except BadLine as bad:
            yield number, line, bad


def read_csv(lines: Iterator[Line], columns: Columns) -> Iterator[Read]:
    """Read CSV: each row is an event. A row is several lines long if a cell is, blank lines included.

    A quote that is opened by mistake would swallow all rows up to the next quote. So several lines are a row
    only if they make the right number of columns; else the first line is bad, and the second one is read by
    itself.
    """
    ahead: deque[Line] = deque()  # lines that were looked at, but not read yet
    while (line := ahead.popleft() if ahead else next(lines, None)) is not None:
        number, raw = line
        if raw is None:
            yield number, None, TOO_LONG
            continue
        if is_blank(raw):
            continue
        try:
            try:
                row = cells(line_fields.text_of(raw))
            except csv.Error as error:
                raw, row = _over_several_lines(raw, ahead, lines, columns.width, error)
            yield number, raw, columns.fields(row)
        except BadLine as bad:
            yield number, raw, bad


def _over_several_lines(
    raw: bytes, ahead: deque[Line], lines: Iterator[Line], width: int, error: csv.Error
) -> tuple[bytes, list[str]]:
    """Return the whole row that begins with ``raw``. Raises ``BadLine``, and then has read no other line."""
    if raw.count(b'"') % 2:
        # No line after this one was looked at: looking ends at a line with an odd number of quotes.
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
            not_blank += not is_blank(more)
            if not_blank == MAX_ROW_LINES:
                break
    raise BadLine(f"is not CSV: {error}")


def _cells_or_none(raw: bytes) -> list[str] | None:
    try:
        return cells(line_fields.text_of(raw))
    except (csv.Error, BadLine):
        return None
