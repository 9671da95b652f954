"""Files, packed or not, and standard input: opened, checked, and read as events."""

from __future__ import annotations

import io
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

import attrs

from .columns import BadHeader, Columns
from .event_fields import FieldSource
from .headers import read_header
from .json_fields import JsonFields
from .json_objects import are_objects, objects_of
from .meaning import NULL, LineMeaning
from .parsing import Line, OpenObject, Read, lines_of, read_csv, read_json, rows_of
from .snapshot import FileState, Snapshot, opened
from .streams import BROKEN, LineBytes, NotLines

_BLOCK = 1 << 18  # bytes that are read from a file at once


class Unreadable(Exception):  # noqa: N818  like BadLine
    """An input cannot be opened, or cannot be read any further; the text says why."""


@attrs.frozen(kw_only=True)
class LineFormat:
    """How the lines of an input are read.

    Attributes:
        is_csv: whether it is CSV; else it is JSON.
        mapped: what ``--map`` says.
        ignoring: whether unknown columns, or members of objects, are left out.
        delimiter: for CSV, what separates the columns; ``None``: what its first line says, else a tab if its
            name ends in ``.tsv``, else a comma.
        null: for CSV, the text of a cell that says nothing.
        complete: whether the last line is known to be all there, though no line end may follow it.

    """

    is_csv: bool
    mapped: dict[str, FieldSource] = attrs.field(factory=dict)
    ignoring: bool = False
    delimiter: str | None = None
    null: str = NULL
    complete: bool = False


class Input:
    """A file or standard input.

    Args:
        name: its name in messages.
        path: the file; ``None``: ``stdin`` is read.
        form: how its lines are read.
        stdin: standard input, if it is read.
        first: how the file was when it was first opened, if it was.

    """

    def __init__(
        self,
        name: str,
        path: Path | None,
        form: LineFormat,
        *,
        stdin: BinaryIO | None = None,
        first: FileState | None = None,
    ) -> None:
        self.name = name
        self.form = form
        self.header: bytes | None = None  # of CSV, known when it is open
        self.size: int | None = None  # bytes; unknown for pipes and the like
        self.path = path
        self._members = JsonFields(form.mapped, ignoring=form.ignoring)
        self.meaning: LineMeaning | None = None if form.is_csv else self._members.meaning  # or by the header
        self.has_grown = False  # known when it is read to its end
        self.has_objects = False  # whether it is JSON that is not one object a line, known when it is open
        self._stdin = stdin
        self._first = first
        self._raw: io.RawIOBase | None = None
        self._bytes: LineBytes | None = None
        self._lines: Iterator[Line] = iter(())
        self._columns: Columns | None = None
        self._reads: Iterator[Read] = iter(())
        self._read_before: deque[Read] = deque()  # of what can be read only once
        self._done = 0  # bytes, set when all is read

    def check(self) -> None:
        """Open it and look at its beginning. Raises ``Unreadable`` or ``BadHeader``."""
        self._open()
        if self.size is not None:
            self.close()  # there may be more inputs than a process can have open

    def beginning(self) -> Generator[Read]:
        """Read its first events, which ``events`` reads again; it ends also where it cannot be read on."""
        if self.size is not None:
            with suppress(Unreadable, BadHeader):
                yield from self.again().events()
            return
        try:
            for read in self._reads:
                self._read_before.append(read)
                yield read
        except BROKEN as error:
            self._reads = _Broken(error)

    def events(self) -> Iterator[Read]:
        """Read its events, once. Raises ``Unreadable`` where it cannot be read any further."""
        if self._bytes is None:
            self._open()
        try:
            yield from self._read_before
            yield from self._reads
            self.has_grown = isinstance(self._raw, Snapshot) and self._raw.has_grown()
        except BROKEN as error:
            raise Unreadable(_why(error)) from error
        finally:
            self._done = self.size or 0
            self.close()

    def _is_complete(self) -> bool:
        # What is packed is read to its trailer, or is unreadable before its last line ends.
        return self.form.complete or (self._bytes is not None and self._bytes.is_packed)

    def again(self) -> Input:
        """Return the same input, to be read once more by somebody else."""
        return Input(self.name, self.path, self.form, first=self._first)

    def raw_lines(self) -> Iterator[tuple[int, bytes]]:
        """Read the lines, or rows, that may be events, with their numbers. Raises like ``events``."""
        self._open()
        try:
            if self._columns is None:
                yield from (
                    (number, line)
                    for number, line in self._lines
                    if line is not None and type(line) is not OpenObject
                )
                return
            rows = rows_of(self._lines, self._columns, complete=self._is_complete())
            yield from (
                (number, raw) for number, raw, row in rows if raw is not None and isinstance(row, list)
            )
        except BROKEN as error:
            raise Unreadable(_why(error)) from error
        finally:
            self.close()

    def position(self) -> int:
        """Return how many bytes of it have been read; any thread may ask."""
        try:
            return self._raw.tell() if self._raw and self.size else self._done
        except (ValueError, OSError):  # it has just been closed, or is being closed at this moment
            return self._done

    def _open(self) -> None:
        try:
            self._bytes = LineBytes(
                self._opened(), packed=self.path is not None and self.path.suffix == ".gz"
            )
            begin = self._begin_csv if self.form.is_csv else self._begin_json
            begin(self._bytes)
        except BROKEN as error:
            self.close()
            raise Unreadable(_why(error)) from error
        except NotLines as error:
            self.close()
            raise Unreadable(str(error)) from error
        except BadHeader:
            self.close()
            raise

    def _opened(self) -> io.BufferedIOBase:
        if self.path is None:
            return self._stdin  # type: ignore[return-value]  # without a path there is stdin
        self._raw = opened(self.path, self._first)
        if isinstance(self._raw, Snapshot):
            self._first = self._raw.state
            self.size = self._first.size
        return io.BufferedReader(self._raw, _BLOCK)

    def _begin_json(self, read: LineBytes) -> None:
        self.has_objects = are_objects(read.head)
        if self.has_objects:
            self._lines = objects_of(read.stream, complete=self.form.complete)
        else:
            self._lines = lines_of(read.stream)
        complete = self.form.complete
        self._reads = read_json(self._lines, self._members, complete=complete, packed=read.is_packed)

    def _begin_csv(self, read: LineBytes) -> None:
        self._lines = lines_of(read.stream, blank=True)
        form = self.form
        begun = read_header(
            self._lines,
            self.name,
            form.mapped,
            ignoring=form.ignoring,
            delimiter=form.delimiter,
            null=form.null,
        )
        if begun is not None:  # an empty file has no rows, whatever its columns
            self.header, self._columns = begun
            self.meaning = self._columns.meaning
            self._reads = read_csv(self._lines, self._columns, complete=self._is_complete())

    def close(self) -> None:
        """Close the file; standard input stays open."""
        if self._raw is not None:
            self._raw.close()
        self._bytes = None


class _Broken(Iterator[Read]):
    """Raises an error when it is read."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def __next__(self) -> Read:
        raise self._error


def _why(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__


def total(inputs: Sequence[Input]) -> int | None:
    """Return the bytes of all inputs together, if that is known."""
    sizes = [each.size for each in inputs]
    return None if None in sizes else sum(size or 0 for size in sizes)
