"""The beginning of a CSV file: what separates its columns, and what these mean."""

from __future__ import annotations

import re
from collections.abc import Iterator

from . import delimiters
from .columns import BadHeader, Columns, header_of
from .event_fields import FieldSource
from .file_names import unpacked
from .meaning import NULL
from .parsing import TOO_LONG, Line

_NOTHING = re.compile(rb"[\s,;\t|]*")  # as spreadsheets write it above a table
_JSON = re.compile(rb'\s*(?:\{\s*["}]|\[\s*[\[{"]|[\[{]\s*\Z)')


def read_header(
    lines: Iterator[Line],
    name: str,
    mapped: dict[str, FieldSource],
    *,
    ignoring: bool,
    delimiter: str | None,
    null: str = NULL,
) -> tuple[bytes, Columns] | None:
    """Read the lines up to the header, and return it, and its columns; ``None`` if there is none.

    Args:
        lines: all lines of the file; its rows are left.
        name: the file's name.
        mapped: what ``--map`` says.
        ignoring: whether unknown columns are left out.
        delimiter: what separates the columns; ``None``: what a line ``sep=;`` says, which Excel reads, else
            what goes with the file's name.
        null: the text of a cell that says nothing.

    Raises:
        BadHeader: the columns cannot make events.

    """
    header = _next(lines)
    if header and (declared := delimiters.declared(header.decode(errors="replace"))):
        delimiter, header = delimiter or declared, _next(lines)
    if header is None:
        return None
    likely = "\t" if unpacked(name).lower().endswith(".tsv") else ","
    try:
        names = header_of(header, delimiter or likely)
        if delimiter is None and len(names) == 1:
            _refuse_another(header, likely)
        return header, Columns(names, mapped, ignoring=ignoring, delimiter=delimiter or likely, null=null)
    except BadHeader:
        if _JSON.match(header):
            raise BadHeader("holds JSON, not CSV: send it with --format ndjson") from None
        if delimiter is None:
            _refuse_another(header, likely)
        raise


def _next(lines: Iterator[Line]) -> bytes | None:
    """Return the next line with something in it. Raises ``BadHeader``."""
    line = next((line for _, line in lines if line is None or not _NOTHING.fullmatch(line)), b"")
    if line is None:
        raise BadHeader(f"the header: {TOO_LONG}")
    return line or None


def _refuse_another(header: bytes, delimiter: str) -> None:
    if why := delimiters.why_another(header.decode(errors="replace"), delimiter):
        raise BadHeader(why)
