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

from .bad_line import BadLine
from .columns import Columns, cells
from .json_fields import JsonFields
from .line_fields import LineFields, text_of

MAX_LINE = 1 << 20  # bytes; an event has at most 900,000
MAX_ROW = 1 << 16  # bytes of a row that is several lines long
MAX_ROW_LINES = 100  # of such a row, after its first line; blank lines do not count
BOM = b"\xef\xbb\xbf"

#: A line's number, from 1, and its bytes without the line's end (``None`` if longer than ``MAX_LINE``).
Line: TypeAlias = tuple[int, bytes | None]
#: A line's number, its bytes (``None`` if not kept), and its fields, or what is wrong with it.
Read: TypeAlias = tuple[int, bytes | None, LineFields | BadLine]
#: A row's number and bytes, and its cells, or what is wrong with it.
Row: TypeAlias = tuple[int, bytes | None, list[str] | BadLine]

TOO_LONG = BadLine(f"has more than {MAX_LINE:,} bytes")


class OpenLine(bytes):
    """The last line of a stream, if no line end follows it: it may be the beginning of a longer one."""


class OpenObject(OpenLine):
    """An object of JSON that is not closed at the end of a stream; if empty, the array around them is not."""


class Unfinished(BadLine):
    """The last row of a stream may be the beginning of a longer one: "12" may become "125"."""


UNFINISHED = Unfinished(
    "has no line end, so it may be unfinished, and is left for the next run; --complete takes it"
)
HALF_OBJECT = Unfinished("is not closed, so it is unfinished, and is left for the next run")
OPEN_LINE = Unfinished(
    "has blanks behind it and no line end, so it may go on, and is left for the next run; --complete takes it"
)
OPEN_ARRAY = Unfinished(
    "is not there yet: the array is not closed, so it may be unfinished; --complete takes it as it is"
)


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
        if text == line:
            text = OpenLine(text)
        if number == 1:
            text = type(text)(text.removeprefix(BOM))
        if blank or not is_blank(text):
            yield number, text
        if type(text) is OpenLine:  # what is appended from now on would be read as a line of its own
            return


def is_blank(line: bytes | None) -> bool:
    """Whether a line has nothing but white space."""
    return line is not None and (not line or line.isspace())


# --- the two formats --------------------------------------------------------------------------------------


def read_json(
    lines: Iterator[Line], members: JsonFields, *, complete: bool = False, packed: bool = False
) -> Iterator[Read]:
    """Read JSON: each line is an event. An object that is not closed is unfinished, unless all is there.

    So is a last line with blanks behind the object: its id is made with them if the line ends there, and
    without them if another object follows. What was ``packed`` ends where it ends.
    """
    for number, line in lines:
        if line is None:
            yield number, None, TOO_LONG
            continue
        if type(line) is OpenLine and line.endswith((b" ", b"\t")) and not complete and not packed:
            yield number, line, OPEN_LINE
            continue
        try:
            yield number, line, members.fields(line)
        except BadLine as bad:
            is_open = type(line) is OpenObject and not complete
            yield number, line, (HALF_OBJECT if line else OPEN_ARRAY) if is_open else bad


def read_csv(lines: Iterator[Line], columns: Columns, *, complete: bool = True) -> Iterator[Read]:
    """Read CSV: each row is an event."""
    for number, raw, row in rows_of(lines, columns, complete=complete):
        if isinstance(row, BadLine):
            yield number, raw, row
            continue
        try:
            yield number, raw, columns.fields(row)
        except BadLine as bad:
            yield number, raw, bad


def rows_of(lines: Iterator[Line], columns: Columns, *, complete: bool = True) -> Iterator[Row]:
    """Read the rows of CSV that say something. A row is several lines long if a cell is, also blank ones.

    Unless the stream is known to be ``complete``, a row without a line end is unfinished, but for one that
    has all columns and ends with the quote that closes the last one.

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
        row: list[str] | BadLine
        try:
            try:
                row = cells(text_of(raw), columns.delimiter)
            except csv.Error as error:
                raw, row = _over_several_lines(raw, ahead, lines, columns, error)
        except BadLine as bad:
            row = bad
        if type(raw) is OpenLine and not complete and not _is_whole(raw, row, columns.width):
            row = UNFINISHED
        if isinstance(row, list) and columns.are_no_fields(row):
            continue
        yield number, raw, row


def _is_whole(raw: bytes, row: list[str] | BadLine, width: int) -> bool:
    return isinstance(row, list) and len(row) == width and raw.endswith(b'"')


def _over_several_lines(
    raw: bytes, ahead: deque[Line], lines: Iterator[Line], columns: Columns, error: csv.Error
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
                row = _cells_or_none(whole, columns.delimiter)
                if row is None or len(row) != columns.width:
                    break
                ahead.clear()
                return type(more)(whole), row
            not_blank += not is_blank(more)
            if not_blank == MAX_ROW_LINES:
                break
    raise BadLine(f"is not CSV: {error}")


def _cells_or_none(raw: bytes, delimiter: str) -> list[str] | None:
    try:
        return cells(text_of(raw), delimiter)
    except (csv.Error, BadLine):
        return None
