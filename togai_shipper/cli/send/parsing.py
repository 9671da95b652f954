"""Lines as events: NDJSON or CSV, one after the other, in constant memory. Pure, but for the stream.

A line that is no event comes out as what is wrong with it, and the next one is read.
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
MAX_ROW = 1 << 16  # bytes of a row that goes over several lines
MAX_ROW_LINES = 100  # after its first, and without blank ones
_BOM = b"\xef\xbb\xbf"

#: A line's number from 1 and its bytes without the line's end; ``None``: longer than ``MAX_LINE``.
Line: TypeAlias = tuple[int, bytes | None]
#: The line's number, its bytes (``None``: not kept), and the facts, or what is wrong with it.
Read: TypeAlias = tuple[int, bytes | None, LineFields | BadLine]

TOO_LONG = BadLine(f"has more than {MAX_LINE:,} bytes")


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
        if blank or not is_blank(text):
            yield number, text


def is_blank(line: bytes | None) -> bool:
    """Whether there is nothing but white space in a line."""
    return line is not None and (not line or line.isspace())


# --- the two formats --------------------------------------------------------------------------------------


def read_json(lines: Iterator[Line]) -> Iterator[Read]:
    """NDJSON: an event a line."""
    for number, line in lines:
        if line is None:
            yield number, None, TOO_LONG
            continue
        try:
            yield number, line, line_fields.of_json(line)
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
            not_blank += not is_blank(more)
            if not_blank == MAX_ROW_LINES:
                break
    raise BadLine(f"is no CSV: {error}")


def _cells_or_none(raw: bytes) -> list[str] | None:
    try:
        return cells(line_fields.text_of(raw))
    except (csv.Error, BadLine):
        return None
